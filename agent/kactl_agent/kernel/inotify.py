"""Changes in directories, as inotify(7) reports them."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x0100_0000

ENTRY_CHANGED = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
DIRECTORY_GONE = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED

_HEADER = struct.Struct("=iIII")  # watch, mask, cookie, length of the name
_READ = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryEvent(NamedTuple):
    """What happened: IN_* bits, and the entry of the directory it happened to (empty: the directory itself)."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One inotify instance. Non-blocking."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)

    def watch(self, directory: str) -> int:
        """Report what happens to the directory and its entries; the number of the watch. Raises OSError.

        A directory that is watched already keeps its number.
        """
        mask = ENTRY_CHANGED | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
        return _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(directory), mask))

    def unwatch(self, watch: int) -> None:
        """Forget a watch; one that the kernel has given up by itself is none."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def events(self) -> Iterator[DirectoryEvent]:
        """All that has been reported so far, without blocking."""
        while True:
            try:
                data = os.read(self._descriptor, _READ)
            except BlockingIOError:
                return
            offset = 0
            while offset < len(data):
                watch, mask, _cookie, length = _HEADER.unpack_from(data, offset)
                offset += _HEADER.size + length
                yield DirectoryEvent(watch, mask, data[offset - length : offset].rstrip(b"\0"))


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result

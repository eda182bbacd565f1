"""Where log lines go: a descriptor whose reader may be slow, stuck or gone, and that nobody here ever waits for."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

_BACKLOG = 1 << 18  # bytes kept for a reader that is behind


class LogSink:
    """Writes text to a descriptor, standard error unless said otherwise. What finds no room is dropped and counted.

    Standard error is shared with whoever started us, so it is not made non-blocking itself: a pipe or terminal is
    opened once more, a socket is written to with MSG_DONTWAIT. Files do not block.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._backlog = bytearray()
        self._dropped = 0
        self._socket: socket.socket | None = None
        self._descriptor = descriptor
        self._owned = False
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISSOCK(mode):
                self._socket = socket.socket(fileno=os.dup(descriptor))
            elif not stat.S_ISREG(mode):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
                self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)
                self._owned = True
        except OSError:
            return  # closed, or a terminal of another user: as good as it gets

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._owned:
            os.close(self._descriptor)
            self._owned = False

    def write(self, text: str) -> None:
        """Never raises, never blocks."""
        data = text.encode("utf-8", "backslashreplace")
        if self._backlog:
            self._flush()
        room = _BACKLOG - len(self._backlog)
        if len(data) > room or (self._dropped and room < _BACKLOG // 2):
            self._dropped += 1
            return
        if self._dropped:
            said = f"{self._dropped} lines of this log were lost: nobody read it, or it had no room\n"
            self._backlog += said.encode()
            self._dropped = 0
        self._backlog += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._backlog:
                written = self._send()
                del self._backlog[:written]
        except BlockingIOError:
            return
        except OSError:
            # a full disk, a reader that has gone: what waits is lost, what comes may find room again
            self._dropped += self._backlog.count(b"\n")
            self._backlog.clear()

    def _send(self) -> int:
        if self._socket is not None:
            return self._socket.send(self._backlog, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.write(self._descriptor, self._backlog)


def open_standard_descriptors() -> None:
    """Whoever starts a daemon with standard error closed must not find its log lines in the next file it opens."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest one that is free: this one
                os.set_inheritable(descriptor, True)

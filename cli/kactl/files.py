"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

_NEW_FILE = 0o600  # a configuration may hold passwords


def replace_file(path: str, text: str) -> None:
    """Write a file; its old content stays until the new one is complete. Raises OSError: then it is untouched.

    An existing file keeps its mode and owner, a symbolic link stays one, a new file is readable by its owner alone.
    Devices and pipes are written to as they are.
    """
    target = os.path.realpath(path)
    try:
        existing: os.stat_result | None = Path(target).stat()
    except FileNotFoundError:
        existing = None
    data = text.encode()
    if existing is not None and not stat.S_ISREG(existing.st_mode):
        _write(os.open(target, os.O_WRONLY), data)
        return
    temporary = f"{target}.{os.urandom(4).hex()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE)
    try:
        if existing is not None:
            with suppress(PermissionError):
                os.fchown(descriptor, existing.st_uid, existing.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(existing.st_mode))
        _write(descriptor, data, sync=True)
        Path(temporary).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync_directory(str(Path(target).parent))


def keep_beside(path: str, data: bytes) -> str:
    """Write what a file says under another name beside it, which ends with the time, and give it the file's mode and
    owner; the name. Nothing that is there is touched, and nobody reads it before that. Raises OSError."""
    existing = Path(path).stat()
    kept, descriptor = _new_beside(path, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            with suppress(PermissionError):
                os.fchown(descriptor, existing.st_uid, existing.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(existing.st_mode))
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            Path(kept).unlink()
        raise
    return kept


def _new_beside(path: str, stamp: str) -> tuple[str, int]:
    number = 1
    while True:
        name = f"{path}.{stamp}{f'.{number}' if number > 1 else ''}~"
        try:
            return name, os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _NEW_FILE)
        except FileExistsError:
            number += 1


def _write(descriptor: int, data: bytes, *, sync: bool = False) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def _sync_directory(path: str) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

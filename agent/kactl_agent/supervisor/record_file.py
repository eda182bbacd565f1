"""What an agent writes into the run directory for the one that comes after it, should it be killed."""

from __future__ import annotations

import contextlib
import os
from typing import Generic, TypeVar

import msgspec

from kactl_agent.supervisor.run_dir import RunDirectory

_LARGEST = 64 << 20
T = TypeVar("T")


class Unreadable(Exception):
    """Somebody has written something else there."""


class RecordFile(Generic[T]):
    """`NAME.msgpack` in the run directory, written in one step, for its owner alone."""

    def __init__(self, run_dir: RunDirectory, name: str, kind: type[T]) -> None:
        self.path = run_dir.path / f"{name}.msgpack"
        self._new = f"{name}.new"
        self._run_dir = run_dir
        self._decoder = msgspec.msgpack.Decoder(kind)

    def read(self) -> T | None:
        """None after an orderly end, and of a file that is not ours. Raises Unreadable."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_uid not in (0, os.geteuid()):
                return None
            try:
                return self._decoder.decode(file.read(_LARGEST))
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise Unreadable(str(error)) from error

    def write(self, said: T) -> None:
        """Raises OSError."""
        descriptor = self._run_dir.create(self._new)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.msgpack.encode(said))
        self._run_dir.replace(self._new, self.path.name)

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

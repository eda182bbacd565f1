"""Which configuration is on trial and what was good before, on the disk: for the next start, if the agent is killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

_LARGEST = 64 << 20
_MINE = os.O_CLOEXEC | os.O_NOFOLLOW


class Trial(msgspec.Struct, frozen=True):
    """`fingerprint` is that of the text on trial, `good` the text from before."""

    fingerprint: str
    good: bytes

    def is_of(self, text: bytes) -> bool:
        """Whether this is the text that was on trial."""
        return _fingerprint(text) == self.fingerprint


class TrialFile:
    """Next to the configuration; where that is a link, next to the link."""

    def __init__(self, configuration: Path) -> None:
        self._path = configuration.absolute().with_name(f".{configuration.name}.kactl-trial")

    @property
    def exists(self) -> bool:
        return os.path.lexists(self._path)

    def begin(self, text: bytes, good: bytes) -> None:
        """Raises OSError."""
        new = self._path.with_name(f"{self._path.name}-new")
        new.unlink(missing_ok=True)
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _MINE, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.msgpack.encode(Trial(_fingerprint(text), good)))
                file.flush()
                os.fsync(descriptor)
            new.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise

    def read(self) -> Trial | None:
        """What an agent that was killed has left; None when that is nothing, or nothing one can believe."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | _MINE)
            with os.fdopen(descriptor, "rb") as file:
                if os.fstat(descriptor).st_uid not in (0, os.geteuid()):
                    return None
                return msgspec.msgpack.decode(file.read(_LARGEST), type=Trial)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _fingerprint(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()

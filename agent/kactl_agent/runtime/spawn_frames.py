"""What a worker and the spawner say to each other, one frame a message. Imports next to nothing, not even typing: the
spawner has to stay small.

A frame is a byte for its kind and its fields in their order: numbers as 64-bit integers, texts behind their lengths,
several texts behind their count; all of them big-endian.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = struct.Struct("!q")
_LENGTH = struct.Struct("!I")


class SpawnFrame:
    """Any of them. `run` is the worker's number for one run of a command, used once."""

    __slots__ = ("run",)

    def __init__(self, run: int) -> None:
        self.run = run

    def fields(self) -> tuple[object, ...]:
        """In the order of the constructor's arguments."""
        return (self.run,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpawnFrame) and type(self) is type(other) and self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash((type(self), self.fields()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.fields()}"


class Run(SpawnFrame):
    """Start a command: the first argument is an absolute path."""

    __slots__ = ("arguments", "gid", "uid", "umask")

    def __init__(self, run: int, arguments: tuple[str, ...], uid: int, gid: int, umask: int = -1) -> None:
        """With a umask of -1 it has that of the spawner."""
        super().__init__(run)
        self.arguments = arguments
        self.uid = uid
        self.gid = gid
        self.umask = umask

    def fields(self) -> tuple[object, ...]:
        return self.run, self.arguments, self.uid, self.gid, self.umask


class Signal(SpawnFrame):
    """Signal a run and everything it started; one that has ended is nobody."""

    __slots__ = ("signal",)

    def __init__(self, run: int, signal: int) -> None:
        super().__init__(run)
        self.signal = signal

    def fields(self) -> tuple[object, ...]:
        return self.run, self.signal


class Started(SpawnFrame):
    """The attached descriptor is a pidfd of the run."""

    __slots__ = ("pid",)

    def __init__(self, run: int, pid: int) -> None:
        super().__init__(run)
        self.pid = pid

    def fields(self) -> tuple[object, ...]:
        return self.run, self.pid


class Ended(SpawnFrame):
    """The last word about a run: its exit status, a signal as a negative number; `error` says why it never began."""

    __slots__ = ("error", "status")

    def __init__(self, run: int, status: int, error: str = "") -> None:
        super().__init__(run)
        self.status = status
        self.error = error

    def fields(self) -> tuple[object, ...]:
        return self.run, self.status, self.error


AnySpawnFrame = Run | Signal | Started | Ended

LARGEST = 1 << 18  # bytes; Linux takes no argument longer than 128 KiB


def encode(frame: SpawnFrame) -> bytes:
    """Raises ValueError for a number or a text that no process can have."""
    parts = [_KIND_OF[type(frame)]]
    for field in frame.fields():
        if isinstance(field, int):
            parts.append(_number(field))
        elif isinstance(field, str):
            parts.append(_text(field))
        elif isinstance(field, tuple):
            parts += [_LENGTH.pack(len(field)), *map(_text, field)]
    return b"".join(parts)


def _number(value: int) -> bytes:
    try:
        return _NUMBER.pack(value)
    except struct.error as error:
        raise ValueError(str(error)) from None


def _text(value: str) -> bytes:
    data = value.encode(errors="surrogateescape")  # as the system's own names come and go
    return _LENGTH.pack(len(data)) + data


def decode(data: bytes) -> AnySpawnFrame:
    """Raises ValueError, and nothing else, whatever the bytes are."""
    kind = _KINDS.get(data[:1])
    if kind is None:
        raise ValueError("no frame begins so")
    make, shape = kind
    reader = _Reader(data)
    try:
        frame: AnySpawnFrame = make(*reader.fields(shape))
    except struct.error as error:
        raise ValueError(f"the frame is cut short: {error}") from None
    if reader.left:
        raise ValueError(f"{reader.left} bytes behind the frame")
    return frame


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 1

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def fields(self, shape: str) -> Iterator[object]:
        for kind in shape:
            if kind == "n":
                (number,) = _NUMBER.unpack_from(self._data, self._at)
                self._at += _NUMBER.size
                yield number
            elif kind == "t":
                yield self._text()
            else:
                count = self._length()
                if count > self.left // _LENGTH.size:
                    raise ValueError(f"{count} texts in {self.left} bytes")
                yield tuple([self._text() for _ in range(count)])

    def _length(self) -> int:
        (length,) = _LENGTH.unpack_from(self._data, self._at)
        self._at += _LENGTH.size
        return int(length)

    def _text(self) -> str:
        length = self._length()
        if length > self.left:
            raise ValueError(f"a text of {length} bytes in {self.left}")
        self._at += length
        return self._data[self._at - length : self._at].decode(errors="surrogateescape")


_KINDS = {b"R": (Run, "nlnnn"), b"S": (Signal, "nn"), b"B": (Started, "nn"), b"E": (Ended, "nnt")}
_KIND_OF: dict[type[SpawnFrame], bytes] = {make: kind for kind, (make, _shape) in _KINDS.items()}

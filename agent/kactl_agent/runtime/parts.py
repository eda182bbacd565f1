"""Several byte strings in one file, each read for itself: what is megabytes is copied once, not once more as a part."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

_COUNT = struct.Struct("=Q")


def write_parts(descriptor: int, parts: Sequence[bytes]) -> None:
    """To an empty file, from its beginning: how many there are, their lengths, and themselves. Raises OSError."""
    header = struct.pack(f"={len(parts) + 1}Q", len(parts), *(len(part) for part in parts))
    waiting = [memoryview(part) for part in (header, *parts) if part]
    while waiting:
        written = os.writev(descriptor, waiting)
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]


def read_parts(descriptor: int, count: int) -> list[bytes]:
    """Raises OSError, and ValueError for a file that does not hold as many parts in full."""
    header = os.pread(descriptor, _COUNT.size * (count + 1), 0)
    if len(header) != _COUNT.size * (count + 1):
        raise ValueError("the file is too short")
    said, *lengths = struct.unpack(f"={count + 1}Q", header)
    if said != count or len(header) + sum(lengths) != os.fstat(descriptor).st_size:
        raise ValueError("the file is damaged")
    parts = []
    at = len(header)
    for length in lengths:
        part = os.pread(descriptor, length, at)
        if len(part) != length:
            raise ValueError("the file is too short")
        parts.append(part)
        at += length
    return parts

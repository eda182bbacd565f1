"""The journal on disk: two files that take turns, so that what is kept is bounded and a restart finds it again.

The supervisor opens them (the observer may not) and they are kept when the agent ends: cursors that readers hold stay
valid. The first line of a file names the journal, every other one is an event as readers get it. What cannot be
written, because the disk is full or slow to be mended, stays in memory and is written as soon as there is room. When
there was none before the observer ended, its last events are lost, and so is how many numbers it had given out: hence
each run of an observer numbers under a name of its own, `JOURNAL.RUN-NUMBER`, and nobody takes one event for another.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

NAMES = ("journal.0", "journal.1")
SIZE = 4 << 20
"""Bytes of a file before the other one is begun anew."""
_FORMAT = "kactl-journal"
_VERSION = 1
_MOST_UNWRITTEN = 1000  # events that wait for room


class Kept(NamedTuple):
    """An event. Numbers go on from one run to the next."""

    number: int
    run: str  # the name it is numbered under
    line: bytes  # as JSON: a third of the memory


def parse_cursor(cursor: object) -> tuple[str, int] | None:
    """The name and the number; None for what never was a cursor."""
    if not isinstance(cursor, str):
        return None
    run, _, number = cursor.rpartition("-")
    if not run or not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    return run, int(number)


class JournalFiles:
    """Two descriptors, opened to read and to append; they are this object's. Nothing here raises OSError."""

    def __init__(self, descriptors: Sequence[int], size: int = SIZE) -> None:
        self._files = list(descriptors)
        self._size = size
        self._current = 0
        self._unwritten: deque[bytes] = deque(maxlen=_MOST_UNWRITTEN)
        self.identity = ""  # of the journal that was found, "" when there was none
        self.trouble = ""  # why the last event is not on disk, "" when it is

    def load(self) -> list[Kept]:
        """The events that are there, oldest first. What is damaged is passed over."""
        found = [_read(descriptor) for descriptor in self._files]
        newest = max(range(len(found)), key=lambda index: found[index][1][-1].number if found[index][1] else -1)
        self.identity, self._current = found[newest][0], newest
        for descriptor, (identity, _) in zip(self._files, found, strict=True):
            if identity != self.identity:
                _empty(descriptor)
        events = [event for identity, events in found if identity and identity == self.identity for event in events]
        return sorted(events, key=lambda event: event.number)

    def begin(self, identity: str) -> None:
        """Write for the journal of this name from now on, behind what was loaded of it."""
        if identity != self.identity:
            for descriptor in self._files:
                _empty(descriptor)
        self.identity = identity

    def append(self, event: bytes) -> None:
        """Write an event (JSON), and those before it for which there was no room."""
        self._unwritten.append(event + b"\n")
        try:
            while self._unwritten:
                self._write(self._unwritten[0])
                self._unwritten.popleft()
        except OSError as error:
            self.trouble = error.strerror or str(error)
        else:
            self.trouble = ""

    def close(self) -> None:
        for descriptor in self._files:
            os.close(descriptor)
        self._files = []

    def _write(self, line: bytes) -> None:
        if not self._files:
            return
        descriptor = self._files[self._current]
        length = os.fstat(descriptor).st_size
        if length and length + len(line) > self._size:
            self._current = 1 - self._current
            descriptor = self._files[self._current]
            os.ftruncate(descriptor, 0)
            length = 0
        if not length:
            header = {"format": _FORMAT, "version": _VERSION, "journal": self.identity}
            line = msgspec.json.encode(header) + b"\n" + line
        elif os.pread(descriptor, 1, length - 1) != b"\n":
            line = b"\n" + line  # the last writer was killed in the middle of its line
        try:
            written = os.write(descriptor, line)
        except OSError:
            _cut(descriptor, length)
            raise
        if written != len(line):  # a part would be a damaged line
            _cut(descriptor, length)
            raise OSError(0, "no room for more than a part of it")


def _empty(descriptor: int) -> None:
    _cut(descriptor, 0)


def _cut(descriptor: int, length: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, length)


def _read(descriptor: int) -> tuple[str, list[Kept]]:
    """The name of the journal, "" when it is none, and the events of one file."""
    try:
        data = _content(descriptor)
    except OSError:
        return "", []
    lines = data.split(b"\n")
    header = _object(lines[0])
    identity = header.get("journal")
    if header.get("format") != _FORMAT or header.get("version") != _VERSION or not isinstance(identity, str):
        return "", []
    events = []
    for line in lines[1:]:
        event = _object(line)
        place = parse_cursor(event.get("cursor"))
        if place is not None and place[0].partition(".")[0] == identity and {"time", "type"} <= event.keys():
            events.append(Kept(place[1], sys.intern(place[0]), line))
    return identity, events


def _content(descriptor: int) -> bytes:
    data = bytearray()
    while chunk := os.pread(descriptor, 1 << 20, len(data)):
        data += chunk
    return bytes(data)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}

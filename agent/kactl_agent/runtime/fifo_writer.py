"""Lines into the FIFOs, never waiting: what a reader has not taken yet waits here, in order, and nothing is dropped.

Without a reader, up to as much waits as a pipe holds for keepalived, and what comes then is dropped, as there; the next
reader gets what waits. Each line is one write, so that the lines of several writers never mix (PIPE_BUF, pipe(7)).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

WITHOUT_READER = 65536  # bytes, the capacity of a pipe (pipe(7))
_RETRY_SECONDS = 0.25  # no event tells that a reader has come


class Handle(Protocol):
    def cancel(self) -> None: ...


class Loop(Protocol):
    """Of asyncio."""

    def add_writer(self, descriptor: int, callback: Callable[[], None]) -> object: ...

    def remove_writer(self, descriptor: int) -> object: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle: ...


class FifoWriter:
    """One FIFO. Until its descriptor comes, lines wait."""

    def __init__(self, loop: Loop, warn: Callable[[str], None], name: str) -> None:
        """`name` is what it is called in warnings."""
        self._loop = loop
        self._warn = warn
        self._name = name
        self._descriptor = -1
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._writing = False
        self._retry: Handle | None = None
        self._reader = True  # as far as known
        self.dropped = 0

    @property
    def pending(self) -> bool:
        """Whether a reader is to get more."""
        return bool(self._lines) and self._reader

    def connect(self, descriptor: int) -> None:
        """Write here from now on; the descriptor is the writer's. It is open for writing alone: an end to read from
        would look like a reader."""
        self._disconnect()
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._flush()

    def write(self, line: str) -> None:
        data = line.encode() + b"\n"
        if not self._reader and self._size + len(data) > WITHOUT_READER:
            if not self.dropped:
                self._warn(f"{self._name}: nobody reads it: lines are lost from now on")
            self.dropped += 1
            return
        self._lines.append(data)
        self._size += len(data)
        if not self._writing and self._retry is None:
            self._flush()

    def close(self) -> None:
        self._disconnect()
        self._lines.clear()
        self._size = 0

    def _disconnect(self) -> None:
        self._stop_waiting()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _flush(self) -> None:
        self._retry = None
        while self._lines and self._descriptor >= 0:
            try:
                os.write(self._descriptor, self._lines[0])
            except BlockingIOError:
                self._reader = True
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._descriptor, self._flush)
                return
            except OSError as error:
                self._stop_waiting()
                if error.errno == errno.EPIPE:
                    self._reader = False
                    self._retry = self._loop.call_later(_RETRY_SECONDS, self._flush)
                else:
                    self._warn(f"{self._name}: {error.strerror or error}: lines are lost")
                    self.dropped += len(self._lines)
                    self._lines.clear()
                    self._size = 0
                return
            self._size -= len(self._lines.popleft())
            self._reader = True
        if self._descriptor >= 0:
            self._stop_waiting()
            if self.dropped:
                self._warn(f"{self._name}: it is read again; {self.dropped} lines were lost")
                self.dropped = 0

    def _stop_waiting(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._descriptor)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


class FifoWriters:
    """All the FIFOs that a worker's lines go to, by keyword."""

    def __init__(self, loop: Loop, warn: Callable[[str], None]) -> None:
        self._loop = loop
        self._warn = warn
        self._writers: dict[str, FifoWriter] = {}
        self._spare: dict[str, int] = {}

    def want(self, keywords: tuple[str, ...]) -> None:
        """Those there are to be; the supervisor hands their descriptors over, now or before."""
        for keyword in self._writers.keys() - set(keywords):
            self._writers.pop(keyword).close()
        for keyword in keywords:
            if keyword not in self._writers:
                writer = self._writers[keyword] = FifoWriter(self._loop, self._warn, keyword)
                if keyword in self._spare:
                    writer.connect(self._spare.pop(keyword))
        self._drop_spare()

    def connect(self, descriptors: Mapping[str, int]) -> None:
        """These are all there are: for others no line waits any longer. What is not wanted yet may be later."""
        self._drop_spare()
        for keyword in self._writers.keys() - descriptors.keys():
            self._writers.pop(keyword).close()
        for keyword, descriptor in descriptors.items():
            writer = self._writers.get(keyword)
            if writer is None:
                self._spare[keyword] = descriptor
            else:
                writer.connect(descriptor)

    def _drop_spare(self) -> None:
        for descriptor in self._spare.values():
            os.close(descriptor)
        self._spare.clear()

    def write(self, line: str) -> None:
        for writer in self._writers.values():
            writer.write(line)

    @property
    def pending(self) -> bool:
        return any(writer.pending for writer in self._writers.values())

    def close(self) -> None:
        self.want(())

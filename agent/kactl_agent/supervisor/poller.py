"""A poll loop: descriptors, timers, signals. No threads and no asyncio, so that the process can fork at any time."""

from __future__ import annotations

import heapq
import itertools
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from kactl_agent.runtime import agent_signals
from kactl_agent.runtime.ipc import Edge

Callback = Callable[[], None]


class TimerHandle:
    """A callback that will be called once, unless it is cancelled."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class Poller:
    """Callbacks for what is readable, for edges with something to send, for times and for signals."""

    def __init__(self) -> None:
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._edges: dict[int, tuple[Edge, Callback]] = {}
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._order = itertools.count()
        self._signals: dict[int, Callback] = {}
        self._wakeup: tuple[socket.socket, socket.socket] | None = None
        self._stopped = False

    def add_reader(self, descriptor: int, callback: Callback) -> None:
        self._readers[descriptor] = callback

    def remove_reader(self, descriptor: int) -> None:
        self._readers.pop(descriptor, None)

    def add_writer(self, descriptor: int, callback: Callback) -> None:
        self._writers[descriptor] = callback

    def remove_writer(self, descriptor: int) -> None:
        self._writers.pop(descriptor, None)

    def add_edge(self, edge: Edge, readable: Callback) -> None:
        """`readable` is called when frames have come or the other end is gone; what is queued is sent by itself."""
        self._edges[edge.fileno()] = (edge, readable)

    def remove_edge(self, edge: Edge) -> None:
        self._edges.pop(edge.fileno(), None)

    def call_later(self, seconds: float, callback: Callback) -> TimerHandle:
        handle = TimerHandle(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), handle))
        return handle

    def call_when_idle(self, seconds: float, is_busy: Callable[[], bool], callback: Callback, times: int) -> None:
        """After some seconds, and after as many again as long as somebody is busy then, but not more often than
        `times`."""

        def look() -> None:
            if is_busy() and times:
                self.call_when_idle(seconds, is_busy, callback, times - 1)
            else:
                callback()

        self.call_later(seconds, look)

    @property
    def timers(self) -> int:
        """How many are waited for."""
        return sum(handle.callback is not None for _at, _order, handle in self._timers)

    def on_signals(self, callbacks: dict[int, Callback], ignored: Iterable[int] = ()) -> None:
        """Handle signals in the loop from now on."""
        ours, pythons = socket.socketpair()
        for sock in (ours, pythons):
            sock.setblocking(False)
        self._wakeup = (ours, pythons)
        self._signals = callbacks
        signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
        for number in callbacks:
            signal.signal(number, _noted)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        self.add_reader(ours.fileno(), self._read_signals)

    def _read_signals(self) -> None:
        assert self._wakeup is not None
        try:
            numbers = self._wakeup[0].recv(4096)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            callback = self._signals.get(number)
            if callback is not None:
                callback()

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopped:
            self.run_once()

    def run_once(self) -> None:
        poll = select.poll()
        readers, writers, edges = self._readers.copy(), self._writers.copy(), self._edges.copy()
        for descriptor in readers.keys() | writers.keys():
            reads, writes = descriptor in readers, descriptor in writers
            poll.register(descriptor, (select.POLLIN if reads else 0) | (select.POLLOUT if writes else 0))
        for descriptor, (edge, _readable) in edges.items():
            poll.register(descriptor, select.POLLIN | (select.POLLOUT if edge.pending else 0))
        for descriptor, events in poll.poll(self._timeout()):
            # an earlier callback of this turn may have closed it, and another one may have its number by now
            writer = writers.get(descriptor)
            if writer is not None and events & ~select.POLLIN and self._writers.get(descriptor) is writer:
                writer()
            reader = readers.get(descriptor)
            if reader is not None and events & ~select.POLLOUT and self._readers.get(descriptor) is reader:
                reader()
            watched = edges.get(descriptor)
            if watched is not None and events & ~select.POLLOUT and self._edges.get(descriptor) is watched:
                watched[1]()
            if watched is not None and events & select.POLLOUT and self._edges.get(descriptor) is watched:
                watched[0].try_flush()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def _timeout(self) -> float | None:
        """Milliseconds to the next timer, None for ever."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, (self._timers[0][0] - time.monotonic()) * 1000 + 1)

    def after_fork(self) -> None:
        """In a child: signals are the child's own again, and the loop is nobody's."""
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)
        agent_signals.ignore()
        if self._wakeup is not None:
            for sock in self._wakeup:
                sock.close()
        self._readers.clear()
        self._writers.clear()
        self._edges.clear()
        self._timers.clear()


def _noted(_number: int, _frame: object) -> None:
    """The wakeup descriptor has it."""


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor above stderr that is not in `keep`."""
    kept = set(keep)
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        if descriptor > 2 and descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                continue

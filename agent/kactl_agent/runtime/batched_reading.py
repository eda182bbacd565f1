"""Sockets that are read together: where packets come by the thousand a second, not every one wakes the loop.

A turn of the loop costs more than reading a packet. So sockets stand in a set of their own (epoll(7)); where two
packets have come within a millisecond (`between`), the set is looked at once a millisecond, until that finds nothing.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable

from kactl_agent.kernel.timerfd import MonotonicTimer
from kactl_agent.runtime.loop import HasFileno

_BETWEEN_TWO = 1_000_000  # ns


class BatchedReading:
    """`kactl_agent.runtime.bfd_machine.Watcher`"""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._timer = MonotonicTimer()
        self.between = _BETWEEN_TWO
        self._woken_at = 0
        loop.add_reader(self._timer.fileno(), self._look_again)
        loop.add_reader(self._set.fileno(), self._woken)

    def watch(self, sock: HasFileno, readable: Callable[[], None]) -> None:
        self._callbacks[sock.fileno()] = readable
        self._set.register(sock.fileno(), select.EPOLLIN)

    def unwatch(self, sock: HasFileno) -> None:
        del self._callbacks[sock.fileno()]
        self._set.unregister(sock.fileno())

    def close(self) -> None:
        self._loop.remove_reader(self._timer.fileno())
        self._loop.remove_reader(self._set.fileno())
        self._timer.close()
        self._set.close()

    def _woken(self) -> None:
        now = time.monotonic_ns()
        busy = now - self._woken_at < self.between
        self._woken_at = now
        if busy:
            self._loop.remove_reader(self._set.fileno())
            self._timer.set(now + self.between)
        self._read()

    def _look_again(self) -> None:
        if not self._timer.clear():
            return
        now = time.monotonic_ns()
        if self._read():
            self._timer.set(now + self.between)
        else:
            self._loop.add_reader(self._set.fileno(), self._woken)

    def _read(self) -> bool:
        """Whether there was anything."""
        ready = self._set.poll(0)
        for descriptor, _events in ready:
            callback = self._callbacks.get(descriptor)  # one of them may have closed another
            if callback is not None:
                callback()
        return bool(ready)

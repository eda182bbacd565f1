"""The event loop of a worker: asyncio with nothing else in it, one timer, sockets, and the edges to other processes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

from kactl_agent.kernel.timerfd import MonotonicTimer
from kactl_agent.runtime.frames import AnyFrame
from kactl_agent.runtime.ipc import Edge, EdgeClosed

_BETWEEN_TWO = 1_000_000  # ns from one firing of a timer to the next


class HasFileno(Protocol):
    def fileno(self) -> int: ...


@contextmanager
def worker_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for the process, and a garbage collector that does not get in its way.

    What a callback raises ends the loop and is raised here: a worker that lost its way must not look alive. It is
    restarted, and what it held is taken back.

    What exists now lives as long as the process: frozen, it is never looked at again. (A full collection over a large
    heap makes a timer 100 ms late; over a frozen one 3 ms.)
    """
    loop = asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    failures: list[BaseException] = []

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        failures.append(context.get("exception") or RuntimeError(context["message"]))
        loop.stop()

    loop.set_exception_handler(failed)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
    try:
        yield loop
        if failures:
            raise failures[0]
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class Timer:
    """The one timer of a driver: `arm` moves it, `fire` is called when its time has come.

    It fires on the microsecond, but not twice within `between` ns: where hundreds of instances have their timers close
    to each other, waking up for each of them costs more than what there is to do.
    """

    on_lateness: ClassVar[Callable[[int], None] | None] = None
    """Hears by how many ns each timer of this process fires late (`kactl_agent.runtime.scheduling`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fire: Callable[[], None]) -> None:
        self._loop = loop
        self._fire = fire
        self.between = _BETWEEN_TWO
        self._not_before = 0
        self._armed = 0
        self._timer = MonotonicTimer()
        loop.add_reader(self._timer.fileno(), self._fired)

    def arm(self, deadline: int | None) -> None:
        """`deadline` is ns of `time.monotonic_ns`; None disarms."""
        if deadline is not None:
            self._armed = deadline = max(deadline, self._not_before)
        self._timer.set(deadline)

    def close(self) -> None:
        self._loop.remove_reader(self._timer.fileno())
        self._timer.close()

    def _fired(self) -> None:
        if self._timer.clear():  # it may have been moved since the loop saw it
            now = time.monotonic_ns()
            self._not_before = now + self.between
            if Timer.on_lateness is not None:
                Timer.on_lateness(now - self._armed)
            self._fire()


class SocketWatcher:
    """Calls back when a socket is readable (`kactl_agent.runtime.vrrp_machine.Watcher`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def watch(self, sock: HasFileno, readable: Callable[[], None]) -> None:
        self._loop.add_reader(sock.fileno(), readable)

    def unwatch(self, sock: HasFileno) -> None:
        self._loop.remove_reader(sock.fileno())


class LoopEdge:
    """Runs an Edge in the loop: frames to `on_frame`, its end to `on_closed`, sending when there is room."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        edge: Edge,
        on_frame: Callable[[AnyFrame, list[int]], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self.edge = edge
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._flush_scheduled = False
        self._writing = False
        self._closed = False
        edge.on_pending = self._pending
        loop.add_reader(edge.fileno(), self._readable)
        if edge.pending:
            self._pending()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self.edge.fileno())
            self._loop.remove_writer(self.edge.fileno())
            self.edge.close()

    def _pending(self) -> None:
        if not self._flush_scheduled and not self._writing:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._closed:
            return
        try:
            done = self.edge.flush()
        except EdgeClosed:
            self._end()
            return
        except ValueError:
            self._pending()  # what stands behind it is sent
            raise
        if done == self._writing:
            self._writing = not done
            if done:
                self._loop.remove_writer(self.edge.fileno())
            else:
                self._loop.add_writer(self.edge.fileno(), self._flush)

    def _readable(self) -> None:
        try:
            frames = self.edge.receive()
        except EdgeClosed:
            self._end()
            return
        for frame, descriptors in frames:
            if self._closed:  # by what came before: the rest is nobody's any more
                for descriptor in descriptors:
                    os.close(descriptor)
                continue
            self._on_frame(frame, descriptors)

    def _end(self) -> None:
        if not self._closed:
            self.close()
            self._on_closed()


def on_terminate(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """SIGTERM stops the worker orderly; SIGINT is the supervisor's business, a terminal sends it to all of us."""
    loop.add_signal_handler(signal.SIGTERM, stop)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(ignored, signal.SIG_IGN)

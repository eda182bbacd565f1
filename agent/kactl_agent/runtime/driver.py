"""The only glue between pure engines and the event loop: one armed timer, inputs in, actions carried out in order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from kactl_agent.vrrp.actions import Action, ActionFailed, Input, PacketMeta

_TEN_MILLISECONDS = 10_000_000


class TimedEngine(Protocol):
    """An engine that hears no packets. `now` is monotonic ns."""

    def handle_timer(self, now: int) -> Sequence[Action]: ...

    def handle_event(self, event: Input, now: int) -> Sequence[Action]: ...

    def deadline(self) -> int | None: ...


class Engine(TimedEngine, Protocol):
    """What every other engine is: see the rules in `kactl_agent.vrrp.instance.VrrpInstance`."""

    def receive(self, data: bytes, meta: PacketMeta, now: int) -> Sequence[Action]: ...


EngineT = TypeVar("EngineT", bound=TimedEngine)
Perform = Callable[[str, Action, int], ActionFailed | None]
"""Carry out an action of the named engine; a failure is returned, never raised."""


class Lateness:
    """How late timers were handled, in ns."""

    def __init__(self) -> None:
        self.timers = 0
        self.maximum = 0
        self.over_10ms = 0

    def add(self, late: int) -> None:
        self.timers += 1
        self.maximum = max(self.maximum, late)
        self.over_10ms += late > _TEN_MILLISECONDS


class TimedDriver(Generic[EngineT]):
    """Engines by name. `arm` is told the earliest deadline whenever it changes; `changed` which engine had an input.

    Not reentrant: `perform` and `changed` must not call the driver. What an action's failure makes an
    engine do is carried out behind the actions that were already on their way.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        perform: Perform,
        arm: Callable[[int | None], None],
        changed: Callable[[str, int], None],
    ) -> None:
        self._clock = clock
        self._perform = perform
        self._arm = arm
        self._changed = changed
        self._engines: dict[str, EngineT] = {}
        self._deadlines: dict[str, int | None] = {}
        self._heap: list[tuple[int, str]] = []
        self._armed: int | None = None
        self.lateness = Lateness()

    def add(self, name: str, engine: EngineT) -> None:
        if name in self._engines:
            raise ValueError(f"there is already an engine {name}")
        self._engines[name] = engine
        self._deadlines[name] = None
        self._schedule(name)
        self._rearm()

    def remove(self, name: str) -> None:
        """Forget an engine. Whatever it held it must have given back before (Shutdown)."""
        del self._engines[name]
        del self._deadlines[name]
        self._rearm()

    def tell(self, name: str, event: Input) -> None:
        now = self._clock()
        actions = self._engines[name].handle_event(event, now)
        self._finish(name, actions, now)

    def run_due(self) -> None:
        """The armed time has come: handle every timer that is due. An early call only arms again."""
        self._armed = None
        now = self._clock()
        while (earliest := self._earliest()) is not None and earliest <= now:
            _deadline, name = heapq.heappop(self._heap)
            self._deadlines[name] = None
            self.lateness.add(now - earliest)
            actions = self._engines[name].handle_timer(now)
            self._carry_out(name, actions, now)
            self._schedule(name)
            now = max(now, self._clock())
        self._rearm()

    def _finish(self, name: str, actions: Sequence[Action], now: int) -> None:
        self._carry_out(name, actions, now)
        self._schedule(name)
        self._rearm()

    def _carry_out(self, name: str, actions: Sequence[Action], now: int) -> None:
        queue = deque(actions)
        while queue:
            failed = self._perform(name, queue.popleft(), now)
            if failed is not None:
                queue.extend(self._engines[name].handle_event(failed, now))
        self._changed(name, now)

    def _schedule(self, name: str) -> None:
        deadline = self._engines[name].deadline()
        if deadline != self._deadlines[name]:
            self._deadlines[name] = deadline
            if deadline is not None:
                heapq.heappush(self._heap, (deadline, name))

    def _earliest(self) -> int | None:
        """The earliest deadline still wanted; entries that were overtaken are thrown away on the way."""
        while self._heap:
            deadline, name = self._heap[0]
            if self._deadlines.get(name) == deadline:
                return deadline
            heapq.heappop(self._heap)
        return None

    def _rearm(self) -> None:
        earliest = self._earliest()
        if earliest != self._armed:
            self._armed = earliest
            self._arm(earliest)


class Driver(TimedDriver[Engine]):
    """A TimedDriver whose engines hear packets."""

    def receive(self, name: str, data: bytes, meta: PacketMeta) -> None:
        now = self._clock()
        actions = self._engines[name].receive(data, meta, now)
        self._finish(name, actions, now)

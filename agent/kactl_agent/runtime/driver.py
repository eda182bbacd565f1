"""The only glue between pure engines and the event loop: one armed timer, inputs in, actions carried out in order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from kactl_agent.vrrp.actions import Action, ActionFailed, Input, PacketMeta
from kactl_agent.vrrp.settings import VrrpSettings

_TEN_MILLISECONDS = 10_000_000


class TimedEngine(Protocol):
    """An engine that hears no packets. `now` is monotonic ns."""

    def handle_timer(self, now: int) -> Sequence[Action]: ...

    def handle_event(self, event: Input, now: int) -> Sequence[Action]: ...

    def deadline(self) -> int | None: ...


class Engine(TimedEngine, Protocol):
    """What every other engine is: see the rules in `kactl_agent.vrrp.instance.VrrpInstance`."""

    def receive(self, data: bytes, meta: PacketMeta, now: int) -> Sequence[Action]: ...

    def reconfigure(self, settings: VrrpSettings, now: int) -> Sequence[Action]: ...


class Group(Protocol):
    """Engines that act together: see `kactl_agent.vrrp.sync_group.SyncGroup`."""

    @property
    def members(self) -> tuple[str, ...]: ...

    @property
    def touched(self) -> Collection[str]: ...

    def is_news(self, name: str, actions: Sequence[Action]) -> bool: ...

    def follow(self, name: str, actions: Sequence[Action], now: int) -> Sequence[tuple[str, Action]]: ...

    def release(self, now: int, staying: Container[str]) -> Sequence[tuple[str, Action]]: ...


KeyT = TypeVar("KeyT", int, str)
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


class KeyedDriver(Generic[KeyT, EngineT]):
    """Engines by name or number. `arm` is told the earliest deadline whenever it changes; `changed` which engine had an
    input.

    Not reentrant: `perform` and `changed` must not call the driver. What an action's failure makes an
    engine do is carried out behind the actions that were already on their way.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        perform: Callable[[KeyT, Action, int], ActionFailed | None],
        arm: Callable[[int | None], None],
        changed: Callable[[KeyT, int], None],
    ) -> None:
        self._clock = clock
        self._perform: Callable[[KeyT, Action, int], ActionFailed | None] = perform
        self._arm = arm
        self._changed: Callable[[KeyT, int], None] = changed
        self._engines: dict[KeyT, EngineT] = {}
        self._deadlines: dict[KeyT, int | None] = {}
        self._heap: list[tuple[int, KeyT]] = []
        self._armed: int | None = None
        self.lateness = Lateness()

    def add(self, name: KeyT, engine: EngineT) -> None:
        if name in self._engines:
            raise ValueError(f"there is already an engine {name}")
        self._engines[name] = engine
        self._deadlines[name] = None
        self._schedule(name)
        self._rearm()

    def remove(self, name: KeyT) -> None:
        """Forget an engine. Whatever it held it must have given back before (Shutdown)."""
        del self._engines[name]
        del self._deadlines[name]
        self._rearm()

    def rename(self, names: Mapping[KeyT, KeyT]) -> None:
        """Engines that are called something else from now on: old name -> new name."""
        self._engines = {names.get(name, name): engine for name, engine in self._engines.items()}
        self._deadlines = {names.get(name, name): deadline for name, deadline in self._deadlines.items()}
        self._heap = [(deadline, name) for name, deadline in self._deadlines.items() if deadline is not None]
        heapq.heapify(self._heap)

    def tell(self, name: KeyT, event: Input) -> None:
        now = self._clock()
        self._carry_out(name, self._engines[name].handle_event(event, now), now)
        self._rearm()

    def overdue(self) -> int:
        """For how many ns the earliest timer should have been handled already."""
        earliest = self._earliest()
        return 0 if earliest is None else max(0, self._clock() - earliest)

    def run_due(self) -> None:
        """The armed time has come: handle every timer that is due. An early call only arms again."""
        self._armed = None
        now = self._clock()
        while (earliest := self._earliest()) is not None and earliest <= now:
            _deadline, name = heapq.heappop(self._heap)
            self._deadlines[name] = None
            self.lateness.add(now - earliest)
            self._carry_out(name, self._engines[name].handle_timer(now), now)
            now = max(now, self._clock())
        self._rearm()

    def _carry_out(self, name: KeyT, actions: Sequence[Action], now: int) -> None:
        queue = deque(self._followed(name, actions, now))
        touched = {name: None}
        while queue:
            who, action = queue.popleft()
            failed = self._perform(who, action, now)
            if failed is not None:
                touched[who] = None
                queue.extend(self._followed(who, self._engines[who].handle_event(failed, now), now))
        for who in touched:
            self._changed(who, now)
            self._schedule(who)

    def _followed(self, name: KeyT, actions: Sequence[Action], now: int) -> Iterable[tuple[KeyT, Action]]:
        """What is to be carried out when this engine has returned this."""
        del now  # for those that act in groups
        return [(name, action) for action in actions]

    def _schedule(self, name: KeyT) -> None:
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


class TimedDriver(KeyedDriver[str, EngineT], Generic[EngineT]):
    """A KeyedDriver whose engines have names."""


class Driver(TimedDriver[Engine]):
    """A TimedDriver whose engines hear packets, take other settings, and may act in groups."""

    def __init__(
        self,
        clock: Callable[[], int],
        perform: Perform,
        arm: Callable[[int | None], None],
        changed: Callable[[str, int], None],
    ) -> None:
        super().__init__(clock, perform, arm, changed)
        self._groups: dict[str, Group] = {}  # by member

    def receive(self, name: str, data: bytes, meta: PacketMeta) -> None:
        now = self._clock()
        self._carry_out(name, self._engines[name].receive(data, meta, now), now)
        self._rearm()

    def reconfigure(self, name: str, settings: VrrpSettings) -> None:
        now = self._clock()
        self._carry_out(name, self._engines[name].reconfigure(settings, now), now)
        self._rearm()

    # -- groups --------------------------------------------------------------------------------------------------------

    def join(self, group: Group) -> None:
        """Its members act together from now on; they need not be in line yet."""
        self._groups.update(dict.fromkeys(group.members, group))

    def align(self, group: Group) -> None:
        """Bring members in line that have been something before they were joined."""
        now = self._clock()
        self._carry_out(group.members[0], (), now)
        self._rearm()

    def part(self, group: Group, staying: Container[str]) -> None:
        """The group ends. Members in `staying` will be in its successor, the others go their own way."""
        self._groups = {member: other for member, other in self._groups.items() if other is not group}
        now = self._clock()
        touched: dict[str, None] = {}
        for name, action in group.release(now, staying):
            touched[name] = None
            failed = self._perform(name, action, now)
            if failed is not None:
                self._carry_out(name, self._engines[name].handle_event(failed, now), now)
        for name in touched:
            self._changed(name, now)
        for name in self._engines.keys() & group.members:
            self._schedule(name)
        self._rearm()

    def _followed(self, name: str, actions: Sequence[Action], now: int) -> Iterable[tuple[str, Action]]:
        group = self._groups.get(name)
        if group is None or not group.is_news(name, actions):
            return super()._followed(name, actions, now)
        together = group.follow(name, actions, now)
        for member in group.touched:
            if member in self._engines:
                self._changed(member, now)
                self._schedule(member)
        return together

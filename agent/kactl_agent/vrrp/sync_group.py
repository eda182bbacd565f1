"""vrrp_sync_group: instances that change their state together (keepalived's rules).

* The group goes MASTER when every member wants it; who has waited long enough is held in BACKUP until then.
* A member at fault takes all to FAULT; when no member is at fault any more, all go to BACKUP.
* A member that goes from MASTER to BACKUP takes all there; with priority 0 when that is because something else removed
  its addresses, so that all of them are back soon.
* A member that is drained drains those that are MASTER with it, so that all of them hand over.
* A member that starts when all others are MASTER already (a reload has added it) is MASTER with them at once.
* A member that as MASTER hears a lower priority makes the others announce their addresses again as well.

The group looks at what its members are, not at what has happened to them, and tells them what to become: `follow`,
called with what a member's engine has returned, brings all of them in line. Pure, as the engines are.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from kactl_agent.vrrp.actions import (
    Action,
    Drain,
    GroupTransition,
    Input,
    LowerPriorityReceived,
    State,
    SyncAnnounce,
    SyncTo,
    TrackerFault,
    Transition,
)
from kactl_agent.vrrp.settings import SyncGroupSettings, VrrpSettings

LOST = frozenset({"address_lost", "route_lost", "rule_lost"})  # causes of transitions


class Member(Protocol):
    """What a group needs of `VrrpInstance`, or of a recorder around it."""

    @property
    def state(self) -> State: ...

    @property
    def wants_master(self) -> bool: ...

    @property
    def faults(self) -> tuple[str, ...]: ...

    @property
    def drained(self) -> Drain | None: ...

    def handle_event(self, event: Input, now: int) -> list[Action]: ...


class _Aspect(NamedTuple):
    """All of a member that a group looks at."""

    state: State
    wants_master: bool
    faults: tuple[str, ...]


class SyncGroup:
    """One group. `members` are the engines by the name of their instance; their settings name the group.

    `told` is what a group of this name with other members has been, as far as anybody knows: INIT when there was none.
    """

    def __init__(self, settings: SyncGroupSettings, members: Mapping[str, Member], told: State = State.INIT) -> None:
        self._settings = settings
        self._members = {name: members[name] for name in settings.members}
        self._fault = f"sync_group {settings.name}"
        # Kept from one call to the next, so that hundreds of members cost no look at each of them for each other's news
        self._aspects: dict[str, _Aspect] = {}
        self._in_state: dict[State, set[str]] = {state: set() for state in State}
        self._wishing: set[str] = set()
        self._faulty: set[str] = set()  # for reasons of their own
        self._held: set[str] = set()  # in FAULT because others are
        for name in self._members:
            self._note(name)
        self._aligned = False
        self.touched: set[str] = set()  # who was told something by the latest `follow`
        self._state = self._common_state() or State.INIT
        self._told = self._state if told is State.INIT else told
        running, masters = len(self._members) - len(self._in_state[State.INIT]), len(self._in_state[State.MASTER])
        self._joining = set(self._in_state[State.INIT]) if masters and masters == running else set()

    @property
    def settings(self) -> SyncGroupSettings:
        return self._settings

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def state(self) -> State:
        """INIT until every member has started; else what all members are."""
        return self._state

    @property
    def told(self) -> State:
        """Where its latest GroupTransition led."""
        return self._told

    @property
    def members(self) -> tuple[str, ...]:
        return self._settings.members

    def is_news(self, name: str, actions: Sequence[Action]) -> bool:
        """Whether `follow` has anything to do: most adverts and timers of a member are nothing to the others."""
        if not self._aligned or self._aspects[name] != _aspect(self._members[name]):
            return True
        return any(isinstance(action, LowerPriorityReceived | Transition) for action in actions)

    def follow(self, name: str, actions: Sequence[Action], now: int) -> list[tuple[str, Action]]:
        """Bring the group in line after the engine of member `name` has returned `actions`.

        Returns all that is to be carried out, in order: those actions, what the other members do, each with the name of
        its instance; behind them a GroupTransition with the name of the group, where its state has changed.
        """
        result = [(name, action) for action in actions]
        self._aligned = True
        self.touched = set()
        self._note(name)
        if any(isinstance(action, LowerPriorityReceived) for action in actions):
            result += self._tell([(other, SyncAnnounce()) for other in self._members if other != name], now)
        # Faults first, then states: a round of each settles it, and a member may be the last to follow
        resign = any(isinstance(action, Transition) and action.cause in LOST for action in actions)
        for _ in range(2 * len(self._members) + 2):
            commands = self._commands(name, resign)
            if not commands:
                break
            result += self._tell(commands, now)
        self._joining &= self._in_state[State.INIT]  # who has started is a member like the others
        transition = self._transition(result)
        if transition is not None:
            result.append((self.name, transition))
        return result

    def release(self, now: int, staying: Container[str] = ()) -> list[tuple[str, Action]]:
        """The group ends (a reload): what it held in FAULT is on its own again, but for members that stay in a group of
        this name. Returns actions as `follow`."""
        leaving = {name: member for name, member in self._members.items() if name not in staying}
        held = [name for name, member in leaving.items() if self._fault in member.faults]
        return self._tell([(name, TrackerFault(self._fault, False)) for name in held], now)

    def _tell(self, commands: Sequence[tuple[str, Input]], now: int) -> list[tuple[str, Action]]:
        told = []
        for name, command in commands:
            told += [(name, action) for action in self._members[name].handle_event(command, now)]
            self.touched.add(name)
            self._note(name)
        return told

    def _note(self, name: str) -> None:
        """Take down what a member is now."""
        aspect = self._aspects[name] = _aspect(self._members[name])
        for state, names in self._in_state.items():
            (names.add if state is aspect.state else names.discard)(name)
        faulty = aspect.state is not State.INIT and any(fault != self._fault for fault in aspect.faults)
        for names, applies in (
            (self._wishing, aspect.wants_master),
            (self._faulty, faulty),
            (self._held, self._fault in aspect.faults),
        ):
            (names.add if applies else names.discard)(name)

    # -- what the members are to become --------------------------------------------------------------------------------

    def _commands(self, first: str, resign: bool) -> list[tuple[str, Input]]:
        """What to tell the members next; nothing when all is in line. `first` goes MASTER before the others."""
        if self._state is not State.INIT and self._in_state[State.INIT]:
            return []  # it is being stopped: the others will be told as well
        if self._faulty or self._held:
            commands = self._fault_commands()
            if commands or self._faulty:
                return commands
        masters, backups = self._in_state[State.MASTER], self._in_state[State.BACKUP]
        if self._wishing and len(masters) + len(self._wishing) == len(self._members):
            order = sorted(self._in_order(self._wishing), key=lambda name: name != first)
            return [(name, SyncTo(State.MASTER, self.name)) for name in order]
        if masters and backups:
            if backups <= self._joining and not any(self._members[name].drained for name in backups):
                return [(name, SyncTo(State.MASTER, self.name)) for name in self._in_order(backups)]
            drained = self._members[first].drained
            if drained is not None:
                return [(name, drained) for name in self._in_order(masters)]
            return [(name, SyncTo(State.BACKUP, self.name, resign)) for name in self._in_order(masters)]
        return []

    def _in_order(self, names: Container[str]) -> list[str]:
        return [name for name in self._members if name in names]

    def _fault_commands(self) -> list[tuple[str, Input]]:
        """A member is held in FAULT while another one is at fault. One that has not started yet remembers it."""
        commands: list[tuple[str, Input]] = []
        at_fault = self._in_order(self._faulty)
        for name in self._members:
            alone = at_fault == [name]
            if at_fault and not alone and name not in self._held:
                others = [other for other in at_fault if other != name]
                detail = f"{', '.join(others)} of its members {'is' if len(others) == 1 else 'are'} at fault"
                commands.append((name, TrackerFault(self._fault, True, detail)))
            elif name in self._held and not at_fault:
                commands.append((name, TrackerFault(self._fault, False)))
        return commands

    # -- the state of the group ----------------------------------------------------------------------------------------

    def _common_state(self) -> State | None:
        return next((state for state, names in self._in_state.items() if len(names) == len(self._members)), None)

    def _transition(self, result: Sequence[tuple[str, Action]]) -> GroupTransition | None:
        new = self._common_state()
        if new is None:
            return None
        self._state = new
        if new is self._told:
            return None
        old, self._told = self._told, new
        causes = [action for _, action in result if isinstance(action, Transition)]
        if not causes:  # they have become so between the group before and this one
            return GroupTransition(self.name, old, new, "reload", "a reload has put the group together anew")
        return GroupTransition(self.name, old, new, causes[0].cause, causes[0].detail)


def joined(instances: Sequence[VrrpSettings], groups: Sequence[SyncGroupSettings]) -> tuple[VrrpSettings, ...]:
    """The instances with the group they belong to. Only for a driver that has the groups: alone, members are held."""
    group_of = {member: group.name for group in groups for member in group.members}
    return tuple(
        msgspec.structs.replace(instance, sync_group=group_of.get(instance.name, "")) for instance in instances
    )


def _aspect(member: Member) -> _Aspect:
    return _Aspect(member.state, member.wants_master, member.faults)

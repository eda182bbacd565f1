"""Virtual servers with their checkers, and the IPVS table they make: the glue between the engines of both.

A reload touches what has changed: a virtual server whose settings are the same is not looked at twice, and a checker
whose settings are the same goes on with all it knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from kactl_agent.checkers.actions import CheckFailed, CheckVerdict, Resume, Suspend
from kactl_agent.checkers.actions import WeightChanged as CheckerWeight
from kactl_agent.checkers.settings import AnyCheckerSettings, keyword_of
from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.ipvs.actions import (
    AddressPresent,
    CheckerFailed,
    CheckerSaid,
    CheckerWeighed,
    PutDestination,
    PutServices,
    RemoveDestination,
    RemoveServices,
    ResumeCheckers,
    ServerRemoved,
    SuspendCheckers,
    WeightOrdered,
)
from kactl_agent.ipvs.marks import Marked, Marks, marks_of
from kactl_agent.ipvs.plan import services_of
from kactl_agent.ipvs.settings import CheckersSettings, MarksSettings, VirtualServerSettings
from kactl_agent.ipvs.virtual_server import CheckerState, VirtualServer
from kactl_agent.runtime.chance import RandomBytes
from kactl_agent.runtime.checks import Checks
from kactl_agent.runtime.configuration import ConfigurationChanges
from kactl_agent.runtime.ipvs_table import IpvsTable
from kactl_agent.vrrp.actions import Action, Input, Report, Shutdown, Startup

Identity = tuple[str, int, int]
Numbers = tuple[tuple[int, ...], ...]
MarkPackets = Callable[[MarksSettings | None, Sequence[Marked]], bool]
_SEEDS_AT_ONCE = 512


class Balanced:
    """A virtual server that runs. `checkers` are the numbers of its checkers, some for each real server."""

    __slots__ = ("checkers", "engine", "identity", "settings")

    def __init__(
        self, identity: Identity, settings: VirtualServerSettings, engine: VirtualServer, checkers: Numbers
    ) -> None:
        self.identity = identity
        self.settings = settings
        self.engine = engine
        self.checkers = checkers


class Listener(Protocol):
    """Hears what is worth telling others."""

    def told(self, settings: VirtualServerSettings, action: Action) -> None:
        """An action of `kactl_agent.ipvs.actions` that is about servers; places in it are those of `settings`."""

    def check_failed(self, balanced: Balanced, server: int, checker: int, action: CheckFailed) -> None: ...

    def reported(self, balanced: Balanced, server: int, checker: int, report: Report) -> None: ...

    def changed(self, identity: Identity) -> None:
        """There is something new to show of it."""

    def work(self) -> None:
        """There are operations for the table."""


class LoadBalancer:
    """`table` holds what is to be in the kernel; who owns it applies it."""

    def __init__(
        self,
        table: IpvsTable,
        make_checks: Callable[[Callable[[int, Action], None], Callable[[int], None]], Checks[Balanced]],
        listener: Listener,
        clock: Callable[[], int],
        has_address: Callable[[bytes], bool],
        mark_packets: MarkPackets,
        random: RandomBytes = os.urandom,
    ) -> None:
        """`mark_packets` is asked before there are services of marks: without marks there are none. `random` decides on
        the delays of checkers."""
        self.table = table
        self.checks = make_checks(self._checker_acts, self._checker_changed)
        self._marks = Marks()
        self._mark_packets = mark_packets
        self._listener = listener
        self._clock = clock
        self._has_address = has_address
        self._random = random
        self._seeds: list[int] = []
        self._balanced: dict[Identity, Balanced] = {}

    def __iter__(self) -> Iterator[Balanced]:
        return iter(self._balanced.values())

    def get(self, identity: Identity) -> Balanced | None:
        return self._balanced.get(identity)

    def order(self, balanced: Balanced, server: int, weight: int | None, reason: str) -> None:
        """An operator's weight for a real server; None: as configuration and checkers say."""
        event = WeightOrdered(server, weight, reason)
        self._perform(balanced, balanced.engine.handle_event(event, self._clock()))
        self._listener.changed(balanced.identity)

    def snapshots(self, balanced: Balanced) -> list[list[CheckerSnapshot]]:
        return [[self.checks.snapshot(number) for number in numbers] for numbers in balanced.checkers]

    # -- start, reload, stop -------------------------------------------------------------------------------------------

    def apply(self, new: CheckersSettings) -> ConfigurationChanges:
        """These virtual servers and no others. Those that end do so first, with what they have to say."""
        wanted = {settings.identity: settings for settings in new.virtual_servers}
        remarked = self._mark(new)
        gone = [identity for identity in self._balanced if identity not in wanted]
        removed = tuple(self._remove(identity) for identity in gone)
        changed: list[str] = []
        added: list[str] = []
        unchanged = 0
        fresh: list[Balanced] = []
        now = self._clock()
        for identity, settings in wanted.items():
            balanced = self._balanced.get(identity)
            if balanced is None:
                added.append(settings.name)
                fresh.append(self._add(identity, settings, now))
            elif balanced.settings is settings or balanced.settings == settings:
                unchanged += 1
                if identity in remarked:
                    self._perform(balanced, [PutServices()])
            else:
                changed.append(settings.name)
                self._change(balanced, settings)
        self.checks.start(number for each in fresh for numbers in each.checkers for number in numbers)
        for balanced in fresh:
            self._check_address(balanced)
        if gone:
            self._listener.work()
        return ConfigurationChanges(removed, tuple(changed), tuple(added), unchanged)

    def _mark(self, new: CheckersSettings) -> set[Identity]:
        """Groups get their marks first. Those whose services are others in consequence."""
        before, self._marks = self._marks, marks_of(new)
        if not self._mark_packets(new.marks, list(self._marks.marked(new.virtual_servers))):
            self._marks = Marks()
        return self._marks.changed(before)

    def stop(self) -> None:
        """Everything is to be gone; with omega that is told."""
        self.checks.close()
        for balanced in self._balanced.values():
            self._perform(balanced, balanced.engine.handle_event(Shutdown(), self._clock()))
        self._balanced.clear()

    def _add(self, identity: Identity, settings: VirtualServerSettings, now: int) -> Balanced:
        """A new virtual server; its checkers are started with those of all others."""
        new = self._new_checker
        checkers = tuple([tuple([new(each) for each in real.checkers]) for real in settings.real_servers])
        balanced = Balanced(identity, settings, VirtualServer(settings, self._states(checkers)), checkers)
        self._balanced[identity] = balanced
        self._find(balanced)
        self._perform(balanced, balanced.engine.handle_event(Startup(), now))
        return balanced

    def _change(self, balanced: Balanced, settings: VirtualServerSettings) -> None:
        """Real servers are the same when address and port are, checkers when all of their settings are."""
        old = balanced.settings
        spare = {
            (real.address, real.port): list(numbers)
            for real, numbers in zip(old.real_servers, balanced.checkers, strict=True)
        }
        suspended = balanced.engine.snapshot().suspended
        fresh: list[int] = []
        checkers: list[tuple[int, ...]] = []
        for real in settings.real_servers:
            known = spare.get((real.address, real.port), [])
            numbers: list[int] = []
            for wanted in real.checkers:
                same = next((number for number in known if self.checks.settings(number) == wanted), None)
                if same is None:
                    same = self._new_checker(wanted)
                    fresh.append(same)
                else:
                    known.remove(same)
                numbers.append(same)
            checkers.append(tuple(numbers))
        unused = [number for numbers in spare.values() for number in numbers]
        self.checks.remove(unused)
        balanced.settings, balanced.checkers = settings, tuple(checkers)
        self._find(balanced)
        actions = balanced.engine.reconfigure(settings, self._states(balanced.checkers))
        self._perform(balanced, actions, before=old)
        self.checks.start(fresh)
        self._check_address(balanced)
        if suspended and balanced.engine.snapshot().suspended:
            for number in fresh:
                self.checks.tell(number, Suspend())
        self._listener.changed(balanced.identity)

    def _remove(self, identity: Identity) -> str:
        """Its name, for what there is to say."""
        balanced = self._balanced.pop(identity)
        for numbers in balanced.checkers:
            self.checks.remove(numbers)
        self._perform(balanced, balanced.engine.removed())
        self._listener.changed(identity)
        return balanced.settings.name

    def _new_checker(self, settings: AnyCheckerSettings) -> int:
        if not self._seeds:  # a system call for hundreds of checkers, not for each
            drawn = self._random(8 * _SEEDS_AT_ONCE)
            self._seeds = [int.from_bytes(drawn[at : at + 8], "big") >> 1 for at in range(0, len(drawn), 8)]
        return self.checks.add(settings, self._seeds.pop())

    def _states(self, checkers: Numbers) -> list[tuple[CheckerState, ...]]:
        """The same where real servers begin alike, as most do."""
        known: dict[tuple[CheckerState, ...], tuple[CheckerState, ...]] = {}
        found = [tuple([self.checks.state(number) for number in numbers]) for numbers in checkers]
        return [known.setdefault(states, states) for states in found]

    def _find(self, balanced: Balanced) -> None:
        for server, numbers in enumerate(balanced.checkers):
            for number in numbers:
                self.checks.belongs(number, balanced, server)

    # -- checkers ------------------------------------------------------------------------------------------------------

    def _checker_acts(self, number: int, action: Action) -> None:
        owner = self.checks.owner(number)
        if owner is None:
            return
        balanced, server = owner
        checker = balanced.checkers[server].index(number)
        event: Input
        match action:
            case CheckVerdict():
                keyword = keyword_of(self.checks.settings(number))
                event = CheckerSaid(server, checker, action.up, keyword, action.detail)
            case CheckerWeight():
                event = CheckerWeighed(server, checker, action.weight, action.difference)
            case CheckFailed():
                self._listener.check_failed(balanced, server, checker, action)
                if action.retries_left:
                    return
                keyword = keyword_of(self.checks.settings(number))
                event = CheckerFailed(server, checker, keyword, action.detail)
            case Report():
                self._listener.reported(balanced, server, checker, action)
                return
            case _:
                return
        self._perform(balanced, balanced.engine.handle_event(event, self._clock()))

    def _checker_changed(self, number: int) -> None:
        owner = self.checks.owner(number)
        if owner is not None:
            self._listener.changed(owner[0].identity)

    # -- addresses -----------------------------------------------------------------------------------------------------

    def addresses_changed(self) -> None:
        """Addresses of the machine have: those with ha_suspend look for theirs."""
        for balanced in self._balanced.values():
            self._check_address(balanced)

    def _check_address(self, balanced: Balanced) -> None:
        settings = balanced.settings
        if not settings.ha_suspend or not settings.members or not settings.members[0].first:
            return
        event = AddressPresent(self._has_address(settings.members[0].first))
        self._perform(balanced, balanced.engine.handle_event(event, self._clock()))

    # -- what engines want ---------------------------------------------------------------------------------------------

    def _perform(
        self, balanced: Balanced, actions: Sequence[Action], before: VirtualServerSettings | None = None
    ) -> None:
        """`before` are the settings that a reload has replaced: what was removed is of those."""
        identity = balanced.identity
        touched = False
        for action in actions:
            match action:
                case PutServices():
                    self.table.put_services(identity, self._marks.services(balanced.settings, services_of))
                    touched = True
                case RemoveServices():
                    self.table.remove_services(identity)
                    touched = True
                case PutDestination():
                    self.table.put_destination(identity, action.destination)
                    touched = True
                case RemoveDestination():
                    self.table.remove_destination(identity, action.key)
                    touched = True
                case SuspendCheckers() | ResumeCheckers():
                    event = Suspend() if isinstance(action, SuspendCheckers) else Resume()
                    for numbers in balanced.checkers:
                        for number in numbers:
                            self.checks.tell(number, event)
                    self._listener.told(balanced.settings, action)
                case _:
                    removed = before is not None and isinstance(action, ServerRemoved)
                    self._listener.told(before if removed and before else balanced.settings, action)
        if actions:
            self._listener.changed(identity)
        if touched:
            self._listener.work()

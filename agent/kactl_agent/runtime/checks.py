"""Runs checkers by their number: their engines, and what those want done: exchanges, programs, files, BFD sessions."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, Protocol, TypeVar

from kactl_agent.checkers.actions import AbortCheck, CheckEnded, CheckLost, StartCheck
from kactl_agent.checkers.exchanges import NetworkCheckSettings, make_checker
from kactl_agent.checkers.schedule import Checker
from kactl_agent.checkers.settings import AnyCheckerSettings, BfdCheckSettings, FileCheckSettings, MiscCheckSettings
from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.ipvs.virtual_server import CheckerState
from kactl_agent.kernel.inotify import Inotify
from kactl_agent.runtime.driver import KeyedDriver
from kactl_agent.runtime.tracked_files import TrackedFiles, read
from kactl_agent.tracking.actions import FileContent, SessionState
from kactl_agent.vrrp.actions import Action, ActionFailed, Input, Report, Shutdown, Startup

_BUDGET = 4_000_000  # ns that new checks take from the loop in one go
_AT_ONCE = 8  # checks between looks at the clock, which costs a system call on some machines
OwnerT = TypeVar("OwnerT")
Outcome = CheckEnded | CheckLost
Said = Callable[[int, Action], None]


class Running(Protocol):
    """A check that is under way."""

    def abort(self) -> None: ...


class Prober(Protocol):
    """Makes checks over the network: `kactl_agent.runtime.probe.ProbeShell`."""

    def start(self, settings: NetworkCheckSettings, step: int, done: Callable[[Outcome], None]) -> Running: ...


class ProgramRunner(Protocol):
    """Makes checks by programs: `kactl_agent.runtime.misc_runs.MiscRuns`."""

    def start(self, settings: MiscCheckSettings, done: Callable[[Outcome], None]) -> Running: ...


class _Check(Generic[OwnerT]):
    """A checker, whose it is, and the check that it has under way."""

    __slots__ = ("engine", "owner", "running", "server", "settings", "started")

    def __init__(self, settings: AnyCheckerSettings, engine: Checker) -> None:
        self.settings = settings
        self.engine = engine
        self.owner: OwnerT | None = None
        self.server = 0
        self.running: Running | None = None
        self.started = False


class Checks(Generic[OwnerT]):
    """`said` is told what engines say of their real servers; `changed` that one has something new to show.

    Whose a checker is is kept for who asks (`belongs`, `owner`); it means nothing here.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], int],
        arm: Callable[[int | None], None],
        prober: Prober,
        programs: ProgramRunner,
        open_inotify: Callable[[], Inotify],
        report: Callable[[Report], None],
        said: Said,
        changed: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._prober = prober
        self._programs = programs
        self._said = said
        self._changed = changed
        self.driver = KeyedDriver[int, Checker](clock, self._perform, arm, lambda number, _now: self._changed(number))
        self._checks: dict[int, _Check[OwnerT]] = {}
        self._last = 0
        self._due: deque[tuple[int, int]] = deque()  # checks that are to begin: number and step
        self._beginning = False
        self._files = TrackedFiles(loop, open_inotify, self._file_changed, report)
        self._followers: dict[str, set[int]] = {}  # file -> FILE_CHECKs
        self._listeners: dict[str, set[int]] = {}  # BFD session -> BFD_CHECKs
        self._sessions: dict[str, SessionState] = {}
        self._telling = False

    # -- which there are -----------------------------------------------------------------------------------------------

    def add(self, settings: AnyCheckerSettings, seed: int) -> int:
        """A new checker, which does not run yet; its number."""
        self._last += 1
        number = self._last
        engine = make_checker(settings, seed)
        if isinstance(settings, FileCheckSettings):
            self._followers.setdefault(settings.file.path, set()).add(number)
            engine.handle_event(read(settings.file.path), self._clock())
        elif isinstance(settings, BfdCheckSettings):
            self._listeners.setdefault(settings.name, set()).add(number)
            known = self._sessions.get(settings.name)
            if known is not None:
                engine.handle_event(known, self._clock())
        self._checks[number] = _Check(settings, engine)
        return number

    def belongs(self, number: int, owner: OwnerT, server: int) -> None:
        """To a real server of the owner's."""
        check = self._checks[number]
        check.owner, check.server = owner, server

    def owner(self, number: int) -> tuple[OwnerT, int] | None:
        """Whose it is, and which real server's; None when it is nobody's, or there is none of this number."""
        check = self._checks.get(number)
        return None if check is None or check.owner is None else (check.owner, check.server)

    def start(self, numbers: Iterable[int]) -> None:
        """Their real servers are being balanced: they may check."""
        now = self._clock()  # once: thousands start together
        for number in numbers:
            check = self._checks[number]
            check.started = True
            check.engine.handle_event(Startup(), now)  # it wants nothing done before its time has come
            self.driver.add(number, check.engine)
        if self._followers:
            self._files.track(self._followers)

    def remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            check = self._checks[number]
            if check.running is not None:
                check.running.abort()
                check.running = None
            check.engine.handle_event(Shutdown(), self._clock())
            if check.started:
                self.driver.remove(number)
            del self._checks[number]
            settings = check.settings
            if isinstance(settings, FileCheckSettings):
                self._forget(self._followers, settings.file.path, number)
            elif isinstance(settings, BfdCheckSettings):
                self._forget(self._listeners, settings.name, number)
        self._files.track(self._followers)

    def close(self) -> None:
        self.remove(list(self._checks))

    @staticmethod
    def _forget(owners: dict[str, set[int]], name: str, number: int) -> None:
        owners[name].discard(number)
        if not owners[name]:
            del owners[name]

    # -- what they are -------------------------------------------------------------------------------------------------

    def settings(self, number: int) -> AnyCheckerSettings:
        return self._checks[number].settings

    def snapshot(self, number: int) -> CheckerSnapshot:
        return self._checks[number].engine.snapshot()

    def state(self, number: int) -> CheckerState:
        check = self._checks[number]
        if not check.started and not isinstance(check.settings, FileCheckSettings):
            return CheckerState(check.engine.up)  # it has not said anything yet: thousands begin at a time
        snapshot = check.engine.snapshot()
        return CheckerState(snapshot.up, snapshot.weight, snapshot.difference)

    # -- what they are told --------------------------------------------------------------------------------------------

    def tell(self, number: int, event: Input) -> None:
        """Nothing for FILE_CHECK and BFD_CHECK, which hear of what they follow alone, nor for those not started."""
        check = self._checks[number]
        if check.started and not isinstance(check.settings, FileCheckSettings | BfdCheckSettings):
            self.driver.tell(number, event)

    def session(self, name: str, up: bool) -> None:
        """What a BFD session says, again where it has said so before."""
        state = self._sessions[name] = SessionState(up)
        for number in sorted(self._listeners.get(name, ())):
            if self._checks[number].started:
                self.driver.tell(number, state)

    def session_gone(self, name: str) -> None:
        """There is no such session any more: what it said is not what another one of its name will say."""
        self._sessions.pop(name, None)

    def retry(self) -> None:
        """To be called every second: files that no directory tells about."""
        self._files.retry()

    def _file_changed(self, path: str, content: FileContent) -> None:
        for number in sorted(self._followers.get(path, ())):
            if self._checks[number].started:
                self.driver.tell(number, content)

    # -- what they want done -------------------------------------------------------------------------------------------

    def _perform(self, number: int, action: Action, _now: int) -> ActionFailed | None:
        match action:
            case StartCheck():
                self._due.append((number, action.step))
                self._begin_soon()
            case AbortCheck():
                check = self._checks[number]
                if check.running is not None:
                    check.running.abort()
                    check.running = None
            case _:
                self._said(number, action)
        return None

    def run_due(self) -> None:
        """The armed time has come. Checks that are due begin here and now, without another turn of the loop."""
        self._beginning = True
        self.driver.run_due()
        self._begin()

    def _begin_soon(self) -> None:
        if not self._beginning:
            self._beginning = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        """Thousands may be due at once: the loop sees to others in between."""
        self._beginning = False
        if not self._due:
            return
        until = time.monotonic_ns() + _BUDGET
        begun = 0
        while self._due:
            begun += 1
            number, step = self._due.popleft()
            check = self._checks.get(number)
            if check is None or check.running is not None:
                continue  # it is gone
            done = partial(self._ended, number)
            settings = check.settings
            if isinstance(settings, MiscCheckSettings):
                check.running = self._programs.start(settings, done)
            elif not isinstance(settings, FileCheckSettings | BfdCheckSettings):
                check.running = self._prober.start(settings, step, done)
            if begun % _AT_ONCE == 0 and self._due and time.monotonic_ns() > until:
                self._begin_soon()
                return

    def _ended(self, number: int, outcome: Outcome) -> None:
        check = self._checks.get(number)
        if check is not None:
            check.running = None
            self.driver.tell(number, outcome)

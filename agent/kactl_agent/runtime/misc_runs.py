"""Runs the programs of MISC_CHECK through the spawner, and ends those that take too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.misc import MiscRun
from kactl_agent.checkers.settings import MiscCheckSettings
from kactl_agent.runtime.trackers import Runner
from kactl_agent.tracking.actions import ScriptEnded, ScriptLost, ScriptStarted, SignalScript, StartScript
from kactl_agent.vrrp.actions import ActionFailed, Input

Done = Callable[[CheckEnded | CheckLost], None]


class _Run:
    """`kactl_agent.runtime.scripts.RunListener`"""

    def __init__(self, owner: MiscRuns, settings: MiscCheckSettings, done: Done) -> None:
        self._owner = owner
        self._engine = MiscRun(settings)
        self._done: Done | None = done
        self._timer: asyncio.TimerHandle | None = None
        self.number = 0

    def abort(self) -> None:
        """Nobody wants its outcome any more."""
        self._done = None
        self._signal(self._engine.abort(self._owner.clock()))

    def started(self) -> None:
        self._tell(ScriptStarted())

    def ended(self, status: int) -> None:
        self._tell(ScriptEnded(status))

    def not_started(self, reason: str) -> None:
        self._tell(ActionFailed(StartScript.__name__, reason))

    def lost(self) -> None:
        self._tell(ScriptLost())

    def _tell(self, event: Input) -> None:
        self._signal(self._engine.handle_event(event, self._owner.clock()))

    def _expired(self) -> None:
        self._timer = None
        self._signal(self._engine.handle_timer(self._owner.clock()))

    def _signal(self, signals: Sequence[SignalScript]) -> None:
        for each in signals:
            self._owner.runner.signal(self.number, each.signal)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._engine.deadline()
        if deadline is not None:
            delay = max(0, deadline - self._owner.clock()) / 1e9
            self._timer = self._owner.loop.call_later(delay, self._expired)
        if self._engine.outcome is not None and self._done is not None:
            done, self._done = self._done, None
            done(self._engine.outcome)


class MiscRuns:
    """`done` of each run is called once, later, unless it is aborted."""

    def __init__(self, loop: asyncio.AbstractEventLoop, runner: Runner, clock: Callable[[], int]) -> None:
        self.loop = loop
        self.runner = runner
        self.clock = clock

    def start(self, settings: MiscCheckSettings, done: Done) -> _Run:
        run = _Run(self, settings, done)
        if settings.executable is None:
            self.loop.call_soon(run.not_started, "there is no such program, or it must not be run")
            return run
        try:
            run.number = self.runner.run(settings.executable, run)
        except ValueError as error:
            self.loop.call_soon(run.not_started, str(error))
        return run

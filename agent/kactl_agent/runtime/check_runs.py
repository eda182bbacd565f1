"""Checks that an operator asks for: made at once, beside those of the schedule, with everything that was seen.

They change nothing: what a checker says of its real server is decided by its own checks alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.exchanges import NetworkCheckSettings
from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    BfdCheckSettings,
    FileCheckSettings,
    HttpCheckSettings,
    MiscCheckSettings,
    keyword_of,
)
from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.ipvs.finding import NotFound, find_real_server, find_virtual_server, real_server_name
from kactl_agent.ipvs.settings import VirtualServerSettings
from kactl_agent.runtime.check_run_frames import CheckRunReport, RunCheck
from kactl_agent.runtime.checks import Outcome, ProgramRunner, Running

MOST_AT_ONCE = 64
"""Checks that operators have under way."""

_MOST_LINES = 100


class Prober(Protocol):
    """`kactl_agent.runtime.probe.ProbeShell`"""

    def start(
        self,
        settings: NetworkCheckSettings,
        step: int,
        done: Callable[[Outcome], None],
        trace: Callable[[str], None] | None = None,
    ) -> Running: ...


class Balanced(Protocol):
    """A virtual server that runs (`kactl_agent.runtime.load_balancer.Balanced`)."""

    settings: VirtualServerSettings


B = TypeVar("B", bound=Balanced)


class Balancer(Protocol[B]):
    """`kactl_agent.runtime.load_balancer.LoadBalancer`"""

    def __iter__(self) -> Iterator[B]: ...

    def snapshots(self, balanced: B) -> Sequence[Sequence[CheckerSnapshot]]:
        """Those of the checkers of each real server, in the order of its settings."""


class CheckRuns(Generic[B]):
    """`answer` sends a report."""

    def __init__(
        self,
        balancer: Balancer[B],
        prober: Prober,
        programs: ProgramRunner,
        answer: Callable[[CheckRunReport], None],
        clock: Callable[[], int],
    ) -> None:
        self._balancer = balancer
        self._prober = prober
        self._programs = programs
        self._answer = answer
        self._clock = clock
        self._under_way = 0

    def run(self, request: RunCheck) -> None:
        """There is one report for each checker, or one that says why there is none."""
        known = {balanced.settings.identity: balanced for balanced in self._balancer}
        try:
            server = find_virtual_server([each.settings for each in known.values()], request.virtual_server)
            place = find_real_server(server, request.real_server)
        except NotFound as fault:
            self._refuse(request, str(fault))
            return
        real = server.real_servers[place]
        snapshots = self._balancer.snapshots(known[server.identity])[place]
        wanted = [
            (settings, snapshot)
            for settings, snapshot in zip(real.checkers, snapshots, strict=False)
            if request.checker in ("", keyword_of(settings))
        ]
        if not wanted:
            what = f"no {request.checker}" if request.checker else "no checker"
            self._refuse(request, f"real server {real_server_name(real)} of {server.name} has {what}")
        elif self._under_way + len(wanted) > MOST_AT_ONCE:
            self._refuse(request, f"{self._under_way} checks are under way already: try again")
        else:
            for order, (settings, snapshot) in enumerate(wanted):
                report = CheckRunReport(
                    serial=request.serial,
                    order=order,
                    total=len(wanted),
                    virtual_server=server.name,
                    real_server=real_server_name(real),
                    checker=keyword_of(settings),
                    up=snapshot.up,
                    detail=snapshot.last_result,
                )
                self._begin(report, settings)

    def _refuse(self, request: RunCheck, reason: str) -> None:
        self._answer(CheckRunReport(serial=request.serial, error=reason))

    def _begin(self, report: CheckRunReport, settings: AnyCheckerSettings) -> None:
        if isinstance(settings, FileCheckSettings | BfdCheckSettings):
            self._answer(report)
            return
        self._under_way += 1
        run = _Run(report, self._clock())
        if isinstance(settings, MiscCheckSettings):
            run.trace.append(" ".join(settings.command.arguments))
            self._programs.start(settings, partial(self._ended, run))
        else:
            self._step(run, settings, 0)

    def _step(self, run: _Run, settings: NetworkCheckSettings, step: int) -> None:
        """One url after the other, as long as they are right."""

        def done(outcome: Outcome) -> None:
            more = isinstance(settings, HttpCheckSettings) and step + 1 < len(settings.urls)
            if more and isinstance(outcome, CheckEnded) and outcome.success:
                self._step(run, settings, step + 1)
            else:
                self._ended(run, outcome)

        self._prober.start(settings, step, done, run.note)

    def _ended(self, run: _Run, outcome: Outcome) -> None:
        self._under_way -= 1
        detail, success = "what was to run it is not there: try again", False
        if isinstance(outcome, CheckEnded):
            detail, success = outcome.detail, outcome.success
            if outcome.warning:
                run.note(f"warning: {outcome.warning}")
        elif outcome.reason:
            detail = outcome.reason
        self._answer(run.report(success, detail, self._clock()))


class _Run:
    """A check under way, and what it has seen."""

    def __init__(self, report: CheckRunReport, began: int) -> None:
        self._report = report
        self._began = began
        self.trace: list[str] = []

    def note(self, line: str) -> None:
        if len(self.trace) < _MOST_LINES:
            self.trace.append(line)
        elif len(self.trace) == _MOST_LINES:
            self.trace.append("...")

    def report(self, success: bool, detail: str, now: int) -> CheckRunReport:
        it = self._report
        return CheckRunReport(
            serial=it.serial,
            order=it.order,
            total=it.total,
            virtual_server=it.virtual_server,
            real_server=it.real_server,
            checker=it.checker,
            up=it.up,
            success=success,
            detail=detail,
            trace=tuple(self.trace),
            duration=now - self._began,
        )

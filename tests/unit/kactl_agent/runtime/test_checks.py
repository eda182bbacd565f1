"""Checkers by their number: engines, what they want done, files and sessions that they follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from kactl_agent.checkers.actions import CheckEnded, CheckVerdict, Suspend, WeightChanged
from kactl_agent.checkers.exchanges import NetworkCheckSettings
from kactl_agent.checkers.settings import (
    BfdCheckSettings,
    CheckTiming,
    ConnectTarget,
    FileCheckSettings,
    MiscCheckSettings,
    TcpCheckSettings,
)
from kactl_agent.kernel.inotify import Inotify
from kactl_agent.runtime.checks import Checks, Outcome
from kactl_agent.tracking.settings import Command, FileSettings
from kactl_agent.vrrp.actions import Action, Report

SECOND = 1_000_000_000
TIMING = CheckTiming(delay_loop=3 * SECOND, delay_while_down=3 * SECOND, retry=0)
TCP = TcpCheckSettings(timing=TIMING, target=ConnectTarget(address="192.0.2.1", port=80))
MISC = MiscCheckSettings(timing=TIMING, command=Command(("/x",)), timeout=SECOND)


class Running:
    def __init__(self, done: Callable[[Outcome], None]) -> None:
        self.done = done
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Prober:
    """Keeps what it is asked for."""

    def __init__(self) -> None:
        self.running: list[Running] = []
        self.asked: list[NetworkCheckSettings] = []

    def start(self, settings: NetworkCheckSettings, step: int, done: Callable[[Outcome], None]) -> Running:
        self.asked.append(settings)
        self.running.append(Running(done))
        return self.running[-1]


class Programs:
    def __init__(self) -> None:
        self.running: list[Running] = []

    def start(self, settings: MiscCheckSettings, done: Callable[[Outcome], None]) -> Running:
        self.running.append(Running(done))
        return self.running[-1]


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.now = 0
        self.armed: int | None = None
        self.prober, self.programs = Prober(), Programs()
        self.said: list[tuple[int, Action]] = []
        self.reports: list[Report] = []
        self.changed: list[int] = []
        self.checks = Checks[str](
            self.loop, lambda: self.now, self._arm, self.prober, self.programs, Inotify, self.reports.append,
            lambda number, action: self.said.append((number, action)), self.changed.append,
        )  # fmt: skip

    def _arm(self, deadline: int | None) -> None:
        self.armed = deadline

    def advance(self) -> None:
        """To the armed time."""
        assert self.armed is not None
        self.now, self.armed = self.armed, None  # a timer that has fired is not armed any more
        self.checks.run_due()

    def turn(self, seconds: float = 0.0) -> None:
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.checks.close()
    made.loop.close()


def test_whose_a_checker_is(bench: Bench) -> None:
    number = bench.checks.add(TCP, seed=1)
    assert bench.checks.owner(number) is None
    bench.checks.belongs(number, "web", 3)
    assert bench.checks.owner(number) == ("web", 3)
    bench.checks.belongs(number, "web", 0)
    assert bench.checks.owner(number) == ("web", 0)
    bench.checks.remove([number])
    assert bench.checks.owner(number) is None


def test_checks_that_are_due_together_begin_in_their_order(bench: Bench) -> None:
    settings = [msgspec.structs.replace(TCP, target=ConnectTarget(address=f"10.0.0.{each}")) for each in range(12)]
    bench.checks.start([bench.checks.add(each, seed=1) for each in settings])
    bench.advance()
    bench.turn(0.01)
    assert bench.prober.asked == settings


def test_a_check_begins_when_it_is_due_and_ends_with_its_verdict(bench: Bench) -> None:
    number = bench.checks.add(TCP, seed=1)
    assert bench.armed is None, "it does not run yet"
    bench.checks.start([number])
    assert bench.armed == SECOND
    bench.advance()
    (check,) = bench.prober.running
    check.done(CheckEnded(False, "refused"))
    assert bench.said == [(number, CheckVerdict(False, "refused", 1))]
    assert not bench.checks.state(number).up
    assert number in bench.changed
    bench.advance()
    assert len(bench.prober.running) == 2


def test_programs_are_run_by_those_who_can(bench: Bench) -> None:
    number = bench.checks.add(MISC, seed=1)
    bench.checks.start([number])
    bench.advance()
    bench.programs.running[0].done(CheckEnded(True, "", weight=4))
    assert bench.said == [(number, WeightChanged(weight=4))]
    assert bench.checks.state(number).weight == 4


def test_many_that_are_due_at_once_begin_in_slices(bench: Bench) -> None:
    numbers = [bench.checks.add(TCP, seed) for seed in range(500)]
    bench.checks.start(numbers)
    bench.advance()
    for _ in range(500):
        if len(bench.prober.running) == 500:
            break
        bench.turn()
    assert len(bench.prober.running) == 500


def test_a_checker_that_goes_leaves_its_check(bench: Bench) -> None:
    number = bench.checks.add(TCP, seed=1)
    bench.checks.start([number])
    bench.advance()
    bench.checks.remove([number])
    (check,) = bench.prober.running
    assert check.aborted
    check.done(CheckEnded(False, "late"))
    assert bench.said == []
    assert bench.armed is None


def test_a_suspended_checker_leaves_its_check(bench: Bench) -> None:
    number = bench.checks.add(TCP, seed=1)
    bench.checks.start([number])
    bench.advance()
    bench.checks.tell(number, Suspend())
    assert bench.prober.running[0].aborted
    assert bench.armed is None


def test_files_are_followed(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("3\n")
    settings = FileCheckSettings(timing=TIMING, file=FileSettings(name="f", path=str(path)), weight=2)
    number = bench.checks.add(settings, seed=1)
    assert bench.checks.state(number).difference == 6, "before it starts"
    bench.checks.start([number])
    path.write_text("5\n")
    for _ in range(50):
        bench.turn(0.02)
        if bench.said:
            break
    assert bench.said == [(number, WeightChanged(difference=10))]
    assert bench.prober.running == bench.programs.running == []


def test_sessions_are_followed(bench: Bench) -> None:
    bench.checks.session("b1", up=False)
    number = bench.checks.add(BfdCheckSettings(timing=TIMING, name="b1"), seed=1)
    assert not bench.checks.state(number).up, "what was said before counts"
    bench.checks.start([number])
    bench.checks.session("b2", up=True)
    bench.checks.session("b1", up=True)
    assert bench.said == [(number, CheckVerdict(True, "BFD session b1 is up", 0))]
    bench.checks.remove([number])
    bench.checks.session("b1", up=False)
    assert len(bench.said) == 1

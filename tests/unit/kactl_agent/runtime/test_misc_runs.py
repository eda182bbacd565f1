"""Programs of MISC_CHECK: their outcomes, and the end of those that take too long or are not wanted any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.settings import CheckTiming, MiscCheckSettings
from kactl_agent.runtime.misc_runs import MiscRuns
from kactl_agent.runtime.scripts import RunListener
from kactl_agent.tracking.settings import Command, Executable
from kactl_agent.vrrp.settings import SECOND

PROGRAM = Executable(("/bin/check",), 0, 0)


class FakeRunner:
    """The spawner's client in memory."""

    def __init__(self) -> None:
        self.listeners: list[RunListener] = []
        self.signals: list[tuple[int, int]] = []
        self.refuses = False

    def run(self, executable: Executable, listener: RunListener) -> int:
        if self.refuses:
            raise ValueError("the command line is too long")
        self.listeners.append(listener)
        return len(self.listeners)

    def signal(self, run: int, number: int) -> None:
        self.signals.append((run, number))


class World:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.runner = FakeRunner()
        self.runs = MiscRuns(self.loop, self.runner, time.monotonic_ns)
        self.outcomes: list[CheckEnded | CheckLost] = []

    def settings(self, timeout: int = SECOND, executable: Executable | None = PROGRAM) -> MiscCheckSettings:
        command = Command(("/bin/check",))
        return MiscCheckSettings(
            timing=CheckTiming(), command=command, timeout=timeout, dynamic=True, executable=executable
        )

    def spin(self, seconds: float = 0.0) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def test_an_exit_status_is_the_outcome(world: World) -> None:
    world.runs.start(world.settings(), world.outcomes.append)
    world.runner.listeners[0].started()
    assert world.outcomes == []
    world.runner.listeners[0].ended(7)
    (outcome,) = world.outcomes
    assert isinstance(outcome, CheckEnded)
    assert (outcome.success, outcome.weight) == (True, 5)


def test_one_that_takes_too_long_has_failed_and_is_ended(world: World) -> None:
    world.runs.start(world.settings(SECOND // 50), world.outcomes.append)
    world.runner.listeners[0].started()
    end = time.monotonic() + 20
    while not world.runner.signals and time.monotonic() < end:
        world.spin(0.01)
    assert world.runner.signals == [(1, 15)]
    assert world.outcomes == []  # the next one must not begin beside it
    world.runner.listeners[0].ended(-15)
    (outcome,) = world.outcomes
    assert isinstance(outcome, CheckEnded)
    assert not outcome.success
    assert "timed out" in outcome.detail


def test_nobody_hears_of_one_that_is_not_wanted(world: World) -> None:
    run = world.runs.start(world.settings(), world.outcomes.append)
    world.runner.listeners[0].started()
    run.abort()
    assert world.runner.signals == [(1, 15)]
    world.runner.listeners[0].ended(-15)
    assert world.outcomes == []


def test_a_spawner_that_has_ended_is_no_verdict(world: World) -> None:
    world.runs.start(world.settings(), world.outcomes.append)
    world.runner.listeners[0].lost()
    assert [type(outcome) for outcome in world.outcomes] == [CheckLost]


@pytest.mark.parametrize("refuses", [True, False])
def test_what_cannot_be_run_fails_later(world: World, refuses: bool) -> None:
    world.runner.refuses = refuses
    world.runs.start(world.settings(executable=PROGRAM if refuses else None), world.outcomes.append)
    assert world.outcomes == []
    world.spin()
    (outcome,) = world.outcomes
    assert isinstance(outcome, CheckEnded)
    assert not outcome.success

"""Programs of MISC_CHECK in a real loop, with a runner that does as it is told."""

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

TRUE = Executable(("/bin/true",), 0, 0)


class Runner:
    """`kactl_agent.runtime.scripts.ScriptRunner`, without processes."""

    def __init__(self) -> None:
        self.runs: dict[int, RunListener] = {}
        self.signals: list[tuple[int, int]] = []
        self.refusal = ""

    def run(self, executable: Executable, listener: RunListener) -> int:
        if self.refusal:
            raise ValueError(self.refusal)
        number = len(self.runs) + 1
        self.runs[number] = listener
        return number

    def signal(self, run: int, number: int) -> None:
        self.signals.append((run, number))


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.runner = Runner()
        self.programs = MiscRuns(self.loop, self.runner, time.monotonic_ns)
        self.outcomes: list[CheckEnded | CheckLost] = []

    def turn(self, seconds: float = 0.0) -> None:
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.close()


def settings(executable: Executable | None = TRUE, timeout: float = 5, *, dynamic: bool = False) -> MiscCheckSettings:
    return MiscCheckSettings(
        timing=CheckTiming(),
        command=Command(("/bin/true",)),
        timeout=int(timeout * 1e9),
        executable=executable,
        dynamic=dynamic,
    )


def test_a_run_and_its_outcome(bench: Bench) -> None:
    bench.programs.start(settings(dynamic=True), bench.outcomes.append)
    listener = bench.runner.runs[1]
    listener.started()
    assert bench.outcomes == []
    listener.ended(12)
    assert bench.outcomes == [CheckEnded(True, "exited with status 12: weight 10", weight=10)]
    bench.turn()
    assert bench.runner.signals == []


def test_a_run_that_takes_too_long_is_ended(bench: Bench) -> None:
    bench.programs.start(settings(timeout=0.05), bench.outcomes.append)
    listener = bench.runner.runs[1]
    listener.started()
    bench.turn(0.2)
    assert bench.runner.signals == [(1, 15)]
    assert bench.outcomes == []
    listener.ended(-15)
    assert bench.outcomes == [CheckEnded(False, "timed out after 0 s")]


def test_a_run_that_nobody_wants_is_ended_and_not_heard_of(bench: Bench) -> None:
    run = bench.programs.start(settings(), bench.outcomes.append)
    bench.runner.runs[1].started()
    run.abort()
    bench.runner.runs[1].ended(0)
    bench.turn()
    assert bench.runner.signals == [(1, 15)]
    assert bench.outcomes == []


def test_without_the_spawner_there_is_no_result(bench: Bench) -> None:
    bench.programs.start(settings(), bench.outcomes.append)
    bench.runner.runs[1].lost()
    assert bench.outcomes == [CheckLost()]


@pytest.mark.parametrize(
    ("executable", "refusal", "said"),
    [
        (None, "", "could not be run: there is no such program, or it must not be run"),
        (TRUE, "the command line is too long", "could not be run: the command line is too long"),
    ],
)
def test_what_cannot_be_run_fails_later(bench: Bench, executable: Executable | None, refusal: str, said: str) -> None:
    bench.runner.refusal = refusal
    bench.programs.start(settings(executable), bench.outcomes.append)
    assert bench.outcomes == [], "never from within start"
    bench.turn()
    assert bench.outcomes == [CheckEnded(False, said)]


def test_a_program_that_cannot_be_started_has_failed(bench: Bench) -> None:
    bench.programs.start(settings(), bench.outcomes.append)
    bench.runner.runs[1].not_started("Permission denied")
    assert bench.outcomes == [CheckEnded(False, "could not be run: Permission denied")]

"""Workers that are real processes with nothing to do, and a host that writes down what it hears."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.drain_frames import DrainOrder
from kactl_agent.runtime.ipc import Edge, EdgeClosed
from kactl_agent.supervisor.children import Child, Worker, fork_child
from kactl_agent.supervisor.fleet import OBSERVER, Fleet
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.spawning import Spawning
from kactl_agent.supervisor.worker_kinds import WORKERS, Run
from support.full import no_room

OLD = AgentConfiguration(revision="old", file="f")
NEW = AgentConfiguration(revision="new", file="f", checkers=b"x")
BROKEN = AgentConfiguration(revision="broken", file="f", checkers=b"x")


class FullSpawning(Spawning):
    """There may be no room for a socket to it."""

    room = True

    def connect(self, worker: Worker) -> None:
        if not self.room:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class Bench:
    """The host of a fleet."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.spawning = FullSpawning(self.poller, lambda how: False)
        options = Options(config=Path("/nowhere"))
        self.fleet = Fleet(self, self.poller, options, self.spawning, lambda name: [], self.prepare)
        self.current: AgentConfiguration | None = OLD
        self.begun: list[tuple[str, str]] = []
        self.heard: list[tuple[str, frames.AnyFrame]] = []
        self.ends: list[tuple[str, int]] = []
        self.logged: list[str] = []
        self.respawns = True
        self.asked = 0  # how often it was asked with what to start

    @staticmethod
    def prepare(name: str, options: Options, configuration: AgentConfiguration, drains: tuple[DrainOrder, ...]) -> Run:
        if configuration.revision == BROKEN.revision:
            raise ImportError("half an installation")
        return lambda supervisor, observer: live(supervisor, configuration.revision)

    def observe(self, supervisor: Edge) -> int:
        return live(supervisor, OBSERVER)

    def log(self, level: str, message: str) -> None:
        self.logged.append(f"{level}: {message}")

    def complain(self, process: str, line: str) -> None:
        return

    def to_start_with(self) -> AgentConfiguration | None:
        self.asked += 1
        return self.current

    def drains(self) -> tuple[DrainOrder, ...]:
        return ()

    def observer_started(self) -> None:
        self.begun.append((OBSERVER, ""))

    def started(self, worker: str, configuration: AgentConfiguration) -> None:
        self.begun.append((worker, configuration.revision))

    def said(self, worker: str, frame: frames.AnyFrame) -> None:
        self.heard.append((worker, frame))

    def ended(self, worker: Worker, code: int) -> None:
        self.ends.append((worker.name, code))
        if self.respawns:
            self.fleet.respawn_later(worker)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, (self.begun, self.heard, self.ends, self.logged)
            self.poller.call_later(0.01, lambda: None)
            self.poller.run_once()


def live(supervisor: Edge, revision: str) -> int:
    """In the process: say with what it runs, and wait for the end of whom it was told."""
    supervisor.post(frames.WorkerStarted(revision))
    supervisor.flush()
    os.set_blocking(supervisor.fileno(), True)
    try:
        while True:
            supervisor.receive(1)
    except EdgeClosed:
        return 0


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.respawns = False
    made.fleet.cancel_restarts()
    while made.fleet.stop_workers(frames.Stop(), 0) or made.fleet.stop_observer():
        made.ends.clear()
        made.until(lambda: made.ends)


def test_what_is_wrong_with_the_preparation_of_a_worker_ends_that_one_alone(bench: Bench) -> None:
    bench.current = BROKEN
    bench.fleet.start_wanted()
    bench.until(lambda: bench.ends)
    assert bench.ends == [("checkers", 1)]
    bench.current = NEW
    bench.until(lambda: bench.heard)
    assert bench.heard == [("checkers", frames.WorkerStarted("new"))], "another one follows it"


def test_who_starts_is_said_to_run_what_it_was_started_with(bench: Bench) -> None:
    bench.fleet.start("checkers", NEW)
    assert bench.begun == [("checkers", "new")]


def test_workers_that_are_wanted_wait_until_it_is_known_with_what_they_start(bench: Bench) -> None:
    bench.current = None
    bench.fleet.start_wanted()
    bench.until(lambda: bench.asked > 1 + len(WORKERS))
    assert bench.begun == []
    bench.current = NEW
    bench.until(lambda: bench.heard)
    assert bench.begun == [("checkers", "new")], "and no others"
    bench.fleet.start_wanted()
    assert len(bench.begun) == 1


def test_nobody_starts_for_whom_there_is_no_work_when_that_is_known(bench: Bench) -> None:
    bench.current = None
    bench.fleet.start_wanted()
    bench.current = OLD
    bench.until(lambda: bench.asked == 2 * len(WORKERS))
    assert bench.begun == []


def test_a_worker_for_which_there_was_half_the_room_is_followed_by_another_one(bench: Bench) -> None:
    bench.current = NEW
    bench.spawning.room = False
    bench.fleet.start_wanted()
    assert bench.logged == ["error: the checkers worker cannot be connected: Too many open files"]
    bench.spawning.room = True
    bench.until(lambda: len(bench.begun) == 2 and bench.heard and "checkers" in bench.fleet)
    assert bench.ends == [("checkers", -9)], "and never were there two"


def test_a_process_that_cannot_be_watched_does_not_run() -> None:
    pid = fork_child("test", lambda: signal.pause() or 0, [], lambda: None)
    with no_room(), pytest.raises(OSError, match="Too many open files"):
        Child("test", pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)

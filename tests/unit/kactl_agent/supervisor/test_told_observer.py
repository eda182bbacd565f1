from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator

import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, dump_sealed, load_sealed
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.told_observer import ToldObserver


class Bench:
    """A supervisor and its observer."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.edge: Edge | None = None
        self.revision = 0
        self.full = False
        self.logged: list[str] = []
        self.told = ToldObserver(
            self.poller, lambda: self.edge, self.seal, lambda level, text: self.logged.append(text)
        )
        self.connect()

    def connect(self) -> None:
        self.close()
        self.edge, self.observer = (Edge(sock) for sock in socket_pair())
        self.told.follows()

    def seal(self) -> int:
        if self.full:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return dump_sealed(AgentConfiguration(revision=str(self.revision), file="f"))

    def reload(self) -> None:
        self.revision += 1
        self.told.tell()

    def heard(self) -> list[str]:
        """Revisions that have come."""
        if self.edge is not None:
            self.edge.flush()
        return [
            load_sealed(descriptor).revision
            for frame, (descriptor,) in self.observer.receive()
            if frame == frames.Settings(0)
        ]

    def close(self) -> None:
        if self.edge is not None:
            self.edge.close()
            self.observer.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_an_observer_that_hangs_is_told_the_newest_when_it_goes_on(bench: Bench) -> None:
    for _ in range(20):
        bench.reload()
    assert bench.heard() == ["1", "2", "3", "4"]
    bench.told.taken()
    assert bench.heard() == ["20"]
    for _ in range(4):
        bench.told.taken()
    assert bench.heard() == []
    bench.reload()
    assert bench.heard() == ["21"]


def test_one_that_follows_knows_what_is_in_force_and_is_told_what_comes_later(bench: Bench) -> None:
    for _ in range(9):
        bench.reload()
    bench.connect()
    assert bench.heard() == []
    bench.reload()
    assert bench.heard() == ["10"]


def test_without_an_observer_nothing_is_kept_for_it(bench: Bench) -> None:
    edge, bench.edge = bench.edge, None
    bench.reload()
    bench.edge = edge
    bench.reload()
    assert bench.heard() == ["2"]


def test_when_there_is_room_again_it_is_told(bench: Bench) -> None:
    bench.full = True
    bench.reload()
    assert bench.logged == ["there is no room to tell the observer what is in force: Too many open files"]
    bench.full = False
    deadline = time.monotonic() + 20
    while not (heard := bench.heard()):
        assert time.monotonic() < deadline
        bench.poller.run_once()
    assert heard == ["1"]

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.supervisor.poller import Poller


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    before = signal.getsignal(signal.SIGUSR1)
    yield made
    made.after_fork()
    signal.signal(signal.SIGUSR1, before)


def test_timers_fire_in_order_and_cancelled_ones_never(poller: Poller) -> None:
    fired: list[str] = []
    poller.call_later(0.03, lambda: fired.append("b"))
    poller.call_later(0.01, lambda: fired.append("a"))
    poller.call_later(0.02, lambda: fired.append("never")).cancel()
    poller.call_later(0.04, poller.stop)
    poller.run()
    assert fired == ["a", "b"]


@pytest.mark.parametrize(("busy", "looks"), [(0, 1), (2, 3), (1000, 5)])
def test_what_waits_for_others_does_not_wait_for_ever(poller: Poller, busy: int, looks: int) -> None:
    looked: list[int] = []

    def is_busy() -> bool:
        looked.append(len(looked))
        return len(looked) <= busy

    poller.call_when_idle(0.001, is_busy, poller.stop, 4)
    poller.run()
    assert len(looked) == looks


def test_readers(poller: Poller) -> None:
    readable, writable = os.pipe()
    poller.add_reader(readable, lambda: (os.read(readable, 1), poller.stop()))
    poller.call_later(0.01, lambda: os.write(writable, b"x"))
    poller.run()
    poller.remove_reader(readable)
    os.close(readable)
    os.close(writable)


@pytest.mark.parametrize("kind", ["reader", "edge"])
def test_who_has_the_number_of_a_closed_descriptor_next_is_told_nothing_about_that_one(
    poller: Poller, kind: str
) -> None:
    """A pidfd may be the next: who is told that the process has ended waits for its end."""
    pairs = {ours.fileno(): (ours, theirs) for ours, theirs in (socket_pair() for _ in range(3))}
    idle, peer = socket_pair()
    called: list[int] = []
    misled: list[int] = []

    def close_the_others(mine: int) -> None:
        """What takes their numbers has nothing to read."""
        called.append(mine)
        for number in pairs.keys() - {mine}:
            if kind == "edge":
                poller.remove_edge(edges[number])
            poller.remove_reader(number)
            os.dup2(idle.fileno(), number)
            poller.add_reader(number, partial(misled.append, number))

    edges = {}
    for number, (ours, theirs) in pairs.items():
        theirs.send(b"x")
        if kind == "edge":
            edges[number] = Edge(ours)
            poller.add_edge(edges[number], partial(close_the_others, number))
        else:
            poller.add_reader(number, partial(close_the_others, number))
    poller.run_once()
    assert len(called) == 1
    assert misled == []
    for sock in (idle, peer, *(sock for pair in pairs.values() for sock in pair)):
        sock.close()


def test_what_is_queued_on_an_edge_is_sent(poller: Poller) -> None:
    ours, theirs = (Edge(sock) for sock in socket_pair())
    poller.add_edge(ours, lambda: None)
    ours.post(frames.WorkerStarted("x"))
    poller.run_once()
    assert theirs.receive() == [(frames.WorkerStarted("x"), [])]
    ended: list[bool] = []
    poller.add_edge(ours, lambda: (ended.append(True), poller.remove_edge(ours)))
    theirs.close()
    poller.run_once()
    assert ended
    ours.close()


def test_signals_are_handled_in_the_loop(poller: Poller) -> None:
    heard: list[str] = []
    poller.on_signals({signal.SIGUSR1: lambda: heard.append("usr1")})
    os.kill(os.getpid(), signal.SIGUSR1)
    deadline = time.monotonic() + 5
    while not heard and time.monotonic() < deadline:
        poller.run_once()
    assert heard == ["usr1"]

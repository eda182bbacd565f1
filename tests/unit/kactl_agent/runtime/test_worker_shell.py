"""Workers that only have a shell, in one loop, with this test as supervisor and observer."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges, dump_sealed
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair
from kactl_agent.runtime.worker_shell import NO_CHANGES, Applied, WorkerShell

CHANGES = ConfigurationChanges((), ("x",), ())


class Plain:
    """A worker that writes down what it is called with."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench
        self.calls: list[tuple[Any, ...]] = []
        self.refusal = ""
        self.done: Applied | None = None
        self.supervisor, theirs = (Edge(sock) for sock in socket_pair())
        self.observer, observed = (Edge(sock) for sock in socket_pair())
        self.answers: list[frames.AnyFrame] = []
        self.heard: list[frames.AnyFrame] = []
        self.shell = WorkerShell(name, bench.loop, theirs, observed, self)

    def prepare(self, new: AgentConfiguration) -> str:
        self.calls.append(("prepare", new.revision))
        return self.refusal

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        self.calls.append(("apply", new.revision))
        self.done = done

    def stop(self, order: frames.Stop | None = None) -> None:
        self.calls.append(("stop", order))
        if not self.bench.closing:
            self.shell.finish()

    def observed(self) -> None:
        self.calls.append(("observed",))

    def connect_spawner(self, sock: socket.socket) -> None:
        self.calls.append(("spawner",))
        sock.close()

    def peer_joined(self, name: str) -> None:
        self.calls.append(("joined", name))

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None:
        self.calls.append(("said", name, frame))

    def peer_lost(self, name: str) -> None:
        self.calls.append(("lost", name))


def sealed(revision: str) -> int:
    return dump_sealed(AgentConfiguration(revision=revision, file="f"))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.workers: list[Plain] = []
        self.closing = False

    def worker(self, name: str = "one") -> Plain:
        self.workers.append(Plain(self, name))
        return self.workers[-1]

    def until(self, condition: Callable[[], object]) -> None:
        async def poll() -> None:
            deadline = self.loop.time() + 5
            while not condition():
                assert self.loop.time() < deadline, [worker.calls for worker in self.workers]
                await asyncio.sleep(0.002)
                for worker in self.workers:
                    for edge, into in ((worker.supervisor, worker.answers), (worker.observer, worker.heard)):
                        try:
                            edge.try_flush()
                            into += [frame for frame, _descriptors in edge.receive()]
                        except (EdgeClosed, OSError):
                            continue

        self.loop.run_until_complete(poll())

    def settings(self, worker: Plain, serial: int, revision: str) -> frames.SettingsPrepared:
        worker.supervisor.post(frames.Settings(serial), [sealed(revision)])
        self.until(lambda: any(isinstance(it, frames.SettingsPrepared) for it in worker.answers))
        (answer,) = (it for it in worker.answers if isinstance(it, frames.SettingsPrepared))
        worker.answers.clear()
        return answer

    def connect(self, one: Plain, two: Plain) -> None:
        for worker, sock, name in zip((one, two), socket_pair(), ("two", "one"), strict=True):
            worker.supervisor.post(frames.PeerEdge(name), [sock.detach()])


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.closing = True
    for worker in made.workers:
        worker.supervisor.close()
        worker.observer.close()
        worker.shell.close()
    made.loop.run_until_complete(asyncio.sleep(0.01))
    made.loop.close()


def test_settings_are_looked_at_first_and_in_force_when_everyone_is_ready(bench: Bench) -> None:
    worker = bench.worker()
    assert bench.settings(worker, 4, "new") == frames.SettingsPrepared(4)
    assert worker.calls == [("prepare", "new")]
    worker.supervisor.post(frames.ApplySettings(4))
    bench.until(lambda: worker.done is not None)
    assert worker.calls[1:] == [("apply", "new")]
    assert worker.answers == [], "the worker takes its time"
    worker.done(CHANGES, ["no room"])
    bench.until(lambda: worker.answers)
    assert worker.answers == [frames.SettingsApplied(4, CHANGES, problems=("no room",))]


def test_settings_that_were_refused_dropped_or_never_seen_are_not_applied(bench: Bench) -> None:
    worker = bench.worker()
    worker.refusal = "no"
    assert bench.settings(worker, 1, "refused") == frames.SettingsPrepared(1, "no")
    worker.refusal = ""
    bench.settings(worker, 2, "dropped")
    worker.supervisor.post(frames.DropSettings(2))
    for serial in (1, 2, 3):
        worker.supervisor.post(frames.ApplySettings(serial))
    bench.until(lambda: len(worker.answers) == 3)
    text = "these settings were not prepared"
    assert worker.answers == [frames.SettingsApplied(serial, NO_CHANGES, text) for serial in (1, 2, 3)]
    assert not [call for call in worker.calls if call[0] == "apply"]


def test_settings_that_come_while_others_are_put_in_force_wait_for_that(bench: Bench) -> None:
    """As they do behind each other for a worker that was suspended."""
    worker = bench.worker()
    bench.settings(worker, 1, "one")
    worker.supervisor.post(frames.ApplySettings(1))
    worker.supervisor.post(frames.Settings(2), [sealed("two")])
    worker.supervisor.post(frames.DropSettings(2))
    worker.supervisor.post(frames.Settings(3), [sealed("three")])
    worker.supervisor.post(frames.DescribeYourself())
    bench.until(lambda: worker.heard)
    assert worker.calls[1:] == [("apply", "one")]
    assert worker.answers == []
    worker.done(CHANGES, ())
    bench.until(lambda: len(worker.answers) == 2)
    assert worker.answers == [frames.SettingsApplied(1, CHANGES), frames.SettingsPrepared(3)]
    worker.supervisor.post(frames.ApplySettings(3))
    bench.until(lambda: len(worker.calls) == 4)
    assert worker.calls[2:] == [("prepare", "three"), ("apply", "three")]
    worker.done(CHANGES, ())
    bench.until(lambda: len(worker.answers) == 3)


@pytest.mark.parametrize("dropped_by", ["the supervisor", "the end"])
def test_settings_that_waited_and_are_dropped_leave_no_descriptor(bench: Bench, dropped_by: str) -> None:
    worker = bench.worker()
    before = descriptors()
    bench.settings(worker, 1, "one")
    worker.supervisor.post(frames.ApplySettings(1))
    worker.supervisor.post(frames.Settings(2), [sealed("two")])
    worker.supervisor.post(frames.DescribeYourself())
    bench.until(lambda: worker.heard)
    assert descriptors() == before + 1
    if dropped_by == "the end":
        worker.shell.close()
        assert descriptors() < before
        return
    worker.supervisor.post(frames.DropSettings(2))
    bench.until(lambda: descriptors() == before)
    worker.done(CHANGES, ())
    bench.until(lambda: worker.answers)
    assert worker.answers == [frames.SettingsApplied(1, CHANGES)]


def test_what_is_no_sealed_configuration_is_refused(bench: Bench) -> None:
    worker = bench.worker()
    worker.supervisor.post(frames.Settings(1), [os.memfd_create("x", os.MFD_ALLOW_SEALING)])
    bench.until(lambda: worker.answers)
    assert "not sealed" in worker.answers[0].error
    assert worker.calls == []


def test_workers_talk_to_each_other_and_to_their_successors(bench: Bench) -> None:
    one, two = bench.worker("one"), bench.worker("two")
    bench.connect(one, two)
    bench.until(lambda: one.calls and two.calls)
    assert (one.calls, two.calls) == ([("joined", "two")], [("joined", "one")])
    frame = frames.InstanceGone("VI")
    one.shell.peer("two").post_state("VI", frame)
    bench.until(lambda: len(two.calls) == 2)
    assert two.calls[1] == ("said", "one", frame)
    assert two.shell.peer("three") is None
    # a new `two` takes the place of the old one, which notices
    three = bench.worker("two")
    bench.connect(one, three)
    bench.until(lambda: three.calls and ("lost", "one") in two.calls)
    assert one.calls == [("joined", "two"), ("joined", "two")], "and it was never without a peer"
    three.shell.peer("one").post(frame)
    bench.until(lambda: ("said", "two", frame) in one.calls)


def test_a_peer_that_ends_is_lost(bench: Bench) -> None:
    worker = bench.worker()
    ours, theirs = socket_pair()
    worker.supervisor.post(frames.PeerEdge("two"), [theirs.detach()])
    bench.until(lambda: worker.calls)
    ours.close()
    bench.until(lambda: ("lost", "two") in worker.calls)
    assert worker.shell.peer("two") is None


def test_a_new_observer_and_a_spawner(bench: Bench) -> None:
    worker = bench.worker()
    worker.shell.log("info", "hello", code="x")
    bench.until(lambda: worker.heard)
    assert (worker.heard[0].process, worker.heard[0].message) == ("one", "hello")
    ours, theirs = socket_pair()
    worker.supervisor.post(frames.ObserverEdge("observer"), [theirs.detach()])
    bench.until(lambda: ("observed",) in worker.calls)
    worker.observer.close()
    worker.observer = Edge(ours)
    worker.shell.state("a", frames.InstanceGone("a"))
    bench.until(lambda: frames.InstanceGone("a") in worker.heard)
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker.supervisor.post(frames.SpawnerEdge(), [two.detach()])
    bench.until(lambda: ("spawner",) in worker.calls)
    assert one.recv(1) == b"", "the descriptor is the worker's, and it closed it"
    one.close()


@pytest.mark.parametrize("by_order", [True, False])
def test_the_end_is_ordered_or_that_of_the_supervisor(bench: Bench, by_order: bool) -> None:
    worker = bench.worker()
    if by_order:
        worker.supervisor.post(frames.Stop(keep_ipvs=True))
        worker.supervisor.flush()
    else:
        worker.supervisor.close()
    worker.shell.log("info", "last words")
    bench.loop.run_forever()
    assert worker.calls == [("stop", frames.Stop(keep_ipvs=True) if by_order else None)]
    assert worker.observer.receive()[0][0].message == "last words"

"""The bfd worker between the other processes: whom it tells of a session, when, and what the journal hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kactl_agent.bfd.packet import State, encode
from kactl_agent.bfd.settings import BfdSettings, SessionSettings
from kactl_agent.runtime import frames
from kactl_agent.runtime.bfd_frames import BfdHeartbeat, BfdSessionGone, BfdSnapshot, SessionVerdict
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.workers.bfd import BfdWorker, BfdWorkerStart
from support.bfd import MS, meta, packet, settings
from support.fake_bfd_ports import FakePorts


def configuration(*sessions: SessionSettings, **more: Any) -> AgentConfiguration:
    return AgentConfiguration(revision="r", file="f", bfd=BfdSettings(sessions=sessions), **more)


class Bench:
    def __init__(self, *sessions: SessionSettings) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.ports = FakePorts()
        self.supervisor, theirs = (Edge(sock) for sock in socket_pair())
        self.observer, observed = (Edge(sock) for sock in socket_pair())
        start = BfdWorkerStart(configuration=configuration(*sessions), capabilities=frozenset())
        self.worker = BfdWorker(self.loop, self.ports, start, theirs, observed)
        self.heard: list[frames.AnyFrame] = []
        self.told: dict[str, list[frames.AnyFrame]] = {"vrrp": [], "checkers": []}
        self.peers: dict[str, Edge] = {}

    def join(self, name: str) -> None:
        ours, theirs = socket_pair()
        self.peers[name] = Edge(ours)
        self.supervisor.post(frames.PeerEdge(name), [theirs.detach()])
        self.supervisor.flush()
        self.turn()

    def turn(self) -> None:
        async def some() -> None:
            for _ in range(6):
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(some())
        self.heard += [frame for frame, _ in self.observer.receive()]
        for name, edge in self.peers.items():
            self.told[name] += [frame for frame, _ in edge.receive()]

    def come_up(self, name: str = "b1", **fields: Any) -> None:
        machine = self.worker._machine
        own = machine.sessions[name].discriminator
        for each in ({"state": State.DOWN}, {"state": State.INIT}, {"final": True}):
            data = encode(packet(**({"your_discriminator": own} | each | fields)))
            machine._carry_out(machine.sessions.receive(data, meta(), machine._clock()), machine._clock())
        self.turn()

    def apply(self, *sessions: SessionSettings) -> ConfigurationChanges:
        done: list[ConfigurationChanges] = []
        self.worker.apply(configuration(*sessions), lambda changes, problems: done.append(changes))
        self.turn()
        return done[0]


@pytest.fixture
def bench_of() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*sessions: SessionSettings) -> Bench:
        bench = Bench(*sessions)
        made.append(bench)
        # sockets in memory are not the loop's to wait for
        bench.worker._machine._watcher = Unwatched()
        bench.worker.begin()
        bench.turn()
        return bench

    yield make
    for bench in made:
        bench.worker.close()
        bench.worker._shell.close()
        for edge in (bench.supervisor, bench.observer, *bench.peers.values()):
            edge.close()
        bench.worker._timer.close()
        bench.loop.close()


class Unwatched:
    def watch(self, sock: Any, readable: Any) -> None: ...

    def unwatch(self, sock: Any) -> None: ...


SLOW = {"desired_min_tx_interval": 3_000 * MS, "required_min_rx_interval": 3_000 * MS}


def of(kind: type, heard: list[Any]) -> list[Any]:
    return [frame for frame in heard if isinstance(frame, kind)]


def test_clients_are_told_what_a_session_comes_to_and_not_what_it_is_before(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(settings(**SLOW), settings(name="b2", neighbor=b"\xc0\0\2\3", tell_checkers=False, **SLOW))
    bench.join("vrrp")
    bench.join("checkers")
    assert bench.told == {"vrrp": [], "checkers": []}, "CL3: not yet Up is nothing to tell"
    bench.come_up()
    bench.come_up("b2")
    assert bench.told["vrrp"] == [SessionVerdict("b1", True), SessionVerdict("b2", True)]
    assert bench.told["checkers"] == [SessionVerdict("b1", True)]


def test_a_client_that_joins_later_and_one_after_a_reload_hear_everything(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(settings(tell_vrrp=False, **SLOW))
    bench.come_up()
    bench.join("vrrp")
    bench.join("checkers")
    assert bench.told == {"vrrp": [], "checkers": [SessionVerdict("b1", True)]}
    assert bench.apply(settings(tell_checkers=False, **SLOW)).changed == ("b1",)
    assert bench.told == {"vrrp": [SessionVerdict("b1", True)], "checkers": [SessionVerdict("b1", True)]}


def test_a_session_that_is_gone_is_said_to_be(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(settings(**SLOW))
    bench.join("vrrp")
    bench.come_up()
    bench.apply()
    assert of(BfdSessionGone, bench.heard) == [BfdSessionGone("b1")]
    assert bench.told["vrrp"][-1] == BfdSessionGone("b1")


def test_what_the_observer_hears(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(settings(**SLOW))
    bench.come_up()
    assert of(BfdHeartbeat, bench.heard)
    happened = of(Happening, bench.heard)
    assert [(h.kind, h.subject, h.old, h.new, h.cause) for h in happened] == [
        ("bfd_session", "bfd_instance b1", "Down", "Init", "neighbor_down"),
        ("bfd_session", "bfd_instance b1", "Init", "Up", "neighbor_init"),
    ]
    assert of(BfdSnapshot, bench.heard)[-1].snapshot.state is State.UP


def test_what_was_given_up_at_the_start_cannot_be_had_by_a_reload(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(settings(**SLOW))
    assert bench.worker.prepare(configuration(settings(**SLOW))) == ""
    refusal = bench.worker.prepare(configuration(settings(**SLOW), privileges={"bfd": ("CAP_NET_RAW",)}))
    assert refusal == "sessions need CAP_NET_RAW: restart the agent for that"


def test_at_the_end_neighbours_are_told_and_clients_are_not(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(settings(**SLOW))
    bench.join("vrrp")
    bench.come_up()
    before = list(bench.told["vrrp"])
    bench.worker.stop()
    bench.loop.run_forever()
    assert [data[1] >> 6 for _name, _port, data in bench.ports.sent[-2:]] == [State.ADMIN_DOWN] * 2
    told = [frame for frame, _ in bench.peers["vrrp"].receive()]
    assert [*bench.told["vrrp"], *told] == before

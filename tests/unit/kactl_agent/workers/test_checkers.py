"""The checkers worker in a real loop over IPVS in memory, with this test as supervisor, observer and other workers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    BfdCheckSettings,
    CheckTiming,
    ConnectTarget,
    FileCheckSettings,
    TcpCheckSettings,
)
from kactl_agent.ipvs import genl
from kactl_agent.ipvs.marks import Marked, keep_marks
from kactl_agent.ipvs.model import AF_INET, DestinationKey, Service, ServiceKey, SyncDaemon, Timeouts
from kactl_agent.ipvs.settings import (
    CheckersSettings,
    MarksSettings,
    Members,
    RealServerSettings,
    SorryServerSettings,
    SyncDaemonSettings,
    VirtualServerSettings,
)
from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.kernel.fake_ipvs import FakeIpvs
from kactl_agent.kernel.ipvs import NoIpvs
from kactl_agent.observe.checkers_state import CheckersState
from kactl_agent.observe.handlers import Handlers
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime import frames
from kactl_agent.runtime.bfd_frames import SessionVerdict
from kactl_agent.runtime.checker_frames import InstanceVerdict, TimeoutsBefore
from kactl_agent.runtime.configuration import AgentConfiguration, dump_sealed
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair
from kactl_agent.runtime.ipvs_leftovers import reclaim_at_end, reclaim_replaced
from kactl_agent.runtime.ipvs_table import SLICE
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.tracking.settings import FileSettings
from kactl_agent.vrrp.settings import SECOND
from kactl_agent.workers.checkers import CheckersWorker, CheckersWorkerStart

DAEMONS = SyncDaemonSettings(daemon=SyncDaemon(False, "eth0", 51))
FAST = CheckTiming(delay_loop=SECOND // 20, retry=0, delay_while_down=SECOND // 20)


def packed(text: str) -> bytes:
    return ip_address(text).packed


def real(number: int, *checkers: AnyCheckerSettings, **more: Any) -> RealServerSettings:
    return RealServerSettings(packed(f"10.0.1.{number}"), 80, checkers=checkers, **more)


def virtual(number: int, *servers: RealServerSettings, **more: Any) -> VirtualServerSettings:
    address = packed(f"10.0.0.{number}")
    values: dict[str, Any] = {"members": (Members(AF_INET, 6, address, 1, 80),), "scheduler": "rr"} | more
    return VirtualServerSettings(name=f"[10.0.0.{number}]:tcp:80", protocol=6, real_servers=servers, **values)


class FakeMarks:
    """nftables in memory: what is marked, and whether it can be."""

    def __init__(self) -> None:
        self.marked: list[Marked] = []
        self.namespace: str | None = None
        self.error = 0

    def __call__(self, namespace: str | None) -> FakeMarks:
        self.namespace = namespace
        return self

    def install(self, settings: MarksSettings, marked: Sequence[Marked]) -> str:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        self.marked = list(marked)
        return ""

    def discard(self, settings: MarksSettings) -> None:
        self.marked.clear()

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, folder: Path) -> None:
        self.marks = FakeMarks()
        self.folder = folder
        self.ipvs = FakeIpvs()
        self.absent = False
        self.namespace: str | None = None
        self.kernel = FakeKernel()
        self.kernel.links.add_link("eth0")
        self.loop = asyncio.SelectorEventLoop()
        self.supervisor, self._workers_end = (Edge(sock) for sock in socket_pair())
        self.observer, self._observed_end = (Edge(sock) for sock in socket_pair())
        self.answers: list[frames.AnyFrame] = []
        self.heard: list[frames.AnyFrame] = []
        self.handlers = Handlers()
        self.state = CheckersState()
        self.state.register(self.handlers)
        self.worker: CheckersWorker | None = None
        self.serial = 0
        self.ended = False
        self.peers: list[Edge] = []

    def file(self, name: str, value: str = "0") -> FileCheckSettings:
        (self.folder / name).write_text(f"{value}\n")
        return FileCheckSettings(
            timing=CheckTiming(), file=FileSettings(name=name, path=str(self.folder / name)), weight=0
        )

    def write(self, name: str, value: str) -> None:
        (self.folder / name).write_text(f"{value}\n")

    def start(self, settings: CheckersSettings, *, keep: bool = False, namespace: str | None = None) -> None:
        configuration = AgentConfiguration(
            revision="1",
            file="f",
            checkers=msgspec.msgpack.encode(settings),
            process=ProcessSettings(namespace_ipvs=namespace),
        )
        start = CheckersWorkerStart(configuration=configuration, capabilities=frozenset(), keep_ipvs=keep)
        self.worker = CheckersWorker(
            self.loop, start, self._workers_end, self._observed_end, self._open, lambda: self.kernel.links, self.marks
        )
        self.loop.call_soon(self.worker.begin)
        self.until(lambda: self.answered(frames.WorkerStarted))

    def _open(self, namespace: str | None) -> FakeIpvs:
        self.namespace = namespace
        if self.absent:
            raise NoIpvs(errno.ENOENT, "the kernel has no IPVS (module ip_vs)")
        return self.ipvs

    def lose(self, _request: bytes) -> int:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    def lose_once_at(self, command: int) -> None:
        def answer(request: bytes) -> int:
            if genl.command_of(request) != command:
                return 0
            self.ipvs.refuse = lambda _request: 0
            return self.lose(request)

        self.ipvs.refuse = answer

    def reload(self, settings: CheckersSettings) -> frames.SettingsApplied:
        self.serial += 1
        configuration = AgentConfiguration(revision="2", file="f", checkers=msgspec.msgpack.encode(settings))
        self.supervisor.post(frames.Settings(self.serial), [dump_sealed(configuration)])
        self.until(lambda: self.answered(frames.SettingsPrepared))
        assert self.last(frames.SettingsPrepared).error == ""
        self.answers.clear()
        self.supervisor.post(frames.ApplySettings(self.serial))
        self.until(lambda: self.answered(frames.SettingsApplied))
        return self.last(frames.SettingsApplied)

    def peer(self, name: str) -> Edge:
        mine, theirs = socket_pair()
        self.supervisor.post(frames.PeerEdge(name), [theirs.detach()])
        edge = Edge(mine)
        self.peers.append(edge)
        return edge

    def stop(self, *, keep: bool = False) -> None:
        self.supervisor.post(frames.Stop(keep_ipvs=keep))
        self.supervisor.try_flush()
        self.loop.call_later(10, self.loop.stop)
        self.loop.run_forever()
        self.listen()
        self.ended = True

    def listen(self) -> None:
        for edge, into in ((self.supervisor, self.answers), (self.observer, self.heard)):
            with contextlib.suppress(EdgeClosed):
                edge.try_flush()
                for frame, _descriptors in edge.receive():
                    into.append(frame)
                    if edge is self.observer:
                        self.handlers.handle(frame)

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        async def wait() -> None:
            end = self.loop.time() + seconds
            while not condition():
                self.listen()
                if self.loop.time() > end:
                    raise TimeoutError(f"never so; heard {self.heard[-5:]}")
                await asyncio.sleep(0.005)

        self.listen()
        self.loop.run_until_complete(wait())

    def answered(self, kind: type[frames.Frame]) -> bool:
        return any(isinstance(frame, kind) for frame in self.answers)

    def last(self, kind: type[Any]) -> Any:
        return next(frame for frame in reversed([*self.heard, *self.answers]) if isinstance(frame, kind))

    def happenings(self) -> list[tuple[str, str, str, str]]:
        return [(h.kind, h.subject, h.new, h.cause) for h in self.heard if isinstance(h, Happening)]

    def log(self) -> list[str]:
        return [frame.message for frame in self.heard if isinstance(frame, frames.LogRecord)]

    def table(self) -> dict[int, dict[int, int]]:
        """Last byte of the service's address -> last byte of the destination's -> weight."""
        return {
            key.address[3]: {each.address[3]: pool[each].weight for each in pool}
            for key, (_service, pool) in self.ipvs.table.items()
            if key.address
        }

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
        for edge in (self.supervisor, self.observer, *self.peers):
            edge.close()
        self.loop.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    if not made.ended and made.worker is not None:
        made.stop()
    made.close()


def only(*servers: VirtualServerSettings, **more: Any) -> CheckersSettings:
    return CheckersSettings(virtual_servers=servers, **more)


def test_the_table_is_there_before_the_worker_says_it_is_at_work(bench: Bench) -> None:
    bench.start(only(virtual(1, real(1), real(2, weight=5)), virtual(2, real(1))))
    assert bench.table() == {1: {1: 1, 2: 5}, 2: {1: 1}}
    assert bench.ipvs.batches == 1


def test_a_failure_and_a_recovery_with_their_causes(bench: Bench) -> None:
    sorry = SorryServerSettings(packed("10.0.1.99"), 80)
    bench.start(only(virtual(1, real(1, bench.file("a")), sorry_server=sorry)))
    assert bench.table() == {1: {1: 1}}
    bench.write("a", "1")
    bench.until(lambda: bench.table() == {1: {99: 1}})
    subject = "real_server [10.0.1.1]:tcp:80 of [10.0.0.1]:tcp:80"
    bench.until(lambda: len(bench.happenings()) >= 3)
    assert bench.happenings() == [
        ("real_server", subject, "down", "check_failed"),
        ("virtual_server", "virtual_server [10.0.0.1]:tcp:80", "down", "quorum_lost"),
        ("sorry_server", "virtual_server [10.0.0.1]:tcp:80", "up", "quorum"),
    ]
    lost = next(h for h in bench.heard if isinstance(h, Happening) and h.cause == "quorum_lost")
    assert lost.because == (subject,)
    failed = next(h for h in bench.heard if isinstance(h, Happening) and h.cause == "check_failed")
    assert failed.detail == f"FILE_CHECK: {bench.folder}/a holds 1"
    bench.write("a", "0")
    bench.until(lambda: bench.table() == {1: {1: 1}})


def test_a_check_over_the_network_takes_a_server_out(bench: Bench) -> None:
    check = TcpCheckSettings(timing=FAST, target=ConnectTarget(address="127.0.0.1", port=1, timeout=SECOND))
    bench.start(only(virtual(1, real(1, check), real(2))))
    assert bench.table() == {1: {1: 1, 2: 1}}
    bench.until(lambda: bench.table() == {1: {2: 1}})


def test_status_is_what_clients_expect(bench: Bench) -> None:
    settings = only(virtual(1, real(1, bench.file("a"), snmp_name="one"), real(2, weight=3), snmp_name="web"))
    bench.start(settings)
    bench.until(lambda: bool(bench.state.status()["virtual_servers"]))
    (found,) = bench.state.status()["virtual_servers"]
    assert (found["address"], found["port"], found["protocol"], found["quorum_up"]) == ("10.0.0.1", 80, "TCP", True)
    assert found["snmp_name"] == "web"  # S10
    first, second = found["real_servers"]
    assert (first["address"], first["alive"], first["weight"], first["effective_weight"]) == ("10.0.1.1", True, 1, 1)
    assert first["snmp_name"] == "one"
    (checker,) = first["checkers"]
    assert (checker["type"], checker["up"], checker["target"]) == ("FILE_CHECK", True, "a")
    assert checker["last_result"] == f"{bench.folder}/a holds 0"
    assert checker["last_run"] is not None
    assert (second["weight"], second["checkers"]) == (3, [])
    bench.write("a", "1")
    bench.until(lambda: not bench.state.status()["virtual_servers"][0]["real_servers"][0]["alive"])


def test_hundreds_of_real_servers_are_shown_in_order(bench: Bench) -> None:
    servers = tuple(RealServerSettings(bytes((10, 2, n >> 8, n & 255)), 80) for n in range(300))
    bench.start(only(virtual(1, *servers), virtual(2, real(1))))
    bench.until(lambda: [len(v["real_servers"]) for v in bench.state.status()["virtual_servers"]] == [300, 1])
    shown = bench.state.status()["virtual_servers"][0]["real_servers"]
    assert [server["address"] for server in shown[:2]] == ["10.2.0.0", "10.2.0.1"]
    assert shown[299]["address"] == "10.2.1.43"
    bench.reload(only(virtual(1, *servers[:5])))
    bench.until(lambda: [len(v["real_servers"]) for v in bench.state.status()["virtual_servers"]] == [5])


def test_a_reload_keeps_results_and_touches_what_has_changed(bench: Bench) -> None:
    down, fine = bench.file("a", "1"), bench.file("b")
    bench.start(only(virtual(1, real(1, down), real(2, fine)), virtual(2, real(1, fine)), virtual(3, real(9))))
    assert bench.table() == {1: {2: 1}, 2: {1: 1}, 3: {9: 1}}
    before = bench.ipvs.requests
    applied = bench.reload(only(virtual(1, real(1, down), real(2, fine, weight=7)), virtual(2, real(1, fine))))
    assert bench.table() == {1: {2: 7}, 2: {1: 1}}
    assert bench.ipvs.requests == before + 2  # one weight, one service
    assert applied.changes.changed == ("[10.0.0.1]:tcp:80",)
    assert applied.changes.unchanged == 1
    assert applied.changes.removed == ("[10.0.0.3]:tcp:80",)
    assert applied.problems == ()
    bench.until(
        lambda: (
            ("real_server", "real_server [10.0.1.9]:tcp:80 of [10.0.0.3]:tcp:80", "down", "removed")
            in bench.happenings()
        )
    )


def test_a_reload_of_the_same_is_nothing(bench: Bench) -> None:
    settings = only(virtual(1, real(1, bench.file("a")), real(2)))
    bench.start(settings)
    before = bench.ipvs.requests
    applied = bench.reload(settings)
    assert applied.changes.unchanged == 1
    assert bench.ipvs.requests == before


def test_what_a_reload_leaves_as_it_is_is_not_made_anew(bench: Bench) -> None:
    one, two = virtual(1, real(1)), virtual(2, real(2))
    bench.start(only(one, two))
    assert bench.worker is not None
    before = bench.worker.settings.virtual_servers
    bench.reload(only(msgspec.structs.replace(one, quorum=2), two))
    after = bench.worker.settings.virtual_servers
    assert after[0].quorum == 2
    assert after[1] is before[1]


def test_checkers_that_stand_elsewhere_after_a_reload_are_still_those_of_their_real_servers(bench: Bench) -> None:
    first, second, both = bench.file("a"), bench.file("b"), bench.file("c")
    bench.start(only(virtual(1, real(1, first, both), real(2, second)), virtual(2, real(3))))
    bench.reload(only(virtual(2, real(3)), virtual(1, real(4), real(2, second), real(1, both, first))))
    bench.write("b", "1")
    bench.until(lambda: bench.table() == {1: {1: 1, 4: 1}, 2: {3: 1}})
    bench.write("c", "1")
    bench.until(lambda: bench.table() == {1: {4: 1}, 2: {3: 1}})
    bench.write("b", "0")
    bench.write("c", "0")
    bench.until(lambda: bench.table() == {1: {1: 1, 2: 1, 4: 1}, 2: {3: 1}})


def test_a_changed_checker_begins_anew(bench: Bench) -> None:
    refused = ConnectTarget(address="127.0.0.1", port=1, timeout=SECOND)
    bench.start(only(virtual(1, real(1, TcpCheckSettings(timing=FAST, target=refused)))))
    bench.until(lambda: bench.table() == {1: {}})
    slow = msgspec.structs.replace(FAST, warmup=3600 * SECOND)
    bench.reload(only(virtual(1, real(1, TcpCheckSettings(timing=slow, target=refused)))))
    assert bench.table() == {1: {1: 1}}


def test_the_stop_takes_everything_away_but_what_is_foreign(bench: Bench) -> None:
    foreign = ServiceKey(AF_INET, 6, packed("10.9.9.9"), 80)
    bench.ipvs.table[foreign] = (Service(foreign, "rr"), {})
    bench.start(only(virtual(1, real(1)), timeouts=Timeouts(tcp=100)))
    assert bench.ipvs.idle == Timeouts(100, 120, 300)
    bench.stop()
    assert list(bench.ipvs.table) == [foreign]
    assert bench.ipvs.idle == Timeouts(900, 120, 300)


def test_what_came_last_goes_first(bench: Bench) -> None:
    """So that who makes it again finds it at the head of what the kernel keeps of deleted destinations."""
    numbers = range(1, 251)
    bench.start(only(*(virtual(number, real(1)) for number in numbers)))
    assert len(bench.ipvs.table) == len(numbers)
    deleted: list[ServiceKey] = []

    def note(request: bytes) -> int:
        if genl.command_of(request) == genl.DEL_SERVICE:
            deleted.append(genl.decode_service(request).service.key)
        return 0

    made, bench.ipvs.refuse = list(bench.ipvs.table), note
    bench.stop()
    assert deleted == made[::-1]


def test_idle_timeouts_are_put_back_whoever_has_found_them(bench: Bench) -> None:
    """The worker before was killed: what is there is what it set."""
    before = TimeoutsBefore(Timeouts(900, 120, 300))
    bench.ipvs.idle = Timeouts(100, 120, 300)
    bench.start(only(virtual(1, real(1)), timeouts=Timeouts(udp=20)))
    assert TimeoutsBefore(Timeouts(100, 120, 300)) in bench.answers
    bench.supervisor.post(before)
    bench.until(lambda: bench.ipvs.idle == Timeouts(900, 120, 20))
    bench.reload(only(virtual(1, real(1))))
    assert bench.ipvs.idle == before.timeouts
    assert TimeoutsBefore(None) in bench.answers


def test_idle_timeouts_that_nobody_wants_any_more_are_put_back_at_once(bench: Bench) -> None:
    bench.ipvs.idle = Timeouts(100, 120, 300)
    bench.start(only(virtual(1, real(1))))
    bench.supervisor.post(TimeoutsBefore(Timeouts(900, 120, 300)))
    bench.until(lambda: bench.ipvs.idle == Timeouts(900, 120, 300))
    bench.until(lambda: TimeoutsBefore(None) in bench.answers)


def test_keep_ipvs_leaves_it(bench: Bench) -> None:
    bench.start(only(virtual(1, real(1))))
    bench.stop(keep=True)
    assert bench.table() == {1: {1: 1}}


@pytest.mark.parametrize(("said", "left"), [(True, 0), (False, 1)])
def test_flush_on_stop(bench: Bench, *, said: bool, left: int) -> None:
    foreign = ServiceKey(AF_INET, 6, packed("10.9.9.9"), 80)
    bench.ipvs.table[foreign] = (Service(foreign, "rr"), {})
    bench.start(only(virtual(1, real(1)), flush_on_stop=said))
    bench.stop()
    assert len(bench.ipvs.table) == left


def test_what_a_dead_worker_left_is_taken_over(bench: Bench, tmp_path: Path) -> None:
    """lvs_flush takes what is foreign; what is ours and right is not touched."""
    bench.start(only(virtual(1, real(1), real(2)), virtual(2, real(1))))
    table = bench.ipvs.table
    foreign = ServiceKey(AF_INET, 6, packed("10.9.9.9"), 80)
    table[foreign] = (Service(foreign, "rr"), {})
    other = Bench(tmp_path)
    other.ipvs.table = table
    before = other.ipvs.requests
    other.start(only(virtual(1, real(1), real(3)), virtual(2, real(1)), flush=True))
    assert other.table() == {1: {1: 1, 3: 1}, 2: {1: 1}}
    assert other.ipvs.requests == before + 3  # the foreign one, one destination in, one out
    other.stop()
    other.close()


def test_without_ipvs_servers_are_checked_and_it_is_asked_for_again(bench: Bench) -> None:
    """S44"""
    bench.absent = True
    bench.start(only(virtual(1, real(1, bench.file("a")))))
    bench.until(lambda: any("no IPVS" in line for line in bench.log()))
    bench.write("a", "1")
    bench.until(
        lambda: (
            ("real_server", "real_server [10.0.1.1]:tcp:80 of [10.0.0.1]:tcp:80", "down", "check_failed")
            in bench.happenings()
        )
    )
    assert bench.reload(only(virtual(1, real(2)))).problems == ("the kernel has no IPVS (module ip_vs)",)
    bench.absent = False
    bench.until(lambda: bench.table() == {1: {2: 1}}, 30)


def test_a_stop_while_ipvs_is_lost_for_a_moment_takes_everything_away(bench: Bench) -> None:
    bench.start(only(virtual(1, real(1)), virtual(2, real(1))))
    bench.ipvs.refuse = bench.lose
    assert bench.reload(only(virtual(1, real(1)))).problems == ("No buffer space available",)
    bench.ipvs.refuse = lambda _request: 0
    bench.stop()
    assert bench.ipvs.table == {}


@pytest.mark.parametrize("command", [genl.DEL_SERVICE, genl.DEL_DAEMON])
def test_a_stop_that_loses_ipvs_asks_for_it_once_more(bench: Bench, command: int) -> None:
    bench.start(only(virtual(1, real(1)), virtual(2, real(1)), sync_daemon=DAEMONS))
    bench.lose_once_at(command)
    bench.stop()
    assert bench.ipvs.table == {}
    assert bench.ipvs.sync_daemons == {}


def test_a_sync_daemon_goes_when_ipvs_was_lost_in_the_middle_of_it(bench: Bench) -> None:
    bench.start(only(virtual(1, real(1)), sync_daemon=DAEMONS))
    bench.lose_once_at(genl.DEL_DAEMON)
    assert bench.reload(only(virtual(1, real(1)))).problems == ("No buffer space available",)
    bench.until(lambda: bench.ipvs.sync_daemons == {}, 30)


def test_a_stop_without_ipvs_ends(bench: Bench) -> None:
    bench.absent = True
    bench.start(only(virtual(1, real(1))))
    bench.stop()
    assert bench.ipvs.table == {}


def test_a_reload_before_the_table_is_complete_takes_nothing_from_the_start(bench: Bench) -> None:
    """Whoever waits for the one and whoever waits for the other is told."""
    many = tuple(RealServerSettings(bytes((10, 2, n >> 8, n & 255)), 80) for n in range(SLICE + 1))
    bench.serial += 1
    after = AgentConfiguration(revision="2", file="f", checkers=msgspec.msgpack.encode(only(virtual(1, real(1)))))
    bench.supervisor.post(frames.Settings(bench.serial), [dump_sealed(after)])
    bench.supervisor.post(frames.ApplySettings(bench.serial))
    bench.start(only(virtual(1, *many)))
    bench.until(lambda: bench.answered(frames.SettingsApplied))
    assert bench.table() == {1: {1: 1}}


def test_what_ipvs_refuses_is_a_problem_of_the_reload(bench: Bench) -> None:
    """S14"""
    bench.start(only(virtual(1, real(1))))
    bench.ipvs.refuse = lambda request: errno.ENOMEM if genl.command_of(request) == genl.NEW_DEST else 0
    applied = bench.reload(only(virtual(1, real(1), real(2))))
    text = "IPVS refuses to add destination [10.0.1.2]:tcp:80 of service [10.0.0.1]:tcp:80: Cannot allocate memory"
    assert applied.problems == (text,)
    bench.until(lambda: text in bench.log())


def test_a_reload_tries_again_what_ipvs_has_refused(bench: Bench) -> None:
    bench.ipvs.refuse = lambda request: errno.ENOENT if genl.command_of(request) == genl.NEW_SERVICE else 0
    settings = only(virtual(1, real(1)))
    bench.start(settings)
    assert len(bench.reload(settings).problems) == 1
    bench.ipvs.refuse = lambda _request: 0
    assert bench.reload(settings).problems == ()
    assert bench.table() == {1: {1: 1}}


def test_the_sync_daemon_follows_an_instance(bench: Bench) -> None:
    daemon = SyncDaemon(False, "eth0", 51)
    bench.start(only(virtual(1, real(1)), sync_daemon=SyncDaemonSettings(daemon=daemon, instance="VI")))
    assert bench.ipvs.sync_daemons == {False: daemon}
    vrrp = bench.peer("vrrp")
    vrrp.post_state("VI", InstanceVerdict("VI", "MASTER"))
    vrrp.flush()
    bench.until(lambda: bench.ipvs.sync_daemons == {True: daemon._replace(master=True)})
    vrrp.post_state("other", InstanceVerdict("other", "BACKUP"))
    vrrp.post_state("VI", InstanceVerdict("VI", "FAULT"))
    vrrp.flush()
    bench.until(lambda: bench.ipvs.sync_daemons == {False: daemon})
    both = SyncDaemonSettings(daemon=daemon._replace(sync_id=9))
    bench.reload(only(virtual(1, real(1)), sync_daemon=both))
    assert sorted(bench.ipvs.sync_daemons) == [False, True]
    bench.reload(only(virtual(1, real(1))))
    assert bench.ipvs.sync_daemons == {}


def test_a_bfd_session_takes_a_server_down_and_is_the_reason(bench: Bench) -> None:
    check = BfdCheckSettings(timing=CheckTiming(), name="b1")
    bench.start(only(virtual(1, real(1, check), real(2))))
    bfd = bench.peer("bfd")
    bfd.post_state("b1", SessionVerdict("b1", False))
    bfd.flush()
    bench.until(lambda: bench.table() == {1: {2: 1}})
    bench.until(lambda: any(isinstance(h, Happening) and h.because == ("bfd_instance b1",) for h in bench.heard))
    bfd.post_state("b1", SessionVerdict("b1", True))
    bfd.flush()
    bench.until(lambda: bench.table() == {1: {1: 1, 2: 1}})


def test_ha_suspend_checks_only_where_the_address_is(bench: Bench) -> None:
    refused = TcpCheckSettings(timing=FAST, target=ConnectTarget(address="127.0.0.1", port=1, timeout=SECOND))
    bench.start(only(virtual(1, real(1, refused), ha_suspend=True)))
    bench.until(lambda: bool(bench.state.status()["virtual_servers"]))
    assert bench.state.status()["virtual_servers"][0]["suspended"]
    bench.kernel.links.add_address("eth0", packed("10.0.0.1"), 24)
    bench.until(lambda: bench.table() == {1: {}})
    bench.kernel.links.remove_address("eth0", packed("10.0.0.1"))
    bench.until(lambda: bench.state.status()["virtual_servers"][0]["suspended"])


def test_a_reload_that_ends_ha_suspend_has_checks_again(bench: Bench) -> None:
    """Of checkers that it brings, too."""
    slow = msgspec.structs.replace(FAST, warmup=3600 * SECOND)
    kept, fresh = (
        TcpCheckSettings(timing=timing, target=ConnectTarget(address="127.0.0.1", port=1, timeout=SECOND))
        for timing in (FAST, slow)
    )
    bench.start(only(virtual(1, real(1, kept), ha_suspend=True)))
    bench.until(lambda: bool(bench.state.status()["virtual_servers"]))
    assert bench.state.status()["virtual_servers"][0]["suspended"]
    applied = bench.reload(only(virtual(1, real(1, kept, fresh), real(2))))
    assert applied.changes.changed == ("[10.0.0.1]:tcp:80",)
    bench.until(lambda: bench.table() == {1: {2: 1}})


def test_drift_is_put_back_and_told(bench: Bench) -> None:
    bench.start(only(virtual(1, real(1))))
    assert bench.worker is not None
    bench.worker.audit_soon()
    key = next(iter(bench.ipvs.table))
    bench.ipvs.table[key][1].pop(DestinationKey(packed("10.0.1.1"), 80))
    bench.until(lambda: bench.table() == {1: {1: 1}})
    bench.until(
        lambda: ("ipvs_drift", "virtual_server [10.0.0.1]:tcp:80", "", "changed_by_others") in bench.happenings()
    )
    bench.until(lambda: bench.state.status().get("drifts") == 1)


GROUP = VirtualServerSettings(
    name="[g]:0",
    protocol=6,
    group="g",
    members=(Members(AF_INET, 6, packed("10.0.0.1"), 2, 80), Members(AF_INET, 6, packed("10.0.0.9"), 1, 81)),
    real_servers=(real(1),),
)
EACH = ["[10.0.0.1]:tcp:80", "[10.0.0.2]:tcp:80", "[10.0.0.9]:tcp:81"]


def test_members_of_a_group_share_a_mark(bench: Bench) -> None:
    marks = MarksSettings(first_mark=2000)
    first = only(GROUP, virtual(5, real(1)), marks=marks)
    bench.start(first)
    assert [key.fwmark for key in bench.ipvs.table] == [2000, 0]
    assert bench.marks.marked == [Marked(2000, GROUP.members)]
    second = msgspec.structs.replace(GROUP, name="[g]:1", protocol=17)
    bench.reload(keep_marks(first, only(second, GROUP, marks=marks)))
    assert [each.mark for each in bench.marks.marked] == [2001, 2000]  # those that stay keep theirs
    bench.reload(only(GROUP, virtual(5, real(1))))
    assert sorted(key.text for key in bench.ipvs.table if key.address[3] != 5) == EACH
    assert bench.marks.marked == []


def test_marks_are_where_ipvs_is(bench: Bench) -> None:
    """And stay there, as a reload leaves them."""
    bench.start(only(GROUP, marks=MarksSettings()), namespace="lvs")
    assert (bench.namespace, bench.marks.namespace) == ("lvs", "lvs")
    bench.reload(only(GROUP, marks=MarksSettings(table="other")))
    assert (bench.namespace, bench.marks.namespace) == ("lvs", "lvs")


def test_without_nftables_each_address_has_a_service(bench: Bench) -> None:
    bench.marks.error = errno.EOPNOTSUPP
    bench.start(only(GROUP, marks=MarksSettings()))
    assert sorted(key.text for key in bench.ipvs.table) == EACH
    bench.until(lambda: any("nftables_ipvs cannot mark packets" in line for line in bench.log()))


def test_a_group_that_has_one_protocol_less_goes_on_with_the_other(bench: Bench) -> None:
    """Though its name has a lower number now."""
    udp = msgspec.structs.replace(GROUP, name="[g]:1", protocol=17, members=(Members(AF_INET, 17, packed("10.0.0.1")),))
    bench.start(only(GROUP, udp))
    applied = bench.reload(only(msgspec.structs.replace(udp, name="[g]:0")))
    assert (applied.changes.changed, applied.changes.removed) == (("[g]:0",), ("[g]:0",))
    assert {key.protocol for key in bench.ipvs.table} == {17}
    bench.until(lambda: [v["name"] for v in bench.state.status()["virtual_servers"]] == ["[g]:0"])
    bench.until(lambda: len(bench.happenings()) >= 2)
    assert [h[0] for h in bench.happenings()] == ["real_server", "virtual_server"], "of one virtual server alone"


def test_services_of_marks_that_are_not_to_be_had_are_not_touched(bench: Bench) -> None:
    """They are somebody else's."""
    foreign = ServiceKey(AF_INET, fwmark=1000)
    bench.ipvs.table[foreign] = (Service(foreign, "rr"), {})
    bench.marks.error = errno.EOPNOTSUPP
    bench.start(only(GROUP, marks=MarksSettings()))
    bench.stop()
    assert list(bench.ipvs.table) == [foreign]


def test_marks_go_with_the_agent(bench: Bench) -> None:
    bench.start(only(GROUP, marks=MarksSettings()))
    bench.stop()
    assert bench.marks.marked == []
    assert bench.ipvs.table == {}


def configured(*servers: VirtualServerSettings) -> AgentConfiguration:
    return AgentConfiguration(revision=str(len(servers)), file="f", checkers=msgspec.msgpack.encode(only(*servers)))


def test_what_a_dead_worker_left_goes_when_nobody_knows_of_it_any_more(bench: Bench) -> None:
    foreign = ServiceKey(AF_INET, 6, packed("10.9.9.9"), 80)
    bench.ipvs.table[foreign] = (Service(foreign, "rr"), {})
    bench.start(only(virtual(1, real(1)), virtual(2, real(1))))
    before = configured(virtual(1, real(1)), virtual(2, real(1)))
    assert reclaim_replaced([before], configured(virtual(2, real(1))), lambda _namespace: bench.ipvs) == 0
    assert bench.table() == {2: {1: 1}, 9: {}}
    assert reclaim_at_end([before], lambda _namespace: bench.ipvs) == 0
    assert bench.table() == {9: {}}


def test_the_marks_of_a_dead_worker_are_known(bench: Bench) -> None:
    """A reload has changed none: those of the next worker are the same, and so are those that nobody has any more."""
    udp = msgspec.structs.replace(GROUP, name="[g]:1", protocol=17)
    first = only(GROUP, udp, marks=MarksSettings())
    bench.start(first)
    assert [key.fwmark for key in bench.ipvs.table] == [1000, 1001]
    second = keep_marks(first, only(udp, marks=MarksSettings()))
    before, after = (
        AgentConfiguration(revision="r", file="f", checkers=msgspec.msgpack.encode(each)) for each in (first, second)
    )
    assert reclaim_replaced([before], after, lambda _namespace: bench.ipvs) == 0
    assert [key.fwmark for key in bench.ipvs.table] == [1001]
    other = Bench(bench.folder)
    other.ipvs.table = bench.ipvs.table
    other.start(second)
    assert [key.fwmark for key in bench.ipvs.table] == [1001]
    other.stop()
    other.close()
    assert bench.ipvs.table == {}

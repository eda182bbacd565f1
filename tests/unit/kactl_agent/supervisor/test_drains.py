"""The orders that the supervisor keeps, with this test as the vrrp worker and the observer, in virtual time."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.drain_frames import ALL, DrainOrder, DrainOutcome, DrainRequest, Drains, DrainsApplied
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.supervisor.drains import DrainRecord, KeptDrains
from kactl_agent.supervisor.poller import TimerHandle
from kactl_agent.supervisor.run_dir import RunDirectory
from kactl_agent.vrrp.settings import SECOND, SyncGroupSettings, VrrpSettings
from support.vrrp import make_settings

GROUP = SyncGroupSettings(name="G", members=("B", "C"))


def instances(*names: str) -> tuple[VrrpSettings, ...]:
    return tuple(make_settings(name=name, virtual_router_id=ord(name)) for name in names)


OLD = AgentConfiguration(revision="1", file="f", vrrp=instances("A", "B", "C"), sync_groups=(GROUP,))


class Time:
    """The part of a Poller that waits."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._timers: list[tuple[float, TimerHandle]] = []

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        handle = TimerHandle(callback)
        self._timers.append((self.now + seconds, handle))
        return handle

    def run(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self._timers if timer[0] <= self.now]
        self._timers = [timer for timer in self._timers if timer[0] > self.now]
        for _, handle in due:
            if handle.callback is not None:
                handle.callback()


class Record:
    """It outlives an agent."""

    def __init__(self) -> None:
        self.orders: tuple[DrainOrder, ...] = ()

    def read(self) -> tuple[DrainOrder, ...]:
        return self.orders

    def write(self, orders: tuple[DrainOrder, ...]) -> None:
        self.orders = orders

    def remove(self) -> None:
        self.orders = ()


class Host:
    """Everything else of the supervisor."""

    def __init__(self) -> None:
        self.configuration = OLD
        self.running = True
        self.worker: list[frames.Frame] = []
        self.observer: list[frames.Frame] = []
        self.time = Time()
        self.record = Record()
        self.logged: list[str] = []
        self.drains = self.agent()
        self._serial = 0

    def agent(self) -> KeptDrains:
        return KeptDrains(self, self.time, self.record, lambda: round(self.time.now * 1e9))

    def to_vrrp(self, frame: frames.Frame) -> bool:
        if self.running:
            self.worker.append(frame)
        return self.running

    def tell_observer(self, frame: frames.Frame) -> None:
        self.observer.append(frame)

    def log(self, level: str, message: str) -> None:
        self.logged.append(message)

    # what the test does

    def drain(self, target: str, *, answered: bool = True, **more: object) -> int:
        self._serial += 1
        self.drains.request(msgspec.convert({"serial": self._serial, "target": target} | more, DrainRequest))
        if answered and self.worker:
            self.drains.applied(DrainsApplied(self.orders_sent.serial))
        return self._serial

    def undrain(self, target: str) -> int:
        return self.drain(target, undrain=True, answered=False)

    @property
    def orders_sent(self) -> Drains:
        frame = self.worker[-1]
        assert isinstance(frame, Drains)
        return frame

    @property
    def targets_sent(self) -> list[str]:
        return [order.target for order in self.orders_sent.orders]

    def outcome(self, serial: int) -> DrainOutcome:
        (found,) = [frame for frame in self.observer if isinstance(frame, DrainOutcome) and frame.serial == serial]
        return found

    @property
    def journal(self) -> list[tuple[str, str]]:
        return [(frame.kind, frame.subject) for frame in self.observer if isinstance(frame, Happening)]


@pytest.fixture
def host() -> Host:
    return Host()


def test_an_order_is_followed_kept_and_answered(host: Host) -> None:
    serial = host.drain("B", reason="disk", ttl=3600 * SECOND)
    (order,) = host.orders_sent.orders
    assert (order.target, order.reason, order.until) == ("B", "disk", 3600 * SECOND)
    assert host.outcome(serial) == DrainOutcome(serial, True, "B is drained: disk", ("B", "C"))
    assert host.journal == [("drain", "vrrp_instance B")]
    assert host.drains.orders == (order,)
    assert Drains(0, (order,)) in host.observer


def test_it_is_not_answered_before_the_worker_has_done_it(host: Host) -> None:
    host.drain("B", answered=False)
    assert not any(isinstance(frame, DrainOutcome) for frame in host.observer)


def test_whoever_is_not_there_cannot_be_drained(host: Host) -> None:
    serial = host.drain("X")
    assert host.outcome(serial).ok is False
    assert "there is: A, B, C, G" in host.outcome(serial).message
    assert host.worker == []


def test_undrained_by_the_name_of_an_instance_or_its_group(host: Host) -> None:
    for drained, undrained in (("B", "G"), ("G", "B"), ("G", "G"), ("B", "C"), ("A", "A")):
        host.drain(drained)
        serial = host.undrain(undrained)
        assert host.outcome(serial).ok, (drained, undrained)
        assert host.targets_sent == []
    assert host.undrain("A")
    assert host.outcome(host.undrain("A")).message == "A is not drained"


def test_all_is_all(host: Host) -> None:
    host.drain("A")
    host.drain(ALL, reason="rack")
    serial = host.undrain("A")
    assert "--all" in host.outcome(serial).message
    assert host.targets_sent == ["A", ALL]
    host.undrain(ALL)
    assert host.targets_sent == []
    assert host.outcome(host.undrain(ALL)).ok is False


def test_the_time_to_live_ends_it_and_another_order_another_one(host: Host) -> None:
    host.drain("A", ttl=100 * SECOND)
    host.time.run(60)
    host.drain("A", ttl=100 * SECOND)
    host.time.run(60)
    assert host.targets_sent == ["A"]
    host.time.run(41)
    assert host.targets_sent == []
    assert host.journal[-1] == ("undrain", "vrrp_instance A")
    host.drain("A", ttl=100 * SECOND)
    host.drain("A")
    host.time.run(1000)
    assert host.targets_sent == ["A"]


def test_undrained_in_time_it_does_not_end_another_order(host: Host) -> None:
    host.drain("A", ttl=100 * SECOND)
    host.undrain("A")
    host.drain("A")
    host.time.run(1000)
    assert host.targets_sent == ["A"]


def test_require_peer_refused_it_is_no_order_any_more(host: Host) -> None:
    host.drain("A")
    serial = host.drain("G", answered=False, require_peer=True)
    assert [order.require_peer for order in host.orders_sent.orders] == [False, True]
    host.drains.applied(DrainsApplied(host.orders_sent.serial, ("B",)))
    assert host.outcome(serial).ok is False
    assert "no other router took over from B" in host.outcome(serial).message
    assert host.targets_sent == ["A"]  # C, which somebody took over from, is undrained as well
    assert host.journal[-1] == ("drain_refused", "vrrp_sync_group G")
    host.time.run(1000)


def test_require_peer_granted_it_is_an_order_like_others(host: Host) -> None:
    serial = host.drain("A", require_peer=True)
    assert host.outcome(serial).ok
    assert [order.require_peer for order in host.drains.orders] == [False]
    host.drain("G")
    assert [order.require_peer for order in host.orders_sent.orders] == [False, False]


def test_require_peer_where_the_protocol_takes_longer_than_a_request_may(host: Host) -> None:
    slow = make_settings(name="A", virtual_router_id=65, advert_interval=100 * SECOND)
    host.configuration = msgspec.structs.replace(OLD, vrrp=(slow, *OLD.vrrp[1:]))
    assert "up to 200 s" in host.outcome(host.drain("A", require_peer=True)).message
    assert host.worker == []
    assert host.outcome(host.drain("A")).ok
    assert host.outcome(host.drain("G", require_peer=True)).ok


def test_a_request_while_the_same_is_under_way_is_refused(host: Host) -> None:
    host.drain("A", answered=False, require_peer=True)
    assert "already" in host.outcome(host.drain("A", answered=False)).message


def test_without_a_worker_the_next_one_starts_drained(host: Host) -> None:
    host.running = False
    serial = host.drain("A")
    assert host.outcome(serial).ok
    assert [order.target for order in host.drains.orders] == ["A"]


def test_a_worker_that_dies_in_the_middle_is_followed_by_a_drained_one(host: Host) -> None:
    serial = host.drain("A", answered=False, require_peer=True)
    host.drains.worker_lost()
    assert host.outcome(serial).ok
    assert [(order.target, order.require_peer) for order in host.drains.orders] == [("A", False)]


def test_a_worker_that_hangs_is_said_to(host: Host) -> None:
    serial = host.drain("A", answered=False)
    host.time.run(11)
    assert host.outcome(serial).ok is False
    assert "does not answer" in host.outcome(serial).message
    host.drains.applied(DrainsApplied(host.orders_sent.serial))  # too late for an answer
    assert [order.target for order in host.drains.orders] == ["A"]


def test_an_order_that_the_worker_answers_late_ends_with_its_time(host: Host) -> None:
    host.drain("A", answered=False, ttl=100 * SECOND)
    host.time.run(11)
    host.drains.applied(DrainsApplied(host.orders_sent.serial))
    host.time.run(88)
    assert host.targets_sent == ["A"]
    host.time.run(1)
    assert host.targets_sent == []


def test_an_order_that_is_never_answered_ends_with_its_time(host: Host) -> None:
    host.drain("A", answered=False, ttl=100 * SECOND)
    host.time.run(11)
    host.time.run(89)
    assert host.drains.orders == ()
    assert host.targets_sent == []


def test_a_refusal_that_comes_late_is_one(host: Host) -> None:
    serial = host.drain("A", answered=False, require_peer=True)
    sent = host.orders_sent.serial
    host.time.run(13)
    assert "does not answer" in host.outcome(serial).message
    host.drains.applied(DrainsApplied(sent, ("A",)))
    assert host.drains.orders == ()
    assert host.targets_sent == []
    assert host.outcome(serial).ok is False  # answered once
    assert host.journal[-1] == ("drain_refused", "vrrp_instance A")


def test_a_refusal_that_comes_late_does_not_end_the_order_after_it(host: Host) -> None:
    host.drain("A", answered=False, require_peer=True)
    first = host.orders_sent.serial
    host.time.run(13)
    serial = host.drain("A", ttl=1000 * SECOND)
    assert host.outcome(serial).ok
    host.drains.applied(DrainsApplied(first, ("A",)))
    assert host.targets_sent == ["A"]  # said again: the worker has undrained it
    assert host.orders_sent.serial > first + 1
    assert ("drain_refused", "vrrp_instance A") not in host.journal


def test_an_order_that_comes_late_counts_as_settled(host: Host) -> None:
    host.drain("A", answered=False, require_peer=True)
    sent = host.orders_sent.serial
    host.time.run(13)
    host.drains.applied(DrainsApplied(sent))
    host.drain("G")
    assert [order.require_peer for order in host.orders_sent.orders] == [False, False]


@pytest.mark.parametrize("refused", [(), ("A",)])
def test_undrained_before_the_worker_has_answered_it_stays_undrained(host: Host, refused: tuple[str, ...]) -> None:
    drain = host.drain("A", answered=False, require_peer=True)
    sent = host.orders_sent.serial
    undrain = host.undrain("A")
    assert host.outcome(undrain).ok
    assert host.outcome(drain).message == "A is not drained: it was undrained meanwhile"
    host.drains.applied(DrainsApplied(sent, refused))
    assert host.drains.orders == ()
    assert host.targets_sent == []
    assert host.journal == [("drain", "vrrp_instance A"), ("undrain", "vrrp_instance A")]


def test_a_time_to_live_that_ends_before_the_answer(host: Host) -> None:
    serial = host.drain("A", answered=False, require_peer=True, ttl=SECOND)
    host.time.run(1)
    assert host.outcome(serial).message == "A is not drained: the time it was to be drained for is over"
    assert host.targets_sent == []


def test_what_is_renamed_or_gone_before_the_worker_has_answered(host: Host) -> None:
    gone = host.drain("G", answered=False)
    renamed = host.drain("A", answered=False, ttl=100 * SECOND)
    sent = host.orders_sent.serial
    new = msgspec.structs.replace(OLD, vrrp=(msgspec.structs.replace(OLD.vrrp[0], name="Z"),), sync_groups=())
    host.drains.adopted(OLD, new)
    host.configuration = new
    assert host.outcome(gone).message == "G is not drained: it is not in the configuration any more"
    host.drains.applied(DrainsApplied(sent - 1))
    host.drains.applied(DrainsApplied(sent))
    assert host.outcome(renamed).message == "Z is drained"
    assert [order.target for order in host.drains.orders] == ["Z"]
    host.time.run(100)
    assert host.drains.orders == ()


def test_who_leaves_a_drained_group_is_undrained(host: Host) -> None:
    for target, left in (("G", ["G"]), ("B", ["B"])):
        host.drain(target)
        sent = host.orders_sent.serial
        new = msgspec.structs.replace(OLD, sync_groups=(SyncGroupSettings(name="G", members=("B", "A")),))
        host.drains.adopted(OLD, new)
        assert host.targets_sent == left
        assert host.orders_sent.serial > sent  # the worker undrains C
        host.undrain(target)


def test_members_of_a_drained_group_that_are_only_renamed_say_nothing(host: Host) -> None:
    host.drain("G")
    sent = len(host.worker)
    vrrp = (OLD.vrrp[0], msgspec.structs.replace(OLD.vrrp[1], name="Y"), OLD.vrrp[2])
    group = SyncGroupSettings(name="G", members=("Y", "C"))
    host.drains.adopted(OLD, msgspec.structs.replace(OLD, vrrp=vrrp, sync_groups=(group,)))
    assert len(host.worker) == sent


def test_a_name_that_another_instance_has_now_does_not_drain_it(host: Host) -> None:
    host.drain("B")
    a_named_b = (msgspec.structs.replace(OLD.vrrp[0], name="B"),)
    host.drains.adopted(OLD, AgentConfiguration(revision="2", file="f", vrrp=a_named_b))
    assert host.targets_sent == []


def test_a_reload_keeps_what_is_there_renamed_or_not_and_forgets_the_rest(host: Host) -> None:
    for target in ("A", "G", ALL):
        host.drain(target, ttl=1000 * SECOND)
    renamed = (msgspec.structs.replace(OLD.vrrp[0], name="Z"), *OLD.vrrp[1:])
    new = msgspec.structs.replace(OLD, vrrp=renamed)
    host.drains.adopted(OLD, new)
    host.configuration = new
    assert host.targets_sent == ["Z", "G", ALL]
    newer = AgentConfiguration(revision="3", file="f", vrrp=renamed[:1])
    host.drains.adopted(new, newer)
    host.configuration = newer
    assert host.targets_sent == ["Z", ALL]
    host.time.run(1001)
    assert host.targets_sent == []


def test_a_reload_that_changes_nobody_says_nothing(host: Host) -> None:
    host.drain("A")
    sent = len(host.worker)
    host.drains.adopted(OLD, msgspec.structs.replace(OLD, revision="2"))
    assert len(host.worker) == sent


def test_a_new_observer_is_told(host: Host) -> None:
    host.drain("A")
    host.observer.clear()
    host.drains.observer_started()
    assert host.observer == [Drains(0, host.drains.orders)]


def test_reasons_are_bounded(host: Host) -> None:
    host.drain("A", reason="x" * 60_000)
    assert len(host.drains.orders[0].reason) == 500


def killed(host: Host) -> None:
    """And another agent starts; timers of the one before do nothing any more."""
    host.time = Time(host.time.now)
    host.worker.clear()
    host.drains = host.agent()
    host.drains.take_up()


def test_what_is_drained_stays_so_when_the_agent_is_killed(host: Host) -> None:
    host.drain("A", reason="disk")
    host.drain("G", ttl=100 * SECOND)
    host.time.run(40)
    before = host.drains.orders
    killed(host)
    assert host.drains.orders == before
    assert host.logged == [
        "A stays drained (disk): the agent before was killed",
        "G stays drained: the agent before was killed",
    ]
    host.time.run(59)
    assert host.drains.orders == before
    host.time.run(1)
    assert [order.target for order in host.drains.orders] == ["A"]


def test_what_is_over_undrained_or_not_there_any_more_is_not_taken_up(host: Host) -> None:
    for target, ttl in (("A", None), ("G", 10 * SECOND), (ALL, None)):
        host.drain(target, ttl=ttl)
    host.undrain(ALL)
    assert host.record.orders == ()
    for target, ttl in (("A", None), ("G", 10 * SECOND)):
        host.drain(target, ttl=ttl)
    host.time.now += 10
    host.configuration = msgspec.structs.replace(OLD, vrrp=OLD.vrrp[1:])
    killed(host)
    assert host.drains.orders == ()


def test_an_orderly_end_of_the_agent_ends_it(host: Host) -> None:
    host.drain("A")
    host.drains.end()
    killed(host)
    assert host.drains.orders == ()


def test_what_is_not_settled_is_not_taken_up(host: Host) -> None:
    host.drain("A")
    host.drain("G", answered=False, require_peer=True)
    host.drains.observer_started()
    assert [order.target for order in host.record.orders] == ["A"]


def test_the_record_is_read_by_the_next_agent(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    orders = (DrainOrder(target="A", reason="disk", at=1, until=2), DrainOrder(target=ALL))
    record = DrainRecord(RunDirectory(tmp_path), lambda *line: said.append(line))
    assert record.read() == ()
    record.write(())
    assert list(tmp_path.iterdir()) == []
    record.write(orders)
    record = DrainRecord(RunDirectory(tmp_path), lambda *line: said.append(line))
    assert record.read() == orders
    record.write(())  # nobody of them is there any more
    assert DrainRecord(RunDirectory(tmp_path), lambda *line: said.append(line)).read() == ()
    record.write(orders)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    record.remove()
    assert (record.read(), said) == ((), [])


def test_a_record_that_cannot_be_read_or_written_is_said_to(tmp_path: Path) -> None:
    said: list[str] = []
    record = DrainRecord(RunDirectory(tmp_path), lambda _level, text: said.append(text))
    (tmp_path / "drains.msgpack").write_bytes(b"\xc1")
    assert record.read() == ()
    assert said[0].startswith("what was drained by the agent before cannot be read, and is not any more: ")
    (tmp_path / "drains.new").mkdir()
    record.write((DrainOrder(target="A"),))
    assert said[1].endswith("drains.msgpack: Is a directory")

"""Drained instances, and instances that have stood still."""

from __future__ import annotations

import pytest

from kactl_agent.vrrp.actions import (
    AddAddresses,
    Announce,
    Drain,
    GroupTransition,
    PriorityContribution,
    RemoveAddresses,
    Report,
    Shutdown,
    Stalled,
    Startup,
    State,
    TrackerFault,
    Transition,
    Undrain,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SECOND, SyncGroupSettings
from kactl_agent.vrrp.sync_group import SyncGroup
from support.vrrp import (
    PEER,
    PEER_LOW,
    VIP,
    advert,
    due,
    interface,
    make_settings,
    master,
    of,
    sent,
    started,
    transition,
)

DOWN_100 = 3 * SECOND + 156 * SECOND // 256
HANDOVER = 255 * SECOND // 256 + SECOND  # Skew_Time of priority 1, and one interval


def pass_time(instance: VrrpInstance, now: int, seconds: int) -> list[Transition]:
    """Let the timers run."""
    end, transitions = now + seconds * SECOND, []
    while (deadline := instance.deadline()) is not None and deadline <= end:
        transitions += of(Transition, instance.handle_timer(deadline))
    return transitions


# -- drain -------------------------------------------------------------------------------------------------------------


def test_a_master_that_is_drained_hands_over_once_and_stays_a_backup() -> None:
    instance, now = master()
    actions = instance.handle_event(Drain("kernel update"), now)
    assert sent(actions) == [0]  # RFC 9568 6.4.3 Shutdown: priority 0 first, so that a backup takes over in Skew_Time
    assert of(RemoveAddresses, actions) == [RemoveAddresses((VIP,))]
    assert transition(actions).cause == "drained"
    assert transition(actions).detail == "drained: kernel update"
    assert instance.state is State.BACKUP
    assert pass_time(instance, now, 60) == []
    assert (instance.snapshot().drained, instance.drained) == ("kernel update", Drain("kernel update"))


def test_nobody_being_master_is_said_once() -> None:
    instance, now = master()
    instance.handle_event(Drain(), now)
    reports: list[Report] = []
    for _ in range(5):
        now = due(instance)
        reports += of(Report, instance.handle_timer(now))
    assert [report.code for report in reports] == ["drained_without_master"]


@pytest.mark.parametrize("priority", [1, 100, 255])
def test_whoever_advertises_is_the_master_of_one_that_is_drained(priority: int) -> None:
    instance, now = master(priority=200)
    instance.handle_event(Drain(), now)
    instance.receive(*advert(priority, PEER_LOW), now + SECOND)
    assert instance.snapshot().master == PEER_LOW
    assert instance.snapshot().master_priority == priority
    instance.receive(*advert(0, PEER_LOW), now + 2 * SECOND)
    assert pass_time(instance, now + 2 * SECOND, 30) == []


def test_an_owner_is_held_too() -> None:
    instance, now = master(priority=255)
    assert transition(instance.handle_event(Drain(), now)).new is State.BACKUP
    instance.handle_event(interface(up=False), now)
    assert transition(instance.handle_event(interface(), now)).new is State.BACKUP
    assert pass_time(instance, now, 30) == []


@pytest.mark.parametrize("priority", [100, 255])
def test_drained_before_its_start_it_starts_as_a_backup(priority: int) -> None:
    instance = VrrpInstance(make_settings(priority=priority, start_as_master=True))
    instance.handle_event(interface(), 0)
    assert instance.handle_event(Drain("x"), 0) == []
    assert transition(instance.handle_event(Startup(), 0)).new is State.BACKUP
    assert pass_time(instance, 0, 30) == []


def test_a_fault_and_its_end_change_nothing_about_it() -> None:
    instance, now = master()
    instance.handle_event(TrackerFault("t", True), now)
    assert instance.handle_event(Drain(), now) == []
    assert transition(instance.handle_event(TrackerFault("t", False), now)).new is State.BACKUP
    assert pass_time(instance, now, 30) == []


def test_a_reload_changes_nothing_about_it() -> None:
    instance, now = master()
    instance.handle_event(Drain(), now)
    instance.reconfigure(make_settings(priority=255, advert_interval=SECOND // 10), now)
    instance.handle_event(PriorityContribution("a", 50), now)
    assert pass_time(instance, now, 30) == []


def test_undrained_it_is_a_backup_like_others() -> None:
    instance, now = master()
    instance.handle_event(Drain(), now)
    assert instance.handle_event(Undrain(), now + SECOND) == []
    assert due(instance) == now + SECOND + DOWN_100  # as after a fault: the whole Master_Down_Interval
    assert instance.snapshot().drained is None
    assert transition(instance.handle_timer(due(instance))).new is State.MASTER


def test_undrained_it_preempts_by_the_rules_of_preemption() -> None:
    for preempt, state in ((True, State.MASTER), (False, State.BACKUP)):
        instance, now = master(preempt=preempt)
        instance.handle_event(Drain(), now)
        instance.handle_event(Undrain(), now)
        for _ in range(50):
            now += SECOND // 10
            instance.receive(*advert(50, advert_interval=SECOND // 10), now)
            if due(instance) <= now:
                instance.handle_timer(now)
        assert instance.state is state


def test_undrain_of_what_is_not_drained_is_nothing() -> None:
    instance, now = master()
    assert instance.handle_event(Undrain(), now) == []
    assert instance.state is State.MASTER


def test_drained_again_it_has_another_reason() -> None:
    instance, now = master()
    instance.handle_event(Drain("one", require_peer=True), now)
    assert instance.handing_over
    assert instance.handle_event(Drain("two"), now) == []
    assert instance.snapshot().drained == "two"
    assert not instance.handing_over
    assert pass_time(instance, now, 30) == []


def test_a_shutdown_while_drained_is_orderly() -> None:
    instance, now = master()
    instance.handle_event(Drain(), now)
    assert transition(instance.handle_event(Shutdown(), now)).new is State.INIT
    assert instance.deadline() is None


# -- drain with require_peer -------------------------------------------------------------------------------------------


def test_require_peer_a_router_that_takes_over_in_time_makes_it_final() -> None:
    instance, now = master()
    instance.handle_event(Drain("x", require_peer=True), now)
    assert instance.snapshot().handing_over
    instance.receive(*advert(1, PEER_LOW), now + HANDOVER - 1)
    assert not instance.handing_over
    assert pass_time(instance, now, 60) == []


def test_require_peer_nobody_takes_over_and_it_takes_back() -> None:
    instance, now = master()
    instance.handle_event(Drain("x", require_peer=True), now)
    assert due(instance) == now + HANDOVER
    actions = instance.handle_timer(due(instance))
    back = transition(actions)
    assert (back.new, back.cause) == (State.MASTER, "drain_refused")
    assert back.detail.startswith("no other router took over within 1.996 s")
    assert [report.code for report in of(Report, actions)] == ["drain_refused"]
    assert sent(actions) == [100]
    assert of(AddAddresses, actions)
    assert of(Announce, actions)
    assert instance.drained is None


def test_require_peer_a_backup_that_knows_its_master_has_nothing_to_wait_for() -> None:
    instance = started()
    instance.receive(*advert(200, PEER), SECOND)
    assert instance.handle_event(Drain(require_peer=True), SECOND) == []
    assert not instance.handing_over
    assert pass_time(instance, SECOND, 30) == []


def test_require_peer_a_backup_without_a_master_waits_no_shorter_than_without_it() -> None:
    instance = started()
    instance.handle_event(Drain(require_peer=True), SECOND)
    assert instance.handing_over
    assert due(instance) == DOWN_100
    assert transition(instance.handle_timer(DOWN_100)).new is State.MASTER
    assert instance.drained is None


def test_require_peer_says_nothing_about_an_instance_that_serves_nobody() -> None:
    instance, now = master()
    instance.handle_event(TrackerFault("t", True), now)
    instance.handle_event(Drain(require_peer=True), now)
    assert not instance.handing_over


# -- sync groups -------------------------------------------------------------------------------------------------------


class Members:
    """A sync group of two masters."""

    def __init__(self) -> None:
        names = ("A", "B")
        self.engines = {n: VrrpInstance(make_settings(name=n, sync_group="G")) for n in names}
        self.group = SyncGroup(SyncGroupSettings(name="G", members=names), self.engines)
        for engine in self.engines.values():
            engine.handle_event(interface(), 0)
        for event in (Startup(), None, None):
            for name, engine in self.engines.items():
                actions = engine.handle_timer(DOWN_100) if event is None else engine.handle_event(event, 0)
                self.group.follow(name, actions, DOWN_100 if event is None else 0)
        assert self.group.state is State.MASTER

    def tell(self, name: str, event: Drain | Undrain, now: int) -> list[tuple[str, object]]:
        return list(self.group.follow(name, self.engines[name].handle_event(event, now), now))

    def run(self, now: int) -> list[tuple[str, object]]:
        return [
            result
            for name, engine in self.engines.items()
            if (engine.deadline() or now + 1) <= now
            for result in self.group.follow(name, engine.handle_timer(now), now)
        ]


def test_a_drained_member_drains_the_other_masters_of_its_group() -> None:
    members, now = Members(), 10 * SECOND
    told = members.tell("A", Drain("x"), now)
    assert {name for name, action in told if isinstance(action, Transition)} == {"A", "B"}
    assert {a.cause for _, a in told if isinstance(a, Transition)} == {"drained"}
    assert len([a for _, a in told if isinstance(a, GroupTransition)]) == 1
    assert all(engine.drained == Drain("x") for engine in members.engines.values())
    assert members.tell("B", Drain("x"), now) == []
    for second in range(60):
        assert not [a for _, a in members.run(now + second * SECOND) if isinstance(a, Transition)]


def test_require_peer_a_group_that_nobody_takes_over_from_is_master_as_a_whole_again() -> None:
    members, now = Members(), 10 * SECOND
    members.tell("A", Drain("x", require_peer=True), now)
    told = members.run(now + HANDOVER)
    assert members.group.state is State.MASTER
    assert {a.new for _, a in told if isinstance(a, GroupTransition)} == {State.MASTER}
    assert not any(engine.drained for engine in members.engines.values())


# -- pauses ------------------------------------------------------------------------------------------------------------


def paused(**changes: object) -> tuple[VrrpInstance, int]:
    """A master that has just noticed that it was silent for too long."""
    instance, now = master(**changes)
    now += 10 * SECOND
    actions = instance.handle_timer(now)
    assert sent(actions) == []
    assert of(Announce, actions) == []  # those of garp_master_delay are due, and have to wait too
    assert [report.code for report in of(Report, actions)] == ["stalled"]
    assert instance.snapshot().listening
    return instance, now


@pytest.mark.parametrize(("adverts", "counted"), [(1, 2), (2, 2), (3, 3), (7, 7)])
@pytest.mark.parametrize(("more", "listens"), [(0, False), (SECOND // 127, True)])
def test_a_master_listens_after_what_the_fastest_backup_waits(
    adverts: int, counted: int, more: int, listens: bool
) -> None:
    """Two intervals at least: with one, each timer that is a little late would be a pause."""
    instance, now = master(down_timer_adverts=adverts)
    assert sent(instance.handle_timer(now + counted * SECOND + more)) == ([] if listens else [100])
    assert instance.snapshot().listening is listens


def test_a_master_that_hears_nobody_is_master_and_announces_its_addresses_again() -> None:
    instance, now = paused()
    assert due(instance) == now + SECOND + SECOND // 4
    actions = instance.handle_timer(due(instance))
    assert sent(actions) == [100]
    assert of(Announce, actions) == [Announce((VIP,), 5)]
    assert [report.code for report in of(Report, actions)][-1] == "stall_over"
    assert not instance.snapshot().listening
    assert due(instance) == now + SECOND + SECOND // 4 + SECOND


def test_a_machine_that_slept_and_its_clock_with_it() -> None:
    instance, now = master()
    now += SECOND // 2
    assert instance.handle_event(Stalled(3 * SECOND), now) == []
    actions = instance.handle_event(Stalled(10 * SECOND), now)
    assert [report.code for report in of(Report, actions)] == ["stalled"]
    assert instance.snapshot().listening
    assert instance.handle_event(Stalled(10 * SECOND), now) == []
    instance, now = master(timer_expired_priority=254)
    assert transition(instance.handle_event(Stalled(10 * SECOND), now)).cause == "timer_expired"


@pytest.mark.parametrize(("priority", "source"), [(50, PEER), (1, PEER_LOW), (100, PEER_LOW)])
def test_a_router_that_has_taken_over_meanwhile_is_the_master(priority: int, source: bytes) -> None:
    """What came first was sent during the pause; before it is read nothing is said."""
    instance, now = master()
    actions = instance.receive(*advert(priority, source), now + 10 * SECOND)
    assert sent(actions) == []  # no priority 0 either: the others would look for a new master
    assert of(RemoveAddresses, actions)
    assert transition(actions).cause == "advert_after_stall"
    assert "stood still for 10.000 s" in transition(actions).detail
    evidence = transition(actions).evidence
    assert evidence is not None
    assert (evidence.stalled, evidence.stalled_age) == (10 * SECOND, 0)
    assert due(instance) == now + 10 * SECOND + DOWN_100


def test_back_by_the_rules_of_preemption() -> None:
    for preempt, state in ((True, State.MASTER), (False, State.BACKUP)):
        instance, now = paused(preempt=preempt)
        for _ in range(45):
            now += SECOND // 10
            instance.receive(*advert(50, advert_interval=SECOND // 10), now)
            if due(instance) <= now:
                instance.handle_timer(now)
        assert instance.state is state


def test_a_higher_priority_makes_it_yield_as_ever() -> None:
    instance, now = paused()
    assert transition(instance.receive(*advert(150), now)).cause == "advert_higher_priority"
    assert not instance.snapshot().listening


def test_what_happens_while_it_listens_does_not_make_it_speak() -> None:
    instance, now = paused()
    assert sent(instance.reconfigure(make_settings(priority=120), now)) == []
    assert sent(instance.handle_event(PriorityContribution("a", 5), now)) == []
    assert instance.snapshot().listening


def test_a_backup_that_did_not_listen_waits_once_more() -> None:
    instance = started()
    instance.receive(*advert(200), SECOND)
    late = 20 * SECOND
    actions = instance.handle_event(Stalled(18 * SECOND), late)
    assert [report.code for report in of(Report, actions)] == ["stalled"]
    assert due(instance) == late + DOWN_100
    assert transition(instance.handle_timer(due(instance))).evidence is not None


def test_a_short_pause_is_none() -> None:
    instance = started()
    deadline = due(instance)
    assert instance.handle_event(Stalled(DOWN_100), SECOND) == []
    assert due(instance) == deadline


# -- late adverts ------------------------------------------------------------------------------------------------------


def test_adverts_later_than_a_tenth_of_their_interval_are_named_but_not_each() -> None:
    instance, now = master()
    assert of(Report, instance.handle_timer(now + SECOND + SECOND // 10)) == []
    codes, details = [], []
    for _ in range(100):
        now = due(instance) + 200_000_000
        for report in of(Report, instance.handle_timer(now)):
            codes.append(report.code)
            details.append(report.detail)
    assert codes == ["advert_late"] * 2
    assert details[0].startswith("an advert was sent 200.0 ms late, of an interval of 1000 ms")
    assert instance.snapshot().statistics["adverts_late"] == 100

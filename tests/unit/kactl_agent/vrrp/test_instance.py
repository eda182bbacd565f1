"""The state machine of an instance, rule by rule (RFC 9568 6.4, RFC 3768 6.4, keepalived where it decides)."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.vrrp.actions import (
    ActionFailed,
    AddAddresses,
    AddressLost,
    Announce,
    Input,
    LowerPriorityReceived,
    RemoveAddresses,
    Report,
    SendAdvert,
    Shutdown,
    Startup,
    State,
    Transition,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.packet import IPV4_GROUP, IPV6_GROUP
from kactl_agent.vrrp.settings import CENTISECOND, SECOND, ChecksumForm, Family, ForeignRemoval, VirtualAddress
from support.vrrp import (
    LOCAL,
    LOCAL6,
    PEER,
    PEER6,
    PEER_LOW,
    VIP,
    advert,
    due,
    interface,
    make_settings,
    master,
    of,
    packed,
    sent,
    started,
    transition,
)

SKEW_100 = 609_375_000  # of priority 100 at 1 s
DOWN_100 = 3 * SECOND + SKEW_100


# -- Startup and Shutdown ---------------------------------------------------------------------------------------------


def test_rfc9568_6_4_1_startup_goes_to_backup_with_active_down_interval() -> None:
    instance = VrrpInstance(make_settings())
    assert instance.handle_event(interface(), 0) == []
    actions = instance.handle_event(Startup(), 5)
    assert actions[0] == RemoveAddresses((VIP,))  # what a killed predecessor may have left
    assert (transition(actions).old, transition(actions).new) == (State.INIT, State.BACKUP)
    assert sent(actions) == []
    assert instance.deadline() == 5 + DOWN_100


def test_rfc9568_6_4_1_startup_of_the_owner_goes_to_active_at_once() -> None:
    instance = VrrpInstance(make_settings(priority=255))
    instance.handle_event(interface(), 0)
    actions = instance.handle_event(Startup(), 7)
    assert [type(a) for a in actions] == [SendAdvert, AddAddresses, Announce, Transition]
    assert sent(actions) == [255]
    assert (instance.state, instance.deadline()) == (State.MASTER, 7 + SECOND)


def test_rfc9568_6_4_1_initialize_ignores_adverts_and_timers() -> None:
    instance = VrrpInstance(make_settings())
    instance.handle_event(interface(), 0)
    assert instance.receive(*advert(200), 0) == []
    assert instance.handle_timer(10**12) == []
    assert (instance.state, instance.deadline()) == (State.INIT, None)


def test_a_second_startup_changes_nothing() -> None:
    instance = started()
    assert instance.handle_event(Startup(), SECOND) == []
    assert instance.deadline() == DOWN_100


def test_state_master_waits_one_interval_and_the_skew() -> None:
    """keepalived: `state MASTER` below 255 never skips BACKUP."""
    instance = started(start_as_master=True)
    assert (instance.state, instance.deadline()) == (State.BACKUP, SECOND + SKEW_100)
    instance.receive(*advert(150), SECOND)
    assert instance.deadline() == SECOND + DOWN_100


@pytest.mark.parametrize("adverts", [1, 2, 10])
def test_down_timer_adverts(adverts: int) -> None:
    assert started(down_timer_adverts=adverts).deadline() == adverts * SECOND + SKEW_100


def test_rfc9568_6_4_2_shutdown_in_backup_is_silent() -> None:
    instance = started()
    actions = instance.handle_event(Shutdown(), SECOND)
    assert [type(a) for a in actions] == [Transition]
    assert (instance.state, instance.deadline()) == (State.INIT, None)


def test_rfc9568_6_4_3_shutdown_in_active_sends_priority_zero_once() -> None:
    instance, now = master()
    actions = instance.handle_event(Shutdown(), now + 1)
    assert [type(a) for a in actions] == [SendAdvert, RemoveAddresses, Transition]
    assert sent(actions) == [0]
    assert transition(actions).cause == "shutdown"
    assert (instance.state, instance.deadline()) == (State.INIT, None)
    assert instance.handle_event(Shutdown(), now + 2) == []


def test_startup_delay_ignores_adverts_and_starts_the_timer_at_its_end() -> None:
    instance = started(startup_delay=10 * SECOND)
    assert (instance.state, instance.deadline()) == (State.BACKUP, 10 * SECOND + DOWN_100)
    assert instance.receive(*advert(50), SECOND) == []
    assert instance.receive(*advert(0), SECOND) == []
    assert instance.deadline() == 10 * SECOND + DOWN_100
    assert instance.snapshot().statistics["ignored_startup_delay"] == 2
    instance.receive(*advert(150), 10 * SECOND)
    assert instance.snapshot().master == PEER


def test_startup_delay_holds_the_owner_back() -> None:
    instance = started(priority=255, startup_delay=10 * SECOND)
    assert (instance.state, instance.deadline()) == (State.BACKUP, 10 * SECOND)
    actions = instance.handle_timer(10 * SECOND)
    assert (instance.state, transition(actions).cause) == (State.MASTER, "startup_delay_over")


# -- Backup -----------------------------------------------------------------------------------------------------------


def test_rfc9568_6_4_2_active_down_timer_makes_active_in_keepalived_order() -> None:
    instance = started()
    assert instance.handle_timer(DOWN_100 - 1) == []
    actions = instance.handle_timer(DOWN_100)
    assert [type(a) for a in actions] == [SendAdvert, AddAddresses, Announce, Transition]
    assert sent(actions) == [100]
    assert of(AddAddresses, actions) == [AddAddresses((VIP,))]
    assert of(Announce, actions) == [Announce((VIP,), 5)]
    assert transition(actions).cause == "master_down_timer"
    assert transition(actions).detail == "no advert heard for 3.609 s (master_down_interval)"
    assert transition(actions).master == LOCAL
    assert instance.deadline() == DOWN_100 + SECOND


def test_the_cause_names_the_silent_master() -> None:
    instance = started()
    instance.receive(*advert(150), SECOND)
    found = transition(instance.handle_timer(due(instance)))
    assert found.detail == "no advert from 192.0.2.9 for 3.609 s (master_down_interval)"


def test_rfc9568_6_4_2_priority_zero_sets_skew_time() -> None:
    instance = started()
    instance.receive(*advert(150), SECOND)
    assert instance.receive(*advert(0), 2 * SECOND) == []
    assert instance.deadline() == 2 * SECOND + SKEW_100
    found = transition(instance.handle_timer(due(instance)))
    assert found.cause == "master_resigned"
    assert found.detail == "192.0.2.9 resigned with a priority 0 advert; waited 0.609 s (skew_time)"


def test_the_cause_forgets_what_a_later_advert_has_overtaken() -> None:
    """A resignation, or a lower master, is no cause any more once another master was accepted."""
    for overtaken in (0, 50):
        instance = started()
        instance.receive(*advert(overtaken), SECOND // 10)
        instance.receive(*advert(150, PEER_LOW), SECOND // 5)
        found = transition(instance.handle_timer(due(instance)))
        assert found.cause == "master_down_timer"
        assert found.detail.startswith("no advert from 192.0.2.2 for 3.609 s")


def test_rfc9568_6_4_2_priority_zero_does_not_teach_its_interval() -> None:
    instance = started()
    instance.receive(*advert(150, advert_interval=2 * SECOND), 0)
    instance.receive(*advert(0, advert_interval=5 * SECOND), SECOND)
    assert instance.deadline() == SECOND + 2 * SKEW_100
    assert instance.snapshot().master_adver_interval == 2 * SECOND


@pytest.mark.parametrize("priority", [100, 101, 254, 255])
@pytest.mark.parametrize("source", [PEER, PEER_LOW])
def test_rfc9568_6_4_2_equal_or_higher_priority_restarts_the_timer(priority: int, source: bytes) -> None:
    """Equal priority is accepted whatever the address: only a master compares addresses."""
    instance = started()
    assert instance.receive(*advert(priority, source), SECOND) == []
    assert instance.deadline() == SECOND + DOWN_100
    assert (instance.snapshot().master, instance.snapshot().master_priority) == (source, priority)


def test_rfc9568_6_4_2_learns_the_interval_of_the_master() -> None:
    instance = started()
    instance.receive(*advert(150, advert_interval=50 * CENTISECOND), SECOND)
    assert instance.deadline() == SECOND + DOWN_100 // 2
    assert instance.snapshot().master_adver_interval == SECOND // 2


def test_rfc9568_6_2_adver_timer_uses_the_own_interval() -> None:
    instance = started()
    instance.receive(*advert(150, advert_interval=50 * CENTISECOND), 0)
    now = due(instance)
    instance.handle_timer(now)
    assert instance.deadline() == now + SECOND
    assert instance.snapshot().master_adver_interval == SECOND  # keepalived goes back to its own


def test_rfc9568_6_4_2_lower_priority_lets_the_timer_run() -> None:
    instance = started()
    for second in range(1, 4):
        assert instance.receive(*advert(50), second * SECOND) == []
    assert instance.deadline() == DOWN_100
    found = transition(instance.handle_timer(DOWN_100))
    assert found.cause == "preempt_lower_priority"
    assert "192.0.2.9 advertises priority 50, lower than ours, 100" in found.detail


def test_rfc9568_6_4_2_preempt_mode_false_accepts_lower_priority() -> None:
    instance = started(preempt=False)
    instance.receive(*advert(50, advert_interval=2 * SECOND), SECOND)
    assert instance.deadline() == SECOND + 2 * DOWN_100
    assert instance.snapshot().master == PEER


def test_nopreempt_takes_over_from_a_master_that_resigns() -> None:
    """keepalived, observed: MASTER after the skew time only."""
    instance = started(preempt=False)
    instance.receive(*advert(50), SECOND)
    instance.receive(*advert(0), 2 * SECOND)
    assert instance.deadline() == 2 * SECOND + SKEW_100


def test_rfc9568_6_1_the_owner_always_preempts() -> None:
    instance = started(priority=255, preempt=False, startup_delay=SECOND)
    instance.handle_event(interface(), SECOND)
    instance.receive(*advert(254), SECOND)
    assert instance.deadline() == SECOND


def test_preempt_delay_takes_over_when_the_last_accepted_advert_has_run_out() -> None:
    """keepalived, observed with preempt_delay 2: afterwards adverts are discarded, and the running timer decides."""
    instance = started(priority=150, advert_interval=SECOND // 2, preempt_delay=2 * SECOND)
    settings = instance.settings
    step, now = SECOND // 2, 0
    while instance.state is State.BACKUP:
        if due(instance) <= now:
            instance.handle_timer(due(instance))
            break
        instance.receive(*advert(100, settings=settings), now)
        now += step
    down = 3 * step + (256 - 150) * step // 256
    assert instance.snapshot().since == 3 * step + down  # 3 intervals: the last advert before the delay was over


def test_preempt_delay_starts_again_after_an_equal_or_higher_advert() -> None:
    instance = started(preempt_delay=2 * SECOND)
    instance.receive(*advert(50), SECOND)
    instance.receive(*advert(100), 2 * SECOND)
    instance.receive(*advert(50), 3 * SECOND)
    instance.receive(*advert(50), 4 * SECOND + SECOND // 2)
    assert instance.deadline() == 4 * SECOND + SECOND // 2 + DOWN_100
    instance.receive(*advert(50), 5 * SECOND)  # over: discarded, the timer runs
    assert instance.deadline() == 4 * SECOND + SECOND // 2 + DOWN_100


def test_preempt_delay_does_not_hold_up_a_failover() -> None:
    instance = started(preempt_delay=1000 * SECOND)
    instance.receive(*advert(50), SECOND)
    assert instance.deadline() == SECOND + DOWN_100
    instance.handle_timer(due(instance))
    assert instance.state is State.MASTER


def test_preempt_delay_starts_anew_after_a_fault() -> None:
    instance = started(preempt_delay=2 * SECOND)
    instance.receive(*advert(50), SECOND)
    instance.handle_event(interface(up=False), 2 * SECOND)
    instance.handle_event(interface(), 10 * SECOND)
    instance.receive(*advert(50), 11 * SECOND)
    assert instance.deadline() == 11 * SECOND + DOWN_100


# -- Master -----------------------------------------------------------------------------------------------------------


def test_rfc9568_6_4_3_adver_timer_sends_and_restarts() -> None:
    instance, now = master()
    for count in range(1, 4):
        actions = instance.handle_timer(now + count * SECOND)
        assert sent(actions) == [100]
        assert len(actions) == 1
    assert instance.deadline() == now + 4 * SECOND


def test_lateness_of_the_timer_does_not_add_up() -> None:
    instance, now = master()
    instance.handle_timer(now + SECOND + 300_000_000)
    assert instance.deadline() == now + 2 * SECOND
    instance.handle_timer(now + 4 * SECOND)  # a stall: one advert, not three
    assert instance.deadline() is not None
    assert now + 4 * SECOND < due(instance) <= now + 5 * SECOND


def test_rfc9568_6_4_3_priority_zero_is_answered_and_resets_adver_timer() -> None:
    instance, now = master()
    actions = instance.receive(*advert(0), now + SECOND // 2)
    assert sent(actions) == [100]
    assert len(actions) == 1
    assert instance.deadline() == now + SECOND // 2 + SECOND


def test_rfc9568_6_4_3_higher_priority_wins() -> None:
    instance, now = master()
    actions = instance.receive(*advert(101, PEER_LOW, advert_interval=2 * SECOND), now + 1)
    assert [type(a) for a in actions] == [RemoveAddresses, Transition, Report]  # the report is about the interval
    assert transition(actions).cause == "advert_higher_priority"
    assert transition(actions).detail == "192.0.2.2 advertises priority 101, ours is 100"
    assert transition(actions).master == PEER_LOW
    assert (instance.state, instance.deadline()) == (State.BACKUP, now + 1 + 2 * DOWN_100)


def test_higher_prio_send_advert_says_one_last_word() -> None:
    instance, now = master(higher_prio_send_advert=True)
    actions = instance.receive(*advert(101), now + 1)
    assert [type(a) for a in actions] == [SendAdvert, RemoveAddresses, Transition]
    assert sent(actions) == [100]


@pytest.mark.parametrize(
    ("family", "source", "new"),
    [
        (Family.IPV4, packed("192.0.2.6"), State.BACKUP),
        (Family.IPV4, packed("192.0.2.4"), State.MASTER),
        (Family.IPV4, packed("200.0.0.1"), State.BACKUP),  # unsigned: above 127.255.255.255 is no negative number
        (Family.IPV4, packed("10.255.255.255"), State.MASTER),  # network byte order: the first byte counts most
        (Family.IPV6, packed("fe80::6"), State.BACKUP),
        (Family.IPV6, packed("fe80::4"), State.MASTER),
        (Family.IPV6, packed("fe80::ffff:0:0:1"), State.BACKUP),
    ],
)
def test_rfc9568_6_4_3_equal_priority_compares_addresses(family: Family, source: bytes, new: State) -> None:
    instance, now = master(family=family)
    actions = instance.receive(*advert(100, source, settings=instance.settings), now + 1)
    assert instance.state is new
    if new is State.BACKUP:
        assert transition(actions).cause == "advert_equal_priority_higher_address"
    else:
        assert sent(actions) == [100]


@pytest.mark.parametrize("version", [2, 3])
def test_rfc9568_6_4_3_lower_priority_is_answered_without_touching_adver_timer(version: int) -> None:
    """RFC 3768 only discards; keepalived answers in version 2 as well."""
    instance, now = master(version=version)
    actions = instance.receive(*advert(50, settings=instance.settings), now + SECOND // 2)
    assert [type(a) for a in actions] == [SendAdvert, Announce, LowerPriorityReceived]
    assert sent(actions) == [100]
    assert of(Announce, actions) == [Announce((VIP,), 5)]
    assert of(LowerPriorityReceived, actions) == [LowerPriorityReceived(PEER, 50)]
    assert (instance.state, instance.deadline()) == (State.MASTER, now + SECOND)


def test_lower_prio_no_advert_keeps_silent_but_announces() -> None:
    instance, now = master(lower_prio_no_advert=True)
    actions = instance.receive(*advert(50), now + 1)
    assert [type(a) for a in actions] == [Announce, LowerPriorityReceived]


def test_rfc9568_6_4_3_preempt_mode_does_not_count_in_active() -> None:
    instance, now = master(preempt=False)
    assert sent(instance.receive(*advert(50), now + 1)) == [100]
    instance.receive(*advert(101), now + 2)
    assert instance.state is State.BACKUP


def test_erratum_8298_two_owners_are_told_apart_by_address() -> None:
    instance, now = master(priority=255)
    actions = instance.receive(*advert(255, PEER_LOW), now + 1)
    assert instance.state is State.MASTER
    assert [r.code for r in of(Report, actions)] == ["two_owners"]
    assert of(Report, actions)[0].level == "error"
    actions = instance.receive(*advert(255, PEER), now + 2)
    assert instance.state is State.BACKUP
    assert [r.code for r in of(Report, actions)] == ["two_owners"]


def test_owner_ignore_adverts() -> None:
    instance, now = master(priority=255, owner_ignore_adverts=True)
    assert instance.receive(*advert(255), now + 1) == []
    assert instance.receive(b"garbage", advert(255)[1], now + 2) == []
    assert instance.snapshot().statistics["ignored_owner"] == 2


def test_owner_ignore_adverts_concerns_owners_only() -> None:
    instance, now = master(owner_ignore_adverts=True)
    instance.receive(*advert(200), now + 1)
    assert instance.state is State.BACKUP


def test_becoming_backup_forgets_the_announcements() -> None:
    instance, now = master()
    instance.receive(*advert(200), now + 1)
    assert instance.handle_timer(now + 4 * SECOND - SECOND // 2) == []
    assert instance.deadline() == now + 1 + DOWN_100


def test_the_second_burst_comes_with_the_one_deadline() -> None:
    instance, now = master(advert_interval=40 * SECOND)
    assert instance.deadline() == now + 5 * SECOND
    assert instance.handle_timer(now + 5 * SECOND) == [Announce((VIP,), 5)]
    assert instance.deadline() == now + 40 * SECOND


def test_address_lost_resigns_and_comes_back_after_the_skew() -> None:
    """keepalived, observed: BACKUP with priority 0, addresses removed, MASTER again in less than an interval."""
    instance, now = master()
    actions = instance.handle_event(AddressLost(VIP), now + 1)
    assert [type(a) for a in actions] == [SendAdvert, RemoveAddresses, Transition]
    assert sent(actions) == [0]
    assert transition(actions).cause == "address_lost"
    assert (instance.state, instance.deadline()) == (State.BACKUP, now + 1 + SKEW_100)


def test_address_lost_concerns_tracked_addresses_of_a_master() -> None:
    untracked = VirtualAddress(VIP.address, 24, "eth0", tracked=False)
    instance, now = master(addresses=(untracked,))
    assert instance.handle_event(AddressLost(untracked), now) == []
    instance, now = master()
    assert instance.handle_event(AddressLost(VirtualAddress(PEER, 24, "eth0")), now) == []
    assert started().handle_event(AddressLost(VIP), 0) == []


def test_an_address_that_is_to_be_restored_is_put_back_and_announced() -> None:
    instance, now = master(foreign_removal=ForeignRemoval.RESTORE)
    actions = instance.handle_event(AddressLost(VIP), now + 1)
    assert [type(a) for a in actions] == [Report, AddAddresses, Announce]
    assert of(AddAddresses, actions) == [AddAddresses((VIP,))]
    assert of(Announce, actions) == [Announce((VIP,), 5)]
    assert instance.state is State.MASTER
    again = instance.handle_event(AddressLost(VIP), now + 2)
    assert [type(a) for a in again] == [AddAddresses, Announce], "said once, done every time"


def test_a_loss_that_is_to_be_ignored_is_said() -> None:
    instance, now = master(foreign_removal=ForeignRemoval.IGNORE)
    (report,) = instance.handle_event(AddressLost(VIP), now + 1)
    assert isinstance(report, Report)
    assert "was removed from eth0 by something else: that is ignored" in report.detail
    assert instance.state is State.MASTER


@pytest.mark.parametrize("removal", [ForeignRemoval.RESTORE, ForeignRemoval.IGNORE])
def test_who_is_no_master_restores_nothing(removal: ForeignRemoval) -> None:
    assert started(foreign_removal=removal).handle_event(AddressLost(VIP), 0) == []
    untracked = VirtualAddress(VIP.address, 24, "eth0", tracked=False)
    instance, now = master(addresses=(untracked,), foreign_removal=removal)
    assert instance.handle_event(AddressLost(untracked), now) == []


# -- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(Family))
def test_rfc9568_5_1_source_destination_and_ttl(family: Family) -> None:
    instance, now = master(family=family)
    (found,) = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert found.source == (LOCAL if family is Family.IPV4 else LOCAL6)
    assert found.destinations == ((IPV4_GROUP,) if family is Family.IPV4 else (IPV6_GROUP,))
    assert found.ttl == 255


def test_a_configured_source_and_group_are_used() -> None:
    source, group = packed("198.51.100.7"), packed("224.0.0.200")
    instance, now = master(source_address=source, multicast_group=group)
    (found,) = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert (found.source, found.destinations) == (source, (group,))
    peer = started(address=PEER, multicast_group=group)
    data, meta = advert(100, source, destination=group)
    assert found.payload == data
    peer.receive(data, meta, SECOND)
    assert peer.snapshot().master == source


def test_excluded_addresses_are_held_but_not_advertised() -> None:
    excluded = VirtualAddress(packed("192.0.2.200"), 32, "eth1", advertised=False)
    instance = started(addresses=(VIP, excluded))
    actions = instance.handle_timer(due(instance))
    assert of(AddAddresses, actions) == [AddAddresses((VIP, excluded))]
    assert of(SendAdvert, actions)[0].payload == advert(100, LOCAL)[0]


def test_unicast_peers_get_their_own_checksums() -> None:
    """A pseudo-header holds the destination; without one, one message serves all peers."""
    peers = (PEER, PEER_LOW)
    instance, now = master(unicast_peers=peers)
    found = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert [action.destinations for action in found] == [(PEER,), (PEER_LOW,)]
    assert [action.payload for action in found] == [advert(100, LOCAL, destination=peer)[0] for peer in peers]
    assert instance.snapshot().statistics["adverts_sent"] == 2  # an advert counts once, whatever the peers
    for changes in ({"version": 2}, {"checksum_form": ChecksumForm.MESSAGE_ONLY}):
        instance, now = master(unicast_peers=peers, **changes)
        (one,) = of(SendAdvert, instance.handle_timer(now + SECOND))
        assert one.destinations == peers


def test_an_instance_without_addresses_sends_only_adverts() -> None:
    instance = started(version=2, addresses=())
    assert [type(a) for a in instance.handle_timer(due(instance))] == [SendAdvert, Transition]


def test_a_new_primary_address_is_sent_from_at_once() -> None:
    instance, now = master()
    assert instance.handle_event(interface(PEER_LOW), now + 1) == []
    (found,) = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert (found.source, found.payload) == (PEER_LOW, advert(100, PEER_LOW)[0])


# -- the rest of the interface ----------------------------------------------------------------------------------------


def test_an_advert_is_encoded_once_while_nothing_in_it_changes() -> None:
    instance, now = master()
    (first,) = instance.handle_timer(now + SECOND)
    (second,) = instance.handle_timer(now + 2 * SECOND)
    assert first is second


def test_statistics_count_what_happened() -> None:
    instance, now = master()
    instance.handle_timer(now + SECOND)
    instance.receive(*advert(0), now + SECOND)
    instance.receive(*advert(200), now + SECOND)
    statistics = instance.snapshot().statistics
    expected = {"adverts_sent": 3, "adverts_received": 2, "priority_zero_received": 1}
    expected |= {"became_master": 1, "released_master": 1, "priority_zero_sent": 0}
    assert {name: statistics[name] for name in expected} == expected


def test_a_failed_action_is_reported_once_and_counted() -> None:
    instance, now = master()
    failed = ActionFailed("AddAddresses", "[Errno 1] Operation not permitted")
    (report,) = of(Report, instance.handle_event(failed, now))
    assert report.level == "error"
    assert "AddAddresses" in report.detail
    assert instance.handle_event(failed, now) == []
    assert instance.snapshot().statistics["action_failed"] == 2
    assert instance.state is State.MASTER


def test_masters_that_take_turns_are_reported_once_each_and_never_without_end() -> None:
    instance = started()
    odd = (packed("192.0.2.77"),)

    def reports(sources: range) -> int:
        received = (instance.receive(*advert(200, packed(f"192.0.2.{n}"), addresses=odd), 1) for n in sources)
        return sum(len(of(Report, actions)) for actions in received)

    assert [reports(range(10, 12)) for _ in range(4)] == [2, 0, 0, 0]
    assert reports(range(100, 200)) < 20, "nor does a stranger with many addresses fill the log"
    instance.handle_timer(due(instance))
    assert instance.state is State.MASTER
    assert reports(range(10, 11)) == 1, "another state, another report"


def test_an_input_of_another_engine_is_a_programming_error() -> None:
    class Foreign(Input, frozen=True):
        pass

    with pytest.raises(TypeError, match="Foreign"):
        started().handle_event(Foreign(), 0)


def test_snapshot_is_a_copy() -> None:
    instance, now = master()
    before: Any = instance.snapshot()
    instance.handle_timer(now + SECOND)
    assert before.statistics["adverts_sent"] == 1
    assert (before.state, before.since, before.master, before.master_priority) == (State.MASTER, now, LOCAL, 100)
    assert (before.name, before.interface, before.virtual_router_id, before.version) == ("VI", "eth0", 51, 3)


def test_ipv6_end_to_end() -> None:
    first, now = master(family=Family.IPV6, priority=200)
    second = started(family=Family.IPV6, address=PEER6)
    (found,) = of(SendAdvert, first.handle_timer(now + SECOND))
    meta = advert(0, LOCAL6, settings=first.settings)[1]
    assert second.receive(found.payload, meta, now + SECOND) == []
    assert second.snapshot().master == LOCAL6

"""Other settings for a running instance (reload): what stays, what differs, and what the neighbours hear of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kactl_agent.vrrp.actions import (
    Action,
    AddAddresses,
    AddressLost,
    Announce,
    ClockOffset,
    PriorityContribution,
    RemoveAddresses,
    SendAdvert,
    State,
    TrackerFault,
    Transition,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import (
    SECOND,
    GratuitousSettings,
    HmacKey,
    HmacSettings,
    OldUnicastChecksum,
    VirtualAddress,
)
from support.vrrp import (
    LOCAL,
    PEER,
    PEER_LOW,
    UNIX_TIME,
    VIP,
    advert,
    due,
    make_settings,
    master,
    of,
    on_the_wire,
    packed,
    sent,
    started,
    transition,
)

DOWN_100 = 3_609_375_000
SECOND_VIP = VirtualAddress(packed("192.0.2.101"), 24, "eth0")
HMAC = HmacSettings(keys=(HmacKey(1, bytes(range(32))),), active_key=1, time_window=5)


def change(instance: VrrpInstance, now: int, **changes: Any) -> list[Action]:
    return instance.reconfigure(msgspec.structs.replace(instance.settings, **changes), now)


def test_another_virtual_router_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="another virtual router"):
        change(started(), 0, virtual_router_id=52)


def test_a_master_stays_master_and_advertises_at_once() -> None:
    instance, now = master()
    before = instance.snapshot()
    actions = change(instance, now + SECOND // 2)
    assert [type(action) for action in actions] == [SendAdvert]
    assert (instance.state, instance.deadline()) == (State.MASTER, now + SECOND // 2 + SECOND)
    after = instance.snapshot()
    assert (after.since, after.cause) == (before.since, before.cause)
    assert after.statistics == before.statistics | {"adverts_sent": before.statistics["adverts_sent"] + 1}


def test_a_backup_keeps_timer_and_master() -> None:
    instance = started()
    instance.receive(*advert(150), SECOND)
    assert change(instance, 2 * SECOND, gratuitous=GratuitousSettings(repeat=1), name="VI_new") == []
    assert instance.deadline() == SECOND + DOWN_100
    assert (instance.snapshot().master, instance.snapshot().name) == (PEER, "VI_new")


def test_addresses_come_and_go_by_difference() -> None:
    instance, now = master()
    actions = change(instance, now + SECOND, addresses=(VIP, SECOND_VIP))
    assert [type(action) for action in actions] == [SendAdvert, AddAddresses, Announce]
    assert of(AddAddresses, actions) == [AddAddresses((SECOND_VIP,))]
    assert of(Announce, actions) == [Announce((SECOND_VIP,), 5)]
    settings = instance.settings
    assert of(SendAdvert, actions)[0].payload == advert(100, LOCAL, settings=settings)[0]  # with both of them
    actions = change(instance, now + SECOND, addresses=(SECOND_VIP,))
    assert [type(action) for action in actions] == [RemoveAddresses, SendAdvert]
    assert of(RemoveAddresses, actions) == [RemoveAddresses((VIP,))]
    instance.receive(*advert(200, settings=instance.settings), now + SECOND)
    assert instance.state is State.BACKUP


def test_added_addresses_are_announced_a_second_time() -> None:
    """keepalived 2.3.2. The second burst of the transition is one of its own."""
    instance, now = master(advert_interval=40 * SECOND)
    change(instance, now + SECOND, addresses=(VIP, SECOND_VIP))
    assert instance.handle_timer(now + 5 * SECOND) == [Announce((VIP, SECOND_VIP), 5)]
    assert instance.handle_timer(now + 6 * SECOND) == [Announce((SECOND_VIP,), 5)]
    assert instance.deadline() == now + SECOND + 40 * SECOND


def test_a_refresh_of_another_period_starts_anew() -> None:
    instance, now = master(advert_interval=40 * SECOND, gratuitous=GratuitousSettings(delay=0, refresh=10 * SECOND))
    change(instance, now + SECOND, gratuitous=GratuitousSettings(delay=0, refresh=3 * SECOND))
    assert due(instance) == now + 4 * SECOND
    change(instance, now + 2 * SECOND, gratuitous=GratuitousSettings(delay=0, refresh=3 * SECOND, repeat=2))
    assert due(instance) == now + 4 * SECOND  # the same period goes on
    change(instance, now + 2 * SECOND, gratuitous=GratuitousSettings(delay=0))
    assert due(instance) == now + 42 * SECOND


def test_a_backup_has_no_refresh() -> None:
    instance = started(gratuitous=GratuitousSettings(refresh=10 * SECOND))
    change(instance, SECOND, gratuitous=GratuitousSettings(refresh=SECOND))
    assert instance.deadline() == DOWN_100


@pytest.mark.parametrize("new", [{"advertised": False}, {"tracked": False}])
def test_flags_of_an_address_change_without_touching_it(new: dict[str, bool]) -> None:
    instance, now = master()
    actions = change(instance, now, addresses=(msgspec.structs.replace(VIP, **new),))
    assert [type(action) for action in actions] == [SendAdvert]
    lost = instance.handle_event(AddressLost(VIP), now)  # the driver may know it as it was
    assert bool(lost) is ("tracked" not in new)


def test_priority_moves_the_timer_of_a_backup() -> None:
    instance = started()
    instance.handle_event(PriorityContribution("chk", 10), 0)
    assert change(instance, SECOND, priority=150) == []
    assert instance.snapshot().effective_priority == 160
    assert instance.deadline() == 3 * SECOND + (256 - 160) * SECOND // 256


def test_priority_of_a_master_is_in_its_next_advert() -> None:
    instance, now = master()
    assert sent(change(instance, now, priority=150)) == [150]


def test_a_backup_that_becomes_the_owner_takes_over_from_the_master() -> None:
    instance = started()
    instance.receive(*advert(150), SECOND)
    change(instance, SECOND, priority=255)
    instance.receive(*advert(150), 2 * SECOND)  # discarded: the timer runs
    assert due(instance) == SECOND + 3 * SECOND + SECOND // 256
    assert sent(instance.handle_timer(due(instance))) == [255]
    change(instance, 5 * SECOND, priority=100, preempt=False)
    instance.receive(*advert(50), 5 * SECOND)
    assert instance.state is State.MASTER
    assert instance.snapshot().effective_priority == 100


def test_an_owner_that_has_yielded_stays_demoted() -> None:
    instance, now = master(priority=255)
    for step in range(3):
        instance.receive(*advert(255, PEER_LOW), now + step * SECOND)
        instance.handle_timer(now + step * SECOND + SECOND // 2)
    if instance.state is State.MASTER:
        instance.receive(*advert(255, PEER_LOW), now + 3 * SECOND)
    assert instance.snapshot().effective_priority == 254
    change(instance, now + 3 * SECOND, down_timer_adverts=2)
    assert instance.snapshot().effective_priority == 254
    change(instance, now + 3 * SECOND, priority=200)
    assert instance.snapshot().effective_priority == 200
    change(instance, now + 3 * SECOND, priority=255)
    assert instance.snapshot().effective_priority == 255


@pytest.mark.parametrize("interval", [SECOND // 10, 10 * SECOND])
def test_a_master_says_its_new_interval_before_the_old_one_is_over(interval: int) -> None:
    instance, now = master(gratuitous=GratuitousSettings(delay=0))
    peer = started(address=PEER, priority=50)
    actions = change(instance, now + SECOND // 2, advert_interval=interval)
    assert due(instance) == now + SECOND // 2 + interval
    peer.receive(*on_the_wire(of(SendAdvert, actions)[0]), 0)
    assert due(peer) == 3 * interval + (256 - 50) * interval // 256


def test_a_backup_goes_on_with_the_interval_it_has_learned() -> None:
    instance = started()
    instance.receive(*advert(150, advert_interval=2 * SECOND), SECOND)
    assert change(instance, 2 * SECOND, advert_interval=5 * SECOND) == []
    assert instance.deadline() == SECOND + 2 * DOWN_100


@pytest.mark.parametrize(
    ("before", "changes", "down"),
    [
        ({}, {"advert_interval": 2 * SECOND}, 2 * DOWN_100),  # no master is known: its own counts
        ({}, {"down_timer_adverts": 5}, DOWN_100 + 2 * SECOND),
        ({"version": 2}, {"advert_interval": 2 * SECOND}, DOWN_100 + 3 * SECOND),
    ],
)
def test_a_backup_waits_the_whole_new_time(before: dict[str, Any], changes: dict[str, Any], down: int) -> None:
    instance = started(**before)
    if before:
        instance.receive(*advert(150, settings=instance.settings), SECOND)
    assert change(instance, 2 * SECOND, **changes) == []
    assert instance.deadline() == 2 * SECOND + down


def test_another_version_starts_from_its_own_interval() -> None:
    instance = started()
    instance.receive(*advert(150, advert_interval=2 * SECOND), SECOND)
    change(instance, 2 * SECOND, version=2)
    assert instance.deadline() == 2 * SECOND + DOWN_100
    instance.receive(*advert(150, settings=make_settings(version=2)), 3 * SECOND)
    assert instance.deadline() == 3 * SECOND + DOWN_100


def test_version_3_does_not_take_over_what_version_2_had_to_agree_on() -> None:
    instance = started(version=2)
    instance.receive(*advert(150, settings=instance.settings), SECOND)
    change(instance, 2 * SECOND, version=3, advert_interval=2 * SECOND)
    assert instance.deadline() == 2 * SECOND + 2 * DOWN_100


def test_preempt_and_its_delay() -> None:
    instance = started(preempt=False)
    instance.receive(*advert(50), SECOND)
    assert due(instance) == SECOND + DOWN_100
    change(instance, SECOND, preempt=True)
    instance.receive(*advert(50), 2 * SECOND)
    assert due(instance) == SECOND + DOWN_100
    change(instance, 2 * SECOND, preempt_delay=10 * SECOND)
    instance.receive(*advert(50), 3 * SECOND)
    assert due(instance) == 3 * SECOND + DOWN_100
    change(instance, 3 * SECOND, preempt_delay=SECOND)
    instance.receive(*advert(50), 4 * SECOND)  # counts from here: the shorter one has not run yet
    assert due(instance) == 4 * SECOND + DOWN_100
    instance.receive(*advert(50), 6 * SECOND)  # and is over here, where the longer one was not
    assert due(instance) == 4 * SECOND + DOWN_100


def test_startup_delay_is_kept() -> None:
    instance = started(startup_delay=10 * SECOND)
    change(instance, SECOND, startup_delay=0)
    assert instance.receive(*advert(150), 2 * SECOND) == []
    assert instance.snapshot().statistics["ignored_startup_delay"] == 1
    assert instance.deadline() == 10 * SECOND + DOWN_100


def test_a_new_source_is_sent_from() -> None:
    instance, now = master()
    (action,) = of(SendAdvert, change(instance, now, source_address=PEER_LOW))
    assert action.source == PEER_LOW
    (action,) = of(SendAdvert, change(instance, now, source_address=b""))
    assert action.source == LOCAL


def test_a_fault_may_come_and_go_with_the_settings() -> None:
    instance, now = master(addresses=(VIP, SECOND_VIP))
    actions = change(instance, now, auth_hmac=HMAC, addresses=(SECOND_VIP,))
    assert transition(actions).new is State.FAULT
    assert transition(actions).cause == "clock_unknown"
    assert of(RemoveAddresses, actions) == [RemoveAddresses((VIP,)), RemoveAddresses((SECOND_VIP,))]
    assert of(AddAddresses, actions) == []
    actions = change(instance, now + 1, auth_hmac=None)
    assert transition(actions).new is State.BACKUP
    assert due(instance) == now + 1 + DOWN_100


def test_the_owner_is_master_at_once_when_its_fault_goes_with_the_settings() -> None:
    instance = started(priority=255)
    change(instance, 0, auth_hmac=HMAC)
    actions = change(instance, SECOND, auth_hmac=None, addresses=(VIP, SECOND_VIP))
    assert instance.state is State.MASTER
    assert of(AddAddresses, actions) == [AddAddresses((VIP, SECOND_VIP))]  # once
    assert sent(actions) == [255]


def test_tracker_faults_stay_until_they_are_taken_back() -> None:
    instance = started()
    instance.handle_event(TrackerFault("track_script chk", True), 0)
    assert change(instance, SECOND, priority=150) == []
    assert instance.snapshot().faults == ("track_script chk",)
    assert transition(instance.handle_event(TrackerFault("track_script chk", False), 2 * SECOND)).new is State.BACKUP


def test_sequence_numbers_go_on() -> None:
    """RFC 2402 3.3.2: never again the same number; a replayed advert stays a replayed advert."""
    ah: dict[str, Any] = {"version": 2, "auth_password": b"1234", "authentication_header": True}
    sender, now = master(**ah)
    receiver = started(address=PEER, **ah)
    packet = on_the_wire(of(SendAdvert, sender.handle_timer(now + SECOND))[0])
    receiver.receive(*packet, SECOND)
    change(sender, now, auth_password=b"5678")
    change(receiver, now, auth_password=b"5678")
    receiver.receive(*on_the_wire(of(SendAdvert, change(sender, now))[0]), now)
    assert receiver.snapshot().statistics["auth_failure"] == 0
    change(receiver, now, auth_password=b"1234")
    receiver.receive(*packet, now)
    assert receiver.snapshot().statistics["auth_sequence"] == 1


def test_marks_of_auth_hmac_go_on() -> None:
    sender, now = master(auth_hmac=HMAC)
    receiver = started(address=PEER, auth_hmac=HMAC)
    packet = on_the_wire(of(SendAdvert, sender.handle_timer(now + SECOND))[0])
    receiver.receive(*packet, now + SECOND)
    change(receiver, now + SECOND, auth_hmac=msgspec.structs.replace(HMAC, time_window=9))
    receiver.receive(*packet, now + SECOND)
    assert receiver.snapshot().statistics["auth_hmac_replay"] == 1


def test_auth_hmac_may_be_switched_on_when_the_time_is_known() -> None:
    instance, now = master()
    assert instance.handle_event(ClockOffset(UNIX_TIME), now) == []
    (action,) = of(SendAdvert, change(instance, now, auth_hmac=HMAC))
    assert len(action.payload) == 12 + 28
    (action,) = of(SendAdvert, change(instance, now, auth_hmac=None))
    assert len(action.payload) == 12


def test_the_old_checksum_is_forgotten() -> None:
    """keepalived: until reload."""
    instance, now = master(unicast_peers=(PEER,))
    data, _ = advert(50, PEER)
    instance.receive(data, advert(50, PEER, destination=LOCAL)[1], now)
    assert of(SendAdvert, instance.handle_timer(now + SECOND))[0].payload == advert(100, LOCAL)[0]
    (action,) = of(SendAdvert, change(instance, now + SECOND))
    assert action.payload == advert(100, LOCAL, destination=PEER)[0]
    (action,) = of(SendAdvert, change(instance, now + SECOND, old_unicast_checksum=OldUnicastChecksum.ALWAYS))
    assert action.payload == advert(100, LOCAL)[0]


def test_a_master_that_slept_gives_way_first() -> None:
    instance, now = master(preempt=False, timer_expired_priority=254)
    actions = change(instance, now + 10 * SECOND, addresses=(VIP, SECOND_VIP))
    assert instance.state is State.BACKUP
    assert of(AddAddresses, actions) == []
    assert sent(actions) == []


def test_before_startup_it_is_only_remembered() -> None:
    instance = VrrpInstance(make_settings())
    assert instance.reconfigure(make_settings(priority=200), 0) == []
    assert instance.snapshot().effective_priority == 200
    assert instance.snapshot().faults == ("interface_missing",)


def test_in_fault_nothing_happens_but_the_next_start_knows() -> None:
    instance = started()
    instance.handle_event(TrackerFault("t", True), 0)
    assert change(instance, SECOND, down_timer_adverts=5, advert_interval=2 * SECOND) == []
    assert instance.deadline() is None
    actions = instance.handle_event(TrackerFault("t", False), 2 * SECOND)
    assert [type(action) for action in actions] == [Transition]
    assert due(instance) == 2 * SECOND + 10 * SECOND + 2 * SECOND * 156 // 256

"""FAULT and back, and what trackers do to the priority (keepalived)."""

from __future__ import annotations

import msgspec
import pytest

from kactl_agent.vrrp.actions import (
    AddAddresses,
    Announce,
    InterfaceState,
    PriorityContribution,
    RemoveAddresses,
    Report,
    SendAdvert,
    Shutdown,
    Startup,
    State,
    TrackerFault,
    Transition,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SECOND, Family, VirtualAddress
from support.vrrp import (
    LOCAL,
    LOCAL6,
    PEER,
    PEER6,
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

SKEW_100 = 609_375_000
DOWN_100 = 3 * SECOND + SKEW_100

DOWN = interface(up=False)
GONE = interface(None, exists=False, up=False)
BARE = interface(None)


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        (DOWN, ("interface_down",)),
        (GONE, ("interface_missing", "no_source_address")),
        (BARE, ("no_source_address",)),
        (interface(None, up=False), ("interface_down", "no_source_address")),
        (None, ("interface_missing",)),
    ],
)
def test_startup_into_fault_and_out_of_it(found: InterfaceState | None, faults: tuple[str, ...]) -> None:
    instance = VrrpInstance(make_settings())
    if found:
        instance.handle_event(found, 0)
    actions = instance.handle_event(Startup(), 1)
    assert actions[0] == RemoveAddresses((VIP,))
    assert (transition(actions).new, transition(actions).cause) == (State.FAULT, faults[0])
    assert (instance.snapshot().faults, instance.deadline()) == (faults, None)
    assert instance.receive(*advert(50), 2) == []
    actions = instance.handle_event(interface(), 10)
    assert (transition(actions).new, transition(actions).cause) == (State.BACKUP, "fault_cleared")
    assert (instance.snapshot().faults, instance.deadline()) == ((), 10 + DOWN_100)


@pytest.mark.parametrize("found", [DOWN, GONE, BARE])
def test_backup_goes_to_fault_silently(found: InterfaceState) -> None:
    instance = started()
    actions = instance.handle_event(found, SECOND)
    assert [type(a) for a in actions] == [Transition]
    assert (instance.state, instance.deadline()) == (State.FAULT, None)


@pytest.mark.parametrize("found", [DOWN, GONE, BARE])
def test_master_that_cannot_send_only_removes_its_addresses(found: InterfaceState) -> None:
    """There is no priority 0 without a source address (keepalived), nor through a dead interface."""
    instance, now = master()
    actions = instance.handle_event(found, now + 1)
    assert [type(a) for a in actions] == [RemoveAddresses, Transition]
    assert (instance.state, instance.deadline()) == (State.FAULT, None)
    assert instance.handle_timer(now + 10 * SECOND) == []


def test_master_with_a_tracker_fault_sends_priority_zero_first() -> None:
    instance, now = master()
    actions = instance.handle_event(TrackerFault("track_script chk", True), now + 1)
    assert [type(a) for a in actions] == [SendAdvert, RemoveAddresses, Transition]
    assert sent(actions) == [0]
    assert transition(actions).cause == "track_script chk"
    assert transition(actions).detail == "track_script chk has failed"


def test_reasons_are_counted_one_by_one() -> None:
    """The state leaves FAULT only when every reason is gone."""
    instance = started()
    instance.handle_event(TrackerFault("a", True), 1)
    assert instance.handle_event(TrackerFault("b", True), 2) == []
    assert instance.handle_event(DOWN, 3) == []
    assert instance.snapshot().faults == ("interface_down", "a", "b")
    assert instance.handle_event(TrackerFault("a", True), 4) == []  # said twice, counted once
    assert instance.handle_event(interface(), 5) == []
    assert instance.handle_event(TrackerFault("a", False), 6) == []
    actions = instance.handle_event(TrackerFault("b", False), 7)
    assert transition(actions).new is State.BACKUP
    assert instance.deadline() == 7 + DOWN_100


def test_a_configured_source_address_needs_no_primary_one() -> None:
    instance = VrrpInstance(make_settings(source_address=packed("192.0.2.77")))
    instance.handle_event(BARE, 0)
    instance.handle_event(Startup(), 0)
    assert instance.state is State.BACKUP


def test_the_owner_returns_from_fault_at_once() -> None:
    instance, now = master(priority=255)
    instance.handle_event(DOWN, now + 1)
    actions = instance.handle_event(interface(), now + 2)
    assert (transition(actions).new, sent(actions)) == (State.MASTER, [255])


@pytest.mark.parametrize("priority", [100, 255])
def test_a_unicast_instance_announces_its_own_address_on_recovery(priority: int) -> None:
    """keepalived. The address is not one of the virtual ones: it is announced once, and stays what it is."""
    for peers in ((), (PEER,)):
        instance = started(priority=priority, unicast_peers=peers)
        instance.handle_event(DOWN, SECOND)
        actions = instance.handle_event(interface(), 2 * SECOND)
        own = Announce((VirtualAddress(LOCAL, 32, "eth0"),), 1)
        assert actions.count(own) == len(peers)
        assert all(a.address != LOCAL for action in of(AddAddresses, actions) for a in action.addresses)
    instance = started(family=Family.IPV6, unicast_peers=(PEER6,))
    instance.handle_event(DOWN, SECOND)
    assert of(Announce, instance.handle_event(interface(LOCAL6), 2 * SECOND)) == []


def test_recovery_within_startup_delay_waits_for_its_end() -> None:
    instance = started(startup_delay=10 * SECOND)
    instance.handle_event(DOWN, SECOND)
    instance.handle_event(interface(), 2 * SECOND)
    assert instance.deadline() == 10 * SECOND + DOWN_100
    owner = started(startup_delay=10 * SECOND, priority=255)
    owner.handle_event(DOWN, SECOND)
    owner.handle_event(interface(), 2 * SECOND)
    assert (owner.state, owner.deadline()) == (State.BACKUP, 10 * SECOND)


def test_fault_forgets_what_the_old_master_taught() -> None:
    instance = started()
    instance.receive(*advert(150, advert_interval=4 * SECOND), 1)
    instance.handle_event(DOWN, 2)
    assert instance.snapshot().master == b""
    instance.handle_event(interface(), 3)
    assert instance.deadline() == 3 + DOWN_100


def test_shutdown_in_fault_is_silent() -> None:
    instance = started()
    instance.handle_event(DOWN, 1)
    assert [type(a) for a in instance.handle_event(Shutdown(), 2)] == [Transition]
    assert instance.state is State.INIT


def test_faults_before_startup_wait_for_it() -> None:
    instance = VrrpInstance(make_settings())
    assert instance.handle_event(interface(), 0) == []
    assert instance.handle_event(DOWN, 1) == []
    assert instance.state is State.INIT
    instance.handle_event(Startup(), 2)
    assert instance.state is State.FAULT


# -- priority ---------------------------------------------------------------------------------------------------------


def test_priority_change_shifts_the_running_timer_by_the_skew() -> None:
    """From 100 to 80 the skew grows by 20/256 of the interval; back again, it shrinks."""
    instance = started()
    (report,) = instance.handle_event(PriorityContribution("track_script chk", -20), SECOND)
    assert isinstance(report, Report)
    assert report.detail == "effective priority 100 -> 80 (track_script chk: -20)"
    assert instance.deadline() == DOWN_100 + 20 * SECOND // 256
    instance.handle_event(PriorityContribution("track_script chk", 0), SECOND)
    assert instance.deadline() == DOWN_100


def test_priority_change_that_makes_the_timer_late_fires_at_once() -> None:
    instance = started()
    now = DOWN_100 - 1
    instance.handle_event(PriorityContribution("track_file f", 100), now)
    assert due(instance) <= now
    actions = instance.handle_timer(now)
    assert sent(actions) == [200]


def test_rfc3768_the_shift_of_version_2_does_not_depend_on_the_interval() -> None:
    instance = started(version=2, advert_interval=10 * SECOND)
    before = due(instance)
    instance.handle_event(PriorityContribution("track_script chk", -64), 0)
    assert due(instance) - before == SECOND // 4


def test_contributions_add_up_and_are_shown() -> None:
    instance = started()
    instance.handle_event(PriorityContribution("a", -20), 0)
    instance.handle_event(PriorityContribution("b", 5), 0)
    snapshot = instance.snapshot()
    assert (snapshot.configured_priority, snapshot.effective_priority) == (100, 85)
    assert snapshot.contributions == (("a", -20), ("b", 5))
    assert instance.handle_event(PriorityContribution("b", 5), 0) == []


def test_master_carries_a_new_priority_in_its_next_advert() -> None:
    instance, now = master()
    actions = instance.handle_event(PriorityContribution("a", 7), now)
    assert [type(a) for a in actions] == [Report]
    actions = instance.handle_timer(now + SECOND)
    (found,) = of(SendAdvert, actions)
    assert (found.priority, found.payload) == (107, advert(107, LOCAL)[0])


def test_election_counts_with_the_effective_priority() -> None:
    instance, now = master()
    instance.handle_event(PriorityContribution("a", -60), now)
    instance.receive(*advert(50, PEER), now + 1)
    assert instance.state is State.BACKUP


def test_the_owner_is_not_moved_by_trackers() -> None:
    instance, now = master(priority=255)
    assert instance.handle_event(PriorityContribution("a", -200), now) == []
    assert instance.snapshot().effective_priority == 255


@pytest.mark.parametrize("tracked", [False, True])
def test_track_src_ip(tracked: bool) -> None:
    """FAULT while mcast_src_ip or unicast_src_ip is not on the machine."""
    source = packed("198.51.100.7")
    instance = started(source_address=source, track_source=tracked)
    gone = msgspec.structs.replace(interface(), source_present=False)
    actions = instance.handle_event(gone, SECOND)
    if not tracked:
        assert actions == []
        return
    assert transition(actions).cause == "source_address_missing"
    assert "198.51.100.7" in transition(actions).detail
    assert transition(instance.handle_event(interface(), 2 * SECOND)).new is State.BACKUP


def test_track_src_ip_without_a_configured_source_means_nothing() -> None:
    gone = msgspec.structs.replace(interface(), source_present=False)
    assert started(track_source=True).handle_event(gone, SECOND) == []

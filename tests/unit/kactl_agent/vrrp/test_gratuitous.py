"""Gratuitous ARP and unsolicited neighbour advertisements: the frames as scapy reads them, and when they are sent."""

from __future__ import annotations

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from kactl_agent.vrrp.actions import Announce
from kactl_agent.vrrp.gratuitous import GratuitousSchedule, gratuitous_arp, neighbour_advertisement
from kactl_agent.vrrp.settings import SECOND, GratuitousSettings, VirtualAddress
from support.vrrp import HARDWARE, VIP, packed

VIP_B = VirtualAddress(packed("192.0.2.101"), 24, "eth0")


def run(schedule: GratuitousSchedule, until: int) -> list[tuple[int, int, int]]:
    """(time, number of addresses, repeat) of everything announced from timers up to `until`."""
    found = []
    while (deadline := schedule.deadline()) is not None and deadline <= until:
        actions = schedule.due(deadline)
        assert actions, "a deadline at which nothing happens"
        found += [(deadline, len(action.addresses), action.repeat) for action in actions]
    return found


def test_gratuitous_arp_frame() -> None:
    """RFC 9568 6.4.1: broadcast, sender and target are the virtual address; target hardware address as keepalived."""
    frame = Ether(gratuitous_arp(packed("192.0.2.100"), HARDWARE))
    assert (frame.dst, frame.src, frame.type) == ("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:0a", 0x0806)
    arp = frame[ARP]
    assert (arp.hwtype, arp.ptype, arp.hwlen, arp.plen, arp.op) == (1, 0x0800, 6, 4, 1)
    assert (arp.hwsrc, arp.psrc) == ("02:00:00:00:00:0a", "192.0.2.100")
    assert (arp.hwdst, arp.pdst) == ("ff:ff:ff:ff:ff:ff", "192.0.2.100")
    assert len(frame) == 42


def test_frames_of_keepalived() -> None:
    """What keepalived 2.2.7 sent for 192.0.2.100 and 2001:db8::100 from an interface that does not forward."""
    arp = "ffffffffffff02000000000a0806000108000604000102000000000ac0000264ffffffffffffc0000264"
    assert gratuitous_arp(packed("192.0.2.100"), HARDWARE).hex() == arp
    header = (
        "33330000000102000000000a86dd6000000000203aff20010db8000000000000000000000100ff020000000000000000000000000001"
    )
    message = "8800f7232000000020010db8000000000000000000000100020102000000000a"
    assert neighbour_advertisement(packed("2001:db8::100"), HARDWARE, router=False).hex() == header + message


@pytest.mark.parametrize("router", [False, True])
def test_neighbour_advertisement_frame(router: bool) -> None:
    """RFC 9568 6.4.1, RFC 4861 7.2.6: R as told, S=0, O=1, target and its link-layer address, to all nodes."""
    data = neighbour_advertisement(packed("2001:db8::100"), HARDWARE, router)
    frame = Ether(data)
    assert (frame.dst, frame.src, frame.type) == ("33:33:00:00:00:01", "02:00:00:00:00:0a", 0x86DD)
    header = frame[IPv6]
    assert (header.src, header.dst, header.hlim, header.nh) == ("2001:db8::100", "ff02::1", 255, 58)
    assert header.plen == len(data) - 54
    message = frame[ICMPv6ND_NA]
    assert (message.R, message.S, message.O, message.tgt) == (int(router), 0, 1, "2001:db8::100")
    assert frame[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:0a"
    del message.cksum  # scapy computes it anew
    assert bytes(frame) == data


def test_burst_second_burst_and_no_refresh() -> None:
    schedule = GratuitousSchedule(GratuitousSettings(), (VIP, VIP_B))
    assert schedule.start(SECOND) == [Announce((VIP, VIP_B), 5)]
    assert run(schedule, 3600 * SECOND) == [(6 * SECOND, 2, 5)]
    assert schedule.deadline() is None


def test_no_second_burst_without_delay() -> None:
    schedule = GratuitousSchedule(GratuitousSettings(delay=0), (VIP,))
    schedule.start(0)
    assert schedule.deadline() is None


def test_the_first_refresh_comes_after_delay_and_refresh() -> None:
    settings = GratuitousSettings(repeat=3, delay=2 * SECOND, refresh=60 * SECOND, refresh_repeat=2)
    schedule = GratuitousSchedule(settings, (VIP,))
    schedule.start(0)
    expected = [(2 * SECOND, 1, 3), (62 * SECOND, 1, 2), (122 * SECOND, 1, 2)]
    assert run(schedule, 130 * SECOND) == expected


def test_a_late_refresh_is_sent_once_and_stays_in_step() -> None:
    schedule = GratuitousSchedule(GratuitousSettings(delay=0, refresh=10 * SECOND), (VIP,))
    schedule.start(0)
    assert schedule.due(57 * SECOND) == [Announce((VIP,), 1)]
    assert schedule.deadline() is not None
    assert 57 * SECOND < (schedule.deadline() or 0) <= 67 * SECOND


def test_lower_priority_burst_and_its_second() -> None:
    settings = GratuitousSettings(delay=0, lower_priority_repeat=2, lower_priority_delay=3 * SECOND)
    schedule = GratuitousSchedule(settings, (VIP,))
    schedule.start(0)
    assert schedule.lower_priority(SECOND) == [Announce((VIP,), 2)]
    assert run(schedule, 60 * SECOND) == [(4 * SECOND, 1, 2)]


def test_lower_priority_repeat_zero_sends_nothing() -> None:
    schedule = GratuitousSchedule(GratuitousSettings(delay=0, lower_priority_repeat=0), (VIP,))
    schedule.start(0)
    assert schedule.lower_priority(SECOND) == []
    assert schedule.deadline() is None


def test_stop_forgets_everything() -> None:
    settings = GratuitousSettings(refresh=SECOND)
    schedule = GratuitousSchedule(settings, (VIP, VIP_B))
    schedule.start(0)
    schedule.lower_priority(0)
    schedule.stop()
    assert schedule.deadline() is None
    assert schedule.due(100 * SECOND) == []


def test_without_addresses_there_is_nothing_to_say() -> None:
    assert GratuitousSchedule(GratuitousSettings(), ()).start(0) == []


ON_ETH1 = VirtualAddress(packed("192.0.2.101"), 24, "eth1")
ALSO_ON_ETH1 = VirtualAddress(packed("192.0.2.102"), 24, "eth1")
EXTRA = GratuitousSettings(repeat=1, delay=0, extra_interval=SECOND, extra_interfaces=("eth1", "eth2"))


def test_one_address_on_each_extra_interface_is_announced_again_and_again() -> None:
    """garp_extra_if, as 2.2.7 sends it: the first one an interval after the start, one frame on each interface."""
    schedule = GratuitousSchedule(EXTRA, (VIP, ON_ETH1, ALSO_ON_ETH1))
    assert schedule.start(0) == [Announce((VIP, ON_ETH1, ALSO_ON_ETH1), 1)]
    assert schedule.due(SECOND - 1) == []
    for second in (1, 2, 3):
        assert schedule.deadline() == second * SECOND
        assert schedule.due(second * SECOND) == [Announce((ON_ETH1,), 1)]
    schedule.stop()
    assert schedule.deadline() is None


def test_extra_announcements_are_not_made_up_for() -> None:
    schedule = GratuitousSchedule(EXTRA, (ON_ETH1,))
    schedule.start(0)
    assert len(schedule.due(10 * SECOND)) == 1
    assert (schedule.deadline() or 0) > 10 * SECOND


def test_extra_announcements_change_with_a_reload() -> None:
    schedule = GratuitousSchedule(GratuitousSettings(delay=0), (VIP, ON_ETH1))
    schedule.reconfigure(EXTRA, (VIP, ON_ETH1), 0)
    assert schedule.deadline() is None, "a backup announces nothing"
    schedule.start(0)
    assert schedule.deadline() == SECOND
    schedule.reconfigure(EXTRA, (VIP, ON_ETH1), SECOND // 2)
    assert schedule.deadline() == SECOND, "the same interval goes on"
    schedule.reconfigure(GratuitousSettings(delay=0), (VIP, ON_ETH1), SECOND)
    assert schedule.deadline() is None
    schedule.reconfigure(EXTRA, (VIP, ON_ETH1), 5 * SECOND)
    assert schedule.deadline() == 6 * SECOND


def test_addresses_put_back_one_by_one_are_each_announced_a_second_time() -> None:
    """on_foreign_removal restore: somebody takes them off the machine one after the other."""
    schedule = GratuitousSchedule(GratuitousSettings(repeat=1), (VIP, VIP_B))
    schedule.start(0)
    schedule.due(5 * SECOND)
    assert schedule.added((VIP,), 10 * SECOND) == [Announce((VIP,), 1)]
    assert schedule.added((VIP_B,), 12 * SECOND) == [Announce((VIP_B,), 1)]
    assert schedule.deadline() == 15 * SECOND
    assert schedule.due(15 * SECOND) == [Announce((VIP,), 1)]
    assert schedule.deadline() == 17 * SECOND
    assert schedule.due(17 * SECOND) == [Announce((VIP_B,), 1)]
    assert schedule.deadline() is None


def test_second_announcements_come_in_the_order_of_their_times() -> None:
    schedule = GratuitousSchedule(GratuitousSettings(repeat=1, delay=5 * SECOND), (VIP, VIP_B))
    schedule.start(0)
    schedule.due(5 * SECOND)
    schedule.added((VIP,), 10 * SECOND)
    schedule.reconfigure(GratuitousSettings(repeat=1, delay=SECOND), (VIP, VIP_B), 10 * SECOND)
    schedule.added((VIP_B,), 10 * SECOND)
    assert schedule.deadline() == 11 * SECOND
    assert schedule.due(11 * SECOND) == [Announce((VIP_B,), 1)]
    assert schedule.due(15 * SECOND) == [Announce((VIP,), 1)]


def test_an_address_that_a_reload_has_taken_away_is_not_announced_again() -> None:
    schedule = GratuitousSchedule(GratuitousSettings(repeat=1), (VIP, VIP_B))
    schedule.start(0)
    schedule.due(5 * SECOND)
    schedule.added((VIP_B,), 10 * SECOND)
    schedule.reconfigure(GratuitousSettings(repeat=1), (VIP,), 11 * SECOND)
    assert schedule.due(15 * SECOND) == []

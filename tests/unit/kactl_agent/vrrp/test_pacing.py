"""The gap between announcements, shared by all that announce on an interface or in a garp_group."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.vrrp.actions import Announce
from kactl_agent.vrrp.network_settings import PaceGroup, PaceSettings
from kactl_agent.vrrp.pacing import Pacing
from kactl_agent.vrrp.settings import MICROSECOND, SECOND, VirtualAddress
from support.vrrp import VIP, VIP6, packed

VIP_B = VirtualAddress(packed("192.0.2.101"), 24, "eth0")
VIP_ETH1 = VirtualAddress(packed("192.0.2.102"), 24, "eth1")
MILLISECOND = 1000 * MICROSECOND
TEN = 10 * MILLISECOND

Sent = list[tuple[int, str, VirtualAddress]]


def run(pacing: Pacing, until: int = 1000 * SECOND) -> Sent:
    """(time, instance, address) of every frame that goes by its timer."""
    sent = []
    while (deadline := pacing.deadline()) is not None and deadline <= until:
        due = pacing.due(deadline)
        assert due, "a deadline at which nothing happens"
        sent += [(deadline, name, address) for name, action in due for address in action.addresses]
    return sent


def test_without_a_gap_all_goes_at_once() -> None:
    pacing = Pacing(PaceSettings())
    assert pacing.offer("A", Announce((VIP, VIP_B, VIP6), 5), 0) == [Announce((VIP, VIP_B, VIP6), 5)]
    assert pacing.deadline() is None


def test_the_gap_is_kept_on_each_interface_for_each_family() -> None:
    pacing = Pacing(PaceSettings(arp_interval=TEN))
    first = pacing.offer("A", Announce((VIP, VIP_B, VIP_ETH1, VIP6), 2), 0)
    assert first == [Announce((VIP6,), 2), Announce((VIP,), 1), Announce((VIP_ETH1,), 1)]
    later = run(pacing)
    assert [(t, a) for t, _, a in later if a.interface == "eth0"] == [(TEN, VIP_B), (2 * TEN, VIP), (3 * TEN, VIP_B)]
    assert [(t, a) for t, _, a in later if a.interface == "eth1"] == [(TEN, VIP_ETH1)]


def test_neighbour_advertisements_have_their_own_gap() -> None:
    pacing = Pacing(PaceSettings(advertisement_interval=MILLISECOND))
    assert pacing.offer("A", Announce((VIP6, VIP), 2), 0) == [Announce((VIP,), 2), Announce((VIP6,), 1)]
    assert run(pacing) == [(MILLISECOND, "A", VIP6)]


def test_instances_on_an_interface_share_the_gap() -> None:
    """Seen with 2.2.7: the next time is the interface's."""
    pacing = Pacing(PaceSettings(arp_interval=TEN))
    assert pacing.offer("A", Announce((VIP,), 2), 0) == [Announce((VIP,), 1)]
    assert pacing.offer("B", Announce((VIP_B,), 2), MILLISECOND) == []
    assert run(pacing) == [(TEN, "A", VIP), (2 * TEN, "B", VIP_B), (3 * TEN, "B", VIP_B)]
    assert pacing.offer("B", Announce((VIP_B,), 1), 3 * TEN + 1) == [], "the gap goes on when nobody waits"
    assert run(pacing) == [(4 * TEN, "B", VIP_B)]


def test_interfaces_of_a_group_share_its_gap_and_others_have_the_general_one() -> None:
    groups = (PaceGroup(("eth0", "eth1"), SECOND), PaceGroup(("eth2",), 0, SECOND))
    pacing = Pacing(PaceSettings(arp_interval=TEN, groups=groups))
    other = VirtualAddress(packed("192.0.2.103"), 24, "eth3")
    ungapped = VirtualAddress(packed("192.0.2.104"), 24, "eth2")
    first = pacing.offer("A", Announce((VIP, VIP_ETH1, other, ungapped), 2), 0)
    assert first == [Announce((ungapped,), 2), Announce((VIP,), 1), Announce((other,), 1)]
    assert run(pacing) == [
        (TEN, "A", other),
        (SECOND, "A", VIP_ETH1),
        (2 * SECOND, "A", VIP),
        (3 * SECOND, "A", VIP_ETH1),
    ]


def test_a_late_timer_does_not_break_the_gap() -> None:
    pacing = Pacing(PaceSettings(arp_interval=TEN))
    pacing.offer("A", Announce((VIP,), 5), 0)
    assert pacing.due(95 * MILLISECOND) == [("A", Announce((VIP,), 1))]
    assert pacing.deadline() == 105 * MILLISECOND


def test_bursts_do_not_pile_up() -> None:
    """A lower master that keeps sending makes us answer, not queue without end."""
    pacing = Pacing(PaceSettings(arp_interval=10 * SECOND))
    for second in range(1, 100):
        pacing.offer("A", Announce((VIP, VIP_B), 5), second * SECOND)
        pacing.offer("B", Announce((VIP_B,), 5), second * SECOND)
    assert len(run(pacing, 10_000 * SECOND)) <= 15


def test_a_burst_for_some_leaves_what_waits_for_the_others() -> None:
    """Addresses that a reload adds are announced behind those that are still waiting."""
    pacing = Pacing(PaceSettings(arp_interval=TEN))
    pacing.offer("A", Announce((VIP,), 2), 0)
    pacing.offer("A", Announce((VIP_B,), 2), 0)
    assert [address for _, _, address in run(pacing)] == [VIP, VIP_B, VIP_B]


def test_who_gives_up_addresses_announces_them_no_more() -> None:
    pacing = Pacing(PaceSettings(arp_interval=TEN))
    pacing.offer("A", Announce((VIP, VIP_B), 2), 0)
    pacing.offer("B", Announce((VIP,), 1), 0)
    pacing.withdraw("A", (VIP,))
    assert [(name, address) for _, name, address in run(pacing)] == [("A", VIP_B), ("A", VIP_B), ("B", VIP)]


def test_a_reload_keeps_what_waits() -> None:
    pacing = Pacing(PaceSettings(arp_interval=SECOND))
    pacing.offer("A", Announce((VIP,), 3), 0)
    pacing.reconfigure(PaceSettings(arp_interval=TEN), MILLISECOND)
    pacing.rename({"A": "B"})
    assert run(pacing) == [(MILLISECOND, "B", VIP), (MILLISECOND + TEN, "B", VIP)]
    pacing.offer("B", Announce((VIP,), 3), SECOND)
    pacing.reconfigure(PaceSettings(), SECOND)
    assert len(pacing.due(SECOND)) == 2
    assert pacing.deadline() is None


OFFERS = st.tuples(
    st.sampled_from("AB"),
    st.lists(st.sampled_from([VIP, VIP_B, VIP_ETH1, VIP6]), min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
    st.integers(0, 30 * MILLISECOND),
)


@given(st.lists(OFFERS, max_size=8), st.booleans())
def test_no_two_frames_of_a_lane_are_closer_than_the_gap_and_each_address_goes(
    offers: list[tuple[str, list[VirtualAddress], int, int]], grouped: bool
) -> None:
    groups = (PaceGroup(("eth0", "eth1"), TEN, TEN),) if grouped else ()
    pacing, now = Pacing(PaceSettings(TEN, TEN, groups)), 0
    sent: Sent = []
    for name, addresses, repeat, pause in offers:
        sent += run(pacing, now + pause)
        now += pause
        at_once = pacing.offer(name, Announce(tuple(addresses), repeat), now)
        sent += [(now, name, address) for action in at_once for address in action.addresses * action.repeat]
    sent += run(pacing)
    lanes: dict[tuple[str, int], list[int]] = {}
    for time, _, address in sent:
        lanes.setdefault(("" if grouped else address.interface, len(address.address)), []).append(time)
    for times in lanes.values():
        assert all(later - earlier >= TEN for earlier, later in itertools.pairwise(times))
    for name, addresses, _, _ in offers[-1:]:
        assert {(name, address) for address in addresses} <= {(who, address) for _, who, address in sent}

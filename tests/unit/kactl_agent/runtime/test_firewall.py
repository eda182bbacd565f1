"""no_accept and VMACs in the firewall, against a machine in memory."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.firewall import Firewall
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.firewall import Blocked, FirewallSettings, VmacTraffic, blocked, together
from kactl_agent.vrrp.settings import Family, VirtualAddress
from support.vrrp import VIP, VIP6, packed

BOTH = FirewallSettings(families=(Family.IPV4, Family.IPV6))
CLOSED = msgspec.structs.replace(VIP, accepted=False)
CLOSED6 = msgspec.structs.replace(VIP6, accepted=False)  # link-local
LOCAL_IGMP = "net/ipv4/igmp_link_local_mcast_reports"


class World:
    def __init__(self, settings: FirewallSettings = BOTH) -> None:
        self.kernel = FakeKernel()
        self.kernel.links.add_link("eth0")
        self.kernel.sysctls.values[LOCAL_IGMP] = 1
        self.reports: list[Report] = []
        self.firewall = Firewall(self.kernel, self.reports.append)
        self.firewall.configure(settings)

    @property
    def entries(self) -> set[object]:
        return set(self.kernel.firewall.entries)


def test_only_what_is_not_accepted_is_blocked() -> None:
    world = World()
    world.firewall.block("A", (VIP, CLOSED6))
    assert world.entries == {Blocked(VIP6.address, "eth0")}
    world.firewall.block("A", (CLOSED,))
    assert world.entries == {Blocked(VIP6.address, "eth0"), Blocked(VIP.address)}
    world.firewall.unblock("A", (CLOSED, CLOSED6))
    assert world.entries == set()


def test_what_two_hold_goes_with_the_last() -> None:
    world = World()
    for holder in "AB":
        world.firewall.block(holder, (CLOSED,))
    world.firewall.unblock("A", (CLOSED,))
    assert world.entries == {Blocked(VIP.address)}
    world.firewall.unblock("B", (CLOSED,))
    assert world.entries == set()


def test_link_local_addresses_by_index_where_that_is_asked_for() -> None:
    world = World(msgspec.structs.replace(BOTH, by_index=True))
    world.firewall.block("A", (CLOSED6,))
    assert world.entries == {Blocked(VIP6.address, "eth0", 1)}
    assert blocked(packed("2001:db8::1"), "eth0", 1) == Blocked(packed("2001:db8::1"))


def test_a_table_that_somebody_has_flushed_is_made_anew_with_everything() -> None:
    world = World()
    world.firewall.block("A", (CLOSED,))
    world.kernel.firewall.flush()
    world.firewall.block("B", (CLOSED6,))
    assert world.entries == {Blocked(VIP6.address, "eth0"), Blocked(VIP.address)}
    assert not world.reports


def test_a_machine_without_nftables_is_told_of_once() -> None:
    """S44."""
    world = World(FirewallSettings())
    world.kernel.failing.add("firewall")
    world.firewall.configure(BOTH)
    world.firewall.block("A", (CLOSED,))
    world.firewall.follow((VmacTraffic(Family.IPV4, 7, 1),))
    (report,) = world.reports
    assert report.level == "error"
    assert "no_accept" in report.detail
    world.kernel.failing.clear()
    world.firewall.unblock("A", (CLOSED,))
    assert world.entries == {VmacTraffic(Family.IPV4, 7, 1)}, "as soon as it can be had"


def test_no_table_where_nothing_needs_one() -> None:
    world = World(FirewallSettings())
    assert world.kernel.firewall.settings is None
    world.firewall.configure(BOTH)
    tables = [world.kernel.firewall.settings]
    world.firewall.configure(FirewallSettings())
    assert [*tables, world.kernel.firewall.settings] == [BOTH, None]


def test_the_name_of_the_table_stays_until_a_new_start() -> None:
    world = World()
    world.firewall.configure(msgspec.structs.replace(BOTH, table="other", counters=True))
    now = world.kernel.firewall.settings
    assert now is not None
    assert (now.table, now.counters) == ("keepalived", True)
    assert [report.level for report in world.reports] == ["warning"]


def test_a_reload_changes_what_is_accepted() -> None:
    world = World()
    world.firewall.block("A", (CLOSED,))
    world.firewall.replace({"B": (VIP, CLOSED6)})
    assert world.entries == {Blocked(VIP6.address, "eth0")}


def test_local_igmp_is_switched_off_and_on_again() -> None:
    world = World(msgspec.structs.replace(BOTH, local_igmp=False))
    assert world.kernel.sysctls.values[LOCAL_IGMP] == 0
    world.firewall.configure(BOTH)
    assert world.kernel.sysctls.values[LOCAL_IGMP] == 1
    world.firewall.configure(msgspec.structs.replace(BOTH, local_igmp=False))
    world.firewall.close()
    assert world.kernel.sysctls.values[LOCAL_IGMP] == 1


def test_families_of_both_while_a_reload_goes_on() -> None:
    four, six = (msgspec.structs.replace(BOTH, families=(family,)) for family in Family)
    assert together(four, msgspec.structs.replace(six, counters=True)) == msgspec.structs.replace(BOTH, counters=True)


ADDRESSES = tuple(VirtualAddress(packed(f"192.0.2.{n}"), 24, "eth0", accepted=n % 3 != 0) for n in range(1, 8))
STEPS = st.lists(
    st.tuples(st.sampled_from(("block", "unblock", "flush")), st.sampled_from("AB"), st.sampled_from(ADDRESSES)),
    max_size=30,
)


@given(STEPS)
def test_after_any_steps_the_table_has_what_is_held_and_not_accepted(
    steps: list[tuple[str, str, VirtualAddress]],
) -> None:
    world = World()
    held: dict[str, set[VirtualAddress]] = {"A": set(), "B": set()}
    for what, holder, address in steps:
        if what == "flush":
            world.kernel.firewall.flush()
        elif what == "block":
            held[holder].add(address)
            world.firewall.block(holder, (address,))
        else:
            held[holder].discard(address)
            world.firewall.unblock(holder, (address,))
    wanted = {Blocked(a.address) for each in held.values() for a in each if not a.accepted}
    world.firewall.replace({name: tuple(each) for name, each in held.items()})
    world.firewall.follow((VmacTraffic(Family.IPV4, 9, 1),))  # so that a flushed table is noticed
    assert world.entries == {*wanted, VmacTraffic(Family.IPV4, 9, 1)}

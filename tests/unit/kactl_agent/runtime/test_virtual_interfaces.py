"""VMACs and ipvlans against a machine in memory: what is made, followed, given back and taken away."""

from __future__ import annotations

import pytest

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.virtual_interfaces import VirtualInterfaces, alias_of, modified_eui64, reclaim
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.firewall import VmacTraffic
from kactl_agent.vrrp.settings import Family
from kactl_agent.vrrp.virtual_interface import InterfaceKind, VirtualInterface, virtual_router_mac
from support.vrrp import make_settings, packed

ALIAS = "kactl /etc/kactl/agent.yaml"
LOCAL, OTHER = packed("fe80::1"), packed("fe80::2")
ALL, ETH0, VMAC = (f"net/ipv4/conf/{name}" for name in ("all", "eth0", "vrrp.51"))


def vmac(
    family: Family = Family.IPV4, name: str = "vrrp.51", parent: str = "eth0", group: int | None = None
) -> VirtualInterface:
    mac = virtual_router_mac(family, 51)
    return VirtualInterface(name=name, parent=parent, family=family, hardware_address=mac, group=group)


class World:
    def __init__(self, *, parent: bool = True) -> None:
        self.kernel = FakeKernel()
        self.reports: list[Report] = []
        self.interfaces = VirtualInterfaces(self.kernel, self.reports.append)
        self.interfaces.alias = ALIAS
        for name in ("all", "default", "eth0", "lo"):
            self.kernel.sysctls.add_link(name)
        if parent:
            self.kernel.links.add_link("eth0")

    def settle(self, virtual: frozenset[bytes] = frozenset()) -> None:
        self.interfaces.settle(virtual)
        while self.kernel.links.drain():
            self.interfaces.settle(virtual)

    def link_locals(self, name: str) -> list[bytes]:
        return [entry.address for entry in self.kernel.links.addresses(name)]

    @property
    def values(self) -> dict[str, int]:
        return self.kernel.sysctls.values


def test_a_vmac_is_made_with_the_virtual_mac_its_parents_group_and_up() -> None:
    world = World()
    world.kernel.links.change("eth0", group=7)
    world.interfaces.want([vmac()])
    link = world.kernel.links.link("vrrp.51")
    assert link is not None
    assert link.hardware_address == bytes.fromhex("00005e000133")
    assert (link.parent, link.group, link.up) == (1, 7, True)
    assert link.alias.startswith(ALIAS)
    assert world.interfaces.obstacle("vrrp.51") == ""
    world.interfaces.want([])
    assert world.kernel.links.link("vrrp.51") is None
    assert not world.reports


def test_a_group_that_is_said_goes_before_the_parents() -> None:
    world = World()
    world.interfaces.want([vmac(group=9)])
    link = world.kernel.links.link("vrrp.51")
    assert link is not None
    assert link.group == 9


def test_a_vrf_of_the_parent_is_the_vmacs_too_and_a_bridge_is_not() -> None:
    world = World()
    links = world.kernel.links
    red, bridge = links.add_link("red"), links.add_link("br0")
    links.change("red", kind="vrf")
    links.change("br0", kind="bridge")
    links.change("eth0", master=red.index)
    world.interfaces.want([vmac()])
    assert links.table["vrrp.51"].master == red.index
    links.change("eth0", master=bridge.index)
    world.settle()
    assert links.table["vrrp.51"].master == 0


def test_kernel_parameters_are_borrowed_and_given_back() -> None:
    world = World()
    before = dict(world.values)
    world.interfaces.want([vmac()])
    assert {key: world.values[f"{VMAC}/{key}"] for key in ("arp_ignore", "accept_local", "promote_secondaries")} == {
        "arp_ignore": 1, "accept_local": 1, "promote_secondaries": 1,
    }  # fmt: skip
    assert world.values["net/ipv6/conf/vrrp.51/disable_ipv6"] == 1
    assert world.values[f"{ETH0}/arp_ignore"] == world.values[f"{ETH0}/arp_filter"] == 1
    world.interfaces.want([])
    assert {key: world.values[key] for key in before} == before


def test_rp_filter_of_all_interfaces_is_handed_to_each_for_the_time() -> None:
    world = World()
    world.values[f"{ALL}/rp_filter"] = 2
    world.interfaces.want([vmac()])
    assert world.values[f"{ALL}/rp_filter"] == world.values[f"{VMAC}/rp_filter"] == 0
    assert world.values[f"{ETH0}/rp_filter"] == world.values["net/ipv4/conf/default/rp_filter"] == 2
    assert world.values["net/ipv4/conf/lo/rp_filter"] == 0
    world.settle()
    world.interfaces.want([vmac(), vmac(name="vrrp1.51")])
    assert world.values[f"{ALL}/rp_filter"] == 0
    world.interfaces.want([])
    assert world.values[f"{ALL}/rp_filter"] == 2
    assert world.values[f"{ETH0}/rp_filter"] == world.values["net/ipv4/conf/default/rp_filter"] == 0


def test_what_somebody_else_changed_meanwhile_is_not_given_back() -> None:
    world = World()
    world.interfaces.want([vmac()])
    world.values[f"{ETH0}/arp_ignore"] = 2
    world.interfaces.want([])
    assert world.values[f"{ETH0}/arp_ignore"] == 2
    assert world.values[f"{ETH0}/arp_filter"] == 0


def test_a_parameter_that_cannot_be_set_is_told_once_and_no_hindrance() -> None:
    world = World()
    world.kernel.failing.add("sysctl")
    world.interfaces.want([vmac()])
    world.settle()
    assert world.interfaces.obstacle("vrrp.51") == ""
    said = [report.detail for report in world.reports if "eth0/arp_ignore" in report.detail]
    assert len(said) == 1
    assert "Operation not permitted" in said[0]


def test_an_ipv6_vmac_mirrors_the_parents_link_local_address_and_follows_it() -> None:
    """S16: on change, on deletion (then made from the MAC address), and at the start without one."""
    world = World()
    links = world.kernel.links
    links.add_address("eth0", LOCAL, 64)
    world.interfaces.want([vmac(Family.IPV6)])
    assert world.link_locals("vrrp.51") == [LOCAL]
    instance = make_settings(family=Family.IPV6, virtual_interfaces=(vmac(Family.IPV6),), own_interface="vrrp.51")
    assert world.interfaces.source_of(instance) == (LOCAL, "")
    links.add_address("eth0", OTHER, 64)
    links.remove_address("eth0", LOCAL)
    world.settle()
    assert world.link_locals("vrrp.51") == [OTHER]
    links.remove_address("eth0", OTHER)
    world.settle()
    made = modified_eui64(b"\x02\0\0\0\0\x01")
    assert world.link_locals("vrrp.51") == [made]
    links.remove_address("vrrp.51", made)
    world.settle()
    assert world.link_locals("vrrp.51") == [made], "put back when somebody takes it away"

    late = World()
    late.interfaces.want([vmac(Family.IPV6)])
    assert late.link_locals("vrrp.51") == [made]


def test_virtual_link_local_addresses_are_not_mirrored() -> None:
    world = World()
    world.kernel.links.add_address("eth0", OTHER, 64)
    world.kernel.links.add_address("eth0", LOCAL, 64)
    world.interfaces.want([vmac(Family.IPV6)], frozenset({OTHER}))
    assert world.link_locals("vrrp.51") == [LOCAL]


def test_modified_eui64_inverts_the_universal_bit() -> None:
    """RFC 4291 appendix A: 34-56-78-9A-BC-DE makes 3656:78FF:FE9A:BCDE."""
    assert modified_eui64(bytes.fromhex("3456789abcde")) == packed("fe80::3656:78ff:fe9a:bcde")


def test_what_fits_is_used_and_stays_and_gets_the_right_mac() -> None:
    world = World()
    link = world.kernel.links.add_link("vrrp.51", b"\x02\0\0\0\0\x09", up=False)
    world.kernel.links.change("vrrp.51", kind="macvlan", private=True, parent=1)
    world.kernel.sysctls.add_link("vrrp.51")
    world.interfaces.want([vmac()])
    now = world.kernel.links.table["vrrp.51"]
    assert (now.index, now.hardware_address, now.up) == (link.index, bytes.fromhex("00005e000133"), True)
    world.interfaces.want([])
    assert "vrrp.51" in world.kernel.links.table
    assert world.values[f"{VMAC}/accept_local"] == 0
    assert world.values["net/ipv6/conf/vrrp.51/disable_ipv6"] == 0


def test_what_is_something_else_is_left_alone_and_named() -> None:
    world = World()
    world.kernel.links.add_link("vrrp.51")
    world.interfaces.want([vmac()])
    assert world.interfaces.obstacle("vrrp.51") == "vrrp.51 exists already and is no macvlan"
    world.settle()
    assert [report.code for report in world.reports] == ["virtual_interface"]


def test_what_a_killed_agent_left_is_taken_over_or_deleted() -> None:
    world = World()
    world.interfaces.want([vmac(), vmac(name="vrrp1.51")])
    successor = VirtualInterfaces(world.kernel, world.reports.append)
    successor.alias = ALIAS
    index = world.kernel.links.table["vrrp.51"].index
    successor.want([vmac()])
    assert world.kernel.links.table["vrrp.51"].index == index
    assert "vrrp1.51" not in world.kernel.links.table
    successor.want([])
    assert "vrrp.51" not in world.kernel.links.table
    assert world.values[f"{ETH0}/arp_ignore"] == world.values[f"{ETH0}/arp_filter"] == 0


def test_the_parents_parameters_are_given_back_even_after_a_crash() -> None:
    world = World()
    world.values[f"{ETH0}/arp_ignore"] = 2
    world.interfaces.want([vmac()])
    assert world.values[f"{ETH0}/arp_ignore"] == world.values[f"{ETH0}/arp_filter"] == 1
    assert reclaim(world.kernel, ALIAS) == []
    assert (world.values[f"{ETH0}/arp_ignore"], world.values[f"{ETH0}/arp_filter"]) == (2, 0)
    world.interfaces.want([])

    changed = World()
    changed.interfaces.want([vmac()])
    changed.values[f"{ETH0}/arp_ignore"] = 8
    assert reclaim(changed.kernel, ALIAS) == []
    assert changed.values[f"{ETH0}/arp_ignore"] == 8, "what somebody has changed since is left alone"


def test_one_left_on_another_parent_is_made_anew() -> None:
    world = World()
    world.kernel.links.add_link("eth1")
    world.interfaces.want([vmac()])
    world.interfaces.want([vmac(parent="eth1")])
    assert world.kernel.links.table["vrrp.51"].parent == world.kernel.links.table["eth1"].index


@pytest.mark.parametrize("beneath", ["eth1", ""])
def test_one_on_a_macvlan_is_made_once_and_is_that_macvlans(beneath: str) -> None:
    """The kernel puts it beside its parent, on the same device, which may be in another network namespace."""
    world = World()
    links = world.kernel.links
    device = links.add_link(beneath).index if beneath else 0
    parent = links.add_link("macvlan0").index
    links.change("macvlan0", kind="macvlan", parent=device)
    for name in ("eth1", "macvlan0"):
        world.kernel.sysctls.add_link(name)
    before = dict(world.values)
    traffic: list[tuple[VmacTraffic, ...]] = []
    world.interfaces.follow = traffic.append
    world.interfaces.want([vmac(parent="macvlan0")])
    for mtu in (1400, 1500):
        links.change("macvlan0", mtu=mtu)
        world.settle()
    assert [entry for entry in world.kernel.log if entry[0].endswith("link")] == [
        ("create link", "vrrp.51", bytes.fromhex("00005e000133"))
    ]
    assert links.table["vrrp.51"].parent == device
    assert {each.parent for vmacs in traffic for each in vmacs} == {parent}
    assert world.values["net/ipv4/conf/macvlan0/arp_ignore"] == 1
    assert reclaim(world.kernel, ALIAS) == []
    assert {key: world.values[key] for key in before} == before


def test_another_agents_interfaces_are_not_touched() -> None:
    world = World()
    world.interfaces.want([vmac()])
    assert reclaim(world.kernel, alias_of("/etc/kactl/other.yaml")) == []
    assert "vrrp.51" in world.kernel.links.table
    assert reclaim(world.kernel, ALIAS) == []
    assert "vrrp.51" not in world.kernel.links.table


def test_it_comes_and_goes_with_its_parent() -> None:
    world = World(parent=False)
    world.interfaces.want([vmac()])
    assert world.interfaces.obstacle("vrrp.51") == "interface eth0 does not exist"
    assert not world.reports
    for _ in range(2):
        world.kernel.links.add_link("eth0")
        world.values[f"{ETH0}/arp_ignore"] = 0
        world.settle()
        assert world.interfaces.obstacle("vrrp.51") == ""
        assert world.values[f"{VMAC}/accept_local"] == world.values[f"{ETH0}/arp_ignore"] == 1
        world.kernel.links.remove_link("eth0")
        world.settle()
        assert world.interfaces.obstacle("vrrp.51")


def test_a_kernel_without_macvlan_is_asked_once() -> None:
    world = World()
    world.kernel.failing.add("link")
    world.interfaces.want([vmac()])
    for _ in range(3):
        world.kernel.links.change("eth0", mtu=1400)
        world.settle()
    assert [entry for entry in world.kernel.log if entry[0] == "create link"] == [
        ("create link", "vrrp.51", bytes.fromhex("00005e000133"))
    ]
    assert len(world.reports) == 1
    assert "Operation not permitted" in world.interfaces.obstacle("vrrp.51")
    world.kernel.failing.clear()
    world.interfaces.want([vmac()])
    assert world.interfaces.obstacle("vrrp.51") == ""


def test_one_that_is_set_down_stays_down() -> None:
    world = World()
    world.interfaces.want([vmac()])
    world.kernel.links.set_up("vrrp.51", False)
    world.settle()
    assert world.interfaces.obstacle("vrrp.51") == "vrrp.51 is down"


def test_an_ipvlan_has_its_own_address_and_leaves_its_parent_alone() -> None:
    world = World()
    own = packed("192.0.2.5")
    ipvlan = VirtualInterface(
        name="vrrp.51", parent="eth0", family=Family.IPV4, kind=InterfaceKind.IPVLAN, address=own, prefix_length=24
    )
    before = dict(world.values)
    world.interfaces.want([ipvlan])
    assert world.link_locals("vrrp.51") == [own]
    instance = make_settings(virtual_interfaces=(ipvlan,), own_interface="vrrp.51")
    assert world.interfaces.source_of(instance) == (own, "")
    assert world.values["net/ipv6/conf/vrrp.51/disable_ipv6"] == 1
    assert {key: world.values[key] for key in before} == before
    world.interfaces.want([])
    assert "vrrp.51" not in world.kernel.links.table


def test_an_ipv6_ipvlan_without_an_address_sends_from_what_the_kernel_gives_it() -> None:
    world = World()
    ipvlan = VirtualInterface(name="vrrp.51", parent="eth0", family=Family.IPV6, kind=InterfaceKind.IPVLAN)
    world.interfaces.want([ipvlan])
    instance = make_settings(family=Family.IPV6, virtual_interfaces=(ipvlan,), own_interface="vrrp.51")
    assert world.interfaces.source_of(instance) == (b"", "vrrp.51")

"""Messages that make macvlans and ipvlans, held against pyroute2's decoder, and the plan against properties."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.kernel.virtual_links import ChangeLink, CreateLink, DeleteLink, encode, plan
from kactl_agent.vrrp.settings import Family
from kactl_agent.vrrp.virtual_interface import InterfaceKind, IpvlanFlag, VirtualInterface, virtual_router_mac

MAC = virtual_router_mac(Family.IPV4, 51)
VMAC = VirtualInterface(name="vrrp.51", parent="eth0", family=Family.IPV4, hardware_address=MAC)
IPVLAN = VirtualInterface(name="iv", parent="eth0", family=Family.IPV4, kind=InterfaceKind.IPVLAN, flag=IpvlanFlag.VEPA)


def decoded(message: bytes) -> ifinfmsg:
    found = ifinfmsg(message)
    found.decode()
    return found


def test_a_macvlan() -> None:
    create, properties = (decoded(message) for message in encode(CreateLink(VMAC, 3, 7, 9, "kactl x")))
    assert create["header"]["flags"] & 0x600 == 0x600, "made anew or refused"
    assert (create.get_attr("IFLA_IFNAME"), create.get_attr("IFLA_LINK")) == ("vrrp.51", 3)
    assert (create.get_attr("IFLA_GROUP"), create.get_attr("IFLA_MASTER")) == (7, 9)
    assert create.get_attr("IFLA_ADDRESS") == "00:00:5e:00:01:33"
    info = create.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "macvlan"
    assert info.get_attr("IFLA_INFO_DATA").get_attr("IFLA_MACVLAN_MODE") == "private"
    assert properties.get_attr("IFLA_IFALIAS") == "kactl x"
    assert properties.get_attr("IFLA_AF_SPEC").get_attr("AF_INET6").get_attr("IFLA_INET6_ADDR_GEN_MODE") == 1


def test_an_ipvlan() -> None:
    create, properties = (decoded(message) for message in encode(CreateLink(IPVLAN, 3, 0, 0, "kactl x")))
    info = create.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "ipvlan"
    data = info.get_attr("IFLA_INFO_DATA")
    assert data.get_attr("IFLA_IPVLAN_MODE") == 0
    assert create.get_attr("IFLA_ADDRESS") is None
    assert create.get_attr("IFLA_MASTER") is None
    assert properties.get_attr("IFLA_AF_SPEC") is None, "it makes its own link-local address"


def test_changes_and_deletion() -> None:
    (up,) = (decoded(message) for message in encode(ChangeLink("vrrp.51", MAC, 0, True)))
    assert (up["flags"], up["change"], up.get_attr("IFLA_MASTER")) == (1, 1, 0)
    (nothing,) = (decoded(message) for message in encode(ChangeLink("vrrp.51")))
    assert (nothing["flags"], nothing["change"], nothing.get_attr("IFLA_ADDRESS")) == (0, 0, None)
    (gone,) = encode(DeleteLink("vrrp.51"))
    assert decoded(gone)["header"]["type"] == 17


NAMES = st.sampled_from(("a", "b", "c"))
INTERFACES = st.builds(
    VirtualInterface,
    name=NAMES,
    parent=st.sampled_from(("eth0", "eth1", "macvlan0", "ipvlan0", "missing")),
    family=st.sampled_from(Family),
    kind=st.sampled_from(InterfaceKind),
    hardware_address=st.sampled_from((MAC, virtual_router_mac(Family.IPV6, 9))),
)
FOREIGN = st.dictionaries(NAMES, st.sampled_from(("macvlan", "dummy")), max_size=2)


@given(st.lists(st.lists(INTERFACES, max_size=3, unique_by=lambda i: i.name), min_size=1, max_size=4), FOREIGN)
def test_after_a_plan_there_is_nothing_left_to_do(
    configurations: list[list[VirtualInterface]], foreign: dict[str, str]
) -> None:
    kernel = FakeKernel()
    for name in ("eth0", "eth1", "macvlan0", "ipvlan0"):
        kernel.links.add_link(name)
    kernel.links.change("macvlan0", kind="macvlan", parent=2)
    kernel.links.change("ipvlan0", kind="ipvlan")  # on a device of another network namespace
    for name, kind in foreign.items():
        kernel.links.add_link(name)
        kernel.links.change(name, kind=kind, private=kind == "macvlan", parent=1 if kind == "macvlan" else 0)
    for desired in configurations:
        work = plan(desired, kernel.links, "mine")
        kernel.virtual_links.apply(work.operations)
        again = plan(desired, kernel.links, "mine")
        assert again.operations == ()
        assert again.obstacles == work.obstacles
        wanted = {interface.name: interface for interface in desired if interface.name not in again.obstacles}
        for name, interface in wanted.items():
            link = kernel.links.table[name]
            assert link.kind == interface.kind.value
            parent = kernel.links.table[interface.parent]
            assert link.parent == (parent.parent if parent.kind == link.kind else parent.index)
        assert set(foreign) <= set(kernel.links.table), "what somebody else made stays"
        mine = {link.name for link in kernel.links.all() if link.alias == "mine"}
        assert mine <= {interface.name for interface in desired}

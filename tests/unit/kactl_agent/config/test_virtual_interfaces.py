"""Names, MAC addresses and users of the interfaces that instances ask for, as seen of keepalived 2.2.7."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.resolve import Resolution, resolve
from kactl_agent.vrrp.settings import Family, VrrpSettings
from kactl_agent.vrrp.virtual_interface import InterfaceKind, IpvlanFlag

V4, V6 = "virtual_ipaddress: [192.0.2.1/24]", 'virtual_ipaddress: ["2001:db8::1/64"]'


def resolution(body: str, top: str = "") -> Resolution:
    document = bind(f"{top}\nvrrp_instance:\n{body}", "test.yaml")
    assert not document.errors, document.diagnostics
    return resolve(document)


def instances(*bodies: str, top: str = "") -> list[VrrpSettings]:
    lines = [f"  {chr(65 + n)}: {{interface: eth0, priority: 100, {body}}}\n" for n, body in enumerate(bodies)]
    found = resolution("".join(lines), top)
    assert not [d for d in found.diagnostics if d.severity.value == "error"], found.diagnostics
    return list(found.settings.vrrp)


def names(*bodies: str, top: str = "") -> list[list[str]]:
    return [[i.name for i in settings.virtual_interfaces] for settings in instances(*bodies, top=top)]


def test_the_name_is_of_prefix_and_vrid() -> None:
    assert names(f"virtual_router_id: 51, use_vmac: true, {V4}") == [["vrrp.51"]]
    top = "global_defs: {vmac_prefix: lan}"
    assert names(f"virtual_router_id: 51, use_vmac: true, {V4}", top=top) == [["lan.51"]]


def test_names_that_are_taken() -> None:
    """IPv6 has a number of its own, then both count from 1."""
    same = "virtual_router_id: 51, use_vmac: true"
    other = "virtual_router_id: 51, use_vmac: true, interface: eth1"
    body = "".join(
        f"  {name}: {{priority: 100, {text}}}\n"
        for name, text in {
            "A": f"interface: eth0, {same}, {V4}",
            "B": f"interface: eth0, {same}, {V6}",
            "C": f"{other}, {V4}",
            "D": f"{other}, {V6}",
            "E": f"interface: eth2, {same}, {V4}",
        }.items()
    )
    found = [[i.name for i in s.virtual_interfaces] for s in resolution(body).settings.vrrp]
    assert found == [["vrrp.51"], ["vrrp6.51"], ["vrrp1.51"], ["vrrp2.51"], ["vrrp3.51"]]


def test_a_long_prefix_is_shortened() -> None:
    top = "global_defs: {vmac_prefix: averylongprefix}"
    (name,) = names(f"virtual_router_id: 151, use_vmac: true, {V4}", top=top)[0]
    assert name == "averylongpr.151"
    assert len(name) == 15


def test_a_name_that_is_said_is_taken() -> None:
    said = f"virtual_router_id: 52, use_vmac: vrrp.51, {V4}"
    assert names(f"virtual_router_id: 51, use_vmac: true, {V4}", said) == [["vrrp1.51"], ["vrrp.51"]]


def test_two_of_one_name_are_an_error_with_both_places() -> None:
    body = "".join(
        f"  {name}: {{interface: eth0, priority: 100, virtual_router_id: {vrid}, use_vmac: vmac0, {V4}}}\n"
        for name, vrid in (("A", 1), ("B", 2))
    )
    found = [d for d in resolution(body).diagnostics if d.severity.value == "error"]
    assert [(d.code, d.place.line) for d in found] == [("duplicate-interface-name", 4)]
    assert "test.yaml:3" in (found[0].hint or "")


@pytest.mark.parametrize(
    ("said", "addresses", "mac"),
    [
        ("true", V4, "00:00:5e:00:01:33"),
        ("true", V6, "00:00:5e:00:02:33"),
        ("{mac: '02:11:22:33:44:55'}", V4, "02:11:22:33:44:55"),
        ("{mac: '02:11:22:33:44'}", V4, "02:11:22:33:44:33"),
        ("{mac: '02:11:22:33:44'}, strict_mode: true, version: 3", V4, "00:00:5e:00:01:33"),
    ],
)
def test_mac_address(said: str, addresses: str, mac: str) -> None:
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: {said}, {addresses}")
    assert settings.virtual_interfaces[0].hardware_address.hex(":") == mac


def placed(settings: VrrpSettings) -> list[str]:
    return [address.interface for address in settings.addresses]


def test_addresses_go_on_the_vmac_unless_they_name_another_interface() -> None:
    excluded = 'virtual_ipaddress_excluded: ["2001:db8::9/64"]'
    more = "virtual_ipaddress: [192.0.2.1/24, {address: 192.0.2.2/24, dev: eth1}, {address: 192.0.2.3/24, dev: eth0}]"
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: true, {more}, {excluded}")
    assert placed(settings) == ["vrrp.51", "eth1", "eth0", "eth0"], "a VMAC for IPv4 has no IPv6"
    assert (settings.own_interface, settings.interface, settings.advert_interface) == ("vrrp.51", "eth0", "vrrp.51")


def test_use_vmac_of_an_address_and_use_vmac_addr() -> None:
    both = [
        "virtual_ipaddress: [192.0.2.1/24, {address: 192.0.2.2/24, dev: eth1, use_vmac: true}]",
        "use_vmac_addr: true, virtual_ipaddress: [192.0.2.1/24, {address: 192.0.2.2/24, dev: eth1}]",
    ]
    for text in both:
        (settings,) = instances(f"virtual_router_id: 51, use_vmac: {{mac: '02:11:22:33:44'}}, {text}")
        assert placed(settings) == ["vrrp.51", "vrrp1.51"]
        assert [i.parent for i in settings.virtual_interfaces] == ["eth0", "eth1"]
        assert {i.hardware_address.hex(":") for i in settings.virtual_interfaces} == {"02:11:22:33:44:33"}
    (settings,) = instances(f"virtual_router_id: 51, {both[0]}", top="global_defs: {vmac_addr_prefix: addr}")
    assert placed(settings) == ["eth0", "addr.51"]
    assert settings.own_interface == ""
    assert settings.advert_interface == "eth0"
    excluded = 'virtual_ipaddress_excluded: ["2001:db8::9/64"]'
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: true, use_vmac_addr: true, {V4}, {excluded}")
    assert placed(settings) == ["vrrp.51", "vrrp6.51"]
    assert settings.virtual_interfaces[1].family is Family.IPV6


def test_adverts_by_the_parent() -> None:
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: true, vmac_xmit_base: true, {V4}")
    assert settings.advert_interface == "eth0"
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: true, vmac_xmit_base: true, strict_mode: true, {V4}")
    assert settings.advert_interface == "vrrp.51", "strict mode has none"
    body = f"  A: {{interface: eth0, virtual_router_id: 51, use_vmac: true, unicast_peer: [192.0.2.9], {V4}}}\n"
    found = resolution(body)
    assert found.settings.vrrp[0].advert_interface == "eth0"
    assert "vmac-unicast" in {d.code for d in found.diagnostics}


def test_groups_by_number_and_name() -> None:
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: {{group: 7}}, {V4}")
    assert settings.virtual_interfaces[0].group == 7
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: {{group: default}}, {V4}")
    assert settings.virtual_interfaces[0].group == 0
    (settings,) = instances(f"virtual_router_id: 51, use_vmac: true, {V4}")
    assert settings.virtual_interfaces[0].group is None


def test_ipvlan() -> None:
    said = "{address: 192.0.2.5/24, mode: vepa}"
    (settings,) = instances(f"virtual_router_id: 51, use_ipvlan: {said}, {V4}")
    (interface,) = settings.virtual_interfaces
    assert (interface.kind, interface.flag, interface.name) == (InterfaceKind.IPVLAN, IpvlanFlag.VEPA, "vrrp.51")
    assert (interface.address, interface.prefix_length) == (bytes((192, 0, 2, 5)), 24)
    assert placed(settings) == ["eth0"], "as keepalived 2.2.7: it is for adverts"
    assert settings.advert_interface == "vrrp.51"


def test_an_ipv4_ipvlan_needs_an_address() -> None:
    body = f"  A: {{interface: eth0, virtual_router_id: 51, use_ipvlan: true, {V4}}}\n"
    found = [(d.code, d.severity.value) for d in resolution(body).diagnostics]
    assert ("ipvlan-without-address", "error") in found
    (settings,) = instances(f"virtual_router_id: 51, use_ipvlan: true, {V6}")
    assert settings.virtual_interfaces[0].address == b""


@pytest.mark.parametrize("keyword", ["use_vmac", "use_ipvlan"])
def test_false_is_no_name(keyword: str) -> None:
    """Whoever writes it wants none, and does not get an interface called false."""
    text = f"vrrp_instance:\n  A: {{interface: eth0, virtual_router_id: 51, {keyword}: false, {V4}}}\n"
    (found,) = bind(text, "test.yaml").diagnostics
    assert (found.code, found.hint) == ("bad-value", "take the keyword out instead")

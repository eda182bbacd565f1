"""What becomes of the names of VMACs and ipvlans where somebody else has an interface of the name (keepalived 2.2.7
takes the next one: tests/interop/test_keepalived_vmac.py)."""

from __future__ import annotations

import pytest

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.virtual_names import with_free_names
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.settings import Family, GratuitousSettings, VirtualAddress, VrrpSettings
from kactl_agent.vrrp.virtual_interface import InterfaceKind, VirtualInterface, virtual_router_mac
from support.vrrp import make_settings, packed

ALIAS = "kactl /etc/kactl/agent.yaml"


def vmac(name: str = "vrrp.51", family: Family = Family.IPV4, prefix: str = "vrrp") -> VirtualInterface:
    mac = virtual_router_mac(family, 51)
    return VirtualInterface(name=name, parent="eth0", family=family, hardware_address=mac, prefix=prefix)


def instance(*interfaces: VirtualInterface, name: str = "VI_1") -> VrrpSettings:
    own = interfaces[0].name
    return make_settings(
        name=name,
        virtual_router_id=51,
        virtual_interfaces=interfaces,
        own_interface=own,
        addresses=tuple(VirtualAddress(packed("192.0.2.1"), 24, interface.name) for interface in interfaces),
        gratuitous=GratuitousSettings(extra_interval=1, extra_interfaces=(own,)),
    )


def machine(*others: str, ours: str = "") -> FakeKernel:
    kernel = FakeKernel()
    kernel.links.add_link("eth0")
    for name in others:
        kernel.links.add_link(name)
    if ours:
        kernel.links.add_link(ours)
        kernel.links.change(ours, alias=ALIAS)
    return kernel


def settled(kernel: FakeKernel, *instances: VrrpSettings) -> tuple[list[str], list[Report]]:
    found, reports = with_free_names(instances, kernel.links, ALIAS)
    for settings in found:
        (own, *_more) = settings.virtual_interfaces
        assert settings.own_interface == own.name
        assert settings.gratuitous.extra_interfaces == (own.name,)
        assert [a.interface for a in settings.addresses] == [i.name for i in settings.virtual_interfaces]
    return [interface.name for settings in found for interface in settings.virtual_interfaces], reports


@pytest.mark.parametrize(
    ("others", "family", "expected"),
    [
        ((), Family.IPV4, "vrrp.51"),
        (("vrrp.51",), Family.IPV4, "vrrp1.51"),
        (("vrrp.51", "vrrp1.51"), Family.IPV4, "vrrp2.51"),
        (("vrrp.51",), Family.IPV6, "vrrp6.51"),
        (("vrrp.51", "vrrp6.51"), Family.IPV6, "vrrp1.51"),
    ],
)
def test_the_next_name_that_is_free(others: tuple[str, ...], family: Family, expected: str) -> None:
    found, reports = settled(machine(*others), instance(vmac(family=family)))
    assert found == [expected]
    assert len(reports) == bool(others)


def test_a_name_that_was_said_gives_way_to_the_usual_one() -> None:
    found, (report,) = settled(machine("mine"), instance(vmac("mine")))
    assert found == ["vrrp.51"]
    assert "there is an interface mine, which is no macvlan for eth0: vrrp.51 is used in its place" in report.detail


def test_names_of_the_configuration_are_taken() -> None:
    other = instance(vmac("vrrp1.51"), name="VI_2")
    found, _reports = settled(machine("vrrp.51"), instance(vmac()), other)
    assert found == ["vrrp2.51", "vrrp1.51"]


def test_what_was_chosen_before_stays() -> None:
    assert settled(machine("vrrp.51", ours="vrrp2.51"), instance(vmac()))[0] == ["vrrp2.51"]


def test_what_is_ours_or_fits_is_nobody_elses() -> None:
    assert settled(machine(ours="vrrp.51"), instance(vmac())) == (["vrrp.51"], [])
    kernel = machine("vrrp.51")
    kernel.links.change("vrrp.51", kind=InterfaceKind.MACVLAN.value, parent=1, private=True)
    assert settled(kernel, instance(vmac())) == (["vrrp.51"], [])


def test_interfaces_of_addresses_are_renamed_alone() -> None:
    found, _reports = settled(machine("vrrp1.51"), instance(vmac(), vmac("vrrp1.51")))
    assert found == ["vrrp.51", "vrrp2.51"]


def test_who_stands_behind_is_named_after() -> None:
    """As if the first had had the usual name from the start."""
    found, reports = settled(machine("mine"), instance(vmac("mine"), vmac("vrrp.51")))
    assert found == ["vrrp.51", "vrrp1.51"]
    assert len(reports) == 1

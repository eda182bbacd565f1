"""Which addresses are accepted (Accept_Mode, RFC 9568 6.1), and what the firewall is needed for."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.resolve import Settings, resolve
from kactl_agent.vrrp.firewall import FirewallSettings, IpsetNames, IptablesSettings
from kactl_agent.vrrp.settings import Family

V4, V6 = "virtual_ipaddress: [192.0.2.1/24]", 'virtual_ipaddress: ["2001:db8::1/64"]'


def settings(body: str, global_defs: str = "") -> Settings:
    text = f"global_defs: {{{global_defs}}}\nvrrp_instance:\n  A: {{interface: eth0, virtual_router_id: 51, {body}}}\n"
    found = resolve(bind(text, "test.yaml"))
    assert not [d for d in found.diagnostics if d.code == "not-served"], found.diagnostics
    return found.settings


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ("priority: 100", True),
        ("priority: 100, no_accept: true", False),
        ("priority: 100, accept: true", True),
        ("priority: 255, no_accept: true", True),
        ("priority: 100, strict_mode: true, version: 3", False),
        ("priority: 100, strict_mode: true, version: 3, accept: true", True),
        ("priority: 100, strict_mode: true, version: 2, accept: true", False),
        ("priority: 255, strict_mode: true, version: 3", True),
    ],
)
def test_accept_mode(said: str, accepted: bool) -> None:
    (address,) = settings(f"{said}, {V4}").vrrp[0].addresses
    assert address.accepted is accepted


def test_no_table_unless_something_needs_one() -> None:
    assert settings(f"priority: 100, {V4}", "nftables: mine").firewall.families == ()
    assert settings(f"priority: 100, no_accept: true, {V4}").firewall.families == (Family.IPV4,)
    assert settings(f"priority: 100, use_vmac: true, {V6}").firewall.families == (Family.IPV6,)
    both = f'priority: 100, no_accept: true, {V4}, virtual_ipaddress_excluded: ["2001:db8::9/64"]'
    assert settings(both).firewall.families == (Family.IPV4, Family.IPV6)


def test_disable_local_igmp_leaves_ipv4_vmacs_nothing_to_filter() -> None:
    found = settings(f"priority: 100, use_vmac: true, {V4}", "disable_local_igmp: true").firewall
    assert (found.families, found.local_igmp) == ((), False)
    found = settings(f"priority: 100, use_vmac: true, {V6}", "disable_local_igmp: true").firewall
    assert found.families == (Family.IPV6,)


def test_names_and_options_of_the_table() -> None:
    assert settings(f"priority: 100, {V4}", "nftables: true").firewall == FirewallSettings()
    words = "nftables: mine, nftables_priority: -5, nftables_counters: true, nftables_ifindex: true"
    assert settings(f"priority: 100, {V4}", words).firewall == FirewallSettings(
        table="mine", priority=-5, counters=True, by_index=True
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", None),
        ("vrrp_iptables: true", IptablesSettings(input_chain="INPUT", output_chain="OUTPUT", sets=IpsetNames())),
        ("vrrp_iptables: {inchain: a}, vrrp_ipsets: false", IptablesSettings(input_chain="a")),
        ("vrrp_iptables: {inchain: a, outchain: b}, vrrp_ipsets: false",
         IptablesSettings(input_chain="a", output_chain="b")),
        ("vrrp_iptables: {inchain: a}, vrrp_ipsets: {ipv4: v, mld: m}",
         IptablesSettings(input_chain="a", sets=IpsetNames(
             ipv4="v", ipv6="v6", ipv6_interface="v_if6", igmp="v_igmp", mld="m", neighbours="v_nd"))),
        ("vrrp_iptables: true, nftables: true", None),
        ("vrrp_ipsets: {ipv4: v}", None),
    ],
)  # fmt: skip
def test_iptables_instead_of_nftables(words: str, expected: IptablesSettings | None) -> None:
    assert settings(f"priority: 100, no_accept: true, {V4}", words).firewall.iptables == expected

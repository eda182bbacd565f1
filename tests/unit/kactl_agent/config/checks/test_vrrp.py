"""What the RFCs and the kernel say of an instance's keywords (seed rows S03, S05, S33)."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.check import check
from kactl_agent.config.diagnostics import Severity
from kactl_agent.config.resolve import resolve

HEAD = "interface: eth0, virtual_router_id: 5"


def test_down_timer_adverts_is_said_to_be_none_of_the_rfcs() -> None:
    text = f"vrrp_instance: {{A: {{{HEAD}, virtual_ipaddress: [192.0.2.1], down_timer_adverts: 5}}}}\n"
    (found,) = check(bind(text, "agent.yaml"))
    assert (found.code, found.severity) == ("down-timer-adverts", Severity.NOTE)
    assert "5 missed adverts instead of 3 is not what RFC 9568 says" in found.message


@pytest.mark.parametrize(("adverts", "fine"), [(0, False), (1, True), (100, True), (101, False)])
@pytest.mark.parametrize("where", ["instance", "global_defs"])
def test_down_timer_adverts_are_1_to_100(adverts: int, fine: bool, where: str) -> None:
    own, of_all = (
        (f", down_timer_adverts: {adverts}", "") if where == "instance" else ("", f"vrrp_down_timer_adverts: {adverts}")
    )
    text = f"global_defs: {{{of_all}}}\nvrrp_instance: {{A: {{{HEAD}, virtual_ipaddress: [192.0.2.1]{own}}}}}\n"
    document = bind(text, "agent.yaml")
    assert (document.diagnostics == []) is fine
    if fine:
        (settings,) = resolve(document).settings.vrrp
        assert settings.down_timer_adverts == adverts


def test_a_group_of_one_member_is_noticed_and_taken() -> None:
    text = f"vrrp_sync_group: {{G: {{group: [A]}}}}\nvrrp_instance: {{A: {{{HEAD}, virtual_ipaddress: [192.0.2.1]}}}}\n"
    document = bind(text, "agent.yaml")
    (found,) = check(document)
    assert (found.code, found.severity) == ("single-member-group", Severity.WARNING)
    (group,) = resolve(document).settings.sync_groups
    assert group.members == ("A",)


@pytest.mark.parametrize(("label", "fine"), [("eth0:123456789a", True), ("eth0:123456789ab", False)])
def test_a_label_must_fit_a_name_of_the_kernel(label: str, fine: bool) -> None:
    """IFNAMSIZ is 16, with the zero at the end; -t of 2.2.7 leaves out the address of such a label."""
    entry = f'{{address: 192.0.2.1/24, label: "{label}"}}'
    text = f"vrrp_instance: {{A: {{{HEAD}, virtual_ipaddress: [{entry}]}}}}\n"
    found = bind(text, "agent.yaml").diagnostics
    if fine:
        assert found == []
    else:
        assert [label in d.message for d in found] == [True]
        assert found[0].severity is Severity.ERROR


BARE = "virtual_router_id: 5, unicast_peer: [10.0.0.2]"


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (f"{BARE}, unicast_src_ip: 10.0.0.1, virtual_ipaddress: [{{address: 192.0.2.1, dev: eth1}}]", []),
        (f"{BARE}, unicast_src_ip: 10.0.0.1, vrf: red, virtual_ipaddress: [{{address: 192.0.2.1, dev: eth1}}]", []),
        (f"{BARE}, unicast_src_ip: 10.0.0.1, virtual_ipaddress: [192.0.2.1]", ["missing-dev"]),
        (f"{BARE}, vrf: red, virtual_ipaddress: [{{address: 192.0.2.1, dev: eth1}}]", ["missing-interface"]),
        (
            "virtual_router_id: 5, unicast_src_ip: 10.0.0.1, virtual_ipaddress: [{address: 192.0.2.1, dev: eth1}]",
            ["missing-interface"],
        ),
        (f"{HEAD}, vrf: red, virtual_ipaddress: [192.0.2.1]", ["vrf"]),
    ],
)
def test_an_instance_without_interface_needs_what_stands_for_it(body: str, codes: list[str]) -> None:
    """`vrf can only be specified without interface - clearing` (2.2.7)."""
    document = bind(f"vrrp_instance: {{A: {{{body}}}}}\n", "agent.yaml")
    assert document.diagnostics == []
    assert [d.code for d in check(document)] == codes


def test_a_vrf_counts_without_an_interface_alone() -> None:
    address = "virtual_ipaddress: [{address: 192.0.2.1, dev: eth1}]"
    for body, vrf in (
        (f"{BARE}, unicast_src_ip: 10.0.0.1, vrf: red, {address}", "red"),
        (f"{HEAD}, vrf: red, {address}", ""),
    ):
        (settings,) = resolve(bind(f"vrrp_instance: {{A: {{{body}}}}}\n", "agent.yaml")).settings.vrrp
        assert settings.vrf == vrf

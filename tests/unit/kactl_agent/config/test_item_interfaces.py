"""Interfaces tracked without a word: keepalived 2.2.7 faults the instance when one of them goes down."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.resolve import resolve
from kactl_agent.tracking.settings import TrackerKind, TrackerUse

ADDRESS = "virtual_ipaddress: [192.0.2.10/24]"


def uses(body: str, *blocks: str) -> tuple[TrackerUse, ...]:
    text = "\n".join([*blocks, f"vrrp_instance:\n  VI: {{interface: eth0, virtual_router_id: 51, {body}}}\n"])
    document = bind(text, "agent.yaml")
    assert document.diagnostics == []
    return resolve(document).settings.tracking.uses.get("VI", ())


def interfaces(body: str, *blocks: str) -> list[str]:
    found = uses(body, *blocks)
    assert all(use == TrackerUse(TrackerKind.INTERFACE, use.tracker) for use in found)
    return [use.tracker for use in found]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (ADDRESS, []),
        ("virtual_ipaddress: [{address: 192.0.2.10/24, dev: eth0}]", []),
        ("virtual_ipaddress: [{address: 192.0.2.10/24, dev: eth1}, {address: 192.0.2.11/24, dev: eth1}]", ["eth1"]),
        ("virtual_ipaddress: [{address: 192.0.2.10/24, dev: eth1, no_track: true}]", []),
        (f"{ADDRESS}, virtual_ipaddress_excluded: [{{address: 192.0.2.11/24, dev: eth2}}]", ["eth2"]),
        (f"{ADDRESS}, virtual_routes: [{{destination: 203.0.113.0/28, dev: eth1}}]", ["eth1"]),
        (f"{ADDRESS}, virtual_routes: [{{destination: 203.0.113.0/28, dev: eth1, no_track: true}}]", []),
        # the other ways are enough for a multipath route
        (f"{ADDRESS}, virtual_routes: [{{destination: 203.0.113.0/28, nexthop: [{{via: 192.0.2.1, dev: eth1}}]}}]", []),
        (f"{ADDRESS}, virtual_rules: [{{dev: eth1, table: 5, preference: 1}}]", ["eth1"]),
    ],
)
def test_virtual_items(body: str, expected: list[str]) -> None:
    assert interfaces(body) == expected


def test_what_it_depends_on_is_a_fault_whatever_weight_an_entry_gives_it() -> None:
    """Seen with 2.2.7: the instance goes to FAULT when the interface of its address goes down."""
    body = "virtual_ipaddress: [{address: 192.0.2.10/24, dev: eth1}], track_interface: [{name: eth1, weight: 5}]"
    assert uses(body) == (TrackerUse(TrackerKind.INTERFACE, "eth1"),)


def test_static_items_of_its_track_group() -> None:
    blocks = (
        "global_defs: {default_interface: eth9}",
        "track_group: {ours: {group: [VI]}, theirs: {group: [VX]}}",
        "static_ipaddress: [{address: 198.51.100.1/24, track_group: ours}, {address: 198.51.100.2/24, dev: eth8}]",
        "static_routes: [{destination: 203.0.113.0/28, dev: eth1, track_group: ours}, "
        "{destination: 203.0.113.16/28, dev: eth2, track_group: theirs}]",
        "static_rules: [{dev: eth3, table: 5, preference: 1, track_group: ours}]",
    )
    text = "\n".join(
        [
            *blocks,
            "vrrp_instance:",
            f"  VI: {{interface: eth0, virtual_router_id: 51, {ADDRESS}}}",
            "  VX: {interface: eth0, virtual_router_id: 52, virtual_ipaddress: [192.0.2.12/24]}\n",
        ]
    )
    found = resolve(bind(text, "agent.yaml")).settings.tracking.uses
    assert [use.tracker for use in found["VI"]] == ["eth9", "eth1", "eth3"]
    assert [use.tracker for use in found["VX"]] == ["eth2"]

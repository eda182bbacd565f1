"""Static items in the worker's form."""

from __future__ import annotations

from kactl_agent.config.bind import bind
from kactl_agent.config.diagnostics import Severity
from kactl_agent.config.resolve import Resolution, resolve
from support.routing import packed

INSTANCES = """
vrrp_instance:
  VI_1: {interface: eth0, virtual_router_id: 1, virtual_ipaddress: [192.0.2.1/24]}
  VI_2: {interface: eth0, virtual_router_id: 2, virtual_ipaddress: [192.0.2.2/24]}
track_group:
  routers: {group: [VI_1, VI_2]}
"""


def resolution(text: str) -> Resolution:
    document = bind(text + INSTANCES, "agent.yaml")
    assert document.diagnostics == []
    return resolve(document)


def test_addresses_routes_and_rules_with_those_that_depend_on_them() -> None:
    found = resolution("""
global_defs: {default_interface: eth9}
static_ipaddress:
  - 198.51.100.5/24
  - {address: 198.51.100.8/24, dev: eth0, track_group: routers, no_track: true}
static_routes:
  - {destination: 203.0.113.0/26, via: 198.51.100.254, dev: eth0}
  - {destination: 203.0.113.64/26, dev: eth0, track_group: routers}
static_rules:
  - {from: 198.51.100.0/24, table: 100, preference: 1000, track_group: routers}
""")
    assert found.diagnostics == []
    items = found.settings.static
    assert [(s.item.address, s.item.interface, s.item.tracked, s.instances) for s in items.addresses] == [
        (packed("198.51.100.5"), "eth9", True, ()),
        (packed("198.51.100.8"), "eth0", False, ("VI_1", "VI_2")),
    ]
    assert [(s.item.destination, s.instances) for s in items.routes] == [
        (packed("203.0.113.0"), ()),
        (packed("203.0.113.64"), ("VI_1", "VI_2")),
    ]
    assert [(s.item.preference, s.instances) for s in items.rules] == [(1000, ("VI_1", "VI_2"))]


def test_an_address_needs_an_interface() -> None:
    (problem,) = resolution("static_ipaddress: [198.51.100.5/24]\n").diagnostics
    assert (problem.code, problem.severity, problem.place.line) == ("no-interface", Severity.ERROR, 1)


def test_rules_without_a_preference_count_on_from_one_block_to_the_next() -> None:
    text = "static_rules: [{from: 198.51.100.0/24, table: 100}, {from: 198.51.100.0/25, table: 101}]\n"
    assert [s.item.preference for s in resolution(text).settings.static.rules] == [16384, 16383]

"""Routes and rules in the engines' form; the numbers are those that keepalived 2.2.7 puts into its messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.diagnostics import Severity
from kactl_agent.config.resolve import Resolution, resolve
from kactl_agent.vrrp.routing import (
    IlaEncapsulation,
    IpEncapsulation,
    MplsEncapsulation,
    Nexthop,
    RouteUpdate,
    VirtualRoute,
    VirtualRule,
)
from kactl_agent.vrrp.settings import Family
from support.routing import hop, packed

HEAD = "interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]"


def resolution(keyword: str, entry: str, global_defs: str = "") -> Resolution:
    text = f"vrrp_instance:\n  VI_1: {{{HEAD}, {keyword}: [{entry}]}}\n"
    if global_defs:
        text = f"global_defs: {{{global_defs}}}\n{text}"
    document = bind(text, "agent.yaml")
    assert document.diagnostics == []
    return resolve(document)


def route(entry: str, *codes: str) -> VirtualRoute:
    """The route, resolved with these warnings and no error."""
    found = resolution("virtual_routes", "{" + entry + "}")
    assert [d.code for d in found.diagnostics] == list(codes)
    assert all(d.severity is Severity.WARNING for d in found.diagnostics)
    (item,) = found.settings.vrrp[0].routes
    return item


def rule(entry: str, *codes: str) -> VirtualRule:
    found = resolution("virtual_rules", "{" + entry + "}")
    assert [d.code for d in found.diagnostics] == list(codes)
    (item,) = found.settings.vrrp[0].rules
    return item


VIA = "via: 198.18.1.254, dev: eth0"


def test_a_plain_route_and_keepaliveds_defaults() -> None:
    assert route(f"destination: 203.0.113.0/28, {VIA}") == VirtualRoute(
        family=Family.IPV4,
        destination=packed("203.0.113.0"),
        prefix_length=28,
        nexthops=(hop("198.18.1.254", "eth0"),),
        type=1,
        table=254,
        protocol=18,
        scope=0,
        metric=None,
        update=RouteUpdate.PREPEND,
        tracked=True,
        text="203.0.113.0/28 via 198.18.1.254 dev eth0",
    )


ROUTES: dict[str, dict[str, Any]] = {
    f"destination: 203.0.113.1, {VIA}": {"prefix_length": 32},
    f"destination: 203.0.113.0/28, {VIA}, src: 198.18.1.1, tos: 0x10, metric: 100": {
        "preferred_source": packed("198.18.1.1"), "tos": 16, "metric": 100,
    },
    f"destination: 203.0.113.0/28, {VIA}, table: 200, scope: link, no_track: true, protocol: static": {
        "table": 200, "scope": 253, "protocol": 4, "tracked": False,
    },
    "destination: 203.0.113.0/28, dev: eth0, onlink: true, realms: 4/5": {
        "nexthops": (hop("", "eth0", onlink=True, realms=262149),),
    },
    "type: blackhole, destination: 203.0.113.0/28": {"type": 6, "nexthops": ()},
    "type: unreachable, destination: 203.0.113.0/28": {"type": 7},
    "type: prohibit, destination: 203.0.113.0/28": {"type": 8},
    "type: throw, destination: 203.0.113.0/28, table: 1000": {"type": 9, "table": 1000},
    "type: local, destination: 203.0.113.1, dev: eth0": {"type": 2},
    f"destination: 203.0.113.0/28, {VIA}, mtu: {{lock: true, value: 1400}}, hoplimit: 64, "
    "advmss: {lock: true, value: 1300}, window: 65535": {
        "metrics": ((2, 1400), (3, 65535), (8, 1300), (10, 64)), "locked": 260,
    },
    f"destination: 203.0.113.0/28, {VIA}, rtt: 300ms, rttvar: 1s, rto_min: 0.25s": {
        "metrics": ((4, 2400), (5, 4000), (13, 250)), "locked": 0,
    },
    f"destination: 203.0.113.0/28, {VIA}, rtt: 2000, rttvar: 900, rto_min: 200": {  # the kernel's own units
        "metrics": ((4, 2000), (5, 900), (13, 200)),
    },
    f"destination: 203.0.113.0/28, {VIA}, initcwnd: 10, initrwnd: 20, features: ecn, quickack: 1, congctl: "
    "{lock: true, value: cubic}, fastopen_no_cookie: 1": {
        "metrics": ((11, 10), (12, 1), (14, 20), (15, 1), (17, 1)), "congestion_control": "cubic", "locked": 1 << 16,
    },
    f"destination: 203.0.113.0/28, {VIA}, cwnd: 20, ssthresh: {{lock: true, value: 30}}, reordering: 5": {
        "metrics": ((6, 30), (7, 20), (9, 5)), "locked": 1 << 6,
    },
    "destination: 2001:db8::/48, via: fe80::1, dev: eth0, from: 2001:db8:1::/48, pref: low, expires: 3600": {
        "family": Family.IPV6, "source": packed("2001:db8:1::"), "source_length": 48, "preference": 3, "expires": 3600,
    },
    "destination: 203.0.113.0/28, nexthop: [{via: 198.18.1.253, dev: eth0, weight: 2, onlink: true, realms: 3}, "
    "{via: 198.18.2.254, dev: eth1}]": {
        "nexthops": (
            hop("198.18.1.253", "eth0", weight=2, onlink=True, realms=3), hop("198.18.2.254", "eth1"),
        ),
    },
    f"destination: 203.0.113.0/28, {VIA}, "
    "encap: {ip: {id: 100, dst: 198.18.2.9, src: 198.18.2.1, tos: 4, ttl: 20}}": {
        "nexthops": (
            hop("198.18.1.254", "eth0", encapsulation=IpEncapsulation(
                family=Family.IPV4, id=100, destination=packed("198.18.2.9"), source=packed("198.18.2.1"), tos=4, ttl=20
            )),
        ),
    },
    f"destination: 203.0.113.0/28, {VIA}, encap: {{mpls: 100/200}}": {
        "nexthops": (hop("198.18.1.254", "eth0", encapsulation=MplsEncapsulation((100, 200))),),
    },
    "destination: 2001:db8::/48, via: fe80::1, dev: eth0, encap: {ila: '10:20:30:40'}": {
        "nexthops": (
            hop("fe80::1", "eth0", encapsulation=IlaEncapsulation(bytes.fromhex("0010002000300040"))),
        ),
    },
    "destination: 2001:db8::/48, via: fe80::1, dev: eth0, encap: {ip6: {dst: '2001:db8::1', tc: 3, hoplimit: 9}}": {
        "nexthops": (
            hop("fe80::1", "eth0", encapsulation=IpEncapsulation(
                family=Family.IPV6, destination=packed("2001:db8::1"), tos=3, ttl=9
            )),
        ),
    },
    f"destination: 203.0.113.0/28, {VIA}, add: true": {"update": RouteUpdate.ADD},
    f"destination: 203.0.113.0/28, {VIA}, append: true": {"update": RouteUpdate.APPEND},
    "destination: 2001:db8::/48, via: fe80::1, dev: eth0, ttl-propagate: disabled": {"ttl_propagate": False},
    f"destination: 203.0.113.0/28, {VIA}, vrf: red": {"vrf": "red"},
    "destination: default, via: 198.18.1.254": {
        "destination": bytes(4), "prefix_length": 0, "nexthops": (hop("198.18.1.254"),),
    },
    "destination: default6, via: fe80::1, dev: eth0": {"family": Family.IPV6, "destination": bytes(16)},
    "destination: default, via: fe80::1, dev: eth0": {"family": Family.IPV6, "destination": bytes(16)},
    "destination: default, dev: eth0, inet6: true": {"family": Family.IPV6, "destination": bytes(16)},
    "destination: 203.0.113.0/28, via: {family: inet6, address: fe80::1}, dev: eth0": {
        "family": Family.IPV4, "nexthops": (Nexthop(gateway=packed("fe80::1"), interface="eth0"),),
    },
    "destination: default, via: {family: inet6, address: fe80::1}, dev: eth0": {"family": Family.IPV4},
}  # fmt: skip


@pytest.mark.parametrize("entry", ROUTES)
def test_words_of_a_route(entry: str) -> None:
    item = route(entry)
    assert {name: getattr(item, name) for name in ROUTES[entry]} == ROUTES[entry]


@pytest.mark.parametrize(
    ("entry", "code", "fields"),
    [
        (f"destination: 203.0.113.0/28, {VIA}, protocol: static", "tracked-protocol", {"protocol": 18}),
        (f"destination: 203.0.113.0/28, {VIA}, rtt: 300", "least-time", {"metrics": ((4, 1600),)}),
        (f"destination: 203.0.113.0/28, {VIA}, rto_min: 50ms", "least-time", {"metrics": ((13, 200),)}),
        (f"destination: 203.0.113.0/28, {VIA}, expires: 50", "ipv6-only", {"expires": None}),
        (f"destination: 203.0.113.0/28, {VIA}, pref: low", "ipv6-only", {"preference": None}),
        (f"destination: 203.0.113.0/28, {VIA}, from: 198.18.1.0/24", "ipv6-only", {"source": b""}),
        ("destination: 2001:db8::/48, dev: eth0, realms: 3", "ipv4-only", {"nexthops": (hop("", "eth0"),)}),
        (f"destination: 203.0.113.0/28, {VIA}, as: 203.0.113.250", "no-effect", {}),
    ],
)
def test_what_keepalived_mends_or_ignores_is_said(entry: str, code: str, fields: dict[str, Any]) -> None:
    item = route(entry, code)
    assert {name: getattr(item, name) for name in fields} == fields


def test_a_second_gateway_is_another_way() -> None:
    entry = f"{{destination: 203.0.113.0/28, {VIA}, or: 198.18.1.253}}"
    document = bind(f"vrrp_instance:\n  VI_1: {{{HEAD}, virtual_routes: [{entry}]}}", "agent.yaml")
    assert [d.severity for d in document.diagnostics] == [Severity.WARNING]  # deprecated
    (item,) = resolve(document).settings.vrrp[0].routes
    assert item.nexthops == (hop("198.18.1.254", "eth0"), hop("198.18.1.253", "eth0"))


RULES: dict[str, dict[str, Any]] = {
    "from: 198.51.100.0/25, table: 200, preference: 2000": {
        "family": Family.IPV4, "source": packed("198.51.100.0"), "source_length": 25, "table": 200, "preference": 2000,
        "action": 1, "protocol": 18, "text": "from 198.51.100.0/25 preference 2000 table 200",
    },
    "from: all, to: 203.0.113.128/25, table: main, preference: 2020, tos: 0x10": {
        "source": b"", "source_length": 0, "destination": packed("203.0.113.128"), "destination_length": 25,
        "table": 254, "tos": 16,
    },
    "from: 2001:db8::/32, table: 202, preference: 2030": {"family": Family.IPV6, "source_length": 32},
    "not: true, fwmark: 10/0xff, table: 203, preference: 2040": {"inverted": True, "mark": 10, "mark_mask": 255},
    "fwmark: '012', table: 203, preference: 2040": {"mark": 10, "mark_mask": None},
    "dev: eth0, oif: eth1, table: 204, preference: 2050, realms: 3/4": {
        "input_interface": "eth0", "output_interface": "eth1", "realms": 196612,
    },
    "from: 198.51.100.1, table: 206, preference: 2070, suppress_prefixlength: 16, suppress_ifgroup: default": {
        "suppress_prefix_length": 16, "suppress_interface_group": 0,
    },
    "tunnel-id: 42, uidrange: 1000-1999, table: 208, preference: 2090": {"tunnel_id": 42, "users": (1000, 1999)},
    "l3mdev: true, preference: 2100": {"l3mdev": True, "action": 1, "table": 0},
    "ipproto: tcp, sport: 1024-2048, dport: 443, table: 209, preference: 2110": {
        "ip_protocol": 6, "source_ports": (1024, 2048), "destination_ports": (443, 443),
    },
    "ipproto: 47, table: 209, preference: 2110": {"ip_protocol": 47},
    "from: 198.51.100.130, goto: 3000, preference: 2120": {"action": 2, "goto": 3000, "table": 0},
    "from: 198.51.100.130, nop: true, preference: 2120": {"action": 3, "table": 0},
    "from: 198.51.100.130, blackhole: true, preference: 2120": {"action": 6},
    "from: 198.51.100.130, unreachable: true, preference: 2120": {"action": 7},
    "from: 198.51.100.130, prohibit: true, preference: 2120": {"action": 8},
    "from: 198.51.100.130, preference: 2120": {"action": 1, "table": 254},  # as `ip rule add` does
    # keepalived marks only the rules that it tracks
    "table: 200, preference: 1, no_track: true": {"protocol": 0, "tracked": False},
    "table: 200, preference: 1, no_track: true, protocol: 33": {"protocol": 33, "tracked": False},
    "table: 200, preference: 1, inet6: true": {"family": Family.IPV6},
}  # fmt: skip


@pytest.mark.parametrize("entry", RULES)
def test_words_of_a_rule(entry: str) -> None:
    item = rule(entry)
    assert {name: getattr(item, name) for name in RULES[entry]} == RULES[entry]


def test_rules_without_a_preference_count_down() -> None:
    found = resolution("virtual_rules", "{table: 100}, {table: 101}, {table: 102, preference: 5}, {table: 103}")
    assert [item.preference for item in found.settings.vrrp[0].rules] == [16384, 16383, 5, 16382]
    assert [d.code for d in found.diagnostics] == ["rule-preference"] * 3


def test_protocol_of_a_tracked_rule() -> None:
    assert rule("table: 100, preference: 1, protocol: 33", "tracked-protocol").protocol == 18


def test_a_rule_does_one_thing() -> None:
    (problem,) = resolution("virtual_rules", "{table: 100, preference: 1, blackhole: true}").diagnostics
    assert (problem.code, problem.severity) == ("rule-actions", Severity.ERROR)
    assert "table and blackhole" in problem.message


@pytest.mark.parametrize(
    ("keyword", "entry", "what"),
    [
        ("virtual_routes", f"{{destination: 203.0.113.0/28, {VIA}, table: nosuch}}", "routing table"),
        ("virtual_routes", f"{{destination: 203.0.113.0/28, {VIA}, scope: nosuch}}", "scope"),
        ("virtual_routes", f"{{destination: 203.0.113.0/28, {VIA}, protocol: nosuch}}", "routing protocol"),
        ("virtual_routes", f"{{destination: 203.0.113.0/28, {VIA}, tos: nosuch}}", "TOS"),
        ("virtual_routes", f"{{destination: 203.0.113.0/28, {VIA}, realms: nosuch}}", "realm"),
        ("virtual_rules", "{table: nosuch, preference: 1}", "routing table"),
        ("virtual_rules", "{table: 5, preference: 1, suppress_ifgroup: nosuch}", "interface group"),
        ("virtual_rules", "{table: 5, preference: 1, ipproto: nosuch}", "IP protocol"),
    ],
)
def test_a_name_without_a_number_is_an_error_where_it_stands(keyword: str, entry: str, what: str) -> None:
    (problem,) = resolution(keyword, entry).diagnostics
    assert (problem.code, problem.severity) == ("unknown-name", Severity.ERROR)
    assert problem.message == f"`nosuch` is no {what} on this machine"
    assert problem.place.line == 2
    assert "looked for in /etc/protocols" in problem.hint or "/etc/iproute2/" in problem.hint


def test_names_are_looked_up_where_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "rt_tables").write_text("4711 dmz\n")
    (tmp_path / "rt_realms").write_text("7 office\n")
    found = resolution(
        "virtual_routes",
        f"{{destination: 203.0.113.0/28, {VIA}, table: dmz, realms: office/3}}",
        f"iproute_etc_dir: '{tmp_path}'",
    )
    (item,) = found.settings.vrrp[0].routes
    assert found.diagnostics == []
    assert item.table == 4711
    assert item.nexthops[0].realms == 7 << 16 | 3

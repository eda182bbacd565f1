"""Routes and rules against a real kernel: what iproute2 makes of the same words is the oracle."""

from __future__ import annotations

import contextlib
import json
import select
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kactl_agent.kernel import routes as r
from kactl_agent.kernel.linux import LinuxKernel
from kactl_agent.kernel.routes import RouteOperation
from kactl_agent.kernel.rules import (
    FR_ACT_BLACKHOLE,
    FR_ACT_GOTO,
    FR_ACT_NOP,
    FR_ACT_PROHIBIT,
    FR_ACT_UNREACHABLE,
    RuleOperation,
)
from kactl_agent.vrrp.routing import IpEncapsulation, RouteUpdate, VirtualRoute, VirtualRule
from kactl_agent.vrrp.settings import Family
from support.netns import Node, inside, ip, network
from support.routing import hop, packed, route, rule

pytestmark = pytest.mark.root

GATEWAY = "198.51.100.250"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with network(1) as made:
        node = made.nodes[0]
        ip("link", "add", "eth1", "type", "veth", "peer", "name", "peer1", namespace=node.namespace)
        for name in ("eth1", "peer1"):
            ip("link", "set", name, "up", namespace=node.namespace)
        ip("addr", "add", "203.0.113.1/24", "dev", "eth1", namespace=node.namespace)
        yield node


@pytest.fixture
def kernel(node: Node) -> Iterator[LinuxKernel]:
    with inside(node.namespace):
        kernel = LinuxKernel()
    yield kernel
    kernel.close()
    for family in ("-4", "-6"):
        ip(family, "route", "flush", "table", "all", "proto", "18", namespace=node.namespace)


def add(kernel: LinuxKernel, *items: VirtualRoute | VirtualRule) -> list[str]:
    return [failure.text for failure in kernel.routing.apply([_operation(item, False) for item in items], kernel.links)]


def remove(kernel: LinuxKernel, *items: VirtualRoute | VirtualRule) -> list[str]:
    return [failure.text for failure in kernel.routing.apply([_operation(item, True) for item in items], kernel.links)]


def _operation(item: VirtualRoute | VirtualRule, gone: bool) -> RouteOperation | RuleOperation:
    return RouteOperation(item, gone) if isinstance(item, VirtualRoute) else RuleOperation(item, gone)


def shown(node: Node, what: str, family: int) -> list[dict[str, Any]]:
    """Of our protocol, as iproute2 sees it."""
    words = ["route", "show", "table", "all", "proto", "18"] if what == "route" else ["rule", "show"]
    found = json.loads(ip(f"-{family}", "-j", "-d", *words, namespace=node.namespace) or "[]")
    for item in found:
        item.pop("expires", None)
    return [item for item in found if what == "route" or item["protocol"] == "keepalived"]


WAY = hop(GATEWAY, "eth0")
ROUTES: dict[str, VirtualRoute] = {
    # words of `ip route add` -> the route
    f"10.0.0.0/8 via {GATEWAY} dev eth0": route("10.0.0.0/8", WAY),
    f"10.0.0.0/8 via {GATEWAY}": route("10.0.0.0/8", hop(GATEWAY)),
    "10.0.0.0/8 dev eth0 scope link": route("10.0.0.0/8", hop("", "eth0"), scope=253),
    f"0.0.0.0/0 via {GATEWAY} dev eth0 metric 50": route("0.0.0.0/0", WAY, metric=50),
    f"10.0.0.0/8 via {GATEWAY} dev eth0 tos 0x10 src 198.51.100.1": route(
        "10.0.0.0/8", WAY, tos=16, preferred_source=packed("198.51.100.1")
    ),
    f"10.0.0.0/8 via {GATEWAY} dev eth0 table 200": route("10.0.0.0/8", WAY, table=200),
    f"10.0.0.0/8 via {GATEWAY} dev eth0 table 70000": route("10.0.0.0/8", WAY, table=70000),
    "10.0.0.0/8 via 192.0.2.77 dev eth0 onlink realms 4/5": route(
        "10.0.0.0/8", hop("192.0.2.77", "eth0", onlink=True, realms=4 << 16 | 5)
    ),
    "10.0.0.0/8 via inet6 fe80::77 dev eth0": route("10.0.0.0/8", hop("fe80::77", "eth0")),
    f"10.0.0.0/8 via {GATEWAY} dev eth0 mtu lock 1400 advmss lock 1300 window 65535 hoplimit 64": route(
        "10.0.0.0/8", WAY,
        metrics=((r.RTAX_MTU, 1400), (r.RTAX_WINDOW, 65535), (r.RTAX_ADVMSS, 1300), (r.RTAX_HOPLIMIT, 64)),
        locked=1 << r.RTAX_MTU | 1 << r.RTAX_ADVMSS,
    ),
    f"10.0.0.0/8 via {GATEWAY} dev eth0 rtt 300ms rttvar 250ms rto_min 200ms cwnd lock 20 ssthresh 30 "
    "reordering 5": route(
        "10.0.0.0/8", WAY,
        metrics=(
            (r.RTAX_RTT, 2400), (r.RTAX_RTTVAR, 1000), (r.RTAX_SSTHRESH, 30), (r.RTAX_CWND, 20),
            (r.RTAX_REORDERING, 5), (r.RTAX_RTO_MIN, 200),
        ),
        locked=1 << r.RTAX_CWND | 1 << r.RTAX_RTO_MIN,  # `ip` locks rto_min unasked
    ),
    f"10.0.0.0/8 via {GATEWAY} dev eth0 initcwnd 10 initrwnd 20 features ecn quickack 1 congctl cubic "
    "fastopen_no_cookie 1": route(
        "10.0.0.0/8", WAY,
        metrics=(
            (r.RTAX_INITCWND, 10), (r.RTAX_FEATURES, 1), (r.RTAX_INITRWND, 20), (r.RTAX_QUICKACK, 1),
            (r.RTAX_FASTOPEN_NO_COOKIE, 1),
        ),
        congestion_control="cubic",
    ),
    f"10.0.0.0/8 nexthop via {GATEWAY} dev eth0 weight 2 nexthop via 203.0.113.254 dev eth1 onlink realms 3": route(
        "10.0.0.0/8", hop(GATEWAY, "eth0", weight=2), hop("203.0.113.254", "eth1", onlink=True, realms=3)
    ),
    f"10.0.0.0/8 encap ip id 100 src 198.51.100.1 dst 203.0.113.9 tos 4 ttl 20 via {GATEWAY} dev eth0": route(
        "10.0.0.0/8",
        hop(GATEWAY, "eth0", encapsulation=IpEncapsulation(
            family=Family.IPV4, id=100, source=packed("198.51.100.1"), destination=packed("203.0.113.9"), tos=4, ttl=20
        )),
    ),
    "blackhole 10.0.0.0/8": route("10.0.0.0/8", type=6),
    "unreachable 10.0.0.0/8 metric 5": route("10.0.0.0/8", type=7, metric=5),
    "prohibit 10.0.0.0/8": route("10.0.0.0/8", type=8),
    "throw 10.0.0.0/8 table 200": route("10.0.0.0/8", type=9, table=200),
    "local 10.0.0.1/32 dev eth0 scope host table main": route("10.0.0.1/32", hop("", "eth0"), type=2, scope=254),
    "2001:db8:1::/48 via fe80::77 dev eth0": route("2001:db8:1::/48", hop("fe80::77", "eth0")),
    "2001:db8:1::/48 from 2001:db8:2::/48 via fe80::77 dev eth0 pref low metric 7": route(
        "2001:db8:1::/48", hop("fe80::77", "eth0"),
        source=packed("2001:db8:2::"), source_length=48, preference=3, metric=7,
    ),
    "2001:db8:1::/48 via fe80::77 dev eth0 expires 3600 mtu 1400": route(
        "2001:db8:1::/48", hop("fe80::77", "eth0"), expires=3600, metrics=((r.RTAX_MTU, 1400),)
    ),
    "2001:db8:1::/48 nexthop via fe80::77 dev eth0 nexthop via fe80::78 dev eth1 weight 3": route(
        "2001:db8:1::/48", hop("fe80::77", "eth0"), hop("fe80::78", "eth1", weight=3)
    ),
    "2001:db8:1::/48 encap ip6 id 7 dst 2001:db8::1 tc 3 hoplimit 9 via fe80::77 dev eth0": route(
        "2001:db8:1::/48",
        hop("fe80::77", "eth0", encapsulation=IpEncapsulation(
            family=Family.IPV6, id=7, destination=packed("2001:db8::1"), tos=3, ttl=9
        )),
    ),
    "unreachable 2001:db8:1::/48": route("2001:db8:1::/48", type=7),
    "::/0 via fe80::77 dev eth1": route("::/0", hop("fe80::77", "eth1")),
}  # fmt: skip


@pytest.mark.parametrize("words", ROUTES)
def test_a_route_is_what_iproute2_makes_of_its_words(node: Node, kernel: LinuxKernel, words: str) -> None:
    item = ROUTES[words]
    family = 4 if item.family is Family.IPV4 else 6
    before, nexthop, behind = words.partition(" nexthop")
    ip(f"-{family}", "route", "add", *f"{before} proto 18{nexthop}{behind}".split(), namespace=node.namespace)
    expected = shown(node, "route", family)
    kernel.routing.prepare([item], kernel.links)
    assert kernel.routing.has_route(item, kernel.links), "recognised, although somebody else made it"
    assert remove(kernel, item) == []
    assert shown(node, "route", family) == []
    assert not kernel.routing.has_route(item, kernel.links)

    assert add(kernel, item) == []
    assert shown(node, "route", family) == expected
    assert kernel.routing.has_route(item, kernel.links)
    assert add(kernel, item) == [], "what is there already is no failure"
    assert shown(node, "route", family) == expected
    assert remove(kernel, item) == []
    assert shown(node, "route", family) == []
    assert remove(kernel, item) == [], "what is gone already is no failure"


RULES: dict[str, VirtualRule] = {
    "from 198.51.100.0/25 table 200 pref 2000": rule(2000, "198.51.100.0/25", table=200),
    "to 203.0.113.0/24 table 70000 pref 2000": rule(
        2000, destination=packed("203.0.113.0"), destination_length=24, table=70000
    ),
    "not fwmark 10/0xff table 200 pref 2000": rule(2000, mark=10, mark_mask=255, inverted=True, table=200),
    "fwmark 7 table 200 pref 2000": rule(2000, mark=7, table=200),
    "iif eth0 table 200 pref 2000 realms 3/4": rule(2000, input_interface="eth0", table=200, realms=3 << 16 | 4),
    "iif nosuch0 oif eth1 table 200 pref 2000 suppress_prefixlength 8": rule(
        2000, input_interface="nosuch0", output_interface="eth1", table=200, suppress_prefix_length=8
    ),
    "from 198.51.100.1 table 200 pref 2000 suppress_ifgroup 5 tos 0x10": rule(
        2000, "198.51.100.1/32", table=200, suppress_interface_group=5, tos=16
    ),
    "uidrange 1000-1999 tun_id 42 table 200 pref 2000": rule(2000, users=(1000, 1999), tunnel_id=42, table=200),
    "l3mdev pref 2000": rule(2000, l3mdev=True, table=0),
    "ipproto tcp sport 1024-2048 dport 443 table 200 pref 2000": rule(
        2000, ip_protocol=6, source_ports=(1024, 2048), destination_ports=(443, 443), table=200
    ),
    "from 198.51.100.1 goto 3000 pref 2000": rule(2000, "198.51.100.1/32", action=FR_ACT_GOTO, goto=3000, table=0),
    "from 198.51.100.1 nop pref 2000": rule(2000, "198.51.100.1/32", action=FR_ACT_NOP, table=0),
    "from 198.51.100.1 blackhole pref 2000": rule(2000, "198.51.100.1/32", action=FR_ACT_BLACKHOLE, table=0),
    "from 198.51.100.1 unreachable pref 2000": rule(2000, "198.51.100.1/32", action=FR_ACT_UNREACHABLE, table=0),
    "from 198.51.100.1 prohibit pref 2000": rule(2000, "198.51.100.1/32", action=FR_ACT_PROHIBIT, table=0),
    "from 2001:db8::/32 tos 0x20 table 202 pref 2030": rule(2030, "2001:db8::/32", tos=32, table=202),
}


@pytest.mark.parametrize("words", RULES)
def test_a_rule_is_what_iproute2_makes_of_its_words(node: Node, kernel: LinuxKernel, words: str) -> None:
    item = RULES[words]
    family = 4 if item.family is Family.IPV4 else 6
    ip(f"-{family}", "rule", "add", *words.split(), "protocol", "18", namespace=node.namespace)
    expected = shown(node, "rule", family)
    assert len(expected) == 1
    assert kernel.routing.has_rule(item), "recognised, although somebody else made it"
    assert remove(kernel, item) == []
    assert not shown(node, "rule", family)
    assert not kernel.routing.has_rule(item)

    assert add(kernel, item) == []
    assert shown(node, "rule", family) == expected
    assert kernel.routing.has_rule(item)
    assert add(kernel, item) == [], "what is there already is no failure"
    assert shown(node, "rule", family) == expected
    assert remove(kernel, item, item) == [], "what is gone already is no failure"
    assert not shown(node, "rule", family)


def test_a_refusal_names_the_item_and_gives_the_kernels_reason(node: Node, kernel: LinuxKernel) -> None:
    good = route("10.1.0.0/16", WAY, text="10.1.0.0/16 via somewhere")
    unreachable = route("10.2.0.0/16", hop("192.0.2.1", "eth0"), text="10.2.0.0/16 via nowhere")
    missing = route("10.3.0.0/16", hop("", "nosuch0"), text="10.3.0.0/16 dev nosuch0")
    failures = add(kernel, unreachable, good, missing)
    assert failures == [
        "route `10.3.0.0/16 dev nosuch0`: there is no interface nosuch0",
        "route `10.2.0.0/16 via nowhere`: ENETUNREACH: Network is unreachable (Nexthop has invalid gateway)",
    ]
    assert [item["dst"] for item in shown(node, "route", 4)] == ["10.1.0.0/16"]
    assert remove(kernel, good, missing) == []


def test_a_vrf_that_is_none_is_named(kernel: LinuxKernel) -> None:
    assert add(kernel, route("10.1.0.0/16", WAY, vrf="eth1")) == ["route `10.1.0.0/16`: eth1 is no VRF"]
    assert add(kernel, route("10.1.0.0/16", WAY, vrf="red")) == ["route `10.1.0.0/16`: there is no interface red"]


def test_ours_goes_before_a_route_of_somebody_else_which_is_left_alone(node: Node, kernel: LinuxKernel) -> None:
    ip("route", "add", "10.1.0.0/16", "via", "198.51.100.251", "dev", "eth0", namespace=node.namespace)
    item = route("10.1.0.0/16", WAY)
    assert add(kernel, item) == []
    assert f"via {GATEWAY}" in ip("route", "get", "10.1.2.3", namespace=node.namespace)
    assert remove(kernel, item) == []
    assert "via 198.51.100.251" in ip("route", "get", "10.1.2.3", namespace=node.namespace)
    refused = add(kernel, route("10.1.0.0/16", WAY, update=RouteUpdate.ADD))
    assert refused == ["route `10.1.0.0/16`: EEXIST: File exists"]
    behind = route("10.1.0.0/16", WAY, update=RouteUpdate.APPEND)
    assert add(kernel, behind) == []
    assert "via 198.51.100.251" in ip("route", "get", "10.1.2.3", namespace=node.namespace)
    assert remove(kernel, behind) == []
    ip("route", "del", "10.1.0.0/16", namespace=node.namespace)


LOSSES = {
    "deleted": ["route", "del", "10.1.0.0/16"],
    "replaced by somebody": ["route", "replace", "10.1.0.0/16", "via", "203.0.113.250", "dev", "eth1"],
    "interface down": ["link", "set", "eth1", "down"],
    "source address deleted": ["addr", "del", "203.0.113.77/24", "dev", "eth1"],
}


@pytest.mark.parametrize("how", LOSSES)
def test_a_loss_is_noticed_with_and_without_a_message_of_the_kernel(node: Node, kernel: LinuxKernel, how: str) -> None:
    ip("addr", "add", "203.0.113.77/24", "dev", "eth1", namespace=node.namespace)
    item = route("10.1.0.0/16", hop("203.0.113.254", "eth1"), preferred_source=packed("203.0.113.77"))
    kernel.links.drain()
    kernel.routing.prepare([item], kernel.links)
    assert add(kernel, item) == []
    kernel.routing.drain()
    assert kernel.routing.has_route(item, kernel.links)
    assert not kernel.routing.drain(), "our own route is no loss"
    ip(*LOSSES[how], namespace=node.namespace)
    assert kernel.routing.drain()
    assert not kernel.routing.has_route(item, kernel.links)
    ip("link", "set", "eth1", "up", namespace=node.namespace)
    for words in (["addr", "del", "203.0.113.77/24", "dev", "eth1"], ["route", "del", "10.1.0.0/16"]):
        with contextlib.suppress(RuntimeError):  # gone with what was done to it
            ip(*words, namespace=node.namespace)
    kernel.links.drain()


def test_500_routes_are_fast(node: Node, kernel: LinuxKernel) -> None:
    many = [route(f"10.{n // 250}.{n % 250}.0/24", WAY) for n in range(500)]
    kernel.routing.prepare(many, kernel.links)
    started = time.process_time()  # the kernel's part is in it, what others do on the machine meanwhile is not
    assert add(kernel, *many) == []
    seconds = time.process_time() - started
    assert all(kernel.routing.has_route(item, kernel.links) for item in many)
    assert remove(kernel, *many) == []
    assert shown(node, "route", 4) == []
    assert seconds < 0.25
    print(f"500 routes: {seconds * 1000:.1f} ms")


def test_a_flood_of_other_routes_wakes_nobody(node: Node, kernel: LinuxKernel) -> None:
    item = route("10.250.0.0/16", WAY)
    kernel.routing.prepare([item], kernel.links)
    assert add(kernel, item) == []
    kernel.routing.drain()
    ip("route", "add", "10.249.0.0/16", "via", GATEWAY, "proto", "bgp", namespace=node.namespace)
    ip("route", "replace", "10.249.0.0/24", "via", GATEWAY, "proto", "bgp", namespace=node.namespace)
    ip("route", "flush", "proto", "bgp", namespace=node.namespace)
    assert not select.select([kernel.routing], [], [], 0)[0]
    ip("route", "del", "10.250.0.0/16", namespace=node.namespace)
    assert select.select([kernel.routing], [], [], 5)[0]

"""Entries of static_routes and virtual_routes, as keepalived 2.2.7 takes them (-t, dump)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.routes import (
    Encap,
    EncapIp,
    EncapIp6,
    Gateway,
    LockableName,
    LockableNumber,
    LockableTime,
    NextHop,
    RouteEntry,
    StaticRouteEntry,
)
from kactl_agent.config.schema.shapes import ValueFault
from kactl_agent.config.schema.vrrp import VrrpInstance
from support.keyword_lines import fault, same, taken

NET = "10.1.0.0/24"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("10.1.0.0/24 via 10.9.9.2 dev eth0", {"via": Gateway(address="10.9.9.2"), "dev": "eth0"}),
        ("blackhole 10.1.0.0/24", {"type_": "blackhole"}),
        ("10.1.0.0/24 via inet6 fe80::1", {"via": Gateway(family="inet6", address="fe80::1")}),
        ("10.1.0.0/24 src 10.9.9.1 tos 16 table main", {"src": "10.9.9.1", "tos": "16", "table": "main"}),
        ("10.1.0.0/24 protocol 16 scope link metric 5", {"protocol": "16", "scope": "link", "metric": 5}),
        ("10.1.0.0/24 mtu lock 1400", {"mtu": LockableNumber(lock=True, value=1400)}),
        ("10.1.0.0/24 hoplimit 5 advmss 1400", {"advmss": LockableNumber(value=1400), "hoplimit": 5}),
        (
            "10.1.0.0/24 rtt 10ms rttvar lock 1.5s",
            {"rtt": LockableTime(value="10ms"), "rttvar": LockableTime(lock=True, value="1.5s")},
        ),
        ("10.1.0.0/24 features ecn quickack 1", {"features": "ecn", "quickack": 1}),
        ("10.1.0.0/24 congctl lock cubic", {"congctl": LockableName(lock=True, value="cubic")}),
        ("10.1.0.0/24 pref low ttl-propagate enabled", {"pref": "low", "ttl_propagate": "enabled"}),
        ("10.1.0.0/24 dev eth0 encap mpls 100/200", {"dev": "eth0", "encap": Encap(mpls="100/200")}),
        (
            "10.1.0.0/24 encap ip id 5 dst 10.0.0.1 src 10.0.0.2 tos 5 ttl 6 flags 1 no_track",
            {
                "encap": Encap(ip=EncapIp(id_=5, dst="10.0.0.1", src="10.0.0.2", tos="5", ttl=6, flags=1)),
                "no_track": True,
            },
        ),
        (
            "10.1.0.0/24 encap ip6 dst fe80::2 tc 5 hoplimit 6 add",
            {"encap": Encap(ip6=EncapIp6(dst="fe80::2", tc="5", hoplimit=6)), "add": True},
        ),
        ("10.1.0.0/24 encap ila 1:2:3:4", {"encap": Encap(ila="1:2:3:4")}),
        (
            "10.1.0.0/24 no_track nexthop via 10.9.9.2 dev eth0 weight 5 nexthop via inet 10.9.9.3 onlink realms 5/6",
            {
                "no_track": True,
                "nexthop": (
                    NextHop(via=Gateway(address="10.9.9.2"), dev="eth0", weight=5),
                    NextHop(via=Gateway(family="inet", address="10.9.9.3"), onlink=True, realms="5/6"),
                ),
            },
        ),
    ],
)
def test_both_kinds(line: str, value: dict[str, Any]) -> None:
    same(Config, "static_routes", line, StaticRouteEntry(destination=NET, **value))
    same(VrrpInstance, "virtual_routes", line, RouteEntry(destination=NET, **value))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("to 10.1.0.0/24", {}),
        ("unicast to 10.1.0.0/24", {"type_": "unicast"}),
        ("dev eth0 10.1.0.0/24", {"dev": "eth0"}),
        ("10.1.0.0/24 gw 10.9.9.2 oif eth0", {"via": Gateway(address="10.9.9.2"), "dev": "eth0"}),
        ("10.1.0.0/24 dsfield 0x10 priority 7", {"tos": "16", "metric": 7}),
        ("10.1.0.0/24 as to 1.2.3.4 or 10.9.9.3", {"as_": "1.2.3.4", "or_": "10.9.9.3"}),
    ],
)
def test_other_spellings(line: str, value: dict[str, Any]) -> None:
    assert taken(Config, "static_routes", line) == StaticRouteEntry(destination=NET, **value)


@pytest.mark.parametrize("word", ["default", "default6", "any", "all"])
def test_words_for_every_destination(word: str) -> None:
    same(Config, "static_routes", f"{word} dev eth0", StaticRouteEntry(destination=word, dev="eth0"))


def test_what_swallows_or_ends_the_line_is_written_last() -> None:
    route = StaticRouteEntry(destination=NET, inet=True, track_group="g", metric=5, no_track=True)
    same(Config, "static_routes", "10.1.0.0/24 metric 5 no_track track_group g inet", route)


@pytest.mark.parametrize(
    "option",
    [
        "src foo",
        "src 10.0.0.1/24",
        "metric 0x10",
        "metric 4294967296",
        "mtu x",
        "mtu 1400 lock",
        "hoplimit 256",
        "window lock 5",
        "rtt 10x",
        "quickack 2",
        "foo",
        "expires 100s",
        "encap foo",
        "via foo",
        "tos 256",
    ],
)
def test_mistakes_cost_the_route(option: str) -> None:
    assert RouteEntry.whole_line
    with pytest.raises((ValueFault, AssertionError)) as caught:
        taken(Config, "static_routes", f"{NET} dev eth0 {option}")
    assert caught.type is AssertionError or caught.value.taken is UNSET


def test_repairs() -> None:
    assert fault(Config, "static_routes", "10.1.0.0/33").taken == "10.1.0.0/32"
    assert fault(Config, "static_routes", f"{NET} ttl-propagate foo").taken == "disabled"
    assert taken(Config, "static_routes", "2001:db8::/32 pref 3").pref == "low"
    assert fault(Config, "static_routes", f"{NET} features foo").taken is UNSET
    assert table_of(RouteEntry).by_name["features"].keyword.bad_value == "option"

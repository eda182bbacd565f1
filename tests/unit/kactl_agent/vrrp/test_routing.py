"""Routes and rules as values: they travel between processes and into recordings, and equal ones are equal."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kactl_agent.vrrp.actions import AddRoutes, AddRules, AnyAction, AnyInput, RouteLost, RuleLost
from kactl_agent.vrrp.routing import (
    IlaEncapsulation,
    IpEncapsulation,
    MplsEncapsulation,
    RouteUpdate,
    VirtualRoute,
    VirtualRule,
    same_route,
    same_rule,
)
from kactl_agent.vrrp.settings import Family
from support.routing import hop, packed, route, rule

ENCAPSULATIONS = (
    MplsEncapsulation((100, 200)),
    IpEncapsulation(family=Family.IPV4, id=5, destination=packed("192.0.2.9")),
    IlaEncapsulation(bytes(8)),
    None,
)
ROUTE = route(
    "203.0.113.0/28",
    *(hop("192.0.2.254", "eth0", encapsulation=encapsulation) for encapsulation in ENCAPSULATIONS),
    metrics=((2, 1400),),
    ttl_propagate=False,
)
RULE = rule(2000, "198.51.100.0/25", users=(1, 2), source_ports=(3, 4))


@pytest.mark.parametrize("codec", [msgspec.msgpack, msgspec.json], ids=["settings", "recordings"])
@pytest.mark.parametrize(("item", "kind"), [(ROUTE, VirtualRoute), (RULE, VirtualRule)])
def test_travels_unchanged(codec: Any, item: Any, kind: type) -> None:
    assert codec.decode(codec.encode(item), type=kind) == item


@pytest.mark.parametrize("said", [AddRoutes((ROUTE,)), AddRules((RULE,))])
def test_actions_are_recorded(said: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(said), type=AnyAction) == said


@pytest.mark.parametrize("said", [RouteLost(ROUTE), RuleLost(RULE)])
def test_inputs_are_recorded(said: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(said), type=AnyInput) == said


def test_what_makes_a_route_the_same_one() -> None:
    quiet = msgspec.structs.replace(ROUTE, tracked=False, text="", update=RouteUpdate.APPEND)
    assert same_route(quiet) == same_route(ROUTE)
    assert hash(same_route(quiet)) == hash(same_route(ROUTE))
    assert same_route(msgspec.structs.replace(ROUTE, scope=253)) != same_route(ROUTE)


def test_what_makes_a_rule_the_same_one() -> None:
    assert same_rule(msgspec.structs.replace(RULE, tracked=False, text="")) == same_rule(RULE)
    assert same_rule(msgspec.structs.replace(RULE, table=101)) != same_rule(RULE)


def test_interfaces() -> None:
    several = route("203.0.113.0/28", hop("", "eth1"), hop("192.0.2.1"), hop("192.0.2.2", "eth0"), hop("", "eth1"))
    assert several.interfaces == ("eth1", "eth0")
    assert rule(1, input_interface="eth0", output_interface="eth0").interfaces == ("eth0",)

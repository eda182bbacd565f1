"""Addresses, routes and rules that are on the machine as long as the agent runs (static_ipaddress and its like)."""

from __future__ import annotations

import msgspec

from kactl_agent.vrrp.routing import VirtualRoute, VirtualRule
from kactl_agent.vrrp.settings import VirtualAddress


class StaticAddress(msgspec.Struct, frozen=True):
    """`tracked` of the address (no no_track): it is put back when it is gone."""

    item: VirtualAddress
    instances: tuple[str, ...] = ()  # in FAULT while it is missing (track_group)


class StaticRoute(msgspec.Struct, frozen=True):
    item: VirtualRoute
    instances: tuple[str, ...] = ()


class StaticRule(msgspec.Struct, frozen=True):
    item: VirtualRule
    instances: tuple[str, ...] = ()


class StaticItems(msgspec.Struct, frozen=True, kw_only=True):
    """Everything static, in the order of the configuration."""

    addresses: tuple[StaticAddress, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    rules: tuple[StaticRule, ...] = ()

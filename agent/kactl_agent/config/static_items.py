"""static_ipaddress, static_routes, static_rules and track_group -> what the VRRP worker keeps on the machine."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from kactl_agent.config.addresses import resolve_address
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.routing import RoutingResolver
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.vrrp.static_items import StaticAddress, StaticItems, StaticRoute, StaticRule


def resolve_static_items(sheet: Sheet, routing: RoutingResolver) -> StaticItems:
    config = sheet.document.config
    global_defs = config.global_defs
    default_interface = "" if global_defs is UNSET else or_default(global_defs.default_interface, "")
    addresses = []
    for place, entry in enumerate(or_default(config.static_ipaddress, ())):
        path = ("static_ipaddress", place)
        address = resolve_address(entry, path, default_interface, routing)
        if not address.interface:
            hint = "give it a dev, or set default_interface in global_defs"
            sheet.error(path, "no-interface", f"the static address {entry.address} has no interface", hint)
        addresses.append(StaticAddress(address, _instances(config, entry)))
    route_entries, rule_entries = or_default(config.static_routes, ()), or_default(config.static_rules, ())
    routes = zip(routing.routes(route_entries, ("static_routes",)), route_entries, strict=True)
    rules = zip(routing.rules(rule_entries, ("static_rules",)), rule_entries, strict=True)
    return StaticItems(
        addresses=tuple(addresses),
        routes=tuple(StaticRoute(route, _instances(config, entry)) for route, entry in routes),
        rules=tuple(StaticRule(rule, _instances(config, entry)) for rule, entry in rules),
    )


def _instances(config: Config, entry: Any) -> tuple[str, ...]:
    """The members of the entry's track_group that there are."""
    group = or_default(config.track_group, {}).get(or_default(entry.track_group, ""))
    there = or_default(config.vrrp_instance, {})
    return () if group is None else tuple(name for name in or_default(group.group, ()) if name in there)

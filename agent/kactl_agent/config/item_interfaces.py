"""The interfaces an instance depends on without saying so: those of its addresses, routes and rules, and of the static
items whose track_group it is in. keepalived tracks them like a track_interface entry without a weight, unless the item
says no_track."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from kactl_agent.config.in_force import InstanceInForce
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default

_VIRTUAL = ("virtual_ipaddress", "virtual_ipaddress_excluded", "virtual_routes", "virtual_rules")
_STATIC = ("static_ipaddress", "static_routes", "static_rules")


def item_interfaces(config: Config, name: str) -> tuple[str, ...]:
    """Names, without that of the instance's own interface, which is a matter of its own."""
    instance = InstanceInForce(config, name)
    found = [*_virtual(instance), *_static(config, name)]
    return tuple(interface for interface in dict.fromkeys(found) if interface != instance.interface.value)


def _virtual(instance: InstanceInForce) -> Iterator[str]:
    for keyword in _VIRTUAL:
        for entry in or_default(getattr(instance.said, keyword), ()):
            if entry.dev is not UNSET and not or_default(entry.no_track, False):
                yield entry.dev


def _static(config: Config, name: str) -> Iterator[str]:
    groups = or_default(config.track_group, {})
    default = "" if config.global_defs is UNSET else or_default(config.global_defs.default_interface, "")
    for keyword in _STATIC:
        for entry in or_default(getattr(config, keyword), ()):
            group: Any = groups.get(or_default(entry.track_group, ""))
            if group is None or name not in or_default(group.group, ()):
                continue
            interface = or_default(entry.dev, default if keyword == "static_ipaddress" else "")
            if interface:
                yield interface

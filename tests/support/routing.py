"""Routes and rules for tests: short to write, in the resolved form."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from kactl_agent.vrrp.routing import Nexthop, VirtualRoute, VirtualRule
from kactl_agent.vrrp.settings import Family


def packed(text: str) -> bytes:
    return ip_address(text).packed


def hop(gateway: str = "", interface: str = "", **more: Any) -> Nexthop:
    return Nexthop(gateway=packed(gateway) if gateway else b"", interface=interface, **more)


def route(destination: str, *nexthops: Nexthop, **more: Any) -> VirtualRoute:
    """A unicast route of the network in `destination`, whose text is what it was called with."""
    network = ip_network(destination)
    return VirtualRoute(
        family=Family.IPV4 if network.version == 4 else Family.IPV6,
        destination=network.network_address.packed,
        prefix_length=network.prefixlen,
        nexthops=nexthops,
        **{"text": destination} | more,
    )


def rule(preference: int, source: str = "", **more: Any) -> VirtualRule:
    """A rule for packets from a network, which looks them up in table 100 unless `more` says something else."""
    network = ip_network(source) if source else None
    values: dict[str, Any] = {"family": Family.IPV4, "table": 100, "text": f"from {source or 'all'}"}
    if network is not None:
        values |= {
            "family": Family.IPV4 if network.version == 4 else Family.IPV6,
            "source": network.network_address.packed,
            "source_length": network.prefixlen,
        }
    return VirtualRule(preference=preference, **values | more)

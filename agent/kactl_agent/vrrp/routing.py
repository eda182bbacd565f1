"""Routes and policy rules as engines carry them: resolved, in integers and packed bytes.

The numbers are rtnetlink's own (linux/rtnetlink.h, linux/fib_rules.h); names were looked up when the configuration was
loaded. An interface stays a name: it may come and go while the agent runs.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from kactl_agent.vrrp.family import Family

KEEPALIVED = 18  # RTPROT_KEEPALIVED: routes and rules of this origin are recognised as ours, so they can be tracked
MAIN_TABLE = 254


class RouteUpdate(Enum):
    """What happens when there is a route of the same destination, TOS and metric already."""

    PREPEND = "prepend"  # ours goes before it
    ADD = "add"  # ours is refused
    APPEND = "append"  # ours goes behind it


class MplsEncapsulation(msgspec.Struct, frozen=True, tag="mpls"):
    labels: tuple[int, ...]  # 20 bits each, outermost first


class IpEncapsulation(msgspec.Struct, frozen=True, tag="ip", kw_only=True):
    """An IPv4 or IPv6 tunnel; None and b"" are the kernel's choice."""

    family: Family
    id: int | None = None
    destination: bytes = b""
    source: bytes = b""
    tos: int | None = None  # traffic class with IPv6
    ttl: int | None = None  # hop limit with IPv6
    flags: int | None = None


class IlaEncapsulation(msgspec.Struct, frozen=True, tag="ila"):
    locator: bytes  # 8 of them


Encapsulation = MplsEncapsulation | IpEncapsulation | IlaEncapsulation


class Nexthop(msgspec.Struct, frozen=True, kw_only=True):
    """One way of a route."""

    gateway: bytes = b""  # of either family
    interface: str = ""
    weight: int = 1  # 1..256
    onlink: bool = False
    encapsulation: Encapsulation | None = None
    realms: int = 0  # source << 16 | destination


class VirtualRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route the machine has while the instance is MASTER (virtual_routes), or always (static_routes)."""

    family: Family
    destination: bytes
    prefix_length: int
    type: int = 1  # RTN_*: 1 is unicast
    nexthops: tuple[Nexthop, ...] = ()
    source: bytes = b""  # IPv6: packets with this source only
    source_length: int = 0
    tos: int = 0
    table: int = MAIN_TABLE
    vrf: str = ""  # the table is that of this VRF interface
    protocol: int = KEEPALIVED
    scope: int = 0
    metric: int | None = None  # None: the kernel's
    preferred_source: bytes = b""
    metrics: tuple[tuple[int, int], ...] = ()  # (RTAX_*, value), by number
    congestion_control: str = ""
    locked: int = 0  # bits 1 << RTAX_*
    expires: int | None = None  # seconds, IPv6
    preference: int | None = None  # ICMPV6_ROUTER_PREF_*: 0 medium, 1 high, 3 low
    ttl_propagate: bool | None = None
    update: RouteUpdate = RouteUpdate.PREPEND
    tracked: bool = True  # False: no_track
    text: str = ""  # as the configuration says it, for operators

    @property
    def interfaces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hop.interface for hop in self.nexthops if hop.interface))


class VirtualRule(msgspec.Struct, frozen=True, kw_only=True):
    """A policy rule the machine has while the instance is MASTER (virtual_rules), or always (static_rules).

    None, 0 and empty selectors match everything.
    """

    family: Family
    preference: int
    action: int = 1  # FR_ACT_*: 1 looks the route up in `table`
    table: int = 0
    goto: int = 0  # preference to go on with
    source: bytes = b""
    source_length: int = 0
    destination: bytes = b""
    destination_length: int = 0
    inverted: bool = False
    tos: int = 0
    mark: int | None = None
    mark_mask: int | None = None
    input_interface: str = ""
    output_interface: str = ""
    tunnel_id: int | None = None
    users: tuple[int, int] | None = None  # first and last
    ip_protocol: int | None = None
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    realms: int = 0
    suppress_prefix_length: int | None = None
    suppress_interface_group: int | None = None
    l3mdev: bool = False  # the table is that of the packet's VRF
    protocol: int = KEEPALIVED
    tracked: bool = True
    text: str = ""

    @property
    def interfaces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in (self.input_interface, self.output_interface) if name))


def same_route(route: VirtualRoute) -> VirtualRoute:
    """The route without what the kernel knows nothing of: equal for routes that need no change on the machine."""
    return msgspec.structs.replace(route, text="", tracked=True, update=RouteUpdate.PREPEND)


def same_rule(rule: VirtualRule) -> VirtualRule:
    """The rule without what the kernel knows nothing of."""
    return msgspec.structs.replace(rule, text="", tracked=True)

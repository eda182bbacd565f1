"""Routes on the machine: rtnetlink's messages for them (linux/rtnetlink.h), and a pure plan of what to change."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import msgspec

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.vrrp.family import Family
from kactl_agent.vrrp.routing import (
    IlaEncapsulation,
    IpEncapsulation,
    MplsEncapsulation,
    Nexthop,
    RouteUpdate,
    VirtualRoute,
    same_route,
)

RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26

NLM_F_APPEND = 0x800

RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS = 1, 2, 4, 5, 6, 7, 8
RTA_MULTIPATH, RTA_FLOW, RTA_TABLE, RTA_VIA, RTA_PREF, RTA_ENCAP_TYPE, RTA_ENCAP = 9, 11, 15, 18, 20, 21, 22
RTA_EXPIRES, RTA_TTL_PROPAGATE = 23, 26

RTAX_LOCK, RTAX_MTU, RTAX_WINDOW, RTAX_RTT, RTAX_RTTVAR, RTAX_SSTHRESH, RTAX_CWND, RTAX_ADVMSS = range(1, 9)
RTAX_REORDERING, RTAX_HOPLIMIT, RTAX_INITCWND, RTAX_FEATURES, RTAX_RTO_MIN, RTAX_INITRWND = range(9, 15)
RTAX_QUICKACK, RTAX_CC_ALGO, RTAX_FASTOPEN_NO_COOKIE = range(15, 18)

RTNH_F_ONLINK = 0x4
_WITHOUT_HOPS = frozenset({6, 7, 8, 9})  # RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW
_IPV6_METRIC = 1024  # IP6_RT_PRIO_USER, what no metric means

_ENCAP_MPLS, _ENCAP_IP, _ENCAP_ILA, _ENCAP_IP6 = 1, 2, 3, 4  # LWTUNNEL_ENCAP_*
_IP_ID, _IP_DST, _IP_SRC, _IP_TTL, _IP_TOS, _IP_FLAGS = range(1, 7)  # LWTUNNEL_IP_*; LWTUNNEL_IP6_* are the same
_MPLS_DST = 1
_ILA_LOCATOR = 1

_RTMSG = struct.Struct(
    "=BBBBBBBBI"
)  # family, lengths of destination and source, tos, table, protocol, scope, type, flags
_RTNEXTHOP = struct.Struct("=HBBi")  # length, flags, hops, index
_U16 = struct.Struct("=H")
_U32 = struct.Struct("=I")
_FAMILIES = {Family.IPV4: nl.AF_INET, Family.IPV6: nl.AF_INET6}
_UPDATES = {
    RouteUpdate.PREPEND: nl.NLM_F_CREATE,
    RouteUpdate.ADD: nl.NLM_F_CREATE | nl.NLM_F_EXCL,
    RouteUpdate.APPEND: nl.NLM_F_CREATE | NLM_F_APPEND,
}


def encode_new_route(route: VirtualRoute, indexes: Mapping[str, int], table: int, sequence: int = 0) -> bytes:
    """RTM_NEWROUTE. `indexes` has the route's interfaces; `table` is the route's, or that of its VRF."""
    flags = nl.NLM_F_REQUEST | _UPDATES[route.update]
    return nl.encode_message(RTM_NEWROUTE, flags, sequence, _body(route, route.nexthops, indexes, table))


def encode_delete_route(route: VirtualRoute, indexes: Mapping[str, int], table: int, sequence: int = 0) -> bytes:
    """RTM_DELROUTE of this very route: all it was made with is compared. Ways whose interface is gone are gone."""
    hops = tuple(hop for hop in route.nexthops if not hop.interface or hop.interface in indexes)
    return nl.encode_message(RTM_DELROUTE, nl.NLM_F_REQUEST, sequence, _body(route, hops, indexes, table))


def encode_dump(family: Family, protocol: int, sequence: int) -> bytes:
    """RTM_GETROUTE for all routes of a protocol; a kernel without NETLINK_GET_STRICT_CHK gives all there are."""
    body = _RTMSG.pack(_FAMILIES[family], 0, 0, 0, 0, protocol, 0, 0, 0)
    return nl.encode_message(RTM_GETROUTE, nl.NLM_F_REQUEST | nl.NLM_F_DUMP, sequence, body)


def _body(route: VirtualRoute, hops: tuple[Nexthop, ...], indexes: Mapping[str, int], table: int) -> bytes:
    flags = RTNH_F_ONLINK if len(hops) == 1 and hops[0].onlink else 0
    header = _RTMSG.pack(
        _FAMILIES[route.family],
        route.prefix_length,
        route.source_length if route.source else 0,
        route.tos,
        table if table < 256 else 0,
        route.protocol,
        route.scope,
        route.type,
        flags,
    )
    attribute = nl.encode_attribute
    parts = [header, attribute(RTA_DST, route.destination)]
    if table >= 256:
        parts.append(attribute(RTA_TABLE, _U32.pack(table)))
    if route.source:
        parts.append(attribute(RTA_SRC, route.source))
    if route.preferred_source:
        parts.append(attribute(RTA_PREFSRC, route.preferred_source))
    if route.metric is not None:
        parts.append(attribute(RTA_PRIORITY, _U32.pack(route.metric)))
    if len(hops) == 1:
        if hops[0].interface:
            parts.append(attribute(RTA_OIF, _U32.pack(indexes[hops[0].interface])))
        parts.append(_hop_attributes(hops[0], route.family))
    elif hops:
        parts.append(attribute(RTA_MULTIPATH, b"".join(_multipath(hop, route.family, indexes) for hop in hops)))
    if metrics := _metrics(route):
        parts.append(attribute(RTA_METRICS, metrics))
    if route.expires is not None:
        parts.append(attribute(RTA_EXPIRES, _U32.pack(route.expires)))
    if route.preference is not None:
        parts.append(attribute(RTA_PREF, bytes((route.preference,))))
    if route.ttl_propagate is not None:
        parts.append(attribute(RTA_TTL_PROPAGATE, bytes((route.ttl_propagate,))))
    return b"".join(parts)


def _multipath(hop: Nexthop, family: Family, indexes: Mapping[str, int]) -> bytes:
    """A struct rtnexthop and its attributes; it counts the further shares of the traffic beyond one."""
    attributes = _hop_attributes(hop, family)
    flags = RTNH_F_ONLINK if hop.onlink else 0
    index = indexes[hop.interface] if hop.interface else 0
    return _RTNEXTHOP.pack(_RTNEXTHOP.size + len(attributes), flags, hop.weight - 1, index) + attributes


def _hop_attributes(hop: Nexthop, family: Family) -> bytes:
    parts = []
    if hop.gateway:
        if (len(hop.gateway) == 4) == (family is Family.IPV4):
            parts.append(nl.encode_attribute(RTA_GATEWAY, hop.gateway))
        else:  # struct rtvia
            other = nl.AF_INET if len(hop.gateway) == 4 else nl.AF_INET6
            parts.append(nl.encode_attribute(RTA_VIA, _U16.pack(other) + hop.gateway))
    if hop.realms:
        parts.append(nl.encode_attribute(RTA_FLOW, _U32.pack(hop.realms)))
    if hop.encapsulation is not None:
        kind, value = _encapsulation(hop.encapsulation)
        parts.append(nl.encode_attribute(RTA_ENCAP, value))
        parts.append(nl.encode_attribute(RTA_ENCAP_TYPE, _U16.pack(kind)))
    return b"".join(parts)


def _encapsulation(encapsulation: MplsEncapsulation | IpEncapsulation | IlaEncapsulation) -> tuple[int, bytes]:
    """LWTUNNEL_ENCAP_* and its attributes (linux/lwtunnel.h, mpls_iptunnel.h, ila.h)."""
    match encapsulation:
        case MplsEncapsulation():
            last = len(encapsulation.labels) - 1
            stack = b"".join(
                (label << 12 | (place == last) << 8).to_bytes(4) for place, label in enumerate(encapsulation.labels)
            )  # RFC 3032 2.1; the kernel sets the TTL
            return _ENCAP_MPLS, nl.encode_attribute(_MPLS_DST, stack)
        case IlaEncapsulation():
            return _ENCAP_ILA, nl.encode_attribute(_ILA_LOCATOR, encapsulation.locator)
    fields = (
        (_IP_ID, None if encapsulation.id is None else encapsulation.id.to_bytes(8)),
        (_IP_DST, encapsulation.destination or None),
        (_IP_SRC, encapsulation.source or None),
        (_IP_TOS, None if encapsulation.tos is None else bytes((encapsulation.tos,))),
        (_IP_TTL, None if encapsulation.ttl is None else bytes((encapsulation.ttl,))),
        (_IP_FLAGS, None if encapsulation.flags is None else encapsulation.flags.to_bytes(2)),
    )
    kind = _ENCAP_IP if encapsulation.family is Family.IPV4 else _ENCAP_IP6
    return kind, b"".join(nl.encode_attribute(number, value) for number, value in fields if value is not None)


def _metrics(route: VirtualRoute) -> bytes:
    parts = [nl.encode_attribute(number, _U32.pack(value)) for number, value in route.metrics]
    if route.congestion_control:
        parts.append(nl.encode_attribute(RTAX_CC_ALGO, route.congestion_control.encode() + b"\0"))
    if route.locked:
        parts.append(nl.encode_attribute(RTAX_LOCK, _U32.pack(route.locked)))
    return b"".join(parts)


class KernelHop(NamedTuple):
    """A way of a route as a message says it; zeros and empty bytes are what it says nothing of."""

    interface: int  # index
    gateway: bytes
    weight: int
    realms: int
    encapsulation: int  # LWTUNNEL_ENCAP_*
    tunnel: frozenset[tuple[int, bytes]]


class KernelRoute(NamedTuple):
    """A route as a message says it."""

    family: int
    table: int
    destination: bytes
    prefix_length: int
    source: bytes
    source_length: int
    tos: int
    metric: int
    type: int
    protocol: int
    scope: int
    preferred_source: bytes
    preference: int
    metrics: frozenset[tuple[int, bytes]]
    hops: tuple[KernelHop, ...]

    @property
    def place(self) -> tuple[int, int, bytes, int]:
        """What a route is looked for by first."""
        return self.family, self.table, self.destination, self.prefix_length


def decode_route(body: bytes) -> KernelRoute | None:
    """RTM_NEWROUTE, RTM_DELROUTE; None for families other than IPv4 and IPv6."""
    family, length, source_length, tos, table, protocol, scope, kind, _flags = _RTMSG.unpack_from(body)
    if family not in (nl.AF_INET, nl.AF_INET6):
        return None
    found = nl.attributes(body, _RTMSG.size)
    size = 4 if family == nl.AF_INET else 16
    default_metric = _IPV6_METRIC if family == nl.AF_INET6 else 0
    hops: tuple[KernelHop, ...] = ()
    if kind not in _WITHOUT_HOPS:
        hops = _decode_multipath(found[RTA_MULTIPATH]) if RTA_MULTIPATH in found else (_decode_hop(found, None, 1),)
    return KernelRoute(
        family=family,
        table=_u32(found, RTA_TABLE) or table,
        destination=_masked(found.get(RTA_DST, b"\0" * size), length),
        prefix_length=length,
        source=_masked(found.get(RTA_SRC, b""), source_length),
        source_length=source_length,
        tos=tos,
        metric=_u32(found, RTA_PRIORITY) or default_metric,
        type=kind,
        protocol=protocol,
        scope=scope,
        preferred_source=found.get(RTA_PREFSRC, b""),
        preference=found.get(RTA_PREF, b"\0")[0],
        metrics=frozenset(
            (number, value.rstrip(b"\0") if number == RTAX_CC_ALGO else value)
            for number, value in nl.attributes(found.get(RTA_METRICS, b""), 0).items()
        ),
        hops=hops,
    )


def protocol_of(body: bytes) -> int:
    """RTPROT_* of a route's message, without decoding the rest."""
    return body[5]


def place_of(body: bytes) -> tuple[int, bytes, int]:
    """Family, destination and prefix length of a route's message, without the rest."""
    found = nl.attributes(body, _RTMSG.size)
    return body[0], found.get(RTA_DST, b"\0" * (4 if body[0] == nl.AF_INET else 16)), body[1]


def _decode_multipath(data: bytes) -> tuple[KernelHop, ...]:
    hops = []
    offset = 0
    while offset + _RTNEXTHOP.size <= len(data):
        length, _flags, further, index = _RTNEXTHOP.unpack_from(data, offset)
        if length < _RTNEXTHOP.size:
            break
        found = nl.attributes(data[: offset + length], offset + _RTNEXTHOP.size)
        hops.append(_decode_hop(found, index, further + 1))
        offset += nl.align(length)
    return tuple(hops)


def _decode_hop(found: dict[int, bytes], index: int | None, weight: int) -> KernelHop:
    kind = _U16.unpack(found[RTA_ENCAP_TYPE])[0] if RTA_ENCAP_TYPE in found else 0
    tunnel = nl.attributes(found.get(RTA_ENCAP, b""), 0)
    if kind in (_ENCAP_IP, _ENCAP_IP6):
        tunnel.pop(_IP_FLAGS, None)  # the kernel adds flags of its own
    return KernelHop(
        interface=_u32(found, RTA_OIF) if index is None else index,
        gateway=found.get(RTA_GATEWAY) or found.get(RTA_VIA, b"\0\0")[2:],
        weight=weight,
        realms=_u32(found, RTA_FLOW),
        encapsulation=kind,
        tunnel=frozenset(tunnel.items()),
    )


def _u32(found: dict[int, bytes], kind: int) -> int:
    value = found.get(kind, b"")
    return int(_U32.unpack(value)[0]) if len(value) == 4 else 0


def _masked(address: bytes, length: int) -> bytes:
    bits = len(address) * 8
    host = (1 << (bits - length)) - 1 if length < bits else 0
    return (int.from_bytes(address) & ~host).to_bytes(len(address)) if address else b""


def is_present(wanted: KernelRoute, actual: KernelRoute) -> bool:
    """Whether a route the kernel shows is the one that was asked for (`decode_route` of our own message).

    What was left to the kernel (an interface found from the gateway, a source address) is as the kernel has chosen it.
    """
    if wanted.place != actual.place or (wanted.type, wanted.protocol) != (actual.type, actual.protocol):
        return False
    if (wanted.source, wanted.source_length, wanted.metric) != (actual.source, actual.source_length, actual.metric):
        return False
    if wanted.family == nl.AF_INET and (wanted.tos, wanted.scope) != (actual.tos, actual.scope):
        return False
    if wanted.family == nl.AF_INET6 and wanted.preference != actual.preference:
        return False
    if wanted.preferred_source and wanted.preferred_source != actual.preferred_source:
        return False
    if not wanted.metrics <= actual.metrics:
        return False
    # routes over IPv6 to one destination and of one metric are joined to one of several ways
    joined = wanted.family == nl.AF_INET6
    if not joined and len(wanted.hops) != len(actual.hops):
        return False
    return all(any(_same_hop(one, other) for other in actual.hops) for one in wanted.hops)


def _same_hop(wanted: KernelHop, actual: KernelHop) -> bool:
    return (
        wanted.interface in (0, actual.interface)
        and (wanted.gateway, wanted.weight) == (actual.gateway, actual.weight)
        and wanted.realms == actual.realms
        and wanted.encapsulation == actual.encapsulation
        and wanted.tunnel <= actual.tunnel
    )


class RouteOperation(msgspec.Struct, frozen=True):
    """One change of the machine."""

    route: VirtualRoute
    remove: bool = False


def plan(
    desired: Collection[VirtualRoute],
    managed: Collection[VirtualRoute],
    present: Callable[[VirtualRoute], bool],
) -> tuple[RouteOperation, ...]:
    """What makes the machine have exactly `desired` among the routes that are ours to decide on (`managed`).

    A route that is there as wanted is not touched. Additions come in the order of `desired`, since a gateway may be
    reached by a route that stands before it; then the removals in the opposite order of `managed`. Only a route that
    the kernel would not take beside its predecessor has to wait for the removal of that one.
    """
    wanted = {same_route(route) for route in desired}
    removals = [
        route for route in _distinct(managed) if same_route(route) not in wanted and present(route)
    ]  # fmt: skip
    operations: list[RouteOperation] = []
    for route in _distinct(desired):
        if present(route):
            continue
        for old in [old for old in removals if _excludes(route, old)]:
            removals.remove(old)
            operations.append(RouteOperation(old, remove=True))
        operations.append(RouteOperation(route))
    operations += [RouteOperation(route, remove=True) for route in reversed(removals)]
    return tuple(operations)


def _distinct(routes: Collection[VirtualRoute]) -> list[VirtualRoute]:
    return list({same_route(route): route for route in reversed(list(routes))}.values())[::-1]


def _excludes(new: VirtualRoute, old: VirtualRoute) -> bool:
    """Whether the kernel refuses `new`, or takes it for `old`, as long as that one is there."""
    if _key(new) != _key(old):
        return False
    return new.family is Family.IPV6 or new.update is RouteUpdate.ADD


def _key(route: VirtualRoute) -> tuple[object, ...]:
    metric = route.metric or (_IPV6_METRIC if route.family is Family.IPV6 else 0)
    destination = _masked(route.destination, route.prefix_length)
    return (
        route.family, route.table, route.vrf, destination, route.prefix_length,
        _masked(route.source, route.source_length), route.source_length, route.tos, metric,
    )  # fmt: skip

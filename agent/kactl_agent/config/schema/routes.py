"""Entries of static_routes and virtual_routes; the words are those of `ip route add`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.keyword import FLAG, Keyword, Keywords
from kactl_agent.config.schema.network import (
    DSFIELD,
    ROUTE_PROTOCOL,
    ROUTING_TABLE,
    SCOPE,
    InterfaceName,
    IpAddress,
    IpPrefix,
    MplsLabels,
    Realms,
    RouteTime,
)
from kactl_agent.config.schema.shapes import Choice, Integer, Line, Maybe, Repeated, Text

U32 = Integer(0, 2**32 - 1)
ROUTE_TYPES = (
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "throw",
    "unreachable",
    "prohibit",
    "blackhole",
    "nat",
)
INET = Choice(("inet", "inet6"))


class Gateway(Keywords, frozen=True, kw_only=True):
    """`[inet|inet6] ADDRESS`: a next router, possibly of the other family."""

    family: Annotated[
        Maybe[str],
        Keyword(
            INET,
            "Family of the gateway",
            default="that of the address",
            bare_word=True,
            leading=True,
            process="vrrp",
        ),
    ] = UNSET
    address: Annotated[
        Maybe[str],
        Keyword(IpAddress(exact=True), "Address of the gateway", position=0, required=True, process="vrrp"),
    ] = UNSET


_LOCK_DOC = "Keep the kernel from changing the value, path MTU discovery and the like included"


class LockableNumber(Keywords, frozen=True, kw_only=True):
    """`[lock] N`: a metric of a route."""

    lock: Annotated[Maybe[bool], Keyword(FLAG, _LOCK_DOC, default="off", leading=True, process="vrrp")] = UNSET
    value: Annotated[Maybe[int], Keyword(U32, "Value of the metric", position=0, required=True, process="vrrp")] = UNSET


class LockableTime(Keywords, frozen=True, kw_only=True):
    """`[lock] TIME`: a metric of a route that is a time."""

    lock: Annotated[Maybe[bool], Keyword(FLAG, _LOCK_DOC, default="off", leading=True, process="vrrp")] = UNSET
    value: Annotated[
        Maybe[str], Keyword(RouteTime(), "Value of the metric", position=0, required=True, process="vrrp")
    ] = UNSET


class LockableName(Keywords, frozen=True, kw_only=True):
    """`[lock] NAME`: a metric of a route that is a name."""

    lock: Annotated[Maybe[bool], Keyword(FLAG, _LOCK_DOC, default="off", leading=True, process="vrrp")] = UNSET
    value: Annotated[
        Maybe[str], Keyword(Text("name"), "Name of the algorithm", position=0, required=True, process="vrrp")
    ] = UNSET


U8 = Integer(0, 255)
U16 = Integer(0, 65535)
U64 = Integer(0, 2**64 - 1)


class EncapIp(Keywords, frozen=True, kw_only=True):
    """Options of an IPv4 tunnel encapsulation."""

    id_: Annotated[Maybe[int], Keyword(U64, "Key that tells tunnels apart", default="0", name="id", process="vrrp")] = (
        UNSET
    )
    dst: Annotated[Maybe[str], Keyword(IpAddress(4, exact=True), "Outer destination address", process="vrrp")] = UNSET
    src: Annotated[Maybe[str], Keyword(IpAddress(4, exact=True), "Outer source address", process="vrrp")] = UNSET
    tos: Annotated[Maybe[str], Keyword(DSFIELD, "TOS of the outer header", process="vrrp")] = UNSET
    ttl: Annotated[Maybe[int], Keyword(U8, "TTL of the outer header", process="vrrp")] = UNSET
    flags: Annotated[Maybe[int], Keyword(U16, "Tunnel flags, as a number", process="vrrp")] = UNSET


class EncapIp6(Keywords, frozen=True, kw_only=True):
    """Options of an IPv6 tunnel encapsulation."""

    id_: Annotated[Maybe[int], Keyword(U64, "Key that tells tunnels apart", default="0", name="id", process="vrrp")] = (
        UNSET
    )
    dst: Annotated[Maybe[str], Keyword(IpAddress(6, exact=True), "Outer destination address", process="vrrp")] = UNSET
    src: Annotated[Maybe[str], Keyword(IpAddress(6, exact=True), "Outer source address", process="vrrp")] = UNSET
    tc: Annotated[Maybe[str], Keyword(DSFIELD, "Traffic class of the outer header", process="vrrp")] = UNSET
    hoplimit: Annotated[Maybe[int], Keyword(U8, "Hop limit of the outer header", process="vrrp")] = UNSET
    flags: Annotated[Maybe[int], Keyword(U16, "Tunnel flags, as a number", process="vrrp")] = UNSET


class Encap(Keywords, frozen=True, kw_only=True):
    """A lightweight tunnel that the route's packets are put into: exactly one kind."""

    mpls: Annotated[
        Maybe[str],
        Keyword(
            MplsLabels(),
            "MPLS labels to push, outermost first: one, or two with a slash between",
            process="vrrp",
        ),
    ] = UNSET
    ip: Annotated[Maybe[EncapIp], Keyword(Line(EncapIp), "IPv4 tunnel", process="vrrp")] = UNSET
    ip6: Annotated[Maybe[EncapIp6], Keyword(Line(EncapIp6), "IPv6 tunnel", process="vrrp")] = UNSET
    ila: Annotated[
        Maybe[str],
        Keyword(
            Text("locator", pattern=r"[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){3}"),
            "Identifier-locator addressing: the locator, four groups of hexadecimal digits",
            process="vrrp",
        ),
    ] = UNSET


class NextHop(Keywords, frozen=True, kw_only=True):
    """One way of a multipath route."""

    via: Annotated[Maybe[Gateway], Keyword(Line(Gateway), "Gateway of this hop", process="vrrp")] = UNSET
    dev: Annotated[
        Maybe[str],
        Keyword(InterfaceName(), "Output interface of this hop", synonyms=("oif",), process="vrrp"),
    ] = UNSET
    weight: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 256),
            "Share of the traffic, relative to the other hops",
            default="1",
            process="vrrp",
        ),
    ] = UNSET
    onlink: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Take the gateway for directly reachable", default="off", process="vrrp"),
    ] = UNSET
    encap: Annotated[
        Maybe[Encap],
        Keyword(Line(Encap), "Tunnel that this hop's packets are put into", default="none", process="vrrp"),
    ] = UNSET
    realms: Annotated[
        Maybe[str],
        Keyword(Realms(), "Realms of this hop. IPv4 only", default="none", process="vrrp"),
    ] = UNSET
    as_: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(filler="to", exact=True),
            "A new destination address: understood, and without effect on IP routes, as in keepalived",
            name="as",
            process="vrrp",
        ),
    ] = UNSET


class RouteEntry(Keywords, frozen=True, kw_only=True):
    """A route of a VRRP instance: in the kernel while the instance is MASTER."""

    whole_line: ClassVar[bool] = True

    type_: Annotated[
        Maybe[str],
        Keyword(
            Choice(ROUTE_TYPES),
            "What the route does with its packets",
            default="unicast",
            name="type",
            bare_word=True,
            leading=True,
            process="vrrp",
        ),
    ] = UNSET
    destination: Annotated[
        Maybe[str],
        Keyword(
            IpPrefix(words=("default", "default6", "any", "all"), filler="to"),
            "Destination network or address; `default`, as `any` and `all`, is 0.0.0.0/0 (::/0 with inet6), `default6` is ::/0",
            position=0,
            required=True,
            process="vrrp",
        ),
    ] = UNSET
    src: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(exact=True),
            "Preferred source address of packets that the machine itself sends",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    as_: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(filler="to", exact=True),
            "A new destination address: understood, and without effect on IP routes, as in keepalived",
            name="as",
            process="vrrp",
        ),
    ] = UNSET
    via: Annotated[
        Maybe[Gateway],
        Keyword(
            Line(Gateway),
            "Gateway; it may be of the other family",
            default="none: directly connected",
            deprecated=("gw",),
            process="vrrp",
        ),
    ] = UNSET
    from_: Annotated[
        Maybe[str],
        Keyword(
            IpPrefix(), "Match packets with this source only. IPv6 only", default="any", name="from", process="vrrp"
        ),
    ] = UNSET
    tos: Annotated[
        Maybe[str],
        Keyword(
            DSFIELD,
            "Match packets with this TOS only: a name of rt_dsfield or a number",
            default="any",
            synonyms=("dsfield",),
            process="vrrp",
        ),
    ] = UNSET
    table: Annotated[
        Maybe[str],
        Keyword(ROUTING_TABLE, "Routing table: a name of rt_tables or a number", default="main", process="vrrp"),
    ] = UNSET
    protocol: Annotated[
        Maybe[str],
        Keyword(
            ROUTE_PROTOCOL,
            "Origin the route is marked with: a name of rt_protos or a number. A tracked route needs the default",
            default="keepalived (18)",
            process="vrrp",
        ),
    ] = UNSET
    scope: Annotated[
        Maybe[str],
        Keyword(SCOPE, "Scope: a name of rt_scopes or a number", default="global", process="vrrp"),
    ] = UNSET
    metric: Annotated[
        Maybe[int],
        Keyword(
            U32,
            "Preference among routes to one destination: lower wins",
            default="the kernel's",
            synonyms=("priority", "preference"),
            process="vrrp",
        ),
    ] = UNSET
    dev: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(), "Output interface", default="found from the gateway", synonyms=("oif",), process="vrrp"
        ),
    ] = UNSET
    vrf: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(),
            "Put the route into the table of this VRF interface",
            default="none",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    onlink: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Take the gateway for directly reachable, whatever the interface's addresses say",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    # before `encap`, among whose words it would be the outer header's
    hoplimit: Annotated[
        Maybe[int], Keyword(U8, "TTL or hop limit of packets sent on the route", default="the kernel's", process="vrrp")
    ] = UNSET
    encap: Annotated[
        Maybe[Encap],
        Keyword(Line(Encap), "Lightweight tunnel that the packets are put into", default="none", process="vrrp"),
    ] = UNSET
    expires: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1, unit="seconds"),
            "Remove the route after this many seconds. IPv6 only",
            default="never",
            process="vrrp",
        ),
    ] = UNSET
    mtu: Annotated[
        Maybe[LockableNumber],
        Keyword(Line(LockableNumber), "MTU of the path, in bytes", default="the interface's", process="vrrp"),
    ] = UNSET
    advmss: Annotated[
        Maybe[LockableNumber],
        Keyword(Line(LockableNumber), "MSS that TCP announces, in bytes", default="from the MTU", process="vrrp"),
    ] = UNSET
    rtt: Annotated[
        Maybe[LockableTime],
        Keyword(
            Line(LockableTime),
            "First estimate of the round-trip time, at least 200 ms; a bare number is in 1/8 ms",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    rttvar: Annotated[
        Maybe[LockableTime],
        Keyword(
            Line(LockableTime),
            "First estimate of the round-trip time's variance, at least 200 ms; a bare number is in 1/4 ms",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    reordering: Annotated[
        Maybe[LockableNumber],
        Keyword(
            Line(LockableNumber),
            "Reordering that TCP takes for normal, in packets",
            default="tcp_reordering",
            process="vrrp",
        ),
    ] = UNSET
    window: Annotated[
        Maybe[int], Keyword(U32, "Largest TCP window to announce, in bytes", default="none", process="vrrp")
    ] = UNSET
    cwnd: Annotated[
        Maybe[LockableNumber],
        Keyword(
            Line(LockableNumber),
            "Clamp of the TCP congestion window, in segments; needs lock to act",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    ssthresh: Annotated[
        Maybe[LockableNumber],
        Keyword(Line(LockableNumber), "First slow-start threshold of TCP, in segments", default="none", process="vrrp"),
    ] = UNSET
    realms: Annotated[
        Maybe[str], Keyword(Realms(), "Realms the route belongs to. IPv4 only", default="none", process="vrrp")
    ] = UNSET
    rto_min: Annotated[
        Maybe[LockableTime],
        Keyword(
            Line(LockableTime),
            "Lower limit of TCP's retransmission timeout, at least 200 ms; a bare number is in ms",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    initcwnd: Annotated[
        Maybe[int], Keyword(U32, "First TCP congestion window, in segments", default="the kernel's", process="vrrp")
    ] = UNSET
    initrwnd: Annotated[
        Maybe[int], Keyword(U32, "First TCP receive window, in segments", default="the kernel's", process="vrrp")
    ] = UNSET
    features: Annotated[
        Maybe[str],
        Keyword(
            Choice(("ecn",)),
            "Features of the path: `ecn` asks for explicit congestion notification",
            default="none",
            bad_value="option",
            process="vrrp",
        ),
    ] = UNSET
    quickack: Annotated[
        Maybe[int],
        Keyword(Integer(0, 1), "1: acknowledge at once on this route", default="0", process="vrrp"),
    ] = UNSET
    congctl: Annotated[
        Maybe[LockableName],
        Keyword(Line(LockableName), "TCP congestion control algorithm", default="the system's", process="vrrp"),
    ] = UNSET
    pref: Annotated[
        Maybe[str],
        Keyword(
            Choice(("low", "medium", "high"), {"0": "medium", "1": "high", "3": "low"}),
            "Router preference (RFC 4191). IPv6 only",
            default="medium",
            process="vrrp",
        ),
    ] = UNSET
    ttl_propagate: Annotated[
        Maybe[str],
        Keyword(
            Choice(("enabled", "disabled"), otherwise="disabled"),
            "Whether an MPLS tunnel copies the TTL to the outer header",
            default="the kernel's",
            name="ttl-propagate",
            process="vrrp",
        ),
    ] = UNSET
    fastopen_no_cookie: Annotated[
        Maybe[int],
        Keyword(Integer(0, 1), "1: TCP Fast Open without a cookie", default="0", process="vrrp"),
    ] = UNSET
    add: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Add the route only if there is none like it",
            default="before those that exist",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    prepend: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Add the route before those that exist",
            default="before those that exist",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    append: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Add the route behind those that exist",
            default="before those that exist",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    no_track: Annotated[
        Maybe[bool], Keyword(FLAG, "No FAULT when the route is deleted", default="off", process="vrrp")
    ] = UNSET
    or_: Annotated[
        Maybe[str],
        Keyword(IpAddress(exact=True), "A second gateway", name="or", replaced_by="nexthop", process="vrrp"),
    ] = UNSET
    # keepalived swallows the word behind these two.
    inet: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Force the family to IPv4", default="that of the addresses", last=True, process="vrrp"),
    ] = UNSET
    inet6: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Force the family to IPv6", default="that of the addresses", last=True, process="vrrp"),
    ] = UNSET
    nexthop: Annotated[
        Maybe[tuple[NextHop, ...]],
        Keyword(
            Repeated(Line(NextHop)),
            "Ways of a multipath route; they end the line",
            default="none",
            last=True,
            process="vrrp",
        ),
    ] = UNSET


class StaticRouteEntry(RouteEntry, frozen=True, kw_only=True):
    """A route that is added at the start and kept, whatever the VRRP state."""

    track_group: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Instances of this track_group are in FAULT while the route is missing; it needs a dev",
            default="none",
            process="vrrp",
        ),
    ] = UNSET

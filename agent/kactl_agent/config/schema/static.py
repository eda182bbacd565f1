"""Blocks of the root that belong to no instance: groups of static items, pacing of announcements, delays and polling of interfaces."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BlockKeywords, Keyword, Keywords
from kactl_agent.config.schema.network import InterfaceName
from kactl_agent.config.schema.shapes import Choice, Duration, Entries, Maybe, Text


class TrackGroup(BlockKeywords, frozen=True, kw_only=True):
    """track_group: the instances that go to FAULT when a static address, route or rule of the group is missing."""

    group: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            Entries(Text("vrrp_instance"), many_per_line=True),
            "Names of the VRRP instances",
            required=True,
            process="vrrp",
        ),
    ] = UNSET


GARP_INTERVAL = Duration(maximum=4_294_967_295)
"""A pause between announcements. keepalived 2.2 refuses more than 2147.483647 s."""


class GarpGroup(BlockKeywords, frozen=True, kw_only=True):
    """garp_group: one set of pauses for an interface, or for all interfaces that lead to the same switch.

    Interfaces in no group follow vrrp_garp_interval and vrrp_gna_interval.
    """

    garp_interval: Annotated[
        Maybe[int],
        Keyword(
            GARP_INTERVAL,
            "Shortest pause between two gratuitous ARPs (IPv4) on the interfaces of the group, in seconds with a resolution of microseconds",
            default="0: no pause",
            process="vrrp",
        ),
    ] = UNSET
    gna_interval: Annotated[
        Maybe[int],
        Keyword(
            GARP_INTERVAL,
            "Shortest pause between two unsolicited neighbour advertisements (IPv6) on the interfaces of the group, in seconds with a resolution of microseconds",
            default="0: no pause",
            process="vrrp",
        ),
    ] = UNSET
    interface: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(),
            "The one interface the pauses apply to. Use either `interface` or `interfaces`",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    interfaces: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            Entries(InterfaceName(), many_per_line=True),
            "The interfaces that share the pauses: an announcement on one delays the next on all of them",
            default="none",
            process="vrrp",
        ),
    ] = UNSET


class InterfaceDelays(Keywords, frozen=True, kw_only=True):
    """An entry of interface_up_down_delays: `INTERFACE [DOWN [UP]]`."""

    interface: Annotated[
        Maybe[str], Keyword(InterfaceName(), "The interface", position=0, required=True, process="vrrp")
    ] = UNSET
    down: Annotated[
        Maybe[int],
        Keyword(
            Duration(maximum=255_000_000),
            "An interface that goes down counts as down when it still is so after this long",
            default="0",
            position=1,
            process="vrrp",
        ),
    ] = UNSET
    up: Annotated[
        Maybe[int],
        Keyword(
            Duration(maximum=255_000_000),
            "An interface that comes up counts as up when it still is so after this long",
            default="0",
            position=2,
            process="vrrp",
        ),
    ] = UNSET


class LinkbeatInterface(Keywords, frozen=True, kw_only=True):
    """An entry of linkbeat_interfaces: `INTERFACE [MII|ETHTOOL|IOCTL]`."""

    interface: Annotated[
        Maybe[str],
        Keyword(InterfaceName(), "Interface whose link is polled", position=0, required=True, process="vrrp"),
    ] = UNSET
    method: Annotated[
        Maybe[str],
        Keyword(
            Choice(("MII", "ETHTOOL", "IOCTL")),
            "How to ask; where the driver has no such way, another is taken",
            default="the first that works: MII, ETHTOOL, IOCTL",
            position=1,
            process="vrrp",
        ),
    ] = UNSET

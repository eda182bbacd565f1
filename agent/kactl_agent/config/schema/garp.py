"""garp_group: interfaces that share the pacing of gratuitous ARPs and unsolicited neighbour advertisements."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BlockKeywords, Keyword
from kactl_agent.config.schema.network import InterfaceName
from kactl_agent.config.schema.shapes import Duration, Entries, Maybe

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

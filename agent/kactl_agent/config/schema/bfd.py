"""bfd_instance: one BFD session (RFC 5880, 5881, 5883)."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BOOL, FLAG, BlockKeywords, Keyword
from kactl_agent.config.schema.network import IpAddress
from kactl_agent.config.schema.shapes import Duration, Integer, Line, Maybe
from kactl_agent.config.schema.track import ScriptWeight

_LONGEST = 4_294_967_000


class BfdInstance(BlockKeywords, frozen=True, kw_only=True):
    """bfd_instance: a session with one neighbour, whose state moves priorities (track_bfd) and real servers (BFD_CHECK)."""

    neighbor_ip: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(),
            "Address of the neighbour",
            synonyms=("neighbour_ip",),
            required=True,
            process="bfd",
        ),
    ] = UNSET
    source_ip: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(),
            "Address packets are sent from. Give it: only with it is the source port one that RFC 5881 allows",
            default="chosen by the kernel",
            process="bfd",
        ),
    ] = UNSET
    min_rx: Annotated[
        Maybe[int],
        Keyword(
            Duration("ms", 3, minimum=1_000, maximum=_LONGEST),
            "Shortest interval at which packets can be received (bfd.RequiredMinRxInterval), in milliseconds",
            default="10",
            process="bfd",
        ),
    ] = UNSET
    min_tx: Annotated[
        Maybe[int],
        Keyword(
            Duration("ms", 3, minimum=1_000, maximum=_LONGEST),
            "Interval at which packets are sent while Up (bfd.DesiredMinTxInterval), in milliseconds",
            default="10",
            process="bfd",
        ),
    ] = UNSET
    idle_tx: Annotated[
        Maybe[int],
        Keyword(
            Duration("ms", 3, minimum=1_000_000, maximum=_LONGEST),
            "Interval at which packets are sent while not Up, in milliseconds; at least a second (RFC 5880, 6.8.3)",
            default="1000",
            process="bfd",
        ),
    ] = UNSET
    multiplier: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255),
            "Packets that may be missing before the neighbour declares the session Down (bfd.DetectMult)",
            default="5",
            process="bfd",
        ),
    ] = UNSET
    passive: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Send nothing until the neighbour does (RFC 5880, 6.1)", default="off", process="bfd"),
    ] = UNSET
    ttl: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255),
            "TTL or hop limit of the packets that are sent",
            default="255 for IPv4, 64 for IPv6",
            synonyms=("hoplimit",),
            process="bfd",
        ),
    ] = UNSET
    max_hops: Annotated[
        Maybe[int],
        Keyword(
            Integer(-1, 255),
            "Routers a received packet may have crossed: its TTL must be at least ttl less this; -1 turns the check off",
            default="0",
            process="bfd",
        ),
    ] = UNSET
    weight: Annotated[
        Maybe[ScriptWeight],
        Keyword(
            Line(ScriptWeight),
            "Priority change, for instances that track the session, while Up (positive) or not (negative); 0 makes not Up a FAULT",
            default="0",
            process="bfd",
        ),
    ] = UNSET
    vrrp: Annotated[
        Maybe[bool],
        Keyword(
            FLAG, "Tell VRRP of state changes; alone, it means nobody else", default="both are told", process="bfd"
        ),
    ] = UNSET
    checker: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Tell the checkers of state changes; alone, it means nobody else",
            default="both are told",
            process="bfd",
        ),
    ] = UNSET
    multihop: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "The neighbour may be more than one hop away: UDP port 4784 (RFC 5883) instead of 3784",
            default="off",
            since="2.2.8",
            process="bfd",
        ),
    ] = UNSET

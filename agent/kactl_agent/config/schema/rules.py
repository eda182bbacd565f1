"""Entries of static_rules and virtual_rules; the words are those of `ip rule add`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.keyword import FLAG, Keyword, Keywords
from kactl_agent.config.schema.network import (
    DSFIELD,
    INTERFACE_GROUP,
    IP_PROTOCOL,
    RULE_TABLE,
    InterfaceName,
    IpPrefix,
    MarkAndMask,
    NumberRange,
    Realms,
)
from kactl_agent.config.schema.shapes import Integer, Maybe, Text

U32 = Integer(0, 2**32 - 1, any_base=True)


class RuleEntry(Keywords, frozen=True, kw_only=True):
    """A policy rule of a VRRP instance: in the kernel while the instance is MASTER."""

    fillers: ClassVar[tuple[str, ...]] = ("type",)
    whole_line: ClassVar[bool] = True

    not_: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Invert the match", default="off", name="not", process="vrrp"),
    ] = UNSET
    from_: Annotated[
        Maybe[str],
        Keyword(
            IpPrefix(words=("all", "any", "default")),
            "Match the source address",
            default="all",
            name="from",
            process="vrrp",
        ),
    ] = UNSET
    to: Annotated[
        Maybe[str],
        Keyword(
            IpPrefix(words=("all", "any", "default")), "Match the destination address", default="all", process="vrrp"
        ),
    ] = UNSET
    preference: Annotated[
        Maybe[int],
        Keyword(
            U32,
            "Place of the rule: lower numbers are tried first. Rules without one get 16384, 16383 and so on, with a warning",
            default="from 16384 down",
            synonyms=("order", "priority"),
            process="vrrp",
        ),
    ] = UNSET
    tos: Annotated[
        Maybe[str],
        Keyword(
            DSFIELD,
            "Match the TOS: a name of rt_dsfield or a number",
            default="any",
            synonyms=("dsfield",),
            process="vrrp",
        ),
    ] = UNSET
    fwmark: Annotated[
        Maybe[str],
        Keyword(
            MarkAndMask(), "Match the firewall mark, under a mask when one is given", default="any", process="vrrp"
        ),
    ] = UNSET
    dev: Annotated[
        Maybe[str],
        Keyword(InterfaceName(), "Match the input interface", default="any", synonyms=("iif",), process="vrrp"),
    ] = UNSET
    oif: Annotated[
        Maybe[str],
        Keyword(InterfaceName(), "Match the output interface that a socket is bound to", default="any", process="vrrp"),
    ] = UNSET
    tunnel_id: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**64 - 1),
            "Match the tunnel key",
            default="any",
            name="tunnel-id",
            process="vrrp",
        ),
    ] = UNSET
    uidrange: Annotated[
        Maybe[str],
        Keyword(
            NumberRange("uid", 2**32 - 1), "Match the user a local socket belongs to", default="any", process="vrrp"
        ),
    ] = UNSET
    ipproto: Annotated[
        Maybe[str],
        Keyword(
            IP_PROTOCOL,
            "Match the IP protocol: a name of /etc/protocols or a number",
            default="any",
            bad_value="option",
            process="vrrp",
        ),
    ] = UNSET
    sport: Annotated[
        Maybe[str],
        Keyword(
            NumberRange("port", 65535, single=True),
            "Match the source port",
            default="any",
            bad_value="option",
            process="vrrp",
        ),
    ] = UNSET
    dport: Annotated[
        Maybe[str],
        Keyword(
            NumberRange("port", 65535, single=True),
            "Match the destination port",
            default="any",
            bad_value="option",
            process="vrrp",
        ),
    ] = UNSET
    table: Annotated[
        Maybe[str],
        Keyword(
            RULE_TABLE,
            "Look the route up in this table: a name of rt_tables or a number",
            synonyms=("lookup",),
            process="vrrp",
        ),
    ] = UNSET
    realms: Annotated[
        Maybe[str],
        Keyword(Realms(), "Realms the packets get; with table only. IPv4 only", default="none", process="vrrp"),
    ] = UNSET
    suppress_prefixlength: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**31 - 1),
            "Reject the table's answer when its prefix has this length or less: 0 leaves default routes out",
            default="none",
            synonyms=("sup_pl",),
            process="vrrp",
        ),
    ] = UNSET
    suppress_ifgroup: Annotated[
        Maybe[str],
        Keyword(
            INTERFACE_GROUP,
            "Reject the table's answer when its interface is of this group: a name of /etc/iproute2/group or a number",
            default="none",
            synonyms=("sup_group",),
            process="vrrp",
        ),
    ] = UNSET
    l3mdev: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Look the route up in the table of the VRF the packet belongs to; instead of a table",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    goto: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1),
            "Go on with the rule of this preference, which must be higher than the rule's own",
            process="vrrp",
        ),
    ] = UNSET
    nop: Annotated[
        Maybe[bool], Keyword(FLAG, "Do nothing: go on with the next rule", default="off", process="vrrp")
    ] = UNSET
    blackhole: Annotated[Maybe[bool], Keyword(FLAG, "Drop the packet", default="off", process="vrrp")] = UNSET
    unreachable: Annotated[
        Maybe[bool], Keyword(FLAG, "Refuse the packet: network unreachable", default="off", process="vrrp")
    ] = UNSET
    prohibit: Annotated[
        Maybe[bool], Keyword(FLAG, "Refuse the packet: administratively prohibited", default="off", process="vrrp")
    ] = UNSET
    protocol: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 255),
            "Origin the rule is marked with, a number. A tracked rule needs the default",
            default="18 (keepalived)",
            bad_value="option",
            process="vrrp",
        ),
    ] = UNSET
    no_track: Annotated[
        Maybe[bool], Keyword(FLAG, "No FAULT when the rule is deleted", default="off", process="vrrp")
    ] = UNSET
    # keepalived swallows the word behind these two.
    inet: Annotated[
        Maybe[bool],
        Keyword(
            FLAG, "Force the family to IPv4", default="that of the addresses, else IPv4", last=True, process="vrrp"
        ),
    ] = UNSET
    inet6: Annotated[
        Maybe[bool],
        Keyword(
            FLAG, "Force the family to IPv6", default="that of the addresses, else IPv4", last=True, process="vrrp"
        ),
    ] = UNSET


class StaticRuleEntry(RuleEntry, frozen=True, kw_only=True):
    """A policy rule that is added at the start and kept, whatever the VRRP state."""

    track_group: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Instances of this track_group are in FAULT while the rule is missing; it needs an iif",
            default="none",
            process="vrrp",
        ),
    ] = UNSET

"""Entries of static_ipaddress, virtual_ipaddress and virtual_ipaddress_excluded."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import FLAG, Keyword, Keywords
from kactl_agent.config.schema.network import SCOPE, InterfaceName, IpAddress, IpPrefix, Lifetime
from kactl_agent.config.schema.shapes import Maybe, Text


class _Address(Keywords, frozen=True, kw_only=True):
    """What every address entry takes; the words are those of `ip address add`."""

    address: Annotated[
        Maybe[str],
        Keyword(
            IpPrefix(),
            "The address; its prefix length says which network is on the link",
            default="length 32 for IPv4, 128 for IPv6",
            position=0,
            required=True,
            process="vrrp",
        ),
    ] = UNSET
    dev: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(),
            "Interface that carries the address",
            default="the instance's interface; default_interface for static addresses",
            drops_line=True,
            process="vrrp",
        ),
    ] = UNSET
    scope: Annotated[
        Maybe[str],
        Keyword(
            SCOPE,
            "Where the address is valid: a name of rt_scopes or its number. IPv4 only; on IPv6 it is ignored with a message",
            default="global",
            process="vrrp",
        ),
    ] = UNSET
    broadcast: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(4, words=("+", "-")),
            "Broadcast address; `+` sets all host bits, `-` clears them. IPv4 only, and of no effect with a length above 30",
            default="none",
            synonyms=("brd",),
            bad_value="line",
            process="vrrp",
        ),
    ] = UNSET
    label: Annotated[
        Maybe[str],
        Keyword(
            Text("label", maximum=15),
            "Label of the address, such as `eth0:1`; at most 15 characters. IPv4 only",
            default="none",
            bad_value="line",
            process="vrrp",
        ),
    ] = UNSET
    peer: Annotated[
        Maybe[str],
        Keyword(
            IpPrefix(),
            "The far end of a point-to-point link; its prefix length is the one that is used. keepalived 2.2 takes it without a length only",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    home: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Mark as Mobile IPv6 home address (RFC 6275)", default="off", process="vrrp"),
    ] = UNSET
    nodad: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Run duplicate address detection when an IPv6 address is added (it is otherwise skipped)",
            default="off",
            name="-nodad",
            process="vrrp",
        ),
    ] = UNSET
    mngtmpaddr: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Let the kernel make temporary addresses from this IPv6 one (RFC 8981)",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    noprefixroute: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Make no route to the address's network when it is added",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    autojoin: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Join the multicast group that the address is", default="off", process="vrrp"),
    ] = UNSET
    no_track: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Do not react when the address is deleted or its interface goes down",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    preferred_lft: Annotated[
        Maybe[str],
        Keyword(
            Lifetime(),
            "How long the address may be the source of new connections, in seconds, or `forever`; 0 makes it deprecated from the start",
            default="0 for an IPv6 /128, otherwise forever",
            process="vrrp",
        ),
    ] = UNSET


class AddressEntry(_Address, frozen=True, kw_only=True):
    """An address of a VRRP instance: it is on the machine while the instance is MASTER."""

    use_vmac: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Put the address on a VMAC interface of its own device",
            default="off",
            process="vrrp",
        ),
    ] = UNSET


class StaticAddressEntry(_Address, frozen=True, kw_only=True):
    """An address that is added at the start and kept, whatever the VRRP state."""

    track_group: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Instances of this track_group are in FAULT while the address is missing",
            default="none",
            process="vrrp",
        ),
    ] = UNSET

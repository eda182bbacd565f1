"""Interfaces that exist for the sake of an instance: macvlans with the virtual MAC address (use_vmac), ipvlans."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import chain, count

import msgspec

from kactl_agent.vrrp.family import Family


class InterfaceKind(Enum):
    """As the kernel calls it."""

    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


class IpvlanFlag(Enum):
    """How the ipvlans of one parent reach each other (linux/if_link.h)."""

    BRIDGE = 0
    PRIVATE = 1
    VEPA = 2


class VirtualInterface(msgspec.Struct, frozen=True, kw_only=True):
    """One interface on top of `parent`: use_vmac, use_vmac_addr, use_ipvlan, and use_vmac of an address."""

    name: str
    parent: str
    family: Family  # of the addresses that it is for
    kind: InterfaceKind = InterfaceKind.MACVLAN
    hardware_address: bytes = b""  # of a macvlan
    flag: IpvlanFlag = IpvlanFlag.BRIDGE  # of an ipvlan
    group: int | None = None  # rt_group; None is the parent's
    address: bytes = b""  # an ipvlan's own, b"" for none
    prefix_length: int = 0  # of `address`
    prefix: str = ""  # of other names that it may have, should its own be taken; "" for none


_LONGEST_NAME = 15  # IFNAMSIZ without the byte at the end


def names(prefix: str, virtual_router_id: int, family: Family) -> Iterator[str]:
    """keepalived's, without end: `vrrp.51`, then `vrrp6.51` for IPv6, then `vrrp1.51`, `vrrp2.51` and so on. A prefix
    is shortened where the name would be too long."""
    suffixes = [f".{virtual_router_id}", f"6.{virtual_router_id}"][: 1 if family is Family.IPV4 else 2]
    for suffix in chain(suffixes, (f"{number}.{virtual_router_id}" for number in count(1))):
        yield prefix[: _LONGEST_NAME - len(suffix)] + suffix


def virtual_router_mac(family: Family, virtual_router_id: int) -> bytes:
    """The virtual router MAC address (RFC 9568 7.3)."""
    return bytes((0, 0, 0x5E, 0, 1 if family is Family.IPV4 else 2, virtual_router_id))

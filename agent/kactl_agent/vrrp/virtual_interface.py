"""Interfaces that exist for the sake of an instance: macvlans with the virtual MAC address (use_vmac), ipvlans."""

from __future__ import annotations

from enum import Enum

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


def virtual_router_mac(family: Family, virtual_router_id: int) -> bytes:
    """The virtual router MAC address (RFC 9568 7.3)."""
    return bytes((0, 0, 0x5E, 0, 1 if family is Family.IPV4 else 2, virtual_router_id))

"""Virtual and static addresses as the user said them -> as engines carry them."""

from __future__ import annotations

import ipaddress
from typing import Any

from msgspec import UNSET

from kactl_agent.config.checks.problem import Path
from kactl_agent.config.in_force import packed
from kactl_agent.config.routing import RoutingResolver
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.vrrp.settings import VirtualAddress

_NODAD = 0x02  # IFA_F_NODAD
_FLAGS = {
    "home": 0x10,  # IFA_F_HOMEADDRESS
    "mngtmpaddr": 0x100,  # IFA_F_MANAGETEMPADDR
    "noprefixroute": 0x200,  # IFA_F_NOPREFIXROUTE
    "autojoin": 0x400,  # IFA_F_MCAUTOJOIN
}


def resolve_address(
    entry: Any, path: Path, interface: str, names: RoutingResolver, *, advertised: bool = True, fixed: bool = False
) -> VirtualAddress:
    """An entry of virtual_ipaddress, virtual_ipaddress_excluded or static_ipaddress; `interface` when it has no dev,
    or whatever it says (`fixed`)."""
    family = family_of(entry.address)
    address, _, length = entry.address.partition("/")
    prefix_length = int(length) if length else (32 if family == 4 else 128)
    peer, _, peer_length = or_default(entry.peer, "").partition("/")
    if peer_length:
        prefix_length = int(peer_length)
    flags = 0
    for attribute, bit in _FLAGS.items():
        if or_default(getattr(entry, attribute), False):
            flags |= bit
    if family == 6 and not or_default(entry.nodad, False):
        flags |= _NODAD
    scope = or_default(entry.scope, "global")
    return VirtualAddress(
        address=packed(address),
        prefix_length=prefix_length,
        interface=interface if fixed else or_default(entry.dev, interface),
        label=or_default(entry.label, "") if family == 4 else "",
        scope=names.number("rt_scopes", scope, (*path, "scope")) if family == 4 else 0,
        broadcast=_broadcast(or_default(entry.broadcast, ""), address, prefix_length) if family == 4 else b"",
        peer=packed(peer) if peer else b"",
        flags=flags,
        preferred_lifetime=_lifetime(entry, family, prefix_length),
        advertised=advertised,
        tracked=not or_default(entry.no_track, False),
    )


def _broadcast(text: str, address: str, prefix_length: int) -> bytes:
    """`+` sets all host bits, `-` clears them; networks of more than 30 bits have no broadcast address."""
    if not text or (text in "+-" and prefix_length > 30):
        return b""
    if text not in "+-":
        return packed(text)
    network = ipaddress.ip_network(f"{address}/{prefix_length}", strict=False)
    return (network.broadcast_address if text == "+" else network.network_address).packed


def _lifetime(entry: Any, family: int, prefix_length: int) -> int | None:
    """Seconds; None is forever. An IPv6 /128 is deprecated from the start, so that it is never chosen as a source."""
    said = entry.preferred_lft
    if said is UNSET:
        return 0 if family == 6 and prefix_length == 128 else None
    return None if said == "forever" else int(said)

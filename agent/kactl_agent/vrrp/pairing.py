"""Which instance of a new configuration is which one of the old: those that keep their state over a reload.

A virtual router is its VRID, family and interface, and whether it is unicast or which multicast group it has. Names,
priorities, addresses and everything else may change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kactl_agent.vrrp.settings import Family, VirtualAddress, VrrpSettings

Identity = tuple[int, Family, str, bool, bytes]


def identity(settings: VrrpSettings) -> Identity:
    """What an instance is on its LAN. Two with the same identity are the same router, or unicast to other peers."""
    unicast = bool(settings.unicast_peers)
    group = b"" if unicast else settings.multicast_group
    return settings.virtual_router_id, settings.family, settings.interface, unicast, group


def pair(old: Iterable[VrrpSettings], new: Iterable[VrrpSettings]) -> dict[str, str]:
    """The new name of an instance -> its old name, for those that are in both.

    Several unicast instances may share an identity: the one of the same name comes first, then one with a common peer.
    """
    rest: dict[Identity, list[VrrpSettings]] = {}
    names = set()
    for other in old:
        rest.setdefault(identity(other), []).append(other)
        names.add(other.name)
    pairs: dict[str, str] = {}
    # names first: an instance that keeps its name must not lose its state to one that only shares a peer
    for settings in sorted(new, key=lambda settings: settings.name not in names):
        alike = rest.get(identity(settings), [])
        named = [other for other in alike if other.name == settings.name]
        peers = set(settings.unicast_peers)
        found = named or [other for other in alike if not peers or peers & set(other.unicast_peers)]
        if found:
            pairs[settings.name] = found[0].name
            alike.remove(found[0])
    return pairs


class Succession(NamedTuple):
    """What becomes of the instances of a configuration when another one takes its place."""

    gone: list[str]
    renamed: dict[str, str]  # old name -> new name, of those that have another one
    kept: dict[str, VrrpSettings]  # old name -> the new settings
    changed: dict[str, VrrpSettings]  # likewise, of those whose settings are not the same
    fresh: list[VrrpSettings]


def succession(old: Iterable[VrrpSettings], new: Iterable[VrrpSettings]) -> Succession:
    """Who goes, who stays and how, and who comes."""
    before = {settings.name: settings for settings in old}
    after = {settings.name: settings for settings in new}
    names = pair(before.values(), after.values())
    kept = {name: after[later] for later, name in names.items()}
    return Succession(
        gone=[name for name in before if name not in kept],
        renamed={name: settings.name for name, settings in kept.items() if name != settings.name},
        kept=kept,
        changed={name: settings for name, settings in kept.items() if settings != before[name]},
        fresh=[settings for settings in after.values() if settings.name not in names],
    )


Place = tuple[bytes, int, str, bytes]


def place_of(address: VirtualAddress) -> Place:
    """What makes an address one and the same on the machine."""
    return address.address, address.prefix_length, address.interface, address.peer


def _on_the_machine(address: VirtualAddress) -> tuple[object, ...]:
    return (
        *place_of(address),
        address.label,
        address.scope,
        address.broadcast,
        address.flags,
        address.preferred_lifetime,
    )


def same_on_the_machine(one: VirtualAddress, two: VirtualAddress) -> bool:
    """Whether the machine would not know which of the two it has."""
    return _on_the_machine(one) == _on_the_machine(two)


def address_changes(
    old: Iterable[VirtualAddress], new: Iterable[VirtualAddress]
) -> tuple[tuple[VirtualAddress, ...], tuple[VirtualAddress, ...]]:
    """What goes from the machine and what comes. One of which only `advertised` or `tracked` changes does neither."""
    before = {_on_the_machine(address): address for address in old}
    after = {_on_the_machine(address): address for address in new}
    gone = tuple(address for key, address in before.items() if key not in after)
    return gone, tuple(address for key, address in after.items() if key not in before)

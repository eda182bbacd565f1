"""Names for macvlans and ipvlans where somebody else has an interface of the name already: the next that is free, as
keepalived does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from kactl_agent.kernel.ports import Links
from kactl_agent.kernel.virtual_links import fits, is_ours
from kactl_agent.runtime.virtual_interfaces import interfaces_of
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.settings import VirtualAddress, VrrpSettings
from kactl_agent.vrrp.virtual_interface import VirtualInterface, names


def with_free_names(
    instances: Sequence[VrrpSettings], links: Links, alias: str
) -> tuple[tuple[VrrpSettings, ...], list[Report]]:
    """The instances as they can be on this machine now, and what there is to say about it. `alias` is that of what this
    agent has made."""
    links.drain()
    taken = {*interfaces_of(instances), *(settings.interface for settings in instances)}
    found = []
    reports = []
    for settings in instances:
        chosen: dict[str, str] = {}
        for interface in _to_be_named(settings, links, alias, taken):
            name = _another(interface, settings.virtual_router_id, links, alias, taken)
            taken.add(name)
            if name == interface.name:
                continue
            chosen[interface.name] = name
            if not fits(interface, links, alias):
                kind = f"no {interface.kind.value} for {interface.parent}"
                text = f"there is an interface {interface.name}, which is {kind}: {name} is used in its place"
                reports.append(Report("virtual_interface", text, "warning"))
        found.append(_renamed(settings, chosen) if chosen else settings)
    return tuple(found), reports


def _to_be_named(settings: VrrpSettings, links: Links, alias: str, taken: set[str]) -> Sequence[VirtualInterface]:
    """The first whose name is somebody else's, and those behind it, which get theirs after it: their names are free."""
    interfaces = settings.virtual_interfaces
    clashing = [n for n, each in enumerate(interfaces) if each.prefix and not fits(each, links, alias)]
    if not clashing:
        return ()
    taken.difference_update(interface.name for interface in interfaces[clashing[0] + 1 :])
    return interfaces[clashing[0] :]


def _another(interface: VirtualInterface, router: int, links: Links, alias: str, taken: set[str]) -> str:
    """What was chosen before stays, as long as it is there."""
    enough = len(taken) + len(links.all()) + 1
    free = [name for name in islice(names(interface.prefix, router, interface.family), enough) if name not in taken]
    for name in free:
        link = links.link(name)
        if link is not None and is_ours(link, alias):
            return name
    return next(name for name in free if fits(msgspec.structs.replace(interface, name=name), links, alias))


def _renamed(settings: VrrpSettings, chosen: Mapping[str, str]) -> VrrpSettings:
    gratuitous = settings.gratuitous
    extra = tuple(chosen.get(name, name) for name in gratuitous.extra_interfaces)
    return msgspec.structs.replace(
        settings,
        virtual_interfaces=tuple(
            msgspec.structs.replace(interface, name=chosen.get(interface.name, interface.name))
            for interface in settings.virtual_interfaces
        ),
        own_interface=chosen.get(settings.own_interface, settings.own_interface),
        addresses=tuple(_moved(settings.addresses, chosen)),
        gratuitous=msgspec.structs.replace(gratuitous, extra_interfaces=extra),
    )


def _moved(addresses: Iterable[VirtualAddress], chosen: Mapping[str, str]) -> Iterable[VirtualAddress]:
    for address in addresses:
        name = chosen.get(address.interface)
        yield address if name is None else msgspec.structs.replace(address, interface=name)

"""The configurations of a fleet, host by host, and the virtual routers that they make together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

from kactl_agent.config.diagnostics import Place
from kactl_agent.config.document import Document
from kactl_agent.config.resolve import resolve
from kactl_agent.vrrp.family import Family
from kactl_agent.vrrp.settings import SyncGroupSettings, VrrpSettings

SUFFIXES = (".yaml", ".yml", ".json", ".conf")
_IN_FOLDERS = ("agent.yaml", "agent.yml", "agent.json", "keepalived.conf")


@dataclass(frozen=True)
class Host:
    """One node: its document, and what it resolves to."""

    name: str
    document: Document
    instances: tuple[VrrpSettings, ...]
    groups: tuple[SyncGroupSettings, ...]

    @classmethod
    def of(cls, name: str, document: Document) -> Host:
        settings = resolve(document).settings
        return cls(name, document, settings.vrrp, settings.sync_groups)


@dataclass(frozen=True)
class Member:
    """An instance on a host."""

    host: Host
    settings: VrrpSettings

    @property
    def text(self) -> str:
        return f"{self.settings.name} of {self.host.name}"

    def place(self, *keywords: str) -> Place:
        """Where the first of the keywords that is said stands, else the instance itself."""
        block = self.host.document.origin.find(("vrrp_instance", self.settings.name))
        for keyword in keywords:
            if block.children is not None and keyword in block.children:
                return block.children[keyword].place
        return block.place

    def at(self, *keywords: str) -> str:
        place = self.place(*keywords)
        return f"{place.file}:{place.line}"


@dataclass
class VirtualRouter:
    """Instances that are one virtual router. A name alone says nothing: VI_1 is everybody's, and family and VRID mean
    something on one segment only."""

    family: Family
    virtual_router_id: int
    members: list[Member] = field(default_factory=list)

    def is_one_with(self, other: VirtualRouter) -> bool:
        """An address in common, or a name on one segment."""
        return any(
            _share_addresses(one.settings, two.settings)
            or (one.settings.name == two.settings.name and on_one_segment(one.settings, two.settings) is True)
            for one in self.members
            for two in other.members
        )

    def is_meant_as(self, other: VirtualRouter) -> bool:
        """On one host alone there is nobody to take over: who is called like another one, and may be on its segment, is
        meant to be one with it."""
        return len({member.host.name for member in self.members}) == 1 and any(
            one.settings.name == two.settings.name
            and one.host is not two.host
            and on_one_segment(one.settings, two.settings) is not False
            for one in self.members
            for two in other.members
        )


def addresses_of(settings: VrrpSettings) -> frozenset[bytes]:
    """What is in adverts."""
    return frozenset(address.address for address in settings.addresses if address.advertised)


def own_addresses_of(settings: VrrpSettings) -> frozenset[bytes]:
    """Those that no other segment has: link-local ones say nothing."""
    return frozenset(each for each in addresses_of(settings) if not ip_address(each).is_link_local)


def _share_addresses(one: VrrpSettings, two: VrrpSettings) -> bool:
    ours, theirs = own_addresses_of(one), own_addresses_of(two)
    if ours or theirs:
        return not ours.isdisjoint(theirs)
    return one.name == two.name  # nothing else tells them apart, or together


def on_one_segment(one: VrrpSettings, two: VrrpSettings) -> bool | None:
    """Whether the networks of their addresses are the same; None where addresses are said without one."""
    ours, theirs = _networks_of(one), _networks_of(two)
    if not ours or not theirs:
        return None
    return not ours.isdisjoint(theirs)


def _networks_of(settings: VrrpSettings) -> frozenset[tuple[bytes, int]]:
    return frozenset(
        (ip_network((it.address, it.prefix_length), strict=False).network_address.packed, it.prefix_length)
        for it in settings.addresses
        if it.prefix_length < len(it.address) * 8 and not ip_address(it.address).is_link_local
    )


def virtual_routers(hosts: Iterable[Host]) -> list[VirtualRouter]:
    """In the order they are met."""
    single = [
        VirtualRouter(settings.family, settings.virtual_router_id, [Member(host, settings)])
        for host in hosts
        for settings in host.instances
    ]
    return _merged(_merged(single, VirtualRouter.is_one_with), VirtualRouter.is_meant_as)


def _merged(routers: list[VirtualRouter], same: Callable[[VirtualRouter, VirtualRouter], bool]) -> list[VirtualRouter]:
    """Of each set that belongs together, by way of others too, the first one with all the members."""
    found: list[VirtualRouter] = []
    for router in routers:
        key = (router.family, router.virtual_router_id)
        alike = [each for each in found if (each.family, each.virtual_router_id) == key]
        related = [each for each in alike if same(router, each) or same(each, router)]
        if not related:
            found.append(router)
            continue
        for each in [*related[1:], router]:
            related[0].members += each.members
        gone = {id(each) for each in related[1:]}
        found = [each for each in found if id(each) not in gone]
    return found


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """(host, file) for every HOST.yaml, HOST.conf or HOST/agent.yaml of a folder, by name. Raises OSError."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            for name in _IN_FOLDERS:
                if (entry / name).is_file():
                    yield entry.name, entry / name
                    break
        elif entry.suffix in SUFFIXES:
            yield entry.stem, entry

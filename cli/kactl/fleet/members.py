"""The configurations of a fleet, host by host, and the virtual routers that they make together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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
    """Instances that are one virtual router: the same family and VRID, and an address or a name in common."""

    family: Family
    virtual_router_id: int
    members: list[Member] = field(default_factory=list)

    def takes(self, member: Member) -> bool:
        addresses = addresses_of(member.settings)
        return any(
            each.settings.name == member.settings.name or addresses & addresses_of(each.settings)
            for each in self.members
        )


def addresses_of(settings: VrrpSettings) -> frozenset[bytes]:
    """What is in adverts."""
    return frozenset(address.address for address in settings.addresses if address.advertised)


def virtual_routers(hosts: Iterable[Host]) -> list[VirtualRouter]:
    """In the order they are met."""
    routers: list[VirtualRouter] = []
    for host in hosts:
        for settings in host.instances:
            member = Member(host, settings)
            key = (settings.family, settings.virtual_router_id)
            same = [each for each in routers if (each.family, each.virtual_router_id) == key]
            found = next((each for each in same if each.takes(member)), None)
            if found is None:
                found = VirtualRouter(*key)
                routers.append(found)
            found.members.append(member)
    return routers


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

"""nftables_ipvs: the members of a group share a firewall mark, so that IPVS needs one service for all of them.

nftables marks the packets, IPVS balances the mark. Each virtual server of a group that has addresses gets a mark of its
own, from a first one up; a reload changes no mark of a virtual server that stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from kactl_agent.ipvs.model import Service, ServiceKey
from kactl_agent.ipvs.settings import MarksSettings, Members, VirtualServerSettings

Identity = tuple[str, int, int]


class Marked(NamedTuple):
    """Packets to `members` get `mark`."""

    mark: int
    members: tuple[Members, ...]


class Marks:
    """Who has which mark."""

    def __init__(self, marks: Mapping[Identity, int] | None = None) -> None:
        self._marks = dict(marks or {})

    def assigned(self, servers: Iterable[VirtualServerSettings], settings: MarksSettings | None) -> Marks:
        """Those of these virtual servers: who has one keeps it, unless the configuration says the same mark itself."""
        if settings is None:
            return Marks()
        servers = list(servers)
        taken = {members.fwmark for server in servers for members in server.members if members.fwmark}
        wanted = [server.identity for server in servers if is_marked(server)]
        kept: dict[Identity, int] = {}
        for identity in wanted:
            mark = self._marks.get(identity)
            if mark is not None and mark not in taken:
                kept[identity] = mark
                taken.add(mark)
        mark = settings.first_mark
        for identity in wanted:
            if identity not in kept:
                while mark in taken:
                    mark += 1
                kept[identity] = mark
                taken.add(mark)
        return Marks(kept)

    def changed(self, before: Marks) -> set[Identity]:
        """Those whose services are others now, though their settings may not be."""
        return {
            identity
            for identity in before._marks.keys() | self._marks.keys()
            if before._marks.get(identity) != self._marks.get(identity)
        }

    def services(
        self, server: VirtualServerSettings, services_of: Callable[[VirtualServerSettings], Iterable[Service]]
    ) -> list[Service]:
        """The services of a virtual server: where it has a mark, one for each address family."""
        services = list(services_of(server))
        mark = self._marks.get(server.identity)
        if mark is None:
            return services
        found: dict[ServiceKey, Service] = {}
        for service in services:
            key = ServiceKey(service.key.family, fwmark=mark) if service.key.address else service.key
            found.setdefault(key, service._replace(key=key))
        return list(found.values())

    def marked(self, servers: Iterable[VirtualServerSettings]) -> Iterator[Marked]:
        """What nftables is to do."""
        for server in servers:
            mark = self._marks.get(server.identity)
            if mark is not None:
                yield Marked(mark, tuple(member for member in server.members if member.first))


def is_marked(server: VirtualServerSettings) -> bool:
    """A group with addresses that share a mark. keepalived leaves a group that has marks of its own as it is."""
    return bool(server.group) and all(member.first for member in server.members)

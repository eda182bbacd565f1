"""nftables_ipvs: the members of a group share a firewall mark, so that IPVS needs one service for all of them.

nftables marks the packets, IPVS balances the mark. Each virtual server of a group that has addresses gets a mark of its
own, from a first one up; a reload changes no mark of a virtual server that stays (`keep_marks`). Marks are a matter of
the settings alone: whoever reads them knows all marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from kactl_agent.ipvs.model import Service, ServiceKey
from kactl_agent.ipvs.settings import CheckersSettings, Members, VirtualServerSettings

Identity = tuple[str, int, int]


class Marked(NamedTuple):
    """Packets to `members` get `mark`."""

    mark: int
    members: tuple[Members, ...]


class Marks:
    """Who has which mark."""

    def __init__(self, marks: Mapping[Identity, int] | None = None) -> None:
        self._marks = dict(marks or {})

    def given(self) -> tuple[tuple[Identity, int], ...]:
        """For `CheckersSettings`."""
        return tuple(self._marks.items())

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


def marks_of(settings: CheckersSettings) -> Marks:
    """Those of its virtual servers: who has one keeps it, unless the configuration says the same mark itself."""
    if settings.marks is None:
        return Marks()
    servers = settings.virtual_servers
    before = dict(settings.given_marks)
    taken = {members.fwmark for server in servers for members in server.members if members.fwmark}
    wanted = [server.identity for server in servers if is_marked(server)]
    marks: dict[Identity, int] = {}
    for identity in wanted:
        mark = before.get(identity)
        if mark is not None and mark not in taken:
            marks[identity] = mark
            taken.add(mark)
    mark = settings.marks.first_mark
    for identity in wanted:
        if identity not in marks:
            while mark in taken:
                mark += 1
            marks[identity] = mark
            taken.add(mark)
    return Marks(marks)


def keep_marks(current: CheckersSettings, new: CheckersSettings) -> CheckersSettings:
    """The settings that a reload brings, with the marks that virtual servers have."""
    if current.marks is None or new.marks is None or current.marks.first_mark != new.marks.first_mark:
        return new
    return msgspec.structs.replace(new, given_marks=marks_of(current).given())


def is_marked(server: VirtualServerSettings) -> bool:
    """A group with addresses that share a mark. keepalived leaves a group that has marks of its own as it is."""
    return bool(server.group) and all(member.first for member in server.members)

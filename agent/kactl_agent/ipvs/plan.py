"""What is to be in IPVS against what is: the operations between them, as few as can be. Pure.

`Desired` is what virtual servers want; several of them may share a service (a firewall mark of a group that serves two
protocols), which then holds the destinations of all. Services that nobody here wants, and never wanted, are foreign:
nothing is done about them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.model import (
    AF_INET,
    MASQUERADE,
    SETTABLE_FLAGS,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
)
from kactl_agent.ipvs.settings import Members, VirtualServerSettings

Owner = Hashable
Pool = Mapping[DestinationKey, Destination]


class Operation(NamedTuple):
    """One request, and what it is about."""

    command: int  # of kactl_agent.ipvs.genl
    service: ServiceKey
    destination: DestinationKey | None
    request: bytes

    @property
    def text(self) -> str:
        """`add destination [10.0.0.1]:tcp:80 to service [192.0.2.1]:tcp:80`, for operators."""
        command = genl.COMMANDS[self.command]
        if self.destination is None:
            return f"{command} {self.service.text}"
        where = destination_text(self.service, self.destination)
        return f"{command} {where} of service {self.service.text}"


class Entry(NamedTuple):
    """A service with its destinations. The pool is never changed, so that others may have the same."""

    service: Service
    pool: Pool


def destination_text(service: ServiceKey, destination: DestinationKey) -> str:
    """`[10.0.0.1]:tcp:80`"""
    return service._replace(address=destination.address, port=destination.port).text


def expand(members: Members) -> Iterator[ServiceKey]:
    """The services that an entry stands for."""
    if not members.first:
        yield ServiceKey(members.family, fwmark=members.fwmark)
        return
    first, size = int.from_bytes(members.first, "big"), len(members.first)
    for number in range(first, first + members.count):
        yield ServiceKey(members.family, members.protocol, number.to_bytes(size, "big"), members.port)


def services_of(settings: VirtualServerSettings) -> Iterator[Service]:
    """The services of a virtual server, each once."""
    keys = dict.fromkeys(key for members in settings.members for key in expand(members))
    for key in keys:
        yield Service(
            key=key,
            scheduler=settings.scheduler,
            flags=settings.flags,
            timeout=settings.persistence_timeout,
            netmask=settings.netmask4 if key.family == AF_INET else settings.prefix_length6,
            engine=settings.persistence_engine,
        )


def within(service: ServiceKey, destination: Destination) -> Destination:
    """A destination as it is in one service: only NAT changes the port of packets, so that others have the service's
    (of a firewall mark: 0), whatever port the real server has (keepalived 2.2.7)."""
    if destination.forwarding.method == MASQUERADE or destination.key.port == service.port:
        return destination
    return destination._replace(key=DestinationKey(destination.key.address, service.port))


class _Owned:
    """What one owner wants. A pool that an entry has is not changed any more: the owner gets a copy first."""

    __slots__ = ("_lent", "keys", "pool")

    def __init__(self) -> None:
        self.keys: tuple[ServiceKey, ...] = ()
        self.pool: dict[DestinationKey, Destination] = {}
        self._lent = False

    def lend(self) -> Pool:
        self._lent = True
        return self.pool

    def change(self) -> dict[DestinationKey, Destination]:
        if self._lent:
            self.pool, self._lent = self.pool.copy(), False
        return self.pool


class _Claim(NamedTuple):
    """A service as one of its owners wants it."""

    owner: Owner
    service: Service


class Desired:
    """What virtual servers (`Owner`) want. `touched` are the services that may not be as they are to be."""

    def __init__(self) -> None:
        self._claims: dict[ServiceKey, tuple[_Claim, ...]] = {}
        self._owned: dict[Owner, _Owned] = {}
        self.touched: dict[ServiceKey, None] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._claims

    def __len__(self) -> int:
        return len(self._claims)

    @property
    def services(self) -> Iterable[ServiceKey]:
        """Everything that somebody wants."""
        return self._claims

    def owners(self, key: ServiceKey) -> list[Owner]:
        return [claim.owner for claim in self._claims.get(key, ())]

    def put_services(self, owner: Owner, services: Iterable[Service]) -> None:
        """These, and no others, are the owner's."""
        owned = self._owned.setdefault(owner, _Owned())
        after = {service.key: service for service in services}
        for key in owned.keys:
            if key not in after:
                self._drop(owner, key)
        for key, service in after.items():
            self._claim(key, _Claim(owner, service))
        owned.keys = tuple(after)

    def remove_services(self, owner: Owner) -> None:
        owned = self._owned.pop(owner, None)
        for key in () if owned is None else owned.keys:
            self._drop(owner, key)

    def put_destination(self, owner: Owner, destination: Destination) -> None:
        owned = self._owned[owner]
        owned.change()[destination.key] = destination
        self.touched.update(dict.fromkeys(owned.keys))

    def remove_destination(self, owner: Owner, key: DestinationKey) -> None:
        owned = self._owned[owner]
        owned.change().pop(key, None)
        self.touched.update(dict.fromkeys(owned.keys))

    def touch_all(self) -> None:
        self.touched.update(dict.fromkeys(self._claims))

    def entry(self, key: ServiceKey) -> Entry | None:
        """What a service is to be; None where there is to be none. The first of several owners decides."""
        claims = self._claims.get(key)
        if not claims:
            return None
        service, owned = claims[0].service, [self._owned[claim.owner] for claim in claims]
        if len(owned) == 1 and all(within(key, each) is each for each in owned[0].pool.values()):
            return Entry(service, owned[0].lend())  # as nearly always
        pool: dict[DestinationKey, Destination] = {}
        for each in chain.from_iterable(one.pool.values() for one in owned):
            destination = within(key, each)
            pool.setdefault(destination.key, destination)
        return Entry(service, pool)

    def _claim(self, key: ServiceKey, claim: _Claim) -> None:
        """Who changes what it wants keeps its place among the owners."""
        claims = self._claims.get(key, ())
        place = next((place for place, each in enumerate(claims) if each.owner == claim.owner), len(claims))
        if claims[place:] and claims[place].service == claim.service:
            return
        self._claims[key] = (*claims[:place], claim, *claims[place + 1 :])
        self.touched[key] = None

    def _drop(self, owner: Owner, key: ServiceKey) -> None:
        left = tuple(claim for claim in self._claims[key] if claim.owner != owner)
        self.touched[key] = None
        if left:
            self._claims[key] = left
        else:
            del self._claims[key]


class Encoder:
    """Makes operations; the bytes of destinations that many services share are made once."""

    def __init__(self) -> None:
        self._destinations: dict[Destination, bytes] = {}

    def difference(self, key: ServiceKey, desired: Entry | None, actual: Entry | None) -> Iterator[Operation]:
        """What makes one service what it is to be: who comes or changes before who goes."""
        if desired is None:
            if actual is not None:
                yield Operation(genl.DEL_SERVICE, key, None, genl.encode_delete_service(key))
            return
        if actual is None:
            yield Operation(genl.NEW_SERVICE, key, None, genl.encode_new_service(desired.service))
        elif not same_service(desired.service, actual.service):
            yield Operation(genl.SET_SERVICE, key, None, genl.encode_set_service(desired.service))
        before: Pool = {} if actual is None else actual.pool
        owner = genl.encode_owner(key)
        for each, destination in desired.pool.items():
            known = before.get(each)
            if known is None:
                request = genl.encode_new_destination(owner, self._encoded(destination))
                yield Operation(genl.NEW_DEST, key, each, request)
            elif known != destination:
                request = genl.encode_set_destination(owner, self._encoded(destination))
                yield Operation(genl.SET_DEST, key, each, request)
        for each in before:
            if each not in desired.pool:
                yield Operation(genl.DEL_DEST, key, each, genl.encode_delete_destination(owner, each))

    def _encoded(self, destination: Destination) -> bytes:
        found = self._destinations.get(destination)
        if found is None:
            found = self._destinations[destination] = genl.encode_destination(destination)
        return found


def same_service(one: Service, other: Service) -> bool:
    """Whether the kernel would say the same of both. It hashes every service and says so in its flags."""
    return (
        one._replace(flags=one.flags & SETTABLE_FLAGS) == other._replace(flags=other.flags & SETTABLE_FLAGS)
        if one.flags != other.flags
        else one == other
    )


def drift(desired: Entry, seen: Entry | None) -> list[str]:
    """What somebody else has made different from what is to be, a text for each."""
    key = desired.service.key
    if seen is None:
        return [f"service {key.text} is gone"]
    found = [] if same_service(desired.service, seen.service) else [f"service {key.text} was changed"]
    for each, destination in desired.pool.items():
        text = f"destination {destination_text(key, each)} of service {key.text}"
        there = seen.pool.get(each)
        if there is None:
            found.append(f"{text} is gone")
        elif there != destination:
            words = f"weight {there.weight} instead of {destination.weight}"
            found.append(f"{text} was changed{f': {words}' if there.weight != destination.weight else ''}")
    found += [
        f"destination {destination_text(key, each)} of service {key.text} was added"
        for each in seen.pool
        if each not in desired.pool
    ]
    return found


def foreign(services: Iterable[ServiceKey], desired: Desired) -> list[ServiceKey]:
    """Services in the kernel that are nobody's here."""
    return [key for key in services if key not in desired]

"""IPVS in memory: takes the same bytes, keeps the same promises, and refuses what the kernel refuses."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.genl import SeenDestination, SeenService
from kactl_agent.ipvs.model import (
    HASHED,
    TUNNEL,
    ConnectionCounts,
    Counters,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    SyncDaemon,
    Timeouts,
)
from kactl_agent.kernel.ipvs import Failure
from kactl_agent.vrrp.network_settings import NetlinkBuffer

SCHEDULERS = frozenset(("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "twos"))


class FakeIpvs:
    """`kactl_agent.kernel.ipvs.IpvsPort`. `refuse` may hold a function that gives an errno for a request."""

    def __init__(self) -> None:
        self.table: dict[ServiceKey, tuple[Service, dict[DestinationKey, Destination]]] = {}
        self.sync_daemons: dict[bool, SyncDaemon] = {}
        self.idle = Timeouts(900, 120, 300)
        self.buffer = NetlinkBuffer()
        self.requests = 0
        self.batches = 0
        self.closed = False
        self.refuse: Callable[[bytes], int] = lambda _request: 0

    def apply(self, requests: Sequence[bytes]) -> list[Failure]:
        self.batches += 1
        failures = []
        for place, request in enumerate(requests):
            self.requests += 1
            error = self.refuse(request) or self._one(request)
            if error:
                failures.append(Failure(place, error))
        return failures

    def services(self) -> list[SeenService]:
        return [
            SeenService(service._replace(flags=service.flags | HASHED), Counters())
            for service, _ in self.table.values()
        ]

    def destinations(self, key: ServiceKey) -> list[SeenDestination]:
        _service, pool = self.table.get(key, (None, {}))
        return [SeenDestination(each, ConnectionCounts(), Counters()) for each in pool.values()]

    def daemons(self) -> list[SyncDaemon]:
        return list(self.sync_daemons.values())

    def timeouts(self) -> Timeouts:
        return self.idle

    def resize_buffer(self, buffer: NetlinkBuffer) -> None:
        self.buffer = buffer

    def close(self) -> None:
        self.closed = True

    def _one(self, request: bytes) -> int:
        command = genl.command_of(request)
        if command in (genl.NEW_SERVICE, genl.SET_SERVICE, genl.DEL_SERVICE):
            return self._service(command, genl.decode_service(request).service)
        if command in (genl.NEW_DEST, genl.SET_DEST, genl.DEL_DEST):
            key = genl.decode_service(request).service.key
            return self._destination(command, key, genl.decode_destination(request, key.family).destination)
        if command in (genl.NEW_DAEMON, genl.DEL_DAEMON):
            return self._daemon(command, genl.decode_daemon(request))
        if command == genl.SET_CONFIG:
            said = genl.decode_timeouts(request)
            self.idle = Timeouts(*(new or old for new, old in zip(said, self.idle, strict=True)))
            return 0
        if command == genl.FLUSH:
            self.table.clear()
            return 0
        return errno.EOPNOTSUPP

    def _service(self, command: int, service: Service) -> int:
        there = self.table.get(service.key)
        if command == genl.NEW_SERVICE and there is not None:
            return errno.EEXIST
        if command != genl.NEW_SERVICE and there is None:
            return errno.ESRCH
        if command == genl.DEL_SERVICE:
            del self.table[service.key]
            return 0
        if service.scheduler not in SCHEDULERS:
            return errno.ENOENT
        self.table[service.key] = (service, {} if there is None else there[1])
        return 0

    def _destination(self, command: int, key: ServiceKey, destination: Destination) -> int:
        if key not in self.table:
            return errno.ESRCH
        pool = self.table[key][1]
        if command == genl.NEW_DEST and destination.key in pool:
            return errno.EEXIST
        if command != genl.NEW_DEST and destination.key not in pool:
            return errno.ENOENT
        if command == genl.DEL_DEST:
            del pool[destination.key]
            return 0
        if destination.weight < 0 or destination.lower_threshold > destination.upper_threshold > 0:
            return errno.ERANGE
        other_family = (len(destination.key.address) == 4) is not (key.family == 2)
        if other_family and destination.forwarding.method != TUNNEL:
            return errno.EINVAL
        pool[destination.key] = destination
        return 0

    def _daemon(self, command: int, daemon: SyncDaemon) -> int:
        running = self.sync_daemons.get(daemon.master)
        if command == genl.NEW_DAEMON:
            if running is not None:
                return errno.EEXIST
            self.sync_daemons[daemon.master] = daemon
            return 0
        if running is None:
            return errno.ESRCH
        del self.sync_daemons[daemon.master]
        return 0

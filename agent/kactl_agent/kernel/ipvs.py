"""IPVS of the kernel: batches of requests, and what is there. The bytes are those of `kactl_agent.ipvs.genl`.

Nothing here costs a system call for each service or destination but dumps of destinations: the kernel has one for each
service. A batch is answered by its errors, and an acknowledgement of its last request.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.genl import SeenDestination, SeenService
from kactl_agent.ipvs.model import ServiceKey, SyncDaemon, Timeouts
from kactl_agent.kernel.buffers import resize_receive_buffer, set_receive_buffer
from kactl_agent.kernel.namespaces import inside
from kactl_agent.vrrp.network_settings import NetlinkBuffer

_NETLINK_GENERIC = 16
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_REPLY_TIMEOUT = 10.0  # the kernel may have to load a scheduler's module
_RECEIVE_BUFFER = 1 << 20
_READ = 1 << 17
_LARGEST_BATCH = 128  # requests: all their errors fit the receive buffer


class Failure(NamedTuple):
    """A request that the kernel refused: its place in the batch, and the errno."""

    place: int
    error: int


class IpvsPort(Protocol):
    """IPVS of one network namespace. Methods raise OSError when the kernel cannot be asked."""

    def apply(self, requests: Sequence[bytes]) -> list[Failure]:
        """Carry out requests of `kactl_agent.ipvs.genl`, in their order, as far as each of them can be."""

    def services(self) -> list[SeenService]: ...

    def destinations(self, key: ServiceKey) -> list[SeenDestination]:
        """Of one service; none when there is no such service."""

    def daemons(self) -> list[SyncDaemon]: ...

    def timeouts(self) -> Timeouts: ...

    def resize_buffer(self, buffer: NetlinkBuffer) -> None: ...

    def close(self) -> None: ...


class NoIpvs(OSError):
    """The kernel has no IPVS, and no module of it that could be loaded."""


class NetlinkIpvs:
    """`IpvsPort` over generic netlink. Needs CAP_NET_ADMIN; CAP_SYS_ADMIN for another network namespace."""

    def __init__(self, namespace: str | None = None) -> None:
        """Raises NoIpvs, or OSError where the namespace cannot be entered (`kernel.namespaces`)."""
        with inside(namespace):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        try:
            self._socket.settimeout(_REPLY_TIMEOUT)
            self._socket.bind((0, 0))
            set_receive_buffer(self._socket, _RECEIVE_BUFFER)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
            self._sequence = 0
            self._family = self._find_family()
        except BaseException:
            self._socket.close()
            raise

    def resize_buffer(self, buffer: NetlinkBuffer) -> None:
        resize_receive_buffer(self._socket, buffer)

    def close(self) -> None:
        self._socket.close()

    def apply(self, requests: Sequence[bytes]) -> list[Failure]:
        failures: list[Failure] = []
        for start in range(0, len(requests), _LARGEST_BATCH):
            failures += self._batch(requests[start : start + _LARGEST_BATCH], start)
        return failures

    def _batch(self, requests: Sequence[bytes], start: int) -> Iterator[Failure]:
        first = self._sequence + 1
        self._sequence += len(requests)
        family, last = self._family, len(requests) - 1
        self._socket.send(
            b"".join(
                [
                    genl.message(family, request, first + place, genl.NLM_F_ACK if place == last else 0)
                    for place, request in enumerate(requests)
                ]
            )
        )
        for reply in self._replies(self._sequence):
            error = genl.error_of(reply.body)
            if error and reply.sequence >= first:
                yield Failure(start + reply.sequence - first, error)

    def _replies(self, last: int) -> Iterator[genl.Reply]:
        """NLMSG_ERROR messages up to the one that answers the request with this number."""
        while True:
            for reply in genl.replies(self._socket.recv(_READ)):
                if reply.type == genl.NLMSG_ERROR:
                    yield reply
                    if reply.sequence == last:
                        return

    def services(self) -> list[SeenService]:
        return [genl.decode_service(body) for body in self._dump(genl.encode_get_services())]

    def destinations(self, key: ServiceKey) -> list[SeenDestination]:
        try:
            return [genl.decode_destination(body, key.family) for body in self._dump(genl.encode_get_destinations(key))]
        except OSError as error:
            if error.errno in (errno.ESRCH, errno.ENOENT):
                return []
            raise

    def daemons(self) -> list[SyncDaemon]:
        return [genl.decode_daemon(body) for body in self._dump(genl.encode_get_daemons())]

    def timeouts(self) -> Timeouts:
        return genl.decode_timeouts(self._ask(self._family, genl.encode_get_timeouts()))

    def info(self) -> genl.Info:
        return genl.decode_info(self._ask(self._family, genl.encode_get_info()))

    def _find_family(self) -> int:
        try:
            return genl.decode_family(self._ask(genl.CONTROLLER, genl.encode_get_family()))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                raise NoIpvs(error.errno, "the kernel has no IPVS (module ip_vs)") from error
            raise

    def _ask(self, family: int, request: bytes) -> bytes:
        """One request that is answered by one message."""
        return next(self._exchange(family, request, 0), b"")

    def _dump(self, request: bytes) -> Iterable[bytes]:
        return self._exchange(self._family, request, genl.NLM_F_DUMP)

    def _exchange(self, family: int, request: bytes, flags: int) -> Iterator[bytes]:
        self._sequence += 1
        sequence = self._sequence
        self._socket.send(genl.message(family, request, sequence, flags))
        while True:
            for reply in genl.replies(self._socket.recv(_READ)):
                if reply.sequence != sequence:
                    continue
                if reply.type == genl.NLMSG_DONE:
                    return
                if reply.type == genl.NLMSG_ERROR:
                    error = genl.error_of(reply.body)
                    if error:
                        raise OSError(error, os.strerror(error))
                    return
                yield reply.body
                if not flags:
                    return

"""UDP sockets for BFD (RFC 5881 4, 5; RFC 5883 5; ip(7), ipv6(7), udp(7)).

One receiving socket for each local address, port and interface serves all their sessions. Each session sends from a
socket of its own, connected to the neighbour, so that its source port is its own (49152 and above).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Protocol

import msgspec

from kactl_agent.bfd.actions import PacketMeta
from kactl_agent.bfd.settings import Mode, SessionSettings
from kactl_agent.kernel.bfd_echo import PORT, EchoReceiver, EchoSender
from kactl_agent.kernel.buffers import set_receive_buffer

FIRST_SOURCE_PORT, LAST_SOURCE_PORT = 49152, 65535  # RFC 5881 4
_TRAFFIC_CLASS = 0xC0  # internetwork control
_RECEIVE_BUFFER = 1 << 20
_LARGEST_PACKET = 1 << 16
_ANCILLARY = socket.CMSG_SPACE(4) + socket.CMSG_SPACE(20)
_PORT_ATTEMPTS = 64
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 10, 3
_IPV6_MTU_DISCOVER, _IPV6_DONTFRAG = 23, 62
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
_IP_PKTINFO, _IP_RECVTTL = 8, 12
_PENDING = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPROTO)
"""What an ICMP message about an earlier packet leaves behind: the next call reports it in place of sending."""


class Place(msgspec.Struct, frozen=True):
    """Where packets of sessions come in: their receiving socket."""

    source: bytes  # b"": any address of the family
    ipv6: bool
    port: int
    interface: str  # "" is any


def place_of(settings: SessionSettings) -> Place:
    return Place(settings.source, len(settings.neighbor) == 16, settings.mode.port, settings.interface)


class Receiver(Protocol):
    """A receiving socket."""

    interface_index: int  # 0 when it is bound to none

    def fileno(self) -> int: ...

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        """The next datagram; None when none is waiting."""

    def close(self) -> None: ...


class Sender(Protocol):
    """A session's way to its neighbour."""

    source: bytes
    source_port: int
    interface_index: int

    def send(self, data: bytes) -> None:
        """Raises OSError."""

    def configure(self, settings: SessionSettings) -> None:
        """Another TTL, or padding. Raises OSError."""

    def close(self) -> None: ...


class BfdPorts(Protocol):
    """What a machine offers to sessions."""

    def open_receiver(self, place: Place, others: Iterable[Receiver]) -> Receiver:
        """`others` are the open ones. Raises OSError."""

    def open_sender(self, settings: SessionSettings, source_port: int) -> Sender:
        """From this source port, or one that is free where it is 0. Raises OSError."""

    def interface_index(self, name: str) -> int:
        """0 when there is no such interface."""


class UdpReceiver:
    def __init__(self, place: Place, index: int, others: Iterable[Receiver]) -> None:
        self.place = place
        self.interface_index = index
        family = socket.AF_INET6 if place.ipv6 else socket.AF_INET
        self._ipv6 = place.ipv6
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._configure()
            self._bind([other for other in others if isinstance(other, UdpReceiver)])
        except OSError:
            self._socket.close()
            raise
        self._recvmsg = self._socket.recvmsg

    def _configure(self) -> None:
        sock = self._socket
        _bind_to_device(sock, self.place.interface)
        set_receive_buffer(sock, _RECEIVE_BUFFER)
        if self._ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def _bind(self, others: list[UdpReceiver]) -> None:
        """Beside those of ours on the same port, and of nobody else: who shares a port takes packets away."""
        beside = [other._socket for other in others if other.place.port == self.place.port]
        for sock in (self._socket, *beside):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(bool(beside)))
        try:
            self._socket.bind(_address(self.place.source, self.place.port, self._ipv6, self.interface_index))
        finally:
            for sock in (self._socket, *beside):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        try:
            data, control, _flags, sender = self._recvmsg(_LARGEST_PACKET, _ANCILLARY)
        except BlockingIOError:
            return None
        ttl, destination = 0, b""
        for _level, kind, value in control:
            if len(value) == 4:  # IP_TTL, IPV6_HOPLIMIT
                ttl = int.from_bytes(value, sys.byteorder)
            elif self._ipv6 and kind == socket.IPV6_PKTINFO:
                destination = value[:16]
            elif kind == _IP_PKTINFO:
                destination = value[8:12]
        if self._ipv6:
            source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
        else:
            source = socket.inet_aton(sender[0])
        return data, PacketMeta(source, self.place.port, ttl, destination, self.place.interface)


class UdpSender:
    def __init__(self, settings: SessionSettings, source_port: int, index: int) -> None:
        self._ipv6 = len(settings.neighbor) == 16
        self.interface_index = index
        family = socket.AF_INET6 if self._ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            _bind_to_device(self._socket, settings.interface)
            self.configure(settings)
            self._bind(settings, source_port)
            self._socket.connect(_address(settings.neighbor, settings.mode.port, self._ipv6, index))
        except OSError:
            self._socket.close()
            raise
        own = self._socket.getsockname()
        self.source_port: int = own[1]
        self.source = socket.inet_pton(family, own[0].partition("%")[0])
        self._send = self._socket.send

    def configure(self, settings: SessionSettings) -> None:
        sock = self._socket
        with contextlib.suppress(OSError):  # it is no more than a wish
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
        if self._ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, settings.ttl)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _TRAFFIC_CLASS)
            if settings.padded_pdu_size:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, settings.ttl)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TRAFFIC_CLASS)
            if settings.padded_pdu_size:  # DF, whatever the path is believed to take (RFC 9764 3)
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)

    def _bind(self, settings: SessionSettings, source_port: int) -> None:
        for _ in range(_PORT_ATTEMPTS):
            port = source_port or _any_source_port()
            try:
                self._socket.bind(_address(settings.source, port, self._ipv6, self.interface_index))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or source_port:
                    raise
        raise OSError(errno.EADDRINUSE, "no source port is free")

    def send(self, data: bytes) -> None:
        try:
            self._send(data)
        except OSError as error:
            if error.errno not in _PENDING:
                raise
            self._send(data)  # that was about an earlier packet

    def close(self) -> None:
        self._socket.close()


class UdpPorts:
    """`BfdPorts` on Linux."""

    def open_receiver(self, place: Place, others: Iterable[Receiver]) -> Receiver:
        if place.port == PORT:
            return EchoReceiver(place.source, place.interface, self._index(place.interface))
        return UdpReceiver(place, self._index(place.interface), others)

    def open_sender(self, settings: SessionSettings, source_port: int) -> Sender:
        if settings.mode is Mode.UNAFFILIATED_ECHO:
            return EchoSender(settings, source_port or _any_source_port(), self._index(settings.interface))
        return UdpSender(settings, source_port, self._index(settings.interface))

    def interface_index(self, name: str) -> int:
        try:
            return socket.if_nametoindex(name)
        except OSError:
            return 0

    def _index(self, name: str) -> int:
        if not name:
            return 0
        index = self.interface_index(name)
        if not index:
            raise OSError(errno.ENODEV, f"there is no interface {name}")
        return index


def _bind_to_device(sock: socket.socket, name: str) -> None:
    if name:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")


def _address(address: bytes, port: int, ipv6: bool, index: int) -> tuple[str | int, ...]:
    """A socket address; b"" is any. The zone of a link-local one is the interface."""
    if not ipv6:
        return socket.inet_ntoa(address or bytes(4)), port
    link_local = address[:1] == b"\xfe" and address[1] & 0xC0 == 0x80
    return socket.inet_ntop(socket.AF_INET6, address or bytes(16)), port, 0, index if link_local else 0


def _any_source_port() -> int:
    (number,) = struct.unpack("=I", os.urandom(4))
    return FIRST_SOURCE_PORT + int(number) % (LAST_SOURCE_PORT - FIRST_SOURCE_PORT + 1)

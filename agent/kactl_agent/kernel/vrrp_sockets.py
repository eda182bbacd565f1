"""Raw sockets for VRRP, one for each interface, family and protocol (RFC 9568 5.1, ip(7), ipv6(7), raw(7)).

IPv4 headers are built here: the source address is the instance's, whatever the routing table would choose. Over IPv6
the kernel builds the header and computes and verifies the checksum. Each socket is bound to its interface and hears
only groups it joined itself, so that several agents can work side by side on one machine.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Collection

from kactl_agent.kernel.buffers import set_receive_buffer
from kactl_agent.kernel.ports import Link, VrrpSocket
from kactl_agent.vrrp.actions import PacketMeta
from kactl_agent.vrrp.settings import Family

IPPROTO_VRRP = 112
_TRAFFIC_CLASS = 0xC0  # internetwork control, as RFC 791 precedence
_IP_FREEBIND = 15
_IP_MULTICAST_ALL = 49
_IPV6_FREEBIND = 78
_IPV6_MULTICAST_ALL = 29
_IPV6_CHECKSUM = 7
_CHECKSUM_OFFSET = 6
_RECEIVE_BUFFER = 1 << 20
_LARGEST_PACKET = 1 << 14  # a jumbo frame, and then some
_IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")
_PACKET_INFO = struct.Struct("=16si")


def _raw_socket(family: int, link: Link | None, protocol: int, receive_buffer: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    try:
        if link is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")
        set_receive_buffer(sock, receive_buffer or _RECEIVE_BUFFER)
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_PRIORITY, 6
        )  # above that needs CAP_NET_ADMIN of the first user namespace
    except OSError:
        sock.close()
        raise
    return sock


class _Ipv4Socket:
    def __init__(self, link: Link | None, groups: Collection[bytes], protocol: int, receive_buffer: int) -> None:
        self._interface, self._index = (link.name, link.index) if link is not None else ("", 0)
        self._protocol = protocol
        self._socket = _raw_socket(socket.AF_INET, link, protocol, receive_buffer)
        try:
            self._configure(groups)
        except OSError:
            self._socket.close()
            raise

    def _configure(self, groups: Collection[bytes]) -> None:
        sock, anywhere = self._socket, b"\0" * 4
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)  # the source address may come later, or never
        sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, anywhere + anywhere + _int(self._index))
        for group in groups:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + anywhere + _int(self._index))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, payload: bytes, source: bytes, destination: bytes, ttl: int, identification: int = 0) -> None:
        # the kernel fills in the checksum, and the identification where it is 0;
        # "don't fragment" stays unset, as keepalived leaves it
        header = _IPV4_HEADER.pack(
            0x45, _TRAFFIC_CLASS, 20 + len(payload), identification, 0, ttl, self._protocol, 0, source, destination
        )
        self._socket.sendto(header + payload, (socket.inet_ntoa(destination), 0))

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        while True:
            try:
                data = self._socket.recv(_LARGEST_PACKET)
            except BlockingIOError:
                return None
            if len(data) < 20:
                continue
            header_size = (data[0] & 0x0F) * 4
            total = int.from_bytes(data[2:4], "big")
            meta = PacketMeta(
                source=data[12:16],
                destination=data[16:20],
                ttl=data[8],
                interface=self._interface,
                protocol=self._protocol,
                header=b"" if self._protocol == IPPROTO_VRRP else data[:header_size],  # an AH covers it
            )
            return data[header_size:total], meta


class _Ipv6Socket:
    def __init__(self, link: Link | None, groups: Collection[bytes], receive_buffer: int) -> None:
        self._interface, self._index = (link.name, link.index) if link is not None else ("", 0)
        self._socket = _raw_socket(socket.AF_INET6, link, IPPROTO_VRRP, receive_buffer)
        try:
            self._configure(groups)
        except OSError:
            self._socket.close()
            raise

    def _configure(self, groups: Collection[bytes]) -> None:
        sock, level = self._socket, socket.IPPROTO_IPV6
        sock.setsockopt(level, _IPV6_CHECKSUM, _CHECKSUM_OFFSET)
        sock.setsockopt(level, _IPV6_FREEBIND, 1)  # the source address may come later, or never
        sock.setsockopt(level, _IPV6_MULTICAST_ALL, 0)
        sock.setsockopt(level, socket.IPV6_MULTICAST_LOOP, 0)
        sock.setsockopt(level, socket.IPV6_MULTICAST_IF, self._index)
        sock.setsockopt(level, socket.IPV6_TCLASS, _TRAFFIC_CLASS)
        sock.setsockopt(level, socket.IPV6_RECVHOPLIMIT, 1)
        sock.setsockopt(level, socket.IPV6_RECVPKTINFO, 1)
        for group in groups:
            sock.setsockopt(level, socket.IPV6_JOIN_GROUP, group + _int(self._index))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, payload: bytes, source: bytes, destination: bytes, ttl: int, identification: int = 0) -> None:
        del identification  # IPv6 has none
        control = [
            (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PACKET_INFO.pack(source, self._index)),
            (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, _int(ttl)),
        ]
        address = (socket.inet_ntop(socket.AF_INET6, destination), 0, 0, self._index)
        self._socket.sendmsg([payload], control, 0, address)

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        try:
            data, control, _flags, sender = self._socket.recvmsg(_LARGEST_PACKET, 128)
        except BlockingIOError:
            return None
        ttl, destination = 0, b"\0" * 16
        for level, kind, value in control:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_HOPLIMIT:
                ttl = int.from_bytes(value[:4], sys.byteorder)
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                destination = value[:16]
        source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
        return data, PacketMeta(
            source=source, destination=destination, ttl=ttl, interface=self._interface, checksum_verified=True
        )


def _int(value: int) -> bytes:
    return struct.pack("=i", value)


class RawVrrpSockets:
    """`kactl_agent.kernel.ports.VrrpSockets` on Linux."""

    def open(
        self, link: Link | None, family: Family, groups: Collection[bytes], protocol: int, receive_buffer: int = 0
    ) -> VrrpSocket:
        if family is Family.IPV4:
            return _Ipv4Socket(link, groups, protocol, receive_buffer)
        return _Ipv6Socket(link, groups, receive_buffer)

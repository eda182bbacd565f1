"""Packets that a neighbour forwards back (RFC 9747), over AF_PACKET (packet(7)).

They are addressed to this machine itself: the kernel would deliver them here at once, and would take them for forged
when they come back. So they are put on the link with the neighbour's link-layer address, and taken off it before the
kernel looks at them.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import time
from collections.abc import Sequence

from kactl_agent.bfd.actions import PacketMeta
from kactl_agent.bfd.settings import Mode, SessionSettings
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.route_filter import attach

PORT = Mode.UNAFFILIATED_ECHO.port
_ETH_P = {4: 0x0800, 16: 0x86DD}  # by the length of an address
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_LARGEST_PACKET = 1 << 16
_TTL = 255
_UDP = 17
_DONT_FRAGMENT = 0x4000
_TRAFFIC_CLASS = 0xC0
_DISCARD_PORT = 9  # where a datagram goes that is to make the kernel look for the neighbour

_RTM_NEWNEIGH, _RTM_GETNEIGH = 28, 30
_NDA_DST, _NDA_LLADDR = 1, 2
_NDMSG = struct.Struct("=BxxxiHBB")
_NUD_REACHABLE = 0x02
_NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80  # reachable, stale, delay, probe, noarp, permanent
_LOOK_AGAIN = 1.0  # seconds

_BPF = struct.Struct("=HBBI")
_LD_H_ABS, _LD_B_ABS, _LD_H_IND, _LDX_MSH = 0x28, 0x30, 0x48, 0xB1
_JEQ, _JSET, _RET = 0x15, 0x45, 0x06


def _filter(length: int) -> bytes:
    """UDP to the port, unfragmented, of a network header that comes first."""
    lines: Sequence[tuple[int, int, int, int]]
    if length == 4:
        lines = (
            (_LD_B_ABS, 0, 0, 9),
            (_JEQ, 0, 6, _UDP),
            (_LD_H_ABS, 0, 0, 6),
            (_JSET, 4, 0, 0x3FFF),
            (_LDX_MSH, 0, 0, 0),
            (_LD_H_IND, 0, 0, 2),
            (_JEQ, 0, 1, PORT),
            (_RET, 0, 0, 0xFFFFFFFF),
            (_RET, 0, 0, 0),
        )
    else:
        lines = (
            (_LD_B_ABS, 0, 0, 6),
            (_JEQ, 0, 3, _UDP),
            (_LD_H_ABS, 0, 0, 42),
            (_JEQ, 0, 1, PORT),
            (_RET, 0, 0, 0xFFFFFFFF),
            (_RET, 0, 0, 0),
        )
    return b"".join(_BPF.pack(*line) for line in lines)


def udp_checksum(source: bytes, destination: bytes, datagram: bytes) -> int:
    """RFC 768, RFC 8200 8.1; 0 for one that carries the right one already."""
    padded = datagram + b"\0" * (len(datagram) % 2)
    total = sum(int.from_bytes(part, "big") for part in (source, destination, padded)) + _UDP + len(datagram)
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def encode_datagram(address: bytes, source_port: int, data: bytes) -> bytes:
    """An IP packet from `address` to itself."""
    length = 8 + len(data)
    header = struct.pack("!HHHH", source_port, PORT, length, 0)
    checksum = udp_checksum(address, address, header + data) or 0xFFFF
    datagram = header[:6] + checksum.to_bytes(2, "big") + data
    if len(address) == 16:
        return struct.pack("!IHBB", 0x6 << 28 | _TRAFFIC_CLASS << 20, length, _UDP, _TTL) + address * 2 + datagram
    fields = (0x45, _TRAFFIC_CLASS, 20 + length, 0, _DONT_FRAGMENT, _TTL, _UDP)
    words = struct.pack("!BBHHHBB", *fields) + b"\0\0" + address * 2
    total = sum(struct.unpack("!10H", words))
    header_checksum = 0xFFFF - (total % 0xFFFF or 0xFFFF)
    return words[:10] + header_checksum.to_bytes(2, "big") + words[12:] + datagram


def decode_datagram(packet: bytes, interface: str) -> tuple[bytes, PacketMeta] | None:
    """What an IP packet carries; None for one that is cut short or damaged."""
    ipv6 = len(packet) > 0 and packet[0] >> 4 == 6
    size = 40 if ipv6 else (packet[0] & 0x0F) * 4 if packet else 20
    if len(packet) < size + 8 or size < 20:
        return None
    source, destination = (packet[8:24], packet[24:40]) if ipv6 else (packet[12:16], packet[16:20])
    port, length, checksum = struct.unpack_from("!HHH", packet, size + 2)
    datagram = packet[size : size + length]
    if length < 8 or len(datagram) < length or (checksum and udp_checksum(source, destination, datagram)):
        return None
    return datagram[8:], PacketMeta(source, port, packet[7] if ipv6 else packet[8], destination, interface)


class NeighborTable:
    """Link-layer addresses of neighbours, as the kernel knows them (RTM_GETNEIGH)."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.settimeout(0.2)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def find(self, address: bytes, index: int) -> tuple[bytes, bool]:
        """The link-layer address, b"" when it is not known, and whether the kernel is sure of it."""
        self._sequence += 1
        family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
        body = _NDMSG.pack(family, index, 0, 0, 0) + nl.encode_attribute(_NDA_DST, address)
        self._socket.send(nl.encode_message(_RTM_GETNEIGH, nl.NLM_F_REQUEST, self._sequence, body))
        while True:
            for message in nl.messages(self._socket.recv(1 << 14)):
                if message.sequence != self._sequence:
                    continue
                if message.type != _RTM_NEWNEIGH:
                    return b"", False
                state = _NDMSG.unpack_from(message.body)[2]
                found = nl.attributes(message.body, _NDMSG.size).get(_NDA_LLADDR, b"")
                return (found, state == _NUD_REACHABLE) if state & _NUD_VALID else (b"", False)


class EchoReceiver:
    """`kactl_agent.kernel.bfd_sockets.Receiver`"""

    def __init__(self, source: bytes, interface: str, index: int) -> None:
        self.interface_index = index
        self._interface = interface
        self._source = source
        protocol = _ETH_P[len(source)]
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_PACKET, kind, 0)
        try:
            attach(self._socket, _filter(len(source)))
            with contextlib.suppress(OSError):  # Linux 4.20; their TTL tells them apart in any case
                self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            self._socket.bind((interface, protocol))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        while True:
            try:
                packet = self._socket.recv(_LARGEST_PACKET)
            except BlockingIOError:
                return None
            received = decode_datagram(packet, self._interface)
            if received is not None and received[1].destination == self._source:
                return received


class EchoSender:
    """`kactl_agent.kernel.bfd_sockets.Sender`"""

    def __init__(self, settings: SessionSettings, source_port: int, index: int) -> None:
        self.source = settings.source
        self.source_port = source_port
        self.interface_index = index
        self._settings = settings
        self._protocol = _ETH_P[len(settings.source)]
        self._neighbor = b""
        self._looked = 0.0
        self._data = self._packet = b""
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        family = socket.AF_INET6 if len(settings.source) == 16 else socket.AF_INET
        with contextlib.ExitStack() as stack:
            self._socket = stack.enter_context(socket.socket(socket.AF_PACKET, kind, 0))
            self._socket.bind((settings.interface, 0))
            self._knocker = stack.enter_context(socket.socket(family, kind))
            name = settings.interface.encode() + b"\0"
            self._knocker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            self._table = stack.enter_context(contextlib.closing(NeighborTable()))
            self._open = stack.pop_all()
        self._look()

    def configure(self, settings: SessionSettings) -> None:
        """Padding is the session's business."""

    def close(self) -> None:
        self._open.close()

    def send(self, data: bytes) -> None:
        if time.monotonic() - self._looked >= _LOOK_AGAIN:
            self._look()
        if not self._neighbor:
            raise BlockingIOError(errno.EAGAIN, "the neighbour's link-layer address is not known yet")
        if data != self._data:
            self._data, self._packet = data, encode_datagram(self.source, self.source_port, data)
        self._socket.sendto(self._packet, (self._settings.interface, self._protocol, 0, 0, self._neighbor))

    def _look(self) -> None:
        """What the kernel is not sure of it is made to find out: that nobody but us sends there, it cannot know."""
        self._looked = time.monotonic()
        self._neighbor, sure = self._table.find(self._settings.neighbor, self.interface_index)
        if not sure:
            family = socket.AF_INET6 if len(self._settings.neighbor) == 16 else socket.AF_INET
            host = socket.inet_ntop(family, self._settings.neighbor)
            zone = (0, self.interface_index) if family == socket.AF_INET6 else ()
            with contextlib.suppress(OSError):
                self._knocker.sendto(b"", (host, _DISCARD_PORT, *zone))

"""From a captured frame to what stands behind its IP header."""

from __future__ import annotations

import struct
from typing import NamedTuple

from kactl.capture.files import ETHERNET, LINUX_COOKED, LINUX_COOKED_2, NULL, RAW, Frame

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS = (0x8100, 0x88A8)
_EXTENSIONS = (0, 43, 60)  # hop-by-hop, routing, destination options
UDP = 17


class Packet(NamedTuple):
    """An IP packet. `payload` is what stands behind its header, or behind that of UDP."""

    at: int
    source: bytes
    destination: bytes
    ttl: int
    protocol: int
    payload: bytes
    header: bytes  # of IP, options included
    source_port: int = 0
    port: int = 0


def packet_of(frame: Frame) -> Packet | None:
    """None for what is no unfragmented IP packet, or not all of one."""
    data = _network_layer(frame)
    if data is None or not data:
        return None
    found = _ipv4(frame.at, data) if data[0] >> 4 == 4 else _ipv6(frame.at, data) if data[0] >> 4 == 6 else None
    if found is None or found.protocol != UDP:
        return found
    if len(found.payload) < 8:
        return None
    source_port, port, length, _checksum = struct.unpack_from("!HHHH", found.payload)
    if not 8 <= length <= len(found.payload):
        return None
    return found._replace(payload=found.payload[8:length], source_port=source_port, port=port)


def _network_layer(frame: Frame) -> bytes | None:
    data = frame.data
    if frame.link == RAW:
        return data
    if frame.link == NULL:
        return data[4:]
    place, kind_at = {ETHERNET: (14, 12), LINUX_COOKED: (16, 14), LINUX_COOKED_2: (20, 0)}.get(frame.link, (0, -1))
    if kind_at < 0 or len(data) < place:
        return None
    kind = int.from_bytes(data[kind_at : kind_at + 2], "big")
    while kind in _VLANS and len(data) >= place + 4:
        kind = int.from_bytes(data[place + 2 : place + 4], "big")
        place += 4
    return data[place:] if kind in (_IPV4, _IPV6) else None


def _ipv4(at: int, data: bytes) -> Packet | None:
    size = (data[0] & 0xF) * 4
    total = int.from_bytes(data[2:4], "big")
    if len(data) < 20 or not 20 <= size <= total or total > len(data) or int.from_bytes(data[6:8], "big") & 0x3FFF:
        return None
    return Packet(at, data[12:16], data[16:20], data[8], data[9], data[size:total], data[:size])


def _ipv6(at: int, data: bytes) -> Packet | None:
    if len(data) < 40:
        return None
    end = 40 + int.from_bytes(data[4:6], "big")
    if end > len(data):
        return None
    protocol, place = data[6], 40
    while protocol in _EXTENSIONS:
        if place + 8 > end:
            return None
        protocol, place = data[place], place + (data[place + 1] + 1) * 8
    return Packet(at, data[8:24], data[24:40], data[7], protocol, data[place:end], data[:40])

"""Synchronisation messages of IPVS (ip_vs_sync.c of Linux): connections that one director tells another."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import NamedTuple

PORT = 8848
_VERSION_1 = struct.Struct("!BBHBBH")  # reserved, syncid, size, connections, version, spare
_VERSION_0 = struct.Struct("!BBH")  # connections, syncid, size
_CONNECTION_0 = struct.Struct("!BBHHH4s4s4sHH")
_CONNECTION_1 = struct.Struct("!BBHIHHHHII")
_LENGTH = 0x0FFF  # of ver_size
_IPV6 = 0x01  # of type
_SEQUENCES = 0x0600  # flags: sequence numbers follow a connection of version 0
_SEQUENCES_LENGTH = 24


class SyncFault(ValueError):
    """The kernel would drop the message, or the rest of it."""


class Connection(NamedTuple):
    protocol: int
    client: str
    virtual: str
    destination: str
    flags: int
    state: int
    timeout: int  # seconds; 0 in version 0, which does not say
    fwmark: int


class Message(NamedTuple):
    version: int
    sync_id: int
    connections: tuple[Connection, ...]


def decode(data: bytes) -> Message:
    """Raises SyncFault, and nothing else, whatever the bytes are."""
    if len(data) < _VERSION_1.size and len(data) < _VERSION_0.size:
        raise SyncFault("the message is cut short")
    if len(data) >= _VERSION_1.size:
        reserved, sync_id, size, count, version, spare = _VERSION_1.unpack_from(data)
        if reserved == 0 and version == 1 and spare == 0:
            _check_size(size, data)
            return Message(1, sync_id, tuple(_connections_1(data, count)))
    count, sync_id, size = _VERSION_0.unpack_from(data)
    _check_size(size, data)
    return Message(0, sync_id, tuple(_connections_0(data, count)))


def _check_size(size: int, data: bytes) -> None:
    if size != len(data):
        raise SyncFault(f"it says it has {size} bytes and has {len(data)}")


def _connections_1(data: bytes, count: int) -> list[Connection]:
    found, offset = [], _VERSION_1.size
    for number in range(1, count + 1):
        if len(data) < offset + 4:
            raise SyncFault(f"connection {number} of {count} is cut short")
        kind, length = data[offset], int.from_bytes(data[offset + 2 : offset + 4], "big") & _LENGTH
        width = 16 if kind & _IPV6 else 4
        if length < _CONNECTION_1.size + 3 * width or len(data) < offset + length:
            raise SyncFault(f"connection {number} of {count} has an impossible length of {length}")
        fields = _CONNECTION_1.unpack_from(data, offset)
        _kind, protocol, _size, flags, state, cport, vport, dport, fwmark, timeout = fields
        start = offset + _CONNECTION_1.size
        addresses = [data[start + at * width : start + (at + 1) * width] for at in range(3)]
        client, virtual, real = (_end(at, port) for at, port in zip(addresses, (cport, vport, dport), strict=True))
        found.append(Connection(protocol, client, virtual, real, flags, state, timeout, fwmark))
        offset += (length + 3) // 4 * 4
    return found


def _connections_0(data: bytes, count: int) -> list[Connection]:
    found, offset = [], _VERSION_0.size
    for number in range(1, count + 1):
        if len(data) < offset + _CONNECTION_0.size:
            raise SyncFault(f"connection {number} of {count} is cut short")
        _, protocol, cport, vport, dport, client, virtual, real, flags, state = _CONNECTION_0.unpack_from(data, offset)
        ends = (_end(client, cport), _end(virtual, vport), _end(real, dport))
        found.append(Connection(protocol, *ends, flags, state, 0, 0))
        offset += _CONNECTION_0.size + (_SEQUENCES_LENGTH if flags & _SEQUENCES else 0)
    return found


def _end(address: bytes, port: int) -> str:
    text = str(ip_address(address))
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"

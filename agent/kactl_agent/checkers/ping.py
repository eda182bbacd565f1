"""PING_CHECK: an ICMP echo request is answered in time (RFC 792, RFC 4443 section 4)."""

from __future__ import annotations

import struct

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.exchange import DatagramExchange, Transport

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}
_SIZE = 56  # bytes behind the header, as ping(8)


def checksum(data: bytes) -> int:
    """RFC 1071. An ICMPv6 checksum covers more; the kernel computes that."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class PingExchange(DatagramExchange):
    """One echo request. `token` is in its data, so that the reply to another one is not taken for its own; the kernel
    may replace the identifier."""

    transport = Transport.ECHO

    def __init__(self, family: int, identifier: int, sequence: int, token: bytes) -> None:
        self._family = family
        self._sequence = sequence
        self._identifier = identifier
        self._data = token[:_SIZE].ljust(_SIZE, b"\0")

    def connected(self) -> bytes:
        kind = _REQUEST[self._family]
        bare = _HEADER.pack(kind, 0, 0, self._identifier, self._sequence) + self._data
        value = checksum(bare) if self._family == 4 else 0
        return _HEADER.pack(kind, 0, value, self._identifier, self._sequence) + self._data

    def receive(self, data: bytes) -> bytes | CheckEnded:
        """An ICMP message; a raw IPv4 socket hands the IP header over with it."""
        if self._family == 4 and data[:1] and data[0] >> 4 == 4:
            data = data[(data[0] & 0xF) * 4 :]
        if len(data) < _HEADER.size:
            return b""
        kind, code, _checksum, _identifier, sequence = _HEADER.unpack_from(data)
        if (kind, code, sequence) != (_REPLY[self._family], 0, self._sequence) or data[_HEADER.size :] != self._data:
            return b""
        return CheckEnded(True, "echo reply")

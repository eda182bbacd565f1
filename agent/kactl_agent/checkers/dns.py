"""DNS_CHECK: a query over UDP is answered with response code 0 (RFC 1035 section 4)."""

from __future__ import annotations

import struct

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.exchange import DatagramExchange

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "RRSIG": 46, "DNSKEY": 48}
"""RFC 1035 3.2.2, RFC 3596, RFC 4034."""

_IN = 1
_RECURSION_DESIRED = 0x0100
_RESPONSE = 0x8000
_HEADER = struct.Struct("!6H")
_CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


def encode_query(identifier: int, name: str, record_type: str) -> bytes:
    """A query for one name, recursion desired (RFC 1035 4.1.1, 4.1.2). `.` is the root."""
    labels = [label.encode() for label in name.split(".") if label]
    question = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    header = _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + question + struct.pack("!2H", TYPES[record_type], _IN)


class DnsExchange(DatagramExchange):
    """One query. Datagrams that are no response to it count for nothing."""

    def __init__(self, identifier: int, name: str, record_type: str) -> None:
        self._identifier = identifier
        self._what = f"{record_type} {name}"
        self._query = encode_query(identifier, name, record_type)
        self._ignored = 0

    def connected(self) -> bytes:
        return self._query

    def receive(self, data: bytes) -> bytes | CheckEnded:
        if len(data) < _HEADER.size:
            self._ignored += 1
            return b""
        identifier, flags, _questions, answers, *_ = _HEADER.unpack_from(data)
        if identifier != self._identifier or not flags & _RESPONSE:
            self._ignored += 1
            return b""
        code = flags & 0xF
        if code:
            return CheckEnded(False, f"{self._what}: response code {code} ({_CODES.get(code, 'unknown')})")
        return CheckEnded(True, f"{self._what}: {answers} answer{'' if answers == 1 else 's'}")

    def timed_out(self, connected: bool) -> CheckEnded:
        del connected
        but = f", but {self._ignored} datagrams that are no response to the query" if self._ignored else ""
        return CheckEnded(False, f"{self._what}: no answer in time{but}")

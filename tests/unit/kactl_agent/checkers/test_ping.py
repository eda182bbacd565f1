"""PING_CHECK: requests as scapy reads them, and what counts as the reply."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.ping import PingExchange, checksum


def test_scapy_reads_the_request() -> None:
    from scapy.layers.inet import ICMP

    request = PingExchange(4, 77, 5, b"token").connected()
    read = ICMP(request)
    assert (read.type, read.code, read.id, read.seq) == (8, 0, 77, 5)
    again = ICMP(request)
    del again.chksum
    assert bytes(again) == request  # with the checksum that scapy computes
    assert PingExchange(6, 77, 5, b"token").connected()[:8] == bytes.fromhex("80000000004d0005")


def reply_to(request: bytes, family: int, identifier: int = 9) -> bytes:
    return struct.pack("!BBHH", 0 if family == 4 else 129, 0, 0, identifier) + request[6:]


@pytest.mark.parametrize("family", [4, 6])
def test_the_reply_is_success_whatever_identifier_the_kernel_gave_it(family: int) -> None:
    exchange = PingExchange(family, 77, 5, b"token")
    reply = reply_to(exchange.connected(), family)
    assert exchange.receive(reply) == CheckEnded(True, "echo reply")
    if family == 4:
        header = bytes.fromhex("460000000000000000000000000000000000000000000000")  # raw sockets, with an option
        assert exchange.receive(header + reply) == CheckEnded(True, "echo reply")


@pytest.mark.parametrize("family", [4, 6])
def test_other_messages_are_waited_behind(family: int) -> None:
    exchange = PingExchange(family, 77, 5, b"token")
    request = exchange.connected()
    others = [
        b"",
        request,  # our own, looped back
        reply_to(PingExchange(family, 77, 6, b"token").connected(), family),
        reply_to(PingExchange(family, 77, 5, b"other").connected(), family),
        b"\x03\x01" + request[2:],
    ]
    assert [exchange.receive(data) for data in others] == [b""] * len(others)
    assert exchange.timed_out(connected=True) == CheckEnded(False, "no answer in time")


@given(st.binary(max_size=80))
def test_a_message_with_its_checksum_sums_to_zero(data: bytes) -> None:
    """RFC 1071 section 1 (3)."""
    even = data + b"\0" * (len(data) % 2)
    assert checksum(even + checksum(even).to_bytes(2, "big")) == 0


@given(st.binary(max_size=100))
def test_any_message_is_taken(data: bytes) -> None:
    assert isinstance(PingExchange(4, 1, 1, b"t").receive(data), bytes | CheckEnded)

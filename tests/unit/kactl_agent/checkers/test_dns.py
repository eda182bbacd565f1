"""DNS_CHECK: queries as scapy reads them, and what counts as an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.dns import TYPES, DnsExchange, encode_query


def test_the_bytes_that_keepalived_sent() -> None:
    """2.2.7, `type A`, `name example.com`; and without either."""
    expected = b"\x80\xfa\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"
    assert encode_query(0x80FA, "example.com", "A") == expected
    assert DnsExchange(0x2478, ".", "SOA").connected() == (
        b"$x\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01"
    )


@pytest.mark.parametrize("record_type", TYPES)
def test_scapy_reads_the_query(record_type: str) -> None:
    from scapy.layers.dns import DNS

    query = DNS(encode_query(77, "www.example.net", record_type))
    (question,) = query.qd if isinstance(query.qd, list) else [query.qd]
    assert (query.id, query.qr, query.rd, query.qdcount) == (77, 0, 1, 1)
    assert question.qname == b"www.example.net."
    assert question.get_field("qtype").i2repr(question, question.qtype) == record_type


def response(identifier: int = 7, flags: int = 0x8180, answers: int = 1) -> bytes:
    return b"".join(n.to_bytes(2, "big") for n in (identifier, flags, 1, answers, 0, 0))


def test_a_response_without_error_is_success() -> None:
    exchange = DnsExchange(7, "example.com", "A")
    assert exchange.receive(response()) == CheckEnded(True, "A example.com: 1 answer")
    assert exchange.receive(response(answers=0)) == CheckEnded(True, "A example.com: 0 answers")


@pytest.mark.parametrize(("code", "name"), [(2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (15, "unknown")])
def test_an_error_is_failure(code: int, name: str) -> None:
    outcome = DnsExchange(7, ".", "SOA").receive(response(flags=0x8180 | code))
    assert outcome == CheckEnded(False, f"SOA .: response code {code} ({name})")


@pytest.mark.parametrize("data", [b"", b"\x00\x07\x81", response(8), response(flags=0x0100)])
def test_what_is_no_response_to_the_query_is_waited_behind(data: bytes) -> None:
    exchange = DnsExchange(7, ".", "SOA")
    assert exchange.receive(data) == b""
    assert "1 datagrams that are no response" in exchange.timed_out(connected=True).detail
    assert DnsExchange(7, ".", "SOA").timed_out(connected=True).detail == "SOA .: no answer in time"


@given(st.binary(max_size=60))
def test_any_datagram_is_taken(data: bytes) -> None:
    assert isinstance(DnsExchange(7, ".", "SOA").receive(data), bytes | CheckEnded)

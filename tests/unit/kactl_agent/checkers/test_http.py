"""The exchange of HTTP_GET: request bytes as keepalived 2.2.7 sends them, and the digest of the body alone."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.checkers.http import (
    MAX_HEADER,
    HttpExchange,
    HttpRequest,
    HttpResponseFault,
    host_header,
)
from kactl_agent.checkers.settings import HttpVersion


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_request_bytes_are_keepaliveds() -> None:
    """Captured from `keepalived --genhash` 2.2.7."""
    host = host_header("127.0.0.1", 8765)
    assert HttpRequest("/a", host).encode() == (
        b"GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 127.0.0.1:8765\r\n\r\n"
    )
    assert HttpRequest("/a", "x.example", HttpVersion.HTTP_1_1).encode() == (
        b"GET /a HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: x.example\r\n\r\n"
    )
    assert HttpRequest("/a", host, HttpVersion.HTTP_1_0_CLOSE).encode() == (
        b"GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: 127.0.0.1:8765\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("address", "port", "virtualhost", "host"),
    [
        ("192.0.2.1", 80, "", "192.0.2.1"),
        ("192.0.2.1", 443, "", "192.0.2.1"),
        ("192.0.2.1", 8080, "", "192.0.2.1:8080"),
        ("2001:db8::1", 80, "", "[2001:db8::1]"),
        ("2001:db8::1", 81, "", "[2001:db8::1]:81"),
        ("192.0.2.1", 8080, "www.example.net", "www.example.net"),
    ],
)
def test_host_header(address: str, port: int, virtualhost: str, host: str) -> None:
    assert host_header(address, port, virtualhost) == host


def test_a_body_ends_with_its_length() -> None:
    exchange = HttpExchange()
    exchange.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 5 \r\n\r\nhelloXXXX")
    assert (exchange.complete, exchange.status, exchange.digest) == (True, 200, md5(b"hello"))
    assert exchange.receive(b"more") == b""


def test_a_body_without_length_ends_with_the_connection() -> None:
    exchange = HttpExchange()
    exchange.receive(b"HTTP/1.0 404 Not Found\r\n\r\nno")
    assert not exchange.complete
    exchange.receive(b"pe")
    exchange.end()
    assert (exchange.complete, exchange.status, exchange.digest) == (True, 404, md5(b"nope"))


def test_a_chunked_body_is_hashed_as_it_comes() -> None:
    body = b"5\r\nhello\r\n0\r\n\r\n"
    exchange = HttpExchange()
    exchange.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    exchange.end()
    assert exchange.digest == "79e9489e3bd3f0cb0158215341de046d" == md5(body)


RESPONSE = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 11\r\n\r\nhello world"


@pytest.mark.parametrize("cut", range(len(RESPONSE) + 1))
def test_pieces_say_the_same_as_the_whole(cut: int) -> None:
    exchange = HttpExchange()
    exchange.receive(RESPONSE[:cut])
    exchange.receive(RESPONSE[cut:])
    assert (exchange.complete, exchange.digest) == (True, md5(b"hello world"))


@pytest.mark.parametrize("cut", range(RESPONSE.index(b"\r\n\r\n") + 4))
def test_an_end_before_the_body_is_a_fault(cut: int) -> None:
    exchange = HttpExchange()
    exchange.receive(RESPONSE[:cut])
    with pytest.raises(HttpResponseFault):
        exchange.end()


def test_an_endless_header_is_a_fault() -> None:
    exchange = HttpExchange()
    with pytest.raises(HttpResponseFault, match="longer than"):
        exchange.receive(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEADER)


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_is_a_response_or_a_fault(pieces: list[bytes]) -> None:
    exchange = HttpExchange()
    try:
        for piece in pieces:
            exchange.receive(piece)
        exchange.end()
    except HttpResponseFault:
        return
    assert 100 <= exchange.status <= 999

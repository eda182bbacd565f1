"""HTTP_GET and SSL_GET: what makes a response right."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.checkers import http_check
from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.http_check import HttpCheckExchange
from kactl_agent.checkers.settings import HttpVersion, RegexSettings, UrlSettings

HELLO = hashlib.md5(b"hello", usedforsecurity=False).hexdigest()


def answer(data: bytes, *, end: bool = True, size: int = 1 << 16, **said: Any) -> CheckEnded | None:
    """The outcome for this stream, None when there is none yet."""
    exchange = HttpCheckExchange(UrlSettings(path="/a", host="x", **said), HttpVersion.HTTP_1_0)
    for at in range(0, len(data), size):
        outcome = exchange.receive(data[at : at + size])
        if isinstance(outcome, CheckEnded):
            return outcome
        assert outcome == b""
    return exchange.ended() if end else None


def page(body: bytes = b"hello", status: int = 200, length: int | None = None) -> bytes:
    field = b"" if length is None else b"Content-Length: %d\r\n" % length
    return b"HTTP/1.1 %d X\r\n%s\r\n%s" % (status, field, body)


def test_the_request_is_that_of_genhash() -> None:
    exchange = HttpCheckExchange(UrlSettings(path="/a?b", host="www.x"), HttpVersion.HTTP_1_1)
    assert exchange.connected() == (
        b"GET /a?b HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.x\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("status", "codes", "success"),
    [
        (200, ((200, 299),), True),
        (299, ((200, 299),), True),
        (302, ((200, 299),), False),
        (404, ((200, 200), (404, 404)), True),
        (403, ((200, 200), (404, 404)), False),
    ],
)
def test_status_codes(status: int, codes: tuple[tuple[int, int], ...], success: bool) -> None:
    outcome = answer(page(status=status), status_codes=codes)
    assert outcome is not None
    assert outcome.success is success
    assert str(status) in outcome.detail


def test_a_wrong_status_is_not_waited_behind() -> None:
    assert answer(page(status=503, body=b""), end=False) == CheckEnded(False, "/a: status 503, not 200-299")


def test_digest() -> None:
    assert answer(page(), digest=HELLO) == CheckEnded(True, "/a: status 200, 5 bytes")
    wrong = "0" * 32
    assert answer(page(), digest=wrong) == CheckEnded(False, f"/a: digest {HELLO}, not {wrong}")
    assert answer(page(b"hello and more", length=5), end=False, digest=HELLO) is not None


def test_status_comes_first_then_digest_then_regex() -> None:
    said = {"digest": "0" * 32, "regex": RegexSettings(pattern="nope")}
    for expected, more in (("status 500", {"status": 500}), ("digest", {})):
        outcome = answer(page(**more), **said)
        assert outcome is not None
        assert expected in outcome.detail
    outcome = answer(page(), digest=HELLO, regex=RegexSettings(pattern="nope"))
    assert outcome == CheckEnded(False, "/a: regex does not match")


@given(st.integers(1, 40))
def test_a_match_may_span_what_is_read(size: int) -> None:
    outcome = answer(page(b"....hello world...."), size=size, regex=RegexSettings(pattern="hello w"))
    assert outcome is not None
    assert outcome.success


def test_a_body_that_ends_early_is_taken_and_said() -> None:
    assert answer(page(length=9)) == CheckEnded(True, "/a: status 200, 5 bytes of 9 announced")


def test_a_regex_sees_so_much_and_no_more() -> None:
    body = b"x" * http_check.MAX_SEARCHED + b"needle"
    outcome = answer(page(body), regex=RegexSettings(pattern="needle"))
    assert outcome == CheckEnded(False, "/a: regex does not match")


@pytest.mark.parametrize(
    ("stream", "detail"),
    [
        (b"", "/a: no response came"),
        (b"HTTP/1.0 200 OK\r\n", "/a: the connection was closed within the header"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "/a: what came is no HTTP response: SSH-2.0-OpenSSH"),
        (b"HTTP/1.0 abc\r\n\r\n", "/a: what came is no HTTP response: HTTP/1.0 abc"),
    ],
)
def test_what_is_no_response(stream: bytes, detail: str) -> None:
    assert answer(stream) == CheckEnded(False, detail)


def test_an_endless_header_is_given_up() -> None:
    outcome = answer(b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 20_000, end=False)
    assert outcome is not None
    assert "longer than" in outcome.detail


def test_no_answer_says_where() -> None:
    exchange = HttpCheckExchange(UrlSettings(path="/a", host="x"), HttpVersion.HTTP_1_0)
    assert exchange.timed_out(connected=False).detail == "no connection in time"
    assert exchange.timed_out(connected=True).detail == "no answer in time in its answer to /a"
    exchange.receive(page(b"hel"))
    assert exchange.timed_out(connected=True).detail == "no answer in time in the body of /a, 3 bytes behind its header"


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_any_stream_is_taken(pieces: list[bytes]) -> None:
    exchange = HttpCheckExchange(UrlSettings(path="/a", host="x"), HttpVersion.HTTP_1_0)
    for piece in pieces:
        if isinstance(exchange.receive(piece), CheckEnded):
            return
    assert isinstance(exchange.ended(), CheckEnded)

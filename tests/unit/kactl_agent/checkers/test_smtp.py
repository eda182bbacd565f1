"""SMTP_CHECK: replies in any shape and any pieces (S26)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.smtp import MAX_REPLY, SmtpExchange, SmtpReplies, SmtpReplyFault

DIALOGUE = [b"220-mx ready\r\n220 go\r\n", b"250-mx\r\n250-SIZE\r\n250 ok\r\n", b"221 bye\r\n"]


def talk(*pieces: bytes) -> tuple[list[bytes], CheckEnded | None]:
    """What the exchange sends for these pieces, and its outcome; b"" is the end of the stream."""
    exchange = SmtpExchange("me.example")
    sent = [exchange.connected()]
    for piece in pieces:
        answer = exchange.receive(piece) if piece else exchange.ended()
        if isinstance(answer, CheckEnded):
            return [data for data in sent if data], answer
        sent.append(answer)
    return [data for data in sent if data], None


def test_the_dialogue() -> None:
    sent, outcome = talk(*DIALOGUE)
    assert sent == [b"HELO me.example\r\n", b"QUIT\r\n"]
    assert outcome == CheckEnded(True, "greeting 220 go, HELO 250")


@given(st.lists(st.integers(1, 60), max_size=12))
def test_replies_may_be_split_anywhere(cuts: list[int]) -> None:
    """Each reply arrives in pieces; the server speaks only when it is asked."""
    exchange = SmtpExchange("me.example")
    sent = []
    outcome: bytes | CheckEnded = b""
    for reply in DIALOGUE:
        rest, sizes = reply, [*cuts, len(reply)]
        for size in sizes:
            piece, rest = rest[:size], rest[size:]
            if piece:
                outcome = exchange.receive(piece)
                if outcome and isinstance(outcome, bytes):
                    sent.append(outcome)
    assert sent == [b"HELO me.example\r\n", b"QUIT\r\n"]
    assert isinstance(outcome, CheckEnded)
    assert outcome.success


@pytest.mark.parametrize("line", [b"220 x\n", b"220\r\n", b"220 x\r\n", b"220-a\n220-b\n220\n"])
def test_line_ends_and_bare_codes(line: bytes) -> None:
    assert talk(line)[0] == [b"HELO me.example\r\n"]


@pytest.mark.parametrize(
    ("pieces", "detail"),
    [
        ((b"554 go away\r\n",), "in its greeting: 554 go away, not 220"),
        ((b"220 hi\r\n", b"501 no\r\n"), "in its answer to HELO: 501 no, not 250"),
        ((b"SSH-2.0-x\r\n",), "no SMTP reply: SSH-2.0-x"),
        ((b"220-a\r\n250 b\r\n",), "no SMTP reply: 250 b"),
        ((b"",), "the server closed the connection in its greeting"),
        ((b"220 hi\r\n", b""), "the server closed the connection in its answer to HELO"),
        ((b"220 hi\r\n", b"250 ok\r\n", b""), "the server closed the connection in its answer to QUIT"),
        ((b"\x1b[2J\xff\r\n",), "no SMTP reply: \\x1b[2J\\xff"),
    ],
)
def test_what_is_failure(pieces: tuple[bytes, ...], detail: str) -> None:
    assert talk(*pieces)[1] == CheckEnded(False, detail)


@pytest.mark.parametrize("last", [b"221 bye\r\n", b"500 what\r\n", b"garbage\r\n"])
def test_what_the_answer_to_quit_says_does_not_count(last: bytes) -> None:
    outcome = talk(b"220 hi\r\n", b"250 ok\r\n", last)[1]
    assert outcome is not None
    assert outcome.success


@pytest.mark.parametrize("piece", [b"x" * 1000, b"220-more\r\n" * 100])
def test_an_endless_reply_is_not_kept(piece: bytes) -> None:
    exchange = SmtpExchange("me.example")
    for _ in range(2 + MAX_REPLY // len(piece)):
        outcome = exchange.receive(b"220-" + piece if piece[:1] == b"x" and not _ else piece)
        if isinstance(outcome, CheckEnded):
            assert outcome == CheckEnded(False, f"a reply longer than {MAX_REPLY} bytes")
            return
    raise AssertionError("it was read for ever")


def test_no_answer_says_where() -> None:
    exchange = SmtpExchange("me.example")
    assert exchange.timed_out(connected=True).detail == "no answer in time in its greeting"
    exchange.receive(b"220 hi\r\n")
    assert exchange.timed_out(connected=True).detail == "no answer in time in its answer to HELO"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_whatever_comes_is_a_reply_or_a_fault(pieces: list[bytes]) -> None:
    replies = SmtpReplies()
    with contextlib.suppress(SmtpReplyFault):
        for piece in pieces:
            replies.feed(piece)
            while (reply := replies.next()) is not None:
                assert 200 <= reply[0] <= 599

"""One mail to one relay. The relay is a script; what it must be able to do is what RFC 5321 allows it to do."""

from __future__ import annotations

import base64
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.notify.settings import MailSettings, Recipient, Security
from kactl_agent.notify.smtp import (
    LONGEST_ANSWER,
    LONGEST_LINE,
    TABLE,
    Action,
    Event,
    Finished,
    Send,
    SmtpExchange,
    StartTls,
    State,
    Step,
)
from kactl_agent.vrrp.settings import SECOND

SETTINGS = MailSettings(
    host="192.0.2.25",
    port=25,
    helo_name="node.example.org",
    sender=Recipient("root@example.org", "root@example.org"),
    recipients=(Recipient("a@example.org", "a@example.org"), Recipient("b@example.org", "B <b@example.org>")),
    subject_prefix="lb1",
    timeout=5 * SECOND,
)
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
DELIVERED = Finished("", "")
TLS = msgspec.structs.replace(SETTINGS, security=Security.STARTTLS, user="me", password="secret")
EHLO = b"250-relay\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"


def exchange(*answers: bytes, settings: MailSettings = SETTINGS) -> tuple[list[str], list[Action], SmtpExchange]:
    """What is sent, and all that is to be done, when these answers come one after the other."""
    smtp = SmtpExchange(settings, MESSAGE, 0)
    actions: list[Action] = []
    for now, answer in enumerate(answers, 1):
        actions += smtp.receive(answer, now)
        if actions and isinstance(actions[-1], StartTls):
            actions += smtp.tls_ready(now)
    return [action.data.decode() for action in actions if isinstance(action, Send)], actions, smtp


FINE = (
    b"220 relay\r\n",
    b"250 ok\r\n",
    b"250 ok\r\n",
    b"250 ok\r\n",
    b"250 ok\r\n",
    b"354 go\r\n",
    b"250 ok\r\n",
    b"221 bye\r\n",
)


def test_a_mail_goes_out_as_keepalived_sends_it() -> None:
    sent, actions, _ = exchange(*FINE)
    assert "".join(sent) == (
        "HELO node.example.org\r\nMAIL FROM:<root@example.org>\r\n"
        "RCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"
        "DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n"
    )
    assert actions[-1] == DELIVERED


@given(st.lists(st.integers(1, 200), max_size=40))
def test_answers_may_come_in_any_pieces(cuts: list[int]) -> None:
    """S26: split and multi-line replies."""
    answers = b"".join((b"220-relay\r\n220-of\r\n220 many words\r\n", b"250-a\r\n250 b\r\n", *FINE[2:]))
    places = sorted({0, *(cut % len(answers) for cut in cuts), len(answers)})
    pieces = [answers[start:end] for start, end in itertools.pairwise(places)]
    smtp = SmtpExchange(SETTINGS, MESSAGE, 0)
    actions = [action for piece in pieces for action in smtp.receive(piece, 1)]
    assert actions[-1] == DELIVERED


def test_bare_line_feeds_end_a_line_too() -> None:
    assert exchange(*(answer.replace(b"\r\n", b"\n") for answer in FINE))[1][-1] == DELIVERED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"x" * (LONGEST_LINE + 1), "smtp_line_too_long"),
        (b"2" * (LONGEST_LINE + 1) + b"\n", "smtp_line_too_long"),
        (b"220-hello\r\n" * (LONGEST_ANSWER // 11 + 1), "smtp_answer_too_long"),
        (b"hello\r\n", "smtp_syntax"),
        (b"2204 hello\r\n", "smtp_syntax"),
        (b"220-a\r\n250 b\r\n", "smtp_syntax"),
        (b"\r\n", "smtp_syntax"),
        (b"\xff\xfe\x00\r\n", "smtp_syntax"),
        (b"999 no\r\n", "smtp_syntax"),
    ],
)
def test_what_is_no_answer_ends_the_exchange_with_a_stable_reason(answer: bytes, reason: str) -> None:
    """S26: endless replies."""
    [finished] = exchange(answer)[1]
    assert isinstance(finished, Finished)
    assert finished.reason == reason
    assert finished.error


def test_a_relay_that_never_stops_talking_is_left() -> None:
    smtp = SmtpExchange(SETTINGS, MESSAGE, 0)
    received = 0
    while not (actions := smtp.receive(b"220-" + b"x" * 1000 + b"\r\n", 1)):
        received += 1006
    assert received <= LONGEST_ANSWER
    assert isinstance(actions[0], Finished)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20))
def test_whatever_comes_is_an_answer_or_the_end(pieces: list[bytes]) -> None:
    smtp = SmtpExchange(TLS, MESSAGE, 0)
    finished = 0
    for piece in pieces:
        finished += sum(isinstance(action, Finished) for action in smtp.receive(piece, 1))
    finished += sum(isinstance(action, Finished) for action in smtp.handle_timer(2 * 5 * SECOND))
    assert finished == 1
    assert smtp.deadline() is None


def test_a_refused_recipient_keeps_the_mail_from_nobody_else() -> None:
    sent, actions, _ = exchange(*FINE[:3], b"550 unknown\r\n", *FINE[4:])
    assert "RCPT TO:<b@example.org>\r\n" in sent
    assert "DATA\r\n" in sent
    assert actions[-1] == Finished("", "", ("a@example.org",))


def test_a_mail_that_nobody_may_have_is_not_sent() -> None:
    sent, actions, _ = exchange(*FINE[:3], b"550 unknown\r\n", b"550-who\r\n550 is that\r\n")
    assert "DATA\r\n" not in sent
    assert actions[-1] == Finished("RCPT TO: 550 who", "smtp_refused", ("a@example.org", "b@example.org"))


def test_each_answer_has_its_time() -> None:
    smtp = SmtpExchange(SETTINGS, MESSAGE, 0)
    assert smtp.deadline() == 5 * SECOND
    smtp.receive(FINE[0], 3 * SECOND)
    assert smtp.deadline() == 8 * SECOND
    assert smtp.receive(b"250-still", 7 * SECOND) == []
    assert smtp.handle_timer(7 * SECOND) == []
    assert smtp.handle_timer(8 * SECOND) == [Finished("HELO: no answer within 5 s", "smtp_timeout")]


def test_what_comes_behind_the_message_changes_nothing() -> None:
    assert exchange(*FINE[:7], b"500 what\r\n")[1][-1] == DELIVERED
    assert exchange(*FINE[:7], b"")[1][-1] == DELIVERED
    assert exchange(*FINE[:7], b"rubbish\r\n")[1][-1] == DELIVERED
    assert exchange(*FINE[:6], b"")[1][-1] == Finished("message: the connection was closed", "smtp_closed")


def test_with_starttls_everything_is_said_behind_it() -> None:
    ok = b"250 ok\r\n"
    sent, actions, _ = exchange(
        FINE[0], EHLO, b"220 go\r\n", EHLO, b"235 ok\r\n", ok, ok, ok, b"354 go\r\n", ok, b"221 bye\r\n", settings=TLS
    )
    before = actions.index(StartTls())
    assert [a.data for a in actions[:before] if isinstance(a, Send)] == [b"EHLO node.example.org\r\n", b"STARTTLS\r\n"]
    assert sent[3] == "AUTH PLAIN " + base64.b64encode(b"\0me\0secret").decode() + "\r\n"
    assert actions[-1] == DELIVERED


def test_nothing_is_sent_in_the_clear_when_the_relay_has_no_starttls() -> None:
    sent, actions, _ = exchange(FINE[0], b"250-relay\r\n250 AUTH PLAIN\r\n", settings=TLS)
    assert sent == ["EHLO node.example.org\r\n"]
    assert actions[-1] == Finished("the relay has no STARTTLS", "smtp_no_starttls")


def test_what_is_put_in_behind_the_answer_to_starttls_is_not_taken_for_a_protected_one() -> None:
    """RFC 3207 5, and the attacks on it: an answer injected in the clear."""
    _sent, actions, _ = exchange(FINE[0], EHLO, b"220 go\r\n250 AUTH PLAIN\r\n", settings=TLS)
    assert isinstance(actions[-1], Finished)
    assert actions[-1].reason in {"smtp_injection", "smtp_refused"}
    assert not any(isinstance(action, Send) and b"AUTH" in action.data for action in actions)


def test_a_relay_without_plain_authentication() -> None:
    _sent, actions, _ = exchange(FINE[0], EHLO, b"220 go\r\n", b"250-relay\r\n250 AUTH GSSAPI LOGIN\r\n", settings=TLS)
    assert actions[-1] == Finished("the relay has no authentication PLAIN, but GSSAPI, LOGIN", "smtp_no_auth")


def test_the_password_is_in_no_error_and_no_snapshot() -> None:
    secret = base64.b64encode(b"\0me\0secret").decode()
    _sent, actions, smtp = exchange(FINE[0], EHLO, b"220 go\r\n", EHLO, b"535 bad credentials\r\n", settings=TLS)
    assert actions[-1] == Finished("AUTH: 535 bad credentials", "smtp_refused")
    assert secret not in str(smtp.snapshot())


def test_what_a_relay_says_cannot_disturb_a_log() -> None:
    [finished] = exchange(b"554 \x1b[31mred\x07 " + b"y" * 500 + b"\r\n")[1]
    assert isinstance(finished, Finished)
    assert finished.error.isprintable()
    assert len(finished.error) < 300


# -- the table ---------------------------------------------------------------------------------------------------------

_REACHED = {
    State.GREETING: (),
    State.EHLO: FINE[:1],
    State.HELO: FINE[:1],
    State.STARTTLS: (FINE[0], EHLO),
    State.HANDSHAKE: (FINE[0], EHLO, b"220 go\r\n"),
    State.EHLO_AGAIN: (FINE[0], EHLO, b"220 go\r\n"),
    State.AUTH: (FINE[0], EHLO, b"220 go\r\n", EHLO),
    State.MAIL: FINE[:2],
    State.RCPT: FINE[:3],
    State.DATA: FINE[:5],
    State.CONTENT: FINE[:6],
    State.QUIT: FINE[:7],
    State.DONE: FINE,
}
_OVER_TLS = {State.EHLO, State.STARTTLS, State.HANDSHAKE, State.EHLO_AGAIN, State.AUTH}
_POSITIVE = {
    State.GREETING: b"220 x\r\n",
    State.STARTTLS: b"220 x\r\n",
    State.AUTH: b"235 x\r\n",
    State.DATA: b"354 x\r\n",
}


def reach(state: State) -> SmtpExchange:
    smtp = SmtpExchange(TLS if state in _OVER_TLS else SETTINGS, MESSAGE, 0)
    for answer in _REACHED[state]:
        actions = smtp.receive(answer, 1)
        if actions and isinstance(actions[-1], StartTls) and state is not State.HANDSHAKE:
            smtp.tls_ready(1)
    assert smtp.state is state
    return smtp


def happen(smtp: SmtpExchange, event: Event) -> list[Action]:
    match event:
        case Event.POSITIVE:
            return smtp.receive(_POSITIVE.get(smtp.state, b"250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"), 2)
        case Event.REFUSED:
            return smtp.receive(b"550 no\r\n", 2)
        case Event.TLS_READY:
            return smtp.tls_ready(2)
        case Event.TIMEOUT:
            return smtp.handle_timer(100 * SECOND)
        case Event.CLOSED:
            return smtp.receive(b"", 2)
        case Event.NONSENSE:
            return smtp.receive(b"rubbish\r\n", 2)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_state_has_an_answer_to_every_event(state: State, event: Event) -> None:
    row = TABLE[state, event]
    assert row.source
    smtp = reach(state)
    actions = happen(smtp, event)
    kinds = {type(action) for action in actions}
    expected: dict[Step, set[type]] = {
        Step.ADVANCE: {StartTls} if state is State.STARTTLS else {Send},
        Step.NEXT_RECIPIENT: {Send},
        Step.GIVE_UP: {Finished},
        Step.DELIVERED: {Finished},
        Step.IGNORE: set(),
    }
    assert kinds == expected[row.step]
    for action in actions:
        if isinstance(action, Finished):
            assert bool(action.error) == bool(action.reason) == (row.step is Step.GIVE_UP)
    assert (smtp.deadline() is None) == (smtp.state is State.DONE)

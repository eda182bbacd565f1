"""One mail to one relay (RFC 5321), as an exchange: bytes, times and events in; actions and one deadline out. Pure.

The state machine is a table. What a relay says is bounded: a line, an answer, and everything it says before the mail
is delivered; whatever else it does, the exchange comes to an end.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from kactl_agent.notify.settings import MailSettings, Security

LONGEST_LINE = 4096  # RFC 5321 4.5.3.1.5 says 512
LONGEST_ANSWER = 64 * 1024
LONGEST_TOTAL = 1024 * 1024  # of the whole exchange
_CODE = re.compile(rb"([2-5][0-9]{2})([ -]?)")


class State(Enum):
    """What is awaited."""

    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    HANDSHAKE = "TLS handshake"
    EHLO_AGAIN = "EHLO in TLS"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    CONTENT = "message"
    QUIT = "QUIT"
    DONE = "done"


class Event(Enum):
    """What happened: an answer by its first digits, or no answer."""

    POSITIVE = "as wanted"
    REFUSED = "refused"
    TLS_READY = "TLS is there"
    TIMEOUT = "no answer in time"
    CLOSED = "connection closed"
    NONSENSE = "no SMTP"


class Send(NamedTuple):
    """Bytes for the relay."""

    data: bytes


class StartTls(NamedTuple):
    """Begin TLS on the connection; `tls_ready` is told when that is done."""


class Finished(NamedTuple):
    """The exchange is over: close the connection. `error` is empty when the relay has taken the mail; `refused` are
    the recipients it has not taken it for."""

    error: str
    reason: str  # stable code, for counters and log fields; empty when there is no error
    refused: tuple[str, ...] = ()


Action = Send | StartTls | Finished


class RemoteProtocolError(Exception):
    """What came is no SMTP, or too much of it. `reason` is a stable code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Step(Enum):
    """What is done about an event."""

    ADVANCE = "advance"  # say what comes next
    NEXT_RECIPIENT = "next_recipient"  # this one is refused, others may not be
    GIVE_UP = "give_up"
    DELIVERED = "delivered"  # the relay has the mail, whatever it says now
    IGNORE = "ignore"


class Row(NamedTuple):
    """The step, and the section that demands it."""

    step: Step
    source: str


WANTED: dict[State, frozenset[int]] = {
    State.GREETING: frozenset({220}),
    State.EHLO: frozenset({250}),
    State.HELO: frozenset({250}),
    State.STARTTLS: frozenset({220}),
    State.HANDSHAKE: frozenset(),
    State.EHLO_AGAIN: frozenset({250}),
    State.AUTH: frozenset({235}),
    State.MAIL: frozenset({250}),
    State.RCPT: frozenset({250, 251}),
    State.DATA: frozenset({354}),
    State.CONTENT: frozenset({250}),
    State.QUIT: frozenset({221}),
    State.DONE: frozenset(),
}
"""The codes that are the awaited answer (RFC 5321 4.3.2; RFC 3207 4; RFC 4954 6)."""


def _rows(state: State, source: str, **other: Row) -> dict[tuple[State, Event], Row]:
    """The rows of a state that awaits an answer. `source` has the command whose answer it is."""
    rows = {
        Event.POSITIVE: Row(Step.ADVANCE, source),
        Event.REFUSED: Row(Step.GIVE_UP, "RFC 5321 4.2.1; keepalived: no second try"),
        Event.TLS_READY: Row(Step.IGNORE, "RFC 3207 4: only the handshake brings it"),
        Event.TIMEOUT: Row(Step.GIVE_UP, "RFC 5321 4.5.3.2; keepalived smtp_connect_timeout for each answer"),
        Event.CLOSED: Row(Step.GIVE_UP, "RFC 5321 3.8"),
        Event.NONSENSE: Row(Step.GIVE_UP, "RFC 5321 4.2"),
    }
    return {(state, event): other.get(event.name, row) for event, row in rows.items()}


def _always(state: State, step: Step, source: str) -> dict[tuple[State, Event], Row]:
    return {(state, event): Row(step, source) for event in Event}


_NOT_WAITED_FOR = Row(Step.GIVE_UP, "RFC 3207 4: nothing may be said between the answer and the handshake")
TABLE: dict[tuple[State, Event], Row] = {
    **_rows(State.GREETING, "RFC 5321 4.3.1: nothing is sent before the greeting"),
    **_rows(State.EHLO, "RFC 5321 4.1.1.1"),
    **_rows(State.HELO, "RFC 5321 4.1.1.1"),
    **_rows(State.STARTTLS, "RFC 3207 4"),
    **_rows(
        State.HANDSHAKE,
        "",
        POSITIVE=_NOT_WAITED_FOR,
        REFUSED=_NOT_WAITED_FOR,
        TLS_READY=Row(Step.ADVANCE, "RFC 3207 4.2: EHLO once more, what was said before is forgotten"),
    ),
    **_rows(State.EHLO_AGAIN, "RFC 3207 4.2"),
    **_rows(State.AUTH, "RFC 4954 4"),
    **_rows(State.MAIL, "RFC 5321 4.1.1.2"),
    **_rows(
        State.RCPT,
        "RFC 5321 4.1.1.3",
        REFUSED=Row(Step.NEXT_RECIPIENT, "RFC 5321 3.3: the other recipients are none the worse for it"),
    ),
    **_rows(State.DATA, "RFC 5321 4.1.1.4"),
    **_rows(State.CONTENT, "RFC 5321 4.1.1.4: from here on the mail is the relay's"),
    **_always(State.QUIT, Step.DELIVERED, "RFC 5321 4.1.1.10: the answer changes nothing"),
    **_always(State.DONE, Step.IGNORE, "it is over"),
}


class SmtpExchange:
    """`message` is of `kactl_agent.notify.message`. Begins when there is a connection."""

    def __init__(self, settings: MailSettings, message: bytes, now: int) -> None:
        self._settings = settings
        self._message = message
        self._state = State.GREETING
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._answer_size = 0
        self._total = 0
        self._deadline: int | None = now + settings.timeout
        self._to_ask = list(settings.recipients)
        self._refused: list[str] = []
        self._refusal = ""
        self._capabilities: set[str] = set()

    @property
    def state(self) -> State:
        return self._state

    def deadline(self) -> int | None:
        """When `handle_timer` is to be called."""
        return self._deadline

    def snapshot(self) -> dict[str, str | int]:
        return {"state": self._state.value, "refused": len(self._refused), "received": self._total}

    # -- inputs --------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: int) -> list[Action]:
        """Bytes from the relay; none at all is the end of the connection."""
        if not data:
            return self._follow(Event.CLOSED, now, "the connection was closed")
        actions: list[Action] = []
        try:
            for code, text in self._answers(data):
                actions += self._answered(code, text, now)
                if self._state is State.DONE:
                    break
                if self._state is State.HANDSHAKE:
                    # RFC 3207 5: what an attacker has put in behind the answer must not be taken for a protected one
                    if self._buffer:
                        raise RemoteProtocolError("smtp_injection", "more came with the answer to STARTTLS")
                    break
        except RemoteProtocolError as error:
            actions += self._follow(Event.NONSENSE, now, str(error), error.reason)
        return actions

    def tls_ready(self, now: int) -> list[Action]:
        """What `StartTls` asked for is done."""
        return self._follow(Event.TLS_READY, now, "")

    def handle_timer(self, now: int) -> list[Action]:
        if self._deadline is None or now < self._deadline:
            return []
        return self._follow(Event.TIMEOUT, now, f"no answer within {self._settings.timeout / 1e9:g} s")

    # -- answers -------------------------------------------------------------------------------------------------------

    def _answers(self, data: bytes) -> Iterator[tuple[int, str]]:
        """Complete ones; what stands behind an answer is looked at when the next one is asked for. Raises
        RemoteProtocolError."""
        self._total += len(data)
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._answer_size += end + 1
            if end > LONGEST_LINE:
                raise RemoteProtocolError("smtp_line_too_long", f"a line of {end} bytes")
            match = _CODE.match(line)
            if match is None or (len(line) > 3 and not match[2]):
                raise RemoteProtocolError("smtp_syntax", f"no answer of SMTP: {_shown(line)}")
            if self._lines and self._lines[0][:3] != match[1]:
                raise RemoteProtocolError("smtp_syntax", "an answer whose lines have different codes")
            if self._answer_size > LONGEST_ANSWER:
                raise RemoteProtocolError("smtp_answer_too_long", f"an answer of more than {LONGEST_ANSWER} bytes")
            self._lines.append(line)
            if match[2] != b"-":
                text = "\n".join(_shown(each[4:]) for each in self._lines)
                self._lines = []
                self._answer_size = 0
                yield int(match[1]), text
        if len(self._buffer) > LONGEST_LINE:
            raise RemoteProtocolError("smtp_line_too_long", f"a line of more than {LONGEST_LINE} bytes")
        if self._total > LONGEST_TOTAL:
            raise RemoteProtocolError("smtp_answer_too_long", f"more than {LONGEST_TOTAL} bytes in all")

    def _answered(self, code: int, text: str, now: int) -> list[Action]:
        if code in WANTED[self._state]:
            return self._follow(Event.POSITIVE, now, text)
        first = text.partition("\n")[0]
        return self._follow(Event.REFUSED, now, f"{code} {first}".rstrip())

    # -- the table, followed -------------------------------------------------------------------------------------------

    def _follow(self, event: Event, now: int, text: str, reason: str = "") -> list[Action]:
        state = self._state
        match TABLE[state, event].step:
            case Step.ADVANCE:
                return self._advance(state, text, now)
            case Step.NEXT_RECIPIENT:
                self._refused.append(self._to_ask.pop(0).address)
                self._refusal = text
                return self._next_recipient(now)
            case Step.GIVE_UP:
                return self._finish(f"{state.value}: {text}", reason or f"smtp_{event.name.lower()}")
            case Step.DELIVERED:
                return self._finish("", "")
            case Step.IGNORE:
                return []

    def _advance(self, state: State, text: str, now: int) -> list[Action]:
        match state:
            case State.GREETING:
                return self._greet(now)
            case State.EHLO | State.EHLO_AGAIN:
                return self._greeted(state, text, now)
            case State.STARTTLS:
                return self._to(State.HANDSHAKE, now, StartTls())
            case State.HANDSHAKE:
                return self._to(State.EHLO_AGAIN, now, self._command(f"EHLO {self._settings.helo_name}"))
            case State.HELO | State.AUTH:
                return self._mail(now)
            case State.MAIL:
                return self._next_recipient(now)
            case State.RCPT:
                self._to_ask.pop(0)
                return self._next_recipient(now)
            case State.DATA:
                return self._to(State.CONTENT, now, Send(self._message + b".\r\n"))
            case _:  # the message was taken
                return self._to(State.QUIT, now, self._command("QUIT"))

    def _greet(self, now: int) -> list[Action]:
        """As keepalived, HELO will do, unless more than that is wanted."""
        extended = self._settings.security is Security.STARTTLS or self._settings.user
        word, state = ("EHLO", State.EHLO) if extended else ("HELO", State.HELO)
        return self._to(state, now, self._command(f"{word} {self._settings.helo_name}"))

    def _greeted(self, state: State, text: str, now: int) -> list[Action]:
        self._capabilities = {line.upper() for line in text.splitlines()[1:]}
        if state is State.EHLO and self._settings.security is Security.STARTTLS:
            if "STARTTLS" not in self._capabilities:
                # never in the clear what is to be protected
                return self._finish("the relay has no STARTTLS", "smtp_no_starttls")
            return self._to(State.STARTTLS, now, self._command("STARTTLS"))
        return self._authenticate(now) if self._settings.user else self._mail(now)

    def _authenticate(self, now: int) -> list[Action]:
        offered = {
            word for line in self._capabilities if line.startswith(("AUTH ", "AUTH=")) for word in line[5:].split()
        }
        if "PLAIN" not in offered:
            said = ", ".join(sorted(offered)) or "none"
            return self._finish(f"the relay has no authentication PLAIN, but {said}", "smtp_no_auth")
        identity = f"\0{self._settings.user}\0{self._settings.password}".encode()
        return self._to(State.AUTH, now, self._command(f"AUTH PLAIN {base64.b64encode(identity).decode()}"))

    def _mail(self, now: int) -> list[Action]:
        return self._to(State.MAIL, now, self._command(f"MAIL FROM:<{self._settings.sender.address}>"))

    def _next_recipient(self, now: int) -> list[Action]:
        if self._to_ask:
            return self._to(State.RCPT, now, self._command(f"RCPT TO:<{self._to_ask[0].address}>"))
        if len(self._refused) == len(self._settings.recipients):
            return self._finish(f"{State.RCPT.value}: {self._refusal}", "smtp_refused")
        return self._to(State.DATA, now, self._command("DATA"))

    def _command(self, line: str) -> Send:
        return Send(line.encode() + b"\r\n")

    def _to(self, state: State, now: int, action: Action) -> list[Action]:
        self._state = state
        self._deadline = now + self._settings.timeout
        return [action]

    def _finish(self, error: str, reason: str) -> list[Action]:
        self._state = State.DONE
        self._deadline = None
        return [Finished(error, reason, tuple(self._refused))]


def _shown(line: bytes) -> str:
    """What a relay said, fit for a log."""
    text = line[:200].decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else "?" for character in text)

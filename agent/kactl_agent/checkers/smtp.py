"""SMTP_CHECK: greeting 220, HELO answered with 250, QUIT (RFC 5321 sections 3.1, 4.1.1.1, 4.1.1.10).

Replies may have many lines and come in any pieces (section 4.2.1); how much of one is read is bounded. keepalived 2.2.7
takes a reply of several lines for a failure.
"""

from __future__ import annotations

import re
from enum import Enum

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.exchange import StreamExchange, shown

MAX_REPLY = 64 * 1024
"""Bytes of a reply, all its lines together, at most."""

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])|$)")


class SmtpReplyFault(Exception):
    """What came is no SMTP reply; the message says why."""


class SmtpReplies:
    """Cuts a stream into replies."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._size = 0  # of the lines of a reply that are complete
        self._code = b""
        self._searched = 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> tuple[int, bytes] | None:
        """Code and last line of the next reply; None while it is incomplete. Raises SmtpReplyFault."""
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                if self._size + len(self._buffer) > MAX_REPLY:
                    raise SmtpReplyFault(f"a reply longer than {MAX_REPLY} bytes")
                return None
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._searched = 0
            self._size += end + 1
            match = _LINE.match(line)
            if match is None or (self._code and match[1] != self._code):
                raise SmtpReplyFault(f"no SMTP reply: {shown(line)}")
            if self._size > MAX_REPLY:
                raise SmtpReplyFault(f"a reply longer than {MAX_REPLY} bytes")
            self._code = match[1]
            if match[2] != b"-":
                self._code, self._size = b"", 0
                return int(match[1]), line


class _Stage(Enum):
    GREETING = "greeting"
    HELO = "HELO"
    QUIT = "QUIT"


_EXPECTED = {_Stage.GREETING: 220, _Stage.HELO: 250}


class SmtpExchange(StreamExchange):
    """The dialogue of one check. QUIT is to be answered too (keepalived), with whatever."""

    def __init__(self, helo_name: str) -> None:
        self._helo_name = helo_name
        self._stage_now = _Stage.GREETING
        self._replies = SmtpReplies()
        self._greeting = b""

    def connected(self) -> bytes:
        return b""

    def receive(self, data: bytes) -> bytes | CheckEnded:
        self._replies.feed(data)
        answer = b""
        while not answer:
            try:
                reply = self._replies.next()
            except SmtpReplyFault as fault:
                return self._success() if self._stage_now is _Stage.QUIT else CheckEnded(False, f"{fault}")
            if reply is None:
                return b""
            outcome = self._reply(*reply)
            if isinstance(outcome, CheckEnded):
                return outcome
            answer = outcome
        return answer

    def _reply(self, code: int, line: bytes) -> bytes | CheckEnded:
        stage = self._stage_now
        if stage is _Stage.QUIT:
            return self._success()  # whatever it says
        if code != _EXPECTED[stage]:
            return CheckEnded(False, f"{self._stage()}: {shown(line)}, not {_EXPECTED[stage]}")
        if stage is _Stage.GREETING:
            self._greeting = line
            self._stage_now = _Stage.HELO
            return f"HELO {self._helo_name}\r\n".encode()
        self._stage_now = _Stage.QUIT
        return b"QUIT\r\n"

    def _success(self) -> CheckEnded:
        return CheckEnded(True, f"greeting {shown(self._greeting)}, HELO 250")

    def _stage(self) -> str:
        return "in its greeting" if self._stage_now is _Stage.GREETING else f"in its answer to {self._stage_now.value}"

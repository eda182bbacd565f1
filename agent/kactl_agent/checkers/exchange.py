"""What a network check is: what to send, what to make of what comes, and what it was in the end.

An exchange is pure: the shell (`kactl_agent.runtime.probe`) connects, sends, receives, and says when time is up.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from kactl_agent.checkers.actions import CheckEnded


class Transport(Enum):
    """How an exchange reaches its server."""

    STREAM = "TCP"
    DATAGRAM = "UDP"
    ECHO = "ICMP echo"


class Exchange(Protocol):
    """One check. Every method may give the outcome, behind which nothing more is called."""

    @property
    def transport(self) -> Transport: ...

    def connected(self) -> bytes | CheckEnded:
        """The connection is made, TLS included: what to send. (Of a datagram, b"" is an empty one.)"""

    def receive(self, data: bytes) -> bytes | CheckEnded:
        """Bytes of the stream, or a datagram: what to send next, b"" for nothing yet."""

    def ended(self) -> CheckEnded:
        """The peer has closed the stream."""

    def failed(self, reason: str) -> CheckEnded:
        """The connection cannot be made, or has broken; for a datagram, an ICMP error has come."""

    def timed_out(self, connected: bool) -> CheckEnded:
        """Nothing came of it in time."""


class StreamExchange:
    """What exchanges over TCP have in common."""

    transport = Transport.STREAM

    def ended(self) -> CheckEnded:
        return CheckEnded(False, f"the server closed the connection {self._stage()}")

    def failed(self, reason: str) -> CheckEnded:
        return CheckEnded(False, reason)

    def timed_out(self, connected: bool) -> CheckEnded:
        return CheckEnded(False, f"no answer in time {self._stage()}" if connected else "no connection in time")

    def _stage(self) -> str:
        """Where in the exchange it is, for an operator."""
        return "before it answered"


class DatagramExchange:
    """What exchanges of datagrams have in common."""

    transport = Transport.DATAGRAM

    def ended(self) -> CheckEnded:
        raise AssertionError("datagrams have no end")

    def failed(self, reason: str) -> CheckEnded:
        return CheckEnded(False, reason)

    def timed_out(self, connected: bool) -> CheckEnded:
        del connected
        return CheckEnded(False, "no answer in time")


def shown(data: bytes, most: int = 60) -> str:
    """The beginning of what a server said, printable, for an operator."""
    text = data[:most].decode("ascii", "backslashreplace")
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text.rstrip("\r\n"))
    return f"{text}..." if len(data) > most else text

"""What there is of a kind, as rtnetlink lists it (RTM_GET* with NLM_F_DUMP).

A list is many messages, and what changes while they are made may keep something out of it that has not changed. The
kernel marks such a list (NLM_F_DUMP_INTR), and it has to be asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import NamedTuple, Protocol

from kactl_agent.kernel import rtnetlink as nl

_ATTEMPTS = 5
_DATAGRAM = 1 << 18


class DumpSocket(Protocol):
    """A netlink socket, or what a test has in its place."""

    def send(self, data: bytes, /) -> int: ...

    def recv(self, size: int, /) -> bytes: ...


class Dump(NamedTuple):
    messages: list[nl.Message]
    whole: bool  # nothing has changed meanwhile


def read(
    sock: DumpSocket, request: bytes, absent: Container[int], keep: Callable[[nl.Message], bool] = lambda _message: True
) -> Dump:
    """Asked for again while it is not whole, a few times. An error of `absent` means that there is nothing of the kind;
    others are raised as OSError. What is not to be kept costs no memory."""
    for _ in range(_ATTEMPTS - 1):
        dump = _read(sock, request, absent, keep)
        if dump.whole:
            return dump
    return _read(sock, request, absent, keep)


def _read(sock: DumpSocket, request: bytes, absent: Container[int], keep: Callable[[nl.Message], bool]) -> Dump:
    ((_kind, _flags, sequence, _body),) = nl.messages(request)
    found: list[nl.Message] = []
    whole = True
    sock.send(request)
    while True:
        for message in nl.messages(sock.recv(_DATAGRAM)):
            if message.sequence != sequence:
                continue  # the rest of one that was given up
            if message.flags & nl.NLM_F_DUMP_INTR:
                whole = False
            if message.type == nl.NLMSG_DONE:
                return Dump(found, whole)
            if message.type == nl.NLMSG_ERROR:
                error = nl.decode_failure(message.body).error
                if error in absent:
                    return Dump([], True)
                raise OSError(error, nl.reason(error))
            if keep(message):
                found.append(message)

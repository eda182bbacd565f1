"""Speaks to the kernel's ipset."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from kactl_agent.kernel import ipset
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.ipset import Set
from kactl_agent.kernel.nfnetlink import NETLINK_NETFILTER

_REPLY_TIMEOUT = 2.0
_AT_A_TIME = 100  # messages of which the answers surely fit into the socket's buffer


class IpsetSocket:
    """`kactl_agent.kernel.iptables.SetsPort` on Linux. It is opened when it is first needed."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._sequence = 0

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, messages: Sequence[bytes]) -> None:
        """All of them, whatever becomes of each; the first refusal is raised."""
        first = 0
        for start in range(0, len(messages), _AT_A_TIME):
            for error, _body in self._ask(messages[start : start + _AT_A_TIME]):
                first = first or error
        if first:
            raise OSError(first, ipset.reason(first))

    def remove(self, unwanted: Sequence[Set]) -> None:
        if not unwanted:
            return
        for error, _body in self._ask([ipset.destroy(each) for each in unwanted]):
            if error and not ipset.is_missing(error):
                raise OSError(error, ipset.reason(error))

    def index(self, wanted: Set) -> int:
        ((error, body),) = self._ask([ipset.by_name(wanted)])
        found = None if error else ipset.decode_index(body)
        if found is None:
            raise OSError(error or 1, f"set {wanted.name}: {ipset.reason(error)}")
        return found

    def _ask(self, messages: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """The error (0 for none) and the answer's body of each."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
            self._socket.bind((0, 0))
            self._socket.settimeout(_REPLY_TIMEOUT)
        start = self._sequence + 1
        self._sequence += len(messages)
        for number, message in enumerate(messages):
            self._socket.send(nl.acknowledged(message, start + number))
        answers: dict[int, tuple[int, bytes]] = {}
        bodies: dict[int, bytes] = {}
        while len(answers) < len(messages):
            for answer in nl.messages(self._socket.recv(1 << 16)):
                if answer.type != nl.NLMSG_ERROR:
                    bodies[answer.sequence] = answer.body
                elif start <= answer.sequence < start + len(messages):
                    failure = nl.decode_failure(answer.body)
                    answers[answer.sequence] = (failure.error, bodies.get(answer.sequence, b""))
        return [answers[start + number] for number in range(len(messages))]

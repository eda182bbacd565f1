"""Many rtnetlink requests in one system call, and what the kernel answers to each."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.buffers import resize_receive_buffer
from kactl_agent.kernel.links import open_netlink
from kactl_agent.vrrp.network_settings import NetlinkBuffer

_REPLY_TIMEOUT = 2.0
_LARGEST_BUFFER = 1 << 16  # bytes a send carries, far below any socket's send buffer
_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
_NLMSGERR_ATTR_MSG = 1

T = TypeVar("T")


class Refusal(NamedTuple, Generic[T]):
    """One request the kernel did not carry out."""

    item: T
    type: int  # of the request
    error: int  # errno
    reason: str  # as an operator reads it, with the kernel's own sentence where it gives one


class RequestSocket:
    """Sends requests that were encoded before (sequence number 0, length a multiple of four) and collects the refusals.

    Methods raise OSError when the kernel cannot be asked.
    """

    def __init__(self) -> None:
        self._socket = open_netlink(_REPLY_TIMEOUT)
        with contextlib.suppress(OSError):  # Linux 4.12
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def resize_buffer(self, command: NetlinkBuffer) -> None:
        resize_receive_buffer(self._socket, command)

    def close(self) -> None:
        self._socket.close()

    def send(self, requests: Sequence[tuple[T, bytes]]) -> list[Refusal[T]]:
        """Carry the requests out in their order; as few system calls as buffers of 64 KiB allow."""
        refusals: list[Refusal[T]] = []
        start = size = 0
        for end, (_item, encoded) in enumerate(requests):
            if size and size + len(encoded) > _LARGEST_BUFFER:
                refusals += self._send(requests[start:end])
                start, size = end, 0
            size += len(encoded)
        if requests:
            refusals += self._send(requests[start:])
        return refusals

    def _send(self, requests: Sequence[tuple[T, bytes]]) -> list[Refusal[T]]:
        """One buffer. An error is answered with the request it belongs to; the end with an acknowledgement."""
        self._sequence += 1
        buffer = b"".join([encoded for _item, encoded in requests[:-1]])
        self._socket.send(buffer + nl.acknowledged(requests[-1][1], self._sequence))
        by_request: dict[tuple[int, bytes], T] = {}
        refusals: list[Refusal[T]] = []
        while True:
            for message in nl.messages(self._socket.recv(1 << 16)):
                if message.type != nl.NLMSG_ERROR:
                    continue
                error, request, sentence = _answer(message.body)
                if error:
                    by_request = by_request or {
                        (_HEADER.unpack_from(encoded)[1], encoded[_HEADER.size :]): item for item, encoded in requests
                    }
                    item = by_request.get((request.type, request.body), requests[-1][0])
                    reason = f"{nl.reason(error)} ({sentence})" if sentence else nl.reason(error)
                    refusals.append(Refusal(item, request.type, error, reason))
                if request.sequence == self._sequence:
                    return refusals


def _answer(body: bytes) -> tuple[int, nl.Message, str]:
    """The errno, the request it answers, and the kernel's sentence about it, of an NLMSG_ERROR's body."""
    error = -_ERROR.unpack_from(body)[0]
    length, kind, flags, sequence, _port = _HEADER.unpack_from(body, _ERROR.size)
    end = _ERROR.size + length
    request = nl.Message(kind, flags, sequence, body[_ERROR.size + _HEADER.size : end])
    if not error:
        return 0, request, ""
    sentence = nl.attributes(body, nl.align(end)).get(_NLMSGERR_ATTR_MSG, b"")
    return error, request, sentence.rstrip(b"\0").decode("utf-8", "replace").rstrip(".")

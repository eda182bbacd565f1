"""A socket filter (classic BPF, linux/filter.h) for notifications of routes: only those that may concern us wake us.

A router with a full table of the Internet announces hundreds of thousands of routes in seconds; none of them is worth a
turn of a timing loop.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Collection
from typing import NamedTuple

_SO_ATTACH_FILTER = 26
_TYPE, _FLAGS, _LENGTH, _PROTOCOL = 4, 6, 17, 21  # offsets in a message: nlmsghdr, then rtmsg
_NEWROUTE, _DELROUTE = 24, 25
_REPLACE = 0x100  # NLM_F_REPLACE

_LOAD_16, _LOAD_8 = 0x28, 0x30  # BPF_LD | BPF_ABS, a half-word or a byte
_IF_EQUAL, _IF_ANY_BIT = 0x15, 0x45  # BPF_JMP with a constant
_RETURN = 0x06
_EVERY_BYTE = 0xFFFF_FFFF
_SOCK_FILTER = struct.Struct("=HBBI")


class _Line(NamedTuple):
    """An instruction; jumps go to a label, "" is the next one."""

    code: int
    constant: int
    yes: str = ""
    no: str = ""
    label: str = ""


def route_filter(protocols: Collection[int], lengths: Collection[int]) -> bytes:
    """Lets through what is no route, routes of these protocols, and routes that replace another one and whose prefix
    has one of these lengths."""
    return _assemble(
        [
            _Line(_LOAD_16, _TYPE),
            _Line(_IF_EQUAL, _swapped(_NEWROUTE), yes="route"),
            _Line(_IF_EQUAL, _swapped(_DELROUTE), no="take"),
            _Line(_LOAD_8, _PROTOCOL, label="route"),
            *(_Line(_IF_EQUAL, protocol, yes="take") for protocol in sorted(protocols)),
            _Line(_LOAD_16, _FLAGS),
            _Line(_IF_ANY_BIT, _swapped(_REPLACE), no="drop"),
            _Line(_LOAD_8, _LENGTH),
            *(_Line(_IF_EQUAL, length, yes="take") for length in sorted(lengths)),
            _Line(_RETURN, 0, label="drop"),
            _Line(_RETURN, _EVERY_BYTE, label="take"),
        ]
    )


def _swapped(number: int) -> int:
    """A half-word of a message, which is in the machine's byte order, as a filter loads it: in that of the network."""
    return int.from_bytes(number.to_bytes(2, sys.byteorder), "big")


def _assemble(lines: list[_Line]) -> bytes:
    """The struct sock_filter array. Jumps count from the instruction behind."""
    places = {line.label: place for place, line in enumerate(lines) if line.label}

    def far(place: int, label: str) -> int:
        return places[label] - place - 1 if label else 0

    return b"".join(
        _SOCK_FILTER.pack(line.code, far(place, line.yes), far(place, line.no), line.constant)
        for place, line in enumerate(lines)
    )


def attach(sock: socket.socket, program: bytes) -> None:
    """Put the filter in the place of the socket's last one. Raises OSError."""
    instructions = ctypes.create_string_buffer(program, len(program))  # the kernel copies it
    length = len(program) // _SOCK_FILTER.size
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", length, ctypes.addressof(instructions)))

"""Events of the process connector: the layout of linux/cn_proc.h, and the kernel of this machine where it serves us."""

from __future__ import annotations

import os
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.kernel.proc_events import COMM, EXEC, EXIT, FORK, ProcEvent, ProcEvents, decode

UID = 0x4


def datagram(what: int, *data: int) -> bytes:
    body = struct.pack("=IIQ", what, 0, 12345) + struct.pack(f"={len(data)}I", *data)
    body = body.ljust(40, b"\0")
    message = struct.pack("=IIIIHH", 1, 1, 0, 0, len(body), 0) + body
    return struct.pack("=IHHII", 16 + len(message), 3, 0, 0, 0) + message


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (datagram(FORK, 10, 11, 12, 12), ProcEvent(FORK, 12, 11)),
        (datagram(FORK, 10, 10, 12, 10), None),  # a thread
        (datagram(EXEC, 12, 12), ProcEvent(EXEC, 12)),
        (datagram(EXEC, 13, 12), ProcEvent(EXEC, 12)),
        (datagram(COMM, 12, 12), ProcEvent(COMM, 12)),
        (datagram(COMM, 13, 12), None),  # the name of a thread
        (datagram(EXIT, 12, 12, 0, 17), ProcEvent(EXIT, 12)),
        (datagram(EXIT, 13, 12, 0, 17), None),
        (datagram(UID, 12, 12, 0, 0), None),
        (datagram(0, 0), None),  # the answer to our request
        (b"", None),
    ],
)
def test_layout(data: bytes, event: ProcEvent | None) -> None:
    assert decode(data) == event


@given(st.binary(max_size=120))
def test_whatever_comes_is_an_event_or_none(data: bytes) -> None:
    decode(data)


def test_the_kernel_tells_of_a_process_of_ours() -> None:
    try:
        events = ProcEvents()
    except OSError as error:
        pytest.skip(f"no process connector: {error}")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    found: list[ProcEvent] = []
    deadline = time.monotonic() + 5
    while ProcEvent(EXIT, pid) not in found:
        assert time.monotonic() < deadline, found
        found += events.events(64)
        time.sleep(0.002)
    events.close()
    assert ProcEvent(FORK, pid, os.getpid()) in found

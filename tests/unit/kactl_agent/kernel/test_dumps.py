"""Lists of what there is: read to their end, and again when the kernel says that they may lack something."""

from __future__ import annotations

import errno
import struct

import pytest

from kactl_agent.kernel import dumps
from kactl_agent.kernel import rtnetlink as nl

REQUEST = nl.encode_dump(nl.RTM_GETADDR, 7)
INTERRUPTED = nl.NLM_F_DUMP_INTR


class Kernel:
    """Answers each request with the next of its lists, one datagram after the other."""

    def __init__(self, *lists: list[bytes]) -> None:
        self._lists = list(lists)
        self._datagrams: list[bytes] = []
        self.asked = 0

    def send(self, data: bytes, /) -> int:
        assert data == REQUEST
        self.asked += 1
        self._datagrams += self._lists.pop(0)
        return len(data)

    def recv(self, size: int, /) -> bytes:
        return self._datagrams.pop(0)


def listed(*bodies: bytes, flags: int = 0, sequence: int = 7) -> bytes:
    return b"".join(nl.align_message(nl.encode_message(nl.RTM_NEWADDR, flags, sequence, body)) for body in bodies)


def done(flags: int = 0) -> bytes:
    return nl.encode_message(nl.NLMSG_DONE, flags, 7, b"\0" * 4)


def error(number: int) -> bytes:
    return nl.encode_message(nl.NLMSG_ERROR, 0, 7, struct.pack("=i", -number) + REQUEST[: nl.HEADER_SIZE])


def test_a_list_is_read_to_its_end() -> None:
    kernel = Kernel([listed(b"one.", b"two."), listed(b"old.", sequence=6), listed(b"last") + done()])
    found = dumps.read(kernel, REQUEST, (), lambda message: message.body != b"two.")
    assert [message.body for message in found.messages] == [b"one.", b"last"]
    assert found.whole
    assert kernel.asked == 1


@pytest.mark.parametrize("where", ["message", "end"])
def test_a_list_that_something_changed_in_is_asked_for_again(where: str) -> None:
    in_message, at_end = (INTERRUPTED, 0) if where == "message" else (0, INTERRUPTED)
    torn = [listed(b"one."), listed(b"thr.", flags=in_message), done(at_end)]
    kernel = Kernel(torn, torn, [listed(b"one.", b"two."), listed(b"thr.") + done()])
    found = dumps.read(kernel, REQUEST, ())
    assert [message.body for message in found.messages] == [b"one.", b"two.", b"thr."]
    assert found.whole
    assert kernel.asked == 3


def test_one_that_changes_all_the_time_is_not_said_to_be_whole() -> None:
    kernel = Kernel(*[[listed(b"one.", flags=INTERRUPTED) + done()]] * 9)
    found = dumps.read(kernel, REQUEST, ())
    assert [message.body for message in found.messages] == [b"one."]
    assert not found.whole
    assert kernel.asked == 5


def test_what_the_kernel_does_not_have_is_nothing_and_other_refusals_are_raised() -> None:
    assert dumps.read(Kernel([error(errno.EOPNOTSUPP)]), REQUEST, {errno.EOPNOTSUPP}) == dumps.Dump([], True)
    with pytest.raises(OSError, match="EPERM"):
        dumps.read(Kernel([error(errno.EPERM)]), REQUEST, {errno.EOPNOTSUPP})

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Container, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.kernel.sendmmsg import send_each, send_many, send_together

FULL = frozenset({errno.EAGAIN})
Send = Callable[[socket.socket, Sequence[bytes], Container[int]], int]
WAYS: list[Send] = [send_many, send_each, *([send_together] if sys.maxsize > 1 << 32 else [])]
each_way = pytest.mark.parametrize("send", WAYS)


def pair() -> tuple[socket.socket, socket.socket]:
    """Datagrams between two ends, each bounded by what waits to be read."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.setblocking(False)
    two.setblocking(False)
    return one, two


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = pair()
    with one, two:
        yield one, two


@each_way
@given(datagrams=st.lists(st.binary(max_size=100), max_size=8))
def test_datagrams_arrive_whole_and_in_order(send: Send, datagrams: list[bytes]) -> None:
    one, two = pair()
    with one, two:
        assert send(one, datagrams, FULL) == 0
        assert [two.recv(200) for _ in datagrams] == datagrams
        with pytest.raises(BlockingIOError):
            two.recv(200)


@each_way
def test_more_than_one_system_call_takes(send: Send) -> None:
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sender.connect(receiver.getsockname())
        room = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 1024  # what a small datagram takes at most
        datagrams = [number.to_bytes(4, "big") for number in range(min(2500, room))]
        assert send(sender, datagrams, FULL) == 0
        assert [receiver.recv(10) for _ in datagrams] == datagrams


@each_way
def test_what_finds_the_queue_full_is_counted_and_passed_over(
    send: Send, ends: tuple[socket.socket, socket.socket]
) -> None:
    one, two = ends
    datagrams = [bytes([number % 256]) * 10 for number in range(2000)]
    unsent = send(one, datagrams, FULL)
    arrived = []
    while True:
        try:
            arrived.append(two.recv(100))
        except BlockingIOError:
            break
    assert unsent > 0
    assert arrived == datagrams[: 2000 - unsent]


@each_way
def test_other_errors_are_raised(send: Send, ends: tuple[socket.socket, socket.socket]) -> None:
    one, two = ends
    two.close()
    with pytest.raises(ConnectionRefusedError):
        send(one, [b"x"], FULL)
    one, two = pair()
    with one, two, pytest.raises(BlockingIOError):
        send(one, [b"x"] * 5000, frozenset())

"""The filter against the kernel's own interpreter of such programs, on messages as they come."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.route_filter import attach, route_filter
from kactl_agent.kernel.routes import RTM_DELROUTE, RTM_NEWROUTE, encode_new_route
from kactl_agent.kernel.rules import RTM_DELRULE
from kactl_agent.vrrp.routing import VirtualRoute
from support.routing import hop, route

REPLACE = 0x100


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """What is sent into the first arrives at the second, if its filter lets it through."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    yield sender, receiver
    sender.close()
    receiver.close()


def message(kind: int, item: VirtualRoute, flags: int = 0) -> bytes:
    body = encode_new_route(item, {"eth0": 3}, item.table)[nl.HEADER_SIZE :]
    return nl.encode_message(kind, flags, 1, body)


OURS = route("10.1.0.0/16", hop("", "eth0"))
THEIRS = route("10.1.0.0/16", hop("", "eth0"), protocol=186)
ELSEWHERE = route("10.1.0.0/24", hop("", "eth0"), protocol=186)


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        (message(RTM_NEWROUTE, OURS), True),
        (message(RTM_DELROUTE, OURS), True),
        (message(RTM_NEWROUTE, THEIRS), False),
        (message(RTM_DELROUTE, THEIRS), False),
        (message(RTM_NEWROUTE, THEIRS, REPLACE), True),  # it may have taken the place of ours
        (message(RTM_NEWROUTE, ELSEWHERE, REPLACE), False),
        (message(RTM_DELRULE, THEIRS), True),
        (message(nl.RTM_NEWLINK, THEIRS), True),
        (message(nl.RTM_DELADDR, THEIRS), True),
    ],
)
def test_what_passes(ends: tuple[socket.socket, socket.socket], data: bytes, passes: bool) -> None:
    sender, receiver = ends
    attach(receiver, route_filter({18, 4}, {16, 48}))
    sender.send(data)
    if passes:
        assert receiver.recv(4096) == data
    else:
        with pytest.raises(BlockingIOError):
            receiver.recv(4096)


def test_a_filter_takes_the_place_of_the_last_one(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = ends
    attach(receiver, route_filter({18}, ()))
    attach(receiver, route_filter({186}, ()))
    sender.send(message(RTM_NEWROUTE, OURS))
    sender.send(message(RTM_NEWROUTE, THEIRS))
    assert receiver.recv(4096) == message(RTM_NEWROUTE, THEIRS)


def test_every_prefix_length_there_is_fits(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = ends
    attach(receiver, route_filter(range(20), range(129)))
    sender.send(message(RTM_NEWROUTE, ELSEWHERE, REPLACE))
    assert receiver.recv(4096)

"""The machine in memory keeps the promises of the ports."""

from __future__ import annotations

import select

import pytest

from kactl_agent.kernel.fake import FakeKernel, FakeLan
from kactl_agent.kernel.ports import Kernel
from kactl_agent.vrrp.settings import Family, VirtualAddress

GROUP = bytes((224, 0, 0, 18))
VIP = VirtualAddress(bytes((192, 0, 2, 10)), 24, "eth0")


def node(lan: FakeLan) -> FakeKernel:
    kernel = FakeKernel(lan)
    kernel.links.add_link("eth0")
    return kernel


def test_it_is_a_kernel() -> None:
    kernel: Kernel = FakeKernel()
    kernel.close()


def test_messages_reach_the_other_members_of_the_group() -> None:
    lan = FakeLan()
    kernels = [node(lan) for _ in range(3)]
    sockets = [k.vrrp_sockets.open(k.links.link("eth0"), Family.IPV4, (GROUP,), 112) for k in kernels]
    six = kernels[1].vrrp_sockets.open(kernels[1].links.link("eth0"), Family.IPV6, (GROUP,), 112)
    kernels[2].links.set_up("eth0", False)
    assert not select.select([sockets[1]], [], [], 0)[0]
    sockets[0].send(b"x", b"\1\1\1\1", GROUP, 255)
    assert select.select([sockets[1]], [], [], 0)[0]
    payload, meta = sockets[1].receive()
    assert (payload, meta.source, meta.ttl) == (b"x", b"\1\1\1\1", 255)
    assert [sock.receive() for sock in (sockets[0], sockets[1], sockets[2], six)] == [None] * 4
    assert not select.select([sockets[1]], [], [], 0)[0]
    for sock in (*sockets, six):
        sock.close()


def test_unicast_reaches_who_has_the_address() -> None:
    lan = FakeLan()
    one, two = node(lan), node(lan)
    two.links.add_address("eth0", b"\2\2\2\2", 24)
    sender, receiver = (k.vrrp_sockets.open(k.links.link("eth0"), Family.IPV4, (), 112) for k in (one, two))
    sender.send(b"x", b"\1\1\1\1", b"\2\2\2\2", 64)
    sender.send(b"y", b"\1\1\1\1", b"\3\3\3\3", 64)
    assert receiver.receive()[0] == b"x"
    assert receiver.receive() is None


def test_changes_are_notified_once() -> None:
    kernel = node(FakeLan())
    assert kernel.links.drain()
    assert not kernel.links.drain()
    assert kernel.addresses.apply((), (VIP,), kernel.links) == []
    assert kernel.links.has(VIP)
    assert kernel.links.drain()
    assert kernel.addresses.apply((VIP,), (), kernel.links) == []
    assert not kernel.links.has(VIP)


def test_failures_are_as_told() -> None:
    kernel = node(FakeLan())
    kernel.failing = {"add", "open", "frames"}
    (failure,) = kernel.addresses.apply((), (VIP,), kernel.links)
    assert failure.address == VIP
    with pytest.raises(OSError):
        kernel.vrrp_sockets.open(kernel.links.link("eth0"), Family.IPV4, (), 112)
    with pytest.raises(OSError):
        kernel.frames.send("eth0", [b"x"])
    kernel.failing = set()
    missing = VirtualAddress(VIP.address, 24, "eth9")
    (failure,) = kernel.addresses.apply((), (missing,), kernel.links)
    assert "eth9" in failure.reason

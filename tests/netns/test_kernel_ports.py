"""The Linux ports against a real kernel, iproute2 as the witness."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kactl_agent.kernel import dumps
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.links import NetlinkLinks
from kactl_agent.kernel.linux import LinuxKernel
from kactl_agent.kernel.rtnetlink import IFA_F_NODAD
from kactl_agent.vrrp.network_settings import NetlinkBuffer
from kactl_agent.vrrp.settings import Family, VirtualAddress
from support.agents import SLACK
from support.netns import Network, inside, ip, network, wait_for

pytestmark = pytest.mark.root

GROUP4 = bytes((224, 0, 0, 18))
GROUP6 = socket.inet_pton(socket.AF_INET6, "ff02::12")


def v4(text: str, prefix: int = 24, **more: Any) -> VirtualAddress:
    return VirtualAddress(socket.inet_aton(text), prefix, "eth0", **more)


def v6(text: str, prefix: int = 64, **more: Any) -> VirtualAddress:
    return VirtualAddress(socket.inet_pton(socket.AF_INET6, text), prefix, "eth0", **more)


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


@pytest.fixture
def kernel(net: Network) -> Iterator[LinuxKernel]:
    with inside(net.nodes[0].namespace):
        kernel = LinuxKernel()
    yield kernel
    kernel.close()


def test_links_and_addresses_as_iproute2_shows_them(kernel: LinuxKernel, net: Network) -> None:
    node = net.nodes[0]
    (shown,) = json.loads(ip("-j", "addr", "show", "dev", "eth0", namespace=node.namespace))
    link = kernel.links.link("eth0")
    assert link is not None
    assert (link.index, link.mtu, link.hardware_address.hex(":")) == (
        shown["ifindex"], shown["mtu"], shown["address"],
    )  # fmt: skip
    assert link.up
    assert {a.address for a in kernel.links.addresses("eth0")} == {
        socket.inet_aton(node.ipv4),
        socket.inet_pton(socket.AF_INET6, node.link_local),
    }


def test_hosts_of_any_interface(kernel: LinuxKernel, net: Network) -> None:
    assert kernel.links.has_host(socket.inet_aton(net.nodes[0].ipv4))
    assert kernel.links.has_host(socket.inet_aton("127.0.0.1"))
    assert not kernel.links.has_host(socket.inet_aton(net.nodes[1].ipv4))


def test_addresses_come_and_go_in_one_call(kernel: LinuxKernel, net: Network) -> None:
    node = net.nodes[0]
    wanted = (
        v4("192.0.2.10", label="eth0:1"),
        v4("192.0.2.11", 32),
        v6("2001:db8::10", 128, flags=IFA_F_NODAD, preferred_lifetime=0),
    )
    assert kernel.addresses.apply((), wanted, kernel.links) == []
    (shown,) = json.loads(ip("-j", "-d", "addr", "show", "dev", "eth0", namespace=node.namespace))
    by_text = {info["local"]: info for info in shown["addr_info"]}
    assert by_text["192.0.2.10"]["label"] == "eth0:1"
    assert by_text["192.0.2.11"]["prefixlen"] == 32
    assert by_text["2001:db8::10"]["nodad"] is True
    assert by_text["2001:db8::10"]["deprecated"] is True
    assert kernel.addresses.apply((), wanted, kernel.links) == [], "what is there already is no failure"
    assert kernel.links.drain()
    assert all(kernel.links.has(address) for address in wanted)
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 18):
        ours = {entry.address for entry in kernel.links.addresses("eth0") if entry.protocol == 18}
        assert ours == {address.address for address in wanted}
    assert kernel.addresses.apply(wanted, (), kernel.links) == []
    assert kernel.addresses.apply(wanted, (), kernel.links) == [], "what is gone already is no failure"
    assert kernel.links.drain()
    assert not any(kernel.links.has(address) for address in wanted)
    assert not node.has("192.0.2.10/24")


def test_a_refusal_names_the_address(kernel: LinuxKernel) -> None:
    bad = v4("192.0.2.12", label="wrong:1" * 4)
    good = v4("192.0.2.13")
    missing = VirtualAddress(good.address, 24, "nosuch0")
    failures = kernel.addresses.apply((), (bad, good, missing), kernel.links)
    assert {failure.address for failure in failures} == {bad, missing}
    kernel.links.drain()
    assert kernel.links.has(good)
    kernel.addresses.apply((good,), (), kernel.links)


def test_500_addresses_are_fast(kernel: LinuxKernel) -> None:
    many = tuple(VirtualAddress(bytes((10, 9, n // 250, n % 250)), 32, "eth0") for n in range(500))
    kernel.addresses.prepare(many, kernel.links)
    started = time.thread_time()  # of the processor: what others take of it is none of ours
    assert kernel.addresses.apply((), many, kernel.links) == []
    seconds = time.thread_time() - started
    kernel.links.drain()
    assert all(kernel.links.has(address) for address in many)
    assert kernel.addresses.apply(many, (), kernel.links) == []
    kernel.links.drain()
    assert seconds < 0.25, "pyroute2 takes about 0.34 s, one buffer about 0.005 s"
    print(f"500 addresses: {seconds * 1000:.1f} ms")


def test_changes_by_others_are_noticed(kernel: LinuxKernel, net: Network) -> None:
    node = net.nodes[0]
    ip("addr", "add", "192.0.2.77/32", "dev", "eth0", namespace=node.namespace)
    assert kernel.links.drain()
    assert kernel.links.has(v4("192.0.2.77", 32))
    ip("link", "add", "extra7", "type", "veth", "peer", "name", "extra7p", namespace=node.namespace)
    kernel.links.drain()
    link = kernel.links.link("extra7")
    assert link is not None
    assert not link.up
    ip("link", "set", "extra7", "name", "extra8", namespace=node.namespace)
    kernel.links.drain()
    assert kernel.links.link("extra7") is None
    assert kernel.links.link("extra8") is not None
    ip("link", "del", "extra8", namespace=node.namespace)
    ip("addr", "del", "192.0.2.77/32", "dev", "eth0", namespace=node.namespace)
    kernel.links.drain()
    assert kernel.links.link("extra8") is None
    assert not kernel.links.has(v4("192.0.2.77", 32))


def test_lost_notifications_lead_to_a_new_look(net: Network) -> None:
    node = net.nodes[0]
    with inside(node.namespace):
        small = LinuxKernel()
        small.links._monitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        many = tuple(VirtualAddress(bytes((10, 8, 0, n)), 32, "eth0") for n in range(200))
        assert small.addresses.apply((), many, small.links) == []
        assert small.links.drain()
        assert all(small.links.has(address) for address in many)
        assert small.addresses.apply(many, (), small.links) == []
        assert small.links.drain()
        assert not any(small.links.has(address) for address in many)
        small.close()


def test_a_list_of_addresses_that_lacked_some_is_read_again_with_the_next_change(
    net: Network, kernel: LinuxKernel
) -> None:
    node = net.nodes[0]

    class Reader:
        torn = True

        def __call__(self, sock: dumps.DumpSocket, request: bytes, absent: Container[int]) -> dumps.Dump:
            found = dumps.read(sock, request, absent)
            if self.torn and any(message.type == nl.RTM_NEWADDR for message in found.messages):
                return dumps.Dump([], False)
            return found

    with inside(node.namespace):
        reader = Reader()
        links = NetlinkLinks(reader)
        assert not links.addresses("eth0")
        reader.torn = False
        ip("link", "set", "lo", "mtu", "65535", namespace=node.namespace)
        wait_for(links.drain, SLACK, "something to be told")
    assert set(links.addresses("eth0")) == set(kernel.links.addresses("eth0"))
    assert not links.drain()
    links.close()


def test_an_address_is_gone_when_two_lists_lack_it(net: Network) -> None:
    class Reader:
        lacking = 0

        def __call__(self, sock: dumps.DumpSocket, request: bytes, absent: Container[int]) -> dumps.Dump:
            found = dumps.read(sock, request, absent)
            if self.lacking and any(message.type == nl.RTM_NEWADDR for message in found.messages):
                self.lacking -= 1
                return dumps.Dump([], True)
            return found

    with inside(net.nodes[0].namespace):
        reader = Reader()
        links = NetlinkLinks(reader)
        known = links.addresses("eth0")
        assert known
        for lists, expected in ((1, known), (2, ())):
            reader.lacking = lists
            links._resynchronise()
            assert tuple(links.addresses("eth0")) == tuple(expected)
        links.close()


def test_two_lists_that_lack_an_address_are_not_believed_when_they_differ(net: Network) -> None:
    """Both were torn, each by another address that went."""

    class Reader:
        lacking: ClassVar[list[set[int]]] = []  # families that a list does not have

        def __call__(self, sock: dumps.DumpSocket, request: bytes, absent: Container[int]) -> dumps.Dump:
            found = dumps.read(sock, request, absent)
            if self.lacking and any(message.type == nl.RTM_NEWADDR for message in found.messages):
                families = self.lacking.pop(0)
                return dumps.Dump([each for each in found.messages if each.body[0] not in families], True)
            return found

    with inside(net.nodes[0].namespace):
        reader = Reader()
        links = NetlinkLinks(reader)
        known = set(links.addresses("eth0"))
        assert {len(each.address) for each in known} == {4, 16}
        reader.lacking += [{socket.AF_INET}, {socket.AF_INET, socket.AF_INET6}, set()]
        links._resynchronise()
        assert set(links.addresses("eth0")) == known
        assert links.drain(), "it is not sure, and reads once more"
        assert not links.drain()
        assert set(links.addresses("eth0")) == known
        reader.lacking += [{socket.AF_INET}, {socket.AF_INET}]
        links._resynchronise()
        assert {len(each.address) for each in links.addresses("eth0")} == {16}
        assert not links.drain()
        links.close()


def test_addresses_are_found_while_others_go(net: Network, kernel: LinuxKernel) -> None:
    """The kernel lists them in parts: what goes out of the first ones moves up what is in the next, past the reader."""
    node = net.nodes[0]
    ip("link", "add", "a0", "type", "veth", "peer", "name", "b0", namespace=node.namespace)
    fleeting, lasting = (
        [VirtualAddress(bytes((10, k, n // 250, n % 250)), 32, "a0") for n in range(2000)] for k in (6, 7)
    )
    kernel.links.drain()
    reads = 0
    for _ in range(5):
        assert kernel.addresses.apply((), [*fleeting, *lasting], kernel.links) == []
        command = ["ip", "-n", node.namespace, "-batch", "-"]
        churn = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert churn.stdin is not None
        there = True
        with inside(node.namespace):
            links = NetlinkLinks()  # before it begins, which is with the first line
            churn.stdin.write("".join(f"addr del 10.6.{n // 250}.{n % 250}/32 dev a0\n" for n in range(2000)))
            churn.stdin.close()
            while churn.poll() is None:
                links._resynchronise()
                reads += 1
                there = not links._whole or all(links.has(address) for address in lasting)
                if not there:
                    break
        churn.wait()
        links.close()
        assert there
        assert churn.returncode == 0
        assert kernel.addresses.apply(lasting, (), kernel.links) == []
    assert reads
    ip("link", "del", "a0", namespace=node.namespace)


def test_ipv6_forwarding_is_followed(kernel: LinuxKernel, net: Network) -> None:
    def set_forwarding(value: str) -> None:
        command = ("sh", "-c", f"echo {value} > /proc/sys/net/ipv6/conf/eth0/forwarding")
        assert net.nodes[0].run(*command).wait() == 0

    set_forwarding("1")
    kernel.links.drain()
    assert kernel.links.forwarding("eth0")
    set_forwarding("0")
    kernel.links.drain()
    assert not kernel.links.forwarding("eth0")


@pytest.mark.parametrize("family", list(Family))
def test_vrrp_messages_travel(net: Network, family: Family) -> None:
    one, two = net.nodes
    group = GROUP4 if family is Family.IPV4 else GROUP6
    sockets = []
    for node in (one, two, one):
        with inside(node.namespace):
            kernel = LinuxKernel()
            link = kernel.links.link("eth0")
            assert link is not None
            sockets.append(kernel.vrrp_sockets.open(link, family, (group,), 112))
            kernel.close()
    sender, receiver, neighbour = sockets
    if family is Family.IPV4:
        source = socket.inet_aton(one.ipv4)
        payload = bytes.fromhex("21336401000100000a000001") + b"\0" * 8
    else:
        source = socket.inet_pton(socket.AF_INET6, one.link_local)
        payload = bytes.fromhex("3133640100640000") + GROUP6
    try:
        sender.send(payload, source, group, 255)
        received, meta = wait_for(receiver.receive, SLACK, "the advert on the other node")
        assert (meta.source, meta.destination, meta.ttl, meta.interface) == (source, group, 255, "eth0")
        assert received[:6] == payload[:6]
        assert len(received) == len(payload)
        if family is Family.IPV6:
            assert meta.checksum_verified
            assert received[6:8] != b"\0\0", "the kernel fills the checksum in"
        assert sender.receive() is None, "no echo to the sender"
        assert neighbour.receive() is None, "no echo to its machine"
        sender.send(payload, source, group, 7)
        _received, meta = wait_for(receiver.receive, SLACK, "the advert on the other node")
        assert meta.ttl == 7
    finally:
        for sock in sockets:
            sock.close()


def test_frames_go_out_in_a_burst(net: Network, kernel: LinuxKernel) -> None:
    with inside(net.nodes[1].namespace):
        witness = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
    witness.settimeout(SLACK)
    witness.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    link = kernel.links.link("eth0")
    assert link is not None
    frames = [b"\xff" * 6 + link.hardware_address + b"\x88\xb5" + n.to_bytes(2, "big") * 23 for n in range(500)]
    with inside(net.nodes[1].namespace):
        witness.bind(("eth0", 0x88B5))
    started = time.perf_counter()
    assert kernel.frames.send("eth0", frames) == 0
    print(f"500 frames: {(time.perf_counter() - started) * 1000:.1f} ms")
    assert [witness.recv(100) for _ in frames] == frames
    with pytest.raises(OSError):
        kernel.frames.send("nosuch0", frames)
    assert kernel.frames.send("lo", frames[:1]) == 0
    assert kernel.frames.send("eth0", frames[1:2]) == 0
    assert witness.recv(100) == frames[1], "each burst leaves by its own interface"
    ip("link", "set", "eth0", "down", namespace=net.nodes[0].namespace)
    with pytest.raises(OSError):
        kernel.frames.send("eth0", frames)
    ip("link", "set", "eth0", "up", namespace=net.nodes[0].namespace)
    wait_for(lambda: forwards(net, "port1"), SLACK, "the bridge has seen that its port is up again")
    assert kernel.frames.send("eth0", frames[:1]) == 0
    assert witness.recv(100) == frames[0], "the interface has come back"
    witness.close()


def forwards(net: Network, port: str) -> bool:
    """Whether the bridge passes what comes in there, which the kernel sees to some time after the link is up."""
    (link,) = json.loads(ip("-j", "-d", "link", "show", port, namespace=net._bridge))
    return bool(link["linkinfo"]["info_slave_data"]["state"] == "forwarding")


def test_receive_buffers_of_netlink(kernel: LinuxKernel) -> None:
    """As 2.2.7 sets them: SO_RCVBUF within net.core.rmem_max, SO_RCVBUFFORCE where it is forced. Linux says twice."""
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    before = buffer_of(kernel.links.fileno())
    kernel.resize_buffers(NetlinkBuffer(), NetlinkBuffer())
    assert buffer_of(kernel.links.fileno()) == before
    kernel.resize_buffers(NetlinkBuffer(8192), NetlinkBuffer(2 * limit, force=True))
    assert buffer_of(kernel.links.fileno()) == buffer_of(kernel.routing.fileno()) == 4 * limit
    kernel.resize_buffers(NetlinkBuffer(8192), NetlinkBuffer(2 * limit))
    assert buffer_of(kernel.links.fileno()) == 2 * limit


def buffer_of(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

"""Sockets of instances over a fake machine: who hears what, with which buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kactl_agent.kernel.fake import FakeKernel, FakeVrrpSocket
from kactl_agent.kernel.ports import VrrpSocket
from kactl_agent.runtime.vrrp_places import Places
from kactl_agent.vrrp.actions import PacketMeta, Report
from kactl_agent.vrrp.settings import Family, VrrpSettings

PEER, HERE, THERE = bytes((10, 0, 0, 9)), bytes((10, 0, 0, 1)), bytes((10, 0, 1, 1))
GROUP = bytes((224, 0, 0, 18))


def settings(name: str, vrid: int = 51, interface: str = "eth0", **more: Any) -> VrrpSettings:
    values: dict[str, Any] = {"version": 3, "family": Family.IPV4, "priority": 100} | more
    return VrrpSettings(name=name, interface=interface, virtual_router_id=vrid, **values)


class Bench:
    def __init__(self) -> None:
        self.kernel = FakeKernel()
        for name in ("eth0", "eth1"):
            self.kernel.links.add_link(name)
        self.watched: dict[VrrpSocket, Callable[[], None]] = {}
        self.heard: list[tuple[str, bytes]] = []
        self.reports: list[Report] = []
        self.places = Places(self.kernel, self, self._receive, self.reports.append)

    def watch(self, sock: VrrpSocket, readable: Callable[[], None]) -> None:
        self.watched[sock] = readable

    def unwatch(self, sock: VrrpSocket) -> None:
        del self.watched[sock]

    def _receive(self, name: str, data: bytes, _meta: PacketMeta) -> None:
        self.heard.append((name, data))

    def open(self, *instances: VrrpSettings) -> list[FakeVrrpSocket]:
        for each in instances:
            self.places.add(each)
        self.places.open()
        return [sock for sock in self.kernel.vrrp_sockets.opened if not sock.closed]

    def deliver(self, sock: FakeVrrpSocket, vrid: int, destination: bytes = GROUP) -> None:
        sock.push(bytes((0x31, vrid, 100, 0, 0, 100, 0, 0)), PacketMeta(PEER, destination, 255, sock.interface))
        self.watched[sock]()


def test_each_instance_hears_its_own_virtual_router() -> None:
    bench = Bench()
    (sock,) = bench.open(settings("A", 1), settings("B", 2))
    bench.deliver(sock, 2)
    assert [name for name, _ in bench.heard] == ["B"]
    bench.deliver(sock, 3)
    assert bench.reports == [], "others are nobody's business"


def test_a_virtual_router_nobody_here_is_can_be_logged_once() -> None:
    bench = Bench()
    bench.places.log_unknown = True
    (sock,) = bench.open(settings("A", 1))
    for vrid in (9, 9, 10, 1):
        bench.deliver(sock, vrid)
    assert [report.detail for report in bench.reports] == [
        f"advert of virtual router {vrid}, which nobody here is, on eth0 from 10.0.0.9" for vrid in (9, 10)
    ]


def test_instances_without_interface_share_a_socket_and_hear_what_was_sent_to_them() -> None:
    bench = Bench()
    sockets = bench.open(
        settings("A", interface="", source_address=HERE, unicast_peers=(PEER,)),
        settings("B", interface="", source_address=THERE, unicast_peers=(PEER,)),
        settings("C", interface="", vrf="eth1", source_address=HERE, unicast_peers=(PEER,)),
    )
    assert [sock.interface for sock in sockets] == ["", "eth1"]
    assert all(sock.groups == frozenset() for sock in sockets)
    bench.deliver(sockets[0], 51, THERE)
    bench.deliver(sockets[0], 51, bytes((10, 0, 2, 1)))
    bench.deliver(sockets[1], 51, HERE)
    assert [name for name, _ in bench.heard] == ["B", "C"]


def test_receive_buffers_add_up_and_follow_the_settings() -> None:
    """2.2.7: `Rx buf size = 9500` for one instance of 5000 bytes and one of three times an MTU of 1500."""
    bench = Bench()
    first, second = settings("A", 1, receive_buffer=5000), settings("B", 2, receive_buffer_mtus=3)
    (sock,) = bench.open(first, second)
    assert sock.receive_buffer == 9500
    bench.places.remove(second)
    bench.places.forget_empty()
    (other,) = bench.open()
    assert (other.receive_buffer, sock.closed) == (5000, True)
    bench.places.open()
    assert not other.closed


def test_a_socket_that_cannot_be_opened_is_reported_once() -> None:
    bench = Bench()
    bench.kernel.failing = {"open"}
    bench.open(settings("A", interface="", source_address=HERE, unicast_peers=(PEER,)))
    bench.places.open()
    assert [report.detail for report in bench.reports] == [
        "no VRRP over ipv4 on any interface: Operation not permitted (open)"
    ]
    assert bench.places.failing

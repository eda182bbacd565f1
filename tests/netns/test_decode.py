"""kactl decode on interfaces of a LAN: what agents send each other, as an agent beside them would take it."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kactl_agent.bfd.packet import encode
from support.agents import SLACK, START, Agent, agents, instance
from support.bfd import packet
from support.netns import Node, inside, ip, network, wait_for

pytestmark = pytest.mark.root

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x1, 0x1000
SYNC_GROUP, SYNC_PORT = "224.0.0.81", 8848


class Listener:
    """`kactl decode INTERFACE --live`; `seen` is what it has said so far."""

    def __init__(self, node: Node, interface: str, *options: str) -> None:
        command = [sys.executable, "-m", "kactl", "decode", interface, "--live", "--output", "json", *options]
        self.process = node.run(*command, stdout=subprocess.PIPE, text=False)
        self.seen: list[dict[str, Any]] = []
        self._unfinished = b""  # a line whose end has not come yet

    def wait(self, enough: Callable[[list[dict[str, Any]]], bool], meanwhile: Callable[[], None] | None = None) -> None:
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()  # past the buffer of the file, in which lines would wait unseen
        deadline = time.monotonic() + START + SLACK
        while not enough(self.seen):
            assert time.monotonic() < deadline, self.seen
            if meanwhile is not None:
                meanwhile()
            if select.select([output], [], [], 0.2)[0]:
                data = os.read(output, 1 << 16)
                assert data, f"it has ended: {self.seen}"
                *lines, self._unfinished = (self._unfinished + data).split(b"\n")
                self.seen += map(json.loads, lines)


@contextmanager
def listening(node: Node, interface: str, *options: str) -> Iterator[Listener]:
    listener = Listener(node, interface, *options)
    try:
        yield listener
    finally:
        listener.process.send_signal(signal.SIGINT)
        listener.process.communicate(timeout=START)


def heard(backup: Agent) -> bool:
    """Whether it follows a master."""
    status = backup.status()
    found = status["vrrp"]["instances"].get("VI_1", {}) if status else {}
    return found.get("state") == "BACKUP" and bool(found["master"])


def of(seen: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in seen if each["kind"].startswith(kind)]


def sync_message() -> bytes:
    """Version 1, of one TCP connection."""
    addresses = bytes((10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 3))
    connection = struct.pack("!BBHIHHHHII", 0, 6, 36, 0x100, 7, 40000, 80, 8080, 0, 900) + addresses
    return struct.pack("!BBHBBH", 0, 51, 8 + len(connection), 1, 1, 0) + connection


def test_what_agents_on_a_lan_send(tmp_path: Path) -> None:
    with network(2) as net:
        one, other = net.nodes
        fast = {"min_tx": 50, "min_rx": 50, "multiplier": 5}
        configurations = [
            instance(version=3, advert_int=0.5, priority=priority, virtual_ipaddress=["198.51.100.77/24"])
            | {"bfd_instance": {"b1": {"neighbor_ip": neighbor.ipv4, **fast}}}
            for priority, neighbor in ((200, other), (100, one))
        ]
        configurations[1]["global_defs"] = {"lvs_sync_daemon": {"interface": "eth0", "id": 51}}
        judged = tmp_path / "judged.yaml"
        judged.write_text(yaml.safe_dump(configurations[1]))
        del configurations[1]["global_defs"]
        running = [
            Agent(node, tmp_path / f"{number}", configuration)
            for number, (node, configuration) in enumerate(zip(net.nodes, configurations, strict=True))
        ]
        with inside(one.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(one.ipv4))

            def synchronise() -> None:
                sender.sendto(sync_message(), (SYNC_GROUP, SYNC_PORT))

            with agents(*running):
                running[0].wait_state("MASTER", START)
                wait_for(lambda: heard(running[1]), START, "the other one is no master, if it was")
                with listening(other, "eth0", "--config", str(judged)) as listener:
                    listener.wait(
                        lambda seen: (
                            len(of(seen, "VRRPv3")) >= 3
                            and {"Up"} == {each["state"] for each in of(seen, "BFD")[-4:]}
                            and bool(of(seen, "IPVS sync"))
                        ),
                        synchronise,
                    )
    adverts = of(listener.seen, "VRRPv3")
    assert {(each["source"], each["priority"], each["subject"]) for each in adverts} == {
        (one.ipv4, 200, "vrrp_instance VI_1")
    }
    assert all(each["accepted"] for each in adverts)
    theirs = [each for each in of(listener.seen, "BFD") if each["source"] == one.ipv4]
    assert theirs
    assert all(each["accepted"] and each["subject"] == "bfd_instance b1" and each["ttl"] == 255 for each in theirs)
    [connection] = of(listener.seen, "IPVS sync")[0]["connections"]
    assert of(listener.seen, "IPVS sync")[0]["accepted"] is True
    assert connection


def test_an_interface_without_link_layer_addresses() -> None:
    """A tunnel: packets begin with their IP header."""
    data = encode(packet())
    datagram = struct.pack("!HHHH", 50000, 3784, 8 + len(data), 0) + data
    source, destination = (socket.inet_aton(f"10.5.0.{last}") for last in (2, 1))
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 255, 17, 0, source, destination)
    with network(1) as net:
        [node] = net.nodes
        with inside(node.namespace):
            tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(tunnel, _TUNSETIFF, struct.pack("16sH14x", b"tun0", _IFF_TUN | _IFF_NO_PI))
                ip("link", "set", "tun0", "up", namespace=node.namespace)
                with listening(node, "tun0") as listener:
                    listener.wait(bool, lambda: os.write(tunnel, header + datagram) and None)
            finally:
                os.close(tunnel)
    assert (listener.seen[0]["kind"], listener.seen[0]["source"], listener.seen[0]["accepted"]) == (
        "BFD", "10.5.0.2", True,
    )  # fmt: skip

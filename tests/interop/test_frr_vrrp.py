"""The agent and FRR's vrrpd on one LAN, VRRPv3 over both families: they agree who is master, whoever starts, stops or
dies, and say the same in their adverts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kactl_agent.vrrp.packet import IPV4_GROUP, IPV6_GROUP, PROTOCOL, Advert, Reason, decode, encode
from kactl_agent.vrrp.settings import Family
from support.agents import SLACK, Agent, agents, instance, master_down, skew
from support.frr_vrrpd import vrrpd, why_not
from support.netns import Network, Node, inside, network, wait_for

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(why_not()), reason=why_not())]

INTERVAL = 0.5
ADDRESSES = {4: "198.51.100.100/24", 6: "2001:db8:1::100/64"}


def families(*quick: int) -> pytest.MarkDecorator:
    """Both, or those that are enough for a quick run."""
    return pytest.mark.parametrize("family", ADDRESSES if os.environ.get("KACTL_FULL") else quick, ids="ipv{}".format)


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def configuration(family: int, priority: int, **more: Any) -> dict[str, Any]:
    words: dict[str, Any] = {"version": 3, "advert_int": INTERVAL, "virtual_ipaddress": [ADDRESSES[family]]}
    return instance(priority=priority, **(words | more))


def router(node: Node, family: int, priority: int) -> Any:
    return vrrpd(node, family, ADDRESSES[family], priority=priority, interval=int(INTERVAL * 1000))


def down(priority: int) -> float:
    return master_down(3, priority, INTERVAL) + SLACK


@families(4)
def test_the_agent_is_master_dies_and_comes_back(net: Network, tmp_path: Path, family: int) -> None:
    ours, theirs = net.nodes
    agent = Agent(ours, tmp_path / "one", configuration(family, 200))
    with agents(agent), router(theirs, family, 100) as peer:
        agent.wait_state("MASTER", down(200))
        peer.wait_status("Backup", down(100))
        wait_for(lambda: peer.adverts_received() > 3, SLACK, "vrrpd hears the agent")
        assert agent.stop() == 0
        peer.wait_status("Master", skew(3, 100, INTERVAL) + SLACK)
        again = Agent(ours, tmp_path / "two", configuration(family, 200, use_vmac=True))
        with agents(again):
            again.wait_state("MASTER", down(200))
            peer.wait_status("Backup", SLACK)
            die(again)
            peer.wait_status("Master", down(100))


def die(agent: Agent) -> None:
    """Who is left for a moment gets to say no word, and is there to be killed: all stand still first."""
    pids = (agent.agent_pid, wait_for(lambda: agent.pid_of("vrrp"), SLACK, "the worker's pid"))
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


@families(6)
def test_vrrpd_is_master_stops_and_comes_back(net: Network, tmp_path: Path, family: int) -> None:
    ours, theirs = net.nodes
    with router(theirs, family, 200) as peer:
        peer.wait_status("Master", down(200))
        agent = Agent(ours, tmp_path / "one", configuration(family, 100))
        with agents(agent):
            agent.wait_state("BACKUP", SLACK)
            wait_for(lambda: heard(agent) > 3, SLACK, "the agent hears vrrpd")
            for number in (signal.SIGTERM, signal.SIGKILL):
                peer.stop(number)
                agent.wait_state("MASTER", down(100))
                wait_for(lambda: ours.has(ADDRESSES[family]), SLACK, "the address")
                peer.start()
                peer.wait_status("Master", down(200))
                agent.wait_state("BACKUP", SLACK)
                wait_for(lambda: not ours.has(ADDRESSES[family]), SLACK, "the address is gone")
            assert discarded(agent) == {}


def statistics(agent: Agent) -> dict[str, int]:
    status = agent.status()
    assert status is not None
    found: dict[str, int] = status["vrrp"]["instances"]["VI_1"]["statistics"]
    return found


def heard(agent: Agent) -> int:
    return statistics(agent)["adverts_received"]


def discarded(agent: Agent) -> dict[str, int]:
    """Reasons, of which there must be none: every advert of vrrpd is a good one."""
    reasons = {reason.value for reason in Reason}
    return {name: count for name, count in statistics(agent).items() if count and name in reasons}


@families(6)
def test_both_say_the_same(net: Network, tmp_path: Path, family: int) -> None:
    """An advert of vrrpd, decoded and encoded again, is byte for byte itself; the agent's differs in nothing but source
    and priority."""
    ours, theirs = net.nodes
    agent = Agent(ours, tmp_path / "one", configuration(family, 100))
    with agents(agent), sniffer(ours) as sock:
        agent.wait_state("MASTER", down(100))
        mine = advert(sock, family)
        with router(theirs, family, 200) as peer:
            peer.wait_status("Master", down(200))
            agent.wait_state("BACKUP", SLACK)
            other = advert(sock, family, priority=200)
    kind = Family.IPV4 if family == 4 else Family.IPV6
    group = IPV4_GROUP if family == 4 else IPV6_GROUP
    for source, payload in (mine, other):
        assert encode(decoded(payload, source, kind, group), source, group) == payload
    a, b = (decoded(payload, source, kind, group) for source, payload in (mine, other))
    assert (a.priority, b.priority) == (100, 200)
    assert msgspec.structs.replace(a, priority=200) == b


@contextlib.contextmanager
def sniffer(node: Node) -> Iterator[socket.socket]:
    with inside(node.namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.bind(("eth0", 3))
    sock.settimeout(SLACK)
    with sock:
        yield sock


def advert(sock: socket.socket, family: int, priority: int = 100) -> tuple[bytes, bytes]:
    """(source, message) of the next advert of this priority."""
    while True:
        frame = sock.recv(2048)
        kind, packet = frame[12:14], frame[14:]
        if family == 4 and kind == b"\x08\x00" and packet[9] == PROTOCOL:
            source, message = packet[12:16], packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
            hops = packet[8]
        elif family == 6 and kind == b"\x86\xdd" and packet[6] == PROTOCOL:
            source, message = packet[8:24], packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
            hops = packet[7]
        else:
            continue
        assert hops == 255
        if message[2] == priority:
            return source, message


def decoded(message: bytes, source: bytes, family: Family, group: bytes) -> Advert:
    return decode(message, version=3, family=family, source=source, destination=group)

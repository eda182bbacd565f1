"""Two agents on a bridge: who is master, and how long a change takes (RFC 3768, RFC 9568)."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import SLACK, START, Agent, agents, alive, instance, master_down, skew
from support.netns import Network, Node, inside, ip, network, wait_for

pytestmark = pytest.mark.root

KINDS = {
    "v2": (2, "198.51.100.100/24"),
    "v3-ipv4": (3, "198.51.100.100/24"),
    "v3-ipv6": (3, "2001:db8:1::100/64"),
}
NEVER_ALONE = 30  # seconds of advert_int with which a router that is alone stays BACKUP for longer than any test takes


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def configuration(version: int, priority: int, address: str, **more: Any) -> dict[str, Any]:
    return instance(version=version, priority=priority, virtual_ipaddress=[address], **more)


def listen(node: Node, family: int) -> socket.socket:
    """A witness that hears every VRRP message of the LAN on the node."""
    with inside(node.namespace):
        sock = socket.socket(family, socket.SOCK_RAW, 112)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
        index = struct.pack("=i", socket.if_nametoindex("eth0"))
    if family == socket.AF_INET:
        group = socket.inet_aton("224.0.0.18") + b"\0" * 4 + index
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    else:
        group = socket.inet_pton(socket.AF_INET6, "ff02::12") + index
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
    sock.settimeout(5)
    return sock


@pytest.mark.parametrize("kind", KINDS)
def test_failover_and_back(net: Network, tmp_path: Path, kind: str) -> None:
    version, address = KINDS[kind]
    one = Agent(net.nodes[0], tmp_path / "one", configuration(version, 200, address))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(version, 100, address))
    with agents(one, two):
        one.wait_state("MASTER", master_down(version, 200) + SLACK)
        wait_for(lambda: one.node.has(address), SLACK, "the address on the master")
        two.wait_state("BACKUP", SLACK)
        assert not two.node.has(address)

        with listen(net.nodes[1], socket.AF_INET6 if "ipv6" in kind else socket.AF_INET) as witness:
            assert one.stop() == 0
            assert not one.node.has(address), "an orderly stop removes the address"
            wait_for(lambda: two.node.has(address), skew(version, 100) + SLACK, "takeover after skew time\n" + two.log)
            wait_for(lambda: "cause=master_resigned" in two.log, SLACK, "priority 0 spares the master down interval")
            priorities = []
            while 0 not in priorities:
                data = witness.recv(2048)
                priorities.append(data[(data[0] & 0xF) * 4 + 2] if "ipv6" not in kind else data[2])

        again = Agent(net.nodes[0], tmp_path / "one", configuration(version, 200, address))
        with agents(again):
            again.wait_state("MASTER", START + master_down(version, 200) + SLACK)
            two.wait_state("BACKUP", SLACK)
            wait_for(lambda: not two.node.has(address), SLACK, "the address gone from the backup")
            status = two.status()
            assert status is not None
            master = status["vrrp"]["instances"]["VI_1"]["master"]
            assert master == (again.node.link_local if "ipv6" in kind else again.node.ipv4)
            assert again.stop() == 0
        assert two.stop() == 0


def test_a_cut_cable_is_noticed_after_the_master_down_interval(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.1))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(3, 100, address, advert_int=0.1))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        two.wait_state("BACKUP", SLACK)
        net.cut(1)
        two.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        net.mend(1)
        two.wait_state("BACKUP", SLACK)
        one.wait_state("MASTER", SLACK)
        with ControlClient(two.run_dir) as client:
            events = client.call("events")["events"]
        causes = [event["cause"] for event in events if event["type"] == "transition"]
        assert causes[-2:] == ["master_down_timer", "advert_higher_priority"], causes


def test_interface_down_is_a_fault_and_recovers(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.1))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        ip("link", "set", "eth0", "down", namespace=one.node.namespace)
        one.wait_state("FAULT", SLACK)
        assert not one.node.has(address)
        ip("link", "set", "eth0", "up", namespace=one.node.namespace)
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        assert one.node.has(address)


def test_interface_that_comes_and_goes(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    more = {"interface": "late0", "advert_int": 0.1}
    one = Agent(node, tmp_path / "one", configuration(3, 200, "203.0.113.9/24", **more))
    with agents(one):
        one.wait_state("FAULT", SLACK)
        for _ in range(2):  # the second time with another interface index
            ip("link", "add", "late0", "type", "veth", "peer", "name", "late1", namespace=node.namespace)
            for name in ("late0", "late1"):
                ip("link", "set", name, "up", namespace=node.namespace)
            ip("addr", "add", "203.0.113.1/24", "dev", "late0", namespace=node.namespace)
            one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
            assert node.has("203.0.113.9/24", "late0")
            ip("link", "del", "late0", namespace=node.namespace)
            one.wait_state("FAULT", SLACK)


def test_address_taken_away_comes_back(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.2))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.2) + SLACK)
        ip("addr", "del", address, "dev", "eth0", namespace=one.node.namespace)
        wait_for(lambda: "address_lost" in one.log, SLACK, "the loss is noticed")
        one.wait_state("MASTER", master_down(3, 200, 0.2) + SLACK)
        wait_for(lambda: one.node.has(address), SLACK, "the address is back")


def test_killed_worker_leaves_no_orphan_master(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.1))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        # the third restart is 4 s after the end of the worker: what is done before it can be seen for longer
        for _ in range(2):
            dead = one.pid_of("vrrp")
            os.kill(dead, signal.SIGKILL)
            wait_for(lambda dead=dead: one.pid_of("vrrp") not in (0, dead), START, "the worker is restarted")
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        worker = one.pid_of("vrrp")
        os.kill(worker, signal.SIGKILL)
        wait_for(
            lambda: not one.node.has(address), 0.9, "addresses of the dead worker are taken off before its restart"
        )
        wait_for(lambda: one.pid_of("vrrp") not in (0, worker), START, "the worker is restarted")
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        status = one.status()
        assert status is not None
        assert status["agent"]["processes"]["vrrp"]["restarts"] == 3


def test_killed_observer_is_replaced_and_the_master_never_notices(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.1))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        since = one.status()["vrrp"]["instances"]["VI_1"]["since"]
        worker, observer = one.pid_of("vrrp"), one.pid_of("observer")
        os.kill(observer, signal.SIGKILL)
        wait_for(lambda: one.pid_of("observer") not in (0, observer), START, "the observer is restarted")
        one.wait_state("MASTER", SLACK)
        assert one.pid_of("vrrp") == worker
        after = one.status()["vrrp"]["instances"]["VI_1"]["since"]
        # each observer reckons it by clocks that were read one after the other
        assert abs((datetime.fromisoformat(after) - datetime.fromisoformat(since)).total_seconds()) < 1


def test_killed_supervisor_leaves_no_orphan_master(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    settings = configuration(3, 200, address, advert_int=0.1)
    one = Agent(net.nodes[0], tmp_path / "one", settings)
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        workers = [one.pid_of("vrrp"), one.pid_of("observer")]
        one.process.kill()
        one.process.wait(5)
        again = Agent(net.nodes[0], tmp_path / "one", settings)
        with agents(again):
            wait_for(lambda: not any(map(alive, workers)), START, "the workers end with their supervisor")
            again.wait_state("MASTER", START + master_down(3, 200, 0.1) + SLACK)
            assert again.stop() == 0
        assert not one.node.has(address)
    left = {path.name for path in (tmp_path / "one" / "run").iterdir()}
    assert left == {"journal.0", "journal.1"}, "socket and pid file are gone"


def test_no_respawn_stops_the_agent_and_cleans_up(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.1), "--no-respawn")
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        one.kill("vrrp")
        assert one.process.wait(START) == 1
        assert not one.node.has(address)


def test_a_worker_that_hangs_is_killed_and_cleaned_up_after(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.1))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        one.kill("vrrp", signal.SIGSTOP)
        assert one.stop() == 0
        assert "did not stop in time" in one.log
        assert not one.node.has(address)


def test_keep_vips(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 200, address, advert_int=0.1), "--keep-vips")
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        assert one.stop() == 0
        assert one.node.has(address)


def test_leftover_addresses_are_taken_off_at_the_start(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    ip("addr", "add", address, "dev", "eth0", namespace=net.nodes[0].namespace)
    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 100, address, advert_int=NEVER_ALONE))
    with agents(one):
        one.wait_state("BACKUP", SLACK)
        assert not one.node.has(address)


def test_reload_keeps_unchanged_instances(net: Network, tmp_path: Path) -> None:
    def two_instances(**second: Any) -> dict[str, Any]:
        first = instance("A", priority=200, version=3, advert_int=0.1, virtual_ipaddress=["198.51.100.100/24"])
        first["vrrp_instance"] |= instance(
            "B", priority=200, version=3, advert_int=0.1, virtual_router_id=52, **second
        )["vrrp_instance"]
        return first

    node = net.nodes[0]
    one = Agent(node, tmp_path / "one", two_instances(virtual_ipaddress=["198.51.100.101/24"]))
    with agents(one):
        for name in "AB":
            one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK, name)
        before = one.status()
        one.configure(two_instances(virtual_ipaddress=["198.51.100.102/24"]))
        with ControlClient(one.run_dir) as client:
            outcome = client.call("reload")
        assert outcome["changes"] == {"removed": [], "changed": ["B"], "added": [], "unchanged": 1}
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK, "B")
        wait_for(lambda: node.has("198.51.100.102/24"), SLACK, "the new address")
        assert not node.has("198.51.100.101/24")
        assert node.has("198.51.100.100/24")
        after = one.status()
        assert after["vrrp"]["instances"]["A"]["since"] == before["vrrp"]["instances"]["A"]["since"]
        assert after["agent"]["config_revision"] != before["agent"]["config_revision"]

        one.config.write_text("vrrp_instance: {A: {interfac: eth0}}")
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload failed" in one.log, START, "the reload is refused")
        assert f"{one.config}:1:21: error[" in one.log
        assert one.status()["agent"]["config_revision"] == after["agent"]["config_revision"]
        assert one.state("A") == "MASTER"


def test_a_worker_killed_in_the_middle_of_a_reload(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    old, new = "198.51.100.100/24", "198.51.100.101/24"
    one = Agent(node, tmp_path / "one", configuration(3, 200, old, advert_int=0.1), "--log-level", "debug")
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        worker = one.pid_of("vrrp")
        os.kill(worker, signal.SIGSTOP)
        one.configure(configuration(3, 200, new, advert_int=0.1))
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "handing configuration" in one.log, START, "the settings are on their way")
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not node.has(old), SLACK, "the addresses of the worker go")
        wait_for(lambda: "reload failed" in one.log, SLACK, "it may have died of the settings")
        wait_for(lambda: node.has(old), 1 + master_down(3, 200, 0.1) + SLACK, "the old configuration is in force")
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.has(new) and not node.has(old), START, "and the new one when it is asked for again")
        wait_for(lambda: "reload done" in one.log, SLACK, "the supervisor knows it, behind the kernel")
        pid = one.process.pid
        children = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        assert sorted(children) == sorted(one.pid_of(name) for name in ("vrrp", "observer", "spawner"))


def test_the_first_instance_may_come_by_reload_and_the_last_one_go(net: Network, tmp_path: Path) -> None:
    node, address = net.nodes[0], "198.51.100.100/24"
    one = Agent(node, tmp_path / "one", {})
    with agents(one):
        wait_for(one.status, START, "the control socket")
        assert one.pid_of("vrrp") == 0
        one.configure(configuration(3, 200, address, advert_int=0.1))
        with ControlClient(one.run_dir) as client:
            assert client.call("reload")["changes"]["added"] == ["VI_1"]
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        one.configure({})
        with ControlClient(one.run_dir) as client:
            assert client.call("reload")["changes"]["removed"] == ["VI_1"]
        assert not node.has(address)
        assert one.status()["vrrp"]["instances"] == {}
        assert one.stop() == 0


def test_sigusr1_dumps_the_state(net: Network, tmp_path: Path) -> None:
    import json

    one = Agent(net.nodes[0], tmp_path / "one", configuration(3, 100, "198.51.100.100/24", advert_int=NEVER_ALONE))
    with agents(one):
        one.wait_state("BACKUP", SLACK)
        one.process.send_signal(signal.SIGUSR1)
        text = one.run_dir / "state.txt"
        wait_for(text.exists, START, "the dump")
        assert "vrrp_instance VI_1:\n  state: BACKUP\n" in text.read_text()
        assert json.loads((one.run_dir / "state.json").read_text())["vrrp"]["instances"]["VI_1"]["state"] == "BACKUP"
        assert text.stat().st_mode & 0o777 == 0o600


def test_recordings_replay(net: Network, tmp_path: Path) -> None:
    from kactl_agent.vrrp.recording import replay

    settings = configuration(3, 200, "198.51.100.100/24", advert_int=0.1)
    one = Agent(net.nodes[0], tmp_path / "one", settings, "--record", str(tmp_path / "recordings"))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        assert one.stop() == 0
    (recording,) = (tmp_path / "recordings").iterdir()
    lines = recording.read_bytes().splitlines()
    assert b"Shutdown" in lines[-1]
    assert replay(lines) is None


def test_agents_side_by_side_in_one_namespace(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    made = [
        Agent(
            node,
            tmp_path / str(vrid),
            instance(version=3, advert_int=0.1, virtual_router_id=vrid, virtual_ipaddress=[f"198.51.100.{vrid}/24"]),
        )
        for vrid in (60, 61, 62)
    ]
    with agents(*made):
        for agent in made:
            agent.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        assert {f"198.51.100.{vrid}/24" for vrid in (60, 61, 62)} <= node.addresses()
        assert [agent.stop() for agent in made] == [0, 0, 0]

"""The agent and the real keepalived on one LAN: they agree who is master, within the protocol's time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, Agent, agents, instance, master_down, skew
from support.netns import Network, Node, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]

KINDS = {
    "v2": (2, "198.51.100.100/24"),
    "v3-ipv4": (3, "198.51.100.100/24"),
    "v3-ipv6": (3, "2001:db8:1::100/64"),
}


class Keepalived:
    """The installed binary in the foreground of a node, with files of its own."""

    def __init__(self, node: Node, directory: Path, version: int, priority: int, address: str, *lines: str) -> None:
        self.node = node
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "keepalived.conf"
        config.write_text(
            "\n".join(
                [
                    f"global_defs {{\n  router_id {node.namespace}\n  vrrp_version {version}\n}}",
                    "vrrp_instance VI_1 {",
                    "  interface eth0",
                    "  virtual_router_id 51",
                    f"  priority {priority}",
                    "  advert_int 1",
                    *lines,
                    f"  virtual_ipaddress {{\n    {address}\n  }}",
                    "}",
                    "",
                ]
            )
        )
        self.log_path = directory / "keepalived.log"
        with self.log_path.open("w") as log:
            self.process = node.run(
                "keepalived", "--vrrp", "-n", "-l", "-D", "-f", str(config),
                "-p", str(directory / "main.pid"), "-r", str(directory / "vrrp.pid"),
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def state(self) -> str:
        """The state it entered last, by its own log."""
        entered = [line.split("Entering ")[1].split()[0] for line in self.log.splitlines() if "Entering " in line]
        return entered[-1] if entered else ""

    def wait_state(self, state: str, seconds: float) -> None:
        wait_for(lambda: self.state() == state, seconds, f"keepalived in state {state}; log:\n{self.log}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def kill(self) -> None:
        """The power cord: keepalived and its VRRP process."""
        pid_file = self.log_path.parent / "vrrp.pid"
        children = [int(pid_file.read_text())] if pid_file.exists() else []
        self.process.kill()
        self.process.wait(5)
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def keepalived(*arguments: Any) -> Iterator[Keepalived]:
    daemon = Keepalived(*arguments)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.stop()


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def configuration(version: int, priority: int, address: str, **more: Any) -> dict[str, Any]:
    return instance(version=version, priority=priority, virtual_ipaddress=[address], **more)


def master_of(agent: Agent) -> str | None:
    status = agent.status()
    return status["vrrp"]["instances"]["VI_1"]["master"] if status else None


def only_on(holder: Node, other: Node, address: str) -> bool:
    return holder.has(address) and not other.has(address)


@pytest.mark.parametrize("kind", KINDS)
def test_keepalived_is_master_and_hands_over(net: Network, tmp_path: Path, kind: str) -> None:
    version, address = KINDS[kind]
    theirs, ours = net.nodes
    with keepalived(theirs, tmp_path / "theirs", version, 200, address) as peer:
        agent = Agent(ours, tmp_path / "ours", configuration(version, 100, address))
        with agents(agent):
            peer.wait_state("MASTER", master_down(version, 200) + SLACK)
            agent.wait_state("BACKUP", SLACK)
            wait_for(lambda: only_on(theirs, ours, address), SLACK, "the address on keepalived's node alone")
            known = theirs.link_local if "ipv6" in kind else theirs.ipv4
            wait_for(lambda: master_of(agent) == known, 1 + SLACK, "the master is known")
            peer.stop()
            wait_for(lambda: only_on(ours, theirs, address), skew(version, 100) + SLACK, "takeover after skew time")
            wait_for(lambda: "master_resigned" in agent.log, SLACK, f"the log says why\n{agent.log}")
            agent.wait_state("MASTER", SLACK)  # its status: that it is BACKUP below is nothing from before
            with keepalived(theirs, tmp_path / "again", version, 200, address) as again:
                again.wait_state("MASTER", master_down(version, 200) + SLACK)
                agent.wait_state("BACKUP", SLACK)
                wait_for(lambda: only_on(theirs, ours, address), SLACK, "the address back on keepalived's node")
                assert "BACKUP" not in again.log.split("MASTER STATE", 1)[1], "keepalived stays master"
            assert agent.stop() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_keepalived_is_backup_and_takes_over(net: Network, tmp_path: Path, kind: str) -> None:
    version, address = KINDS[kind]
    theirs, ours = net.nodes
    agent = Agent(ours, tmp_path / "ours", configuration(version, 200, address))
    with agents(agent), keepalived(theirs, tmp_path / "theirs", version, 100, address) as peer:
        agent.wait_state("MASTER", master_down(version, 200) + SLACK)
        peer.wait_state("BACKUP", SLACK)
        wait_for(lambda: only_on(ours, theirs, address), SLACK, "the address on our node alone")
        assert agent.stop() == 0
        peer.wait_state("MASTER", skew(version, 100) + SLACK)
        wait_for(lambda: only_on(theirs, ours, address), SLACK, "the address on keepalived's node alone")
        again = Agent(ours, tmp_path / "again", configuration(version, 200, address))
        with agents(again):
            again.wait_state("MASTER", master_down(version, 200) + SLACK)
            peer.wait_state("BACKUP", SLACK)
            wait_for(lambda: only_on(ours, theirs, address), SLACK, "the address back on our node")
            assert again.stop() == 0
    for complaint in ("checksum", "invalid", "mismatch", "expected", "bogus"):
        assert complaint not in peer.log.lower(), peer.log


def test_a_killed_keepalived_is_replaced_after_the_master_down_interval(net: Network, tmp_path: Path) -> None:
    address = "198.51.100.100/24"
    theirs, ours = net.nodes
    with keepalived(theirs, tmp_path / "theirs", 2, 200, address) as peer:
        agent = Agent(ours, tmp_path / "ours", configuration(2, 100, address))
        with agents(agent):
            peer.wait_state("MASTER", master_down(2, 200) + SLACK)
            agent.wait_state("BACKUP", SLACK)
            net.cut(1)
            peer.kill()
            agent.wait_state("MASTER", master_down(2, 100) + SLACK)
            assert ours.has(address)
            assert "master_down_timer" in agent.log


@pytest.mark.parametrize("kind", ["PASS", "AH"])
@pytest.mark.parametrize("we_are", ["MASTER", "BACKUP"])
def test_authentication(net: Network, tmp_path: Path, kind: str, we_are: str) -> None:
    address = "198.51.100.100/24"
    theirs, ours = net.nodes
    secret = "s3cret77"
    lines = f"  authentication {{\n    auth_type {kind}\n    auth_pass {secret}\n  }}"
    more = {"authentication": {"auth_type": kind, "auth_pass": secret}}
    priority = 200 if we_are == "MASTER" else 50
    agent = Agent(ours, tmp_path / "ours", configuration(2, priority, address, **more))
    with agents(agent), keepalived(theirs, tmp_path / "theirs", 2, 100, address, lines) as peer:
        peer.wait_state("BACKUP" if we_are == "MASTER" else "MASTER", master_down(2, 100) + SLACK)
        agent.wait_state(we_are, master_down(2, 200) + SLACK)
        holder, other = (ours, theirs) if we_are == "MASTER" else (theirs, ours)
        wait_for(lambda: only_on(holder, other, address), SLACK, "the address on the master's node alone")
        assert secret not in agent.log
        assert secret not in str(agent.status())


@pytest.mark.parametrize("kind", ["v2", "v3-ipv4", "v3-ipv6"])
def test_unicast(net: Network, tmp_path: Path, kind: str) -> None:
    version, address = KINDS[kind]
    theirs, ours = net.nodes
    their_address, our_address = theirs.ipv4, ours.ipv4
    if kind == "v3-ipv6":
        their_address, our_address = theirs.link_local, ours.link_local
    lines = f"  unicast_src_ip {their_address}\n  unicast_peer {{\n    {our_address}\n  }}"
    more = {"unicast_src_ip": our_address, "unicast_peer": [their_address]}
    agent = Agent(ours, tmp_path / "ours", configuration(version, 200, address, **more))
    with agents(agent), keepalived(theirs, tmp_path / "theirs", version, 100, address, lines) as peer:
        agent.wait_state("MASTER", master_down(version, 200) + SLACK)
        peer.wait_state("BACKUP", SLACK)
        wait_for(lambda: only_on(ours, theirs, address), SLACK, "the address on our node alone")
        assert agent.stop() == 0
        peer.wait_state("MASTER", skew(version, 100) + SLACK)

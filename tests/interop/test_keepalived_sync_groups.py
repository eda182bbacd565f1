"""A sync group of two instances on two LANs, with the real keepalived on the other node: the same file for both."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, master_down, skew
from support.netns import Network, Node, ip, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]
ADDRESSES = {"198.51.100.100/24", "203.0.113.100/24"}


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        made.add_lan("eth1", "203.0.113")
        yield made


def text(priority: int) -> str:
    instances = "".join(
        f"vrrp_instance {name} {{\n  interface {interface}\n  virtual_router_id {vrid}\n  priority {priority}\n"
        f"  advert_int 1\n  virtual_ipaddress {{\n    {address}\n  }}\n}}\n"
        for name, interface, vrid, address in (
            ("IN", "eth0", 51, "198.51.100.100/24"),
            ("OUT", "eth1", 52, "203.0.113.100/24"),
        )
    )
    return f"vrrp_sync_group VG {{\n  group {{\n    IN\n    OUT\n  }}\n}}\n{instances}"


def converted(directory: Path, priority: int) -> dict[str, Any]:
    directory.mkdir(parents=True)
    source = directory / "keepalived.conf"
    source.write_text(text(priority))
    code = "from kactl.__main__ import main; import sys; sys.exit(main())"
    command = [sys.executable, "-c", code, "convert", str(source), "-o", str(directory / "converted.yaml")]
    subprocess.run(command, check=True, capture_output=True, timeout=START)
    return {"include": [str(directory / "converted.yaml")]}


class Keepalived:
    def __init__(self, node: Node, directory: Path, priority: int) -> None:
        self.node = node
        directory.mkdir(parents=True)
        (directory / "keepalived.conf").write_text(text(priority))
        self.log_path = directory / "log"
        with self.log_path.open("w") as log:
            self.process = node.run(
                "keepalived", "--vrrp", "-n", "-l", "-D", "-f", str(directory / "keepalived.conf"),
                "-p", str(directory / "main.pid"), "-r", str(directory / "vrrp.pid"),
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def holds(node: Node) -> set[str]:
    return (node.addresses("eth0") | node.addresses("eth1")) & ADDRESSES


def wait_only_on(holder: Node, other: Node, seconds: float, why: str) -> None:
    wait_for(lambda: holds(holder) == ADDRESSES and not holds(other), seconds, why)


def group_state(agent: Agent) -> str:
    """What the observer has heard, which is later than what the kernel shows."""
    status = agent.status()
    return status["vrrp"]["sync_groups"]["VG"]["state"] if status else ""


@pytest.mark.parametrize("first", ["kactl", "keepalived"])
def test_a_fault_on_one_lan_moves_the_group_to_the_other_daemon_and_back(
    net: Network, tmp_path: Path, first: str
) -> None:
    ours, theirs = net.nodes
    ranks = {"kactl": 200, "keepalived": 100} if first == "kactl" else {"kactl": 100, "keepalived": 200}
    agent = Agent(ours, tmp_path / "ours", converted(tmp_path / "conf", ranks["kactl"]))
    peer = Keepalived(theirs, tmp_path / "theirs", ranks["keepalived"])
    better, worse = (ours, theirs) if first == "kactl" else (theirs, ours)
    try:
        with agents(agent):
            agent.wait_running()
            wait_only_on(better, worse, 2 * master_down(2, 100) + SLACK, f"{first} is master\n{agent.log}")
            ip("link", "set", "eth1", "down", namespace=better.namespace)
            wait_only_on(worse, better, master_down(2, 100) + SLACK, f"the other one is master of both\n{agent.log}")
            ip("link", "set", "eth1", "up", namespace=better.namespace)
            wait_only_on(better, worse, 2 * master_down(2, 200) + SLACK, f"{first} is back\n{agent.log}")
            state = "MASTER" if first == "kactl" else "BACKUP"
            wait_for(lambda: group_state(agent) == state, SLACK, f"the group {state}, not {group_state(agent)}")
            if first == "kactl":
                assert agent.stop() == 0
                wait_only_on(theirs, ours, skew(2, 100) + SLACK, "keepalived takes over after the skew time")
            else:
                peer.stop()
                wait_only_on(ours, theirs, skew(2, 100) + SLACK, "we take over after the skew time")
                wait_for(lambda: "master_resigned" in agent.log, SLACK, f"the log says why\n{agent.log}")
    finally:
        if peer.process.poll() is None:
            peer.stop()

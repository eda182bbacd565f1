"""Drain with the real keepalived as the peer: it takes over in its Skew_Time, and gives back when we are undrained."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from kactl_agent.control.protocol import ControlError
from support.agents import SLACK, Agent, agents, instance, master_down, skew
from support.netns import Network, Node, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]
ADDRESS = "198.51.100.100/24"


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


class Keepalived:
    def __init__(self, node: Node, directory: Path, priority: int, version: int) -> None:
        self.node = node
        directory.mkdir(parents=True)
        (directory / "keepalived.conf").write_text(
            f"global_defs {{\n  vrrp_version {version}\n}}\n"
            f"vrrp_instance VI_1 {{\n  interface eth0\n  virtual_router_id 51\n  priority {priority}\n"
            f"  advert_int 1\n  virtual_ipaddress {{\n    {ADDRESS}\n  }}\n}}\n"
        )
        self.log_path = directory / "log"
        with self.log_path.open("w") as log:
            self.process = node.run(
                "keepalived", "--vrrp", "-n", "-l", "-D", "-f", str(directory / "keepalived.conf"),
                "-p", str(directory / "main.pid"), "-r", str(directory / "vrrp.pid"),
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)


def ask(agent: Agent, method: str, **params: Any) -> Any:
    with ControlClient(agent.run_dir, timeout=30) as client:
        return client.call(method, params)


@pytest.mark.parametrize("version", [2, 3])
def test_keepalived_takes_over_from_a_drained_agent_and_gives_back(net: Network, tmp_path: Path, version: int) -> None:
    ours, theirs = net.nodes
    configuration = instance(version=version, advert_int=1, priority=200, virtual_ipaddress=[ADDRESS])
    one = Agent(ours, tmp_path / "ours", configuration)
    peer = Keepalived(theirs, tmp_path / "theirs", 100, version)
    try:
        with agents(one):
            one.wait_state("MASTER", master_down(version, 200) + SLACK)
            wait_for(lambda: "BACKUP STATE" in peer.log, SLACK, "keepalived is backup")
            began = time.monotonic()
            ask(one, "drain", target="VI_1", reason="kernel update", require_peer=True)
            # settled by keepalived's first advert as master, not by the end of the wait for it
            assert time.monotonic() - began < skew(version, 100) + SLACK
            wait_for(lambda: theirs.has(ADDRESS) and not ours.has(ADDRESS), SLACK, "the address is there alone")
            sent = peer.log.count("MASTER STATE")
            wait_for(lambda: master_of(one) == theirs.ipv4, SLACK, "we follow it")
            ask(one, "undrain", target="VI_1")
            one.wait_state("MASTER", master_down(version, 200) + SLACK)
            wait_for(lambda: ours.has(ADDRESS) and not theirs.has(ADDRESS), SLACK, "it has given back")
            assert peer.log.count("MASTER STATE") == sent, "keepalived became master once"

            peer.stop()
            with pytest.raises(ControlError, match="no other router took over"):
                ask(one, "drain", target="VI_1", require_peer=True)
            one.wait_state("MASTER", SLACK)  # the answer and the state come to the observer from two processes
            assert ours.has(ADDRESS)
    finally:
        peer.stop()


def master_of(agent: Agent) -> str | None:
    status = agent.status()
    return status["vrrp"]["instances"]["VI_1"]["master"] if status else None

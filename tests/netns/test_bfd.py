"""BFD between agents, and with a router that runs none: faults are noticed in the negotiated time, reloads are not."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance
from support.netns import Network, Node, ip, network, wait_for

pytestmark = pytest.mark.root

INTERVAL, MULTIPLIER = 100, 3  # ms
DETECTION = INTERVAL * MULTIPLIER / 1000
LATE = 1.0  # seconds that a loaded machine may be late
HANDSHAKE = 5.0


def session(neighbor: str, **said: Any) -> dict[str, Any]:
    return {"neighbor_ip": neighbor, "min_tx": INTERVAL, "min_rx": INTERVAL, "multiplier": MULTIPLIER} | said


def sessions(agent: Agent) -> dict[str, Any]:
    status = agent.status()
    found: dict[str, Any] = status["bfd"]["instances"] if status else {}
    return found


def wait_state(agent: Agent, state: str, seconds: float = HANDSHAKE + SLACK, name: str = "b1") -> dict[str, Any]:
    agent.wait_running()
    try:
        wait_for(lambda: sessions(agent).get(name, {}).get("state") == state, seconds, f"{name} {state}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {sessions(agent)}\n{agent.log}") from None
    found: dict[str, Any] = sessions(agent)[name]
    return found


def events(agent: Agent) -> list[str]:
    return [line.partition("bfd: ")[2] for line in agent.log.splitlines() if "bfd: " in line and " -> " in line]


def reload(agent: Agent, configuration: dict[str, Any]) -> None:
    before = agent.status()
    assert before is not None
    old = before["agent"]["config_revision"]
    agent.configure(configuration)
    os.kill(agent.agent_pid, signal.SIGHUP)
    wait_for(lambda: (s := agent.status()) and s["agent"]["config_revision"] != old, START, f"reload\n{agent.log}")


def pair(net: Network, tmp_path: Path, **said: Any) -> tuple[Agent, Agent]:
    one, other = net.nodes[:2]
    return (
        Agent(one, tmp_path / "one", {"bfd_instance": {"b1": session(other.ipv4, **said)}}),
        Agent(other, tmp_path / "other", {"bfd_instance": {"b1": session(one.ipv4, **said)}}),
    )


def tc(node: Node, *words: str) -> None:
    subprocess.run(["ip", "netns", "exec", node.namespace, "tc", "qdisc", *words], check=True)


def test_router_without_bfd_is_tracked_by_its_forwarding(tmp_path: Path) -> None:
    """RFC 9747: both families; it stops forwarding, and the session goes Down, with the echo function's diagnostic."""
    with network(2) as net:
        ours, router = net.nodes
        for node, last in ((ours, 1), (router, 2)):
            ip("addr", "add", f"2001:db8::{last}/64", "dev", "eth0", "nodad", namespace=node.namespace)

        def forwards(value: int) -> None:
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                command = ["ip", "netns", "exec", router.namespace, "sysctl", "-qw", f"{key}={value}"]
                subprocess.run(command, check=True)

        forwards(1)
        said = {"unaffiliated_echo": True, "interface": "eth0"}
        blocks = {
            "v4": session(router.ipv4, source_ip=ours.ipv4, **said),
            "v6": session("2001:db8::2", source_ip="2001:db8::1", **said, padded_pdu_size=1400),
        }
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": blocks})
        with agents(agent):
            for name in blocks:
                assert wait_state(agent, "Up", name=name)["mode"] == "unaffiliated-echo"
            time.sleep(1)
            assert len(events(agent)) == 4, agent.log
            forwards(0)
            for name in blocks:
                found = wait_state(agent, "Down", DETECTION + SLACK, name)
                assert found["diagnostic"] == "Echo Function Failed"
            forwards(1)
            for name in blocks:
                wait_state(agent, "Up", name=name)

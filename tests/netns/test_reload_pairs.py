"""On the real kernel: a reload from A to B leaves the machine as a start with B does, for random pairs."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from kactl_agent.control.client import ControlClient
from support.agents import SLACK, Agent, agents
from support.netns import Network, Node, network, wait_for
from support.reload_pairs import configurations

pytestmark = pytest.mark.root
PAIRS = 60 if os.environ.get("KACTL_FULL") else 24
ADVERT = 0.02


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as made:
        node = made.nodes[0]
        add = ("add", "eth1", "type", "veth", "peer", "name", "eth1p")
        for words in (add, ("set", "eth1", "up"), ("set", "eth1p", "up")):
            subprocess.run(("ip", "-n", node.namespace, "link", *words), check=True)
        subprocess.run(("ip", "-n", node.namespace, "addr", "add", "192.0.2.201/24", "dev", "eth1"), check=True)
        yield made


def ip_json(node: Node, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(("ip", "-n", node.namespace, "-j", *words), capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout or "[]"))


def state(node: Node) -> dict[str, Any]:
    """What is on the machine, without indexes, addresses the kernel makes, and counters."""
    links = ip_json(node, "-d", "addr")
    firewall = subprocess.run(
        ("ip", "netns", "exec", node.namespace, "nft", "list", "ruleset"), capture_output=True, text=True, check=False
    ).stdout
    promoted = {
        link["ifname"]: node_sysctl(node, f"net/ipv4/conf/{link['ifname']}/promote_secondaries") for link in links
    }
    return {
        "links": {link["ifname"]: link.get("linkinfo", {}).get("info_kind") for link in links},
        "addresses": {
            link["ifname"]: sorted(
                f"{each['local']}/{each['prefixlen']} {each.get('label')} {each['scope']}"
                for each in link["addr_info"]
                if not each["local"].startswith("fe80")
            )
            for link in links
        },
        "routes": sorted(
            f"{route['dst']} {route.get('dev')} {route.get('table')}"
            for route in ip_json(node, "route", "show", "table", "all")
            if str(route.get("table", "")).isdigit()
        ),
        "rules": sorted(f"{each['priority']} {each['src']} {each['table']}" for each in ip_json(node, "rule")),
        "promoted": promoted,
        "firewall": sorted(line.strip() for line in firewall.splitlines() if "counter" not in line),
    }


def node_sysctl(node: Node, key: str) -> str:
    command = ("ip", "netns", "exec", node.namespace, "cat", f"/proc/sys/{key}")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def wait_masters(agent: Agent, configuration: dict[str, Any]) -> None:
    agent.wait_running()
    names = list(configuration["vrrp_instance"])
    wait_for(lambda: all(agent.state(name) == "MASTER" for name in names), 2 * SLACK, f"all MASTER; log:\n{agent.log}")


def pairs() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The same ones every time: a failure can be looked at."""
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []

    @seed(20)
    @settings(
        max_examples=PAIRS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(configurations(ADVERT), configurations(ADVERT))
    def draw(old: dict[str, Any], new: dict[str, Any]) -> None:
        found.append((old, new))

    draw()
    random.Random(20).shuffle(found)
    return found[:PAIRS]


def test_a_reload_leaves_the_machine_as_a_start_does(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    before = state(node)
    started: dict[str, dict[str, Any]] = {}
    chain = [configuration for pair in pairs() for configuration in pair]
    # one agent goes through all of them: what A is reloaded from is whatever was there before
    reloaded = {}
    agent = Agent(node, tmp_path / "reloads", chain[0])
    with agents(agent):
        wait_masters(agent, chain[0])
        for number, configuration in enumerate(chain):
            agent.configure(configuration)
            with ControlClient(agent.run_dir, timeout=30) as client:
                outcome = client.call("reload")
            assert "notes" not in outcome, outcome
            wait_masters(agent, configuration)
            reloaded[number] = state(node)
        assert agent.stop() == 0
    assert state(node) == before
    looked_at = range(0, len(chain), max(1, len(chain) // 12))
    for number in looked_at:
        fresh = Agent(node, tmp_path / f"start-{number}", chain[number])
        with agents(fresh):
            wait_masters(fresh, chain[number])
            started[str(number)] = state(node)
            assert fresh.stop() == 0
        assert reloaded[number] == started[str(number)], json.dumps(chain[number])

"""An agent with static addresses, routes and rules (keepalived's static_ipaddress, static_routes, static_rules)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, Node, ip, network, wait_for
from support.route_monitor import route_monitor

pytestmark = pytest.mark.root

GROUP = {"routers": {"group": ["VI_1"]}}
STATIC: dict[str, list[dict[str, Any]]] = {
    "static_ipaddress": [{"address": "203.0.113.5/24", "dev": "eth1"}],
    "static_routes": [{"destination": "10.1.0.0/16", "via": "203.0.113.254", "dev": "eth1", "src": "203.0.113.5"}],
    "static_rules": [{"from": "10.1.0.0/16", "table": 100, "preference": 1000}],
}


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as made:
        add_eth1(made.nodes[0])
        yield made


def add_eth1(node: Node) -> None:
    ip("link", "add", "eth1", "type", "veth", "peer", "name", "peer1", namespace=node.namespace)
    for name in ("eth1", "peer1"):
        ip("link", "set", name, "up", namespace=node.namespace)


def configuration(**more: Any) -> dict[str, Any]:
    one = instance(version=3, priority=200, advert_int=0.1, virtual_ipaddress=["198.51.100.100/24"])
    return one | STATIC | more


def there(node: Node) -> tuple[bool, list[str], list[int]]:
    """The static address, destinations of our routes, preferences of our rules."""
    routes = json.loads(ip("-j", "route", "show", "proto", "18", namespace=node.namespace) or "[]")
    rules = json.loads(ip("-j", "rule", "show", namespace=node.namespace))
    preferences = [rule["priority"] for rule in rules if rule["priority"] not in (0, 32766, 32767)]
    return node.has("203.0.113.5/24", "eth1"), [route["dst"] for route in routes], preferences


def gateways(node: Node) -> list[str]:
    return [
        route["gateway"] for route in json.loads(ip("-j", "route", "show", "10.1.0.0/16", namespace=node.namespace))
    ]


ALL = (True, ["10.1.0.0/16"], [1000])
NOTHING: tuple[bool, list[str], list[int]] = (False, [], [])


def all_there(agent: Agent) -> None:
    wait_for(lambda: there(agent.node) == ALL, SLACK, f"all there\n{agent.log}")


def test_from_the_start_to_the_stop_whatever_the_state(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration())
    with agents(one):
        one.wait_running()
        all_there(one)
        assert one.state() in ("BACKUP", "INIT", "MASTER")
        ip("link", "set", "eth0", "down", namespace=one.node.namespace)
        one.wait_state("FAULT", SLACK)
        assert there(one.node) == ALL
        assert "not-served" not in one.log
        assert one.stop() == 0
    assert there(net.nodes[0]) == NOTHING


def test_what_is_deleted_or_lost_is_put_back(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration())
    namespace = net.nodes[0].namespace
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        all_there(one)
        for words in (
            ["route", "del", "10.1.0.0/16"],
            ["rule", "del", "preference", "1000"],
            ["addr", "del", "203.0.113.5/24", "dev", "eth1"],  # and with it, silently, the route
        ):
            ip(*words, namespace=namespace)
            all_there(one)
        ip("link", "set", "eth1", "down", namespace=namespace)
        wait_for(lambda: there(one.node)[1] == [], SLACK, "the kernel drops the route")
        ip("link", "set", "eth1", "up", namespace=namespace)
        all_there(one)
        ip("link", "del", "eth1", namespace=namespace)
        add_eth1(one.node)
        all_there(one)
        assert one.state() == "MASTER"
        assert one.log.count("BACKUP -> MASTER") == 1, "no instance depends on them"


def test_instances_of_the_track_group_wait_for_it(net: Network, tmp_path: Path) -> None:
    routes = [STATIC["static_routes"][0] | {"track_group": "routers"}]
    one = Agent(net.nodes[0], tmp_path / "one", configuration(track_group=GROUP, static_routes=routes))
    namespace = net.nodes[0].namespace
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        ip("link", "set", "eth1", "down", namespace=namespace)
        one.wait_state("FAULT", SLACK)
        ip("link", "set", "eth1", "up", namespace=namespace)
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        all_there(one)


def test_reload_changes_what_differs_alone(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration())
    node = net.nodes[0]
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        all_there(one)
        with route_monitor(node) as monitor:
            rules = [*STATIC["static_rules"], {"from": "10.2.0.0/16", "table": 100, "preference": 1001}]
            one.configure(configuration(static_rules=rules, static_routes=STATIC["static_routes"]))
            one.process.send_signal(signal.SIGHUP)
            wait_for(lambda: there(node) == (True, ["10.1.0.0/16"], [1000, 1001]), SLACK, f"the new rule\n{one.log}")
            changed = [{"destination": "10.1.0.0/16", "via": "203.0.113.253", "dev": "eth1"}]
            one.configure(configuration(static_rules=rules, static_routes=changed))
            one.process.send_signal(signal.SIGHUP)
            wait_for(lambda: gateways(node) == ["203.0.113.253"], SLACK, "the new gateway")
            said = monitor.lines()
        assert [line.split(" dev ")[0].strip() for line in said if "10.1.0.0" in line or "from 10." in line] == [
            "1001:\tfrom 10.2.0.0/16 lookup 100 proto keepalived",
            "10.1.0.0/16 via 203.0.113.253",
            "Deleted 10.1.0.0/16 via 203.0.113.254",
        ], "nothing else was touched, and there was a route all the time"


def test_a_killed_worker_that_is_not_restarted_leaves_nothing(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(), "--no-respawn")
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        all_there(one)
        one.kill("vrrp")
        assert one.process.wait(15) == 1
    assert there(net.nodes[0]) == NOTHING


def kill_until_it_waits(one: Agent) -> None:
    """The worker that follows the third one starts after 4 s."""
    killed = [0]
    for _ in range(3):
        wait_for(lambda: one.pid_of("vrrp") not in killed, START + SLACK, f"another worker\n{one.log}")
        killed.append(one.pid_of("vrrp"))
        assert killed[-1]
        os.kill(killed[-1], signal.SIGKILL)
    wait_for(lambda: one.pid_of("vrrp") == 0, SLACK, "it is dead")


def test_what_a_killed_worker_had_goes_with_the_reload_that_leaves_it_no_work(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration())
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        all_there(one)
        kill_until_it_waits(one)
        all_there(one)
        one.configure({"bfd_instance": {"b1": {"neighbor_ip": "198.51.100.2"}}})
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: there(one.node) == NOTHING, START + SLACK, f"gone\n{one.log}")
        # where the reload took longer than the pause there was another one, which had to go
        wait_for(lambda: one.pid_of("vrrp") == 0, START, f"no worker\n{one.log}")
        assert one.stop() == 0


def test_what_only_the_configuration_of_a_killed_worker_has_goes_with_the_next_one(
    net: Network, tmp_path: Path
) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration())
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        all_there(one)
        kill_until_it_waits(one)
        one.configure(configuration(static_routes=[], static_rules=[]))
        one.process.send_signal(signal.SIGHUP)
        one.wait_state("MASTER", 4 + START + SLACK)
        wait_for(lambda: there(one.node) == (True, [], []), SLACK, f"the address alone\n{one.log}")
        assert one.stop() == 0


def test_a_killed_worker_that_is_restarted_takes_them_over(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration())
    node = net.nodes[0]
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        all_there(one)
        with route_monitor(node) as monitor:
            killed = one.kill("vrrp")
            wait_for(lambda: one.pid_of("vrrp") not in (0, killed), START, f"another worker\n{one.log}")
            one.wait_state("MASTER", START + SLACK)
            said = monitor.lines()
        assert not [line for line in said if "10.1.0.0" in line], "not touched"
        assert one.stop() == 0
    assert there(node) == NOTHING

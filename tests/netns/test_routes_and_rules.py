"""Agents with virtual routes and rules: they come and go with the mastership."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, Agent, agents, instance, master_down, skew
from support.netns import Network, Node, ip, network, wait_for
from support.route_monitor import route_monitor

pytestmark = pytest.mark.root

ADDRESS = "198.51.100.100/24"
ROUTES = [
    {"destination": "203.0.113.0/28", "via": "198.51.100.250", "dev": "eth0"},
    {"destination": "203.0.113.16/28", "via": "198.51.100.250", "src": "198.51.100.100", "table": 200, "metric": 7},
    {"type": "blackhole", "destination": "203.0.113.32/28"},
]
RULES = [{"from": "203.0.113.0/24", "table": 200, "preference": 2000}]


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def configuration(priority: int, **more: Any) -> dict[str, Any]:
    keywords: dict[str, Any] = {"version": 3, "priority": priority, "advert_int": 0.1, "virtual_ipaddress": [ADDRESS]}
    return instance(**(keywords | {"virtual_routes": ROUTES, "virtual_rules": RULES} | more))


def routes(node: Node) -> set[str]:
    """Destinations of the routes of protocol keepalived."""
    words = ("route", "show", "table", "all", "proto", "18")
    return {item["dst"] for item in json.loads(ip("-j", *words, namespace=node.namespace) or "[]")}


def preferences(node: Node) -> set[int]:
    found = json.loads(ip("-j", "rule", "show", namespace=node.namespace))
    return {rule["priority"] for rule in found} - {0, 32766, 32767}


def tables(node: Node) -> list[str]:
    """Where each of our rules looks up."""
    found = json.loads(ip("-j", "rule", "show", namespace=node.namespace))
    return [rule["table"] for rule in found if rule["priority"] == 2000]


ALL = {"203.0.113.0/28", "203.0.113.16/28", "203.0.113.32/28"}


def nothing(node: Node) -> bool:
    return not routes(node) and not preferences(node)


def test_failover_takes_routes_and_rules_along(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(100))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        two.wait_state("BACKUP", SLACK)
        wait_for(lambda: routes(one.node) == ALL and preferences(one.node) == {2000}, SLACK, "all there\n" + one.log)
        assert nothing(two.node)
        assert one.stop() == 0
        assert nothing(one.node), "an orderly stop removes them"
        two.wait_state("MASTER", skew(3, 100, 0.1) + SLACK)
        wait_for(lambda: routes(two.node) == ALL and preferences(two.node) == {2000}, SLACK, "all there\n" + two.log)
        assert "not-served" not in two.log
        assert two.stop() == 0


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["route", "del", "203.0.113.0/28"], "route_lost"),
        (["rule", "del", "preference", "2000"], "rule_lost"),
    ],
)
def test_what_somebody_deletes_comes_back(net: Network, tmp_path: Path, words: list[str], cause: str) -> None:
    """keepalived 2.2.7: BACKUP with a priority 0 advert, MASTER again after the skew time, everything back."""
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(one.node) == ALL, SLACK, "all there")
        ip(*words, namespace=one.node.namespace)
        wait_for(lambda: cause in one.log, SLACK, f"the loss is noticed\n{one.log}")
        one.wait_state("MASTER", skew(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(one.node) == ALL and preferences(one.node) == {2000}, SLACK, "all back\n" + one.log)


def test_what_somebody_deletes_is_put_back_where_that_is_wanted(net: Network, tmp_path: Path) -> None:
    """on_foreign_removal restore: the instance stays MASTER throughout, whatever goes with what is deleted."""
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200, on_foreign_removal="restore"))
    node = one.node
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(node) == ALL and preferences(node) == {2000}, SLACK, "all there")
        status = one.status()
        assert status is not None
        (address,) = status["vrrp"]["instances"]["VI_1"]["virtual_ipaddress"]
        for words in (["route", "del", "203.0.113.0/28"], ["rule", "del", "preference", "2000"],
                      ["addr", "del", address, "dev", "eth0"]):  # fmt: skip
            ip(*words, namespace=node.namespace)
            wait_for(lambda: routes(node) == ALL and preferences(node) == {2000} and node.has(address), SLACK, one.log)
        one.settle_log()
        assert "MASTER -> BACKUP" not in one.log
        assert one.log.count("is put back") == 3


def test_no_track(net: Network, tmp_path: Path) -> None:
    free = [{"destination": "203.0.113.48/28", "via": "198.51.100.250", "no_track": True}, ROUTES[0]]
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200, virtual_routes=free))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: len(routes(one.node)) == 2, SLACK, "both there")
        ip("route", "del", "203.0.113.48/28", namespace=one.node.namespace)
        ip("route", "del", "203.0.113.0/28", namespace=one.node.namespace)
        wait_for(lambda: "route_lost" in one.log, SLACK, "the second loss is noticed")
        wait_for(lambda: one.log.count("BACKUP -> MASTER") == 2, SLACK, f"master again\n{one.log}")
        one.settle_log()
        assert one.log.count("MASTER -> BACKUP") == 1, "the first one was not"
        assert "the route `203.0.113.48/28" not in one.log


def test_a_refused_route_is_reported_as_it_was_written(net: Network, tmp_path: Path) -> None:
    bad = [{"destination": "203.0.113.48/28", "via": "192.0.2.1", "dev": "eth0"}, *ROUTES]
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200, virtual_routes=bad))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(one.node) == ALL, SLACK, "the others are there")
        wait_for(lambda: "203.0.113.48/28 via 192.0.2.1 dev eth0" in one.log, SLACK, "the route is named")
        assert "Nexthop has invalid gateway" in one.log


def test_what_a_killed_agent_left_goes_first(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(one.node) == ALL, SLACK, "all there")
        pid = one.pid_of("vrrp")
        one.process.send_signal(signal.SIGSTOP)  # so that nothing cleans up
        os.kill(pid, signal.SIGKILL)
        one.process.kill()
        one.process.wait(10)
        assert routes(one.node) == ALL
        again = Agent(net.nodes[0], tmp_path / "one", configuration(100, advert_int=1))
        with agents(again):
            again.wait_state("BACKUP", SLACK)
            assert nothing(again.node)


def test_what_a_killed_agent_left_goes_though_it_is_not_configured_any_more(net: Network, tmp_path: Path) -> None:
    """The run directory says what there was; what somebody else has put there since bears no mark of the agent."""
    node = net.nodes[0]
    more = ["198.51.100.71/24", "198.51.100.72/24"]
    one = Agent(node, tmp_path / "one", configuration(200, virtual_ipaddress_excluded=more))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(node) == ALL and set(more) <= node.addresses(), SLACK, "all there")
        pid = one.pid_of("vrrp")
        one.process.send_signal(signal.SIGSTOP)  # so that nothing cleans up
        os.kill(pid, signal.SIGKILL)
        one.process.kill()
        one.process.wait(10)
        ip("addr", "del", more[1], "dev", "eth0", namespace=node.namespace)
        ip("addr", "add", more[1], "dev", "eth0", namespace=node.namespace)
        other = instance(priority=100, version=3, advert_int=1, virtual_ipaddress=["198.51.100.90/24"])
        again = Agent(node, tmp_path / "one", other)
        with agents(again):
            again.wait_state("BACKUP", SLACK)
            assert nothing(node), again.log
            kept = {more[1]} if marks_addresses() else set()
            assert node.addresses() & set(more) == kept
            assert "the agent before was killed" in again.log
            assert again.stop() == 0
    assert not (tmp_path / "one" / "run" / "machine.msgpack").exists(), "an orderly end leaves nothing to take away"


def marks_addresses() -> bool:
    return tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (5, 18)


def test_a_stop_that_keeps_the_addresses_keeps_routes_and_rules(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200), "--keep-vips")
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(one.node) == ALL, SLACK, "all there")
        assert one.stop() == 0
    assert routes(one.node) == ALL
    assert preferences(one.node) == {2000}


def test_the_interface_of_the_instance_goes_down_and_comes_back(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        ip("link", "set", "eth0", "down", namespace=one.node.namespace)
        one.wait_state("FAULT", SLACK)
        wait_for(lambda: nothing(one.node), SLACK, "all gone")
        ip("link", "set", "eth0", "up", namespace=one.node.namespace)
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: routes(one.node) == ALL and preferences(one.node) == {2000}, SLACK, "all back\n" + one.log)


def test_reload_replaces_what_differs_and_touches_nothing_that_is_equal(net: Network, tmp_path: Path) -> None:
    """Type, scope and nexthops count; the instance stays MASTER."""
    node = net.nodes[0]
    equal = {"destination": "203.0.113.0/28", "via": "198.51.100.250", "dev": "eth0"}
    old = [
        equal,
        {"destination": "203.0.113.16/28", "dev": "eth0", "scope": "global"},
        {"type": "blackhole", "destination": "203.0.113.32/28"},
        {"destination": "203.0.113.48/28", "nexthop": [{"via": "198.51.100.250", "dev": "eth0"}]},
        {"destination": "203.0.113.64/28", "dev": "eth0"},
    ]
    new = [
        equal,
        {"destination": "203.0.113.16/28", "dev": "eth0", "scope": "link"},
        {"type": "unreachable", "destination": "203.0.113.32/28"},
        {"destination": "203.0.113.48/28", "nexthop": [
            {"via": "198.51.100.250", "dev": "eth0"}, {"via": "198.51.100.251", "dev": "eth0"},
        ]},
        {"destination": "203.0.113.80/28", "dev": "eth0"},
    ]  # fmt: skip
    rule = RULES[0] | {"table": 201}
    one = Agent(node, tmp_path / "one", configuration(200, virtual_routes=old))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: len(routes(node)) == 5, SLACK, "all there")
        with route_monitor(node) as monitor:
            one.configure(configuration(200, virtual_routes=new, virtual_rules=[rule]))
            one.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "203.0.113.80/28" in routes(node), SLACK, one.log)
            wait_for(lambda: tables(node) == ["201"], SLACK, one.log)
            said = [line for line in monitor.lines() if "203.0.113." in line]
        assert [re.sub(r" (dev|via|proto) .*|\\\\.*", "", line).strip() for line in said] == [
            "203.0.113.16/28", "unreachable 203.0.113.32/28", "203.0.113.48/28", "203.0.113.80/28",
            "Deleted 203.0.113.64/28", "Deleted 203.0.113.48/28", "Deleted blackhole 203.0.113.32/28",
            "Deleted 203.0.113.16/28",
            "2000:\tfrom 203.0.113.0/24 lookup 201", "Deleted 2000:\tfrom 203.0.113.0/24 lookup 200",
        ]  # fmt: skip
        assert "203.0.113.0/28" in routes(node)
        assert one.state() == "MASTER"
        one.settle_log()
        assert one.log.count("BACKUP -> MASTER") == 1

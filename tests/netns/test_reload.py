"""Reloads on a running master: what stays is never gone, and nobody else takes over."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import SLACK, Agent, agents, instance, master_down
from support.netns import Network, network, wait_for
from support.wire import witness

pytestmark = pytest.mark.root
STAYS, COMES, GOES = "198.51.100.100/24", "198.51.100.101/24", "198.51.100.102/24"
FAST = 0.1


@pytest.fixture
def net() -> Iterator[Network]:
    with network(3) as made:
        yield made


def configuration(priority: int, addresses: list[str], name: str = "VI_1", **more: Any) -> dict[str, Any]:
    return instance(name, version=3, advert_int=FAST, priority=priority, virtual_ipaddress=addresses, **more)


def reload(agent: Agent, configuration: dict[str, Any]) -> dict[str, Any]:
    agent.configure(configuration)
    with ControlClient(agent.run_dir, timeout=30) as client:
        outcome: dict[str, Any] = client.call("reload")
    return outcome


def transitions(agent: Agent) -> list[str]:
    with ControlClient(agent.run_dir) as client:
        return [event["new"] for event in client.call("events")["events"] if event["type"] == "transition"]


@pytest.mark.skipif(shutil.which("ping") is None, reason="ping is not installed")
def test_a_client_of_a_running_master_loses_nothing(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200, [STAYS, GOES]))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(100, [STAYS, GOES]))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, FAST) + SLACK)
        two.wait_state("BACKUP", SLACK)
        before = transitions(one), transitions(two)
        ping = net.nodes[2].run("ping", "-i", "0.01", "-W", "1", STAYS.partition("/")[0], stdout=subprocess.PIPE)
        try:
            with witness(net.nodes[2].namespace) as eye:
                for new in (
                    configuration(200, [STAYS, GOES], garp_master_repeat=2),
                    configuration(200, [STAYS, GOES, COMES], garp_master_repeat=2),
                    configuration(200, [STAYS, COMES], garp_master_repeat=2),
                    configuration(150, [STAYS, COMES], garp_master_repeat=2),
                    configuration(150, [STAYS, COMES], name="VI_NEW", garp_master_repeat=2),
                ):
                    outcome = reload(one, new)
                    assert outcome["message"] != "nothing changed"
                eye.wait(
                    lambda seen: [s for s in seen if s.kind == "advert" and s.priority == 150] or None, SLACK, "150"
                )
                assert not [s for s in eye.seen if s.kind == "advert" and s.priority == 0]
        finally:
            ping.send_signal(signal.SIGINT)
            said, _ = ping.communicate(timeout=10)
        sent, received = re.findall(r"(\d+) packets transmitted, (\d+) received", said)[0]
        assert int(sent) - int(received) <= 1, said  # the last answer may have been on its way
        assert int(sent) > 20
        assert one.node.has(STAYS)
        assert one.node.has(COMES)
        assert not one.node.has(GOES)
        assert (transitions(one), transitions(two)) == before
        assert one.state("VI_NEW") == "MASTER"
        assert one.stop() == 0
        assert not one.node.addresses() & {STAYS, COMES}


def test_a_priority_below_the_others_is_given_way_to(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200, [STAYS]))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(100, [STAYS]))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, FAST) + SLACK)
        two.wait_state("BACKUP", SLACK)
        reload(one, configuration(50, [STAYS]))
        two.wait_state("MASTER", master_down(3, 100, FAST) + SLACK)
        one.wait_state("BACKUP", SLACK)
        wait_for(lambda: not one.node.has(STAYS), SLACK, "the address is given up")


def test_another_virtual_router_starts_anew(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200, [STAYS]))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, FAST) + SLACK)
        reload(one, configuration(200, [STAYS], virtual_router_id=52))
        wait_for(lambda: transitions(one) == ["BACKUP", "MASTER", "INIT", "BACKUP", "MASTER"], SLACK, one.log)
        assert one.node.has(STAYS)


def test_the_status_says_where_values_come_from(net: Network, tmp_path: Path) -> None:
    said = configuration(200, [STAYS]) | {"global_defs": {"vrrp_garp_master_repeat": 3}}
    one = Agent(net.nodes[0], tmp_path / "one", said)
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, FAST) + SLACK)
        status = one.status()
        assert status is not None
        sources = status["vrrp"]["instances"]["VI_1"]["sources"]
        assert (sources["priority"], sources["garp_master_repeat"]) == ("vrrp_instance VI_1", "global_defs")
        assert sources["preempt_delay"] == "default"
        reload(one, configuration(200, [STAYS], garp_master_repeat=4))
        status = one.status()
        assert status is not None
        assert status["vrrp"]["instances"]["VI_1"]["sources"]["garp_master_repeat"] == "vrrp_instance VI_1"

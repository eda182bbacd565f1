"""Reloads on a running master: what stays is never gone, and nobody else takes over."""

from __future__ import annotations

import os
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
from support.wire import Sighting, witness

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
        two.wait_follows(one, SLACK)
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


MANY = 1000 if os.environ.get("KACTL_FULL") else 250
TENTH = 100_000_000  # ns of the interval of one second


def latest(seen: list[Sighting]) -> int:
    """ns by which the longest time between two adverts of a virtual router exceeds the interval."""
    last: dict[tuple[str, int], int] = {}
    late = 0
    for advert in (each for each in seen if each.kind == "advert"):
        key = (advert.source, advert.virtual_router_id)
        late = max(late, advert.at - last.get(key, advert.at) - 1_000_000_000)
        last[key] = advert.at
    return late


def many(net: Network, **more: Any) -> dict[str, Any]:
    """Owners of an address each, 250 on an interface."""
    instances = {
        f"VI_{number}": {
            "interface": f"eth{number // 250}", "virtual_router_id": number % 250 + 1, "version": 3, "advert_int": 1,
            "priority": 255, "virtual_ipaddress": [f"10.20.{number // 250}.{number % 250 + 1}/32"], **more,
        }
        for number in range(MANY)
    }  # fmt: skip
    return {"vrrp_instance": instances}


def test_adverts_stay_within_a_tenth_of_their_interval_while_all_instances_are_reloaded(
    net: Network, tmp_path: Path
) -> None:
    bridge = net.nodes[0].namespace[:-2] + "br"
    for number in range(1, (MANY + 249) // 250):
        port = f"more{number}"
        for words in (
            ("-n", net.nodes[0].namespace, "link", "add", f"eth{number}", "type", "veth", "peer", "name", port, "netns",
             bridge),
            ("-n", bridge, "link", "set", port, "master", "br0", "up"),
            ("-n", net.nodes[0].namespace, "link", "set", f"eth{number}", "up"),
            ("-n", net.nodes[0].namespace, "addr", "add", f"198.51.{110 + number}.1/24", "dev", f"eth{number}"),
        ):  # fmt: skip
            subprocess.run(("ip", *words), check=True)
    one = Agent(net.nodes[0], tmp_path / "one", many(net))
    with agents(one), witness(net.nodes[1].namespace) as eye:
        one.wait_running()
        eye.wait_quiet(1.0, 2 * SLACK, "garp")
        worst = []
        for attempt in range(4):
            eye.forget()
            eye.watch(2.5)
            before = latest(eye.seen)
            outcome = reload(one, many(net, garp_master_repeat=attempt + 1))
            assert len(outcome["changes"]["changed"]) == MANY
            eye.watch(2.5)
            assert len({(each.source, each.virtual_router_id) for each in eye.seen if each.kind == "advert"}) == MANY
            assert not [each for each in eye.seen if each.priority == 0 and each.kind == "advert"]
            worst.append((before, latest(eye.seen)))
            if worst[-1][1] <= TENTH:
                return
        pytest.fail(f"ns late before and over a reload: {worst}")  # on a machine that is this loaded, not once in time

"""Sync groups of two agents: a fault on one LAN moves both, and everything says why."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import SLACK, START, Agent, agents, master_down
from support.netns import Network, ip, network, wait_for

pytestmark = pytest.mark.root
FAST = 0.1
INSIDE, OUTSIDE = "198.51.100.100/24", "203.0.113.100/24"


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        made.add_lan("eth1", "203.0.113")
        yield made


def configuration(priority: int, *, grouped: bool = True, **more: Any) -> dict[str, Any]:
    common = {"priority": priority, "version": 3, "advert_int": FAST} | more
    found: dict[str, Any] = {
        "vrrp_instance": {
            "IN": {"interface": "eth0", "virtual_router_id": 51, "virtual_ipaddress": [INSIDE], **common},
            "OUT": {"interface": "eth1", "virtual_router_id": 52, "virtual_ipaddress": [OUTSIDE], **common},
        }
    }
    return found | ({"vrrp_sync_group": {"VG": {"group": ["IN", "OUT"]}}} if grouped else {})


def group(agent: Agent) -> dict[str, Any]:
    status = agent.status()
    return status["vrrp"]["sync_groups"].get("VG", {}) if status else {}


def wait_group(agent: Agent, state: str) -> None:
    agent.wait_running()
    wait_for(lambda: group(agent).get("state") == state, master_down(3, 100, FAST) + SLACK, f"{state}\n{agent.log}")


def holds(agent: Agent) -> set[str]:
    return (agent.node.addresses("eth0") | agent.node.addresses("eth1")) & {INSIDE, OUTSIDE}


def test_a_fault_on_one_lan_moves_both(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(100))
    with agents(one, two):
        wait_group(one, "MASTER")
        wait_group(two, "BACKUP")
        assert holds(one) == {INSIDE, OUTSIDE}
        assert group(one)["members"] == ["IN", "OUT"]
        ip("link", "set", "eth1", "down", namespace=one.node.namespace)
        wait_group(one, "FAULT")
        wait_group(two, "MASTER")
        wait_for(lambda: holds(two) == {INSIDE, OUTSIDE}, SLACK, "both addresses have moved")
        assert holds(one) == set()
        found = group(one)
        assert (found["cause"], found["detail"]) == ("interface_down", "interface eth1 is down")
        with ControlClient(one.run_dir) as client:
            events = [event for event in client.call("events")["events"] if event["type"] == "group_transition"]
        assert [(e["old"], e["new"]) for e in events] == [
            ("INIT", "BACKUP"), ("BACKUP", "MASTER"), ("MASTER", "FAULT"),
        ]  # fmt: skip
        assert (events[-1]["group"], events[-1]["cause"]) == ("VG", "interface_down")
        assert "sync group VG: MASTER -> FAULT: interface eth1 is down" in one.log
        ip("link", "set", "eth1", "up", namespace=one.node.namespace)
        wait_group(one, "MASTER")
        wait_group(two, "BACKUP")
        wait_for(lambda: holds(one) == {INSIDE, OUTSIDE} and not holds(two), SLACK, "and back")
        assert one.stop() == 0
        wait_group(two, "MASTER")
        assert two.stop() == 0
        assert holds(one) | holds(two) == set()


def test_a_group_comes_and_goes_with_reloads(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200, grouped=False))

    def reload(new: dict[str, Any]) -> None:
        one.configure(new)
        with ControlClient(one.run_dir, timeout=30) as client:
            client.call("reload")

    def states() -> list[str]:
        return [one.state("IN"), one.state("OUT")]

    with agents(one):
        one.wait_running()
        wait_for(lambda: states() == ["MASTER", "MASTER"], SLACK, "both are master, each for itself")
        reload(configuration(200))
        assert group(one)["state"] == "MASTER"
        with ControlClient(one.run_dir) as client:
            told = [e["new"] for e in client.call("events")["events"] if e["type"] == "transition"]
        assert told == ["BACKUP", "BACKUP", "MASTER", "MASTER"], "the reload moved nobody"
        ip("link", "set", "eth1", "down", namespace=one.node.namespace)
        wait_for(lambda: states() == ["FAULT", "FAULT"], SLACK, "the group is at fault")
        reload(configuration(200, grouped=False))
        wait_for(lambda: states() == ["MASTER", "FAULT"], SLACK, "each for itself again")
        status = one.status()
        assert status is not None
        assert status["vrrp"]["sync_groups"] == {}
        assert one.stop() == 0


def test_a_member_that_is_added_to_a_group_of_masters_takes_nothing_from_them(net: Network, tmp_path: Path) -> None:
    """The journal has every transition there was; the other router, of lower priority, never got to be master."""
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(100))
    third = "203.0.113.101/24"
    wider = configuration(200)
    wider["vrrp_instance"]["THIRD"] = {
        "interface": "eth1", "virtual_router_id": 53, "virtual_ipaddress": [third],
        "priority": 200, "version": 3, "advert_int": FAST,
    }  # fmt: skip
    wider["vrrp_sync_group"]["VG"]["group"].append("THIRD")
    with agents(one, two):
        wait_group(one, "MASTER")
        wait_group(two, "BACKUP")
        one.configure(wider)
        with ControlClient(one.run_dir, timeout=30) as client:
            client.call("reload")
        wait_for(lambda: one.state("THIRD") == "MASTER", SLACK, f"the third one is master\n{one.log}")
        assert third in one.node.addresses("eth1")
        assert holds(one) == {INSIDE, OUTSIDE}
        with ControlClient(one.run_dir) as client:
            events = client.call("events")["events"]
        told = [(e["instance"], e["new"]) for e in events if e["type"] == "transition"]
        assert told[:2] == [("IN", "BACKUP"), ("OUT", "BACKUP")]
        assert sorted(told[2:4]) == [("IN", "MASTER"), ("OUT", "MASTER")]
        assert told[4:] == [("THIRD", "BACKUP"), ("THIRD", "MASTER")]
        assert [e["new"] for e in events if e["type"] == "group_transition"] == ["BACKUP", "MASTER"]
        assert group(one)["members"] == ["IN", "OUT", "THIRD"]
        assert holds(two) == set()


def test_a_worker_that_dies_takes_the_whole_group_along(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(200))
    two = Agent(net.nodes[1], tmp_path / "two", configuration(100))
    with agents(one, two):
        wait_group(one, "MASTER")
        wait_group(two, "BACKUP")
        observer = one.pid_of("observer")
        ip("link", "set", "eth1", "down", namespace=one.node.namespace)
        wait_group(one, "FAULT")
        wait_group(two, "MASTER")
        ip("link", "set", "eth1", "up", namespace=one.node.namespace)
        wait_group(one, "MASTER")
        wait_group(two, "BACKUP")
        os.kill(observer, signal.SIGKILL)
        wait_for(lambda: one.pid_of("observer") not in (0, observer), SLACK, "another observer")
        wait_group(one, "MASTER")
        worker = one.pid_of("vrrp")
        one.process.send_signal(signal.SIGSTOP)  # another worker at once may be master again before anybody sees this
        try:
            os.kill(worker, signal.SIGKILL)
            wait_group(two, "MASTER")
        finally:
            one.process.send_signal(signal.SIGCONT)
        wait_for(lambda: one.pid_of("vrrp") not in (0, worker), START, f"another worker\n{one.log}")
        wait_for(lambda: holds(one) == set() or group(one).get("state") == "MASTER", SLACK, "nothing stays behind")
        wait_group(one, "MASTER")
        wait_group(two, "BACKUP")

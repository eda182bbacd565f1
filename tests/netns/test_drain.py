"""kactl drain between real agents: one handover, held through whatever happens, given back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from kactl_agent.control.protocol import ControlError
from support.agents import SLACK, START, Agent, agents, instance, master_down, skew
from support.netns import Network, network, wait_for

pytestmark = pytest.mark.root

ADDRESS = "198.51.100.100/24"
INTERVAL = 0.2
DOWN = master_down(3, 100, INTERVAL)


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def virtual_router(priority: int, **keywords: Any) -> dict[str, Any]:
    return instance(version=3, advert_int=INTERVAL, priority=priority, virtual_ipaddress=[ADDRESS], **keywords)


def ask(agent: Agent, method: str, **params: Any) -> dict[str, Any]:
    with ControlClient(agent.run_dir, timeout=30) as client:
        answer = client.call(method, params)
    assert isinstance(answer, dict)
    return answer


def transitions(agent: Agent, name: str = "VI_1") -> list[tuple[str, str, str]]:
    events = ask(agent, "events")["events"]
    return [(e["old"], e["new"], e["cause"]) for e in events if e["type"] == "transition" and e["instance"] == name]


def drained(agent: Agent, name: str = "VI_1") -> dict[str, Any]:
    status = agent.status()
    return (status["vrrp"]["instances"][name]["drained"] or {}) if status else {}


def answers(agent: Agent) -> bool:
    """Itself: the observer of an agent that was killed may do so for a moment, in the same place."""
    status = agent.status()
    return status is not None and status["agent"]["pid"] == agent.agent_pid


def pair(net: Network, tmp_path: Path, **keywords: Any) -> tuple[Agent, Agent]:
    return (
        Agent(net.nodes[0], tmp_path / "one", virtual_router(200, **keywords)),
        Agent(net.nodes[1], tmp_path / "two", virtual_router(100, **keywords)),
    )


def test_drained_it_hands_over_once_holds_through_everything_and_comes_back(net: Network, tmp_path: Path) -> None:
    one, two = pair(net, tmp_path)
    with agents(one, two):
        one.wait_state("MASTER", DOWN + SLACK)
        two.wait_state("BACKUP", SLACK)
        answer = ask(one, "drain", target="VI_1", reason="kernel update", require_peer=True)
        assert answer == {"drained": ["VI_1"], "message": "VI_1 is drained: kernel update"}
        two.wait_state("MASTER", skew(3, 100, INTERVAL) + SLACK)
        assert transitions(two)[-1][2] == "master_resigned"
        assert transitions(one)[-1] == ("MASTER", "BACKUP", "drained")
        count = len(transitions(one))
        wait_for(lambda: not drained(one)["handing_over"], SLACK, "it has heard the other one")
        assert (drained(one)["reason"], drained(one)["by"]) == ("kernel update", "VI_1")

        # a reload with another name and priority, and a worker that is killed
        moved = virtual_router(250)
        moved["vrrp_instance"]["VI_2"] = moved["vrrp_instance"].pop("VI_1")
        one.configure(moved)
        ask(one, "reload")
        assert one.state("VI_2") == "BACKUP"
        before = one.pid_of("vrrp")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: one.pid_of("vrrp") not in (0, before), START, "another worker")
        one.wait_state("BACKUP", SLACK, "VI_2")
        assert drained(one, "VI_2")["reason"] == "kernel update"

        # nobody else is there: it stays out all the same
        assert two.stop() == 0
        wait_for(lambda: "drained_without_master" in one.log, 2 * DOWN + SLACK, "it says that nobody is master")
        assert one.state("VI_2") == "BACKUP"
        assert not one.node.has(ADDRESS)
        assert len(transitions(one)) == count
        assert [new for _, new, _ in transitions(one, "VI_2")] == ["BACKUP"]  # the new worker's start

        ask(one, "undrain", target="VI_2")
        one.wait_state("MASTER", DOWN + SLACK, "VI_2")
        assert one.node.has(ADDRESS)


def test_it_survives_the_death_of_the_agent_and_no_orderly_end(net: Network, tmp_path: Path) -> None:
    one, two = pair(net, tmp_path)
    with agents(two, one):
        one.wait_state("MASTER", DOWN + SLACK)
        ask(one, "drain", target="VI_1", reason="disk")
        two.wait_state("MASTER", DOWN + SLACK)
        os.kill(one.agent_pid, signal.SIGKILL)
        one.process.wait(15)
        again = Agent(one.node, tmp_path / "one", None)
        with agents(again):
            wait_for(lambda: answers(again), START, "it is not the observer of the dead one that answers")
            again.wait_state("BACKUP", SLACK)
            assert drained(again)["reason"] == "disk"
            time.sleep(2 * DOWN)  # as long as it would take to take over
            assert (again.state(), two.state()) == ("BACKUP", "MASTER")
            assert again.stop() == 0
        third = Agent(one.node, tmp_path / "one", None)
        with agents(third):
            third.wait_state("MASTER", START + DOWN + SLACK)
            assert drained(third) == {}


def test_require_peer_without_one_it_is_master_again_and_the_command_fails(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    with agents(one):
        one.wait_state("MASTER", DOWN + SLACK)
        with pytest.raises(ControlError) as refusal:
            ask(one, "drain", target="VI_1", require_peer=True)
        assert refusal.value.message == "not drained: no other router took over from VI_1, which is master again"
        assert one.state() == "MASTER"
        assert one.node.has(ADDRESS)
        assert [cause for _, _, cause in transitions(one)][-2:] == ["drained", "drain_refused"]
        assert drained(one) == {}


def test_a_time_to_live_ends_it(net: Network, tmp_path: Path) -> None:
    one, two = pair(net, tmp_path)
    with agents(one, two):
        one.wait_state("MASTER", DOWN + SLACK)
        two.wait_state("BACKUP", SLACK)
        before = [len(transitions(each)) for each in (one, two)]
        ask(one, "drain", all=True, ttl_s=1)
        # the other one is MASTER for a second or so: its journal knows it for longer
        wait_for(lambda: len(transitions(one)) >= before[0] + 2, 1 + 2 * DOWN + SLACK, "it comes back")
        assert [new for _, new, _ in transitions(one)[before[0] :]] == ["BACKUP", "MASTER"]
        one.wait_state("MASTER", SLACK)
        wait_for(lambda: len(transitions(two)) >= before[1] + 2, SLACK, "the other one has yielded")
        assert [new for _, new, _ in transitions(two)[before[1] :]] == ["MASTER", "BACKUP"]
        two.wait_state("BACKUP", SLACK)
        kinds = [e["type"] for e in ask(one, "events")["events"] if e["type"] in ("drain", "undrain")]
        assert kinds == ["drain", "undrain"]


def test_a_sync_group_is_drained_as_one_and_an_owner_too(net: Network, tmp_path: Path) -> None:
    net.add_lan("eth1", "203.0.113")

    def group(priority: int) -> dict[str, Any]:
        configuration = virtual_router(priority)
        configuration["vrrp_instance"]["VI_2"] = configuration["vrrp_instance"]["VI_1"] | {
            "interface": "eth1", "virtual_router_id": 52, "virtual_ipaddress": ["203.0.113.100/24"],
        }  # fmt: skip
        configuration["vrrp_sync_group"] = {"VG": {"group": ["VI_1", "VI_2"]}}
        return configuration

    one = Agent(net.nodes[0], tmp_path / "one", group(255))
    two = Agent(net.nodes[1], tmp_path / "two", group(100))
    with agents(one, two):
        for name in ("VI_1", "VI_2"):
            one.wait_state("MASTER", DOWN + SLACK, name)
            two.wait_state("BACKUP", SLACK, name)
        assert ask(one, "drain", target="VI_2", require_peer=True)["drained"] == ["VI_1", "VI_2"]
        for name in ("VI_1", "VI_2"):
            two.wait_state("MASTER", DOWN + SLACK, name)
            assert one.state(name) == "BACKUP"
            assert transitions(one, name)[-1] == ("MASTER", "BACKUP", "drained")
        assert not one.node.has(ADDRESS)
        assert not one.node.has("203.0.113.100/24", "eth1")
        ask(one, "undrain", target="VG")
        for name in ("VI_1", "VI_2"):
            one.wait_state("MASTER", 2 * DOWN + SLACK, name)
            two.wait_state("BACKUP", SLACK, name)

"""Processes that are stopped for a while and go on (SIGSTOP, SIGCONT): nothing is lost but the time (seed row S38)."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, network, wait_for

pytestmark = pytest.mark.root

ADDRESS = "198.51.100.100/24"


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def virtual_router(priority: int) -> dict[str, Any]:
    return instance(version=3, advert_int=0.2, priority=priority, virtual_ipaddress=[ADDRESS])


def transitions(agent: Agent) -> int:
    return len(re.findall(r": [A-Z]+ -> [A-Z]+: ", agent.log))


def suspended(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_master_that_was_suspended_finds_one_master_when_it_goes_on(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    two = Agent(net.nodes[1], tmp_path / "two", virtual_router(100))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, 0.2) + SLACK)
        two.wait_state("BACKUP", SLACK)
        worker = one.pid_of("vrrp")
        for _ in range(2):
            os.kill(worker, signal.SIGSTOP)
            wait_for(lambda: suspended(worker), SLACK, "the worker is suspended")
            two.wait_state("MASTER", master_down(3, 100, 0.2) + SLACK)
            os.kill(worker, signal.SIGCONT)
            two.wait_state("BACKUP", master_down(3, 200, 0.2) + SLACK)
            one.wait_state("MASTER", SLACK)
            assert one.node.has(ADDRESS)
            wait_for(lambda: not two.node.has(ADDRESS), SLACK, "one master has the address")
        assert one.pid_of("vrrp") == worker, "it went on, it was not replaced"


def test_a_backup_that_was_suspended_does_not_take_over(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    two = Agent(net.nodes[1], tmp_path / "two", virtual_router(100))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, 0.2) + SLACK)
        two.wait_follows(one, SLACK)
        before = transitions(two)
        worker = two.pid_of("vrrp")
        os.kill(worker, signal.SIGSTOP)
        wait_for(lambda: suspended(worker), SLACK, "the worker is suspended")
        heard = received(one, "adverts_sent")
        wait_for(lambda: received(one, "adverts_sent") > heard + 10, SLACK + 5, "ten adverts went by")
        os.kill(worker, signal.SIGCONT)
        missed = received(two, "adverts_received")
        wait_for(lambda: received(two, "adverts_received") > missed + 10, SLACK + 5, "it hears its master again")
        assert transitions(two) == before


def received(agent: Agent, what: str) -> int:
    status = agent.status()
    assert status is not None
    return int(status["vrrp"]["instances"]["VI_1"]["statistics"][what])


def test_a_supervisor_that_was_suspended_still_answers_and_reloads(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.2) + SLACK)
        before = transitions(one)
        one.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: suspended(one.process.pid), SLACK, "the supervisor is suspended")
        one.configure(virtual_router(150))
        one.process.send_signal(signal.SIGHUP)
        one.process.send_signal(signal.SIGCONT)
        wait_for(lambda: "reload done" in one.log, START, "the reload that was asked for meanwhile")
        one.settle_log()
        assert one.state() == "MASTER"
        assert transitions(one) == before
        assert one.stop() == 0
        assert not one.node.has(ADDRESS)

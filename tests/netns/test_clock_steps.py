"""The wall clock is set an hour forth and back: nobody becomes master of anything, and nothing expires.

Only where the clock is the test's own: `tests/kernel/test_clock_steps.py` runs this inside User Mode Linux.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import SLACK, Agent, agents, instance, master_down
from support.netns import Network, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.environ.get("KACTL_OWN_CLOCK") != "1", reason="the clock of this machine is not ours to set"),
]
ADDRESS = "198.51.100.100/24"
HOUR = 3600.0
DOWN = master_down(3, 100)


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def virtual_router(priority: int) -> dict[str, Any]:
    return instance(version=3, advert_int=1, priority=priority, virtual_ipaddress=[ADDRESS])


def ask(agent: Agent, method: str, **params: Any) -> Any:
    with ControlClient(agent.run_dir, timeout=60) as client:
        return client.call(method, params)


def transitions(agent: Agent) -> int:
    return sum(event["type"] == "transition" for event in ask(agent, "events")["events"])


def sent(agent: Agent) -> int:
    status = agent.status()
    return int(status["vrrp"]["instances"]["VI_1"]["statistics"]["adverts_sent"]) if status else 0


def test_steps_of_an_hour_change_nothing(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    two = Agent(net.nodes[1], tmp_path / "two", virtual_router(100))
    with agents(one, two):
        one.wait_state("MASTER", 3 * DOWN + SLACK)
        two.wait_state("BACKUP", 2 * SLACK)
        ask(two, "drain", all=True, ttl_s=1800)
        before = transitions(one), transitions(two)
        for step in (HOUR, -HOUR, -HOUR, HOUR):
            time.clock_settime(time.CLOCK_REALTIME, time.time() + step)
            adverts, began = sent(one), time.monotonic()
            wait_for(lambda adverts=adverts: sent(one) >= adverts + 4, DOWN + 2 * SLACK, "adverts go on")
            assert time.monotonic() - began >= 2, "at their own pace"
            assert (one.state(), two.state()) == ("MASTER", "BACKUP")
            status = one.status()
            assert status is not None
            assert status["agent"]["uptime_s"] < 600
        assert (transitions(one), transitions(two)) == before
        status = two.status()
        assert status is not None
        assert status["vrrp"]["instances"]["VI_1"]["drained"], "its time is counted by a clock that nobody sets"
        assert one.stop() == 0

"""What an agent was not granted: its plan says so before a reload is refused for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.control.client import ControlClient
from kactl_agent.control.protocol import ControlError
from support.agents import Agent, agents, instance
from support.netns import Network, network

pytestmark = pytest.mark.root
WITHOUT_RAW = ("setpriv", "--bounding-set=-net_raw")


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as net:
        yield net


def test_a_plan_says_what_a_reload_is_refused_for(net: Network, tmp_path: Path) -> None:
    agent = Agent(net.nodes[0], tmp_path, {"global_defs": {"router_id": "lb1"}}, prefix=WITHOUT_RAW)
    with agents(agent):
        agent.wait_running()
        with ControlClient(agent.run_dir, timeout=30) as client:
            fine = client.call("plan")
            assert (fine["refused"], fine["class"]) == ("", "no-op")
            agent.configure(instance(virtual_ipaddress=["198.51.100.100/24"]))
            plan = client.call("plan")
            assert (plan["valid"], plan["refused"].partition(":")[0]) == (True, "VRRP needs CAP_NET_RAW")
            assert set(plan["capabilities"]) - set(fine["capabilities"]) == {"CAP_NET_ADMIN", "CAP_NET_RAW"}
            with pytest.raises(ControlError) as refusal:
                client.call("reload")
            assert refusal.value.message == plan["refused"]

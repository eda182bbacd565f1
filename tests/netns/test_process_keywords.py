"""What process keywords make of running agents, as the kernel and the file system show it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance
from support.netns import Network, network, wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


def configured(*, outside: dict[str, Any] | None = None, **global_defs: Any) -> dict[str, Any]:
    return instance(virtual_ipaddress=["198.51.100.100/24"]) | {"global_defs": global_defs} | (outside or {})


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def locked(pid: int) -> int:
    """kB of memory that cannot be swapped out (VmLck of proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmLck:"))


def priority_of(pid: int) -> int:
    """The real-time priority, 0 for none."""
    return os.sched_getparam(pid).sched_priority


def test_priority_memory_and_name_of_the_vrrp_worker(net: Network, tmp_path: Path) -> None:
    said = {"vrrp_no_swap": True, "vrrp_rt_priority": 7, "vrrp_priority": -3, "vrrp_cpu_affinity": [0]}
    one = Agent(net.nodes[0], tmp_path / "one", configured(**said, process_name="lb", vrrp_process_name="lb-vrrp"))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        vrrp, observer = one.pid_of("vrrp"), one.pid_of("observer")
        wait_for(lambda: priority_of(vrrp) == 7, SLACK, "real-time scheduling")
        assert os.sched_getscheduler(vrrp) == os.SCHED_RR
        assert os.getpriority(os.PRIO_PROCESS, vrrp) == -3
        assert os.sched_getaffinity(vrrp) == {0}
        assert locked(vrrp) > 1000
        assert (locked(observer), priority_of(observer)) == (0, 0), "and of no other process"
        assert (locked(one.agent_pid), priority_of(one.agent_pid)) == (0, 0)
        assert (name_of(one.agent_pid), name_of(vrrp), name_of(observer)) == ("lb", "lb-vrrp", "kactl-observer")

        one.configure(configured(vrrp_rt_priority=3, process_names=True))
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: priority_of(vrrp) == 3, SLACK, "another priority after a reload")
        wait_for(lambda: name_of(one.agent_pid) == "kactl-agent", SLACK, "another name after a reload")
        assert one.pid_of("vrrp") == vrrp, "without another process"
        assert locked(vrrp) == 0
        assert name_of(vrrp) == "kactl-vrrp"
        assert os.getpriority(os.PRIO_PROCESS, vrrp) == 0
        assert one.state() == "MASTER"
        assert one.stop() == 0


def test_a_worker_that_does_not_stop_is_killed_after_child_wait_time(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configured(outside={"child_wait_time": 1}))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        os.kill(one.pid_of("vrrp"), signal.SIGSTOP)
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "did not stop in time and is killed" in one.log, 1 + SLACK / 2, "the end of its time")
        assert one.process.wait(10) == 0
        assert not net.nodes[0].has("198.51.100.100/24"), "what it left is taken back"

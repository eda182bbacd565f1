"""Memory and descriptors are flat: over reloads, and over transitions (seed row S07). KACTL_FULL=1: 1,000 reloads and
10,000 transitions.

What is measured is anonymous memory, which nothing else on the machine changes. Work is done first until what may grow
(the journal, caches, the heaps) has grown.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import SLACK, START, Agent, agents, instance, wait_warm
from support.netns import Network, network, wait_for

pytestmark = pytest.mark.root
FULL = bool(os.environ.get("KACTL_FULL"))
GROWTH = 768  # KiB a process may be larger afterwards: heaps are not emptied to the last page
COUNT = 120


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


def anonymous(pid: int) -> int:
    """KiB."""
    found = re.search(r"^Anonymous:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def descriptors(pid: int) -> Counter[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(f"/proc/{pid}/fd/{name}").split(":")[0])
    return Counter(found)


class Scales:
    """The processes of an agent, weighed before and after work."""

    def __init__(self, agent: Agent) -> None:
        wait_warm(agent)
        self.pids = {name: agent.pid_of(name) for name in ("vrrp", "observer", "spawner")}
        self.pids["supervisor"] = agent.agent_pid
        self.descriptors = {name: descriptors(pid) for name, pid in self.pids.items()}

    def weigh(self, work: Callable[[], str]) -> None:
        """The same work is done once before: a heap grows to the most that waits at one time, on a busy machine more
        than on a quiet one."""
        work()
        before = {name: anonymous(pid) for name, pid in self.pids.items()}
        what = work()
        after = {name: anonymous(pid) for name, pid in self.pids.items()}
        grown = {name: after[name] - before[name] for name in after}
        print(f"\n{what}: KiB of anonymous memory before {before}, after {after}, grown {grown}")
        assert max(grown.values()) < GROWTH, grown
        for name, pid in self.pids.items():
            wait_for(
                lambda name=name, pid=pid: not descriptors(pid) - self.descriptors[name],
                SLACK,
                f"descriptors of {name}",
            )


def ask(agent: Agent, method: str, **params: Any) -> Any:
    with ControlClient(agent.run_dir, timeout=60) as client:
        return client.call(method, params)


@pytest.mark.timeout(2400 if FULL else 120)
def test_reloads(net: Network, tmp_path: Path) -> None:
    def configuration(number: int) -> dict[str, Any]:
        """The same one each second time: what changed has to be given back, and what did not has to stay."""
        return instance(
            version=3, advert_int=0.2, priority=200, garp_master_repeat=1 + number % 2,
            virtual_ipaddress=[f"198.51.100.{100 + last}/24" for last in range(20 + number % 2)],
        )  # fmt: skip

    one = Agent(net.nodes[0], tmp_path / "one", configuration(0))
    with agents(one):
        one.wait_state("MASTER", SLACK + 2)

        def reloads(count: int) -> None:
            for number in range(count):
                one.configure(configuration(number // 2))
                ask(one, "reload")

        if FULL:  # the journal, as large as it gets, and heaps with the holes they will have
            for _ in range(2100):
                ask(one, "drain", all=True)
                ask(one, "undrain", all=True)
            reloads(500)
            one.wait_state("MASTER", SLACK + 2)
        reloads(20)
        scales = Scales(one)
        count = 1000 if FULL else 40

        def work() -> str:
            reloads(count)
            return f"{count} reloads"

        scales.weigh(work)
        assert one.state() == "MASTER"
        assert one.pid_of("vrrp") == scales.pids["vrrp"]


@pytest.mark.timeout(1200 if FULL else 120)
def test_transitions(net: Network, tmp_path: Path) -> None:
    many = {
        f"V{number}": {
            "interface": "eth0", "virtual_router_id": number, "priority": 254, "version": 3, "advert_int": 0.1,
            "garp_master_repeat": 1, "garp_master_delay": 0, "virtual_ipaddress": [f"198.18.{number}.1/24"],
        }
        for number in range(1, COUNT + 1)
    }  # fmt: skip
    one = Agent(net.nodes[0], tmp_path / "one", {"vrrp_instance": many})
    with agents(one):
        one.wait_running()

        def all_are(state: str) -> Callable[[], bool]:
            def condition() -> bool:
                status = one.status()
                found = status["vrrp"]["instances"].values() if status else ()
                return sum(each["state"] == state for each in found) == COUNT

            return condition

        def turns(count: int) -> None:
            """Two transitions of each instance every turn."""
            for _ in range(count):
                wait_for(all_are("MASTER"), START, "all are master")
                ask(one, "drain", all=True)
                wait_for(all_are("BACKUP"), START, "all are drained")
                ask(one, "undrain", all=True)
            wait_for(all_are("MASTER"), START, "all are master again")

        turns(20)  # more than the journal keeps in memory
        scales = Scales(one)

        def work() -> str:
            first = transitions(one)
            turns(10_000 // (2 * COUNT) + 1 if FULL else 12)
            return f"{transitions(one) - first} transitions"

        scales.weigh(work)
        assert one.pid_of("vrrp") == scales.pids["vrrp"]
        sizes = [(one.run_dir / name).stat().st_size for name in ("journal.0", "journal.1")]
        assert max(sizes) <= 4 << 20


def transitions(agent: Agent) -> int:
    """So far, of all instances, by their own count."""
    status = agent.status()
    assert status is not None
    found = status["vrrp"]["instances"].values()
    return sum(i["statistics"]["became_master"] + i["statistics"]["released_master"] for i in found)

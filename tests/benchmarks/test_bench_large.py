"""2,284 virtual servers with 37,298 real servers beside VRRP at 100 ms and BFD at 50 ms x 3: what it takes to plan them
and to put them in force, and how punctual the protocols are meanwhile.

IPVS is in memory here, so that the processors are real ones; `test_bench_ipvs` has the kernel's.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import START, Agent, agents, instance
from support.conversion import to_yaml
from support.figures import Figure, add
from support.ipvs_bench import LARGE_REALS, LARGE_SERVERS, configuration, large
from support.netns import Network, ip, network, wait_for
from support.wire import Sighting, witness

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

TESTS = Path(__file__).resolve().parents[1]
FULL = bool(os.environ.get("KACTL_FULL", "1"))
WHAT = f"{LARGE_SERVERS} virtual and {LARGE_REALS} real servers" if FULL else "100 virtual and 400 real servers"
MS = 1_000_000
INTERVAL = 100 * MS  # between adverts
BFD_INTERVAL = 50
SESSIONS = 4
PATIENCE = 120.0  # seconds


class Balancing(Agent):
    """With IPVS in memory."""

    @staticmethod
    def command_line(config: Path, run_dir: Path) -> tuple[str, ...]:
        return sys.executable, "-m", "support.balancing_agent", "--config", str(config), "--run-dir", str(run_dir)

    def timed(self, method: str, **said: Any) -> tuple[float, Any]:
        """Seconds until the answer."""
        with ControlClient(self.run_dir, timeout=PATIENCE) as client:
            began = time.monotonic()
            answer = client.call(method, said)
            return time.monotonic() - began, answer


def document(protocols: dict[str, Any], servers: str) -> str:
    """`servers` is YAML."""
    return servers + "".join(f"{key}: {json.dumps(said)}\n" for key, said in protocols.items())


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        for number, node in enumerate(made.nodes):
            for at in range(1, SESSIONS + 1):
                ip("addr", "add", f"10.7.{number}.{at}/16", "dev", "eth0", namespace=node.namespace)
        yield made


def protocols(me: int, *, real_time: bool) -> dict[str, Any]:
    """A virtual router whose master is the first node, and sessions between the two."""
    defs = {"global_defs": {"vrrp_rt_priority": 50, "bfd_rt_priority": 50}} if real_time else {}
    sessions = {
        f"b{n}": {
            "neighbor_ip": f"10.7.{1 - me}.{n}", "source_ip": f"10.7.{me}.{n}",
            "min_tx": BFD_INTERVAL, "min_rx": BFD_INTERVAL, "multiplier": 3,
        }
        for n in range(1, SESSIONS + 1)
    }  # fmt: skip
    router = instance(version=3, advert_int=0.1, priority=200 - 100 * me, virtual_ipaddress=["192.0.2.99/32"])
    return {**defs, **router, "bfd_instance": sessions}


def at_work(agent: Agent) -> bool:
    status = agent.status()
    if status is None or "bfd" not in status:
        return False
    states = [session["state"] for session in status["bfd"]["instances"].values()]
    return states == ["Up"] * SESSIONS


def bfd_timers(agent: Agent) -> dict[str, Any]:
    status = agent.status()
    assert status is not None
    found: dict[str, Any] = status["bfd"]["timers"]
    return found


def moves(agent: Agent) -> list[str]:
    """What the protocols have said that they do."""
    return [line for line in agent.log.splitlines() if " -> " in line]


def lateness(seen: list[Sighting]) -> list[int]:
    """ns by which the time between two adverts exceeds the interval."""
    times = [each.at for each in seen if each.kind == "advert"]
    return [max(0, after - before - INTERVAL) for before, after in itertools.pairwise(times)]


@pytest.mark.parametrize("real_time", [False, True], ids=["ordinary", "real-time"])
def test_protocols_beside_a_large_configuration(net: Network, tmp_path: Path, *, real_time: bool) -> None:
    ours_says, peer_says = (protocols(me, real_time=real_time) for me in (0, 1))
    small, full = to_yaml(configuration(1, 1)), to_yaml(large() if FULL else configuration(100, 4))
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/agent.yaml").write_text(document(ours_says, small))
    ours = Balancing(net.nodes[0], tmp_path / "ours", None, environment={"PYTHONPATH": str(TESTS)})
    ours.wait_state("MASTER", START)
    peer = Agent(net.nodes[1], tmp_path / "peer", peer_says)
    with agents(ours, peer):
        for agent in (ours, peer):
            wait_for(lambda agent=agent: at_work(agent), START, f"sessions\n{agent.log}")
        peer.wait_state("BACKUP", START)
        with witness(net.nodes[1].namespace) as eye:
            time.sleep(2)
            eye.forget()
            before, late_before = (moves(ours), moves(peer)), bfd_timers(ours)
            ours.config.write_text(document(ours_says, full))
            planned, _answer = ours.timed("plan")
            applied, _answer = ours.timed("reload")
            again, _answer = ours.timed("reload")
            ours.config.write_text(document(ours_says, small))
            removed, _answer = ours.timed("reload")
            time.sleep(1)
            late = lateness(eye.read())
        moved = sum(map(len, (moves(ours), moves(peer)))) - sum(map(len, before))
        late_after = bfd_timers(ours)
    for what, seconds in (
        ("plan of a reload that brings {}", planned),
        ("reload that brings {}, until all of it is in force", applied),
        ("reload of {} that changes nothing", again),
        ("reload that takes {} away", removed),
    ):
        add(Figure(what.format(WHAT), "s", seconds, None, "reported"))
    how = ", real-time priority" if real_time else ""
    add(Figure(f"advert_int 0.1 meanwhile{how}: worst advert lateness", "ms", max(late) / MS, None, "none missed"))
    worst = late_after["latest_ms"]
    add(Figure(f"BFD 50 ms x 3{how}: latest timer since the start of the agent", "ms", worst, None, "< 150 ms"))
    key = "later_than_quarter_of_detection_time"
    count = late_after[key] - late_before[key]
    add(Figure(f"BFD 50 ms x 3 meanwhile{how}: timers later than 37.5 ms", "", count, None, "none missed"))
    add(Figure(f"changes of state meanwhile{how}", "", moved, None, "none missed"))
    assert not (moved and real_time), "without that it is the machine's other work that decides"

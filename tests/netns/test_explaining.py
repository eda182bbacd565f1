"""kactl why and the journal behind it, with real agents: faults, dead workers, and lives of observer and agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, ip, network, wait_for

pytestmark = pytest.mark.root

INTERVAL = 0.2
DOWN = master_down(3, 100, INTERVAL)
BUSY = {"advert_late", "stall", "stalled", "stall_over"}  # what the journal says of a machine that has much to do


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def virtual_router(priority: int, **keywords: Any) -> dict[str, Any]:
    keywords.setdefault("virtual_ipaddress", ["198.51.100.100/24"])
    return instance(version=3, advert_int=INTERVAL, priority=priority, **keywords)


def why(agent: Agent, subject: str = "VI_1") -> dict[str, Any]:
    with ControlClient(agent.run_dir, timeout=10) as client:
        explanations = client.call("why", {"subject": subject})["explanations"]
    assert isinstance(explanations, list)
    (found,) = explanations
    assert isinstance(found, dict)
    return found


def events(agent: Agent, cursor: str = "") -> dict[str, Any]:
    with ControlClient(agent.run_dir, timeout=10) as client:
        answer = client.call("events", {"cursor": cursor})
    assert isinstance(answer, dict)
    return answer


def kactl(agent: Agent, *words: str) -> str:
    code = "from kactl.__main__ import main; import sys; sys.exit(main())"
    command = [sys.executable, "-c", code, words[0], "--run-dir", str(agent.run_dir), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START, check=True)
    return done.stdout


def test_a_silent_master_and_a_cut_cable(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    two = Agent(net.nodes[1], tmp_path / "two", virtual_router(100))
    with agents(one, two):
        one.wait_state("MASTER", DOWN + SLACK)
        two.wait_state("BACKUP", SLACK)
        wait_for(lambda: (two.status() or {})["vrrp"]["instances"]["VI_1"]["master"], SLACK, "two hears its master")
        net.cut(1)
        two.wait_state("MASTER", DOWN + SLACK)
        found = why(two)
        (heard,) = found["event"]["evidence"]["heard"]
        assert (heard["source"], heard["priority"]) == (one.node.ipv4, 200)
        # what was missed: the last advert is older than the Master_Down_Interval, by no more than the timer was late
        assert heard["age_ms"] >= DOWN * 1000 - 1
        assert found["event"]["evidence"]["waited_ms"] == pytest.approx(heard["age_ms"], abs=50)
        assert any(reason.startswith("local delay: this timer was") for reason in found["reasons"])
        text = kactl(two, "why", "VI_1")
        assert f"heard {one.node.ipv4} last" in text
        assert "interface eth0: up" in text
        net.mend(1)
        two.wait_state("BACKUP", SLACK)
        assert why(two)["event"]["cause"] == "advert_higher_priority"
        ip("link", "set", "eth0", "down", namespace=one.node.namespace)
        one.wait_state("FAULT", SLACK)
        found = why(one)
        assert "interface eth0: not usable" in found["reasons"]
        assert "fault: interface eth0 is down" in found["reasons"]


def test_a_worker_that_was_killed_stands_in_the_chain(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    with agents(one):
        one.wait_state("MASTER", DOWN + SLACK)
        one.kill("vrrp")
        wait_for(lambda: "restarted" in one.log, SLACK, "the end of the worker is noticed")
        wait_for(
            lambda: any("killed by SIGKILL" in str(link["event"].get("ended")) for link in _first_chain(one)),
            START,
            "the first transition of the new worker has the end of the old one in its chain",
        )


def _first_chain(agent: Agent) -> list[dict[str, Any]]:
    starts = [e for e in events(agent)["events"] if e["type"] == "transition" and e["old"] == "INIT"]
    if len(starts) < 2:
        return []
    with ControlClient(agent.run_dir, timeout=10) as client:
        (found,) = client.call("why", {"event": starts[-1]["cursor"]})["explanations"]
    chain = found["chain"]
    assert isinstance(chain, list)
    return chain


def test_the_journal_outlives_the_observer_and_the_agent(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    with agents(one):
        one.wait_state("MASTER", DOWN + SLACK)
        first = events(one)
        assert first["events"]
        observer = one.pid_of("observer")
        os.kill(observer, signal.SIGKILL)
        wait_for(lambda: one.pid_of("observer") not in (0, observer), START, "another observer")
        again = events(one)
        assert again["events"][: len(first["events"])] == first["events"]
        assert why(one)["event"]["new"] == "MASTER"
        assert one.stop() == 0
    assert (one.run_dir / "journal.0").stat().st_mode & 0o777 == 0o600
    two = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))  # the same run directory
    with agents(two):
        two.wait_state("MASTER", START + DOWN + SLACK)
        since = events(two, first["cursor"])
        assert since["gap"] is False
        kinds = [event["type"] for event in since["events"] if event["type"] not in BUSY]
        assert kinds[0] == "process"  # the end of the observer
        assert [(e["old"], e["new"]) for e in since["events"] if e["type"] == "transition"] == [
            ("MASTER", "INIT"), ("INIT", "BACKUP"), ("BACKUP", "MASTER"),
        ]  # fmt: skip
        assert events(two)["events"][0] == first["events"][0]
        lines = kactl(two, "events", "--since", first["cursor"]).splitlines()
        # exactly so many, unless something happened meanwhile
        assert len(since["events"]) <= len(lines) <= len(events(two, first["cursor"])["events"])


def test_a_bfd_session_that_failed_is_behind_the_fault_of_who_tracks_it(net: Network, tmp_path: Path) -> None:
    one, two = (
        Agent(
            node,
            tmp_path / name,
            virtual_router(priority, track_bfd=["b1"])
            | {"bfd_instance": {"b1": {"neighbor_ip": other.ipv4, "min_tx": 100, "min_rx": 100, "multiplier": 3}}},
        )
        for name, priority, node, other in (
            ("one", 200, net.nodes[0], net.nodes[1]), ("two", 100, net.nodes[1], net.nodes[0]),
        )
    )  # fmt: skip
    with agents(one, two):
        one.wait_state("MASTER", START + DOWN + SLACK)
        net.cut(2)
        one.wait_state("FAULT", SLACK)

        def sessions() -> list[dict[str, Any]]:
            return [link for link in why(one)["chain"] if link["event"]["subject"] == "bfd_instance b1"]

        wait_for(sessions, SLACK, "both processes have told of it")
        (session,) = sessions()
        found = why(one)
        assert session["event"]["old"] == "Up"
        assert session["ms_before"] < 1000
        assert any(reason.startswith("fault: track_bfd b1") for reason in found["reasons"])


def test_who_follows_events_outlives_the_observer(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    with agents(one), (tmp_path / "lines").open("w+") as lines:
        one.wait_state("MASTER", DOWN + SLACK)
        code = "from kactl.__main__ import main; import sys; sys.exit(main())"
        command = [sys.executable, "-c", code, "events", "--run-dir", str(one.run_dir), "--follow"]

        def said(text: str) -> bool:
            return text in (tmp_path / "lines").read_text()

        follower = subprocess.Popen(command, stdout=lines, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: said("BACKUP -> MASTER"), START, "what was before")
            for state, text in (("down", "MASTER -> FAULT"), ("up", "FAULT -> BACKUP")):
                observer = one.pid_of("observer")
                os.kill(observer, signal.SIGKILL)
                wait_for(lambda observer=observer: one.pid_of("observer") not in (0, observer), START, "another one")
                ip("link", "set", "eth0", state, namespace=one.node.namespace)
                wait_for(lambda text=text: said(text), START, text)
            assert follower.poll() is None
            assert (tmp_path / "lines").read_text().count("INIT -> BACKUP") == 1, "nothing is told twice"
        finally:
            follower.send_signal(signal.SIGINT)
            _out, complaint = follower.communicate(timeout=START)
        assert "the connection is lost, trying again" in complaint


def test_events_are_followed_as_they_happen(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    with agents(one):
        one.wait_state("MASTER", DOWN + SLACK)
        with ControlClient(one.run_dir, timeout=10) as client:
            following = client.events(events(one)["cursor"], timeout=START)
            ip("link", "set", "eth0", "down", namespace=one.node.namespace)
            event = next(event for event in following if event["type"] == "transition")
            assert (event["old"], event["new"]) == ("MASTER", "FAULT")

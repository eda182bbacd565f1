"""Another configuration for a running agent: planned, taken on trial, confirmed, rolled back; told by file, signal and
clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from kactl_agent.control.protocol import ControlError
from kactl_agent.kernel.inotify import IN_CREATE, IN_DELETE, Inotify
from support.agents import SLACK, START, Agent, agents, instance
from support.netns import Network, network, wait_for

pytestmark = pytest.mark.root
FIRST, SECOND = "198.51.100.100/24", "198.51.100.101/24"


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


def configuration(*addresses: str, **global_defs: Any) -> dict[str, Any]:
    said = instance(version=3, advert_int=0.1, priority=255, virtual_ipaddress=list(addresses))
    return said | ({"global_defs": global_defs} if global_defs else {})


@pytest.fixture
def agent(net: Network, tmp_path: Path) -> Iterator[Agent]:
    one = Agent(net.nodes[0], tmp_path / "one", configuration(FIRST))
    with agents(one):
        one.wait_state("MASTER", SLACK)
        yield one


def kactl(agent: Agent, *words: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "kactl", *words, "--run-dir", str(agent.run_dir))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def revision(agent: Agent) -> str:
    status = agent.status()
    assert status is not None
    return str(status["agent"]["config_revision"])


def candidate(agent: Agent, said: dict[str, Any]) -> Path:
    path = agent.config.with_name("new.yaml")
    path.write_text(json.dumps(said))
    return path


def test_a_plan_changes_nothing(agent: Agent) -> None:
    new, before = candidate(agent, configuration(SECOND)), revision(agent)
    done = kactl(agent, "plan", str(new), "--output", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["class"], found["peer_incompatible"]) == ("disruptive", True)
    texts = {change["text"]: change["class"] for change in found["changes"]}
    assert texts == {"198.51.100.100/24 removed": "disruptive", "198.51.100.101/24 added": "hitless"}
    assert (revision(agent), agent.node.addresses() & {FIRST, SECOND}) == (before, {FIRST})
    new.write_text("vrrp_instance: {VI_1: {interfac: eth0}}")
    done = kactl(agent, "plan", str(new))
    assert done.returncode == 3
    assert f"{new}:1:24: error[" in done.stderr
    assert kactl(agent, "plan", str(agent.config)).stdout == "no-op: the configuration means what is in force\n"


def test_a_trial_that_nobody_confirms(agent: Agent) -> None:
    """Nothing is asked while it lasts, which may be over before the answer: see the trial of a minute."""
    text, before = agent.config.read_text(), revision(agent)
    new = candidate(agent, configuration(FIRST, SECOND))
    done = kactl(agent, "reload", str(new), "--confirm", "1s")
    assert done.returncode == 0, done.stderr
    assert "unless it is confirmed within 1 s it is rolled back" in done.stdout
    wait_for(lambda: "not confirmed in time" in agent.log, 1 + SLACK, f"the end of the trial; log:\n{agent.log}")
    wait_for(lambda: revision(agent) == before, START, f"the rollback; log:\n{agent.log}")
    assert agent.config.read_text() == text
    assert agent.config.with_name("agent.yaml.rejected").read_text() == new.read_text()
    wait_for(lambda: not agent.node.has(SECOND), SLACK, "the new address is gone")
    assert agent.node.has(FIRST)
    status = agent.status()
    assert status is not None
    assert status["agent"]["pending_confirmation"] is None


def test_a_trial_in_which_the_agent_is_killed(net: Network, tmp_path: Path) -> None:
    """Where it starts again, systemd or an operator, it starts with what was good before."""
    killed = Agent(net.nodes[0], tmp_path / "one", configuration(FIRST))
    text = killed.config.read_text()
    with agents(killed):
        killed.wait_state("MASTER", START + SLACK)
        killed.configure(configuration(SECOND))
        tried = killed.config.read_text()
        assert kactl(killed, "reload", "--confirm", "60s").returncode == 0
        wait_for(lambda: killed.node.addresses() & {FIRST, SECOND} == {SECOND}, SLACK, "the new address")
        os.kill(killed.agent_pid, signal.SIGKILL)
        killed.process.wait(15)
    again = Agent(net.nodes[0], tmp_path / "one", None)
    with agents(again):
        again.wait_state("MASTER", START + SLACK)
        wait_for(lambda: again.node.addresses() & {FIRST, SECOND} == {FIRST}, SLACK, "the address of before")
        assert again.config.read_text() == text
        assert again.config.with_name("agent.yaml.rejected").read_text() == tried
        assert "ended while its configuration was on trial: that was rolled back" in again.log
        status = again.status()
        assert status is not None
        assert status["agent"]["pending_confirmation"] is None
        assert again.stop() == 0


def test_one_that_is_confirmed_and_rolled_back_later(agent: Agent) -> None:
    text, before = agent.config.read_text(), revision(agent)
    new = candidate(agent, configuration(FIRST, SECOND))
    assert kactl(agent, "reload", str(new), "--confirm", "60s").returncode == 0
    wait_for(lambda: agent.node.has(SECOND), SLACK, "the new address")
    assert agent.config.read_text() == new.read_text()
    status = agent.status()
    assert status is not None
    waits = status["agent"]["pending_confirmation"]
    assert (waits["revision"], waits["previous_revision"]) == (revision(agent), before)
    agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "waits to be confirmed" in agent.log, SLACK, "a signal does not get in between")
    assert kactl(agent, "confirm").returncode == 0
    assert kactl(agent, "confirm").returncode == 1
    assert agent.config.with_name("agent.yaml.previous").read_text() == text
    assert kactl(agent, "rollback").returncode == 0
    assert (revision(agent), agent.config.read_text()) == (before, text)
    assert kactl(agent, "rollback").returncode == 1, "not forth again"


def test_who_says_which_revision_is_meant_confirms_and_rolls_back_no_other(agent: Agent) -> None:
    before = revision(agent)
    new = candidate(agent, configuration(FIRST, SECOND))
    done = kactl(agent, "reload", str(new), "--confirm", "2s", "--output", "json")
    tried = json.loads(done.stdout)["revision"]
    wait_for(lambda: revision(agent) == before, 2 + START, "the trial is over")
    assert kactl(agent, "confirm", "--revision", tried).returncode == 1
    done = kactl(agent, "rollback", "--revision", tried)
    assert (done.returncode, revision(agent)) == (0, before)
    assert f"configuration {tried} is not in force" in done.stdout
    assert kactl(agent, "reload", str(new), "--confirm", "60s").returncode == 0
    assert kactl(agent, "confirm", "--revision", before).returncode == 1
    assert kactl(agent, "confirm", "--revision", tried).returncode == 0
    assert kactl(agent, "confirm", "--revision", tried).returncode == 0
    assert kactl(agent, "rollback", "--revision", tried).returncode == 0
    assert revision(agent) == before


def test_a_trial_does_not_survive_the_agent_unconfirmed(agent: Agent) -> None:
    text = agent.config.read_text()
    assert kactl(agent, "reload", str(candidate(agent, configuration(SECOND))), "--confirm", "60s").returncode == 0
    assert agent.stop() == 0
    assert agent.config.read_text() == text


def test_what_is_wrong_is_told_apart_from_what_went_wrong(agent: Agent) -> None:
    text = agent.config.read_text()
    new = agent.config.with_name("new.yaml")
    new.write_text("vrrp_instance: {VI_1: {interfac: eth0}}")
    done = kactl(agent, "reload", str(new), "--confirm", "60s")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{new}:1:24: error[" in done.stderr
    assert agent.config.read_text() == text
    assert kactl(agent, "rollback").returncode == 1


def test_files_that_tell_of_a_reload_and_that_order_one(agent: Agent) -> None:
    at, log = agent.config.with_name("at"), agent.config.with_name("check.log")
    said = {"reload_file": True, "reload_time_file": str(at), "reload_check_config": str(log)}
    agent.configure(configuration(FIRST, **said))
    assert kactl(agent, "reload").returncode == 0
    marker = agent.run_dir / "keepalived.reload"
    watching = Inotify()
    try:
        watching.watch(str(agent.run_dir))
        agent.configure(configuration(FIRST, SECOND, **said))
        moment = datetime.now(UTC) + timedelta(seconds=3)
        at.write_text(f"{moment:%H:%M:%S}Z\n")
        wait_for(lambda: agent.node.has(SECOND), 3 + START, f"the reload of the clock; log:\n{agent.log}")
        wait_for(lambda: not marker.exists(), SLACK, "the reload is over")
        happened = [event.mask for event in watching.events() if event.name == marker.name.encode()]
    finally:
        watching.close()
    assert happened[0] & IN_CREATE
    assert happened[-1] & IN_DELETE
    assert not at.exists()
    assert log.read_text().endswith("agent.yaml: valid\n")
    agent.config.write_text("nonsense: [")
    with ControlClient(agent.run_dir, timeout=30) as client, pytest.raises(ControlError) as refused:
        client.call("reload")
    assert refused.value.code == "configuration-invalid"
    assert "error[" in log.read_text()
    assert agent.node.has(SECOND)


def test_a_pipe_is_waited_for_at_the_start_and_refused_later(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    run_dir = tmp_path / "run"
    log = (tmp_path / "log").open("w+")
    process = net.nodes[0].run(*Agent.command_line(path, run_dir), stderr=log, stdin=subprocess.DEVNULL)
    try:
        text = json.dumps(configuration(FIRST))
        writer = threading.Thread(target=path.write_text, args=(text,), daemon=True)
        writer.start()  # opens when the agent does
        wait_for(lambda: "running: " in (tmp_path / "log").read_text(), START, "the agent is up")
        writer.join(10)
        with ControlClient(run_dir, timeout=30) as client:
            with pytest.raises(ControlError, match="the configuration is a pipe, which has been read"):
                client.call("reload")
            new = tmp_path / "new.yaml"
            new.write_text(json.dumps(configuration(FIRST, SECOND)))
            client.call("reload", {"file": str(new)})
        wait_for(lambda: net.nodes[0].has(SECOND), SLACK, "the other file is in force")
        assert path.is_fifo()
    finally:
        process.terminate()
        process.wait(15)
        log.close()

"""Trackers of running agents, with real scripts, interfaces and processes (keepalived's rules, behaviour of 2.2.7)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, alive, instance, master_down
from support.netns import Network, ip, network, wait_for

pytestmark = pytest.mark.root

ADDRESS = "198.51.100.100/24"


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


class Check:
    """A script that exits with what its file says, as a user would write it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "check.sh"
        self.status = directory / "status"
        self.runs = directory / "runs"
        self.exits(0)
        self.path.write_text(f'#!/bin/sh\necho $$ >> {self.runs}\nread code < {self.status}\nexit "$code"\n')
        self.path.chmod(0o755)

    def exits(self, status: int) -> None:
        new = self.status.with_suffix(".new")
        new.write_text(f"{status}\n")
        new.replace(self.status)

    @property
    def count(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0


def tracking(priority: int, check: Check, *, script: dict[str, Any] | None = None, **keywords: Any) -> dict[str, Any]:
    """An instance of 0.1 s that tracks the script every 0.1 s; its user is said, whatever the machine has."""
    keywords.setdefault("track_script", ["chk"])
    made = instance(version=3, advert_int=0.1, priority=priority, virtual_ipaddress=[ADDRESS], **keywords)
    block = {"script": str(check.path), "interval": 0.1, "timeout": 5, "user": "root"}
    return made | {"vrrp_script": {"chk": block | (script or {})}}


def shown(agent: Agent) -> dict[str, Any]:
    status = agent.status()
    assert status is not None
    found: dict[str, Any] = status["vrrp"]["instances"]["VI_1"]
    return found


def test_a_failing_script_moves_mastership_by_its_weight(net: Network, tmp_path: Path) -> None:
    check, other = Check(tmp_path / "one"), Check(tmp_path / "two")
    one = Agent(net.nodes[0], tmp_path / "one", tracking(150, check, script={"weight": -100, "fall": 2, "rise": 2}))
    two = Agent(net.nodes[1], tmp_path / "two", tracking(100, other, script={"weight": -100}))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        two.wait_state("BACKUP", SLACK)
        assert shown(one)["priority"]["contributions"] == []
        check.exits(7)
        two.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        one.wait_state("BACKUP", SLACK)
        priority = shown(one)["priority"]
        assert (priority["configured"], priority["effective"]) == (150, 50)
        assert priority["contributions"] == [{"name": "track_script chk", "weight": -100}]
        assert "effective priority 150 -> 50 (track_script chk: -100, exited with status 7)" in one.log
        assert "vrrp_script chk: exited with status 7" in one.log
        check.exits(0)
        one.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        assert shown(one)["priority"]["effective"] == 150


def test_without_a_weight_it_is_a_fault_that_names_the_script(net: Network, tmp_path: Path) -> None:
    check = Check(tmp_path)
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check))
    with agents(agent):
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        check.exits(3)
        agent.wait_state("FAULT", SLACK)
        wait_for(lambda: not agent.node.has(ADDRESS), SLACK, "the address gone")
        found = shown(agent)
        assert (found["faults"], found["cause"]) == (["track_script chk"], "track_script chk")
        assert found["detail"] == "track_script chk: exited with status 3"
        assert "VI_1: MASTER -> FAULT: track_script chk: exited with status 3" in agent.log
        check.exits(0)
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)


def test_an_instance_waits_for_the_first_result_of_an_unweighted_script(net: Network, tmp_path: Path) -> None:
    """behaviour seen: no log, no state but INIT, then BACKUP and a whole down timer of its own."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    check = Check(tmp_path)
    check.path.write_text(f"#!/bin/sh\nread word < {gate}\nexit 0\n")
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check, script={"timeout": 60}))
    with agents(agent):
        agent.wait_running()
        wait_for(lambda: agent.status(), SLACK, "the status")
        wait_for(lambda: shown(agent)["waiting_for"] == ["track_script chk"], SLACK, "the instance waits")
        assert shown(agent)["state"] == "INIT"
        assert "VI_1: INIT ->" not in agent.log
        gate.write_text("go\n")
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        assert "VI_1: INIT -> BACKUP" in agent.log


def test_a_script_that_hangs_is_ended_and_counts_as_failed(net: Network, tmp_path: Path) -> None:
    check = Check(tmp_path)
    check.path.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ >> {check.runs}\nwhile :; do sleep 0.05; done\n")
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check, script={"timeout": 0.3}))
    with agents(agent):
        agent.wait_state("FAULT", SLACK)
        assert shown(agent)["detail"] == "track_script chk: timed out after 0.300 s"
        wait_for(lambda: check.count, SLACK, "the first run")
        first = int(check.runs.read_text().split()[0])
        wait_for(lambda: not alive(first), 2 + SLACK, "SIGKILL 2 s after SIGTERM")
        wait_for(lambda: check.count > 1, SLACK, "the next run, which did not overlap")


def test_a_stop_by_a_signal_to_every_process_is_orderly_too(net: Network, tmp_path: Path) -> None:
    """As service managers stop a service."""
    check = Check(tmp_path)
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check))
    with agents(agent):
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        pids = [agent.pid_of(name) for name in ("spawner", "vrrp", "observer")]
        for pid in (*pids, agent.process.pid):
            os.kill(pid, signal.SIGTERM)
        assert agent.process.wait(15) == 0
        assert not any(alive(pid) for pid in pids)
        assert not agent.node.has(ADDRESS)
        assert "the spawner, which runs scripts, ended" not in agent.log


def test_a_start_that_fails_leaves_no_spawner_behind(tmp_path: Path) -> None:
    """Neither alive nor unreaped: its parent waits for it, whoever is in charge of orphans."""
    path = tmp_path / "agent.yaml"
    path.write_text("{}")
    watched = "import os, subprocess, sys, ctypes; ctypes.CDLL(None).prctl(36, 1)\n"  # PR_SET_CHILD_SUBREAPER
    watched += "code = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL, timeout=60).returncode\n"
    watched += "try:\n    os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError:\n    print(code)\n"
    command = [*Agent.command_line(path, tmp_path / "run"), "--namespace", "kactl-no-such-namespace"]
    done = subprocess.run([sys.executable, "-c", watched, *command], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", (done.stdout, done.stderr)


def test_a_stop_leaves_no_script_behind(net: Network, tmp_path: Path) -> None:
    check = Check(tmp_path)
    check.path.write_text(f"#!/bin/sh\necho $$ >> {check.runs}\nexec sleep 300\n")
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check, script={"timeout": 300, "weight": 5}))
    with agents(agent):
        agent.wait_running()
        wait_for(lambda: check.count, SLACK, "the first run")
        assert agent.stop() == 0
        assert not alive(int(check.runs.read_text().split()[0]))


def test_a_spawner_that_dies_is_replaced_and_nothing_moves(net: Network, tmp_path: Path) -> None:
    check = Check(tmp_path)
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check))
    with agents(agent):
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        spawner = agent.kill("spawner")
        wait_for(lambda: agent.pid_of("spawner") not in (0, spawner), 20, "a new spawner")
        before = check.count
        wait_for(lambda: check.count > before + 3, SLACK, "scripts are run again")
        assert shown(agent)["state"] == "MASTER"
        assert agent.log.count(" -> MASTER") == 1
        check.exits(1)
        agent.wait_state("FAULT", SLACK)


def test_scripts_run_in_the_namespace_of_the_agent(net: Network, tmp_path: Path) -> None:
    """With --namespace it is entered by the agent: before the spawner is forked, and by one that replaces it."""
    node = net.nodes[0]
    check = Check(tmp_path)
    seen = tmp_path / "seen"
    check.path.write_text(f"#!/bin/sh\nreadlink /proc/self/ns/net > {seen}.$$\nmv {seen}.$$ {seen}\n")
    here = os.readlink("/proc/self/ns/net")
    config, run_dir, log = tmp_path / "agent.yaml", tmp_path / "run", tmp_path / "agent.log"
    config.write_text(json.dumps(tracking(150, check)))
    command = [*Agent.command_line(config, run_dir), "--namespace", node.namespace]
    with log.open("w") as out:
        process = subprocess.Popen(command, stderr=out, stdin=subprocess.DEVNULL)
    try:
        wait_for(seen.exists, 30, "the first run")
        inode = int(seen.read_text().strip()[5:-1])
        assert inode == os.stat(f"/run/netns/{node.namespace}").st_ino
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        names = {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in children}
        os.kill(names["kactl-spawner"], signal.SIGKILL)
        wait_for(lambda: "ended: killed by SIGKILL" in log.read_text(), SLACK, "its end is noticed")
        seen.unlink(missing_ok=True)
        wait_for(seen.exists, 20, "a run of the new spawner")
        assert int(seen.read_text().strip()[5:-1]) == inode
        assert os.readlink("/proc/self/ns/net") == here
    finally:
        process.terminate()
        process.wait(15)


def test_a_fault_of_one_member_is_the_fault_of_its_group(net: Network, tmp_path: Path) -> None:
    """behaviour seen with 2.4.3: the other follows into FAULT, and out of it."""
    check = Check(tmp_path)
    configured = tracking(150, check)
    other = instance("VI_2", version=3, advert_int=0.1, virtual_router_id=52, virtual_ipaddress=["198.51.100.101/24"])
    configured["vrrp_instance"] |= other["vrrp_instance"]
    configured["vrrp_sync_group"] = {"VG": {"group": ["VI_1", "VI_2"]}}
    agent = Agent(net.nodes[0], tmp_path / "one", configured)
    with agents(agent):
        for name in ("VI_1", "VI_2"):
            agent.wait_state("MASTER", 2 * master_down(3, 100, 0.1) + SLACK, name)
        check.exits(1)
        for name in ("VI_1", "VI_2"):
            agent.wait_state("FAULT", SLACK, name)
        check.exits(0)
        for name in ("VI_1", "VI_2"):
            agent.wait_state("MASTER", 2 * master_down(3, 100, 0.1) + SLACK, name)


def test_a_tracked_interface(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    ip("link", "add", "up0", "type", "veth", "peer", "name", "up1", namespace=node.namespace)
    for name in ("up0", "up1"):
        ip("link", "set", name, "up", namespace=node.namespace)
    check = Check(tmp_path)
    lists: dict[str, Any] = {"track_interface": ["up0", {"name": "up1", "weight": -30}]}
    agent = Agent(node, tmp_path / "one", tracking(150, check, track_script=[], **lists))
    with agents(agent):
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        ip("link", "set", "up0", "down", namespace=node.namespace)
        agent.wait_state("FAULT", SLACK)
        assert shown(agent)["detail"] == "track_interface up0: interface up0 is down"
        wait_for(lambda: shown(agent)["priority"]["effective"] == 120, SLACK, "the peer of up0 has lost its carrier")
        ip("link", "set", "up0", "up", namespace=node.namespace)
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        wait_for(lambda: shown(agent)["priority"]["effective"] == 150, SLACK, "up0 and its peer are up")
        ip("link", "del", "up0", namespace=node.namespace)
        agent.wait_state("FAULT", SLACK)
        assert shown(agent)["faults"] == ["track_interface up0"]


def test_a_tracked_file(net: Network, tmp_path: Path) -> None:
    """The figures of behaviour seen with 2.4.3: weight 2, 5 -> +10, -200 -> FAULT, 0 -> BACKUP and a down timer."""
    path = tmp_path / "prio"
    configured = tracking(100, Check(tmp_path), track_script=[], track_file=["prio"])
    configured["track_file"] = {"prio": {"file": str(path), "weight": 2, "init_file": 1}}
    agent = Agent(net.nodes[0], tmp_path / "one", configured)
    with agents(agent):
        agent.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        assert path.read_text() == "1\n"
        assert shown(agent)["priority"]["contributions"] == [{"name": "track_file prio", "weight": 2}]
        path.write_text("5\n")
        wait_for(lambda: shown(agent)["priority"]["effective"] == 110, SLACK, "5 times 2")
        assert f"effective priority 102 -> 110 (track_file prio: +10, {path} holds 5)" in agent.log
        path.write_text("-200\n")
        agent.wait_state("FAULT", SLACK)
        assert shown(agent)["detail"] == f"track_file prio: {path} holds -200"
        path.unlink()
        agent.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        assert shown(agent)["priority"]["effective"] == 100


def test_a_tracked_process(net: Network, tmp_path: Path) -> None:
    """In a network namespace the kernel does not tell of processes: they are listed every second."""
    marker = f"kactl-test-{os.getpid()}"
    configured = tracking(100, Check(tmp_path), track_script=[], track_process=["p"])
    configured["vrrp_track_process"] = {"p": {"process": ["sh", "-c", "read x", marker], "weight": 0}}
    agent = Agent(net.nodes[0], tmp_path / "one", configured)
    with agents(agent):
        agent.wait_state("FAULT", SLACK)
        assert shown(agent)["detail"] == "track_process p: 0 processes running, wanted are at least 1"
        child = net.nodes[0].run("sh", "-c", "read x", marker, stdin=subprocess.PIPE)
        agent.wait_state("MASTER", 1 + master_down(3, 100, 0.1) + SLACK)
        child.communicate()
        agent.wait_state("FAULT", 1 + SLACK)


def test_reload_takes_weights_over_without_a_restart(net: Network, tmp_path: Path) -> None:
    check = Check(tmp_path)
    check.exits(1)
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check, script={"weight": -10}))
    with agents(agent):
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        since = shown(agent)["since"]
        agent.configure(tracking(150, check, script={"weight": -40, "rise": 2}))
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: shown(agent)["priority"]["effective"] == 110, START, "the new weight\n" + agent.log)
        agent.configure(tracking(150, check, track_script=[]))
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: shown(agent)["priority"]["effective"] == 150, START, "the script is tracked no more")
        assert (shown(agent)["state"], shown(agent)["since"]) == ("MASTER", since)
        runs, sent = check.count, shown(agent)["statistics"]["adverts_sent"]
        wait_for(lambda: shown(agent)["statistics"]["adverts_sent"] > sent + 20, SLACK + 5, "twenty intervals")
        assert check.count <= runs + 1, "and is run no more"


def test_a_script_that_is_not_there_is_left_out_as_keepalived_does(net: Network, tmp_path: Path) -> None:
    check = Check(tmp_path)
    check.path.unlink()
    agent = Agent(net.nodes[0], tmp_path / "one", tracking(150, check))
    with agents(agent):
        agent.wait_state("MASTER", master_down(3, 150, 0.1) + SLACK)
        assert "warning[script-disabled]: vrrp_script chk is disabled" in agent.log

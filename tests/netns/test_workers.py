"""The supervisor's table of workers, with real processes whose workers only say what happens to them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kactl_agent
from kactl_agent.control.client import AgentNotReachable, ControlClient
from kactl_agent.control.protocol import ControlError
from support.agents import SLACK, START, Agent
from support.netns import Network, Node, network, wait_for

pytestmark = pytest.mark.root
TESTS = Path(__file__).resolve().parents[1]
VRRP: dict[str, Any] = {
    "vrrp_instance": {"VI_1": {"interface": "eth0", "virtual_router_id": 51, "virtual_ipaddress": ["192.0.2.10/32"]}}
}
BFD: dict[str, Any] = {"bfd_instance": {"b1": {"neighbor_ip": "192.0.2.2", "source_ip": "192.0.2.1"}}}
SERVER = {"address": "192.0.2.10", "port": 80, "protocol": "TCP", "lb_algo": "rr", "lb_kind": "NAT"}
SERVERS: dict[str, Any] = {"virtual_server": [SERVER | {"real_server": [{"address": "192.0.2.20", "port": 80}]}]}
EVERYTHING = VRRP | BFD | SERVERS


class PlainAgent:
    def __init__(
        self, node: Node, directory: Path, configuration: dict[str, Any], orders: str = "", package: Path | None = None
    ) -> None:
        """`package` has another installation of the agent."""
        self.config = directory / "agent.yaml"
        self.run_dir = directory / "run"
        self.log_path = directory / "log"
        self.configure(configuration, orders)
        command = (sys.executable, "-m", "support.plain_agent", str(self.config), str(self.run_dir))
        with self.log_path.open("w") as log:
            self.process = node.run(
                *(("env", f"PYTHONPATH={package}") if package else ()),
                *command,
                cwd=TESTS,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def configure(self, configuration: dict[str, Any], orders: str = "") -> None:
        defs = {"global_defs": {"router_id": orders}} if orders else {}
        new = self.config.with_name("agent.yaml.test")  # nobody who is reading finds half of it, or nothing
        new.write_text(json.dumps(configuration | defs))
        new.replace(self.config)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def said(self) -> list[str]:
        """What the workers said, in order."""
        lines = (line for line in self.log.splitlines() if ": " in line and " supervisor: " not in line)
        return [line.split(": ", 1)[1] for line in lines]

    def wait_said(self, *texts: str, seconds: float = START) -> None:
        for text in texts:
            wait_for(lambda text=text: text in self.said(), seconds, f"{text!r}; log:\n{self.log}")

    def reload(self) -> dict[str, Any]:
        with ControlClient(self.run_dir, timeout=30) as client:
            outcome: dict[str, Any] = client.call("reload")
        return outcome

    def pids(self) -> dict[str, int]:
        try:
            with ControlClient(self.run_dir, timeout=5) as client:
                processes = client.call("status")["agent"]["processes"]
        except AgentNotReachable:
            return {}
        return {name: process["pid"] for name, process in processes.items() if process["pid"]}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise


Start = Callable[..., PlainAgent]


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


@pytest.fixture
def start(net: Network, tmp_path: Path) -> Iterator[Start]:
    agents: list[PlainAgent] = []

    def started(configuration: dict[str, Any], orders: str = "", package: Path | None = None) -> PlainAgent:
        agents.append(PlainAgent(net.nodes[0], tmp_path, configuration, orders, package))
        return agents[-1]

    yield started
    for agent in agents:
        agent.close()


PEERS = ("vrrp hears bfd", "bfd hears vrrp", "checkers hears bfd", "bfd hears checkers", "checkers hears vrrp",
         "vrrp hears checkers")  # fmt: skip


def test_all_of_them_are_connected_restarted_and_stopped_in_order(start: Start) -> None:
    agent = start(EVERYTHING)
    agent.wait_said(*PEERS, "vrrp has a spawner", "checkers has a spawner")
    wait_for(lambda: "running: 1 VRRP instance" in agent.log, SLACK, "it is ready")
    assert "bfd has a spawner" not in agent.said(), "a timing loop without scripts needs none"
    before = agent.pids()
    assert set(before) == {"vrrp", "bfd", "checkers", "observer", "spawner"}
    os.kill(before["bfd"], signal.SIGKILL)
    agent.wait_said("vrrp lost bfd", "checkers lost bfd")
    wait_for(lambda: agent.said().count("vrrp hears bfd") == 2, START, f"the next one is connected; log:\n{agent.log}")
    after = agent.pids()
    assert {name for name in before if before[name] != after[name]} == {"bfd"}
    os.kill(before["observer"], signal.SIGKILL)
    agent.wait_said(*(f"{name} has a new observer" for name in ("vrrp", "bfd", "checkers")))
    agent.process.terminate()
    assert agent.process.wait(20) == 0
    stops = [line for line in agent.said() if line.endswith(" stops")]
    assert sorted(stops[:2]) == ["checkers stops", "vrrp stops"], "at once"
    assert stops[2:] == ["bfd stops"], "whose sessions mean something to the others"
    assert agent.log.splitlines()[-1].endswith("supervisor: stopped")


def test_a_worker_that_hangs_keeps_no_router_from_handing_over(start: Start) -> None:
    agent = start(EVERYTHING)
    agent.wait_said(*PEERS)
    hanging = agent.pids()["checkers"]
    os.kill(hanging, signal.SIGSTOP)
    agent.process.terminate()
    agent.wait_said("vrrp stops")
    assert "checkers worker did not stop in time" not in agent.log
    assert "bfd stops" not in agent.said()
    os.kill(hanging, signal.SIGCONT)
    assert agent.process.wait(20) == 0


@pytest.mark.parametrize(
    ("configuration", "names"),
    [(VRRP, {"vrrp"}), (BFD, {"bfd"}), (SERVERS, {"checkers"}), (VRRP | BFD, {"vrrp", "bfd"})],
)
def test_only_those_run_that_there_is_work_for(start: Start, configuration: dict[str, Any], names: set[str]) -> None:
    agent = start(configuration)
    agent.wait_said(*(f"{name} started with []" for name in names))
    assert set(agent.pids()) - {"observer", "spawner"} == names


@pytest.mark.parametrize("culprit", ["bfd", "checkers", "vrrp"])
def test_a_fault_in_the_configuration_of_one_stops_the_start_in_order(start: Start, culprit: str) -> None:
    agent = start(EVERYTHING, f"{culprit}:exit3")
    assert agent.process.wait(START) == 3
    assert f"agent.yaml:7:1: the {culprit} worker cannot run this" in agent.said(), "with its diagnostic"
    stops = [
        line.partition(" ")[0] for line in agent.said() if line.endswith(" stops") and not line.startswith(culprit)
    ]
    assert "bfd" not in stops[:-1], "the others at once, bfd behind them"
    assert "restarted" not in agent.log
    assert agent.log.splitlines()[-1].endswith("supervisor: stopped")
    assert not (agent.run_dir / "agent.sock").exists()


@pytest.mark.parametrize("culprit", ["bfd", "checkers", "vrrp"])
def test_the_refusal_of_one_leaves_the_old_in_force_in_all(start: Start, culprit: str) -> None:
    agent = start(EVERYTHING)
    agent.wait_said(*PEERS)
    agent.configure(EVERYTHING, f"{culprit}:refuse")
    with pytest.raises(ControlError, match=f"the {culprit} worker refused the settings: told to"):
        agent.reload()
    assert not [line for line in agent.said() if "applied" in line]
    agent.configure(EVERYTHING, "bfd:fine vrrp:fine")
    agent.reload()
    agent.wait_said("vrrp applied ['fine']", "bfd applied ['fine']", "checkers applied []")


def test_workers_come_and_go_with_their_work(start: Start) -> None:
    agent = start(VRRP)
    agent.wait_said("vrrp started with []")
    vrrp = agent.pids()["vrrp"]
    agent.configure(VRRP | BFD)
    agent.reload()
    agent.wait_said("vrrp hears bfd", "bfd hears vrrp")
    agent.configure(VRRP | SERVERS)
    agent.reload()
    agent.wait_said("bfd applied []", "bfd stops", "vrrp lost bfd", "checkers hears vrrp")
    wait_for(lambda: set(agent.pids()) == {"vrrp", "checkers", "observer", "spawner"}, SLACK, "no bfd any more")
    assert agent.pids()["vrrp"] == vrrp
    assert "is restarted" not in agent.log


def test_requests_while_a_reload_runs_lead_to_one_more_and_the_last_file_wins(start: Start) -> None:
    agent = start(EVERYTHING)
    agent.wait_said(*PEERS)
    for number in range(8):
        agent.configure(EVERYTHING, f"vrrp:{number} bfd:{number} checkers:{number}")
        agent.process.send_signal(signal.SIGHUP)
    agent.wait_said(*(f"{name} applied ['7']" for name in ("vrrp", "bfd", "checkers")))

    def reloads() -> int:
        with ControlClient(agent.run_dir) as client:
            return sum(event["type"] == "reload" for event in client.call("events")["events"])

    wait_for(reloads, SLACK, "it is in the journal")
    assert reloads() <= 8

    def applied(name: str) -> list[str]:
        return [line.partition(" ")[2] for line in agent.said() if line.startswith(f"{name} applied")]

    # the last signal may have come when the last file was read already: it is then applied twice
    wait_for(
        lambda: applied("vrrp") == applied("bfd") == applied("checkers"),
        SLACK,
        "all of them apply the same ones, in the same order",
    )


def test_what_is_wrong_with_the_settings_of_any_worker_is_said_before_one_starts(tmp_path: Path) -> None:
    broken = EVERYTHING | {"bfd_instance": {"b1": {"neighbor_ip": "nobody"}}, "virtual_server": [{"port": "high"}]}
    config = tmp_path / "agent.yaml"
    config.write_text(json.dumps(broken))
    done = subprocess.run(
        Agent.command_line(config, tmp_path / "run"), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    assert "neighbor_ip" in done.stderr
    assert "port" in done.stderr
    assert "starting" not in done.stderr


def test_a_worker_that_needs_what_it_has_given_up_is_restarted_alone(start: Start) -> None:
    agent = start(EVERYTHING)
    agent.wait_said(*PEERS)
    before = agent.pids()
    looped = {"bfd_instance": {"b1": BFD["bfd_instance"]["b1"] | {"interface": "eth0", "unaffiliated_echo": True}}}
    agent.configure(EVERYTHING | looped)
    agent.reload()
    wait_for(lambda: agent.said().count("bfd hears vrrp") == 2, START, f"another one; log:\n{agent.log}")
    assert "the bfd worker is restarted: it needs CAP_NET_RAW now" in agent.log
    assert "bfd applied" not in "\n".join(agent.said()), "the old one was not asked for what it cannot do"
    after = agent.pids()
    assert {name for name in before if before[name] != after[name]} == {"bfd"}
    assert "worker ended" not in agent.log, "which is no failure"


def test_checks_of_any_kind_restart_no_worker(start: Start) -> None:
    """What is known of real servers is known by this one, and what operators have ordered."""
    agent = start(EVERYTHING)
    agent.wait_said(*PEERS)
    before = agent.pids()
    checks = {"PING_CHECK": [{}], "TCP_CHECK": [{"bindto": "192.0.2.1", "bind_port": 500, "bind_if": "eth0"}]}
    pinged = {"virtual_server": [SERVER | {"real_server": [{"address": "192.0.2.20", "port": 80} | checks]}]}
    agent.configure(EVERYTHING | pinged, "checkers:1")
    agent.reload()
    agent.wait_said("checkers applied ['1']")
    assert agent.pids() == before


ECHO: dict[str, Any] = {
    "bfd_instance": {
        "b1": {"neighbor_ip": "192.0.2.2", "source_ip": "192.0.2.1", "interface": "eth0", "unaffiliated_echo": True}
    }
}


def test_who_follows_a_worker_in_the_middle_of_a_reload_starts_with_what_comes_of_it(start: Start) -> None:
    patient = {"child_wait_time": 60}
    agent = start(EVERYTHING | patient, "bfd:linger")
    agent.wait_said(*PEERS)
    agent.configure(EVERYTHING | ECHO | patient, "bfd:echo")
    agent.reload()
    agent.wait_said("bfd stops")
    agent.configure(EVERYTHING | ECHO | patient, "bfd:new vrrp:long")
    agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: agent.log.count("router_id: other settings") == 2, START, "vrrp looks at the settings")
    os.kill(agent.pids()["bfd"], signal.SIGKILL)
    agent.wait_said("vrrp applied ['long']", "bfd started with ['new']")
    assert "bfd started with ['echo']" not in agent.said(), "which nobody would have told of the other settings"


def on_the_machine(agent: PlainAgent) -> set[str]:
    """Addresses that the next agent would take away."""
    said = msgspec.msgpack.decode((agent.run_dir / "machine.msgpack").read_bytes())["possible"]
    return {socket.inet_ntoa(address["address"]) for each in said for address in each["addresses"]}


def test_who_follows_a_worker_that_hung_in_a_reload_runs_what_the_others_run(start: Start) -> None:
    agent = start(EVERYTHING)
    agent.wait_said(*PEERS)
    said = {"interface": "eth0", "virtual_router_id": 51, "virtual_ipaddress": ["192.0.2.11/32"]}
    new = EVERYTHING | {"vrrp_instance": {"VI_1": said}}
    agent.configure(new, "vrrp:new checkers:hang")
    with pytest.raises(ControlError, match="the checkers worker did not take the settings within 10 s"):
        agent.reload()
    agent.configure(new, "vrrp:newer")
    agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "did not look at the settings" in agent.log, START, f"another one; log:\n{agent.log}")
    assert "in force after all" not in agent.log
    assert on_the_machine(agent) == {"192.0.2.10", "192.0.2.11"}, "either may be there"
    os.kill(agent.pids()["checkers"], signal.SIGKILL)
    agent.wait_said("checkers started with ['hang']")
    wait_for(lambda: "is in force after all" in agent.log, SLACK, f"all run it; log:\n{agent.log}")
    with ControlClient(agent.run_dir) as client:
        done = [event["ok"] for event in client.call("events")["events"] if event["type"] == "reload"]
    assert done == [False, False, True]
    assert on_the_machine(agent) == {"192.0.2.11"}


def test_an_installation_that_is_being_replaced_refuses_workers_and_ends_none(start: Start, tmp_path: Path) -> None:
    package = tmp_path / "package"
    installed = Path(kactl_agent.__file__).parent
    shutil.copytree(installed, package / installed.name, ignore=shutil.ignore_patterns("__pycache__"))
    agent = start(VRRP, package=package)
    agent.wait_said("vrrp started with []")
    before = agent.pids()
    module = package / "kactl_agent/workers/bfd.py"
    text = module.read_text()
    module.write_text("raise KeyError('another version')")
    agent.configure(VRRP | BFD)
    with pytest.raises(ControlError, match=r"workers\.bfd cannot be imported: 'another version'"):
        agent.reload()
    assert agent.pids() == before
    module.write_text(text)
    agent.reload()
    agent.wait_said("vrrp hears bfd")
    assert agent.pids().items() >= before.items()

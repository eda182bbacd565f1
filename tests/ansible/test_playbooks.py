"""The playbooks against stand-ins for agents: what they do when something goes wrong on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.fleet import KACTL, ROOT, Controller, Outcome
from support.fleet_agents import Segment, StandIn, hosts_of, serving

PLAYBOOKS = ROOT / "ansible_collection" / "playbooks"


def instance(priority: int = 100, vip: str = "192.0.2.10/24", **more: Any) -> dict[str, Any]:
    block = {"interface": "eth0", "virtual_router_id": 51, "priority": priority, "virtual_ipaddress": [vip]}
    return {"vrrp_instance": {"VI_1": block | more}}


def drill(folder: Path) -> dict[str, Any]:
    """A short one, with this machine as the client and in the place of the address."""
    return {
        "kactl_drill_instance": "VI_1", "kactl_drill_report": str(folder / "drill.md"), "kactl_drill_seconds": 3,
        "kactl_drill_vip": "127.0.0.1",
    }  # fmt: skip


class Fleet:
    """Hosts with stand-ins, and a controller."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.agents: dict[str, StandIn] = {}
        self._folder = folder
        self._stack = stack

    def pair(self, *hosts: str, vip: str = "192.0.2.10/24") -> None:
        """Hosts on a segment of their own, the first preferred."""
        segment = Segment()
        for host in hosts:
            number = len(self.agents) + 1
            config = instance(150 if host == hosts[0] else 100 - number, vip)
            self.agents[host] = StandIn(self._folder / host, config, segment, number)
            self._stack.enter_context(serving(self.agents[host]))

    def __getitem__(self, host: str) -> StandIn:
        return self.agents[host]

    def controller(self, **more: dict[str, Any]) -> Controller:
        folder = self._folder / "controller"
        if not folder.exists():
            folder.mkdir()
            hosts = hosts_of(**self.agents)
            self._controller = Controller(folder, {host: said | more.get(host, {}) for host, said in hosts.items()})
        return self._controller

    def run(self, playbook: str, *arguments: str, **variables: Any) -> Outcome:
        """With variables as data, and arguments as they are typed."""
        return self.controller().run(str(PLAYBOOKS / f"{playbook}.yml"), *arguments, variables=variables)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, stack)


def test_back_to_keepalived(fleet: Fleet, tmp_path: Path) -> None:
    """A node that does not fare well waits once, and not again and again."""
    fleet.pair("lb1")
    fleet["lb1"].text = json.dumps(instance(interface="eth7"))
    target = tmp_path / "agent.yaml"
    Path(f"{target}.migrated").write_text(fleet["lb1"].text)
    said = {
        "kactl_migrate_target": str(target), "kactl_migrate_settle": 1, "agent_service": "none",
        "agent_bin": str(KACTL.parent), "kactl_keepalived_stop": "true", "agent_start": "true", "agent_stop": "true",
        "kactl_keepalived_start": f"touch {tmp_path}/back",
    }  # fmt: skip
    outcome = fleet.controller(lb1=said).play(
        {"ansible.builtin.include_tasks": str(PLAYBOOKS / "tasks" / "switch_over.yml")}
    )
    assert "runs keepalived again" in outcome.output, outcome.output
    assert (tmp_path / "back").exists()
    waited = outcome.of("Wait until the node is well")
    assert [each.get("attempts", 1) for each in waited] == [1]
    assert "interface eth7" in waited[0]["msg"]


SWITCHES = re.compile(r"(kactl_\w+ \| default\((?:true|false)\))( \| bool)?")


def test_every_switch_of_a_playbook_takes_what_is_typed() -> None:
    """`-e name=false` is a text. Options of modules and keywords of tasks take one; conditions do not."""
    bare = [
        found[1]
        for file in PLAYBOOKS.rglob("*.yml")
        for line in file.read_text().splitlines()
        for found in SWITCHES.finditer(line)
        if not found[2] and not re.match(r" *(become|backup|require_peer): ", line)
    ]
    assert bare == []


def test_switches_as_they_are_typed(fleet: Fleet, tmp_path: Path) -> None:
    fleet.pair("lb1", "lb2")
    for host, agent in fleet.agents.items():
        agent.file.write_text(json.dumps(instance(vip="192.0.2.10/24" if host == "lb1" else "192.0.2.11/24")))
    off = ("-e", "kactl_rollout_fleet_check=false", "-e", "kactl_rollout_quiet=true")
    wanted = {host: json.loads(agent.file.read_text()) for host, agent in fleet.agents.items()}
    rolled = fleet.run("rollout", *off, "--check", wanted=wanted, agent_config="{{ wanted[inventory_hostname] }}")
    assert not rolled.of("Stop when hosts disagree"), rolled.output
    assert rolled.of("Sort the nodes, masters last"), rolled.output
    audited = fleet.run("fleet_audit", "-e", "kactl_audit_strict=false", kactl_controller_executable=str(KACTL))
    assert audited.status == 0, audited.output
    strictly = fleet.run("fleet_audit", "-e", "kactl_audit_strict=true", kactl_controller_executable=str(KACTL))
    assert strictly.status != 0
    drilled = fleet.run("failover_drill", "-e", "kactl_drill_back=false", **drill(tmp_path))
    assert drilled.status == 0, drilled.output
    assert [each["goal"] for each in drilled.facts("kactl_drill_there")[:1]] == ["lb2"]
    assert not drilled.facts("kactl_drill_back_again")


def test_a_drill_that_fails_on_the_way_leaves_nobody_drained(fleet: Fleet, tmp_path: Path) -> None:
    fleet.pair("lb1", "lb2", "lb3")
    fleet["lb1"].refuse_undrains = 1  # there it goes, and back it does not
    outcome = fleet.run("failover_drill", **drill(tmp_path))
    assert outcome.status != 0
    assert "lb1: no such order today" in outcome.output, outcome.output
    assert [agent.drained for agent in fleet.agents.values()] == [{}, {}, {}]
    assert set(fleet["lb1"].holds) == {900}, "and if the controller is lost, for a quarter of an hour"
    assert not (tmp_path / "drill.md").exists()


def test_a_drill_of_one_of_two_routers_of_a_name(fleet: Fleet, tmp_path: Path) -> None:
    fleet.pair("lb1", "lb2")
    fleet.pair("lb3", "lb4", vip="198.51.100.10/24")
    unclear = fleet.run("failover_drill", **drill(tmp_path))
    assert unclear.status != 0
    assert "There is: lb1, lb2; lb3, lb4" in unclear.output, unclear.output
    done = fleet.run("failover_drill", kactl_drill_to="lb4", **drill(tmp_path))
    assert done.status == 0, done.output
    assert not fleet["lb1"].said
    assert not fleet["lb2"].said
    rows = [line.split("|") for line in (tmp_path / "drill.md").read_text().splitlines()]
    assert [(row[2].strip(), row[3].strip()) for row in rows if row[1:2] in ([" there "], [" back "])] == [
        ("lb3", "lb4"), ("lb4", "lb3")
    ]  # fmt: skip


def test_two_pairs_that_are_called_alike_roll_out(fleet: Fleet) -> None:
    """Name and VRID are the same, and the segments are not."""
    fleet.pair("lb1", "lb2")
    fleet.pair("lb3", "lb4", vip="198.51.100.10/24")
    wanted = {host: json.loads(agent.text) for host, agent in fleet.agents.items()}
    for host, config in wanted.items():
        net = "192.0.2" if host in ("lb1", "lb2") else "198.51.100"
        config["vrrp_instance"]["VI_1"]["virtual_ipaddress"].append(f"{net}.11/24")
    outcome = fleet.run("rollout", wanted=wanted, agent_config="{{ wanted[inventory_hostname] }}")
    assert outcome.status == 0, outcome.output
    changed = [each["host"] for each in outcome.results if each["task"].endswith("Let it stay")]
    assert changed == ["lb2", "lb4", "lb1", "lb3"]
    asked = [each["host"] for each in outcome.results if each["task"].endswith("Look at all nodes")]
    looked = [each["results"] for each in outcome.of("Look at all nodes")]
    assert {host: [it["item"] for it in found] for host, found in zip(asked, looked, strict=True)} == {
        "lb1": ["lb1", "lb2"], "lb2": ["lb1", "lb2"], "lb3": ["lb3", "lb4"], "lb4": ["lb3", "lb4"],
    }  # fmt: skip
    audited = fleet.run("fleet_audit", kactl_audit_strict=True)
    assert audited.status == 0, audited.output


def change(fleet: Fleet) -> dict[str, Any]:
    """Variables of a rollout of one address more."""
    wanted = {host: json.loads(agent.text) for host, agent in fleet.agents.items()}
    for config in wanted.values():
        config["vrrp_instance"]["VI_1"]["virtual_ipaddress"].append("192.0.2.11/24")
    return {"wanted": wanted, "agent_config": "{{ wanted[inventory_hostname] }}"}


def test_a_trial_that_runs_out_is_not_taken_for_confirmed(fleet: Fleet) -> None:
    fleet.pair("lb1", "lb2")
    before = {host: agent.text for host, agent in fleet.agents.items()}
    fleet["lb2"].look_seconds = 25.0  # of a trial of 60: the agent goes back by itself
    outcome = fleet.run("rollout", **change(fleet))
    assert outcome.status != 0
    assert outcome.of("Put the configuration in force, on probation", "lb2")[0]["reloaded"], outcome.output
    assert "lb2 did not fare well" in outcome.output
    assert "is not in force" in outcome.of("Let it stay", "lb2")[0]["msg"], outcome.output
    assert not outcome.of("Go back at once", "lb2")[0]["changed"]
    assert {host: agent.text for host, agent in fleet.agents.items()} == before
    assert {host: agent.said for host, agent in fleet.agents.items()} == {"lb1": [], "lb2": ["reload"]}


def test_a_trial_is_longer_than_what_is_waited_for(fleet: Fleet) -> None:
    fleet.pair("lb1")
    outcome = fleet.run("rollout", "-e", "kactl_rollout_confirm=10", **change(fleet))
    assert outcome.status != 0
    assert "kactl_rollout_settle (20 s) is to be less than kactl_rollout_confirm (10 s)" in outcome.output
    assert not outcome.of("Ask every node what the change would do")
    without = fleet.run("rollout", "-e", "kactl_rollout_confirm=0", **change(fleet))
    assert without.status == 0, without.output
    assert fleet["lb1"].pending is None


@pytest.mark.parametrize("state", ["overridden", "merged"])
def test_a_rollout_compares_secrets_and_shows_none(fleet: Fleet, state: str) -> None:
    fleet.pair("lb1", "lb2")
    variables = change(fleet)
    blocks = [config["vrrp_instance"]["VI_1"] for config in variables["wanted"].values()]
    for block, password in zip(blocks, ("hunter12", "hunter34"), strict=True):
        block["authentication"] = {"auth_type": "PASS", "auth_pass": password}
    disagreeing = fleet.run("rollout", agent_config_state=state, **variables)
    assert disagreeing.status != 0
    assert "do not authenticate alike" in disagreeing.output, disagreeing.output
    assert {host: agent.said for host, agent in fleet.agents.items()} == {"lb1": [], "lb2": []}
    for block in blocks:
        block["authentication"]["auth_pass"] = "hunter12"
    done = fleet.run("rollout", agent_config_state=state, **variables)
    assert done.status == 0, done.output
    assert all("hunter12" in agent.text for agent in fleet.agents.values())
    for name in ("Note what the node would have", "Read what becomes of the configuration with the change"):
        assert "hunter" not in json.dumps(disagreeing.of(name) + done.of(name))
    assert "hunter" not in disagreeing.output + done.output


def test_a_rollout_of_a_part_compares_what_comes_of_it(fleet: Fleet) -> None:
    """The passwords are on the nodes already, and the change says nothing of them."""
    fleet.pair("lb1", "lb2")
    for agent, password in zip(fleet.agents.values(), ("hunter12", "hunter34"), strict=True):
        config = agent.config
        config["vrrp_instance"]["VI_1"]["authentication"] = {"auth_type": "PASS", "auth_pass": password}
        agent.text = json.dumps(config)
        agent.file.write_text(agent.text)
    for more in ({"vrrp_instance": {"VI_1": {"virtual_ipaddress": ["192.0.2.11/24"]}}}, {}):
        outcome = fleet.run("rollout", agent_config_state="merged", agent_config=more)
        assert outcome.status != 0
        assert "do not authenticate alike" in outcome.output, outcome.output
        assert "hunter" not in outcome.output

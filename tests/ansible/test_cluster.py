"""The collection against two real agents in namespaces, with a client: what an operator does with a pair."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, Agent, agents, instance, master_down
from support.fleet import BIN, KACTL, ROOT, Controller, require_ansible
from support.netns import Network, network, wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

FULL = pytest.mark.skipif(not os.environ.get("KACTL_FULL"), reason="in the full matrix")
VIP = "198.51.100.100"
PLAYBOOKS = ROOT / "ansible_collection" / "playbooks"


def configuration(priority: int, **more: Any) -> dict[str, Any]:
    return instance(
        priority=priority, advert_int=0.2, down_timer_adverts=4, version=3, virtual_ipaddress=[f"{VIP}/24"], **more
    )


class Pair:
    """lb1, master by its priority, and lb2; the third node is the client."""

    def __init__(self, net: Network, folder: Path) -> None:
        self.net = net
        self.priorities = {"lb1": 150, "lb2": 100}
        self.agents = {
            host: Agent(net.nodes[number], folder / host, configuration(self.priorities[host]))
            for number, host in enumerate(self.priorities)
        }
        (folder / "controller").mkdir()
        hosts = {
            host: {"agent_run_dir": str(agent.run_dir), "agent_config_path": str(agent.config)}
            for host, agent in self.agents.items()
        }
        self.controller = Controller(folder / "controller", hosts)

    def state(self, host: str) -> str:
        return self.agents[host].state()

    def settle(self, master: str) -> None:
        other = "lb2" if master == "lb1" else "lb1"
        wait_for(
            lambda: (self.state(master), self.state(other)) == ("MASTER", "BACKUP"), 10 + SLACK, f"{master} master"
        )

    def task(self, module: str, host: str, *options: str, **arguments: Any) -> dict[str, Any]:
        node = {"run_dir": "{{ agent_run_dir }}"}
        if module in ("config", "info", "real_server"):
            node["executable"] = "{{ agent_executable }}"
        return self.controller.task(module, host, options=options, **node | arguments)

    def run(self, playbook: str, **variables: Any) -> Any:
        return self.controller.run(str(PLAYBOOKS / f"{playbook}.yml"), variables=variables)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require_ansible()
    with network(3) as net:
        pair = Pair(net, tmp_path_factory.mktemp("pair"))
        with agents(*pair.agents.values()):
            pair.agents["lb1"].wait_state("MASTER", master_down(3, 150, 0.2) + SLACK)
            pair.settle("lb1")
            yield pair


@pytest.fixture(autouse=True)
def _as_it_was(pair: Pair) -> Iterator[None]:
    yield
    for host, agent in pair.agents.items():
        agent.configure(configuration(pair.priorities[host]))
    run_dir = {"run_dir": "{{ agent_run_dir }}"}
    outcome = pair.controller.play(
        {"kactl.agent.maintenance": {"state": "active", **run_dir}}, {"kactl.agent.reload": run_dir}
    )
    assert outcome.status == 0, outcome.output
    pair.settle("lb1")


def test_config_plans_changes_and_leaves_alone(pair: Pair) -> None:
    node = pair.net.nodes[0]
    change = {"vrrp_instance": {"VI_1": {"virtual_ipaddress": ["198.51.100.101/24"]}}}
    planned = pair.task("config", "lb1", "--check", "--diff", config=change)
    assert planned["changed"]
    assert planned["plan"]["class"] == "hitless"
    assert "198.51.100.101/24 added" in json.dumps(planned["diff"])
    assert not node.has("198.51.100.101/24")
    too_much = pair.task("config", "lb1", config=change, max_impact="no-op")
    assert too_much["failed"]
    assert "the change is hitless" in too_much["msg"]
    assert "198.51.100.101" not in pair.agents["lb1"].config.read_text()
    done = pair.task("config", "lb1", config=change, backup=True)
    assert done["reloaded"], done
    assert done["revision"] == planned["plan"]["revision"]["new"]
    assert Path(done["backup_file"]).exists()
    wait_for(lambda: node.has("198.51.100.101/24"), 5, "the address is there")
    assert pair.state("lb1") == "MASTER"
    assert not pair.task("config", "lb1", config=change)["changed"]
    gathered = pair.task("config", "lb1", state="gathered")["gathered"]
    assert gathered["vrrp_instance"]["VI_1"]["virtual_ipaddress"] == [f"{VIP}/24", "198.51.100.101/24"]
    again = pair.task("config", "lb1", state="overridden", config=gathered)
    assert not again["changed"]
    assert pair.task("config", "lb1", state="deleted", config=change)["changed"]
    wait_for(lambda: not node.has("198.51.100.101/24"), 5, "the address is gone")


def test_an_invalid_change_touches_nothing(pair: Pair) -> None:
    agent = pair.agents["lb1"]
    before, revision = agent.config.read_bytes(), (agent.status() or {})["agent"]["config_revision"]
    said = pair.task("config", "lb1", config={"vrrp_instance": {"VI_1": {"priority": 300}}})
    assert said["failed"]
    assert "error[bad-value]: `priority`: 300 is outside 1..255" in said["msg"]
    assert agent.config.read_bytes() == before
    assert (agent.status() or {})["agent"]["config_revision"] == revision
    assert sorted(each.name for each in agent.config.parent.iterdir() if each.name.startswith(".kactl")) == []


@FULL
def test_reload_with_a_net(pair: Pair) -> None:
    agent = pair.agents["lb2"]
    agent.configure(configuration(90))
    first = pair.task("reload", "lb2", confirm=60)
    assert first["changed"]
    assert (agent.status() or {})["agent"]["pending_confirmation"]["revision"] == first["revision"]
    back = pair.task("reload", "lb2", action="rollback")
    assert back["revision"] == first["revision_before"]
    assert json.loads(agent.config.read_text()) == configuration(100)
    agent.configure(configuration(90))
    pair.task("reload", "lb2", confirm=60)
    assert pair.task("reload", "lb2", action="confirm")["changed"]
    assert not pair.task("reload", "lb2", action="confirm")["changed"]
    assert not pair.task("reload", "lb2")["changed"]


def test_failover_and_who_owns_what(pair: Pair) -> None:
    move = {
        "name": "move",
        "kactl.agent.failover": {"instance": "VI_1", "to": "lb2", "run_dir": "{{ agent_run_dir }}"},
    }
    outcome = pair.controller.play(move)
    assert outcome.status == 0, outcome.output
    assert [each["states"] for each in outcome.of("move", "lb2")] == [{"VI_1": "MASTER"}]
    assert outcome.of("move", "lb1")[0]["drained"] == ["VI_1"]
    pair.settle("lb2")
    assert not any(each["changed"] for each in pair.controller.play(move).of("move"))
    look = {"name": "look", "kactl.agent.info": {"run_dir": "{{ agent_run_dir }}", "gather_subset": ["vrrp"]}}
    states = "dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'seen')))"
    owner = {
        "name": "owner",
        "ansible.builtin.debug": {"msg": f"{{{{ {states} | kactl.agent.vrrp_owner('VI_1') }}}}"},
    }
    wrong = {
        "name": "wrong",
        "ansible.builtin.debug": {"msg": f"{{{{ {states} | kactl.agent.cluster_problems }}}}"},
    }
    seen = pair.controller.play(look | {"register": "seen"}, owner, wrong)
    assert seen.of("owner")[0]["msg"] == ["lb2"]
    assert seen.of("wrong")[0]["msg"] == []


@FULL
def test_maintenance_needs_somebody_to_take_over(pair: Pair) -> None:
    assert pair.task("maintenance", "lb1", state="drained", reason="new disk", ttl=600)["states"] == {"VI_1": "BACKUP"}
    pair.settle("lb2")
    assert not pair.task("maintenance", "lb1", state="drained")["changed"]
    refused = pair.task("maintenance", "lb2", state="drained")
    assert refused["failed"]
    assert "no other router took over" in refused["msg"]
    pair.settle("lb2")
    assert pair.task("maintenance", "lb1", state="active")["changed"]
    pair.settle("lb1")
    assert not pair.task("maintenance", "lb1", "--check", state="active")["changed"]


@FULL
def test_rollout_goes_backups_first_and_stops_where_a_node_does_not_fare_well(pair: Pair) -> None:
    more = {"virtual_ipaddress": [f"{VIP}/24", "198.51.100.102/24"]}
    wanted = {host: configuration(priority) for host, priority in pair.priorities.items()}
    for config in wanted.values():
        config["vrrp_instance"]["VI_1"] |= more
    done = pair.run("rollout", wanted=wanted, agent_config="{{ wanted[inventory_hostname] }}")
    assert done.status == 0, done.output
    changed = [each["host"] for each in done.results if each["task"].endswith("Let it stay")]
    assert changed == ["lb2", "lb1"]
    wait_for(lambda: pair.net.nodes[0].has("198.51.100.102/24"), 5, "the address is there")
    again = pair.run("rollout", wanted=wanted, agent_config="{{ wanted[inventory_hostname] }}")
    assert again.status == 0, again.output
    assert not again.of("Let it stay")

    wanted["lb1"]["vrrp_instance"]["VI_1"]["virtual_router_id"] = 77  # the two would not know each other any more
    disagreeing = pair.run("rollout", wanted=wanted, agent_config="{{ wanted[inventory_hostname] }}")
    assert disagreeing.status != 0

    for config in wanted.values():
        config["vrrp_instance"]["VI_1"] |= {"virtual_router_id": 51, "interface": "eth7"}
    before = {host: agent.config.read_text() for host, agent in pair.agents.items()}
    stopped = pair.run(
        "rollout", wanted=wanted, agent_config="{{ wanted[inventory_hostname] }}", kactl_rollout_settle=2
    )
    assert stopped.status != 0
    assert "lb2 did not fare well" in stopped.output
    assert "interface" in stopped.output
    assert {host: agent.config.read_text() for host, agent in pair.agents.items()} == before
    pair.settle("lb1")


def test_an_invalid_rollout_touches_no_node(pair: Pair) -> None:
    wanted = {"lb1": configuration(150), "lb2": configuration(300)}
    before = {host: agent.config.read_text() for host, agent in pair.agents.items()}
    outcome = pair.run("rollout", wanted=wanted, agent_config="{{ wanted[inventory_hostname] }}")
    assert outcome.status != 0
    assert "300 is outside 1..255" in outcome.output
    assert {host: agent.config.read_text() for host, agent in pair.agents.items()} == before


@FULL
def test_audit_finds_what_is_wrong(pair: Pair, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    fine = pair.run("fleet_audit", kactl_audit_report=str(report), kactl_audit_strict=True)
    assert fine.status == 0, fine.output
    assert json.loads(report.read_text())["findings"] == []
    pair.agents["lb2"].configure(configuration(150))
    wrong = pair.run("fleet_audit", kactl_audit_report=str(report), kactl_audit_strict=True)
    assert wrong.status != 0
    findings = json.loads(report.read_text())["findings"]
    assert any("lb2: its configuration file is not in force" in each for each in findings)
    assert any("have the same priority, 150" in each for each in findings)


@FULL
def test_a_drill_measures_what_a_client_loses(pair: Pair, tmp_path: Path) -> None:
    report = tmp_path / "drill.md"
    outcome = pair.run(
        "failover_drill",
        kactl_drill_instance="VI_1",
        kactl_drill_report=str(report),
        kactl_drill_prefix=["ip", "netns", "exec", pair.net.nodes[2].namespace],
        kactl_drill_seconds=8,
    )
    assert outcome.status == 0, outcome.output
    rows = [line.split("|") for line in report.read_text().splitlines() if line.startswith(("| there", "| back"))]
    assert [(row[2].strip(), row[3].strip()) for row in rows] == [("lb1", "lb2"), ("lb2", "lb1")]
    assert all(int(row[4]) > 100 for row in rows)
    pair.settle("lb1")


def test_an_agent_without_a_service_manager(pair: Pair, tmp_path: Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text("global_defs: {router_id: bare}\n")
    agent = [str(KACTL.with_name("kactl-agent")), "--config", str(config), "--run-dir", str(tmp_path / "run")]
    said = {"run_dir": str(tmp_path / "run")}
    started = pair.controller.task("process", "lb1", command=agent, **said)
    assert started["changed"], started
    try:
        assert not pair.controller.task("process", "lb1", command=agent, **said)["changed"]
        assert pair.controller.task("info", "lb1", gather_subset=["agent"], **said)["agent"]["pid"] == started["pid"]
        restarted = pair.controller.task("process", "lb1", command=agent, state="restarted", **said)
        assert restarted["pid"] != started["pid"]
    finally:
        stopped = pair.controller.task("process", "lb1", state="stopped", **said)
    assert stopped["changed"]
    assert not pair.controller.task("process", "lb1", state="stopped", **said)["changed"]
    config.write_text("global_defs: {router_id: [}\n")
    broken = pair.controller.task("process", "lb1", command=agent, **said)
    assert broken["failed"]
    assert "exit code 3" in broken["msg"]
    assert BIN.exists()

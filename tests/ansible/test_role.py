"""The role `agent` on this machine, with an agent that no service manager runs: all of it in a folder."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import alive
from support.fleet import KACTL, ROOT, Controller, Outcome
from support.netns import wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
ROLE = {"name": "role", "ansible.builtin.include_role": {"name": "kactl.agent.agent"}}


class Node:
    def __init__(self, folder: Path) -> None:
        for name in ("controller", "venv"):
            (folder / name).mkdir()
        self.run_dir = folder / "run"
        self.venv = folder / "venv"
        self.config = folder / "etc" / "agent.yaml"
        self.pids: set[int] = set()
        self._controller = Controller(folder / "controller", {"lb1": {}})
        self._variables = {
            "agent_source": "",
            "agent_bin": str(KACTL.parent),
            "agent_venv": str(self.venv),
            "agent_service": "none",
            "agent_firewall": "no",
            "agent_config_path": str(self.config),
            "agent_run_dir": str(self.run_dir),
        }

    def run(self, *tasks: dict[str, Any], **variables: Any) -> Outcome:
        """The role, then these tasks."""
        said = json.dumps(self._variables | {"agent_config": {"global_defs": {"router_id": "lb1"}}} | variables)
        outcome = self._controller.play(ROLE, *tasks, options=["-e", said])
        self.pids.add(self.pid)
        return outcome

    @property
    def pid(self) -> int:
        with ControlClient(self.run_dir, timeout=10) as client:
            pid: int = client.call("status")["agent"]["pid"]
            return pid

    def stop(self) -> None:
        for pid in filter(alive, self.pids):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not any(map(alive, self.pids)), 20, "the agents end")


def test_each_platform_has_the_packages_of_a_python_that_is_new_enough(tmp_path: Path) -> None:
    wanted = {
        ("Debian", "12"): ["python3", "python3-venv"],
        ("RedHat", "9"): ["python3.11", "python3.11-pip"],
        ("RedHat", "10"): ["python3", "python3-pip"],
        ("RedHat", "42"): ["python3", "python3-pip"],
        ("Archlinux", "NA"): [],
    }
    tasks: list[dict[str, Any]] = []
    for family, release in wanted:
        facts = {"os_family": family, "distribution_major_version": release, "cacheable": True}
        tasks.append({"ansible.builtin.set_fact": facts})
        tasks.append({"name": f"{family} {release}", "ansible.builtin.debug": {"msg": "{{ agent__platform }}"}})
    variables = ROOT / "ansible_collection" / "roles" / "agent" / "vars" / "main.yml"
    outcome = Controller(tmp_path, {"lb1": {}}).play(*tasks, options=["-e", f"@{variables}"])
    for (family, release), packages in wanted.items():
        (said,) = outcome.of(f"{family} {release}")
        assert said["msg"]["packages"] == packages
        assert said["msg"]["python"] == (packages or ["python3"])[0]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.stop()


def test_a_restart_that_is_due_is_made_up_for(node: Node) -> None:
    """It does not matter in which run the new version was installed, nor what became of that run."""
    first = node.run()
    assert first.status == 0, first.output
    pid = node.pid
    (node.venv / "renewed").touch()
    left = node.run(agent_restart="never")
    assert left.of("Leave the restart to you"), left.output
    assert node.pid == pid
    # what is installed runs before it is asked about the configuration
    refused = node.run(agent_config={"global_defs": {"router_id": "lb1", "unknown_to_all": 1}})
    assert refused.status != 0
    assert "unknown_to_all" in refused.output
    assert "unknown_to_all" not in node.config.read_text()
    assert node.pid != pid
    assert not alive(pid)
    pid = node.pid
    # not again; and what would not start with its file is not restarted before the role has mended that
    (node.venv / "renewed").touch()
    node.config.write_text("vrrp_instance: {A: {nonsense: 1}}\n")
    mended = node.run()
    assert mended.status == 0, mended.output
    tasks = [each["task"].rpartition(" : ")[2] for each in mended.results if each["how"] == "ok"]
    assert tasks.index("Put the configuration in its place") < tasks.index("Restart the process")
    assert node.pid != pid
    pid = node.pid
    assert node.run().status == 0
    assert node.pid == pid

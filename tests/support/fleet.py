"""Ansible as an operator runs it, against the collection of this work tree: single tasks and playbooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("KACTL_FLEET_BIN", ROOT / ".venv-fleet" / "bin"))
KACTL = Path(sys.executable).parent / "kactl"
_CALLBACK = """
from ansible.plugins.callback import CallbackBase
import json, os

DOCUMENTATION = "name: collected\\ntype: aggregate\\nshort_description: x\\ndescription: x\\n"

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "collected"

    def _note(self, how, result):
        with open(os.environ["COLLECTED"], "a") as file:
            task = result.task_name if hasattr(result, "task_name") else result._task.get_name()
            host = result.host if hasattr(result, "host") else result._host
            said = result.result if hasattr(result, "result") else result._result
            line = {"how": how, "task": task, "host": host.get_name(), "result": said}
            file.write(json.dumps(line, default=str) + "\\n")

    def v2_runner_on_ok(self, result): self._note("ok", result)
    def v2_runner_on_failed(self, result, ignore_errors=False): self._note("failed", result)
    def v2_runner_on_unreachable(self, result): self._note("unreachable", result)
"""


def why_no_ansible() -> str:
    """Why nothing of this can run here, or an empty string."""
    return "" if (BIN / "ansible-playbook").exists() else "Ansible is not installed (tests/lanes/setup-fleet)"


def require_ansible() -> None:
    if reason := why_no_ansible():
        pytest.skip(reason)


class Outcome:
    """How a playbook went: its exit status, what it printed, and the result of every task."""

    def __init__(self, status: int, output: str, lines: Sequence[str]) -> None:
        self.status = status
        self.output = output
        self.results = [json.loads(line) for line in lines]

    def of(self, task: str, host: str = "") -> list[dict[str, Any]]:
        """Results of the tasks whose name ends so, in order."""
        return [
            {"failed": each["how"] != "ok"} | each["result"]
            for each in self.results
            if each["task"].endswith(task) and host in ("", each["host"])
        ]

    def facts(self, name: str) -> list[Any]:
        """The values that tasks gave a fact, in order."""
        given = [each["result"].get("ansible_facts", {}) for each in self.results]
        return [facts[name] for facts in given if name in facts]

    @property
    def failures(self) -> list[str]:
        return [f"{each['host']}: {each['result'].get('msg')}" for each in self.results if each["how"] != "ok"]


class Controller:
    """A folder with an inventory, from which Ansible runs. Hosts have variables; all connections are local."""

    def __init__(self, folder: Path, hosts: Mapping[str, Mapping[str, Any]]) -> None:
        require_ansible()
        self.folder = folder
        collections = folder / "collections" / "ansible_collections" / "kactl"
        collections.mkdir(parents=True)
        (collections / "agent").symlink_to(ROOT / "ansible_collection")
        plugins = folder / "callbacks"
        plugins.mkdir()
        (plugins / "collected.py").write_text(_CALLBACK)
        shared = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(BIN / "python"),
            "agent_executable": str(KACTL),
            "kactl_become": False,
        }
        inventory = {"all": {"vars": shared, "children": {"kactl": {"hosts": dict(hosts)}}}}
        (folder / "hosts.yml").write_text(json.dumps(inventory, indent=1))

    def run(self, *arguments: str, variables: Mapping[str, Any] | None = None) -> Outcome:
        """ansible-playbook with these arguments."""
        collected = self.folder / "collected"
        collected.write_text("")
        environment = os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_CALLBACK_PLUGINS": str(self.folder / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "collected",
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            "COLLECTED": str(collected),
            "KACTL_EXECUTABLE": str(KACTL),
        }
        command = [str(BIN / "ansible-playbook"), "-i", str(self.folder / "hosts.yml"), *arguments]
        if variables is not None:
            command += ["-e", json.dumps(variables)]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        return Outcome(done.returncode, done.stdout + done.stderr, collected.read_text().splitlines())

    def play(self, *tasks: Mapping[str, Any], hosts: str = "kactl", options: Sequence[str] = ()) -> Outcome:
        """A playbook of these tasks."""
        (self.folder / "play.yml").write_text(
            json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}])
        )
        return self.run(*options, "play.yml")

    def task(self, module: str, host: str = "", *, options: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
        """The result of one task, failed or not, on one host."""
        task = {"name": "it", f"kactl.agent.{module}": arguments, "ignore_errors": True}
        outcome = self.play(task, hosts=host or "kactl", options=options)
        assert outcome.of("it"), outcome.output
        return outcome.of("it")[0]

"""Modules that change what an agent runs, against a stand-in that does what it is told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fleet import KACTL, Controller
from support.fleet_agents import StandIn, hosts_of, serving

CONFIG: dict[str, Any] = {
    "vrrp_instance": {"A": {"interface": "eth0", "virtual_router_id": 1, "virtual_ipaddress": ["192.0.2.1/24"]}},
    "virtual_server": [
        {"address": "192.0.2.1", "port": 80, "protocol": "TCP", "real_server": [{"address": "10.0.0.1", "port": 8080}]}
    ],
}
MORE = {"vrrp_instance": {"A": {"virtual_ipaddress": ["192.0.2.2/24"]}}}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[StandIn]:
    agent = StandIn(tmp_path / "lb1", CONFIG)
    with serving(agent):
        yield agent


@pytest.fixture
def controller(tmp_path: Path, agent: StandIn) -> Controller:
    folder = tmp_path / "controller"
    folder.mkdir()
    return Controller(folder, hosts_of(lb1=agent))


def task(controller: Controller, agent: StandIn, module: str, *options: str, **arguments: Any) -> dict[str, Any]:
    node = {"run_dir": str(agent.run_dir)}
    if module in ("config", "real_server"):
        node["executable"] = str(KACTL)
    return controller.task(module, options=options, **node | arguments)


def test_an_agent_without_privileges_reads_what_it_is_to_plan_and_to_take(
    controller: Controller, agent: StandIn
) -> None:
    planned = task(controller, agent, "config", "--check", config=MORE)
    assert planned["plan"]["class"] == "hitless", planned
    assert not agent.said
    done = task(controller, agent, "config", config=MORE)
    assert done["reloaded"], done
    assert "192.0.2.2/24" in agent.text
    more = {"virtual_server": "192.0.2.1:80/TCP", "address": "10.0.0.2", "port": 8080, "keep": True}
    kept = task(controller, agent, "real_server", **more)
    assert kept["real_server"]["address"] == "10.0.0.2", kept
    assert sorted(each.name for each in agent.file.parent.iterdir()) == ["agent.yaml"]


def test_what_the_agent_was_not_granted_is_refused_before_anything_is_changed(
    controller: Controller, agent: StandIn
) -> None:
    agent.not_granted = "CAP_NET_RAW"
    before = agent.file.read_text()
    for options in (["--check"], []):
        refused = task(controller, agent, "config", *options, config=MORE)
        assert refused["failed"]
        assert "the agent would refuse it: VRRP needs CAP_NET_RAW" in refused["msg"]
    assert (agent.said, agent.file.read_text()) == ([], before)
    written = task(controller, agent, "config", config=MORE, reload=False)
    assert (written["changed"], written["reloaded"]) == (True, False), written
    assert written["plan"]["refused"] == "VRRP needs CAP_NET_RAW"
    assert "192.0.2.2/24" in agent.file.read_text()


def test_info_has_the_configuration_only_for_who_asks_for_it(controller: Controller, agent: StandIn) -> None:
    assert {"agent", "vrrp", "events"} <= set(everything := task(controller, agent, "info"))
    assert "config" not in everything
    asked = {"gather_subset": ["all", "config"], "executable": str(KACTL)}
    assert task(controller, agent, "info", **asked)["config"] == CONFIG


def test_a_file_that_no_agent_runs_with_needs_no_folder_beforehand(controller: Controller, tmp_path: Path) -> None:
    path = tmp_path / "new" / "agent.yaml"
    said = {"path": str(path), "run_dir": str(tmp_path), "executable": str(KACTL), "config": CONFIG}
    assert controller.task("config", options=("--check",), **said)["changed"]
    assert not path.parent.exists()
    assert controller.task("config", **said)["changed"]
    assert not controller.task("config", **said)["changed"]


def test_wait_bears_an_agent_that_is_starting(controller: Controller, tmp_path: Path) -> None:
    late = StandIn(tmp_path / "late", CONFIG)
    begun = time.monotonic()
    silent = controller.task("wait", run_dir=str(late.run_dir), wait=0.5)
    spent = time.monotonic() - begun
    assert "no agent answers" in silent["msg"]
    with contextlib.ExitStack() as stack:
        timer = threading.Timer(2 * spent, lambda: stack.enter_context(serving(late)))
        timer.start()
        found = controller.task("wait", run_dir=str(late.run_dir), wait=60)
        timer.join()
    assert found["states"] == {"A": "MASTER"}, found


def test_confirm_and_rollback_mean_a_revision(controller: Controller, agent: StandIn) -> None:
    first = agent.revision
    agent.file.write_text(agent.text.replace("192.0.2.1/24", "192.0.2.9/24"))
    tried = task(controller, agent, "reload", confirm=60)
    assert agent.pending is not None
    assert "is not in force" in task(controller, agent, "reload", action="confirm", revision=first)["msg"]
    assert agent.pending is not None
    assert not task(controller, agent, "reload", action="rollback", revision=first)["changed"]
    this = {"revision": tried["revision"]}
    assert task(controller, agent, "reload", "--check", action="confirm", **this)["changed"]
    assert task(controller, agent, "reload", action="confirm", **this)["changed"]
    assert agent.pending is None
    assert not task(controller, agent, "reload", action="confirm", **this)["changed"]
    assert task(controller, agent, "reload", "--check", action="rollback", **this)["changed"]
    back = task(controller, agent, "reload", action="rollback", **this)
    assert (back["changed"], back["revision"], back["revision_before"]) == (True, first, tried["revision"])
    assert not task(controller, agent, "reload", action="rollback", **this)["changed"]
    assert "nothing to go back to" in task(controller, agent, "reload", action="rollback")["msg"]
    assert "for action confirm and rollback" in task(controller, agent, "reload", **this)["msg"]

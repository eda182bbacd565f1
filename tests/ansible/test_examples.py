"""The examples of the documentation do what they say: each of them runs, against stand-ins for the agents of a pair."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.fleet import KACTL, ROOT, Controller, Outcome
from support.fleet_agents import Segment, StandIn, hosts_of, serving

PLUGINS = ROOT / "ansible_collection" / "plugins"
MODULES = sorted(PLUGINS.glob("modules/*.py"))
FILTERS = sorted(PLUGINS.glob("filter/*.yml"))
EVERYWHERE = ("Make lb2 the master of everything",)  # the others are for one host
BODY = b"well\n"
WEB = "192.0.2.10:443/tcp"


def config(priority: int) -> dict[str, Any]:
    servers = [{"address": f"10.0.0.{number}", "port": 8443, "weight": 10} for number in (1, 2, 3)]
    block = {"virtual_router_id": 51, "priority": priority, "virtual_ipaddress": ["192.0.2.10/24"]}
    return {
        "vrrp_instance": {"VI_1": {"interface": "eth0"} | block},
        "virtual_server": [{"address": "192.0.2.10", "port": 443, "protocol": "TCP", "real_server": servers}],
    }


class Pair:
    """lb1, which is master, and lb2."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        segment = Segment()
        self.lb1 = StandIn(folder / "lb1", config(150), segment, 1)
        self.lb2 = StandIn(folder / "lb2", config(100), segment, 2)
        stack.enter_context(serving(self.lb1, self.lb2))
        (folder / "controller").mkdir()
        self.folder = folder
        hosts = hosts_of(lb1=self.lb1, lb2=self.lb2)
        self.controller = Controller(
            folder / "controller",
            {"lb1": hosts["lb1"] | {"agent_config": config(150)}, "lb2": hosts["lb2"] | {"agent_config": config(100)}},
        )

    def run(self, tasks: list[dict[str, Any]]) -> Outcome:
        defaults: dict[str, Any] = {"group/kactl.agent.agent": {"run_dir": "{{ agent_run_dir }}"}}
        for module in ("config", "info", "real_server", "genhash"):
            defaults[f"kactl.agent.{module}"] = {"executable": "{{ agent_executable }}"}
        play = {
            "hosts": "kactl", "gather_facts": False, "module_defaults": defaults, "tasks": tasks,
        }  # fmt: skip
        (self.controller.folder / "play.yml").write_text(json.dumps([play]))
        outcome = self.controller.run("play.yml")
        assert outcome.status == 0, outcome.output
        assert outcome.failures == []
        return outcome


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, stack)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # an example that did not come to its end
        os.kill(int((tmp_path / "process" / "agent.pid").read_text()), signal.SIGTERM)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[int]:
    """The port of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def examples(file: Path) -> list[dict[str, Any]]:
    text = file.read_text()
    if file.suffix == ".py":
        found = re.search(r'^EXAMPLES = r"""\n(.*?)"""', text, re.S | re.M)
        assert found is not None
        text = found[1]
    else:
        text = yaml.safe_load(text)["EXAMPLES"]
    tasks: list[dict[str, Any]] = yaml.safe_load(text)
    return tasks


def on_this_machine(task: dict[str, Any], pair: Pair, port: int) -> dict[str, Any]:
    """The task with what is here in the place of what only a node has, and on lb1 alone unless it is for all."""
    if said := task.get("kactl.agent.genhash"):
        said |= {"server": "127.0.0.1", "port": port}
    if said := task.get("kactl.agent.ping_gap"):
        said |= {"address": "127.0.0.1", "seconds": 1}
    if said := task.get("kactl.agent.process"):
        own = {"/opt/kactl/bin/kactl-agent": KACTL.with_name("kactl-agent"), "/etc/kactl/agent.yaml": "empty.yaml"}
        (pair.folder / "empty.yaml").write_text("global_defs: {}\n")
        run_dir = said["run_dir"] = str(pair.folder / "process")
        if "command" in said:
            command = [str(pair.folder / own[word] if word in own else word) for word in said["command"]]
            said["command"] = [*command, "--run-dir", run_dir]
    return task if task["name"] in EVERYWHERE else task | {"when": "inventory_hostname == 'lb1'"}


def as_before(task: dict[str, Any]) -> list[dict[str, Any]]:
    """A move, and the way back."""
    again = {"name": "as before", "kactl.agent.maintenance": {"state": "active"}}
    return [task, again, {"kactl.agent.wait": {}}] if "kactl.agent.failover" in task else [task]


def _config(pair: Pair) -> None:
    assert [each["address"] for each in pair.lb1.config["virtual_server"][0]["real_server"]] == ["10.0.0.2", "10.0.0.3"]
    assert pair.lb1.said == ["reload"] * 3


def _failover(pair: Pair) -> None:
    assert pair.lb1.said == ["drain", "undrain"] * 2
    assert pair.lb1.holds == [0, 600]


def _genhash(pair: Pair) -> None:
    check = pair.lb1.config["virtual_server"][1]["real_server"][0]["HTTP_GET"]
    assert check["url"][0]["digest"] == hashlib.md5(BODY, usedforsecurity=False).hexdigest()


def _maintenance(pair: Pair) -> None:
    assert pair.lb1.said == ["drain", "undrain", "real_server"]
    assert pair.lb1.ordered[WEB, "10.0.0.1:8443"]["drained"]


def _real_server(pair: Pair) -> None:
    assert pair.lb1.ordered[WEB, "10.0.0.3:8443"]["weight"] == 1
    servers = pair.lb1.config["virtual_server"][0]["real_server"]
    assert [each["address"] for each in servers] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]


def _reload(pair: Pair) -> None:
    assert pair.lb1.pending is None


DONE: dict[str, Callable[[Pair], None]] = {
    "config": _config, "failover": _failover, "genhash": _genhash, "maintenance": _maintenance,
    "real_server": _real_server, "reload": _reload,
}  # fmt: skip


@pytest.mark.parametrize("file", MODULES, ids=[file.stem for file in MODULES])
def test_examples_of_modules(file: Path, pair: Pair, page: int) -> None:
    tasks = [on_this_machine(task, pair, page) for task in examples(file)]
    names = [task["name"] for task in tasks]
    outcome = pair.run([each for task in tasks for each in as_before(task)])
    ran = [each["task"] for each in outcome.results if each["host"] == "lb1"]
    assert [name for name in names if name not in ran] == []
    DONE.get(file.stem, lambda _: None)(pair)


@pytest.mark.parametrize("file", FILTERS, ids=[file.stem for file in FILTERS])
def test_examples_of_filters(file: Path, pair: Pair) -> None:
    keepalived = "vrrp_instance A {\n interface eth0\n virtual_router_id 7\n}\n"
    (pair.controller.folder / "keepalived.conf").write_text(keepalived)
    look = {"kactl.agent.info": {"gather_subset": ["agent", "vrrp"]}, "register": "agent"}
    tasks = examples(file)
    outcome = pair.run([look, *tasks])
    assert all(outcome.of(task["name"]) for task in tasks)

"""The modules of the collection against a stateful stand-in that speaks the real protocol."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from kactl_agent.control import protocol
from support.control_agent import FakeService, serve
from support.fleet import BIN, ROOT, Controller, require_ansible
from support.netns import wait_for

MODULE_UTILS = ROOT / "ansible_collection" / "plugins" / "module_utils"


def status(as_of: str = "", **instances: dict[str, Any]) -> dict[str, Any]:
    moment = as_of or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "schema_version": 1,
        "as_of": moment,
        "agent": {"version": "0.1.0", "pid": 1, "config_file": "/nowhere/agent.yaml", "config_revision": "a" * 12},
        "vrrp": {"instances": instances, "sync_groups": {}},
        "ipvs": {"virtual_servers": []},
        "bfd": {"instances": {}},
    }


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    folder = tmp_path / "controller"
    folder.mkdir()
    return Controller(folder, {"lb1": {}})


@pytest.fixture
def service(run_dir: Path) -> Iterator[FakeService]:
    service = FakeService(status(VI_1={"state": "MASTER", "faults": [], "drained": None}))
    with serve(run_dir, service):
        yield service


def test_both_ends_of_the_protocol_agree() -> None:
    """The collection has its own client: what it takes for granted is what the agent has."""
    text = (MODULE_UTILS / "control.py").read_text()
    assert f"PROTOCOL_VERSION = {protocol.PROTOCOL_VERSION}\n" in text
    assert f'SOCKET_NAME = "{protocol.SOCKET_NAME}"' in text
    used = set()
    for file in (ROOT / "ansible_collection" / "plugins").rglob("*.py"):
        used |= set(re.findall(r'(?:call|client\.call)\((?:module, client, )?"(\w+)"', file.read_text()))
    assert used
    assert used <= set(protocol.METHODS), used - set(protocol.METHODS)


def test_who_waits_for_an_outcome_waits_longer_than_the_agent() -> None:
    """Or both give up at the same moment, and the agent's reason is lost."""
    found = {
        file.name: float(seconds)
        for file in (ROOT / "ansible_collection" / "plugins").rglob("*.py")
        for seconds in re.findall(r"^_LONGEST = ([\d.]+)", file.read_text(), re.MULTILINE)
    }
    assert {"maintenance.py", "plan.py", "reload.py"} <= set(found)
    assert min(found.values()) >= protocol.ANSWER_SECONDS + 10


def test_info_says_how_old_its_state_is(controller: Controller, service: FakeService, run_dir: Path) -> None:
    fresh = controller.task("info", run_dir=str(run_dir), gather_subset=["agent", "vrrp", "events"])
    assert fresh["fresh"] is True
    assert fresh["vrrp"]["instances"]["VI_1"]["state"] == "MASTER"
    assert "ipvs" not in fresh
    assert fresh["events"] == []
    service.document = status("2020-01-01T00:00:00.000Z")
    stale = controller.task("info", run_dir=str(run_dir), gather_subset=["vrrp"])
    assert stale["fresh"] is False
    assert stale["age"] > 1e6


def test_info_returns_the_newest_events(controller: Controller, service: FakeService, run_dir: Path) -> None:
    for number in range(5):
        service.journal.append("transition", number, instance=f"VI_{number}")
    found = controller.task("info", run_dir=str(run_dir), gather_subset=["events"], events=2)
    assert [each["instance"] for each in found["events"]] == ["VI_3", "VI_4"]
    assert found["cursor"] == service.journal.cursor


def test_an_agent_that_does_not_run(controller: Controller, run_dir: Path) -> None:
    said = controller.task("info", run_dir=str(run_dir))
    assert said["failed"]
    assert "no agent answers" in said["msg"]
    assert "is kactl-agent running" in said["msg"]


def test_unknown_instances_are_named_with_those_there_are(
    controller: Controller, service: FakeService, run_dir: Path
) -> None:
    said = controller.task("maintenance", run_dir=str(run_dir), state="drained", instance="VI_9")
    assert said["msg"] == "the agent has no instance VI_9; it has VI_1"


def test_problems_across_hosts_and_those_of_some_routers(controller: Controller) -> None:
    """A node of one pair does not go back because of what another pair has."""
    seen = {
        "lb1": status(VI_1={"state": "MASTER"}, VI_2={"state": "BACKUP"}),
        "lb2": status(VI_1={"state": "BACKUP"}, VI_2={"state": "BACKUP"}),
        "lb3": status(VI_3={"state": "MASTER"}),
        "lb4": status(VI_3={"state": "MASTER"}),
    }
    filters = ("kactl.agent.cluster_problems", "kactl.agent.cluster_problems('lb4')")
    tasks = [
        {"name": f"said {number}", "ansible.builtin.debug": {"msg": f"{{{{ seen | {each} }}}}"}, "vars": {"seen": seen}}
        for number, each in enumerate(filters)
    ]
    outcome = controller.play(*tasks)
    both = "VI_3: lb3 and lb4 are master"
    assert outcome.of("said 0")[0]["msg"] == ["VI_2: no host is master", both], outcome.output
    assert outcome.of("said 1")[0]["msg"] == [both]


def test_wait_says_what_is_wrong(controller: Controller, service: FakeService, run_dir: Path) -> None:
    service.document = status(
        A={"state": "FAULT", "faults": ["interface eth0 is down"]}, B={"state": "BACKUP", "faults": [], "master": None}
    )
    said = controller.task("wait", run_dir=str(run_dir), wait=0.1)
    assert said["problems"] == ["A is in FAULT: interface eth0 is down", "B hears no master"]
    missing = controller.task("wait", run_dir=str(run_dir), wait=0.1, instances=["C"])
    assert missing["problems"] == ["C does not run"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b'{"id": 1, "result": {"agent": "9.0", "protocol": 2}}\n',
            "agent 9.0 speaks version 2 of the control protocol",
        ),
        (b"SSH-2.0-OpenSSH\n", "what answers there is no agent"),
        (b"", "the agent closed the connection"),
        (
            b'{"id": 1, "error": {"code": "too-many-clients", "message": "64 clients are connected already"}}\n',
            "64 clients",
        ),
    ],
)
def test_what_is_no_agent_of_ours(controller: Controller, run_dir: Path, answer: bytes, said: str) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(run_dir / "agent.sock"))
    listener.listen()

    def serve_one() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=serve_one, daemon=True)
    thread.start()
    try:
        result = controller.task("info", run_dir=str(run_dir))
    finally:
        thread.join(20)
        listener.close()
    assert result["failed"]
    assert said in result["msg"]


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("config", {"state": "merged"}, "config"),
        ("config", {"state": "sideways", "config": {}}, "value of state must be one of"),
        ("config", {"config": ["a"]}, "dict"),
        ("reload", {"confirm": "soon"}, "int"),
        ("failover", {"instance": "a", "group": "b"}, "mutually exclusive"),
        ("real_server", {"virtual_server": "x", "address": "10.0.0.1", "state": "absent"}, "say keep: true"),
        ("real_server", {"virtual_server": "x", "address": "10.0.0.1", "weight": 65_536}, "from 0 to 65535"),
        ("real_server", {"virtual_server": "x", "address": "10.0.0.1", "weight": -1, "keep": True}, "from 0 to 65535"),
        ("failover", {"to": "mars"}, "no host 'mars' in the inventory"),
    ],
)
def test_wrong_arguments(controller: Controller, module: str, arguments: dict[str, Any], said: str) -> None:
    result = controller.task(module, **arguments)
    assert result["failed"]
    assert said in result["msg"]


JOURNAL = {
    "__init__": "",
    "daemon": "def booted(): return True",
    "journal": "import os\nsendv = None\ndef send(**said): open(os.environ['JOURNAL'], 'a').write(str(said))",
}


@pytest.mark.parametrize(
    ("module", "more"),
    [
        ("config", {"config": {"vrrp_instance": {"A": {"authentication": {"auth_pass": "hush"}}}}}),
        ("config", {"state": "parsed", "running_config": "vrrp_instance A { authentication { auth_pass hush } }"}),
        ("real_server", {"virtual_server": "x", "address": "10.0.0.1", "options": {"HTTP_GET": {"x": "hush"}}}),
    ],
)
def test_no_secret_of_a_parameter_is_in_the_nodes_log(
    controller: Controller, tmp_path: Path, module: str, more: dict[str, Any]
) -> None:
    """systemd's journal as modules see it is a file here."""
    (tmp_path / "systemd").mkdir()
    for name, text in JOURNAL.items():
        (tmp_path / "systemd" / f"{name}.py").write_text(text)
    journal = tmp_path / "journal"
    task = {
        f"kactl.agent.{module}": {"timeout": 1.25} | more,
        "environment": {"PYTHONPATH": str(tmp_path), "JOURNAL": str(journal)},
        "ignore_errors": True,
    }
    controller.play(task)
    logged = journal.read_text()
    assert "1.25" in logged
    assert "hush" not in logged


def test_offline_states_of_config(controller: Controller) -> None:
    config = {"vrrp_instance": {"A": {"interface": "eth0", "virtual_router_id": 1, "virtual_ipaddress": ["192.0.2.1"]}}}
    executable = {"executable": "{{ agent_executable }}"}
    rendered = controller.task("config", state="rendered", config=config, **executable)["rendered"]
    assert "vrrp_instance A {" in rendered["keepalived"]
    for text in rendered.values():
        parsed = controller.task("config", state="parsed", running_config=text, **executable)["parsed"]
        assert parsed == config
    broken = controller.task("config", state="parsed", running_config="vrrp_instance A {", **executable)
    assert broken["failed"]


def test_the_collection_has_the_version_of_the_project() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    galaxy = yaml.safe_load((ROOT / "ansible_collection" / "galaxy.yml").read_text())
    assert galaxy["version"] == version
    assert (ROOT / "galaxy.yml").is_symlink()
    assert (ROOT / "galaxy.yml").resolve() == ROOT / "ansible_collection" / "galaxy.yml"


MODULES = sorted((ROOT / "ansible_collection" / "plugins" / "modules").glob("*.py"))


@pytest.mark.parametrize("file", MODULES, ids=[file.stem for file in MODULES])
def test_examples_say_what_the_module_takes(file: Path) -> None:
    """Every option of every example is one that the module documents, and what is required is there."""
    texts = dict(re.findall(r'^(DOCUMENTATION|EXAMPLES|RETURN) = r"""\n(.*?)"""', file.read_text(), re.S | re.M))
    documented = yaml.safe_load(texts["DOCUMENTATION"])["options"]
    shared = {"run_dir", "timeout", "executable"}
    examples = yaml.safe_load(texts["EXAMPLES"])
    own = [each[f"kactl.agent.{file.stem}"] or {} for each in examples if f"kactl.agent.{file.stem}" in each]
    assert own
    assert all(each["name"] for each in examples)
    for said in own:
        assert set(said) <= set(documented) | shared
        assert {name for name, option in documented.items() if option.get("required")} <= set(said)
    assert yaml.safe_load(texts["RETURN"])


def test_every_module_is_in_the_action_group_that_names_an_agent() -> None:
    runtime = yaml.safe_load((ROOT / "ansible_collection" / "meta" / "runtime.yml").read_text())
    speaking = {file.stem for file in MODULES if re.search("run_dir|agent_options", file.read_text())}
    assert set(runtime["action_groups"]["agent"]) == speaking


def live_inventory(tmp_path: Path, hosts: dict[str, Any], **statuses: Any) -> dict[str, str]:
    """An inventory, kactl.yml, of hosts that say this of themselves; the environment to use it in."""
    require_ansible()
    for host, said in statuses.items():
        (tmp_path / f"{host}.json").write_text(json.dumps(said))
    command = ["cat", f"{tmp_path}/{{host}}.json"]
    (tmp_path / "kactl.yml").write_text(json.dumps({"plugin": "kactl.agent.live", "hosts": hosts, "command": command}))
    folder = tmp_path / "controller"
    folder.mkdir()
    Controller(folder, {})
    return os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"), "ANSIBLE_NOCOLOR": "1"}


def test_the_live_inventory_groups_hosts_by_role(tmp_path: Path) -> None:
    statuses = {host: status(VI_1={"state": state}) for host, state in (("lb1", "MASTER"), ("lb2", "BACKUP"))}
    strange = {"vrrp": {"instances": ["VI_1"]}}
    hosts = {"lb1": {"rack": 1}, "lb2": None, "lb3": None, "lb4": None}
    environment = live_inventory(tmp_path, hosts, lb4=strange, **statuses)
    command = [str(BIN / "ansible-inventory"), "-i", str(tmp_path / "kactl.yml"), "--list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    groups = {name: said["hosts"] for name, said in found.items() if name.startswith("kactl_")}
    assert groups == {
        "kactl_master_VI_1": ["lb1"],
        "kactl_backup_VI_1": ["lb2"],
        "kactl_masters": ["lb1"],
        "kactl_others": ["lb2"],
        "kactl_unknown": ["lb3", "lb4"],
    }
    assert found["_meta"]["hostvars"]["lb1"]["rack"] == 1


def test_what_a_node_says_is_no_template_on_the_controller(tmp_path: Path) -> None:
    """ansible-core before 2.19 takes any text for one that is not marked (KACTL_FLEET_BIN says which is used)."""
    mark = tmp_path / "evaluated"
    evil = f"{{{{ lookup('pipe', 'touch {mark}') }}}}"
    said = {"state": "MASTER", "faults": [{"detail": evil}]}
    environment = live_inventory(tmp_path, {"lb1": {"ansible_connection": "local"}}, lb1=status(VI_1=said))
    show = {"ansible.builtin.debug": {"msg": "saw {{ kactl_status.vrrp.instances.VI_1.faults[0].detail }}"}}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [show]}]))
    command = [str(BIN / "ansible-playbook"), "-i", str(tmp_path / "kactl.yml"), str(tmp_path / "play.yml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert f"saw {evil}" in done.stdout, done.stdout + done.stderr
    assert not mark.exists()


@contextlib.contextmanager
def event_source(folder: Path, run_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """The plugin as a process, which prints transitions and keeps its cursor in the folder."""
    source = ROOT / "ansible_collection/extensions/eda/plugins/event_source/events.py"
    arguments = {
        "run_dir": str(run_dir),
        "cursor_file": str(folder / "cursor"),
        "types": ["transition"],
        "retry": 0.1,
    }
    environment = os.environ | {"KACTL_EVENTS_ARGS": json.dumps(arguments)}
    process = subprocess.Popen([sys.executable, str(source)], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_event(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    event: dict[str, Any] = json.loads(process.stdout.readline())
    return event


def test_the_event_source_goes_on_where_it_was(tmp_path: Path, run_dir: Path) -> None:
    service = FakeService(status())
    with serve(run_dir, service) as loop:

        def happens(number: int, kind: str = "transition") -> None:
            loop.call_soon_threadsafe(lambda: service.journal.append(kind, number, instance=f"VI_{number}"))

        with event_source(tmp_path, run_dir) as process:
            wait_for((tmp_path / "cursor").exists, 20, "the stream has begun")
            happens(1)
            happens(2, "reload")
            happens(3)
            assert [next_event(process)["instance"] for _ in range(2)] == ["VI_1", "VI_3"]
            wait_for(lambda: (tmp_path / "cursor").read_text() == service.journal.cursor, 20, "the cursor is kept")
        happens(4)
        with event_source(tmp_path, run_dir) as process:
            assert next_event(process)["instance"] == "VI_4"


def test_an_agent_that_refuses_for_now_loses_the_event_source_nothing(tmp_path: Path, run_dir: Path) -> None:
    (tmp_path / "cursor").write_text("abc-7")
    event = {"cursor": "abc-8", "type": "transition", "instance": "VI_1"}
    answers = [
        {"id": 1, "error": {"code": protocol.TOO_MANY_CLIENTS, "message": "64 clients are connected already"}},
        {"id": 1, "result": {"cursor": "abc-7", "gap": False}},
    ]
    asked = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, contextlib.ExitStack() as connections:
        listener.bind(str(run_dir / protocol.SOCKET_NAME))
        listener.listen()
        listener.settimeout(20)
        with event_source(tmp_path, run_dir) as process:
            for answer in answers:
                connection, _ = listener.accept()
                stream = connections.enter_context(connection.makefile("rw"))
                connection.close()
                asked.append(json.loads(stream.readline())["params"])
                stream.write(json.dumps(answer) + "\n")
                stream.flush()
                if "error" in answer:
                    connections.close()
            stream.write(json.dumps({"event": event}) + "\n")
            stream.flush()
            assert next_event(process) == event
    assert asked == [{"cursor": "abc-7"}] * 2


def test_the_event_source_says_so_when_its_cursor_is_anothers(tmp_path: Path, run_dir: Path) -> None:
    service = FakeService(status())
    (tmp_path / "cursor").write_text("never a cursor")
    with serve(run_dir, service) as loop, event_source(tmp_path, run_dir) as process:
        gap = next_event(process)
        assert (gap["type"], "is not a cursor" in gap["detail"]) == ("gap", True)
        wait_for(lambda: (tmp_path / "cursor").read_text() == service.journal.cursor, 20, "the stream has begun anew")
        loop.call_soon_threadsafe(lambda: service.journal.append("transition", 1, instance="VI_1"))
        assert next_event(process)["instance"] == "VI_1"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kactl_agent.config.diff import Side
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.notify.settings import FifoSettings, SupervisorNotify
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.loading import LoadOutcome, load
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.planning import side_of, summary, write_check_log

OLD = AgentConfiguration(revision="old", file="f")
OPTIONS = Options(config=Path("/etc/kactl/agent.yaml"))
NOT_COMPARED = {"revision", "file", "sources", "privileges", "startup"}
"""What says which one it is, what follows from other fields, and what an agent that runs has behind it."""


def test_all_there_is_of_a_configuration_is_compared() -> None:
    """Who adds a field says here where it is compared."""
    compared = {
        "vrrp", "sync_groups", "static", "firewall", "network", "tracking", "bfd", "checkers", "process", "vrrp_notify",
        "own_notify", "mail",
    }  # fmt: skip
    elsewhere = {"router_id", "track_scripts", "reload"}
    assert set(Side.__struct_fields__) == compared | {"others"}
    assert set(AgentConfiguration.__struct_fields__) == compared | elsewhere | NOT_COMPARED
    assert len(side_of(OLD).others) == len(elsewhere)


@pytest.mark.parametrize(
    "more",
    [
        {"router_id": "lb1"},
        {"own_notify": SupervisorNotify(fifos={"notify_fifo": FifoSettings("/run/x", 0, 0)})},
        {"process": msgspec.structs.replace(OLD.process, child_wait_time=1)},
        {"reload": msgspec.structs.replace(OLD.reload, marker="x")},
        {"checkers": msgspec.msgpack.encode(CheckersSettings(flush=True))},
    ],
)
def test_another_revision_never_has_no_change(more: dict[str, Any]) -> None:
    new = msgspec.structs.replace(OLD, revision="new", **more)
    found = summary(OLD, LoadOutcome(new, (), 0, 0), OPTIONS, with_document=True)
    document = json.loads(found.document)
    assert (found.impact, document["class"], len(document["changes"])) == ("hitless", "hitless", 1)
    assert found.lines[0].startswith("hitless: ")


def test_what_is_invalid_has_no_plan() -> None:
    outcome = LoadOutcome(None, ("f:1:1: error[x]: y",), 1, 0)
    document = json.loads(summary(OLD, outcome, OPTIONS, with_document=True).document)
    assert (document["valid"], document["class"], document["changes"]) == (False, None, [])
    assert (document["refused"], document["capabilities"]) == ("", [])
    assert document["report"] == ["f:1:1: error[x]: y"]


def test_the_same_is_no_op_and_many_changes_are_few_lines(tmp_path: Path) -> None:
    instances = {
        f"VI_{number}": {
            "interface": "eth0",
            "virtual_router_id": number,
            "virtual_ipaddress": [f"192.0.2.{number}/32"],
        }
        for number in range(1, 51)
    }
    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps({"vrrp_instance": instances}))
    outcome = load(Options(config=path))
    assert outcome.configuration is not None
    same = summary(outcome.configuration, outcome, OPTIONS, with_document=False)
    assert (same.impact, same.lines, same.document) == ("no-op", (), b"")
    found = summary(OLD, outcome, OPTIONS, with_document=True)
    assert len(found.lines) == 21
    assert found.lines[-1] == "and 30 changes more"
    assert len(json.loads(found.document)["changes"]) == 50


def test_findings_go_to_the_file_of_reload_check_config(tmp_path: Path) -> None:
    options = Options(config=Path("/etc/agent.yaml"), run_dir=tmp_path)
    write_check_log("check.log", options, ("one", "two"), valid=False)
    assert (tmp_path / "check.log").read_text() == "one\ntwo\n/etc/agent.yaml: invalid\n"
    assert (tmp_path / "check.log").stat().st_mode & 0o777 == 0o600
    write_check_log("", options, ("x",), valid=True)
    write_check_log("none/check.log", options, ("x",), valid=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["check.log"]

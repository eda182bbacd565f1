"""kactl status, events and reload against a real control server."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kactl.app import run
from kactl.commands.events import render as render_event
from kactl.commands.status import render
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.protocol import RELOAD_FAILED, ControlError
from support.control_agent import FakeService, serve

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def document(**instance: Any) -> dict[str, Any]:
    one = {
        "state": "MASTER",
        "since": (NOW - timedelta(minutes=3, seconds=5)).isoformat(),
        "interface": "eth0",
        "virtual_router_id": 51,
        "family": "ipv4",
        "version": 3,
        "priority": {"configured": 150, "effective": 150, "contributions": []},
        "master": "192.0.2.1",
        "virtual_ipaddress": ["192.0.2.10/24"],
        "faults": [],
        "statistics": {},
        "detail": "no advert heard for 3.609 s (master_down_interval)",
        **instance,
    }
    return {
        "schema_version": 1,
        "as_of": NOW.isoformat(),
        "agent": {
            "version": "0.1.0",
            "pid": 7,
            "uptime_s": 90061.0,
            "config_revision": "abcdef0123456789",
            "config_file": "/etc/kactl/agent.yaml",
        },
        "vrrp": {"instances": {"VI_1": one}, "sync_groups": {}},
        "ipvs": {"virtual_servers": []},
        "bfd": {"instances": {}},
    }


def call(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run(words, Environment(stdin=io.BytesIO(), stdout=out, stderr=err, variables={}))
    return code, out.getvalue(), err.getvalue()


def test_status_as_json_is_the_agents_document(tmp_path: Path) -> None:
    with serve(tmp_path, FakeService(document())):
        code, out, err = call("status", "--run-dir", str(tmp_path), "--output", "json")
    assert (code, err) == (ExitCode.FINE, "")
    assert json.loads(out) == document()


def test_status_says_who_is_master_since_when_and_why() -> None:
    lines = render(document(), NOW)
    assert lines[0] == "agent 0.1.0, pid 7, up 1 d 1 h, /etc/kactl/agent.yaml (revision abcdef012345)"
    assert lines[3].split("  ")[0] == "VI_1"
    assert "MASTER" in lines[3]
    assert "3 min 5 s ago" in lines[3]
    assert "192.0.2.1 " in lines[3]
    assert lines[4] == "VI_1: MASTER because no advert heard for 3.609 s (master_down_interval)"


def test_status_explains_an_effective_priority() -> None:
    priority = {"configured": 150, "effective": 130, "contributions": [{"name": "chk_web", "weight": -20}]}
    assert "130 (150 -20 chk_web)" in "\n".join(render(document(priority=priority), NOW))


def test_status_names_what_an_instance_waits_for() -> None:
    lines = render(document(state="INIT", waiting_for=["track_script chk"]), NOW)
    assert "VI_1: waits for track_script chk" in lines


def test_status_names_faults() -> None:
    lines = render(document(state="FAULT", faults=["interface eth0 is down"]), NOW)
    assert lines[-1] == "VI_1: fault: interface eth0 is down"


def test_status_shows_sync_groups_and_why_they_are_what_they_are() -> None:
    told = document()
    told["vrrp"]["sync_groups"] = {
        "VG": {"state": "FAULT", "members": ["VI_1", "VI_2"], "detail": "interface eth1 is down"},
        "OLD": {"state": "BACKUP", "members": ["VI_3"]},
    }
    assert render(told, NOW)[-2:] == [
        "sync group VG (VI_1, VI_2): FAULT because interface eth1 is down",
        "sync group OLD (VI_3): BACKUP",
    ]


def test_status_shows_virtual_servers_and_why_real_servers_are_down() -> None:
    told = document()
    down = {"type": "TCP_CHECK", "up": False, "last_result": "Connection refused"}
    told["ipvs"] = {
        "problems": ["no IPVS"],
        "virtual_servers": [
            {
                "name": "[192.0.2.10]:tcp:80", "quorum": 2, "quorum_up": False, "weight": 1, "lb_algo": "rr",
                "lb_kind": "NAT", "sorry_server": "[192.0.2.9]:tcp:80", "sorry_server_active": True,
                "suspended": False,
                "real_servers": [
                    {"address": "10.0.0.1", "port": 80, "alive": False, "weight": 1, "effective_weight": 1,
                     "checkers": [down, {"type": "MISC_CHECK", "up": True, "last_result": None}]},
                    {"address": "fd00::1", "port": 80, "alive": True, "weight": 3, "effective_weight": 1,
                     "checkers": []},
                ],
            }
        ],
    }  # fmt: skip
    lines = render(told, NOW)
    shown = lines[-4].split("  ")
    assert [word.strip() for word in shown if word.strip()] == [
        "[192.0.2.10]:tcp:80", "DOWN (2)", "1 of 2", "1", "rr", "NAT", "[192.0.2.9]:tcp:80 ACTIVE",
    ]  # fmt: skip
    assert lines[-3:] == [
        "IPVS: no IPVS",
        "[192.0.2.10]:tcp:80: 10.0.0.1:80 is down: TCP_CHECK: Connection refused",
        "[192.0.2.10]:tcp:80: [fd00::1]:80 has weight 1 instead of 3",
    ]


def test_an_event_of_a_sync_group_is_one_line_with_its_cause() -> None:
    event = {
        "time": "T", "type": "group_transition", "group": "VG", "old": "MASTER", "new": "FAULT",
        "detail": "interface eth1 is down",
    }  # fmt: skip
    assert render_event(event) == "T  sync group VG: MASTER -> FAULT: interface eth1 is down"


def test_status_that_is_old_says_so() -> None:
    assert not any(line.startswith("STALE") for line in render(document(), NOW + timedelta(seconds=5)))
    assert any(line.startswith("STALE") for line in render(document(), NOW + timedelta(seconds=30)))


def test_status_of_a_worker_not_heard_of_makes_nothing_up() -> None:
    lines = render(document(state="INIT", since=None, master=None, detail=""), NOW)
    assert lines[-1].split()[:4] == ["VI_1", "INIT", "-", "150"]


@pytest.mark.parametrize("command", [["status"], ["events"], ["reload"]])
def test_no_agent_is_exit_4(tmp_path: Path, command: list[str]) -> None:
    code, out, err = call(*command, "--run-dir", str(tmp_path))
    assert (code, out) == (ExitCode.UNREACHABLE, "")
    assert "no agent answers" in err
    assert "hint:" in err


def test_run_dir_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KACTL_RUN_DIR", str(tmp_path))
    with serve(tmp_path, FakeService(document())):
        assert call("status")[0] == ExitCode.FINE


def transition(service: FakeService) -> None:
    at = int(NOW.timestamp() * 1e9)
    service.journal.append(
        "transition", at, instance="VI_1", old="BACKUP", new="MASTER", cause="x", detail="no advert heard"
    )


def test_events_are_lines_with_their_cause(tmp_path: Path) -> None:
    service = FakeService(document())
    transition(service)
    with serve(tmp_path, service):
        code, out, _ = call("events", "--run-dir", str(tmp_path))
        assert (code, out) == (ExitCode.FINE, "2026-01-01T12:00:00.000Z  VI_1: BACKUP -> MASTER: no advert heard\n")
        _, out, _ = call("events", "--run-dir", str(tmp_path), "--output", "json")
        cursor = json.loads(out)["cursor"]
        assert call("events", "--run-dir", str(tmp_path), "--cursor", cursor)[1] == ""


def test_a_lost_beginning_is_said(tmp_path: Path) -> None:
    service = FakeService(document())
    transition(service)
    with serve(tmp_path, service):
        _, _, err = call("events", "--run-dir", str(tmp_path), "--cursor", "other-5")
    assert "no longer kept" in err


def test_reload_says_what_changed(tmp_path: Path) -> None:
    service = FakeService(document())
    changes = {"removed": ["A"], "changed": [], "added": ["B", "C"], "unchanged": 0}
    service.outcome = {"revision": "f" * 64, "changes": changes, "message": ""}
    with serve(tmp_path, service):
        code, out, _ = call("reload", "--run-dir", str(tmp_path))
    assert (code, service.reloads) == (ExitCode.FINE, 1)
    assert out.splitlines() == ["reloaded: revision ffffffffffff", "removed: A", "added: B, C"]


def test_a_refused_reload_says_why_and_fails(tmp_path: Path) -> None:
    service = FakeService(document())
    service.outcome = ControlError(RELOAD_FAILED, "agent.yaml:3:5: error[value]: 300 is outside 1..255")
    with serve(tmp_path, service):
        code, out, err = call("reload", "--run-dir", str(tmp_path))
    assert (code, out) == (ExitCode.FAILED, "")
    assert "agent.yaml:3:5" in err


def test_an_event_of_a_priority_says_what_moved_it() -> None:
    event = {
        "time": "T", "type": "priority", "instance": "VI_1", "state": "MASTER", "priority": 80,
        "detail": "effective priority 100 -> 80 (track_script chk: -20)",
    }  # fmt: skip
    assert render_event(event) == "T  VI_1 (MASTER): effective priority 100 -> 80 (track_script chk: -20)"


def test_a_configuration_on_trial_is_seen_in_the_status() -> None:
    said = document()
    said["agent"]["pending_confirmation"] = {
        "revision": "abcdef012345", "previous_revision": "fedcba543210",
        "until": (NOW + timedelta(seconds=42)).isoformat(),
    }  # fmt: skip
    assert render(said, NOW)[1] == (
        "ON TRIAL: unless `kactl confirm` comes within 42 s the agent goes back to revision fedcba543210"
    )
    said["agent"]["pending_confirmation"] = None
    assert "ON TRIAL" not in "\n".join(render(said, NOW))


def test_a_reload_is_one_line_of_the_events() -> None:
    event = {"cursor": "c", "time": "t", "type": "reload", "ok": True, "revision": "abc", "changes": {"changed": ["A"]},
             "message": "changed A; the file before is f", "class": "brief"}  # fmt: skip
    assert render_event(event) == "t  reload: configuration abc (brief): changed A; the file before is f"
    failed = event | {"ok": False, "message": "the configuration is invalid, the old one stays in force:\nf:1:1: error"}
    assert render_event(failed) == "t  reload: failed: the configuration is invalid, the old one stays in force:"

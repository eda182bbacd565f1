"""kactl plan, confirm, rollback and reload of a file, against a control server, and plans of two files without one."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.protocol import (
    ANSWER_SECONDS,
    CONFIGURATION_INVALID,
    CONFIRM_FAILED,
    INTERNAL,
    RELOAD_FAILED,
    ControlError,
)
from support.control_agent import FakeService, serve

OLD = (
    "vrrp_instance: {VI_1: {interface: eth0, virtual_router_id: 51, priority: 100, virtual_ipaddress: [192.0.2.10/24]}}"
)
BRIEF = {
    "subject": "vrrp_instance VI_1", "class": "brief", "text": "priority 100 -> 150", "addresses": ["192.0.2.10/24"],
    "peer_incompatible": False, "peers": "",
}  # fmt: skip
LOUD = BRIEF | {"class": "hitless", "text": "version 3 -> 2", "peer_incompatible": True, "peers": "they drop adverts"}


def document(*changes: dict[str, Any], valid: bool = True, worst: str = "brief") -> dict[str, Any]:
    return {
        "schema_version": 1, "valid": valid, "class": worst if valid else None, "changes": list(changes), "left_out": 0,
        "revision": {"current": "a", "new": "b"}, "report": [] if valid else ["new.yaml:1:1: error[x]: y"],
        "peer_incompatible": any(change["peer_incompatible"] for change in changes), "errors": 0, "warnings": 0,
        "refused": "", "capabilities": ["CAP_KILL"],
    }  # fmt: skip


def call(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run(words, Environment(stdin=io.BytesIO(), stdout=out, stderr=err, variables={}))
    return code, out.getvalue(), err.getvalue()


class Service(FakeService):
    def __init__(self, **outcomes: Any) -> None:
        super().__init__({})
        self.outcomes = outcomes
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @property
    def methods(self) -> dict[str, Any]:
        def method(name: str) -> Any:
            def called(parameters: Any, answer: Any) -> None:
                self.asked.append((name, dict(parameters._values)))
                answer(self.outcomes[name])

            return called

        return {name: method(name) for name in self.outcomes}


def test_a_plan_of_the_running_agent(tmp_path: Path) -> None:
    service = Service(plan=document(BRIEF, LOUD))
    with serve(tmp_path, service):
        code, out, err = call("plan", str(tmp_path / "new.yaml"), "--run-dir", str(tmp_path))
    assert service.asked == [("plan", {"file": str(tmp_path / "new.yaml")})]
    assert (code, err) == (ExitCode.FINE, "")
    assert out.splitlines() == [
        "CLASS    WHAT                CHANGE               ADDRESSES",
        "brief    vrrp_instance VI_1  priority 100 -> 150  192.0.2.10/24",
        "hitless  vrrp_instance VI_1  version 3 -> 2       192.0.2.10/24",
        "peer-incompatible: vrrp_instance VI_1: version 3 -> 2: they drop adverts",
        "altogether: brief",
    ]


def test_a_plan_of_what_the_agent_was_not_granted(tmp_path: Path) -> None:
    service = Service(plan=document(BRIEF) | {"refused": "VRRP needs CAP_NET_RAW: grant it"})
    with serve(tmp_path, service):
        code, out, err = call("plan", "new.yaml", "--run-dir", str(tmp_path))
    assert code == ExitCode.FAILED
    assert err == "new.yaml: a reload would be refused: VRRP needs CAP_NET_RAW: grant it\n"
    assert "altogether: brief" in out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), ExitCode.FINE),
        (("--fail-on", "disruptive"), ExitCode.FINE),
        (("--fail-on", "brief"), ExitCode.FAILED),
        (("--fail-on", "hitless"), ExitCode.FAILED),
        (("--fail-on", "peer-incompatible"), ExitCode.FAILED),
        (("--fail-on", "disruptive", "--fail-on", "peer-incompatible"), ExitCode.FAILED),
    ],
)
def test_a_pipeline_decides_what_is_too_much(tmp_path: Path, options: tuple[str, ...], code: ExitCode) -> None:
    with serve(tmp_path, Service(plan=document(BRIEF, LOUD))):
        assert call("plan", "new.yaml", "--run-dir", str(tmp_path), "--output", "json", *options)[0] == code


def test_a_plan_of_what_is_invalid(tmp_path: Path) -> None:
    with serve(tmp_path, Service(plan=document(valid=False))):
        code, out, err = call("plan", "new.yaml", "--run-dir", str(tmp_path))
    assert (code, out) == (ExitCode.INVALID, "")
    assert err.splitlines() == ["new.yaml:1:1: error[x]: y", "new.yaml: invalid: a reload would be refused"]


def test_without_an_agent_two_files_are_compared(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(OLD)
    new.write_text(OLD.replace("100", "150"))
    code, out, _err = call("plan", str(new), "--against", str(old), "--output", "json")
    found = json.loads(out)
    assert (code, found["class"], found["valid"]) == (ExitCode.FINE, "brief", True)
    assert [(change["subject"], change["class"]) for change in found["changes"]] == [("vrrp_instance VI_1", "brief")]
    code, out, _err = call("plan", str(old), "--against", str(old))
    assert (code, out) == (ExitCode.FINE, "no-op: the configuration means what is in force\n")
    new.write_text("vrrp_instance: {VI_1: {interfac: eth0}}")
    code, out, err = call("plan", str(new), "--against", str(old))
    assert (code, out) == (ExitCode.INVALID, "")
    assert "new.yaml:1:24: error[" in err


def test_a_file_to_take_its_place_is_named_absolutely(tmp_path: Path) -> None:
    outcome = {
        "revision": "f" * 12, "changes": None, "message": "", "class": "brief",
        "notes": ["the file before is /etc/kactl/agent.yaml.previous"], "workers": {"bfd": {"changed": ["b1"]}},
    }  # fmt: skip
    confirmed = {"revision": "f" * 12, "confirmed": True, "message": "it stays"}
    service = Service(reload=outcome, rollback=outcome | {"rolled_back": True}, confirm=confirmed)
    with serve(tmp_path, service):
        code, out, _err = call("reload", "new.yaml", "--confirm", "2min", "--run-dir", str(tmp_path))
        assert code == ExitCode.FINE
        assert out.splitlines() == [
            "reloaded: revision ffffffffffff (brief)",
            "bfd changed: b1",
            "the file before is /etc/kactl/agent.yaml.previous",
        ]
        assert call("confirm", "--run-dir", str(tmp_path))[1] == "confirmed: revision ffffffffffff\n"
        assert call("rollback", "--run-dir", str(tmp_path))[1].startswith("rolled back: revision ffffffffffff")
    assert service.asked[0] == ("reload", {"confirm_s": 120, "file": str(Path("new.yaml").absolute())})


def test_one_revision_and_no_other_is_confirmed_or_rolled_back(tmp_path: Path) -> None:
    outcome = {"revision": "f" * 12, "changes": None, "message": "configuration a is not in force", "class": ""}
    confirmed = {"revision": "a", "confirmed": False, "message": "configuration a is in force already, and stays"}
    service = Service(rollback=outcome | {"rolled_back": False}, confirm=confirmed)
    with serve(tmp_path, service):
        for command, text in (("confirm", confirmed["message"]), ("rollback", outcome["message"])):
            assert call(command, "--revision", "a", "--run-dir", str(tmp_path)) == (ExitCode.FINE, f"{text}\n", "")
        code, out, _err = call("rollback", "--revision", "a", "--output", "json", "--run-dir", str(tmp_path))
    assert (code, json.loads(out)["rolled_back"]) == (ExitCode.FINE, False)
    assert service.asked == [
        ("confirm", {"revision": "a"}),
        ("rollback", {"revision": "a"}),
        ("rollback", {"revision": "a"}),
    ]


@pytest.mark.parametrize(
    ("code", "exits"), [(CONFIGURATION_INVALID, ExitCode.INVALID), (RELOAD_FAILED, ExitCode.FAILED)]
)
def test_what_is_wrong_with_the_file_is_not_what_else_may_go_wrong(tmp_path: Path, code: str, exits: ExitCode) -> None:
    with serve(tmp_path, Service(reload=ControlError(code, "no"))):
        assert call("reload", "--run-dir", str(tmp_path)) == (exits, "", "kactl: no\n")


def test_a_name_that_is_no_utf_8_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    service = Service(reload={}, plan={})
    with serve(tmp_path, service):
        for command in ("reload", "plan"):
            code, out, err = call(command, "/caf\udce9.yaml", "--run-dir", str(tmp_path))
            text = "kactl: file '/caf\\udce9.yaml' holds bytes that are no UTF-8: use another name\n"
            assert (code, out, err) == (ExitCode.FAILED, "", text)
    assert service.asked == []


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("reload", ["reload"]), ("rollback", ["rollback"]), ("confirm", ["confirm"]), ("plan", ["plan", "x.yaml"]),
        ("drain", ["drain", "VI_1"]), ("undrain", ["undrain", "VI_1"]), ("why", ["why", "VI_1"]),
        ("check_run", ["check-run", "192.0.2.10:80", "10.0.0.1:80"]), ("dump", ["dump", "json"]),
    ],
)  # fmt: skip
def test_the_agent_gives_up_first_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, words: list[str]
) -> None:
    """Whoever hangs up at the same moment learns nothing of the outcome."""
    patience: list[float] = []
    set_timeout = socket.socket.settimeout

    def look(self: socket.socket, seconds: float | None) -> None:
        if seconds:
            patience.append(seconds)
        set_timeout(self, seconds)

    with serve(tmp_path, Service(**{method: ControlError(INTERNAL, f"no outcome of {method} within 60 s")})):
        monkeypatch.setattr(socket.socket, "settimeout", look)
        code, _out, err = call(*words, "--run-dir", str(tmp_path))
    assert (code, err) == (ExitCode.FAILED, f"kactl: no outcome of {method} within 60 s\n")
    assert min(patience) >= ANSWER_SECONDS + 10


def test_nothing_to_confirm(tmp_path: Path) -> None:
    with serve(tmp_path, Service(confirm=ControlError(CONFIRM_FAILED, "nothing waits to be confirmed"))):
        assert call("confirm", "--run-dir", str(tmp_path))[::2] == (
            ExitCode.FAILED,
            "kactl: nothing waits to be confirmed\n",
        )


@pytest.mark.parametrize("command", [["plan", "x.yaml"], ["confirm"], ["rollback"], ["reload", "x.yaml"]])
def test_no_agent(tmp_path: Path, command: list[str]) -> None:
    assert call(*command, "--run-dir", str(tmp_path))[0] == ExitCode.UNREACHABLE


@pytest.mark.parametrize("time", ["0s", "soon", "-1"])
def test_times_that_are_none(tmp_path: Path, time: str) -> None:
    assert call("reload", "--confirm", time, "--run-dir", str(tmp_path))[0] == ExitCode.USAGE

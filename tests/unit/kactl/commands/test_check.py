"""kactl check: YAML and keepalived.conf, everything at once."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode

GOOD = "vrrp_instance: {A: {interface: eth0, virtual_router_id: 1, virtual_ipaddress: [192.0.2.1]}}\n"
BAD = "vrrp_instance:\n  A: {intrface: eth0, virtual_router_id: 1}\nvrrp_script: {a: {script: x, rise: many}}\n"
CONF = "vrrp_instance A {\n  interface eth0\n  virtual_router_id 1\n  virtual_ipaddress {\n    192.0.2.1\n  }\n}\n"


def check(*arguments: str | Path, stdin: bytes = b"", **variables: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run(["check", *map(str, arguments)], Environment(io.BytesIO(stdin), out, err, variables))
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "keepalived.conf").write_text(CONF)
    (tmp_path / "broken.conf").write_text(CONF[:-2])
    return tmp_path


def test_a_good_file(folder: Path) -> None:
    assert check(folder / "good.yaml") == (ExitCode.FINE, "", f"{folder}/good.yaml: valid\n")


def test_all_faults_of_all_files(folder: Path) -> None:
    code, out, err = check(folder / "bad.yaml", folder / "good.yaml", folder / "broken.conf", folder / "none.yaml")
    assert code == ExitCode.INVALID
    assert out == ""
    assert f"{folder}/bad.yaml:2:7: error[unknown-keyword]" in err
    assert f"{folder}/bad.yaml:3:36: error[bad-value]" in err
    assert "did you mean `interface`?" in err
    assert f"{folder}/good.yaml: valid" in err
    assert f"{folder}/broken.conf:1:" in err
    assert f"{folder}/none.yaml: error[unreadable]" in err


def test_keepalived_conf_is_known_by_its_content(folder: Path) -> None:
    assert check(folder / "keepalived.conf")[0] == ExitCode.FINE
    assert check("-", stdin=CONF.encode())[0] == ExitCode.FINE
    assert check("-", stdin=GOOD.encode())[0] == ExitCode.FINE
    assert "<stdin>:2:7: error[unknown-keyword]" in check("-", stdin=BAD.encode())[2]


def test_json(folder: Path) -> None:
    code, out, err = check("--output", "json", folder / "bad.yaml", folder / "good.yaml")
    found = json.loads(out)
    assert (code, err) == (ExitCode.INVALID, "")
    assert (found["schema_version"], found["valid"], found["errors"]) == (1, False, 2)
    assert found["diagnostics"][0] | {"message": "", "hint": ""} == {
        "severity": "error",
        "code": "unknown-keyword",
        "message": "",
        "hint": "",
        "effect": "",
        "file": f"{folder}/bad.yaml",
        "line": 2,
        "column": 7,
        "length": 8,
    }


def test_github(folder: Path) -> None:
    code, out, _ = check("--output", "github", folder / "bad.yaml")
    assert code == ExitCode.INVALID
    assert out.startswith(f"::error file={folder}/bad.yaml,line=2,col=7,endColumn=15,title=unknown-keyword::")


def test_strict_counts_warnings(folder: Path) -> None:
    path = folder / "warned.yaml"
    path.write_text(GOOD.replace("[192.0.2.1]", "[192.0.2.1, 192.0.2.1]"))
    assert check(path)[0] == ExitCode.FINE
    assert "warning[" in check(path)[2]
    assert check("--strict", path)[0] == ExitCode.INVALID


def test_secrets_are_fetched_unless_told_otherwise(folder: Path) -> None:
    path = folder / "secret.yaml"
    path.write_text(GOOD.replace("interface:", "authentication: {auth_type: PASS, auth_pass: {env: PASS}}, interface:"))
    assert check(path)[0] == ExitCode.INVALID
    assert check(path, PASS="hunter2")[0] == ExitCode.FINE
    assert check("--no-secrets", path)[0] == ExitCode.FINE


def test_no_secret_is_shown(folder: Path) -> None:
    path = folder / "secret.yaml"
    path.write_text("vrrp_instance: {A: {authentication: {auth_type: PASS, auth_pass: hunter-the-second}}}\n")
    for form in ("text", "json", "github"):
        code, out, err = check("--output", form, path)
        assert code == ExitCode.INVALID
        assert "hunter" not in out + err


def test_a_short_secret_hides_no_other_text(folder: Path) -> None:
    path = folder / "short.conf"
    path.write_text(
        "vrrp_instance V {\n interface eth42\n virtual_router_id 42\n priority 420\n authentication {\n"
        "  auth_type PASS\n  auth_pass 42 43\n }\n}\n"
    )
    err = check(path)[2]
    assert " priority 420\n" in err
    assert " auth_pass *****\n" in err


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\x02\xff\xfe",
        b"\xff\xfe" + "vrrp_instance: {}".encode("utf-16-le"),
        b"vrrp_instance: {A: {interface: \xff}}",
        b"[" * 40_000,
        b"vrrp_instance A {" * 5_000,
        b"vrrp_instance:\n\tA: {}\n",
        b'vrrp_instance A {\n  interface "eth0\n}\n',
        b"vrrp_instance A {\r\n  interface eth0\r\n",
        b"x" * 10_000_000,
        b"vrrp_instance:\n  A:\n    interface: eth0\n    virtual_router_id",
    ],
    ids=lambda data: repr(data[:24]),
)
@pytest.mark.parametrize("name", ["input", "input.yaml"])
def test_bad_input_is_an_error_and_never_a_crash(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    code, out, err = check(path)
    assert (code, out) == (ExitCode.INVALID, "")
    assert f"{path}: invalid" in err
    assert "error[" in err


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "none" / "none"):
        code, _, err = check(path)
        assert code == ExitCode.INVALID
        assert f"{path}: error[unreadable]: cannot be read:" in err


def test_what_the_agent_does_not_act_on_is_said_of_its_yaml_alone(folder: Path) -> None:
    (folder / "more.yaml").write_text(GOOD + "global_defs: {enable_dbus: true}\n")
    code, _, err = check(folder / "more.yaml")
    assert code == ExitCode.FINE
    assert "warning[not-served]: enable_dbus is not served by this version of the agent" in err
    (folder / "keepalived.conf").write_text("global_defs {\n  enable_dbus\n}\n" + CONF)
    assert "not-served" not in check(folder / "keepalived.conf")[2]


def test_the_config_id_chooses_the_lines_as_in_convert(folder: Path) -> None:
    (folder / "keepalived.conf").write_text("@lb1 nonsense\n" + CONF)
    assert "unknown-keyword" in check(folder / "keepalived.conf", "--id", "lb1")[2]
    assert "unknown-keyword" not in check(folder / "keepalived.conf", "--id", "lb2")[2]

"""kactl config: a configuration as data, and changed with its comments kept."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode

BEFORE = """\
# the pair at the edge
vrrp_instance:
  VI_1:            # the first
    interface: eth0
    virtual_router_id: 51
    priority: 100    # the higher one wins
    virtual_ipaddress:
      - 192.0.2.1/24
      # for mail
      - {address: 192.0.2.9/24, dev: eth1}
  VI_2: {interface: eth0, virtual_router_id: 52, virtual_ipaddress: [192.0.2.77]}
virtual_server:
  - address: 192.0.2.1
    port: 80
    protocol: TCP
    lb_algo: rr
    lb_kind: NAT
    real_server:
      - {address: 10.0.0.1, port: 80, weight: 1, TCP_CHECK: {connect_timeout: 3}}
      - {address: 10.0.0.2, port: 80, weight: 1, TCP_CHECK: {connect_timeout: 3}}
"""


def config(*arguments: str | Path, change: Any = None) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    stdin = io.BytesIO(json.dumps(change).encode() if not isinstance(change, bytes) else change)
    code = run(["config", *map(str, arguments)], Environment(stdin, out, err, {}))
    return code, out.getvalue(), err.getvalue()


def edited(file: Path, state: str, change: Any) -> str:
    code, out, err = config("edit", file, "--state", state, change=change)
    assert code == ExitCode.FINE, err
    assert file.read_text() == BEFORE  # nothing is written unasked
    return out


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(BEFORE)
    path.chmod(0o640)
    return path


def test_merged_adds_and_keeps_comments(file: Path) -> None:
    change = {
        "vrrp_instance": {"VI_1": {"priority": 150, "virtual_ipaddress": ["192.0.2.2/24", "192.0.2.1/24"]}},
        "virtual_server": [
            {"address": "192.0.2.1", "port": "80", "real_server": [{"address": "10.0.0.2", "port": 80, "weight": 5}]}
        ],
    }
    result = edited(file, "merged", change)
    expected = BEFORE.replace("priority: 100 ", "priority: 150 ")
    expected = expected.replace("dev: eth1}\n", "dev: eth1}\n      - 192.0.2.2/24\n")
    expected = expected.replace("10.0.0.2, port: 80, weight: 1", "10.0.0.2, port: 80, weight: 5")
    assert result == expected


def test_a_short_form_is_spelled_out_where_it_gets_an_option(file: Path) -> None:
    change = {"vrrp_instance": {"VI_1": {"virtual_ipaddress": [{"address": "192.0.2.1/24", "label": "eth0:1"}]}}}
    assert '- {address: 192.0.2.1/24, label: "eth0:1"}' in edited(file, "merged", change)


def test_protocols_make_two_virtual_servers_of_one_address(file: Path) -> None:
    change = {"virtual_server": [{"address": "192.0.2.1", "port": 80, "protocol": "UDP", "lb_algo": "rr"}]}
    assert edited(file, "merged", change).count("address: 192.0.2.1") == 2


def test_replaced_leaves_other_items_alone(file: Path) -> None:
    change = {
        "vrrp_instance": {"VI_2": {"interface": "eth1", "virtual_router_id": 52, "virtual_ipaddress": ["192.0.2.7"]}}
    }
    result = edited(file, "replaced", change)
    assert "VI_2: {interface: eth1, virtual_router_id: 52, virtual_ipaddress: [192.0.2.7]}" in result
    assert result.startswith(BEFORE[: BEFORE.index("  VI_2")])


def test_overridden_is_what_the_change_says(file: Path) -> None:
    change = {
        "vrrp_instance": {"VI_1": {"interface": "eth0", "virtual_router_id": 51, "virtual_ipaddress": ["192.0.2.1/24"]}}
    }
    assert edited(file, "overridden", change) == (
        "# the pair at the edge\n"
        "vrrp_instance:\n"
        "  VI_1:            # the first\n"
        "    interface: eth0\n"
        "    virtual_router_id: 51\n"
        "    virtual_ipaddress:\n"
        "      - 192.0.2.1/24\n"
    )


def test_deleted_takes_items_and_leaves(file: Path) -> None:
    change = {
        "vrrp_instance": {"VI_1": {"priority": 0, "virtual_ipaddress": ["192.0.2.9/24"]}, "VI_2": {}},
        "virtual_server": [{"address": "192.0.2.1", "port": 80, "real_server": [{"address": "10.0.0.1", "port": 80}]}],
    }
    result = edited(file, "deleted", change)
    for gone in ("priority", "192.0.2.9", "VI_2", "10.0.0.1,"):
        assert gone not in result
    assert "10.0.0.2" in result
    assert "192.0.2.1/24" in result


def test_a_change_that_changes_nothing_leaves_every_byte(file: Path) -> None:
    file.write_text(BEFORE.replace("[192.0.2.77]", "[  192.0.2.77  ]"))
    odd = file.read_text()
    code, out, _err = config(
        "edit", file, "--state", "merged", "--write", "--output", "json",
        change={"vrrp_instance": {"VI_1": {"priority": "100"}}},
    )  # fmt: skip
    assert code == ExitCode.FINE
    assert json.loads(out)["changed"] is False
    assert file.read_text() == odd


def test_writing_keeps_mode_and_a_backup(file: Path) -> None:
    code, out, _err = config(
        "edit", file, "--state", "merged", "--write", "--backup", "--output", "json",
        change={"vrrp_instance": {"VI_1": {"authentication": {"auth_type": "PASS", "auth_pass": "1111"}}}},
    )  # fmt: skip
    assert code == ExitCode.FINE
    report = json.loads(out)
    assert report["changed"] is True
    assert report["written"] is True
    assert Path(report["backup"]).read_text() == BEFORE
    assert Path(report["backup"]).stat().st_mode & 0o777 == 0o640
    assert file.stat().st_mode & 0o777 == 0o640
    assert 'auth_pass: "1111"' in file.read_text()
    assert "1111" not in report["after"]


def test_an_invalid_result_is_never_written(file: Path) -> None:
    code, out, err = config(
        "edit", file, "--state", "merged", "--write", "--output", "json",
        change={"vrrp_instance": {"VI_1": {"priority": 300}}},
    )  # fmt: skip
    assert code == ExitCode.INVALID
    assert "bad-value" in err
    report = json.loads(out)
    assert (report["valid"], report["written"]) == (False, False)
    assert file.read_text() == BEFORE


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    change = {"vrrp_instance": {"A": {"interface": "eth0", "virtual_router_id": 1, "virtual_ipaddress": ["192.0.2.1"]}}}
    code, _out, err = config("edit", file, "--state", "replaced", "--write", change=change)
    assert code == ExitCode.FINE, err
    assert file.stat().st_mode & 0o777 == 0o600
    assert (
        json.loads(config("show", file, "--output", "json")[1])["config"]["vrrp_instance"]["A"]["interface"] == "eth0"
    )


@pytest.mark.parametrize("change", [b"- a\n- b\n", b"{", b"\xff", b"42"])
def test_what_is_no_change_is_refused(file: Path, change: bytes) -> None:
    code, out, err = config("edit", file, "--state", "merged", "--write", change=change)
    assert (code, out) == (ExitCode.INVALID, "")
    assert "error[" in err
    assert file.read_text() == BEFORE


def test_deleting_nothing_is_refused(file: Path) -> None:
    assert config("edit", file, "--state", "deleted", change={})[0] == ExitCode.INVALID


def test_show_is_yaml_or_data(file: Path) -> None:
    code, out, _err = config("show", file)
    assert code == ExitCode.FINE
    assert "virtual_router_id: 51" in out
    assert config("show", file.parent / "none.yaml")[0] == ExitCode.INVALID

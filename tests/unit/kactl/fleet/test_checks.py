"""kactl check --fleet: what only several configurations together show."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode

KEY = "hex:" + "11" * 32
OTHER = "hex:" + "22" * 32


def fleet(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    out, err = io.StringIO(), io.StringIO()
    code = run(
        ["check", "--fleet", str(folder), "--output", "json", *arguments], Environment(io.BytesIO(), out, err, {})
    )
    found = json.loads(out.getvalue())["diagnostics"] if out.getvalue() else []
    return code, [each for each in found if each["code"].startswith("fleet-")], err.getvalue()


def instance(**keywords: Any) -> dict[str, Any]:
    return {
        "interface": "eth0",
        "virtual_router_id": 51,
        "priority": 100,
        "virtual_ipaddress": ["192.0.2.1/24"],
        **keywords,
    }


def write(folder: Path, **hosts: dict[str, Any]) -> Path:
    for host, config in hosts.items():
        (folder / f"{host}.yaml").write_text(json.dumps(config, indent=1))
    return folder


def pair(folder: Path, one: dict[str, Any], two: dict[str, Any]) -> list[dict[str, Any]]:
    """What is found of two hosts with one instance each, which the second prefers less."""
    first, second = instance(**({"priority": 150} | one)), instance(**two)
    write(folder, lb1={"vrrp_instance": {"VI_1": first}}, lb2={"vrrp_instance": {"VI_1": second}})
    return fleet(folder)[1]


def hmac(active: int = 1, mode: str = "enforce", keys: tuple[tuple[int, str], ...] = ((1, KEY),)) -> dict[str, Any]:
    listed = [{"id": number, "key": key} for number, key in keys]
    return {"version": 3, "auth_hmac": {"key": listed, "active_key": active, "mode": mode}}


def unicast(source: str, *peers: str) -> dict[str, Any]:
    return {"unicast_src_ip": source, "unicast_peer": list(peers)}


def test_a_pair_that_agrees(tmp_path: Path) -> None:
    password = {"authentication": {"auth_type": "PASS", "auth_pass": "1111"}}
    assert pair(tmp_path, unicast("10.0.0.1", "10.0.0.2") | password, unicast("10.0.0.2", "10.0.0.1") | password) == []


PASS = {"authentication": {"auth_type": "PASS", "auth_pass": "secret1"}}


@pytest.mark.parametrize(
    ("one", "two", "code", "severity"),
    [
        ({"version": 3}, {"version": 2}, "fleet-version", "error"),
        ({}, {"virtual_router_id": 52}, "fleet-two-routers", "error"),
        ({}, {"virtual_ipaddress": ["192.0.2.1/24", "192.0.2.2/24"]}, "fleet-addresses", "error"),
        ({"advert_int": 1}, {"advert_int": 2}, "fleet-advert-interval", "error"),
        ({"advert_int": 1, "version": 3}, {"advert_int": 2, "version": 3}, "fleet-advert-interval", "warning"),
        ({"version": 3, "v3_checksum_as_v2": True}, {"version": 3}, "fleet-checksum", "warning"),
        (PASS, {}, "fleet-authentication", "error"),
        (PASS, {"authentication": {"auth_type": "PASS", "auth_pass": "secret2"}}, "fleet-authentication", "error"),
        (PASS, {"authentication": {"auth_type": "AH", "auth_pass": "secret1"}}, "fleet-authentication", "error"),
        ({"version": 3}, hmac(), "fleet-auth-hmac", "error"),
        (hmac(2, keys=((1, KEY), (2, OTHER))), hmac(), "fleet-auth-hmac-key", "error"),
        (hmac(keys=((1, OTHER),)), hmac(), "fleet-auth-hmac-key", "error"),
        ({"priority": 255, "state": "MASTER"}, {"priority": 255, "state": "MASTER"}, "fleet-two-owners", "error"),
        ({"priority": 100}, {}, "fleet-equal-priority", "warning"),
        (unicast("10.0.0.1", "10.0.0.2"), {}, "fleet-unicast", "error"),
        (unicast("10.0.0.1", "10.0.0.2"), unicast("10.0.0.2", "10.0.0.9"), "fleet-unicast-peer", "error"),
        (
            {"advert_int": "200ms", "version": 3},
            {"advert_int": "200ms", "version": 3},
            "fleet-sub-second-preempt",
            "warning",
        ),
    ],
)
def test_what_two_hosts_disagree_about(
    tmp_path: Path, one: dict[str, Any], two: dict[str, Any], code: str, severity: str
) -> None:
    found = pair(tmp_path, one, two)
    assert {each["code"] for each in found} == {code}
    assert found[0]["severity"] == severity
    for host in ("lb1", "lb2"):  # both, each with its line
        assert f"{host}: {tmp_path}/{host}.yaml:" in found[0]["message"]
    assert not re.search("secret[12]", json.dumps(found))
    assert fleet(tmp_path)[0] == (ExitCode.INVALID if severity == "error" else ExitCode.FINE)


@pytest.mark.parametrize("mode", ["receive-only", "permissive"])
def test_signing_may_be_introduced_host_by_host(tmp_path: Path, mode: str) -> None:
    assert pair(tmp_path, {"version": 3}, hmac(mode=mode)) == []


@pytest.mark.parametrize("slower", [{"nopreempt": True}, {"preempt_delay": 5}, {"down_timer_adverts": 10}])
def test_short_intervals_that_bear_a_pause(tmp_path: Path, slower: dict[str, Any]) -> None:
    quick = {"advert_int": "200ms", "version": 3, **slower}
    assert [each for each in pair(tmp_path, quick, quick) if each["code"] == "fleet-sub-second-preempt"] == []


def test_one_vrid_for_different_addresses_of_a_segment(tmp_path: Path) -> None:
    write(
        tmp_path,
        a={"vrrp_instance": {"WEB": instance()}},
        b={"vrrp_instance": {"MAIL": instance(virtual_ipaddress=["192.0.2.99/24"])}},
        c={"vrrp_instance": {"NEWS": instance(virtual_ipaddress=["192.0.2.98/24"], interface="eth7")}},
    )
    code, found, _err = fleet(tmp_path)
    assert code == ExitCode.INVALID
    assert [each["code"] for each in found] == ["fleet-vrid-clash"]  # eth7 is another segment as far as is known
    assert "WEB of a and MAIL of b" in found[0]["message"]


def named(vip: str, **keywords: Any) -> dict[str, Any]:
    """Everybody's VI_1 with VRID 51."""
    return {"vrrp_instance": {"VI_1": instance(virtual_ipaddress=[vip], **keywords)}}


def test_pairs_that_are_called_alike_on_different_segments(tmp_path: Path) -> None:
    one, two = "192.0.2.1/24", "198.51.100.1/24"
    write(tmp_path, a1=named(one, priority=150), a2=named(one))
    write(tmp_path, b1=named(two, priority=150, version=3), b2=named(two, version=3))
    assert fleet(tmp_path)[:2] == (ExitCode.FINE, [])
    write(tmp_path, b2=named(two))
    assert [each["code"] for each in fleet(tmp_path)[1]] == ["fleet-version"], "within a pair all is compared"


def test_pairs_that_are_called_alike_and_say_no_network(tmp_path: Path) -> None:
    one, two = "192.0.2.1", "198.51.100.1"
    write(tmp_path, a1=named(one, priority=150), a2=named(one), b1=named(two, priority=150), b2=named(two))
    code, found, _err = fleet(tmp_path)
    assert code == ExitCode.FINE
    assert [(each["code"], each["severity"]) for each in found] == [("fleet-vrid-clash", "warning")]
    write(tmp_path, b1=named("198.51.100.9", priority=150))  # nobody would take over from b1, or b2
    code, found, _err = fleet(tmp_path)
    assert code == ExitCode.INVALID
    assert {each["code"] for each in found} == {"fleet-addresses", "fleet-equal-priority"}


def test_a_name_and_other_addresses_of_one_network(tmp_path: Path) -> None:
    write(tmp_path, a=named("192.0.2.1/24", priority=150), b=named("192.0.2.2/24"))
    assert [each["code"] for each in fleet(tmp_path)[1]] == ["fleet-addresses"]


def test_link_local_addresses_are_the_same_everywhere(tmp_path: Path) -> None:
    def six(vip: str, vrid: int, **keywords: Any) -> dict[str, Any]:
        said = instance(virtual_ipaddress=["fe80::1/64", vip], virtual_router_id=vrid, version=3, **keywords)
        return {"vrrp_instance": {"VI_6": said}}

    one, two, three = "2001:db8:1::1/64", "2001:db8:2::1/64", "2001:db8:3::1/64"
    write(
        tmp_path, a1=six(one, 51, priority=150), a2=six(one, 51), b1=six(two, 51, priority=150), b2=six(two, 51),
        c1=six(three, 52, priority=150), c2=six(three, 52),
    )  # fmt: skip
    assert fleet(tmp_path)[:2] == (ExitCode.FINE, [])


def test_members_that_a_third_one_joins(tmp_path: Path) -> None:
    one, two = "192.0.2.1/32", "192.0.2.2/32"
    write(
        tmp_path,
        a={"vrrp_instance": {"A": instance(virtual_ipaddress=[one], priority=150)}},
        b={"vrrp_instance": {"B": instance(virtual_ipaddress=[two], priority=120)}},
        c={"vrrp_instance": {"C": instance(virtual_ipaddress=[one, two])}},
    )
    found = fleet(tmp_path)[1]
    assert {each["code"] for each in found} == {"fleet-addresses"}
    assert len(found) == 2


def test_half_of_a_sync_group(tmp_path: Path) -> None:
    both = {
        "A": instance(),
        "B": instance(virtual_router_id=52, virtual_ipaddress=["192.0.2.2/24"]),
    }
    preferred = {name: {**block, "priority": 150} for name, block in both.items()}
    group = {"vrrp_sync_group": {"G": {"group": ["A", "B"]}}}
    write(tmp_path, lb1={"vrrp_instance": preferred, **group}, lb2={"vrrp_instance": both})
    assert [each["code"] for each in fleet(tmp_path)[1]] == ["fleet-sync-group"]
    write(tmp_path, lb2={"vrrp_instance": both, **group})
    assert fleet(tmp_path)[1] == []


def test_folders_and_keepalived_conf(tmp_path: Path) -> None:
    (tmp_path / "lb1").mkdir()
    (tmp_path / "lb1" / "agent.yaml").write_text(json.dumps({"vrrp_instance": {"VI_1": instance()}}))
    (tmp_path / "lb2.conf").write_text(
        "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 100\n"
        " virtual_ipaddress {\n 192.0.2.1/24\n }\n}\n"
    )
    assert [each["code"] for each in fleet(tmp_path)[1]] == ["fleet-equal-priority"]


def test_a_host_with_faults_is_said_and_left_out(tmp_path: Path) -> None:
    write(
        tmp_path, lb1={"vrrp_instance": {"VI_1": instance()}}, lb2={"vrrp_instance": {"VI_1": instance(priority=999)}}
    )
    code, found, _err = fleet(tmp_path)
    assert code == ExitCode.INVALID
    assert found == []
    assert (
        run(["check", "--fleet", str(tmp_path / "none")], Environment(io.BytesIO(), io.StringIO(), io.StringIO())) == 2
    )
    (tmp_path / "empty").mkdir()
    assert (
        run(["check", "--fleet", str(tmp_path / "empty")], Environment(io.BytesIO(), io.StringIO(), io.StringIO())) == 2
    )

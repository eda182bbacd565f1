"""keepalived's quirks, and what its check says and repairs: each is copied or mended, and said.

copied: the value becomes what keepalived makes of it, and the finding says so; or the line travels as text that comes
back as it was. noted: the value stays as it is written, as the agent does with it what keepalived does, and the finding
says what that is. mended: it stays, and kactl does what was meant. silent: keepalived says nothing, and neither do we.
What the real keepalived says of the same files is in their keepalived-t.txt (tests/interop/test_check_outcomes.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from support import golden

EFFECTS = {"copied": {"repaired", "carried"}, "noted": {""}, "mended": {"", "changed"}}


class Row(NamedTuple):
    """A case, what became of it, the findings about it as (line, code), and what its YAML has and has not."""

    case: str
    verdict: str
    findings: set[tuple[int, str]]
    has: tuple[str, ...] = ()
    has_not: tuple[str, ...] = ()


QUIRKS = [
    Row("quirk-1-skip-check-adv-addr-off", "copied", {(5, "repaired-value")}, ("skip_check_adv_addr: true",)),
    Row(
        "quirk-2-v3-checksum-as-v2-with-a-value-since-2.4",
        "copied",
        {(2, "extra-words")},
        ("v3_checksum_as_v2: true",),
    ),
    Row(
        "quirk-3-rule-with-a-single-port",
        "copied",
        {(2, "ignored-option")},
        ("dport: 53-53",),
        ("1024",),
    ),
    Row(
        "quirk-4-dump-files-without-effect-since-2.4",
        "silent",
        set(),
        ("stats_dump_file: /run/lb.stats", "json_dump_file: /run/lb.json"),
    ),
    Row(
        "quirk-7-owner-ignore-adverts-since-2.4",
        "mended",
        {(7, "owner-ignore-adverts")},
        ("owner_ignore_adverts: false",),
    ),
    Row("quirk-10-ha-suspend-of-a-group", "silent", set(), ("ha_suspend: true",)),
    Row(
        "quirk-11-sni-and-the-real-servers-virtualhost",
        "silent",
        set(),
        ("virtualhost: vs.example.net", "virtualhost: rs.example.net", "enable_sni: true"),
    ),
]

CHECKS = [
    Row("check-advert-int-41", "noted", {(5, "advert-int")}, ("advert_int: 41",)),
    Row("check-advert-int-0.015", "noted", {(5, "advert-int")}, ("advert_int: 0.015",)),
    Row(
        "check-version-given-twice",
        "copied",
        {(5, "duplicate-keyword")},
        ("version: 3", "- version 2"),
        ("version: 2",),
    ),
    Row("check-priority-256", "copied", {(5, "repaired-value")}, ("priority: 100",), ("256",)),
    Row("check-preempt-delay-2000", "copied", {(5, "invalid-value")}, ("- preempt_delay 2000",), ("preempt_delay:",)),
    Row(
        "check-auth-pass-of-11-characters",
        "copied",
        {(7, "repaired-value")},
        ("auth_pass: abcdefgh\n",),
        ("abcdefghi",),
    ),
    Row(
        "check-auth-pass-in-version-3",
        "noted",
        {(5, "authentication-v3"), (7, "repaired-value")},
        ("auth_pass: abcdefgh\n",),
    ),
    Row("check-garp-master-repeat-0", "copied", {(5, "repaired-value")}, ("garp_master_repeat: 1",)),
    Row(
        "check-timer-expired-backup-without-nopreempt-since-2.4",
        "noted",
        {(5, "needs-nopreempt")},
        ("timer_expired_backup: 100",),
    ),
    Row("check-no-vip", "noted", {(1, "no-virtual-ipaddress")}),
    Row("check-no-vip-version-2", "noted", {(1, "no-virtual-ipaddress")}),
    Row(
        "check-owner-ignore-adverts-off-since-2.4",
        "mended",
        {(6, "owner-ignore-adverts")},
        ("owner_ignore_adverts: false",),
    ),
    Row("check-missing-interface", "silent", set(), ("interface: nosuch0",)),
    Row("check-unknown-tracker", "copied", {(6, "unknown-reference")}, (), ("track_script: [unknown]",)),
    Row("check-script-missing", "silent", set(), ("script: /nonexistent/check",)),
    Row("check-state-master-alone", "silent", set(), ("state: MASTER",)),
    Row("check-state-master-mixed-case", "copied", {(5, "repaired-value")}, ("state: BACKUP",)),
    Row("check-use-vmac-mac", "silent", set(), ("02:00:5e:00:02:33",)),
    Row("check-unicast-peer", "silent", set(), ("unicast_src_ip: 198.18.1.1",)),
    Row("check-mixed-families", "copied", {(7, "address-family")}, ("- 192.0.2.1/24",), ("- 2001:db8::1/64",)),
    Row("check-two-addresses-on-a-line", "copied", {(6, "extra-words")}, ("192.0.2.1/24",), ("192.0.2.2/24",)),
    Row(
        "check-address-invalid",
        "copied",
        {(7, "invalid-value"), (8, "repaired-value")},
        ("- 192.0.2.3/32",),
        ("- 192.0.2.300/24",),
    ),
    Row("check-unknown-keyword", "copied", {(6, "unknown-keyword")}, ("- virtual_roter_id 52", "priority: 120")),
    Row("check-group-of-one", "noted", {(10, "single-member-group")}, ("vrrp_sync_group:\n  G:",)),
    Row("check-weighted-tracker-in-group", "noted", {(6, "weight-in-sync-group")}, ("weight: 10",)),
    Row("check-nopreempt-with-state-master", "noted", {(6, "nopreempt-owner")}, ("nopreempt: true",)),
    Row("check-strict-with-password", "noted", {(6, "authentication-strict")}, ("auth_pass: hello",)),
]


@pytest.mark.parametrize("row", [*QUIRKS, *CHECKS], ids=lambda row: row.case)
def test_it_is_copied_or_mended_and_said(row: Row, tmp_path: Path) -> None:
    ran = golden.convert(golden.GOLDEN / "convert" / row.case, tmp_path / "report.json")
    assert ran.status == 0, ran.stderr
    findings = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert {(each["line"], each["code"]) for each in findings} == row.findings
    if row.verdict != "silent":
        assert EFFECTS[row.verdict] & {each["effect"] for each in findings}
    for text in row.has:
        assert text in ran.stdout
    for text in row.has_not:
        assert text not in ran.stdout


def test_every_case_about_a_quirk_or_a_check_has_its_row() -> None:
    cases = {case.name for case in golden.cases("convert") if case.name.startswith(("quirk-", "check-"))}
    assert cases - {row.case for row in (*QUIRKS, *CHECKS)} == ELSEWHERE


ELSEWHERE = {
    "quirk-5-escaped-comment-character",
    "quirk-6-notices-alone",
    "check-auth-hmac-key-of-3-bytes-since-2.4",
    "check-interface-lo",
    "check-version-2-with-ipv6",
}
"""Cases with a test of their own, below."""


def test_quirk_5_a_protected_comment_character_is_one_in_global_defs_alone(tmp_path: Path) -> None:
    """Copied: a comment begins, and the password is `e`; in global_defs it is the character that was meant."""
    case = golden.GOLDEN / "convert" / "quirk-5-escaped-comment-character"
    assert _findings(case.name, tmp_path) == {(3, "escaped-comment", "changed"), (13, "escaped-comment", "repaired")}
    yaml = golden.there_and_back(case / "keepalived.conf", tmp_path / "regenerated.conf")
    assert "auth_pass: e\n" in yaml
    assert "a#b@example.net" in yaml
    assert "c#d" in yaml


def test_quirk_6_notices_alone_are_no_failure() -> None:
    """Mended: keepalived's check exits 5 for a mere notice."""
    case = golden.GOLDEN / "convert" / "quirk-6-notices-alone"
    ran = golden.kactl("check", str(case / "keepalived.conf"))
    assert (ran.status, "deprecated-keyword" in ran.stderr + ran.stdout) == (0, True)


def _findings(case: str, tmp_path: Path) -> set[tuple[int, str, str]]:
    ran = golden.convert(golden.GOLDEN / "convert" / case, tmp_path / "report.json")
    assert ran.status == 0, ran.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    return {(each["line"], each["code"], each["effect"]) for each in report["findings"]}


def test_an_instance_on_the_loopback_interface_travels_as_text(tmp_path: Path) -> None:
    """Copied: keepalived drops the interface and refuses the instance; nothing of it is lost."""
    findings = _findings("check-interface-lo", tmp_path)
    assert (3, "loopback-interface", "carried") in findings
    regenerated = tmp_path / "regenerated.conf"
    golden.there_and_back(golden.GOLDEN / "convert" / "check-interface-lo" / "keepalived.conf", regenerated)
    assert "interface lo" in regenerated.read_text()


def test_a_hash_key_that_is_too_short_disables_the_extension(tmp_path: Path) -> None:
    """Copied: without a key of 32 bytes or more there is no auth_hmac, which travels as text."""
    findings = _findings("check-auth-hmac-key-of-3-bytes-since-2.4", tmp_path)
    assert "carried" in {effect for _, _, effect in findings}
    assert any(code == "auth-hmac-active-key" for _, code, _ in findings)


def test_version_2_with_ipv6_addresses_is_said(tmp_path: Path) -> None:
    """Mended: keepalived silently runs VRRPv2 over IPv6, which no RFC knows."""
    assert _findings("check-version-2-with-ipv6", tmp_path) == {(2, "version-2-ipv6", "")}

"""Every option of keepalived has an equivalent of kactl-agent or a stated reason, in docs/process.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kactl_agent.supervisor.options import SIGNALS, _parser

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "process.md").read_text(encoding="utf-8")

_NAMES = """
use-file vrrp check no_bfd all log-console log-detail log-facility log-file flush-log-file no-syslog umask
release-vips dont-release-vrrp dont-release-ipvs dont-respawn dont-fork dump-conf pid vrrp_pid checkers_pid
bfd_pid genhash address-monitoring snmp snmp-agent-socket namespace core-dump core-dump-pattern all-config
config-id signum config-test config-fd ignore-sigint debug perf no-mem-check mem-check-log openssl-mem-check
version help
"""
OPTIONS = frozenset(_NAMES.split())
"""Those of keepalived 2.4.3, in every way it can be built."""


def rows() -> dict[str, str]:
    """keepalived's long option -> what the page says."""
    table = PAGE.partition("## The options of keepalived")[2]
    found = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and (names := re.findall(r"`--([\w-]+)`", cells[0])):
            found[names[0]] = cells[1]
    return found


def test_every_option_is_in_the_table() -> None:
    assert set(rows()) == OPTIONS


@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
def test_no_option_of_the_installed_keepalived_is_missing() -> None:
    text = subprocess.run(["keepalived", "--help"], capture_output=True, text=True, check=False).stderr
    named = set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", text, re.M))
    assert len(named) > 30
    assert named <= OPTIONS


@pytest.mark.parametrize(("option", "said"), sorted(rows().items()))
def test_the_equivalent_exists_or_a_reason_is_given(option: str, said: str) -> None:
    ours = {name for action in _parser()._actions for name in action.option_strings}
    named = re.findall(r"`(--[\w-]+)", said)
    if said.startswith("none: "):
        assert len(said.split()) > 2, "a reason"
        named = [name for name in named if name != "--log-syslog"]
    else:
        assert named or said.startswith("the default: "), option
    assert set(named) <= ours


def test_signals_of_the_page_have_the_numbers_of_the_agent() -> None:
    found = dict(re.findall(r"^\| SIG[^|]+\| (\w+) \| (\d+) \|", PAGE, re.M))
    assert {name: int(number) for name, number in found.items()} == {name: int(n) for name, n in SIGNALS.items()}


@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
@pytest.mark.parametrize("name", ["STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON"])
def test_signals_are_keepalived_s_own(name: str) -> None:
    done = subprocess.run(["keepalived", f"--signum={name}"], capture_output=True, text=True, check=True)
    assert int(done.stdout) == int(SIGNALS[name])

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from kactl_agent.supervisor.loading import LoadingProcess, LoadOutcome, check, load, report_lines
from kactl_agent.supervisor.options import Options
from support.full import no_room

VALID = "vrrp_instance: {VI_1: {interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]}}\n"


def options(tmp_path: Path, text: str, **more: object) -> Options:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    return Options(config=path, **more)


def test_settings_of_a_valid_file(tmp_path: Path) -> None:
    outcome = load(options(tmp_path, "global_defs: {router_id: lb1}\n" + VALID))
    assert outcome.errors == 0
    assert outcome.configuration is not None
    assert outcome.configuration.router_id == "lb1"
    (settings,) = outcome.configuration.vrrp
    assert (settings.name, settings.virtual_router_id) == ("VI_1", 51)


def test_the_revision_follows_the_meaning(tmp_path: Path) -> None:
    revisions = [
        load(options(tmp_path, text)).configuration.revision
        for text in (VALID, "# a comment\n" + VALID, VALID.replace("51", "52"))
    ]
    assert revisions[0] == revisions[1] != revisions[2]


def test_only_others(tmp_path: Path) -> None:
    outcome = load(options(tmp_path, VALID, only=frozenset({"bfd"})))
    assert outcome.configuration is not None
    assert outcome.configuration.vrrp == ()


def test_errors_come_with_their_place(tmp_path: Path) -> None:
    said = options(tmp_path, "vrrp_instance:\n  VI_1: {interfac: eth0}\n")
    outcome = load(said)
    assert outcome.configuration is None
    assert outcome.errors
    assert any(line.startswith(f"{said.config}:2:10: error[") for line in outcome.report)


def test_a_finding_shows_its_line_without_the_password(tmp_path: Path) -> None:
    text = "vrrp_instance: {A: {authentication: {auth_type: PASS, auth_pass: hush}, interfac: eth0}}\n"
    (finding,) = [text for text in load(options(tmp_path, text)).report if "interfac" in text.splitlines()[0]]
    lines = finding.splitlines()
    assert lines[1].startswith("  1 | vrrp_instance:")
    assert lines[2].endswith("^^^^^^^^")
    assert "hint:" in lines[3]
    assert "hush" not in finding
    assert "****" in finding


def test_a_log_has_the_first_findings_and_how_many_more_there_are(tmp_path: Path) -> None:
    said = options(tmp_path, "vrrp_instance:\n" + "".join(f"  V{n}: {{nonsense: 1}}\n" for n in range(200)))
    outcome = load(said)
    lines = report_lines(outcome, said.config)
    assert len(lines) < 200
    assert {level for level, _line in lines} == {"error"}
    assert lines[-1][1] == f"and {len(outcome.report) - 30} more: `kactl check {said.config}` shows all"
    assert all("\n" not in line for _level, line in lines)


def test_groups_and_sources_are_handed_on(tmp_path: Path) -> None:
    text = (
        "global_defs: {vrrp_garp_master_repeat: 3}\n"
        "vrrp_sync_group: {G: {group: [A]}}\n"
        "vrrp_instance: {A: {interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]}}\n"
    )
    configuration = load(options(tmp_path, text)).configuration
    assert configuration is not None
    assert [group.members for group in configuration.sync_groups] == [("A",)]
    assert configuration.vrrp[0].sync_group == "G"
    sources = configuration.sources["A"]
    assert (sources["interface"], sources["garp_master_repeat"]) == ("vrrp_instance A", "global_defs")
    assert sources["advert_int"] == "default"
    alone = load(options(tmp_path, text, only=frozenset({"bfd"}))).configuration
    assert alone is not None
    assert (alone.vrrp, alone.sync_groups, alone.sources) == ((), (), {})


def test_the_loading_process_brings_the_same(tmp_path: Path) -> None:
    said = options(tmp_path, VALID)
    process = LoadingProcess(said)
    assert select.select([process], [], [], 30)[0]
    assert process.outcome() == load(said)


@pytest.mark.parametrize("spare", [0, 1])
def test_a_loader_for_which_there_is_no_room_leaves_nothing(tmp_path: Path, spare: int) -> None:
    said = options(tmp_path, VALID)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with no_room(spare), pytest.raises(OSError, match="Too many open files"):
        LoadingProcess(said)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_loader_that_is_killed_is_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    process = LoadingProcess(options(tmp_path, VALID * 1))
    process.kill()
    outcome = process.outcome()
    assert isinstance(outcome, LoadOutcome)
    if outcome.configuration is None:  # it may have been quicker than the signal
        assert "killed by SIGKILL" in outcome.report[0]


@pytest.mark.parametrize(("text", "code"), [(VALID, 0), ("{}", 0), ("nonsense: 1", 3), ("[", 3)])
def test_check(tmp_path: Path, text: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(options(tmp_path, text)) == code
    assert ("valid" if code == 0 else "invalid") in capsys.readouterr().err


def test_what_a_reload_needs_is_imported_beforehand(tmp_path: Path) -> None:
    said = options(tmp_path, VALID)
    code = (
        "import sys; from pathlib import Path; from kactl_agent.supervisor import loading;"
        "from kactl_agent.supervisor.options import Options; loading.warm(); before = set(sys.modules);"
        f"current = loading.load(Options(config=Path({str(said.config)!r}))).configuration;"
        f"loading._load_and_plan(Options(config=Path({str(said.config)!r})), '', current, True);"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith(('kactl_agent', 'yaml'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_file_that_is_to_become_the_configuration_is_read_as_if_it_stood_there(tmp_path: Path) -> None:
    said = options(tmp_path, VALID)
    (tmp_path / "more.yaml").write_text("global_defs: {router_id: lb1}\n")
    other = tmp_path / "elsewhere" / "new.yaml"
    other.parent.mkdir()
    other.write_text("include: more.yaml\n" + VALID)
    outcome = load(said, str(other))
    assert outcome.configuration is not None, outcome.report
    assert outcome.configuration.router_id == "lb1"
    assert outcome.configuration.file == str(said.config)
    assert outcome.text == other.read_bytes()
    other.write_text("vrrp_instance: {VI_1: {interfac: eth0}}")
    assert all(line.startswith(f"{other}:1:") for line in load(said, str(other)).report)
    assert load(said, str(tmp_path / "none.yaml")).report[0].startswith(f"{tmp_path / 'none.yaml'}: error[unreadable]")


def test_a_plan_comes_with_a_reload(tmp_path: Path) -> None:
    current = load(options(tmp_path, VALID)).configuration
    process = LoadingProcess(options(tmp_path, VALID.replace("51", "52")), "", current)
    select.select([process], [], [], 30)
    outcome = process.outcome()
    assert outcome.configuration is not None
    assert outcome.plan is not None
    assert outcome.plan.impact == "disruptive"
    assert outcome.plan.lines[0].startswith("disruptive: vrrp_instance VI_1: ends and starts as another virtual router")


@pytest.mark.parametrize(
    "only", [("vrrp",), ("bfd",), ("checkers",), ("vrrp", "checkers"), ("vrrp", "checkers", "bfd")]
)
def test_only_these_workers_are_wanted(tmp_path: Path, only: tuple[str, ...]) -> None:
    text = VALID + (
        "bfd_instance: {b1: {neighbor_ip: 192.0.2.2}}\n"
        "virtual_server: [{address: 192.0.2.10, port: 80, protocol: TCP,"
        " real_server: [{address: 10.0.0.1, port: 80}]}]\n"
    )
    configuration = load(options(tmp_path, text, only=frozenset(only))).configuration
    assert configuration is not None
    assert {worker for worker in ("vrrp", "bfd", "checkers") if configuration.needs(worker)} == set(only)


def test_each_finding_is_logged_at_its_own_level(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(
        "virtual_server:\n  - {address: 192.0.2.1, port: 80, real_server: [{address: 10.0.0.1, port: 80}]}\n"
        "vrrp_instance: {A: {interface: eth0, virtual_router_id: 300}}\n"
    )
    levels = {
        kind: level
        for level, line in report_lines(load(Options(config=file)), file)
        for kind in ("error[", "warning[", "note[")
        if f": {kind}" in line
    }
    assert levels == {"error[": "error", "warning[": "warning", "note[": "info"}


def test_reading_for_a_reload_comes_behind_what_runs(tmp_path: Path) -> None:
    """At the start nothing runs yet."""
    said = options(tmp_path, VALID)
    current = load(said).configuration
    assert current is not None
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for before, nice in ((None, own), (current, min(19, own + 5))):
        process = LoadingProcess(said, "", before)
        ended = os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED | os.WNOWAIT)
        assert ended is not None
        assert os.getpriority(os.PRIO_PROCESS, ended.si_pid) == nice
        assert process.outcome().configuration is not None

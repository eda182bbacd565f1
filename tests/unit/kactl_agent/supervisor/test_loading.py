from __future__ import annotations

import select
from pathlib import Path

import pytest

from kactl_agent.supervisor.loading import LoadingProcess, LoadOutcome, check, load
from kactl_agent.supervisor.options import Options

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


def test_the_loading_process_brings_the_same(tmp_path: Path) -> None:
    said = options(tmp_path, VALID)
    process = LoadingProcess(said)
    assert select.select([process], [], [], 30)[0]
    assert process.outcome() == load(said)


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

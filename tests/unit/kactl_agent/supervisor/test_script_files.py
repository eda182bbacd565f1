"""Commands on this machine: users, files, what is refused. As root the files get users; otherwise they are ours."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.resolve import resolve
from kactl_agent.config.trackers import ScriptPolicy
from kactl_agent.supervisor.script_files import (
    ScriptFiles,
    ScriptPreparer,
    ScriptRefused,
    components,
    prepare_track_scripts,
)
from kactl_agent.tracking.settings import Command, Executable, TrackingSettings

root = pytest.mark.skipif(os.geteuid() != 0, reason="files of other users need root")
ME = (os.geteuid(), os.getegid())
NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users may enter, as those of pytest may not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory).resolve()
        path.chmod(0o755)
        yield path


def program(path: Path, text: str = "#!/bin/sh\nexit 0\n", mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def prepare(*arguments: str | Path, user: str = "", policy: ScriptPolicy | None = None) -> Executable:
    command = Command(tuple(str(argument) for argument in arguments), user or str(ME[0]))
    return ScriptFiles(policy or ScriptPolicy()).prepare(command)


def refusal(*arguments: str | Path, user: str = "", policy: ScriptPolicy | None = None) -> str:
    with pytest.raises(ScriptRefused) as caught:
        prepare(*arguments, user=user, policy=policy)
    return str(caught.value)


def test_a_script_with_an_interpreter_is_executed_itself(place: Path) -> None:
    path = program(place / "chk")
    assert prepare(path, "two words").arguments == (str(path), "two words")


def test_a_program_is_executed_itself() -> None:
    assert prepare("/bin/sh", "-c", "exit 0").arguments[1:] == ("-c", "exit 0")


def test_what_is_no_executable_format_goes_through_the_shell_with_quoted_arguments(place: Path) -> None:
    path = program(place / "chk", "exit 3\n")
    assert prepare(path, "it's", "$HOME").command_line == ("/bin/sh", "-c", f"{path} 'it'\"'\"'s' '$HOME'")


def test_links_are_resolved_unless_they_are_to_be_kept(place: Path) -> None:
    path = program(place / "chk")
    (place / "link").symlink_to("chk")
    assert prepare(place / "link").arguments == (str(path),)
    assert prepare(place / "link", policy=ScriptPolicy(keep_symlinks=True)).arguments == (str(place / "link"),)


@pytest.mark.parametrize("kind", ["missing", "directory", "not executable", "loop"])
def test_what_cannot_be_executed_is_refused(place: Path, kind: str) -> None:
    path = place / "chk"
    match kind:
        case "directory":
            path.mkdir()
        case "not executable":
            program(path, mode=0o644)
        case "loop":
            path.symlink_to("chk")
    assert f"{path} is not found, or user {ME[0]} may not execute it" in refusal(path)


def test_names_without_a_path_are_searched() -> None:
    files = ScriptFiles(ScriptPolicy())
    found = files.prepare(Command(("env",), str(ME[0]))).arguments[0]
    assert Path(found).name in ("env", "coreutils", "busybox")
    assert len(files.searched) == 1
    assert "no-such-program is not found in /usr/local/sbin:" in refusal("no-such-program")
    assert refusal("bin/chk") == "bin/chk is no absolute path"


def test_users_and_groups() -> None:
    files = ScriptFiles(ScriptPolicy())
    assert files.identity(Command(("/x",), "root")) == (0, 0)
    assert files.identity(Command(("/x",), "0", "7")) == (0, 7)
    assert files.identity(Command(("/x",), "3999999", "7")) == (3999999, 7)
    for user, group, reason in [
        ("no-such-user", "", "there is no user no-such-user"),
        ("root", "no-such-group", "there is no group no-such-group"),
        ("3999999", "", "user 3999999 is unknown here, so its group has to be said"),
    ]:
        with pytest.raises(ScriptRefused, match=reason):
            files.identity(Command(("/x",), user, group))


def test_who_runs_what_names_nobody() -> None:
    """script_user, else keepalived_script, else ourselves - not root, with enable_script_security."""
    command = Command(("/x",))
    assert ScriptFiles(ScriptPolicy("root", "0", security=True)).identity(command) == (0, 0)
    try:
        __import__("pwd").getpwnam("keepalived_script")
    except KeyError:
        assert ScriptFiles(ScriptPolicy()).identity(command) == ME
        if ME[0] == 0:
            with pytest.raises(ScriptRefused, match="say script_user"):
                ScriptFiles(ScriptPolicy(security=True)).identity(command)


@root
def test_access_is_that_of_the_user(place: Path) -> None:
    path = program(place / "chk", mode=0o700)
    assert "user 65534 may not execute it" in refusal(path, user=str(NOBODY))
    path.chmod(0o755)
    assert prepare(path, user=str(NOBODY)).uid == NOBODY
    assert os.geteuid() == 0, "and we are ourselves again"


@root
def test_a_script_of_root_that_others_may_change_is_refused_with_security_and_told_without(place: Path) -> None:
    path = program(place / "chk")
    place.chmod(0o777)
    danger = f"{place} may be written by anybody"
    assert refusal(path, policy=ScriptPolicy(security=True)) == f"it would run as root, and {danger}"
    files = ScriptFiles(ScriptPolicy())
    assert files.prepare(Command((str(path),), "root")).uid == 0
    assert files.insecure == [f"{path} runs as root, and {danger}"]
    assert prepare(path, user=str(NOBODY), policy=ScriptPolicy(security=True)).uid == NOBODY, "not root: no matter"


@root
def test_the_way_behind_a_link_counts_too(place: Path) -> None:
    hidden = place / "hidden"
    hidden.mkdir()
    program(hidden / "chk")
    hidden.chmod(0o777)
    (place / "link").symlink_to("hidden/../hidden/chk")
    policy = ScriptPolicy(security=True, keep_symlinks=True)
    assert refusal(place / "link", policy=policy) == f"it would run as root, and {hidden} may be written by anybody"


def test_components_of_a_path(place: Path) -> None:
    (place / "a").mkdir()
    program(place / "a" / "chk")
    (place / "link").symlink_to("./a/../a/chk")
    found = [component.path for component in components(f"{place}//link")]
    assert found[-5:] == [str(place), f"{place}/link", f"{place}/a", f"{place}/a", f"{place}/a/chk"]
    (place / "absolute").symlink_to(place / "a" / "chk")
    assert [component.path for component in components(str(place / "absolute"))][-1] == f"{place}/a/chk"
    (place / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        list(components(str(place / "loop")))


def prepared(place: Path, scripts: str, policy: str = "") -> tuple[TrackingSettings, dict[str, Executable], list[str]]:
    names = [line.split(":")[0].strip() for line in scripts.splitlines() if line.strip()]
    head = "interface: eth0, virtual_router_id: 5, virtual_ipaddress: [192.0.2.1]"
    text = f"global_defs: {{{policy}}}\nvrrp_script:\n{scripts}\n"
    text += f"vrrp_instance:\n  VI: {{{head}, track_script: [{', '.join(names)}]}}\n"
    document = bind(text, "agent.yaml")
    assert document.errors == []
    sheet = Sheet(document)
    settings = resolve(document).settings
    preparer = ScriptPreparer(sheet, settings.script_policy)
    tracking, executables = prepare_track_scripts(preparer, settings.tracking)
    preparer.finish()
    found = [f"{p.diagnostic.place.line} {p.diagnostic.severity.value} {p.diagnostic.code}" for p in sheet.problems]
    return tracking, executables, found


def test_what_cannot_be_run_is_not_tracked_and_said_with_its_place(place: Path) -> None:
    program(place / "good")
    scripts = f"  good: {{script: {place}/good, user: '{ME[0]}'}}\n  bad: {{script: {place}/bad, user: '{ME[0]}'}}"
    tracking, executables, found = prepared(place, scripts, "enable_script_security: true")
    assert [script.name for script in tracking.scripts] == ["good"]
    assert [use.tracker for use in tracking.uses["VI"]] == ["good"]
    assert executables == {"good": Executable((f"{place}/good",), *ME)}
    assert found == ["4 warning script-disabled"]
    tracking, executables, _found = prepared(place, f"  bad: {{script: {place}/bad, user: '{ME[0]}'}}")
    assert (tracking, executables) == (TrackingSettings(), {})


@root
def test_scripts_of_root_without_security_are_told(place: Path) -> None:
    program(place / "chk")
    scripts = f"  chk: {{script: {place}/chk, user: root}}"
    assert prepared(place, scripts)[2] == ["1 note script-security"]
    assert prepared(place, scripts, "enable_script_security: true")[2] == []
    assert prepared(place, f"  chk: {{script: {place}/chk, user: '{NOBODY}'}}")[2] == []
    place.chmod(0o777)
    assert prepared(place, scripts)[2] == ["3 warning insecure-script", "1 note script-security"]
    assert prepared(place, scripts, "enable_script_security: true")[2] == ["3 warning script-disabled"]

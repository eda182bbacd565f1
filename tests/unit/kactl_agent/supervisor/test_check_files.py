"""Checkers on this machine: programs that cannot be run (S29, S31), files that cannot be watched; the rest stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from kactl_agent.checkers.settings import AnyCheckerSettings, MiscCheckSettings, TcpCheckSettings
from kactl_agent.config.bind import bind
from kactl_agent.config.checkers import CheckerResolver
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.diagnostics import Diagnostic, Severity
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.config.trackers import ScriptPolicy
from kactl_agent.ipvs.settings import CheckersSettings, RealServerSettings, VirtualServerSettings
from kactl_agent.supervisor import tracked_files
from kactl_agent.supervisor.check_files import prepare_checkers
from kactl_agent.supervisor.script_files import ScriptPreparer

ROOT = ScriptPolicy(user="root")


def prepared(
    checkers: str, root: str = "", policy: ScriptPolicy = ROOT
) -> tuple[tuple[AnyCheckerSettings, ...], list[Diagnostic]]:
    """The checkers of a real server, a line each, after what this machine has to say."""
    text = f"""{root}
virtual_server:
  - address: 192.0.2.1
    port: 80
    protocol: TCP
    real_server:
      - address: 10.0.0.1
        port: 80
"""
    document = bind(text + "".join(f"        {line}\n" for line in checkers.splitlines()), "agent.yaml")
    assert [d for d in document.diagnostics if d.severity is Severity.ERROR] == []
    sheet = Sheet(document)
    (server,) = or_default(document.config.virtual_server, ())
    (real,) = or_default(server.real_server, ())
    path = ("virtual_server", 0, "real_server", 0)
    made = CheckerResolver(sheet).resolve(path, server, real, "10.0.0.1", 80)
    settings = RealServerSettings(address=bytes(4), port=80, checkers=made)
    whole = CheckersSettings(virtual_servers=(VirtualServerSettings(name="v", real_servers=(settings,)),))
    ready = prepare_checkers(sheet, ScriptPreparer(sheet, policy), whole)
    return ready.virtual_servers[0].real_servers[0].checkers, [problem.diagnostic for problem in sheet.problems]


def test_a_program_becomes_what_is_to_be_executed() -> None:
    (check,), said = prepared("MISC_CHECK: {misc_path: /bin/true a 'b c', user: root}")
    assert said == []
    assert isinstance(check, MiscCheckSettings)
    assert check.executable is not None
    assert check.executable.arguments[1:] == ("a", "b c")
    assert (check.executable.uid, check.executable.gid) == (0, 0)
    assert check.place == ()


@pytest.mark.parametrize(
    ("block", "policy", "said"),
    [
        ("{misc_path: /nonexistent/check}", ROOT, "/nonexistent/check is not found"),
        ("{misc_path: /bin/true, user: nosuchuser}", ROOT, "there is no user nosuchuser"),
        ("{misc_path: /bin/true, user: {user: root, group: nosuch}}", ScriptPolicy(), "there is no group nosuch"),
        ("{misc_path: /bin/true}", ScriptPolicy(user="nosuchdefault"), "there is no user nosuchdefault"),
    ],
)
def test_a_program_that_cannot_be_run_is_said_with_its_place_and_the_rest_stands(
    block: str, policy: ScriptPolicy, said: str
) -> None:
    checks, (diagnostic,) = prepared(f"TCP_CHECK: {{}}\nMISC_CHECK: {block}", policy=policy)
    assert [type(each) for each in checks] == [TcpCheckSettings]
    assert (diagnostic.code, diagnostic.severity) == ("script-disabled", Severity.WARNING)
    assert said in diagnostic.message
    assert diagnostic.place.line == 10


def test_a_misc_check_without_misc_path_is_an_error_with_its_place() -> None:
    """S30. Nothing else is wrong, and everything else that is would be said too."""
    text = (
        "virtual_server: [{address: 192.0.2.1, port: 80, protocol: TCP, real_server: [{address: 10.0.0.1, port: 80,\n"
    )
    document = bind(text + "  MISC_CHECK: {misc_timeout: 3}}]}]\nnosuch: 1\n", "agent.yaml")
    errors = [d for d in document.diagnostics if d.severity is Severity.ERROR]
    assert {(d.place.line, d.code) for d in errors} == {(2, "missing-keyword"), (3, "unknown-keyword")}
    assert any("misc_path" in d.message for d in errors)


def test_files_on_filesystems_that_tell_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watched, said = prepared("FILE_CHECK: {track_file: f}", f"track_file: {{f: {{file: {tmp_path}/f}}}}")
    assert (len(watched), said) == (1, [])
    assert tracked_files.unwatchable("/proc/self/status") == "proc"
    checks, (diagnostic,) = prepared(
        "FILE_CHECK: [{track_file: f}, {track_file: f, weight: 2}]", "track_file: {f: {file: /proc/f}}"
    )
    assert checks == ()
    assert (diagnostic.code, diagnostic.place.line) == ("file-disabled", 1)


def test_tls_files_that_cannot_be_read() -> None:
    root = "SSL: {certificate: /nonexistent.pem, key: /nonexistent.key}"
    checks, said = prepared("SSL_GET: {url: [{path: /}]}", root)
    assert len(checks) == 1
    assert [d.code for d in said] == ["unreadable-file"] * 2
    assert "certificate /nonexistent.pem cannot be read" in said[0].message


def test_what_needs_nothing_is_the_same_object() -> None:
    settings = CheckersSettings(
        virtual_servers=(VirtualServerSettings(name="v", real_servers=(RealServerSettings(bytes(4), 80),)),)
    )
    sheet = Sheet(bind("", "agent.yaml"))
    ready = prepare_checkers(sheet, ScriptPreparer(sheet, ScriptPolicy()), settings)
    assert ready.virtual_servers[0] is settings.virtual_servers[0]

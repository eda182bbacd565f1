"""Notifications on this machine: which scripts may run, whose FIFOs are, where the mail goes."""

from __future__ import annotations

import os
import pwd
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.resolve import resolve
from kactl_agent.notify.settings import FifoSettings, OwnScript, Recipient, VrrpNotify
from kactl_agent.supervisor.notify_files import PreparedNotify, prepare_notify
from kactl_agent.supervisor.script_files import ScriptPreparer
from kactl_agent.tracking.settings import Command, Executable
from kactl_agent.vrrp.settings import SECOND

root = pytest.mark.skipif(os.geteuid() != 0, reason="files of other users need root")
ME = (os.geteuid(), os.getegid())
HEAD = "interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]"


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory).resolve()
        path.chmod(0o755)
        for name in ("one", "two"):
            (path / name).write_text("#!/bin/sh\n")
            (path / name).chmod(0o755)
        yield path


def prepared(
    global_defs: str, instance: str = "", *, vrrp: bool = True, checkers: bool = True
) -> tuple[PreparedNotify, list[str]]:
    """And what is said about it, as `line severity code`."""
    text = f"global_defs: {{script_user: '{ME[0]}', {global_defs}}}\nvrrp_instance:\n  VI: {{{HEAD}, {instance}}}\n"
    document = bind(text, "agent.yaml")
    assert document.errors == []
    sheet = Sheet(document)
    settings = resolve(document).settings
    preparer = ScriptPreparer(sheet, settings.script_policy)
    ready = prepare_notify(sheet, preparer, settings.notify, vrrp=vrrp, checkers=checkers)
    preparer.finish()
    found = [f"{p.diagnostic.place.line} {p.diagnostic.severity.value} {p.diagnostic.code}" for p in sheet.problems]
    return ready, [each for each in found if not each.endswith("script-security")]


def test_scripts_that_can_be_run(place: Path) -> None:
    ready, found = prepared("", f"notify_master: '{place}/one a', notify: {place}/two, notify_fault: {place}/missing")
    assert dict(ready.vrrp.executables) == {
        Command((f"{place}/one", "a")): Executable((f"{place}/one", "a"), *ME),
        Command((f"{place}/two",)): Executable((f"{place}/two",), *ME),
    }
    assert found == ["3 warning script-disabled"]
    assert set(ready.vrrp.instances["VI"].scripts) == {"notify_master", "notify", "notify_fault"}


@root
def test_a_script_that_somebody_else_could_change_is_told_or_not_run(place: Path) -> None:
    place.chmod(0o777)
    everything = f"shutdown_script: {place}/one, notify_fifo: /run/x, notify_fifo_script: {place}/two"
    instance = f"notify_master: {place}/one"
    ready, found = prepared(everything, instance)
    assert found == ["3 warning insecure-script", *["1 warning insecure-script"] * 2]
    assert ready.supervisor.shutdown is not None
    ready, found = prepared(f"{everything}, enable_script_security: true", instance)
    assert found == ["3 warning script-disabled", *["1 warning script-disabled"] * 2]
    assert ready.vrrp.executables == ()
    assert ready.supervisor.shutdown is None
    assert ready.supervisor.fifos == {"notify_fifo": FifoSettings("/run/x", 0, 0, None)}


def test_the_script_at_the_end(place: Path) -> None:
    ready, _found = prepared(f"startup_script: {place}/one, shutdown_script: {place}/two, shutdown_script_timeout: 4")
    assert ready.supervisor.shutdown == OwnScript(Executable((f"{place}/two",), *ME), 4 * SECOND)


def test_fifos_of_workers_that_there_are(place: Path) -> None:
    all_three = (
        f"notify_fifo: /run/a, notify_fifo_script: {place}/one, vrrp_notify_fifo: /run/v, lvs_notify_fifo: /run/l"
    )
    ready, _found = prepared(all_three)
    assert ready.supervisor.fifos == {
        "notify_fifo": FifoSettings("/run/a", *ME, Executable((f"{place}/one",), *ME)),
        "vrrp_notify_fifo": FifoSettings("/run/v", *ME),
        "lvs_notify_fifo": FifoSettings("/run/l", *ME),
    }
    assert ready.vrrp.fifos == ("notify_fifo", "vrrp_notify_fifo")
    assert set(prepared(all_three, checkers=False)[0].supervisor.fifos) == {"notify_fifo", "vrrp_notify_fifo"}
    only_checkers = prepared(all_three, f"notify: {place}/one", vrrp=False)[0]
    assert set(only_checkers.supervisor.fifos) == {"notify_fifo", "lvs_notify_fifo"}
    assert only_checkers.vrrp == VrrpNotify()


def test_a_fifo_of_nobody_we_know() -> None:
    ready, found = prepared("notify_fifo: {path: /run/a, user: nosuchuser}")
    assert ready.supervisor.fifos == {}
    assert found == ["1 warning unknown-user"]


def test_the_machine_fills_in_who_the_mail_is_from() -> None:
    ready, _found = prepared("smtp_server: localhost, notification_email: [a@example.org]")
    assert ready.mail is not None
    assert ready.mail.host in {"127.0.0.1", "::1"}
    assert ready.mail.helo_name == ready.mail.subject_prefix == socket.gethostname()
    me = f"{pwd.getpwuid(os.geteuid()).pw_name}@{socket.gethostname()}"
    assert ready.mail.sender == Recipient(me, me)
    said = "smtp_helo_name: h, router_id: r, notification_email_from: f@example.org"
    ready, _found = prepared(f"smtp_server: 192.0.2.25, notification_email: [a@example.org], {said}")
    assert ready.mail is not None
    assert (ready.mail.host, ready.mail.helo_name, ready.mail.subject_prefix) == ("192.0.2.25", "h", "r")
    assert ready.mail.sender.address == "f@example.org"


def test_a_relay_that_nobody_knows_is_said() -> None:
    ready, found = prepared("smtp_server: relay.invalid, notification_email: [a@example.org]", "smtp_alert: true")
    assert ready.mail is None
    assert not ready.vrrp.sends_mail
    assert found == ["1 warning smtp-server-unknown"]

"""What the checkers worker may do, and the scripts of virtual servers, on this machine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kactl_agent.checkers.settings import CheckTiming, ConnectTarget, TcpCheckSettings
from kactl_agent.config.bind import bind
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.trackers import ScriptPolicy
from kactl_agent.ipvs.model import AF_INET, Timeouts
from kactl_agent.ipvs.settings import CheckersSettings, Members, RealServerSettings, VirtualServerSettings
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.supervisor.balancing_files import encoded, prepare_balancing, privileges_for
from kactl_agent.supervisor.script_files import ScriptPreparer
from kactl_agent.tracking.settings import Command


def with_check(target: ConnectTarget) -> CheckersSettings:
    check = TcpCheckSettings(timing=CheckTiming(), target=target)
    real = RealServerSettings(bytes((10, 0, 0, 1)), 80, checkers=(check,))
    server = VirtualServerSettings(
        name="v", protocol=6, members=(Members(AF_INET, 6, b"\1\2\3\4"),), real_servers=(real,)
    )
    return CheckersSettings(virtual_servers=(server,))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (with_check(ConnectTarget(address="10.0.0.1", port=80)), ()),
        (with_check(ConnectTarget(address="10.0.0.1", port=80, bind_port=500)), ("CAP_NET_BIND_SERVICE",)),
        (with_check(ConnectTarget(address="10.0.0.1", port=80, bind_port=5000)), ()),
        (with_check(ConnectTarget(address="fe80::1", port=80, bind_interface="eth0")), ("CAP_NET_RAW",)),
    ],
)
def test_privileges_are_those_that_are_needed(settings: CheckersSettings, names: tuple[str, ...]) -> None:
    assert privileges_for(settings, ProcessSettings()) == names
    for namespace in ("other", ""):
        assert privileges_for(settings, ProcessSettings(namespace_ipvs=namespace)) == ("CAP_SYS_ADMIN", *names)


def test_nothing_to_do_is_no_worker() -> None:
    assert encoded(CheckersSettings()) == b""
    assert encoded(CheckersSettings(init_notifies=True)) == b""
    settings = CheckersSettings(timeouts=Timeouts(1))
    assert msgspec.msgpack.decode(encoded(settings), type=CheckersSettings) == settings


def test_scripts_that_can_be_run_come_with_their_executables(tmp_path: Path) -> None:
    program = tmp_path / "up"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    sheet = Sheet(bind("{}", "agent.yaml"))
    there, missing = Command((str(program),), "root"), Command((str(tmp_path / "nosuch"),), "root")
    path = ("virtual_server", 0, "quorum_up")
    preparer = ScriptPreparer(sheet, ScriptPolicy())
    ready = prepare_balancing(sheet, preparer, CheckersSettings(), [(path, there), (path, missing)])
    assert [(command, executable.arguments) for command, executable in ready.executables] == [(there, (str(program),))]
    assert [problem.diagnostic.code for problem in sheet.problems] == ["script-disabled"]

"""What the checkers worker may do, and the scripts of virtual servers, on this machine."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kactl_agent.config.bind import bind
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.trackers import ScriptPolicy
from kactl_agent.ipvs.model import Timeouts
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.supervisor.balancing_files import encoded, prepare_balancing, privileges_for
from kactl_agent.supervisor.script_files import ScriptPreparer
from kactl_agent.tracking.settings import Command


def test_only_another_network_namespace_is_a_privilege_beyond_those_of_every_worker() -> None:
    assert privileges_for(ProcessSettings()) == ()
    for namespace in ("other", ""):
        assert privileges_for(ProcessSettings(namespace_ipvs=namespace)) == ("CAP_SYS_ADMIN",)


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

from __future__ import annotations

import os
import resource
from pathlib import Path

from kactl_agent.supervisor.core_dumps import CoreDumps


def test_the_pattern_is_as_before_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "core_pattern"
    file.write_text("|/usr/lib/systemd/systemd-coredump %P\n")
    pid = os.fork()
    if pid == 0:
        dumps = CoreDumps("/var/crash/core.%p", file)
        said = dumps.allow()
        meanwhile = file.read_text()
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        dumps.restore()
        dumps.restore()
        os._exit(not (said == "" and meanwhile == "/var/crash/core.%p\n" and soft == hard))
    assert os.waitpid(pid, 0)[1] == 0
    assert file.read_text() == "|/usr/lib/systemd/systemd-coredump %P\n"


def test_a_pattern_that_cannot_be_set_is_said(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    dumps = CoreDumps("core", tmp_path / "no" / "core_pattern")
    assert dumps.allow() == "core_pattern stays as it is: No such file or directory"
    dumps.restore()
    resource.setrlimit(resource.RLIMIT_CORE, (min(limits[0], limits[1]), resource.getrlimit(resource.RLIMIT_CORE)[1]))


def test_nothing_but_the_limit_without_a_pattern(tmp_path: Path) -> None:
    file = tmp_path / "core_pattern"
    file.write_text("core\n")
    dumps = CoreDumps("", file)
    assert dumps.allow() == ""
    dumps.restore()
    assert file.read_text() == "core\n"

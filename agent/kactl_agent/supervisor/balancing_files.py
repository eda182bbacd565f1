"""Load balancing made ready for this machine: its scripts and checkers, whom it tells, what its worker may do.

Part of loading a configuration, as `script_files`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.supervisor.check_files import prepare_checkers
from kactl_agent.supervisor.notify_files import LVS_FIFOS, PreparedNotify
from kactl_agent.supervisor.script_files import ScriptPreparer
from kactl_agent.tracking.settings import Command, Executable

_HINT = "the event is told in all other ways, but this script is not run"


def prepare_balancing(
    sheet: Sheet,
    preparer: ScriptPreparer,
    settings: CheckersSettings,
    scripts: Iterable[tuple[Path, Command]],
) -> CheckersSettings:
    """The settings with the executables of `scripts` (commands, and where they stand) and of checkers."""
    found: dict[Command, Executable] = {}
    for path, command in scripts:
        executable = preparer.prepare(path, f"{path[-1]} of a {path[-3]}", command, _HINT)
        if executable is not None:
            found[command] = executable
    ready = prepare_checkers(sheet, preparer, settings)
    return msgspec.structs.replace(ready, executables=tuple(found.items()))


def told(settings: CheckersSettings, notify: PreparedNotify) -> CheckersSettings:
    """The settings with whom the worker tells what happens."""
    fifos = tuple(keyword for keyword in LVS_FIFOS if keyword in notify.supervisor.fifos)
    return msgspec.structs.replace(settings, fifos=fifos, mails=notify.mail is not None)


def privileges_for(process: ProcessSettings) -> tuple[str, ...]:
    """Capabilities the worker needs beyond those it always has: to enter the network namespace of IPVS."""
    return () if process.namespace_ipvs is None else ("CAP_SYS_ADMIN",)


def encoded(settings: CheckersSettings) -> bytes:
    """What the worker decodes; empty when there is nothing to do."""
    return msgspec.msgpack.encode(settings) if settings.wanted else b""

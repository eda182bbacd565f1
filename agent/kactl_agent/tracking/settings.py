"""What the trackers need to know of the configuration: resolved, defaulted, integers only.

`config/resolve.py` makes these from what the user wrote. Times are nanoseconds.
"""

from __future__ import annotations

import shlex
from enum import Enum

import msgspec

from kactl_agent.vrrp.settings import SECOND


class TrackerKind(Enum):
    """What is tracked; the value is the keyword of the list that names it."""

    INTERFACE = "track_interface"
    SCRIPT = "track_script"
    FILE = "track_file"
    PROCESS = "track_process"
    BFD = "track_bfd"


class Command(msgspec.Struct, frozen=True):
    """A command line, split into its words, and who runs it. Empty names stand for the default of the machine."""

    arguments: tuple[str, ...]
    user: str = ""
    group: str = ""


class Executable(msgspec.Struct, frozen=True):
    """A command made ready for this machine: what to execute, and as whom."""

    arguments: tuple[str, ...]  # the first is an absolute path
    uid: int
    gid: int
    shell: bool = False  # the kernel cannot execute the file: a shell has to read it

    def with_arguments(self, *more: str) -> Executable:
        """The same with further arguments behind its own."""
        return Executable((*self.arguments, *more), self.uid, self.gid, self.shell)

    @property
    def command_line(self) -> tuple[str, ...]:
        """What the kernel is given: as keepalived, `/bin/sh -c` and every word in quotes, where a shell is needed."""
        return ("/bin/sh", "-c", shlex.join(self.arguments)) if self.shell else self.arguments


class ScriptSettings(msgspec.Struct, frozen=True, kw_only=True):
    """vrrp_script."""

    name: str
    command: Command
    interval: int = SECOND  # from start to start
    timeout: int = SECOND
    rise: int = 1
    fall: int = 1
    init_fail: bool = False


class FileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """track_file."""

    name: str
    path: str
    initial: int | None = None  # written at the start, None: nothing is (init_file)
    overwrite: bool = False


class ParamMatch(Enum):
    """How the arguments of a process are compared with those wanted."""

    ANY = ""  # no arguments are wanted and nothing is said: they are not looked at
    EXACT = "exact"
    PARTIAL = "partial"  # the first ones are as wanted, more may follow
    INITIAL = "initial"  # as PARTIAL, and the last one wanted may be the beginning of a longer one


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """vrrp_track_process."""

    name: str
    process: str  # name, or with full_command or arguments the first word of the command line
    arguments: tuple[str, ...] = ()
    param_match: ParamMatch = ParamMatch.ANY
    full_command: bool = False
    quorum: int = 1
    quorum_max: int | None = None  # None is no limit
    fork_delay: int = 0
    terminate_delay: int = 0


class TrackerUse(msgspec.Struct, frozen=True):
    """One entry of an instance's tracker lists, or of its group's: what it tracks and what that is worth."""

    kind: TrackerKind
    tracker: str  # name of the interface, the script, ...
    weight: int = 0  # 0: a failure is a FAULT
    reverse: bool = False
    group: str = ""  # the sync group that says so, empty: the instance itself

    @property
    def name(self) -> str:
        """Unique in an instance: `track_script chk`, `track_script chk of group VG`."""
        own = f"{self.kind.value} {self.tracker}"
        return f"{own} of group {self.group}" if self.group else own


class TrackingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is tracked, and by which instances. Nothing is defined here that no instance uses."""

    scripts: tuple[ScriptSettings, ...] = ()
    files: tuple[FileSettings, ...] = ()
    processes: tuple[ProcessSettings, ...] = ()
    uses: dict[str, tuple[TrackerUse, ...]] = {}  # by instance


def without_secrets(tracking: TrackingSettings) -> TrackingSettings:
    """The same for those who only look: of command lines the file alone, arguments may be secrets."""
    replace = msgspec.structs.replace
    scripts = tuple(
        replace(script, command=replace(script.command, arguments=script.command.arguments[:1]))
        for script in tracking.scripts
    )
    processes = tuple(replace(process, arguments=()) for process in tracking.processes)
    return replace(tracking, scripts=scripts, processes=processes)

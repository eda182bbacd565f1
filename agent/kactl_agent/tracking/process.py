"""Whether as many processes of a kind run as are wanted (keepalived vrrp_track_process)."""

from __future__ import annotations

from kactl_agent.tracking.actions import (
    ProcessEnded,
    ProcessesListed,
    ProcessForked,
    ProcessSeen,
    Verdict,
    VerdictChanged,
)
from kactl_agent.tracking.settings import ParamMatch, ProcessSettings
from kactl_agent.vrrp.actions import Action, Input, Report

NAME_LENGTH = 15  # bytes of its name that the kernel keeps


def needs_command_line(settings: ProcessSettings) -> bool:
    """Whether the name of a process is not enough to compare with."""
    return settings.full_command or settings.param_match is not ParamMatch.ANY


def matches(settings: ProcessSettings, name: bytes, command: tuple[bytes, ...]) -> bool:
    """Whether a process is of the kind, as keepalived 2.2.7 counts. `name` is its comm, `command` its command line.

    A name is compared as it is given, so one that is longer than the kernel keeps is the name of no process.
    """
    wanted = _bytes(settings.process)
    if not needs_command_line(settings):
        return name == wanted
    if not command or command[0] != wanted:
        return False
    arguments, given = tuple(map(_bytes, settings.arguments)), command[1:]
    match settings.param_match:
        case ParamMatch.ANY:
            return True
        case ParamMatch.EXACT:
            return given == arguments
        case ParamMatch.PARTIAL:
            return given[: len(arguments)] == arguments
        case ParamMatch.INITIAL:
            count = len(arguments)
            if not count:
                return True
            return (
                len(given) >= count
                and given[: count - 1] == arguments[:-1]
                and given[count - 1].startswith(arguments[-1])
            )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class ProcessTracker:
    """Counts the processes that match. It decides when all that run have been listed once; after that a change counts
    when it has lasted for fork_delay (enough) or terminate_delay (not as many as wanted)."""

    def __init__(self, settings: ProcessSettings, earlier: Verdict | None = None) -> None:
        """`earlier` is what was decided before a reload that changed the settings."""
        self._settings = settings
        self._verdict = earlier or Verdict(None)
        self._listed = False
        self._pids: set[int] = set()
        self._decide_at: int | None = None

    @property
    def settings(self) -> ProcessSettings:
        return self._settings

    @property
    def verdict(self) -> Verdict:
        return self._verdict

    @property
    def pids(self) -> frozenset[int]:
        """The processes that count now."""
        return frozenset(self._pids)

    def concerns(self, event: Input) -> bool:
        """Whether an input can change anything: most that happens on a machine cannot."""
        match event:
            case ProcessForked():
                return event.parent in self._pids
            case ProcessEnded():
                return event.pid in self._pids
        return True

    def handle_event(self, event: Input, now: int) -> list[Action]:
        """ProcessSeen, ProcessForked, ProcessEnded, ProcessesListed. Raises TypeError for others."""
        match event:
            case ProcessSeen():
                if matches(self._settings, event.name, event.command):
                    self._pids.add(event.pid)
                else:
                    self._pids.discard(event.pid)
            case ProcessForked():
                if event.parent in self._pids:
                    self._pids.add(event.pid)
            case ProcessEnded():
                self._pids.discard(event.pid)
            case ProcessesListed():
                self._pids.intersection_update(event.pids)
                if not self._listed:
                    self._listed = True
                    return self._decide()
            case _:
                raise TypeError(f"{type(event).__name__} is no input of a tracked process")
        return self._counted(now)

    def handle_timer(self, now: int) -> list[Action]:
        """`deadline()` has come. Early or superfluous calls do nothing."""
        return self._decide() if self._decide_at is not None and self._decide_at <= now else []

    def deadline(self) -> int | None:
        return self._decide_at

    def _counted(self, now: int) -> list[Action]:
        if not self._listed:
            return []
        enough = self._enough
        if enough is self._verdict.up:
            self._decide_at = None
            return []
        delay = self._settings.fork_delay if enough else self._settings.terminate_delay
        if not delay:
            return self._decide()
        if self._decide_at is None:
            self._decide_at = now + delay
        return []

    @property
    def _enough(self) -> bool:
        most = self._settings.quorum_max
        return len(self._pids) >= self._settings.quorum and (most is None or len(self._pids) <= most)

    def _decide(self) -> list[Action]:
        self._decide_at = None
        enough = self._enough
        if enough is self._verdict.up:
            return []
        settings = self._settings
        most = "" if settings.quorum_max is None else f", at most {settings.quorum_max}"
        running = f"{len(self._pids)} process{'' if len(self._pids) == 1 else 'es'} running"
        detail = f"{running}, wanted are at least {settings.quorum}{most}"
        self._verdict = Verdict(enough, 0, detail)
        text = f"vrrp_track_process {settings.name} {'succeeded' if enough else 'failed'}: {detail}"
        code, level = ("process_up", "info") if enough else ("process_down", "warning")
        return [Report(code, text, level), VerdictChanged(self._verdict)]

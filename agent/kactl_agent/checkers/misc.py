"""MISC_CHECK: a program says with its exit status how the real server is. One run, as an engine."""

from __future__ import annotations

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.settings import MiscCheckSettings
from kactl_agent.tracking.actions import ScriptEnded, ScriptLost, ScriptStarted, SignalScript
from kactl_agent.vrrp.actions import ActionFailed, Input
from kactl_agent.vrrp.settings import SECOND

KILL_DELAY = 2 * SECOND  # from SIGTERM to SIGKILL for a run that takes too long
_SIGTERM, _SIGKILL = 15, 9
_FIRST_WEIGHT, _LAST_WEIGHT = 2, 255  # exit statuses of misc_dynamic that are weights


def misc_outcome(status: int, *, dynamic: bool) -> CheckEnded:
    """What an exit status means; a signal is a negative number."""
    if status < 0:
        return CheckEnded(False, f"killed by signal {-status}")
    if status == 0:
        return CheckEnded(True, "exited with status 0")
    if dynamic and _FIRST_WEIGHT <= status <= _LAST_WEIGHT:
        weight = status - _FIRST_WEIGHT
        return CheckEnded(True, f"exited with status {status}: weight {weight}", weight=weight)
    return CheckEnded(False, f"exited with status {status}")


class MiscRun:
    """A run that was asked for. One that takes too long has failed: SIGTERM, then SIGKILL. The outcome is there when it
    has ended or was killed, so that the next one never runs beside it."""

    def __init__(self, settings: MiscCheckSettings) -> None:
        self._settings = settings
        self._deadline: int | None = None
        self._timed_out = False
        self.outcome: CheckEnded | CheckLost | None = None
        self.over = False

    def handle_event(self, event: Input, now: int) -> list[SignalScript]:
        """ScriptStarted, ScriptEnded, ScriptLost, and ActionFailed for a run that could not begin."""
        match event:
            case ScriptStarted():
                self._deadline = now + self._settings.timeout
            case ScriptEnded():
                ended = misc_outcome(event.status, dynamic=self._settings.dynamic)
                self._end(self._too_long() if self._timed_out else ended)
            case ScriptLost():
                self._end(CheckLost())
            case ActionFailed():
                self._end(CheckEnded(False, f"could not be run: {event.reason}"))
            case _:
                raise TypeError(f"{type(event).__name__} is no input of a run")
        return []

    def handle_timer(self, now: int) -> list[SignalScript]:
        """`deadline()` has come. Early or superfluous calls do nothing."""
        if self._deadline is None or self._deadline > now:
            return []
        if self._timed_out:
            self._deadline = None
            self.outcome = self.outcome or self._too_long()
            return [SignalScript(_SIGKILL)]
        self._timed_out = True
        self._deadline = now + KILL_DELAY
        return [SignalScript(_SIGTERM)]

    def abort(self, now: int) -> list[SignalScript]:
        """Nobody wants its result any more."""
        self.outcome = self.outcome or CheckLost()
        if self.over or self._timed_out:
            return []
        self._timed_out, self._deadline = True, now + KILL_DELAY
        return [SignalScript(_SIGTERM)]

    def deadline(self) -> int | None:
        return self._deadline

    def _too_long(self) -> CheckEnded:
        return CheckEnded(False, f"timed out after {self._settings.timeout // SECOND} s")

    def _end(self, outcome: CheckEnded | CheckLost) -> None:
        self.outcome = self.outcome or outcome
        self._deadline, self.over = None, True

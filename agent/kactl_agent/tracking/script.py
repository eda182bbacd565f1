"""A vrrp_script: when it runs, and what its results make of it (keepalived vrrp_script, track_script)."""

from __future__ import annotations

from kactl_agent.tracking.actions import (
    ScriptEnded,
    ScriptLost,
    ScriptStarted,
    SignalScript,
    StartScript,
    Verdict,
    VerdictChanged,
)
from kactl_agent.tracking.settings import ScriptSettings
from kactl_agent.vrrp.actions import Action, ActionFailed, Input, Report, Shutdown, Startup
from kactl_agent.vrrp.settings import SECOND

KILL_DELAY = 2 * SECOND  # from SIGTERM to SIGKILL for a run that takes too long
_SIGTERM, _SIGKILL = 15, 9


class ScriptTracker:
    """Runs are `interval` apart from start to start and never overlap: a start that is due while one runs is left out.

    The first result decides at once, with init_fail as well (as in keepalived 2.2.7); after it, `rise` successes in a
    row or `fall` failures in a row do. A run that takes longer than `timeout` has failed there and then; what it exits
    with does not count any more.
    """

    def __init__(self, settings: ScriptSettings, earlier: Verdict | None = None) -> None:
        """`earlier` is what results have decided before a reload that changed the settings."""
        self._settings = settings
        self._verdict = earlier or _first_verdict(settings)
        self._decided = earlier is not None  # by a result
        self._contrary = 0  # results in a row that speak against the verdict
        self._last_status: int | str = 0  # what was last said about in the log
        self._next_start: int | None = None
        self._running = False
        self._give_up_at: int | None = None  # of this run: SIGTERM, then SIGKILL
        self._timed_out = False
        self._stopped = False

    @property
    def settings(self) -> ScriptSettings:
        return self._settings

    @property
    def verdict(self) -> Verdict:
        return self._verdict

    @property
    def decided(self) -> bool:
        """Whether a result has decided it."""
        return self._decided

    def handle_event(self, event: Input, now: int) -> list[Action]:
        """Startup, Shutdown, ScriptStarted, ScriptEnded, ScriptLost, and ActionFailed for a StartScript.

        Raises TypeError for others.
        """
        match event:
            case Startup():
                return self._start(now)
            case Shutdown():
                self._stopped, self._next_start, self._give_up_at = True, None, None
                return [SignalScript(_SIGTERM)] if self._running else []
            case ScriptStarted():
                if self._running and not self._stopped:
                    self._give_up_at = now + self._settings.timeout
                return []
            case ScriptEnded():
                return self._ended(event.status)
            case ScriptLost():
                self._running, self._give_up_at = False, None
                return []
            case ActionFailed():
                return self._not_started(event)
        raise TypeError(f"{type(event).__name__} is no input of a script")

    def handle_timer(self, now: int) -> list[Action]:
        """`deadline()` has come. Early or superfluous calls do nothing."""
        actions: list[Action] = []
        if self._give_up_at is not None and self._give_up_at <= now:
            actions += self._give_up(now)
        if self._next_start is not None and self._next_start <= now:
            actions += self._start(now)
        return actions

    def deadline(self) -> int | None:
        times = (self._next_start, self._give_up_at)
        return min((time for time in times if time is not None), default=None)

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _start(self, now: int) -> list[Action]:
        interval = self._settings.interval
        due = now if self._next_start is None else self._next_start
        # a loop that was held up does not make up for the runs it missed
        self._next_start = due + interval if due + interval > now else now + interval
        if self._running:
            return []
        self._running, self._timed_out = True, False
        return [StartScript()]

    def _give_up(self, now: int) -> list[Action]:
        if self._timed_out:
            self._give_up_at = None
            return [SignalScript(_SIGKILL)]
        self._timed_out = True
        self._give_up_at = now + KILL_DELAY
        seconds = f"{self._settings.timeout // SECOND}.{self._settings.timeout % SECOND // 1_000_000:03d}"
        return [SignalScript(_SIGTERM), *self._result(False, f"timed out after {seconds} s", "timeout")]

    def _ended(self, status: int) -> list[Action]:
        if not self._running:
            return []
        counted = self._timed_out or self._stopped
        self._running, self._give_up_at = False, None
        if counted:
            return []
        detail = f"exited with status {status}" if status >= 0 else f"was killed by signal {-status}"
        return self._result(status == 0, detail, status)

    def _not_started(self, event: ActionFailed) -> list[Action]:
        if event.action != StartScript.__name__ or not self._running:
            return []
        self._running, self._give_up_at = False, None
        return self._result(False, f"could not be run: {event.reason}", event.reason)

    # -- results -------------------------------------------------------------------------------------------------------

    def _result(self, success: bool, detail: str, status: int | str) -> list[Action]:
        settings, actions = self._settings, list[Action]()
        if status != self._last_status:
            self._last_status = status
            level = "info" if success else "warning"
            actions.append(Report("script_status", f"vrrp_script {settings.name}: {detail}", level))
        if success is self._verdict.up and self._decided:
            self._contrary = 0
            return actions
        self._contrary += 1
        if self._decided and self._contrary < (settings.rise if success else settings.fall):
            return actions
        self._decided, self._contrary = True, 0
        self._verdict = Verdict(success, 0, detail)
        text = f"vrrp_script {settings.name} {'succeeded' if success else 'failed'}: {detail}"
        code, level = ("script_up", "info") if success else ("script_down", "warning")
        return [*actions, Report(code, text, level), VerdictChanged(self._verdict)]


def _first_verdict(settings: ScriptSettings) -> Verdict:
    return Verdict(False, 0, "init_fail: it has not run yet") if settings.init_fail else Verdict(None)

"""Reload: load and validate aside, hand the settings to the workers, say how it went. Whatever fails, the old stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges, compare
from kactl_agent.supervisor.loading import LoadingProcess, LoadOutcome, report_lines
from kactl_agent.supervisor.poller import Poller, TimerHandle

_LOADING_SECONDS = 30.0
_APPLYING_SECONDS = 10.0


class Host(Protocol):
    """What a reload needs of the supervisor."""

    configuration: AgentConfiguration

    def log(self, level: str, message: str) -> None: ...

    def refuses(self, configuration: AgentConfiguration) -> str:
        """Why the workers cannot run this, or an empty string."""

    def hand_over(self, serial: int, configuration: AgentConfiguration) -> bool:
        """Send settings to the VRRP worker. False when it is not running: it starts with what is current."""

    def adopt(self, configuration: AgentConfiguration) -> None:
        """This is the configuration in force now."""

    def reloading(self, under_way: bool) -> None: ...

    def answer(self, outcome: frames.ReloadOutcome) -> None: ...


class Reload:
    """One reload at a time; while one runs, any number of requests lead to one more."""

    def __init__(self, host: Host, poller: Poller, load: Callable[[], LoadingProcess]) -> None:
        self._host = host
        self._poller = poller
        self._load = load
        self._loading: LoadingProcess | None = None
        self._applying: AgentConfiguration | None = None
        self._late: AgentConfiguration | None = None  # handed over, never answered: the worker may yet take it
        self._serial = 0
        self._timed_out = False
        self._cancelled = False
        self._patience: TimerHandle | None = None
        self._answering: list[int] = []  # requests the running reload answers
        self._waiting: list[int] = []  # requests for the next one

    @property
    def under_way(self) -> bool:
        return self._loading is not None or self._applying is not None

    def configurations(self) -> list[AgentConfiguration]:
        """Those the VRRP worker may be running: in the middle of a reload either."""
        possible = (self._host.configuration, self._late, self._applying)
        return [configuration for configuration in possible if configuration is not None]

    def request(self, serial: int) -> None:
        """`serial` is of the request to answer, 0 for a signal."""
        if self.under_way:
            self._waiting.append(serial)
        else:
            self._begin([serial])

    def cancel(self) -> None:
        """The agent is stopping. What was handed over stays one of the `configurations`."""
        self._cancelled = True
        self._waiting.clear()
        if self._patience is not None:
            self._patience.cancel()
        if self._loading is not None:
            self._poller.remove_reader(self._loading.fileno())
            self._loading.kill()
            self._loading.outcome()
            self._loading = None

    def applied(self, frame: frames.SettingsApplied) -> None:
        """The VRRP worker has answered."""
        if self._cancelled:
            return
        if self._late is not None and frame.serial == self._serial and not frame.error:
            late, self._late = self._late, None
            self._host.adopt(late)
            self._host.log(
                "warning", f"the vrrp worker runs again: configuration {late.revision} is in force after all"
            )
            return
        if self._applying is None or frame.serial != self._serial:
            return
        if frame.error:
            self._end(False, f"the vrrp worker refused the settings: {frame.error}")
        else:
            self._adopt(self._applying, frame.changes)

    def worker_lost(self) -> None:
        """The VRRP worker has ended: the one that follows starts with the new configuration."""
        self._late = None
        if self._applying is not None:
            new = self._applying
            self._adopt(new, compare(self._host.configuration.vrrp, new.vrrp))

    # -- one after the other -------------------------------------------------------------------------------------------

    def _begin(self, answering: list[int]) -> None:
        self._answering = answering
        self._host.reloading(True)
        self._host.log("info", "reload: reading the configuration")
        try:
            self._loading = self._load()
        except OSError as error:
            self._end(False, f"no process to read the configuration: {error.strerror or error}")
            return
        self._timed_out = False
        self._patience = self._poller.call_later(_LOADING_SECONDS, self._give_up)
        self._poller.add_reader(self._loading.fileno(), self._loaded)

    def _give_up(self) -> None:
        if self._loading is not None:
            self._timed_out = True
            self._loading.kill()

    def _loaded(self) -> None:
        assert self._loading is not None
        if self._patience is not None:
            self._patience.cancel()
        self._poller.remove_reader(self._loading.fileno())
        outcome, self._loading = self._loading.outcome(), None
        if self._timed_out:
            self._end(False, f"reading the configuration took longer than {_LOADING_SECONDS:.0f} s")
            return
        self._say(outcome)
        if outcome.configuration is None:
            shown = "\n".join(outcome.report[:50])
            self._end(False, f"the configuration is invalid, the old one stays in force:\n{shown}")
            return
        refusal = self._host.refuses(outcome.configuration)
        if refusal:
            self._end(False, refusal)
            return
        self._host.log("debug", f"reload: handing configuration {outcome.configuration.revision} over")
        self._serial += 1
        self._late = None  # whatever it was, this one follows it
        self._applying = outcome.configuration
        self._patience = self._poller.call_later(_APPLYING_SECONDS, self._too_late)
        if not self._host.hand_over(self._serial, outcome.configuration):
            self.worker_lost()

    def _say(self, outcome: LoadOutcome) -> None:
        for level, line in report_lines(outcome, self._host.configuration.file):
            self._host.log(level, line)

    def _too_late(self) -> None:
        """The worker hangs. What it runs is not known: what was asked for is not in force before it says so."""
        self._late = self._applying
        self._end(False, f"the vrrp worker did not take the settings within {_APPLYING_SECONDS:.0f} s")

    def _adopt(self, new: AgentConfiguration, changes: ConfigurationChanges) -> None:
        self._host.adopt(new)
        parts = [
            f"{kind} {', '.join(names)}"
            for kind, names in (("removed", changes.removed), ("changed", changes.changed), ("added", changes.added))
            if names
        ]
        self._end(True, "; ".join(parts) or "nothing changed", changes)

    def _end(self, ok: bool, message: str, changes: ConfigurationChanges | None = None) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._applying = None
        self._host.log("info" if ok else "error", f"reload {'done' if ok else 'failed'}: {message.splitlines()[0]}")
        self._host.reloading(False)
        revision = self._host.configuration.revision
        answering, self._answering = self._answering, []
        for number, serial in enumerate(answering):
            outcome = frames.ReloadOutcome(serial, ok, message[:16_000], revision, changes, journal=number == 0)
            self._host.answer(outcome)
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._begin(waiting)

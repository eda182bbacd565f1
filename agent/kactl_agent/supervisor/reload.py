"""Reload: load and validate aside, have every worker look at its settings, then put them in force everywhere.

Whatever fails before that, the old configuration stays in force in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges, compare
from kactl_agent.supervisor.loading import LoadingProcess, LoadOutcome, report_lines
from kactl_agent.supervisor.poller import Poller, TimerHandle
from kactl_agent.supervisor.versions import ReloadOrder, Versions

_LOADING_SECONDS = 30.0
_PREPARING_SECONDS = 10.0
_APPLYING_SECONDS = 10.0
_MOST_NAMES = 20  # of what has changed, in a message
_MOST_PROBLEMS = 20  # in an answer


class Host(Protocol):
    """What a reload needs of the supervisor."""

    configuration: AgentConfiguration

    def log(self, level: str, message: str) -> None: ...

    def refuses(self, configuration: AgentConfiguration) -> str:
        """Why the workers cannot run this, or an empty string."""

    def hand_over(self, serial: int, configuration: AgentConfiguration) -> list[str]:
        """Send every worker its settings to look at. Who will answer; the others start with what is current."""

    def commit(self, serial: int, workers: Iterable[str], configuration: AgentConfiguration) -> None:
        """Tell them to put in force what they have looked at."""

    def drop(self, serial: int, workers: Iterable[str]) -> None:
        """Tell them that nothing comes of it."""

    def adopt(self, configuration: AgentConfiguration) -> None:
        """This is the configuration in force now."""

    def reloading(self, under_way: bool) -> None: ...

    def answer(self, outcome: frames.ReloadOutcome) -> None: ...


class Reload:
    """One reload at a time. While one runs, any number of requests for the file as it is lead to one more; other orders
    follow one after the other: the last one wins.

    `load` starts the process that reads a file (empty: the configuration file).
    """

    def __init__(self, host: Host, poller: Poller, versions: Versions, load: Callable[[str], LoadingProcess]) -> None:
        self._host = host
        self._poller = poller
        self._versions = versions
        self._load = load
        self._order = ReloadOrder()  # the one that is carried out
        self._text: bytes | None = None  # what was read for it
        self._impact = ""
        self._loading: LoadingProcess | None = None
        self._preparing: AgentConfiguration | None = None
        self._applying: AgentConfiguration | None = None
        self._late: AgentConfiguration | None = None  # put in force, never answered: a worker may yet take it
        self._asked: list[str] = []  # the workers that were handed the settings
        self._awaited: set[str] = set()  # those of them that have not answered
        self._changes: dict[str, ConfigurationChanges] = {}
        self._problems: list[str] = []
        self._serial = 0
        self._timed_out = False
        self._cancelled = False
        self._patience: TimerHandle | None = None
        self._answering: list[int] = []  # requests the running reload answers
        self._waiting: list[ReloadOrder] = []

    @property
    def under_way(self) -> bool:
        return self._loading is not None or self._preparing is not None or self._applying is not None

    def configurations(self) -> list[AgentConfiguration]:
        """Those a worker may be running: in the middle of a reload either."""
        possible = (self._host.configuration, self._late, self._applying)
        return [configuration for configuration in possible if configuration is not None]

    def to_start_with(self) -> AgentConfiguration | None:
        """For a worker that starts now; None while it may be the old one or the new one."""
        if self._preparing is not None:
            return None
        return self._applying or self._host.configuration

    def request(self, order: ReloadOrder) -> None:
        if self.under_way:
            self._waiting.append(order)
        else:
            self._begin([order])

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

    def prepared(self, worker: str, frame: frames.SettingsPrepared) -> None:
        """A worker has looked at its settings."""
        if self._cancelled or self._preparing is None or frame.serial != self._serial:
            return
        if frame.error:
            self._drop(f"the {worker} worker refused the settings: {frame.error}")
            return
        self._awaited.discard(worker)
        if not self._awaited:
            self._commit()

    def applied(self, worker: str, frame: frames.SettingsApplied) -> None:
        """A worker has put them in force."""
        if self._cancelled or frame.serial != self._serial:
            return
        if frame.error:
            self._problems.append(f"{worker}: {frame.error}")
        self._problems += [f"{worker}: {problem}" for problem in frame.problems]
        self._changes[worker] = frame.changes
        self._awaited.discard(worker)
        if self._awaited:
            return
        if self._late is not None:
            late, self._late = self._late, None
            self._host.adopt(late)
            self._versions.accept(self._order, self._text)
            self._versions.concluded(self._order, late, self._text)
            text = f"the {worker} worker runs again: configuration {late.revision} is in force after all"
            self._host.log("warning", text)
        elif self._applying is not None:
            self._adopt(self._applying)

    def worker_lost(self, worker: str) -> None:
        """A worker has ended. While others look at their settings that may have been their fault; later, the one that
        follows starts with the new configuration."""
        if self._preparing is not None and worker in self._asked:
            self._drop(f"the {worker} worker ended while it looked at the settings")
            return
        if worker not in self._awaited:
            return
        self._awaited.discard(worker)
        if self._awaited:
            return
        self._late = None
        if self._applying is not None:
            self._adopt(self._applying)

    # -- one after the other -------------------------------------------------------------------------------------------

    def _begin(self, orders: list[ReloadOrder]) -> None:
        """The first is carried out, and answers the others."""
        order = self._order = orders[0]
        self._answering = [each.serial for each in orders]
        self._text, self._impact, self._timed_out = None, "", False
        needless = self._versions.needless(order)
        objection = "" if needless else self._versions.objection(order)
        if needless or objection:
            self._end(not objection, objection or needless)
            return
        self._host.reloading(True)
        if order.back:
            before = self._versions.before
            self._host.log("info", f"reload: going back to configuration {before.revision}")
            self._hand_over(before)
            return
        self._host.log("info", f"reload: reading {order.file or 'the configuration'}")
        try:
            self._loading = self._load(order.file)
        except OSError as error:
            self._end(False, f"no process to read the configuration: {error.strerror or error}")
            return
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
            self._end(False, f"the configuration is invalid, the old one stays in force:\n{shown}", invalid=True)
            return
        self._text = outcome.text
        if outcome.plan is not None:
            self._impact = outcome.plan.impact
            for line in outcome.plan.lines:
                self._host.log("info", f"reload: {line}")
        self._hand_over(outcome.configuration)

    def _hand_over(self, configuration: AgentConfiguration) -> None:
        refusal = self._host.refuses(configuration) or self._versions.accept(self._order, self._text)
        if refusal:
            self._end(False, refusal)
            return
        self._host.log("debug", f"reload: handing configuration {configuration.revision} over")
        self._serial += 1
        self._late = None  # whatever it was, this one follows it
        self._changes, self._problems = {}, []
        self._preparing = configuration
        self._patience = self._poller.call_later(_PREPARING_SECONDS, self._unprepared)
        self._asked = self._host.hand_over(self._serial, configuration)
        self._awaited = set(self._asked)
        if not self._awaited:
            self._commit()

    def _say(self, outcome: LoadOutcome) -> None:
        for level, line in report_lines(outcome, self._host.configuration.file):
            self._host.log(level, line)

    def _unprepared(self) -> None:
        self._drop(f"the {self._who()} did not look at the settings within {_PREPARING_SECONDS:.0f} s")

    def _drop(self, message: str) -> None:
        self._preparing = None
        self._host.drop(self._serial, self._asked)
        self._end(False, message)

    def _commit(self) -> None:
        """From here on the new configuration is the one that workers start with."""
        if self._patience is not None:
            self._patience.cancel()
        assert self._preparing is not None
        self._applying, self._preparing = self._preparing, None
        self._awaited = set(self._asked)
        self._patience = self._poller.call_later(_APPLYING_SECONDS, self._too_late)
        self._host.commit(self._serial, self._asked, self._applying)
        if not self._awaited:
            self._adopt(self._applying)

    def _too_late(self) -> None:
        """A worker hangs. What it runs is not known: what was asked for is not in force before it says so."""
        self._late = self._applying
        self._end(False, f"the {self._who()} did not take the settings within {_APPLYING_SECONDS:.0f} s")

    def _who(self) -> str:
        names = sorted(self._awaited)
        return f"{' and '.join(names)} worker{'s' if len(names) > 1 else ''}"

    def _adopt(self, new: AgentConfiguration) -> None:
        changes = self._changes.pop("vrrp", None) or compare(self._host.configuration.vrrp, new.vrrp)
        self._host.adopt(new)
        notes = self._versions.concluded(self._order, new, self._text)
        parts = _in_words(changes)
        for worker, what in (("checkers", "virtual server"), ("bfd", "bfd_instance")):
            others = self._changes.get(worker)
            parts += [] if others is None else _in_words(others, f"{what} ")
        if self._problems:
            more = len(self._problems) - _MOST_PROBLEMS
            shown = [*self._problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
            notes.insert(0, f"in force, but not all of it is as it should be: {'; '.join(shown)}")
        self._end(True, "; ".join([*(parts or ["nothing changed"]), *notes]), changes, notes=notes)

    def _end(
        self,
        ok: bool,
        message: str,
        changes: ConfigurationChanges | None = None,
        *,
        invalid: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._applying = None
        if not ok:
            self._versions.abandoned(self._order)
        self._host.log("info" if ok else "error", f"reload {'done' if ok else 'failed'}: {message.splitlines()[0]}")
        self._host.reloading(False)
        revision = self._host.configuration.revision
        others = self._changes if changes is not None else {}
        nothing_done = ok and changes is None
        rolled_back = not nothing_done if ok and self._order.back else None
        answering, self._answering = self._answering, []
        for number, serial in enumerate(answering):
            outcome = frames.ReloadOutcome(
                serial,
                ok,
                message[:16_000],
                revision,
                changes,
                number == 0 and not nothing_done,
                others,
                invalid,
                self._impact,
                tuple(notes),
                rolled_back,
            )
            self._host.answer(outcome)
        self._next()

    def _next(self) -> None:
        if not self._waiting:
            return
        plain = 0
        while plain < len(self._waiting) and self._waiting[plain].is_plain:
            plain += 1
        count = max(plain, 1)
        orders, self._waiting = self._waiting[:count], self._waiting[count:]
        self._begin(orders)


def _in_words(changes: ConfigurationChanges, what: str = "") -> list[str]:
    """`removed VI_1, VI_2`, `added virtual server [192.0.2.1]:tcp:80`: of thousands the first few."""
    kinds = (("removed", changes.removed), ("changed", changes.changed), ("added", changes.added))
    return [f"{kind} {what}{', '.join(names[:_MOST_NAMES])}{_more(names)}" for kind, names in kinds if names]


def _more(names: tuple[str, ...]) -> str:
    return f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""

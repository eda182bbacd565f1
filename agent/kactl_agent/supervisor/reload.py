"""Reload: load and validate aside, have every worker look at its settings, then put them in force everywhere.

Whatever fails before that, the old configuration stays in force in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

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
_LONGEST_MESSAGE = 16_000


class Host(Protocol):
    """What a reload needs of the supervisor."""

    configuration: AgentConfiguration

    def log(self, level: str, message: str) -> None: ...

    def refuses(self, configuration: AgentConfiguration) -> str:
        """Why the workers cannot run this, or an empty string."""

    def hand_over(self, serial: int, configuration: AgentConfiguration) -> list[str]:
        """Send every worker its settings to look at. Who will answer; the others start with what is current. Raises
        OSError when there is no room for them: nobody has got any then."""

    def commit(self, serial: int, workers: Iterable[str], configuration: AgentConfiguration) -> None:
        """Tell them to put in force what they have looked at."""

    def drop(self, serial: int, workers: Iterable[str]) -> None:
        """Tell them that nothing comes of it."""

    def adopt(self, configuration: AgentConfiguration) -> None:
        """This is the configuration in force now."""

    def reloading(self, under_way: bool) -> None: ...

    def answer(self, outcome: frames.ReloadOutcome) -> None: ...


class _Handover(msgspec.Struct, eq=False):
    """Settings that workers have been given, and for which order. Their answers say which of these they are about."""

    serial: int
    configuration: AgentConfiguration
    order: ReloadOrder
    text: bytes | None  # what was read for it
    impact: str
    asked: list[str]
    awaited: set[str]  # those of them that have not answered
    changes: dict[str, ConfigurationChanges] = {}
    problems: list[str] = []


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
        self._preparing: _Handover | None = None
        self._applying: _Handover | None = None
        self._late: list[_Handover] = []  # to be put in force, and not by all in time: who is awaited may yet do it
        self._serial = 0
        self._timed_out = False
        self._cancelled = False
        self._patience: TimerHandle | None = None
        self._answering: list[int] = []  # requests the running reload answers
        self._waiting: list[ReloadOrder] = []

    @property
    def under_way(self) -> bool:
        return self._loading is not None or self._preparing is not None or self._applying is not None

    @property
    def going_back(self) -> bool:
        """Whether the version before comes back: now, or as soon as a worker that hangs goes on."""
        running = (self._order,) if self.under_way else ()
        return any(order.back for order in (*running, *(handed.order for handed in self._late)))

    def configurations(self) -> list[AgentConfiguration]:
        """Those a worker may be running: in the middle of a reload either, and after one that not all have answered."""
        applying = [] if self._applying is None else [self._applying]
        return [self._host.configuration, *(handed.configuration for handed in (*self._late, *applying))]

    def to_start_with(self) -> AgentConfiguration | None:
        """For a worker that starts now; None while it may be the old one or the new one. What once was to be put in
        force is that: all who live run it, or will as soon as they can."""
        if self._preparing is not None:
            return None
        if self._applying is not None:
            return self._applying.configuration
        return self._late[-1].configuration if self._late else self._host.configuration

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
        handed = self._preparing
        if self._cancelled or handed is None or frame.serial != handed.serial:
            return
        if frame.error:
            self._drop(handed, f"the {worker} worker refused the settings: {frame.error}")
            return
        handed.awaited.discard(worker)
        if not handed.awaited:
            self._commit(handed)

    def applied(self, worker: str, frame: frames.SettingsApplied) -> None:
        """A worker has put them in force, however late."""
        handed = next((each for each in self._committed if each.serial == frame.serial), None)
        if self._cancelled or handed is None:
            return
        if frame.error:
            text = f"the {worker} worker did not put the settings in force: {frame.error}"
            if handed is self._applying:
                self._fail(handed, text)
            else:
                self._host.log("error", text)
            return
        handed.problems += [f"{worker}: {problem}" for problem in frame.problems]
        handed.changes[worker] = frame.changes
        handed.awaited.discard(worker)
        self._go_on()

    def worker_lost(self, worker: str) -> None:
        """A worker has ended. While others look at their settings that may have been their fault; later, the one that
        follows starts with the new configuration."""
        for handed in self._committed:
            handed.awaited.discard(worker)
        if self._preparing is not None and worker in self._preparing.asked:
            self._drop(self._preparing, f"the {worker} worker ended while it looked at the settings")
        else:
            self._go_on()

    @property
    def _committed(self) -> list[_Handover]:
        """What is to be in force, in order."""
        return self._late if self._applying is None else [*self._late, self._applying]

    def _go_on(self) -> None:
        """Somebody who was awaited is not any more."""
        if self._applying is None:
            self._adopt_late()
        elif not self._applying.awaited:
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
        serial = self._serial + 1
        try:
            asked = self._host.hand_over(serial, configuration)
        except OSError as error:
            self._end(False, f"there is no room for the settings: {error.strerror or error}")
            return
        self._serial = serial
        handed = _Handover(serial, configuration, self._order, self._text, self._impact, asked, set(asked))
        self._preparing = handed
        self._patience = self._poller.call_later(_PREPARING_SECONDS, self._unprepared)
        if not asked:
            self._commit(handed)

    def _say(self, outcome: LoadOutcome) -> None:
        for level, line in report_lines(outcome, self._host.configuration.file):
            self._host.log(level, line)

    def _unprepared(self) -> None:
        if self._preparing is not None:
            text = f"the {_who(self._preparing)} did not look at the settings within {_PREPARING_SECONDS:.0f} s"
            self._drop(self._preparing, text)

    def _drop(self, handed: _Handover, message: str) -> None:
        self._preparing = None
        self._host.drop(handed.serial, handed.asked)
        self._end(False, message)

    def _commit(self, handed: _Handover) -> None:
        """From here on the new configuration is the one that workers start with."""
        if self._patience is not None:
            self._patience.cancel()
        self._applying, self._preparing = handed, None
        handed.awaited = set(handed.asked)
        self._patience = self._poller.call_later(_APPLYING_SECONDS, self._too_late)
        self._host.commit(handed.serial, handed.asked, handed.configuration)
        self._go_on()

    def _too_late(self) -> None:
        if self._applying is not None:
            text = f"the {_who(self._applying)} did not take the settings within {_APPLYING_SECONDS:.0f} s"
            self._fail(self._applying, text)

    def _fail(self, handed: _Handover, message: str) -> None:
        """What those who are awaited run is not known: what was asked for is not in force before they say so, or are
        followed by others."""
        self._late.append(handed)
        self._end(False, message)

    def _adopt(self, handed: _Handover) -> None:
        outcome = self._put_in_force(handed)
        self._late.clear()  # this follows all of them
        self._end(True, outcome.message, outcome)

    def _adopt_late(self) -> None:
        """What was to be in force last, when all run it by now. Not in the middle of another reload, which may take its
        place."""
        if self.under_way or not self._late or self._late[-1].awaited:
            return
        late = self._late[-1]
        outcome = self._put_in_force(late, self._versions.accept(late.order, late.text))
        self._late.clear()
        text = f"configuration {late.configuration.revision} is in force after all: {outcome.message}"
        self._host.log("warning", f"reload: {text}")
        self._host.answer(msgspec.structs.replace(outcome, message=text[:_LONGEST_MESSAGE]))

    def _put_in_force(self, handed: _Handover, remark: str = "") -> frames.ReloadOutcome:
        """It is, in every worker. What there is to say about that, to nobody."""
        new = handed.configuration
        changes = handed.changes.pop("vrrp", None) or compare(self._host.configuration.vrrp, new.vrrp)
        self._host.adopt(new)
        notes = [*([remark] if remark else []), *self._versions.concluded(handed.order, new, handed.text)]
        parts = _in_words(changes)
        for worker, what in (("checkers", "virtual server"), ("bfd", "bfd_instance")):
            others = handed.changes.get(worker)
            parts += [] if others is None else _in_words(others, f"{what} ")
        if handed.problems:
            more = len(handed.problems) - _MOST_PROBLEMS
            shown = [*handed.problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
            notes.insert(0, f"in force, but not all of it is as it should be: {'; '.join(shown)}")
        return frames.ReloadOutcome(
            0,
            True,
            "; ".join([*(parts or ["nothing changed"]), *notes])[:_LONGEST_MESSAGE],
            new.revision,
            changes,
            others=handed.changes,
            impact=handed.impact,
            notes=tuple(notes),
            rolled_back=True if handed.order.back else None,
        )

    def _end(self, ok: bool, message: str, done: frames.ReloadOutcome | None = None, *, invalid: bool = False) -> None:
        """`done` is what came of it; without that and `ok`, there was nothing to do."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._applying = None
        if not ok:
            self._versions.abandoned(self._order)
        self._host.log("info" if ok else "error", f"reload {'done' if ok else 'failed'}: {message.splitlines()[0]}")
        self._host.reloading(False)
        answering, self._answering = self._answering, []
        outcome = done or frames.ReloadOutcome(
            0,
            ok,
            message[:_LONGEST_MESSAGE],
            self._host.configuration.revision,
            journal=not ok,
            invalid=invalid,
            impact=self._impact,
            rolled_back=False if ok and self._order.back else None,
        )
        for number, serial in enumerate(answering):
            journal = outcome.journal and number == 0
            self._host.answer(msgspec.structs.replace(outcome, serial=serial, journal=journal))
        self._adopt_late()
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


def _who(handed: _Handover) -> str:
    names = sorted(handed.awaited)
    return f"{' and '.join(names)} worker{'s' if len(names) > 1 else ''}"


def _in_words(changes: ConfigurationChanges, what: str = "") -> list[str]:
    """`removed VI_1, VI_2`, `added virtual server [192.0.2.1]:tcp:80`: of thousands the first few."""
    kinds = (("removed", changes.removed), ("changed", changes.changed), ("added", changes.added))
    return [f"{kind} {what}{', '.join(names[:_MOST_NAMES])}{_more(names)}" for kind, names in kinds if names]


def _more(names: tuple[str, ...]) -> str:
    return f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""

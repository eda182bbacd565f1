"""When a check runs, and what its results make of the checker: TCP, HTTP, SMTP, DNS, UDP, PING and MISC checks.

What keepalived 2.2.7 does, as it was seen to:

- the first check comes a second after the start and a random part of `warmup`, the next ones `delay_loop` behind the
  end of the one before; a MISC_CHECK counts from start to start;
- a failure is tried again `retry` times, `delay_before_retry` apart, before it counts. The failure of a checker that
  has never succeeded counts at once (not that of an SMTP_CHECK);
- an HTTP_GET asks for one url at a time. A url that has failed is asked for until it succeeds, and then all are, from
  the first one: the checker is up when that pass is complete. With `fast_recovery` nothing is waited for in it.
"""

from __future__ import annotations

from typing import Protocol

from kactl_agent.checkers.actions import (
    AbortCheck,
    CheckEnded,
    CheckFailed,
    CheckLost,
    CheckVerdict,
    Resume,
    StartCheck,
    Suspend,
    WeightChanged,
)
from kactl_agent.checkers.settings import (
    BOOTSTRAP_DELAY,
    AnyCheckerSettings,
    HttpCheckSettings,
    MiscCheckSettings,
    SmtpCheckSettings,
    keyword_of,
)
from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.vrrp.actions import Action, Input, Report, Shutdown, Startup

_LEAST_DELAY = 100_000_000  # ns before what cannot be done here is tried again


class Checker(Protocol):
    """One checker of one real server. `now` is monotonic ns."""

    @property
    def up(self) -> bool: ...

    def handle_event(self, event: Input, now: int) -> list[Action]: ...

    def handle_timer(self, now: int) -> list[Action]: ...

    def deadline(self) -> int | None: ...

    def snapshot(self) -> CheckerSnapshot: ...


def random_state(seed: int) -> int:
    """Where random numbers begin: the same seed, the same numbers (xorshift64*)."""
    return (seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) & 0xFFFFFFFFFFFFFFFF or 1


def next_state(state: int) -> int:
    state ^= state >> 12
    state ^= state << 25 & 0xFFFFFFFFFFFFFFFF
    return state ^ state >> 27


def below(state: int, limit: int) -> int:
    """0 <= number <= limit."""
    return (state * 0x2545F4914F6CDD1D >> 11 & 0x1FFFFFFFFFFFFF) * (limit + 1) >> 53


class CheckSchedule:
    """A checker that runs by itself. `seed` decides on the random delays. There are tens of thousands of them: what the
    settings say is asked of them."""

    __slots__ = (
        "_failed_runs", "_failures", "_last", "_last_duration", "_last_run", "_next_run", "_random", "_runs",
        "_settings", "_since", "_started", "_step", "_stopped", "_succeeded", "_suspended", "_tries", "_up", "_weight",
    )  # fmt: skip

    def __init__(self, settings: AnyCheckerSettings, seed: int) -> None:
        self._settings = settings
        self._random = random_state(seed)
        self._up = not settings.timing.alpha
        self._succeeded = False  # ever, all steps of a pass
        self._step = 0
        self._failures = 0  # in a row
        self._tries = 0  # retries that were spent
        self._next_run: int | None = None
        self._started: int | None = None  # when the check that is under way was
        self._suspended = False
        self._stopped = False
        self._since: int | None = None
        self._last: CheckEnded | None = None
        self._last_run: int | None = None
        self._last_duration = 0
        self._runs = 0
        self._failed_runs = 0
        self._weight: int | None = None

    @property
    def up(self) -> bool:
        return self._up

    @property
    def step(self) -> int:
        """Which url is, or will be, asked for."""
        return self._step

    def handle_event(self, event: Input, now: int) -> list[Action]:
        """Startup, Shutdown, CheckEnded, CheckLost, Suspend and Resume. Raises TypeError for others."""
        match event:
            case Startup():
                if self._next_run is None and self._started is None and not self._suspended:
                    self._next_run = now + BOOTSTRAP_DELAY + self._chance(self._settings.timing.warmup)
                return []
            case Shutdown():
                self._stopped = True
                return self._leave()
            case Suspend():
                self._suspended = True
                return self._leave()
            case Resume():
                if self._suspended:
                    self._suspended = False
                    timing = self._settings.timing
                    self._next_run = now + self._chance(min(timing.warmup, timing.delay_loop))
                return []
            case CheckEnded():
                return self._ended(event, now)
            case CheckLost():
                return self._lost(event, now)
        raise TypeError(f"{type(event).__name__} is no input of a checker")

    def handle_timer(self, now: int) -> list[Action]:
        """`deadline()` has come. Early or superfluous calls do nothing."""
        if self._next_run is None or self._next_run > now or self._started is not None:
            return []
        self._next_run, self._started = None, now
        return [StartCheck(self._step)]

    def deadline(self) -> int | None:
        return self._next_run

    def snapshot(self) -> CheckerSnapshot:
        last = self._last
        return CheckerSnapshot(
            checker=keyword_of(self._settings),
            up=self._up,
            has_run=last is not None,
            since=self._since,
            last_result="" if last is None else last.detail,
            last_success=None if last is None else last.success,
            last_run=self._last_run,
            last_duration=self._last_duration,
            failures=self._failures,
            runs=self._runs,
            failed_runs=self._failed_runs,
            running=self._started is not None,
            suspended=self._suspended,
            next_run=self._next_run,
            weight=self._weight,
        )

    # -- results -------------------------------------------------------------------------------------------------------

    def _ended(self, result: CheckEnded, now: int) -> list[Action]:
        if self._started is None:
            return []  # of a check that was left
        began, self._started = self._started, None
        actions: list[Action] = []
        if result.warning and (self._last is None or self._last.warning != result.warning):
            actions.append(Report("check_warning", result.warning, "warning"))
        self._last, self._last_run, self._last_duration = result, now, now - began
        self._runs += 1
        actions += self._success(result, began, now) if result.success else self._failure(result, began, now)
        return actions

    def _success(self, result: CheckEnded, began: int, now: int) -> list[Action]:
        recovered, self._failures, self._tries = self._failures > 0, 0, 0
        actions: list[Action] = []
        settings = self._settings
        http = settings if isinstance(settings, HttpCheckSettings) else None
        if result.weight != self._weight:
            self._weight = result.weight
            actions.append(WeightChanged(weight=result.weight))
        if recovered and http is not None:
            self._step, complete = 0, False  # all urls from the first one, before it counts
        else:
            self._step = (self._step + 1) % (1 if http is None else len(http.urls))
            complete = self._step == 0
        if complete:
            self._succeeded = True
            actions += self._decide(True, result, now)
        if http is not None and http.fast_recovery and not self._up:
            self._wait(0, now)
        else:
            self._wait(settings.timing.delay_loop, now, self._counted_from(began, now))
        return actions

    def _failure(self, result: CheckEnded, began: int, now: int) -> list[Action]:
        self._failures += 1
        self._failed_runs += 1
        timing, actions = self._settings.timing, list[Action]()
        first_is_final = not isinstance(self._settings, SmtpCheckSettings)
        final = first_is_final and not self._succeeded and not timing.alpha
        retries_left = 0 if final or not self._up else timing.retry - self._tries
        if retries_left > 0:
            self._tries += 1
            self._wait(timing.delay_before_retry, now)
            return [CheckFailed(result.detail, retries_left)]
        self._tries = 0
        if self._weight is not None:
            self._weight = None  # what it said of the weight goes with it
            actions.append(WeightChanged())
        actions += self._decide(False, result, now) or [CheckFailed(result.detail, 0)]
        self._wait(timing.delay_while_down, now, self._counted_from(began, now))
        return actions

    def _lost(self, event: CheckLost, now: int) -> list[Action]:
        if self._started is None:
            return []
        self._started = None
        self._wait(max(self._settings.timing.delay_before_retry, _LEAST_DELAY), now)
        return [Report("check_lost", f"a check could not be made: {event.reason}", "warning")] if event.reason else []

    def _decide(self, up: bool, result: CheckEnded, now: int) -> list[Action]:
        if self._since is None or up is not self._up:
            self._since = now
        if up is self._up:
            return []
        self._up = up
        return [CheckVerdict(up, result.detail, self._failures)]

    # -- time ----------------------------------------------------------------------------------------------------------

    def _wait(self, delay: int, now: int, since: int | None = None) -> None:
        if not (self._suspended or self._stopped):
            percent = self._settings.timing.jitter
            jitter = self._chance(delay * percent // 100) if percent else 0
            self._next_run = max(now, (now if since is None else since) + delay - jitter)

    def _counted_from(self, began: int, now: int) -> int:
        """A program is run from start to start, all others wait from the end of a check."""
        return began if isinstance(self._settings, MiscCheckSettings) else now

    def _chance(self, limit: int) -> int:
        self._random = next_state(self._random)
        return below(self._random, limit)

    def _leave(self) -> list[Action]:
        self._next_run = None
        if self._started is None:
            return []
        self._started = None
        return [AbortCheck()]

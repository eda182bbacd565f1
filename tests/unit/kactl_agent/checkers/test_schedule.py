"""When checks run and what their results make of the checker: sequences seen of keepalived 2.2.7, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from kactl_agent.checkers.schedule import CheckSchedule, below, next_state, random_state
from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    CheckTiming,
    ConnectTarget,
    HttpCheckSettings,
    MiscCheckSettings,
    SmtpCheckSettings,
    TcpCheckSettings,
    UrlSettings,
)
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.actions import ActionFailed, Report, Shutdown, Startup

SECOND = 1_000_000_000
TARGET = ConnectTarget(address="192.0.2.1", port=80)
Answer = Callable[[float, int], bool]


def timing(*, retry: int = 2, alpha: bool = False, jitter: int = 0, warmup: int = 0) -> CheckTiming:
    """As in the runs of keepalived: delay_loop 3, delay_before_retry 1."""
    return CheckTiming(
        delay_loop=3 * SECOND,
        delay_before_retry=SECOND,
        delay_while_down=3 * SECOND,
        retry=retry,
        alpha=alpha,
        jitter=jitter,
        warmup=warmup,
    )


def tcp(**said: int) -> TcpCheckSettings:
    return TcpCheckSettings(timing=timing(**said), target=TARGET)


def http(urls: int, *, fast_recovery: bool = False, **said: int) -> HttpCheckSettings:
    pages = tuple(UrlSettings(path=f"/{n}", host="x") for n in range(urls))
    return HttpCheckSettings(timing=timing(**said), target=TARGET, urls=pages, fast_recovery=fast_recovery)


def simulate(
    settings: AnyCheckerSettings, answer: Answer, until: float, took: float = 0
) -> tuple[list[str], list[tuple[float, str]]]:
    """The checks as `second:step`, and (second, what changed)."""
    schedule = CheckSchedule(settings, seed=7)
    schedule.handle_event(Startup(), 0)
    runs: list[str] = []
    changes: list[tuple[float, str]] = []
    while (deadline := schedule.deadline()) is not None and deadline <= until * SECOND:
        (start,) = schedule.handle_timer(deadline)
        assert isinstance(start, StartCheck)
        at = deadline / SECOND
        runs.append(f"{at:g}:{start.step}")
        success = answer(at, start.step)
        end = deadline + int(took * SECOND)
        for action in schedule.handle_event(CheckEnded(success, "yes" if success else "no"), end):
            if isinstance(action, CheckVerdict):
                changes.append((end / SECOND, "up" if action.up else "down"))
    return runs, changes


def test_a_check_that_succeeds_runs_every_delay_loop() -> None:
    runs, changes = simulate(tcp(), lambda at, step: True, 10)
    assert runs == ["1:0", "4:0", "7:0", "10:0"]
    assert changes == []


def test_delay_loop_counts_from_the_end_of_a_check() -> None:
    runs, _ = simulate(tcp(), lambda at, step: True, 10, took=2)
    assert runs == ["1:0", "6:0"]


def test_misc_check_counts_from_start_to_start_and_never_overlaps() -> None:
    misc = MiscCheckSettings(timing=timing(), command=Command(("/bin/true",)), timeout=9 * SECOND)
    assert simulate(misc, lambda at, step: True, 10, took=1)[0] == ["1:0", "4:0", "7:0", "10:0"]
    assert simulate(misc, lambda at, step: True, 15, took=5)[0] == ["1:0", "6:0", "11:0"]


def test_a_failure_is_tried_again_before_it_counts() -> None:
    runs, changes = simulate(tcp(), lambda at, step: at < 10 or at > 20, 23)
    assert runs == ["1:0", "4:0", "7:0", "10:0", "11:0", "12:0", "15:0", "18:0", "21:0"]
    assert changes == [(12, "down"), (21, "up")]


def test_the_failure_of_a_checker_that_never_succeeded_counts_at_once() -> None:
    runs, changes = simulate(tcp(), lambda at, step: False, 8)
    assert runs == ["1:0", "4:0", "7:0"]
    assert changes == [(1, "down")]


def test_but_not_that_of_an_smtp_check() -> None:
    smtp = SmtpCheckSettings(timing=timing(), target=TARGET)
    runs, changes = simulate(smtp, lambda at, step: False, 4)
    assert runs == ["1:0", "2:0", "3:0"]
    assert changes == [(3, "down")]


def test_alpha_starts_down() -> None:
    assert not CheckSchedule(tcp(alpha=True), 1).up
    assert simulate(tcp(alpha=True), lambda at, step: at > 5, 8)[1] == [(7, "up")]


def test_urls_are_asked_for_one_at_a_time() -> None:
    runs, changes = simulate(http(2), lambda at, step: True, 10)
    assert runs == ["1:0", "4:1", "7:0", "10:1"]
    assert changes == []


def test_a_failed_url_is_asked_for_until_it_succeeds_and_then_all_from_the_first() -> None:
    runs, changes = simulate(http(2), lambda at, step: at != 10, 20)
    assert runs == ["1:0", "4:1", "7:0", "10:1", "11:1", "14:0", "17:1", "20:0"]
    assert changes == []
    runs, changes = simulate(http(2, alpha=True), lambda at, step: at > 8, 20)
    assert runs == ["1:0", "4:0", "7:0", "10:0", "13:0", "16:1", "19:0"]
    assert changes == [(16, "up")]
    runs, changes = simulate(http(2, retry=0), lambda at, step: not 10 <= at < 20, 29)
    assert runs == ["1:0", "4:1", "7:0", "10:1", "13:1", "16:1", "19:1", "22:1", "25:0", "28:1"]
    assert changes == [(10, "down"), (28, "up")]


def test_with_one_url_two_successes_bring_it_up() -> None:
    runs, changes = simulate(http(1), lambda at, step: at < 10 or at > 28, 34)
    assert runs[3:6] == ["10:0", "11:0", "12:0"]
    assert changes == [(12, "down"), (33, "up")]


def test_a_failure_within_the_first_pass_counts_at_once() -> None:
    assert simulate(http(2), lambda at, step: step == 0, 8)[1] == [(4, "down")]


def test_fast_recovery_waits_for_nothing_in_the_pass() -> None:
    runs, changes = simulate(http(2, fast_recovery=True), lambda at, step: at > 20, 29)
    assert runs == ["1:0", "4:0", "7:0", "10:0", "13:0", "16:0", "19:0", "22:0", "22:0", "22:1", "25:0", "28:1"]
    assert changes == [(1, "down"), (22, "up")]


def test_warmup_spreads_the_first_checks_and_jitter_all_of_them() -> None:
    first = {simulate_first(tcp(warmup=3 * SECOND), seed) for seed in range(100)}
    assert all(SECOND <= at <= 4 * SECOND for at in first)
    assert max(first) - min(first) > 2 * SECOND
    runs, _ = simulate(tcp(jitter=20), lambda at, step: True, 100)
    gaps = [float(b.split(":")[0]) - float(a.split(":")[0]) for a, b in pairwise(runs)]
    assert all(2.4 <= gap <= 3 for gap in gaps)
    assert max(gaps) - min(gaps) > 0.3


def simulate_first(settings: AnyCheckerSettings, seed: int) -> int:
    schedule = CheckSchedule(settings, seed)
    schedule.handle_event(Startup(), 0)
    deadline = schedule.deadline()
    assert deadline is not None
    return deadline


@given(st.integers(0, 2**64), st.integers(0, 2**40))
def test_random_numbers_stay_in_their_range(seed: int, limit: int) -> None:
    assert all(0 <= number <= limit for number in numbers(seed, limit, 20))


def test_random_numbers_are_those_of_the_seed() -> None:
    assert numbers(7, 999, 8) == [741, 880, 727, 0, 560, 682, 446, 71]


def numbers(seed: int, limit: int, count: int) -> list[int]:
    state, found = random_state(seed), list[int]()
    for _ in range(count):
        state = next_state(state)
        found.append(below(state, limit))
    return found


def test_there_may_be_thousands_of_them() -> None:
    assert not hasattr(CheckSchedule(tcp(), 1), "__dict__")


def started(settings: AnyCheckerSettings) -> CheckSchedule:
    schedule = CheckSchedule(settings, 1)
    schedule.handle_event(Startup(), 0)
    assert schedule.handle_timer(SECOND) == [StartCheck(0)]
    return schedule


def test_suspended_there_are_no_checks_and_what_is_known_stays() -> None:
    schedule = started(tcp())
    schedule.handle_event(CheckEnded(False, "refused"), SECOND)
    assert schedule.handle_timer(4 * SECOND) == [StartCheck(0)]
    assert schedule.handle_event(Suspend(), 4 * SECOND) == [AbortCheck()]
    assert schedule.handle_event(CheckEnded(True, "late"), 5 * SECOND) == []
    assert schedule.deadline() is None
    assert not schedule.up
    assert schedule.snapshot().suspended
    assert schedule.handle_event(Resume(), 9 * SECOND) == []
    assert schedule.deadline() == 9 * SECOND


def test_one_that_is_suspended_before_its_start_waits_to_be_resumed() -> None:
    schedule = CheckSchedule(tcp(), 1)
    schedule.handle_event(Suspend(), 0)
    schedule.handle_event(Startup(), 0)
    assert schedule.deadline() is None
    schedule.handle_event(Resume(), 5 * SECOND)
    assert schedule.deadline() == 5 * SECOND


def test_shutdown_leaves_the_check_under_way() -> None:
    schedule = started(tcp())
    assert schedule.handle_event(Shutdown(), SECOND) == [AbortCheck()]
    assert schedule.handle_event(CheckEnded(True, ""), SECOND) == []
    assert schedule.deadline() is None
    assert CheckSchedule(tcp(), 1).handle_event(Shutdown(), 0) == []


def test_a_lost_check_is_made_again_and_counts_for_nothing() -> None:
    schedule = started(tcp())
    assert schedule.handle_event(CheckLost(), 2 * SECOND) == []
    assert schedule.deadline() == 3 * SECOND
    assert schedule.snapshot().runs == 0
    schedule.handle_timer(3 * SECOND)
    report = Report("check_lost", "a check could not be made: Too many open files", "warning")
    assert schedule.handle_event(CheckLost("Too many open files"), 4 * SECOND) == [report]
    assert schedule.handle_event(CheckLost("late"), 4 * SECOND) == []


def test_weights_last_until_the_check_says_otherwise_or_fails() -> None:
    misc = MiscCheckSettings(timing=timing(retry=0), command=Command(("/x",)), timeout=SECOND, dynamic=True)
    schedule = started(misc)
    assert schedule.handle_event(CheckEnded(True, "", weight=5), SECOND) == [WeightChanged(5)]
    assert schedule.snapshot().weight == 5
    schedule.handle_timer(4 * SECOND)
    assert schedule.handle_event(CheckEnded(True, "", weight=5), 4 * SECOND) == []
    schedule.handle_timer(7 * SECOND)
    assert schedule.handle_event(CheckEnded(False, "exit 1"), 7 * SECOND) == [
        WeightChanged(),
        CheckVerdict(False, "exit 1", 1),
    ]
    schedule.handle_timer(10 * SECOND)
    assert schedule.handle_event(CheckEnded(True, ""), 10 * SECOND) == [CheckVerdict(True, "", 0)]


def test_failures_that_change_nothing_are_said() -> None:
    schedule = started(tcp())
    schedule.handle_event(CheckEnded(True, "connected"), SECOND)
    schedule.handle_timer(4 * SECOND)
    assert schedule.handle_event(CheckEnded(False, "refused"), 4 * SECOND) == [CheckFailed("refused", 2)]
    schedule.handle_timer(5 * SECOND)
    assert schedule.handle_event(CheckEnded(False, "refused"), 5 * SECOND) == [CheckFailed("refused", 1)]
    schedule.handle_timer(6 * SECOND)
    assert schedule.handle_event(CheckEnded(False, "refused"), 6 * SECOND) == [CheckVerdict(False, "refused", 3)]
    schedule.handle_timer(9 * SECOND)
    assert schedule.handle_event(CheckEnded(False, "refused"), 9 * SECOND) == [CheckFailed("refused", 0)]


def test_a_warning_is_said_once() -> None:
    schedule = started(tcp())
    report = Report("check_warning", "soon", "warning")
    assert schedule.handle_event(CheckEnded(True, "", warning="soon"), SECOND) == [report]
    schedule.handle_timer(4 * SECOND)
    assert schedule.handle_event(CheckEnded(True, "", warning="soon"), SECOND) == []


def test_the_snapshot_says_what_was_seen() -> None:
    schedule = started(tcp())
    snapshot = schedule.snapshot()
    assert (snapshot.checker, snapshot.up, snapshot.has_run, snapshot.running) == ("TCP_CHECK", True, False, True)
    schedule.handle_event(CheckEnded(False, "refused"), 3 * SECOND)
    snapshot = schedule.snapshot()
    assert (snapshot.last_result, snapshot.last_success) == ("refused", False)
    assert (snapshot.last_run, snapshot.last_duration, snapshot.since) == (3 * SECOND, 2 * SECOND, 3 * SECOND)
    assert (snapshot.runs, snapshot.failed_runs, snapshot.failures) == (1, 1, 1)
    assert snapshot.next_run == 6 * SECOND


def test_other_inputs_are_refused() -> None:
    with pytest.raises(TypeError, match="ActionFailed is no input of a checker"):
        CheckSchedule(tcp(), 1).handle_event(ActionFailed("", ""), 0)


@given(st.lists(st.tuples(st.sampled_from("tesrlx"), st.integers(0, 5 * SECOND), st.booleans()), max_size=60))
def test_whatever_happens_one_check_runs_at_a_time(happenings: list[tuple[str, int, bool]]) -> None:
    """And a checker that is neither suspended nor stopped always runs or has a time to run at."""
    schedule = CheckSchedule(http(2, fast_recovery=True), 3)
    schedule.handle_event(Startup(), 0)
    now, running, silenced, stopped = 0, False, False, False
    for kind, later, success in happenings:
        now += later
        events = {
            "e": CheckEnded(success, ""),
            "s": Suspend(),
            "r": Resume(),
            "l": CheckLost(),
            "x": Shutdown(),
        }
        actions = schedule.handle_timer(now) if kind == "t" else schedule.handle_event(events[kind], now)
        silenced = (silenced or kind == "s") and kind != "r"
        stopped = stopped or kind == "x"
        for action in actions:
            if isinstance(action, StartCheck):
                assert not running
                assert not silenced
                running = True
            elif isinstance(action, AbortCheck):
                assert running
                running = False
        if kind in "el":
            running = False
        if not (silenced or stopped):
            assert running or schedule.deadline() is not None

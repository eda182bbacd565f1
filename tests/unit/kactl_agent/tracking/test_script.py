"""When a script runs and what its results make of it: keepalived's rules, seen in runs of keepalived 2.2.7."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.tracking.actions import (
    ScriptEnded,
    ScriptLost,
    ScriptStarted,
    SignalScript,
    StartScript,
    Verdict,
    VerdictChanged,
)
from kactl_agent.tracking.script import ScriptTracker
from kactl_agent.tracking.settings import Command, ScriptSettings
from kactl_agent.vrrp.actions import Action, ActionFailed, InterfaceState, Report, Shutdown, Startup
from kactl_agent.vrrp.settings import SECOND

TERM, KILL = SignalScript(15), SignalScript(9)


def tracker(**more: Any) -> ScriptTracker:
    return ScriptTracker(ScriptSettings(name="chk", command=Command(("/bin/true",)), **more))


def run(script: ScriptTracker, status: int) -> list[Action]:
    """One run, from its start at the deadline to its end a millisecond later."""
    due = script.deadline()
    assert due is not None
    assert script.handle_timer(due) == [StartScript()]
    return script.handle_event(ScriptEnded(status), due + 1_000_000)


def started(**more: Any) -> ScriptTracker:
    script = tracker(**more)
    assert script.handle_event(Startup(), 0) == [StartScript()]
    assert script.handle_event(ScriptStarted(), 0) == []
    return script


def verdicts(actions: list[Action]) -> list[bool | None]:
    return [action.verdict.up for action in actions if isinstance(action, VerdictChanged)]


def reports(actions: list[Action]) -> list[str]:
    return [action.detail for action in actions if isinstance(action, Report)]


@pytest.mark.parametrize(("status", "up"), [(0, True), (1, False), (255, False), (-9, False)])
@pytest.mark.parametrize("init_fail", [False, True])
def test_the_first_result_decides_at_once(status: int, up: bool, init_fail: bool) -> None:
    script = started(rise=3, fall=3, init_fail=init_fail)
    assert script.verdict == (Verdict(False, 0, "init_fail: it has not run yet") if init_fail else Verdict(None))
    assert verdicts(script.handle_event(ScriptEnded(status), SECOND // 2)) == [up]
    assert script.verdict.up is up


def test_fall_and_rise_count_results_in_a_row() -> None:
    """The sequence of keepalived 2.2.7 with rise 2, fall 3: 0 | 1 0 2 2 0 2 2 2 | 0 2 0 0."""
    script = started(rise=2, fall=3)
    statuses = (0, 1, 0, 2, 2, 0, 2, 2, 2, 0, 2, 0, 0)
    changes = {0: True, 8: False, 12: True}  # by the number of the result
    for number, status in enumerate(statuses):
        actions = run(script, status) if number else script.handle_event(ScriptEnded(status), 1)
        assert verdicts(actions) == ([changes[number]] if number in changes else [])


@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_it_is_the_counter_of_keepalived(results: list[bool], rise: int, fall: int) -> None:
    """A counter from 0 to rise + fall - 1, up from rise on; the first result puts it at one end of the scale."""
    script = started(rise=rise, fall=fall)
    top = rise + fall - 1
    counter = top if results[0] else 0
    script.handle_event(ScriptEnded(0 if results[0] else 1), 1)
    assert script.verdict.up is (counter >= rise)
    for success in results[1:]:
        if success:
            counter = counter + 1 if counter < rise - 1 else top
        else:
            counter = counter - 1 if counter > rise else 0
        run(script, 0 if success else 1)
        assert script.verdict.up is (counter >= rise)


def test_runs_are_an_interval_apart_from_start_to_start() -> None:
    script = started(interval=SECOND // 4)
    for number in range(1, 5):
        script.handle_event(ScriptEnded(0), number * SECOND // 4 - 1)
        assert script.deadline() == number * SECOND // 4
        assert script.handle_timer(number * SECOND // 4) == [StartScript()]


def test_runs_never_overlap() -> None:
    script = started(timeout=10 * SECOND)
    assert script.handle_timer(SECOND) == []
    assert script.handle_timer(2 * SECOND) == []
    script.handle_event(ScriptEnded(0), 2 * SECOND + 5)
    assert script.deadline() == 3 * SECOND
    assert script.handle_timer(3 * SECOND) == [StartScript()]


def test_a_loop_that_was_held_up_does_not_make_up_for_missed_runs() -> None:
    script = started()
    script.handle_event(ScriptEnded(0), 1)
    assert script.handle_timer(10 * SECOND + 7) == [StartScript()]
    script.handle_event(ScriptEnded(0), 10 * SECOND + 8)
    assert script.deadline() == 11 * SECOND + 7


def test_a_run_that_takes_too_long_has_failed_and_is_terminated_then_killed() -> None:
    script = started(interval=60 * SECOND, timeout=SECOND)
    assert script.handle_timer(SECOND - 1) == []
    actions = script.handle_timer(SECOND)
    assert actions[0] == TERM
    assert verdicts(actions) == [False]
    assert script.verdict.detail == "timed out after 1.000 s"
    assert script.deadline() == 3 * SECOND
    assert script.handle_timer(3 * SECOND) == [KILL]
    assert script.deadline() == 60 * SECOND
    assert script.handle_event(ScriptEnded(-9), 3 * SECOND + 1) == [], "one run, one result"


def test_what_a_timed_out_run_exits_with_does_not_count() -> None:
    script = started(interval=60 * SECOND, timeout=SECOND)
    script.handle_timer(SECOND)
    assert script.handle_event(ScriptEnded(0), SECOND + 1) == []
    assert script.verdict.up is False
    assert script.deadline() == 60 * SECOND, "and it is not killed any more"


def test_the_time_of_a_run_counts_from_its_start() -> None:
    """A spawner that is being restarted is no failure of the script."""
    script = tracker(timeout=SECOND // 2)
    script.handle_event(Startup(), 0)
    assert script.handle_timer(5 * SECOND) == []
    assert script.handle_event(ScriptStarted(), 5 * SECOND) == []
    assert script.handle_timer(5 * SECOND + SECOND // 2)[0] == TERM


def test_a_script_that_cannot_be_run_has_failed() -> None:
    script = started()
    actions = script.handle_event(ActionFailed("StartScript", "No such file or directory"), 1)
    assert verdicts(actions) == [False]
    assert script.verdict.detail == "could not be run: No such file or directory"
    assert script.handle_timer(SECOND) == [StartScript()], "it is tried again"


def test_a_signal_that_found_nobody_is_no_result() -> None:
    assert started().handle_event(ActionFailed("SignalScript", "No such process"), 1) == []


def test_a_run_that_was_lost_is_no_result() -> None:
    script = started(fall=2)
    assert script.handle_event(ScriptLost(), 1) == []
    assert script.verdict.up is None
    assert script.handle_timer(SECOND) == [StartScript()], "the next one starts when it is due"


def test_each_change_of_the_exit_status_is_said_once() -> None:
    script = started(fall=5)
    assert reports(script.handle_event(ScriptEnded(0), 1)) == ["vrrp_script chk succeeded: exited with status 0"]
    assert reports(run(script, 1)) == ["vrrp_script chk: exited with status 1"]
    assert reports(run(script, 1)) == []
    assert reports(run(script, 2)) == ["vrrp_script chk: exited with status 2"]
    assert reports(run(script, 0)) == ["vrrp_script chk: exited with status 0"]
    assert reports(run(script, 0)) == []


def test_stop_terminates_a_run_and_starts_no_other() -> None:
    script = started()
    assert script.handle_event(Shutdown(), 1) == [TERM]
    assert script.deadline() is None
    assert script.handle_event(ScriptEnded(-15), 2) == []
    assert script.handle_timer(100 * SECOND) == []
    assert script.verdict.up is None
    idle = started()
    idle.handle_event(ScriptEnded(0), 1)
    assert idle.handle_event(Shutdown(), 2) == []


def test_it_takes_no_other_input() -> None:
    nothing = InterfaceState(up=True, exists=True, primary_address=b"", hardware_address=b"", mtu=0)
    with pytest.raises(TypeError):
        tracker().handle_event(nothing, 0)

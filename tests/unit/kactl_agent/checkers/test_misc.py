"""MISC_CHECK: what exit statuses mean, and runs that take too long."""

from __future__ import annotations

import pytest

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.misc import KILL_DELAY, MiscRun, misc_outcome
from kactl_agent.checkers.settings import CheckTiming, MiscCheckSettings
from kactl_agent.tracking.actions import ScriptEnded, ScriptLost, ScriptStarted, SignalScript
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.actions import ActionFailed, Startup

SECOND = 1_000_000_000


def run(*, dynamic: bool = False) -> MiscRun:
    return MiscRun(
        MiscCheckSettings(timing=CheckTiming(), command=Command(("/x",)), timeout=3 * SECOND, dynamic=dynamic)
    )


@pytest.mark.parametrize(
    ("status", "dynamic", "success", "weight"),
    [
        (0, False, True, None),
        (1, False, False, None),
        (2, False, False, None),
        (0, True, True, None),
        (1, True, False, None),
        (2, True, True, 0),
        (255, True, True, 253),
        (-9, True, False, None),
    ],
)
def test_exit_statuses(status: int, dynamic: bool, success: bool, weight: int | None) -> None:
    outcome = misc_outcome(status, dynamic=dynamic)
    assert (outcome.success, outcome.weight) == (success, weight)


def test_a_run_that_ends_in_time() -> None:
    it = run(dynamic=True)
    assert it.deadline() is None
    it.handle_event(ScriptStarted(), SECOND)
    assert it.deadline() == 4 * SECOND
    assert it.handle_timer(4 * SECOND - 1) == []
    it.handle_event(ScriptEnded(7), 2 * SECOND)
    assert it.outcome == CheckEnded(True, "exited with status 7: weight 5", weight=5)
    assert it.over
    assert it.deadline() is None


def test_a_run_that_takes_too_long_has_failed_whatever_it_says() -> None:
    it = run()
    it.handle_event(ScriptStarted(), 0)
    assert it.handle_timer(3 * SECOND) == [SignalScript(15)]
    assert it.outcome is None, "the next one must not run beside it"
    it.handle_event(ScriptEnded(0), 3 * SECOND + 1)
    assert it.outcome == CheckEnded(False, "timed out after 3 s")
    assert it.deadline() is None


def test_a_run_that_does_not_end_is_killed() -> None:
    it = run()
    it.handle_event(ScriptStarted(), 0)
    it.handle_timer(3 * SECOND)
    assert it.deadline() == 3 * SECOND + KILL_DELAY
    assert it.handle_timer(3 * SECOND + KILL_DELAY) == [SignalScript(9)]
    assert it.outcome == CheckEnded(False, "timed out after 3 s")
    assert (it.over, it.deadline()) == (False, None)
    it.handle_event(ScriptEnded(-9), 6 * SECOND)
    assert it.outcome == CheckEnded(False, "timed out after 3 s")
    assert it.over


def test_without_a_result() -> None:
    it = run()
    it.handle_event(ScriptLost(), 0)
    assert (it.outcome, it.over) == (CheckLost(), True)
    it = run()
    it.handle_event(ActionFailed("StartScript", "no such file"), 0)
    assert it.outcome == CheckEnded(False, "could not be run: no such file")


def test_a_run_that_nobody_wants_is_ended() -> None:
    it = run()
    it.handle_event(ScriptStarted(), 0)
    assert it.abort(SECOND) == [SignalScript(15)]
    assert it.abort(SECOND) == []
    assert it.handle_timer(SECOND + KILL_DELAY) == [SignalScript(9)]


def test_other_inputs_are_refused() -> None:
    with pytest.raises(TypeError):
        run().handle_event(Startup(), 0)

"""FILE_CHECK and BFD_CHECK."""

from __future__ import annotations

import pytest

from kactl_agent.checkers.actions import CheckEnded, CheckVerdict, WeightChanged
from kactl_agent.checkers.following import BfdChecker, FileChecker
from kactl_agent.checkers.settings import BfdCheckSettings, CheckTiming, FileCheckSettings
from kactl_agent.tracking.actions import FileContent, SessionState
from kactl_agent.tracking.settings import FileSettings
from kactl_agent.vrrp.actions import Shutdown, Startup


def file_checker(weight: int, *, reverse: bool = False) -> FileChecker:
    return FileChecker(
        FileCheckSettings(
            timing=CheckTiming(), file=FileSettings(name="f", path="/run/f"), weight=weight, reverse=reverse
        )
    )


@pytest.mark.parametrize(
    ("weight", "reverse", "text", "difference"),
    [(3, False, b"4\n", 12), (3, True, b"4\n", -12), (-2, False, b"5", -10), (2**31 - 1, False, b"9", 2**31 - 1)],
)
def test_the_value_times_the_weight_is_added(weight: int, reverse: bool, text: bytes, difference: int) -> None:
    checker = file_checker(weight, reverse=reverse)
    assert checker.handle_event(FileContent(text), 5) == [WeightChanged(difference=difference)]
    assert checker.handle_event(FileContent(text), 6) == []
    assert checker.up
    assert checker.snapshot().difference == difference


def test_with_weight_0_a_value_takes_the_server_down() -> None:
    checker = file_checker(0)
    assert checker.handle_event(FileContent(b"0"), 1) == []
    assert checker.handle_event(FileContent(b"1"), 2) == [CheckVerdict(False, "/run/f holds 1", 1)]
    assert (checker.snapshot().since, checker.snapshot().last_run) == (2, 2)
    detail = "/run/f cannot be read (No such file or directory), which counts as 0"
    assert checker.handle_event(FileContent(None, "No such file or directory"), 3) == [CheckVerdict(True, detail, 0)]


@pytest.mark.parametrize("alpha", [False, True])
def test_a_session_decides(alpha: bool) -> None:
    checker = BfdChecker(BfdCheckSettings(timing=CheckTiming(alpha=alpha), name="b1"))
    assert checker.up is not alpha
    assert not checker.snapshot().has_run
    checker.handle_event(SessionState(True), 1)
    assert checker.up
    assert checker.handle_event(SessionState(True), 2) == []
    assert checker.handle_event(SessionState(False), 3) == [CheckVerdict(False, "BFD session b1 is down", 1)]
    assert checker.snapshot().last_result == "BFD session b1 is down"


def test_they_have_no_time_of_their_own_and_refuse_other_inputs() -> None:
    for checker in (file_checker(1), BfdChecker(BfdCheckSettings(timing=CheckTiming(), name="b1"))):
        assert checker.handle_event(Startup(), 0) == checker.handle_event(Shutdown(), 0) == []
        assert checker.handle_timer(0) == []
        assert checker.deadline() is None
        with pytest.raises(TypeError):
            checker.handle_event(CheckEnded(True, ""), 0)

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

from kactl_agent.kernel.timerfd import MonotonicTimer

SECOND = 1_000_000_000


@pytest.fixture
def timer() -> Iterator[MonotonicTimer]:
    made = MonotonicTimer()
    yield made
    made.close()


def readable(timer: MonotonicTimer, seconds: float = 5) -> bool:
    return bool(select.select([timer.fileno()], [], [], seconds)[0])


@pytest.mark.parametrize("ahead", [0, SECOND // 100, SECOND - 1])
def test_it_is_readable_from_its_moment_on(timer: MonotonicTimer, ahead: int) -> None:
    deadline = time.monotonic_ns() + ahead
    timer.set(deadline)
    assert readable(timer)
    assert time.monotonic_ns() >= deadline
    assert timer.clear()
    assert not timer.clear(), "once"
    assert not readable(timer, 0)


@pytest.mark.parametrize("deadline", [-SECOND, 0, 1])
def test_a_moment_in_the_past_has_come(timer: MonotonicTimer, deadline: int) -> None:
    timer.set(deadline)
    assert readable(timer)


def test_setting_it_anew_forgets_what_has_come(timer: MonotonicTimer) -> None:
    timer.set(1)
    assert readable(timer)
    timer.set(time.monotonic_ns() + 3600 * SECOND)
    assert not timer.clear()
    timer.set(1)
    assert readable(timer)
    timer.set(None)
    assert not readable(timer, 0)


def test_it_is_not_inherited(timer: MonotonicTimer) -> None:
    assert not os.get_inheritable(timer.fileno())

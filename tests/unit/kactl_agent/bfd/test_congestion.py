"""Congestion control over several hops (RFC 5880 7)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.bfd.congestion import MINUTE, Congestion
from support.bfd import MS, SECOND


def test_intervals_double_with_each_loss_that_follows_within_a_minute_and_halve_again() -> None:
    congestion = Congestion()
    assert not congestion.fail(0)
    assert not congestion.fail(MINUTE)
    assert congestion.fail(2 * MINUTE - 1)
    assert congestion.fail(2 * MINUTE)
    assert congestion.slowed(50 * MS) == 200 * MS
    congestion.come_up(2 * MINUTE)
    assert congestion.deadline == 3 * MINUTE
    congestion.recover(3 * MINUTE)
    assert (congestion.factor, congestion.deadline) == (2, 4 * MINUTE)
    congestion.recover(4 * MINUTE)
    assert (congestion.factor, congestion.deadline) == (1, None)


@given(st.lists(st.integers(0, 2 * MINUTE), max_size=50), st.integers(1, 5 * SECOND))
def test_never_faster_than_wanted_and_never_slower_than_a_second_for_it(gaps: list[int], interval: int) -> None:
    congestion, now = Congestion(), 0
    for gap in gaps:
        now += gap
        congestion.fail(now)
        assert interval <= congestion.slowed(interval) <= max(interval, SECOND)

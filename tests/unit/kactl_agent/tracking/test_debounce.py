"""Interfaces whose short interruptions do not count (interface_up_down_delays; limits of 2.2.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.tracking.actions import LinkState
from kactl_agent.tracking.debounce import LinkDebounce, LinkSettled, limited, longest_down_delay
from kactl_agent.vrrp.actions import Startup
from kactl_agent.vrrp.network_settings import LinkDelays
from kactl_agent.vrrp.settings import SECOND

UP, DOWN, GONE = LinkState(up=True, exists=True), LinkState(up=False, exists=True), LinkState(up=False, exists=False)


def link(down: int = 2 * SECOND, up: int = 0) -> LinkDebounce:
    """An interface that is up."""
    made = LinkDebounce(LinkDelays("eth0", down, up))
    assert made.handle_event(UP, 0) == (LinkSettled(True),)
    return made


def test_a_short_interruption_leaves_no_trace() -> None:
    made = link()
    assert made.handle_event(DOWN, 5 * SECOND) == ()
    assert made.deadline() == 7 * SECOND
    assert made.handle_event(UP, 7 * SECOND - 1) == ()
    assert made.deadline() is None
    assert made.up
    assert made.handle_timer(8 * SECOND) == ()
    assert made.handle_event(DOWN, 9 * SECOND) == ()
    assert made.deadline() == 11 * SECOND, "the next one has all its time"


def test_an_interruption_that_lasts_counts_when_its_delay_is_over() -> None:
    made = link()
    made.handle_event(DOWN, 0)
    assert made.handle_event(DOWN, SECOND) == (), "said again, it starts no new delay"
    assert made.handle_timer(2 * SECOND - 1) == ()
    assert made.handle_timer(2 * SECOND) == (LinkSettled(False),)
    assert made.handle_event(UP, 3 * SECOND) == (LinkSettled(True),), "the up delay is 0"


def test_coming_up_can_wait_as_well() -> None:
    made = link(down=0, up=SECOND)
    assert made.handle_event(DOWN, 0) == (LinkSettled(False),)
    assert made.handle_event(UP, SECOND) == ()
    assert made.handle_event(DOWN, SECOND + 1) == ()
    assert made.deadline() is None
    made.handle_event(UP, 2 * SECOND)
    assert made.handle_timer(3 * SECOND) == (LinkSettled(True),)


def test_an_interface_that_was_never_up_waits_for_nothing() -> None:
    made = LinkDebounce(LinkDelays("eth0", SECOND, SECOND))
    assert made.handle_event(DOWN, 0) == ()
    assert not made.up
    assert made.handle_event(UP, 1) == (LinkSettled(True),)


def test_an_interface_that_vanishes_is_down_at_once_and_its_successor_up_at_once() -> None:
    made = link(down=SECOND, up=SECOND)
    assert made.handle_event(GONE, 1) == (LinkSettled(False),)
    assert made.handle_event(UP, 2) == (LinkSettled(True),)


def test_what_concerns_no_interface_is_refused() -> None:
    with pytest.raises(TypeError, match="Startup"):
        link().handle_event(Startup(), 0)


def test_other_delays_shorten_what_is_waiting_and_never_lengthen_it() -> None:
    made = link(down=5 * SECOND)
    made.handle_event(DOWN, 0)
    made.reconfigure(LinkDelays("eth0", 9 * SECOND), SECOND)
    assert made.deadline() == 5 * SECOND
    made.reconfigure(LinkDelays("eth0", SECOND), 2 * SECOND)
    assert made.deadline() == 3 * SECOND


@pytest.mark.parametrize(
    ("adverts", "interval", "longest"),
    [(3, SECOND, 1_996_093_750), (2, SECOND, 996_093_750), (1, SECOND, 0), (3, SECOND // 10, 199_609_375)],
)
def test_the_down_delay_has_keepaliveds_limit(adverts: int, interval: int, longest: int) -> None:
    """`Down debounce timer = 1996094us` is what 2.2.7 makes of 10 s with three adverts of 1 s."""
    assert longest_down_delay(adverts, interval) == longest
    assert limited(LinkDelays("eth0", 10 * SECOND, 20 * SECOND), longest) == LinkDelays("eth0", longest, 20 * SECOND)


@given(
    st.lists(st.tuples(st.sampled_from([UP, DOWN]), st.integers(0, 3 * SECOND)), max_size=30),
    st.integers(0, 2 * SECOND),
    st.integers(0, 2 * SECOND),
)
def test_it_never_counts_as_what_it_has_not_been_for_its_delay(
    steps: list[tuple[LinkState, int]], down: int, up: int
) -> None:
    made, now, state, since = link(down, up), 0, True, 0
    for event, pause in steps:
        while (deadline := made.deadline()) is not None and deadline <= now + pause:
            assert made.handle_timer(deadline) == (LinkSettled(state),)
            assert deadline - since == (up if state else down)
        now += pause
        if event.up != state:
            state, since = event.up, now
        for settled in made.handle_event(event, now):
            assert settled == LinkSettled(state)
        assert made.up == state or made.deadline() is not None

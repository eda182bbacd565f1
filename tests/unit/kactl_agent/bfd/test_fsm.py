"""The state machine, cell by cell as RFC 5880 6.2 and 6.8.6 have it."""

from __future__ import annotations

import itertools

import pytest

from kactl_agent.bfd.fsm import RECEIVED, TABLE, Event
from kactl_agent.bfd.packet import State

# RFC 5880 6.8.6, transcribed: local state, received state, next state, diagnostic
RECEPTION = """
    AdminDown AdminDown AdminDown -
    AdminDown Down      AdminDown -
    AdminDown Init      AdminDown -
    AdminDown Up        AdminDown -
    Down      AdminDown Down      -
    Down      Down      Init      -
    Down      Init      Up        -
    Down      Up        Down      -
    Init      AdminDown Down      3
    Init      Down      Init      -
    Init      Init      Up        -
    Init      Up        Up        -
    Up        AdminDown Down      3
    Up        Down      Down      3
    Up        Init      Up        -
    Up        Up        Up        -
"""
ROWS = [line.split() for line in RECEPTION.strip().splitlines()]
STATES = {state.text: state for state in State}


@pytest.mark.parametrize(("local", "received", "after", "diagnostic"), ROWS)
def test_rx22_rfc_5880_6_8_6(local: str, received: str, after: str, diagnostic: str) -> None:
    row = TABLE[STATES[local], RECEIVED[STATES[received]]]
    assert row.next is STATES[after]
    assert str(row.diagnostic and int(row.diagnostic)) == diagnostic.replace("-", "None")


@pytest.mark.parametrize(
    ("event", "state", "after", "diagnostic"),
    [
        (Event.DETECTION_TIME_EXPIRED, State.INIT, State.DOWN, 1),  # 6.8.4
        (Event.DETECTION_TIME_EXPIRED, State.UP, State.DOWN, 1),
        (Event.DETECTION_TIME_EXPIRED, State.DOWN, State.DOWN, None),
        (Event.ECHO_FAILED, State.UP, State.DOWN, 2),  # 6.8.5
        (Event.FORWARDING_PLANE_RESET, State.UP, State.DOWN, 4),  # 6.8.15
        (Event.FORWARDING_PLANE_RESET, State.DOWN, State.DOWN, 4),
        (Event.DISABLE, State.UP, State.ADMIN_DOWN, 7),  # 6.8.16
        (Event.DISABLE, State.DOWN, State.ADMIN_DOWN, 7),
        (Event.ENABLE, State.ADMIN_DOWN, State.DOWN, None),
        (Event.ENABLE, State.UP, State.UP, None),
    ],
)
def test_other_events(event: Event, state: State, after: State, diagnostic: int | None) -> None:
    row = TABLE[state, event]
    assert (row.next, row.diagnostic) == (after, diagnostic)


def test_every_pair_is_decided_and_says_why() -> None:
    assert set(TABLE) == set(itertools.product(State, Event))
    assert all(row.source.startswith("RFC 58") for row in TABLE.values())


def test_nothing_but_enable_leaves_admin_down() -> None:
    for event in Event:
        expected = State.DOWN if event is Event.ENABLE else State.ADMIN_DOWN
        assert TABLE[State.ADMIN_DOWN, event].next is expected


def test_up_is_entered_by_hearing_the_neighbour_alone() -> None:
    entering = {event for (state, event), row in TABLE.items() if row.next is State.UP and state is not State.UP}
    assert entering == {Event.RECEIVED_INIT, Event.RECEIVED_UP}

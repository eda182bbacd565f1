"""The table of the state machine is complete, and nothing in it is unused or unsourced."""

from __future__ import annotations

from itertools import product

import pytest

from kactl_agent.vrrp.actions import State
from kactl_agent.vrrp.fsm import TABLE, Event, Step
from kactl_agent.vrrp.instance import VrrpInstance


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_decided_and_sourced(state: State, event: Event) -> None:
    row = TABLE[state, event]
    assert row.source
    if state is not row.next and row.next is State.MASTER:  # keepalived's order of going MASTER
        order = [row.steps.index(s) for s in (Step.SEND_ADVERT, Step.ADD_ADDRESSES, Step.ANNOUNCE)]
        assert order == sorted(order)
    if state is State.MASTER and row.next is not State.MASTER:
        assert {Step.REMOVE_ADDRESSES, Step.CANCEL_ADVER_TIMER, Step.CANCEL_ANNOUNCEMENTS} <= set(row.steps)
    if state is State.BACKUP and row.next is not State.BACKUP:
        assert Step.CANCEL_DOWN_TIMER in row.steps
    if row.next is State.BACKUP and state is not State.BACKUP:
        assert any("start" in step.value and "down_timer" in step.value for step in row.steps)


def test_the_table_holds_nothing_else() -> None:
    assert set(TABLE) == set(product(State, Event))
    assert {step for row in TABLE.values() for step in row.steps} == set(Step)


@pytest.mark.parametrize("step", Step)
def test_an_instance_can_carry_out_every_step(step: Step) -> None:
    assert callable(getattr(VrrpInstance, f"_{step.value}"))

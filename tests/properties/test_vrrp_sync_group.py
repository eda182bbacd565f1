"""A sync group under any sequence of packets, timers and events: its members are in step after every call."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kactl_agent.vrrp.actions import (
    Action,
    AddressLost,
    Drain,
    GroupTransition,
    Shutdown,
    Stalled,
    Startup,
    State,
    TrackerFault,
    TrackerPending,
    Transition,
    Undrain,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SECOND, SyncGroupSettings
from kactl_agent.vrrp.sync_group import SyncGroup
from support.vrrp import PEER, PEER_LOW, VIP, advert, interface, make_settings

NAMES = ("A", "B", "C")
EVENTS = st.sampled_from(
    [
        interface(),
        interface(),
        interface(up=False),
        AddressLost(VIP),
        TrackerFault("t", True),
        TrackerFault("t", False),
        TrackerFault("t", False),
        TrackerPending("p", True),
        TrackerPending("p", False),
        Drain("update"),
        Drain("update", require_peer=True),
        Undrain(),
        Stalled(5 * SECOND),
    ]
)
PACKETS = st.tuples(st.sampled_from([0, 50, 100, 150]), st.sampled_from([PEER, PEER_LOW]))
STEPS = st.lists(
    st.tuples(st.integers(0, 3 * SECOND), st.sampled_from(NAMES), st.one_of(EVENTS, PACKETS, st.none())), max_size=50
)


@settings(deadline=None)
@given(st.tuples(*[st.sampled_from([50, 100, 255])] * 3), st.booleans(), STEPS)
def test_members_are_in_step(priorities: tuple[int, ...], preempt: bool, steps: list[tuple[int, str, Any]]) -> None:
    engines = {
        name: VrrpInstance(make_settings(name=name, priority=priority, preempt=preempt, sync_group="G"))
        for name, priority in zip(NAMES, priorities, strict=True)
    }
    group = SyncGroup(SyncGroupSettings(name="G", members=NAMES), engines)
    states = dict.fromkeys(NAMES, State.INIT)
    group_state, now = State.INIT, 0

    def follow(name: str, actions: list[Action]) -> None:
        nonlocal group_state
        for member, action in group.follow(name, actions, now):
            if isinstance(action, Transition):
                assert action.old is states[member]
                states[member] = action.new
            elif isinstance(action, GroupTransition):
                assert (member, action.group, action.old) == ("G", "G", group_state)
                group_state = action.new
                assert set(states.values()) == {group_state}  # behind its members
        assert states == {name: engine.state for name, engine in engines.items()}
        running = {state for state in states.values() if state is not State.INIT}
        assert len(running) <= 1
        if len(set(states.values())) == 1:
            assert group.state is group_state is states["A"]
        if any(engine.drained for engine in engines.values()):
            assert State.MASTER not in states.values()
        # nothing is left to be said
        assert group.follow(name, [], now) == []

    for name, engine in engines.items():
        follow(name, engine.handle_event(interface(), 0))
        follow(name, engine.handle_event(Startup(), 0))
    for wait, name, step in steps:
        end = now + wait
        for member, engine in engines.items():
            while (deadline := engine.deadline()) is not None and deadline <= end:
                now = max(now, deadline)
                follow(member, engine.handle_timer(now))
        now = end
        if step is None:
            follow(name, engines[name].handle_timer(now))
        elif isinstance(step, tuple):
            follow(name, engines[name].receive(*advert(*step, settings=engines[name].settings), now))
        else:
            follow(name, engines[name].handle_event(step, now))
    for name, engine in engines.items():
        actions = engine.handle_event(Shutdown(), now)
        for member, action in group.follow(name, actions, now):
            assert member in (name, "G"), action
    assert {engine.state for engine in engines.values()} == {State.INIT}

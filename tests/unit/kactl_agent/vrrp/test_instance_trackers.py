"""Trackers as an instance sees them: why it failed, and those that have not decided when it starts (keepalived)."""

from __future__ import annotations

import pytest

from kactl_agent.vrrp.actions import (
    PriorityContribution,
    Report,
    Shutdown,
    Startup,
    State,
    TrackerFault,
    TrackerPending,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SECOND
from support.vrrp import interface, make_settings, of, started, transition

CHK, DNS = "track_script chk", "track_script dns"


def waiting(*names: str) -> VrrpInstance:
    instance = VrrpInstance(make_settings())
    instance.handle_event(interface(), 0)
    for name in names:
        assert instance.handle_event(TrackerPending(name, True), 0) == []
    assert instance.handle_event(Startup(), 0) == []
    return instance


def test_startup_waits_for_all_trackers_in_doubt() -> None:
    instance = waiting(CHK, DNS)
    assert instance.state is State.INIT
    assert instance.deadline() is None
    assert instance.snapshot().waiting_for == (CHK, DNS)
    assert instance.handle_event(TrackerPending(CHK, False), SECOND) == []
    assert instance.snapshot().waiting_for == (DNS,)
    actions = instance.handle_event(TrackerPending(DNS, False), 2 * SECOND)
    assert (transition(actions).old, transition(actions).new) == (State.INIT, State.BACKUP)
    assert instance.deadline() == 2 * SECOND + 3 * SECOND + 609_375_000, "its own down timer starts now"


def test_a_tracker_that_decides_for_a_fault_starts_the_instance_into_it() -> None:
    instance = waiting(CHK)
    assert instance.handle_event(TrackerFault(CHK, True, "exited with status 3"), SECOND) == []
    found = transition(instance.handle_event(TrackerPending(CHK, False), SECOND))
    assert (found.new, found.cause) == (State.FAULT, CHK)
    assert found.detail == "track_script chk: exited with status 3"


def test_a_stop_ends_the_wait() -> None:
    instance = waiting(CHK)
    assert instance.handle_event(Shutdown(), SECOND) == []
    assert instance.handle_event(TrackerPending(CHK, False), SECOND) == []
    assert instance.state is State.INIT


def test_a_running_instance_waits_for_nothing() -> None:
    instance = started()
    assert instance.handle_event(TrackerPending(CHK, True), SECOND) == []
    assert instance.handle_event(TrackerPending(CHK, False), SECOND) == []
    assert instance.state is State.BACKUP


@pytest.mark.parametrize("detail", ["", "exited with status 1"])
def test_a_change_of_priority_says_why(detail: str) -> None:
    (report,) = of(Report, started().handle_event(PriorityContribution(CHK, -20, detail), SECOND))
    why = ", exited with status 1" if detail else ""
    assert report.detail == f"effective priority 100 -> 80 (track_script chk: -20{why})"

"""What a verdict does to an instance. The figures are those of keepalived 2.2.7 with priority 100, reverse included."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.tracking.actions import Verdict
from kactl_agent.tracking.contribution import changed_inputs, contribution, inputs, withdrawal
from kactl_agent.tracking.settings import TrackerKind, TrackerUse
from kactl_agent.vrrp.actions import PriorityContribution, TrackerFault, TrackerPending

SCRIPT, FILE = TrackerKind.SCRIPT, TrackerKind.FILE
CHECKS = [TrackerKind.SCRIPT, TrackerKind.INTERFACE, TrackerKind.PROCESS, TrackerKind.BFD]


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize(
    ("weight", "reverse", "up", "down"),
    [
        (10, False, (10, False), (0, False)),
        (-10, False, (0, False), (-10, False)),
        (10, True, (-10, False), (0, False)),
        (-10, True, (0, False), (10, False)),
        (0, False, (0, False), (0, True)),
        (0, True, (0, True), (0, False)),
    ],
)
def test_up_and_down(
    kind: TrackerKind, weight: int, reverse: bool, up: tuple[int, bool], down: tuple[int, bool]
) -> None:
    use = TrackerUse(kind, "t", weight, reverse)
    assert contribution(use, Verdict(True)) == up
    assert contribution(use, Verdict(False)) == down
    assert contribution(use, Verdict(None)) == (0, False)


@pytest.mark.parametrize(
    ("weight", "reverse", "value", "expected"),
    [
        (1, False, 5, (5, False)),
        (2, False, -5, (-10, False)),
        (1, True, 5, (-5, False)),
        (3, True, -5, (15, False)),
        (1, True, -253, (253, False)),
        (1, True, -254, (253, False)),
        (1, True, 253, (-253, False)),
        (1, True, 254, (0, True)),
        (2, False, 254, (253, False)),
        (2, False, -200, (0, True)),
        (1, False, -253, (-253, False)),
        (1, False, -254, (0, True)),
        (0, False, 5, (0, True)),
        (0, False, 0, (0, False)),
        (0, True, 5, (0, False)),
        (0, True, 0, (0, True)),
    ],
)
def test_files(weight: int, reverse: bool, value: int, expected: tuple[int, bool]) -> None:
    assert contribution(TrackerUse(FILE, "f", weight, reverse), Verdict(True, value)) == expected


@given(st.sampled_from(TrackerKind), st.integers(-254, 254), st.booleans(), st.booleans(), st.integers(-(2**31), 2**31))
def test_a_fault_adds_nothing_and_a_weight_stays_in_bounds(
    kind: TrackerKind, weight: int, reverse: bool, up: bool, value: int
) -> None:
    added, fault = contribution(TrackerUse(kind, "t", weight, reverse), Verdict(up, value))
    assert -254 <= added <= 254
    assert not (fault and added)
    if kind is not FILE:
        assert fault is (weight == 0 and up is reverse)


def test_only_what_could_be_a_fault_is_waited_for() -> None:
    assert inputs(TrackerUse(SCRIPT, "chk"), Verdict(None)) == [TrackerPending("track_script chk", True)]
    assert TrackerPending("track_script chk", False) in inputs(TrackerUse(SCRIPT, "chk", -10), Verdict(None))


def test_the_fault_is_told_before_the_wait_ends() -> None:
    told = inputs(TrackerUse(SCRIPT, "chk"), Verdict(False, 0, "exited with status 3"))
    assert told == [
        TrackerFault("track_script chk", True, "exited with status 3"),
        PriorityContribution("track_script chk", 0, "exited with status 3"),
        TrackerPending("track_script chk", False),
    ]


def test_an_instance_goes_into_fault_with_the_priority_it_had() -> None:
    """behaviour seen: after 110, the FIFO says `INSTANCE "V1" FAULT 110`, and after the recovery `BACKUP 100`."""
    use = TrackerUse(FILE, "prio", 2)
    kinds = [type(told) for told in inputs(use, Verdict(True, -200))]
    assert kinds == [TrackerFault, PriorityContribution, TrackerPending]
    assert [type(told) for told in inputs(use, Verdict(True, 0))] == [
        PriorityContribution, TrackerFault, TrackerPending,
    ]  # fmt: skip


def test_lists_that_change() -> None:
    gone, kept = TrackerUse(SCRIPT, "gone"), TrackerUse(SCRIPT, "kept")
    new = TrackerUse(SCRIPT, "new", -5)
    verdicts = {(SCRIPT, "kept"): Verdict(False, 0, "why"), (SCRIPT, "new"): Verdict(False)}
    told = changed_inputs((gone, kept), (kept, new), verdicts)
    assert told == [
        *inputs(kept, verdicts[SCRIPT, "kept"]),
        *inputs(new, verdicts[SCRIPT, "new"]),
        *withdrawal(gone),
    ]


def test_the_same_tracker_of_instance_and_group_counts_twice() -> None:
    assert TrackerUse(SCRIPT, "chk").name == "track_script chk"
    assert TrackerUse(SCRIPT, "chk", group="VG").name == "track_script chk of group VG"

"""What the VRRP worker tells the journal about what its engines say. Nothing here looks at a file."""

from __future__ import annotations

import time

from kactl_agent.runtime import frames
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.vrrp.actions import Report, Transition
from kactl_agent.vrrp.instance import PRIORITY_CHANGED
from kactl_agent.vrrp.restraint import ADVERT_LATE, DRAINED_WITHOUT_MASTER, STALL_OVER, STALLED
from kactl_agent.vrrp.snapshot import InstanceSnapshot

_HAPPENINGS = frozenset({ADVERT_LATE, DRAINED_WITHOUT_MASTER, STALL_OVER, STALLED})
"""Reports that explain what happens to an instance, besides changes of its priority."""


def wall(now: int) -> int:
    """Wall-clock ns of a monotonic moment that has just been."""
    return time.time_ns() - (time.monotonic_ns() - now)


def nanoseconds_since_boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def of_transition(name: str, transition: Transition, now: int, lag: int, revision: str) -> frames.TransitionRecord:
    """`lag` is the worst of the worker's loop lately, `revision` that of the configuration in force."""
    return frames.TransitionRecord(
        at=wall(now),
        instance=name,
        old=transition.old.value,
        new=transition.new.value,
        cause=transition.cause,
        detail=transition.detail,
        priority=transition.priority,
        master=transition.master,
        evidence=transition.evidence,
        lag=lag,
        revision=revision,
    )


def of_report(name: str, report: Report, snapshot: InstanceSnapshot) -> frames.Frame | None:
    """What a report of an instance is to the journal, if it is anything."""
    if report.code == PRIORITY_CHANGED:
        return frames.PriorityRecord(
            time.time_ns(), name, snapshot.state.value, snapshot.effective_priority, report.detail
        )
    if report.code in _HAPPENINGS:
        subject = f"vrrp_instance {name}"
        return Happening(at=time.time_ns(), kind=report.code, subject=subject, detail=report.detail)
    return None


def of_stall(gap: int) -> Happening:
    """The worker, or the machine, stood still for so many ns."""
    detail = f"the vrrp worker stood still for {gap // 1_000_000} ms: neither heard nor sent anything"
    return Happening(at=time.time_ns(), kind="stall", subject="process vrrp", detail=detail)

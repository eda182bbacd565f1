"""What the verdict of a tracker does to an instance: priority, FAULT, or nothing yet (keepalived track_*).

Weight 0 makes a failure a FAULT. A positive weight is added while the tracker is up, a negative one while it is down.
`reverse` turns the sign of what is added, and makes a success the FAULT. A file contributes its number times the
weight; one of -254 or less is a FAULT, 254 and more is taken as 253.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kactl_agent.tracking.actions import Verdict
from kactl_agent.tracking.settings import TrackerKind, TrackerUse
from kactl_agent.vrrp.actions import Input, PriorityContribution, TrackerFault, TrackerPending

FILE_FAULT = -254
FILE_HIGHEST = 253

TrackerKey = tuple[TrackerKind, str]


def contribution(use: TrackerUse, verdict: Verdict) -> tuple[int, bool]:
    """What it adds to the priority, and whether it is a fault."""
    if use.kind is TrackerKind.FILE:
        return _file_contribution(use, verdict.value)
    if verdict.up is None:
        return 0, False
    if use.weight == 0:
        return 0, verdict.up is use.reverse
    counts = verdict.up if use.weight > 0 else not verdict.up
    return (-use.weight if use.reverse else use.weight) if counts else 0, False


def _file_contribution(use: TrackerUse, value: int) -> tuple[int, bool]:
    if use.weight == 0:
        return 0, (value == 0) is use.reverse
    product = value * (-use.weight if use.reverse else use.weight)
    return (0, True) if product <= FILE_FAULT else (min(product, FILE_HIGHEST), False)


def is_pending(use: TrackerUse, verdict: Verdict) -> bool:
    """Whether the instance has to wait for this tracker before it may start: without a weight, it could be a fault."""
    return verdict.up is None and use.weight == 0


def inputs(use: TrackerUse, verdict: Verdict) -> list[Input]:
    """All that an instance has to be told about the tracker, whatever it was told before. It goes into FAULT with the
    priority it had, and comes out of it with the new one, as in keepalived."""
    if is_pending(use, verdict):
        return [TrackerPending(use.name, True)]
    weight, fault = contribution(use, verdict)
    added = PriorityContribution(use.name, weight, verdict.detail)
    faulted = TrackerFault(use.name, fault, verdict.detail if fault else "")
    return [*((faulted, added) if fault else (added, faulted)), TrackerPending(use.name, False)]


def withdrawal(use: TrackerUse) -> list[Input]:
    """What an instance has to be told that does not use the tracker any more."""
    return [PriorityContribution(use.name, 0), TrackerFault(use.name, False), TrackerPending(use.name, False)]


def changed_inputs(
    old: Iterable[TrackerUse], new: Iterable[TrackerUse], verdicts: Mapping[TrackerKey, Verdict]
) -> list[Input]:
    """What an instance has to be told whose tracker lists changed: what is gone is taken back after the rest is said,
    so that it is not without a fault in between."""
    now_used = {use.name: use for use in new}
    told = [told for use in now_used.values() for told in inputs(use, verdicts[use.kind, use.tracker])]
    return [*told, *(told for use in old if use.name not in now_used for told in withdrawal(use))]

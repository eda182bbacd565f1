"""`kactl why`: from a change of state back through what led to it. Pure: events of the journal in, an explanation out.

An explanation has the change itself, its reasons in words (from the inputs the journal has stored with it), and the
chain: events of other objects shortly before that its own evidence, its sync group or its trackers point at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from kactl_agent.observe.journal import Event, subject_of

CHANGES = frozenset({"transition", "group_transition"})
_VRRP, _CHECKERS = ("vrrp", "spawner"), ("checkers", "spawner")
_PROCESSES = {
    "vrrp_instance": _VRRP,
    "vrrp_sync_group": _VRRP,
    "virtual_server": _CHECKERS,
    "real_server": _CHECKERS,
    "bfd_instance": ("bfd",),
}
"""Kind of a subject -> the processes whose end or pause may be behind what happens to it."""
_LOOK_BACK = 60.0  # seconds before a change within which something else may be its reason
_RELOAD_TAKES = 5.0  # seconds
_MOST_IN_CHAIN = 20
_MOST_BEFORE = 5  # earlier changes of the same object, one line each
_MOST_STEPS = 4  # from reason to reason


class UnknownSubject(ValueError):
    """Nothing of this name is configured, and the journal knows nothing of it."""


def explain(
    events: Sequence[Event],
    groups: Mapping[str, Sequence[str]],
    subjects: Iterable[str] = (),
    name: str = "",
    cursor: str = "",
) -> dict[str, Any]:
    """Why `name` (an instance, a sync group, or any subject of the journal) is what it is; with `cursor`, why the
    event it names happened; with neither, why each of `subjects` is what it is.

    `groups` has the members of each sync group. Raises UnknownSubject.
    """
    if cursor:
        found = next((index for index, event in enumerate(events) if event["cursor"] == cursor), None)
        if found is None:
            raise UnknownSubject(f"there is no event {cursor} in the journal (any more)")
        wanted = [found]
    elif name:
        latest = _latest(events, name)
        if latest is None:
            if name not in subjects and not any(_names(name, subject) for subject in subjects):
                raise UnknownSubject(f"{name} is neither configured nor in the journal")
            return {"explanations": [], "message": f"the journal knows of no change of {name}"}
        wanted = [latest]
    else:
        found_for = (_latest(events, subject) for subject in subjects)
        wanted = sorted({index for index in found_for if index is not None}, reverse=True)
    return {"explanations": [_explanation(events, index, groups) for index in wanted]}


def _names(name: str, subject: str) -> bool:
    """`VI_1` and `vrrp_instance VI_1` both name that one."""
    return subject == name or subject.partition(" ")[2] == name


def _latest(events: Sequence[Event], name: str) -> int | None:
    """The newest change of the subject, or, where it has none, whatever was last said of it."""
    of_it = [index for index, event in enumerate(events) if _names(name, subject_of(event))]
    changes = [index for index in of_it if _is_change(events[index])]
    found = changes or of_it
    return found[-1] if found else None


def _is_change(event: Event) -> bool:
    return event["type"] in CHANGES or bool(event.get("new"))


def _explanation(events: Sequence[Event], index: int, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    event = events[index]
    subject = subject_of(event)
    before = [
        {key: earlier[key] for key in ("cursor", "time", "old", "new", "detail") if key in earlier}
        for earlier in events[:index]
        if subject_of(earlier) == subject and _is_change(earlier)
    ]
    return {
        "subject": subject,
        "event": event,
        "reasons": reasons(event),
        "chain": [
            {"event": events[each], "ms_before": _ms_between(events[each], event)}
            for each in _chain(events, index, groups)
        ],
        "earlier": before[-_MOST_BEFORE:],
    }


# -- the chain ---------------------------------------------------------------------------------------------------------


def _chain(events: Sequence[Event], index: int, groups: Mapping[str, Sequence[str]]) -> list[int]:
    """Events that led to this one, oldest first: what it points at, what those point at, and so on."""
    chain: set[int] = set()
    edge = [index]
    for _ in range(_MOST_STEPS):
        step: list[int] = []
        for each in edge:
            step += [found for found in _reasons_of(events, each, groups) if found not in chain and found != index]
        if not step:
            break
        chain.update(step)
        edge = list(dict.fromkeys(step))
    return sorted(chain)[-_MOST_IN_CHAIN:]


def _reasons_of(events: Sequence[Event], index: int, groups: Mapping[str, Sequence[str]]) -> list[int]:
    """The newest event of each object that this one may come from, since the change of its own before."""
    event = events[index]
    own = subject_of(event)
    pointed_at = _pointed_at(event, groups)
    found: dict[str, int] = {}
    for earlier in range(index - 1, -1, -1):
        candidate = events[earlier]
        if _ms_between(candidate, event) > _LOOK_BACK * 1000:
            break
        subject = subject_of(candidate)
        if subject == own:
            if _is_change(candidate):
                break
            found.setdefault(f"{subject} {candidate['type']}", earlier)
        elif subject in pointed_at or (_is_change(event) and _concerns(candidate, own)):
            found.setdefault(subject or candidate["type"], earlier)
    if _is_change(event):
        # a reload is told when it is done; what it did to an instance came before
        for later in range(index + 1, len(events)):
            if _ms_between(event, events[later]) > _RELOAD_TAKES * 1000:
                break
            if _was_about(events[later], own):
                found["reload"] = later
                break
    if event["type"] == "group_transition":
        # what its members did stands behind it or beside it, at the same moment
        for later in range(index + 1, len(events)):
            if _ms_between(event, events[later]) > 0:
                break
            if subject_of(events[later]) in pointed_at and events[later].get("cause") == event.get("cause"):
                found.setdefault(subject_of(events[later]), later)
    return list(found.values())


def _was_about(candidate: Event, own: str) -> bool:
    """Whether it is a reload that has changed this object."""
    if candidate["type"] != "reload":
        return False
    changes = candidate.get("changes") or {}
    return any(own.partition(" ")[2] in changes.get(what, ()) for what in ("removed", "changed", "added"))


def _pointed_at(event: Event, groups: Mapping[str, Sequence[str]]) -> set[str]:
    """Subjects that the event itself says matter: its trackers, its interface, the members of its sync group."""
    evidence = event.get("evidence") or {}
    named = {*event.get("because", ()), *(each["name"] for each in evidence.get("contributions", ()))}
    named |= {fault.partition(":")[0] for fault in evidence.get("faults", ())}
    if evidence.get("interface"):
        named.add(f"interface {evidence['interface']}")
    # trackers are called "track_bfd b1" by an instance, and "bfd_instance b1" by what they look at
    for prefix, kind in (("track_bfd ", "bfd_instance "), ("track_interface ", "interface ")):
        named |= {kind + each.removeprefix(prefix) for each in named if each.startswith(prefix)}
    if "group" in event:
        named |= {f"vrrp_instance {member}" for member in groups.get(event["group"], ())}
    if event.get("cause") in ("sync_group", "drained") or any(each.startswith("sync_group ") for each in named):
        for group, members in groups.items():
            if event.get("instance") in members:
                named |= {f"vrrp_instance {member}" for member in members} | {f"vrrp_sync_group {group}"}
    return named - {subject_of(event)}


def _concerns(candidate: Event, own: str) -> bool:
    """Events of the agent as a whole that may be behind a change of any instance."""
    kind, (own_kind, _, name) = candidate["type"], own.partition(" ")
    if kind in ("drain", "undrain"):
        return name in (candidate.get("facts") or {}).get("instances", "").split(", ")
    if kind in ("process", "stall"):
        process = subject_of(candidate).removeprefix("process ")
        return process in _PROCESSES.get(own_kind, ())
    return bool(kind == "reload")


def _ms_between(earlier: Event, later: Event) -> int:
    return round((_moment(later) - _moment(earlier)) * 1000)


def _moment(event: Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


# -- the reasons, in words -----------------------------------------------------------------------------------------


def reasons(event: Event) -> list[str]:
    """What was known at that moment, one fact a line; from what the journal has stored with the event."""
    lines = [event["detail"]] if event.get("detail") else []
    evidence = event.get("evidence")
    if evidence:
        lines += _of_adverts(evidence)
        lines += _of_timers(event, evidence)
        lines += _of_priority(event, evidence)
        lines += [f"fault: {fault}" for fault in evidence.get("faults", ())]
        if evidence.get("drained") is not None and event.get("cause") != "drained":
            lines.append(f"drained{': ' + evidence['drained'] if evidence['drained'] else ''}")
        if evidence.get("interface"):
            up = {True: "up", False: "not usable", None: "not known yet"}[evidence.get("interface_up")]
            lines.append(f"interface {evidence['interface']}: {up}")
    lines += [f"{key.replace('_', ' ')}: {value}" for key, value in (event.get("facts") or {}).items()]
    if event.get("revision"):
        lines.append(f"configuration in force: revision {event['revision'][:12]}")
    return lines


def _of_adverts(evidence: Mapping[str, Any]) -> list[str]:
    lines = []
    for heard in evidence.get("heard", ()):
        adverts = "1 advert" if heard["count"] == 1 else f"{heard['count']} adverts"
        lines.append(
            f"heard {heard['source']} last {_span(heard['age_ms'])} before, priority {heard['priority']} ({adverts})"
        )
    if not evidence.get("heard"):
        lines.append("no other router has been heard")
    discarded = evidence.get("discarded")
    if discarded:
        age = _span(discarded["age_ms"])
        lines.append(f"an advert of {discarded['source']} was discarded {age} before: {discarded['reason']}")
    return lines


def _of_timers(event: Event, evidence: Mapping[str, Any]) -> list[str]:
    lines = []
    if evidence.get("timer") and event.get("new") == "MASTER":
        name, length = evidence["timer"], _span(evidence["timer_length_ms"])
        lines.append(f"{name} of {length} had run for {_span(evidence['waited_ms'])}")
    if event.get("old") == "MASTER" and evidence.get("sent_age_ms") is not None:
        lines.append(f"our own last advert: {_span(evidence['sent_age_ms'])} before")
    if evidence.get("stalled_ms"):
        age = evidence.get("stalled_age_ms", 0)
        when = "until then" if not age else f"until {_span(age)} before"
        lines.append(f"this process stood still for {_span(evidence['stalled_ms'])}, {when}")
    if "late_ms" in evidence:
        late = f"this timer was {_span(evidence['late_ms'])} late, " if evidence["late_ms"] else ""
        lines.append(f"local delay: {late}the worker's loop at most {_span(event.get('lag_ms', 0))} in the last 10 s")
    return lines


def _of_priority(event: Event, evidence: Mapping[str, Any]) -> list[str]:
    contributions = evidence.get("contributions", ())
    if not contributions:
        return []
    parts = ", ".join(f"{each['weight']:+d} {each['name']}" for each in contributions)
    return [f"priority {event.get('priority')}: {evidence.get('configured_priority')} configured, {parts}"]


def _span(milliseconds: float) -> str:
    """`4 ms`, `3.612 s`, `2 min 5 s`"""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms" if milliseconds >= 10 or milliseconds == 0 else f"{milliseconds:.1f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.3f} s"
    minutes, rest = divmod(round(milliseconds / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"

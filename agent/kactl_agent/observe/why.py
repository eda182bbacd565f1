"""`kactl why`: from a change of state back through what led to it. Pure: events of the journal in, an explanation out.

An explanation has the change itself, its reasons in words (from the inputs the journal has stored with it), and the
chain: events of other objects shortly before that its own evidence, its sync group or its trackers point at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from kactl_agent.observe.journal import Event, subject_of

_AGENT_WIDE = frozenset({"reload", "process", "stall", "drain", "undrain"})
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
_MOST_AT_ONCE = 50  # explanations in one answer
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
    story = _Story(events, groups)
    if cursor:
        found = next((index for index, event in enumerate(events) if event["cursor"] == cursor), None)
        if found is None:
            raise UnknownSubject(f"there is no event {cursor} in the journal (any more)")
        return {"explanations": [_explanation(story, found)]}
    if name:
        latest = story.latest(name)
        if latest is not None:
            return {"explanations": [_explanation(story, latest)]}
        if name not in subjects and not any(_names(name, subject) for subject in subjects):
            raise UnknownSubject(
                f"the journal knows of no change of {name}, and no instance or sync group is called so"
            )
        return {"explanations": [], "message": f"the journal knows of no change of {name}"}
    latest_of = (story.latest(subject) for subject in subjects)
    wanted = sorted({index for index in latest_of if index is not None}, reverse=True)
    answer: dict[str, Any] = {"explanations": [_explanation(story, index) for index in wanted[:_MOST_AT_ONCE]]}
    if len(wanted) > _MOST_AT_ONCE:
        answer["message"] = (
            f"{len(wanted) - _MOST_AT_ONCE} more that changed before are not shown: ask for one by its name"
        )
    return answer


def _names(name: str, subject: str) -> bool:
    """`VI_1` and `vrrp_instance VI_1` both name that one."""
    return subject == name or subject.partition(" ")[2] == name


def _is_change(event: Event) -> bool:
    return event["type"] in CHANGES or bool(event.get("new"))


class _Story:
    """The events, and where to find those of one object: a journal holds thousands, and a chain asks for many."""

    def __init__(self, events: Sequence[Event], groups: Mapping[str, Sequence[str]]) -> None:
        self.events = events
        self.groups = groups
        self.moments = [datetime.fromisoformat(event["time"]).timestamp() for event in events]
        self.subjects = [subject_of(event) for event in events]
        self._of: dict[str, list[int]] = {}
        self._changes: dict[str, list[int]] = {}
        self.wide: list[int] = []  # events that may concern anything
        for index, (event, subject) in enumerate(zip(events, self.subjects, strict=True)):
            self._of.setdefault(subject, []).append(index)
            if _is_change(event):
                self._changes.setdefault(subject, []).append(index)
            if event["type"] in _AGENT_WIDE:
                self.wide.append(index)

    def latest(self, name: str) -> int | None:
        """The newest change of the subject, or, where it has none, whatever was last said of it."""
        for known in (self._changes, self._of):
            found = [indices[-1] for subject, indices in known.items() if _names(name, subject)]
            if found:
                return max(found)
        return None

    def changes_before(self, index: int) -> list[int]:
        """Of the same object, oldest first."""
        found = self._changes.get(self.subjects[index], [])
        return found[: bisect_left(found, index)]

    def between(self, subject: str, first: int, last: int) -> list[int]:
        """Events of an object from index `first` on, before `last`."""
        found = self._of.get(subject, [])
        return found[bisect_left(found, first) : bisect_left(found, last)]

    def window(self, index: int) -> int:
        """The first event that may be a reason: not long ago, and after the change of the same object before."""
        before = self.changes_before(index)
        return max(bisect_left(self.moments, self.moments[index] - _LOOK_BACK), before[-1] + 1 if before else 0)

    def ms_before(self, earlier: int, later: int) -> int:
        return round((self.moments[later] - self.moments[earlier]) * 1000)


def _explanation(story: _Story, index: int) -> dict[str, Any]:
    event = story.events[index]
    before = [story.events[each] for each in story.changes_before(index)[-_MOST_BEFORE:]]
    return {
        "subject": story.subjects[index],
        "event": event,
        "reasons": reasons(event),
        "chain": [
            {"event": story.events[each], "ms_before": story.ms_before(each, index)} for each in _chain(story, index)
        ],
        "earlier": [
            {key: each[key] for key in ("cursor", "time", "old", "new", "detail") if key in each} for each in before
        ],
    }


# -- the chain ---------------------------------------------------------------------------------------------------------


def _chain(story: _Story, index: int) -> list[int]:
    """Events that led to this one, oldest first: what it points at, what those point at, and so on."""
    chain: set[int] = set()
    edge = [index]
    for _ in range(_MOST_STEPS):
        step = {found for each in edge for found in _reasons_of(story, each)} - chain - {index}
        edge = sorted(step)[-(_MOST_IN_CHAIN - len(chain)) :] if len(chain) < _MOST_IN_CHAIN else []
        if not edge:
            break
        chain.update(edge)
    return sorted(chain)


def _reasons_of(story: _Story, index: int) -> set[int]:
    """The newest event of each object that this one may come from."""
    event, own, first = story.events[index], story.subjects[index], story.window(index)
    found: set[int] = set()
    said = {story.events[each]["type"]: each for each in story.between(own, first, index)}
    found.update(said.values())  # of itself: the newest of each kind
    for subject in _pointed_at(event, story.groups):
        found.update(story.between(subject, first, index)[-1:])
    if _is_change(event):
        wide = story.wide[bisect_left(story.wide, first) : bisect_left(story.wide, index)]
        concerned = {
            story.subjects[each] or story.events[each]["type"]: each
            for each in wide
            if story.subjects[each] != own and _concerns(story.events[each], own)
        }
        found.update(concerned.values())
        found.update(_told_later(story, index))
    return found


def _told_later(story: _Story, index: int) -> list[int]:
    """What stands behind the change though it came before: a reload is told when it is done, members of a sync group
    are told beside it, and a BFD session by another process, whose word may take longer."""
    event, own = story.events[index], story.subjects[index]
    found: dict[str, int] = {}
    pointed_at = _pointed_at(event, story.groups)
    members = pointed_at if event["type"] == "group_transition" else set()
    sessions = {subject for subject in pointed_at if subject.startswith("bfd_instance ")}
    for later in range(index + 1, len(story.events)):
        milliseconds = story.ms_before(index, later)
        if milliseconds > _RELOAD_TAKES * 1000:
            break
        candidate, subject = story.events[later], story.subjects[later]
        if _was_about(candidate, own):
            found.setdefault("reload", later)
        elif milliseconds <= 0 and (
            subject in sessions or (subject in members and candidate.get("cause") == event.get("cause"))
        ):
            found.setdefault(subject, later)
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

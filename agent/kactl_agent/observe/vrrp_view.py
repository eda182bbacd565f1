"""What the VRRP worker says, taken into the status and the journal."""

from __future__ import annotations

from ipaddress import ip_address

from kactl_agent.observe.evidence_view import evidence_document
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.journal import Journal
from kactl_agent.observe.state import AgentState
from kactl_agent.runtime import frames
from kactl_agent.runtime.dump_frames import TrackerGone, TrackerState


def watch_vrrp(handlers: Handlers, state: AgentState, journal: Journal) -> None:
    """Put the handlers of its frames into the table."""

    def transition(frame: frames.TransitionRecord) -> None:
        journal.append(
            "transition",
            frame.at,
            instance=frame.instance,
            old=frame.old,
            new=frame.new,
            cause=frame.cause,
            detail=frame.detail,
            priority=frame.priority,
            master=str(ip_address(frame.master)) if frame.master else None,
            **({"evidence": evidence_document(frame.evidence)} if frame.evidence is not None else {}),
            lag_ms=round(frame.lag / 1e6, 3),
            revision=frame.revision,
        )

    def priority(frame: frames.PriorityRecord) -> None:
        journal.append(
            "priority",
            frame.at,
            instance=frame.instance,
            state=frame.state,
            priority=frame.priority,
            detail=frame.detail,
        )

    def group(frame: frames.GroupRecord) -> None:
        journal.append(
            "group_transition",
            frame.at,
            group=frame.group,
            old=frame.old,
            new=frame.new,
            cause=frame.cause,
            detail=frame.detail,
        )

    handlers.on(frames.TransitionRecord, transition)
    handlers.on(frames.PriorityRecord, priority)
    handlers.on(frames.GroupRecord, group)
    handlers.on(frames.Snapshot, state.take_snapshot)
    handlers.on(frames.InstanceGone, lambda frame: state.forget_instance(frame.instance))
    handlers.on(frames.GroupState, state.take_group)
    handlers.on(frames.Heartbeat, state.take_heartbeat)
    handlers.on(TrackerState, state.take_tracker)
    handlers.on(TrackerGone, state.forget_tracker)
    handlers.on_loss("vrrp", state.forget_instances)

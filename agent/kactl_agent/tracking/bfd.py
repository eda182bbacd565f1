"""A tracked BFD session: down until the session says otherwise (keepalived track_bfd)."""

from __future__ import annotations

from kactl_agent.tracking.actions import SessionState, Verdict


def session_verdict(name: str, state: SessionState) -> Verdict:
    """What the session says: only Up is up; Down, Init and AdminDown are not told apart."""
    return Verdict(state.up, 0, f"BFD session {name} is {'up' if state.up else 'not up'}")

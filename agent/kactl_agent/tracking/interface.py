"""A tracked interface: up is IFF_UP and IFF_RUNNING (keepalived track_interface)."""

from __future__ import annotations

from kactl_agent.tracking.actions import LinkState, Verdict


def interface_verdict(name: str, state: LinkState) -> Verdict:
    """What the interface says, with the reason when it is down."""
    if not state.exists:
        return Verdict(False, 0, f"interface {name} does not exist")
    return Verdict(True, 0, f"interface {name} is up") if state.up else Verdict(False, 0, f"interface {name} is down")

"""The evidence of a transition as readers of the journal get it: plain JSON values, times in ms."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from kactl_agent.vrrp.evidence import Evidence


def evidence_document(evidence: Evidence) -> dict[str, Any]:
    """What does not matter is left out."""
    document: dict[str, Any] = {
        "state_age_ms": _ms(evidence.state_age),
        "heard": [
            {"source": _host(each.source), "priority": each.priority, "age_ms": _ms(each.age), "count": each.count}
            for each in evidence.heard
        ],
        "late_ms": _ms(evidence.late),
        "interface_up": evidence.interface_up,
        "configured_priority": evidence.configured_priority,
    }
    if evidence.discarded is not None:
        lost = evidence.discarded
        document["discarded"] = {"source": _host(lost.source), "reason": lost.reason, "age_ms": _ms(lost.age)}
    if evidence.timer:
        document["timer"] = evidence.timer
        document["timer_length_ms"] = _ms(evidence.timer_length)
        document["waited_ms"] = _ms(evidence.waited)
    if evidence.sent_age is not None:
        document["sent_age_ms"] = _ms(evidence.sent_age)
    if evidence.interface:
        document["interface"] = evidence.interface
    if evidence.contributions:
        document["contributions"] = [{"name": name, "weight": weight} for name, weight in evidence.contributions]
    if evidence.faults:
        document["faults"] = list(evidence.faults)
    if evidence.drained is not None:
        document["drained"] = evidence.drained
    if evidence.stalled:
        document["stalled_ms"] = _ms(evidence.stalled)
        document["stalled_age_ms"] = _ms(evidence.stalled_age)
    return document


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)


def _host(packed: bytes) -> str:
    return str(ip_address(packed))

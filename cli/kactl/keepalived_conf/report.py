"""The report of a conversion: every statement by what became of it, and every finding, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from kactl.keepalived_conf.account import Outcome
from kactl_agent.config.diagnostics import Diagnostic, Effect, Severity, to_json

SCHEMA_VERSION = 1
_EXPANDED = "-expanded"


def report(
    source: str, destination: str, target: str, findings: list[Diagnostic], outcomes: Counter[Outcome], *, refused: bool
) -> dict[str, Any]:
    """JSON builtins. `statements` counts those of keepalived.conf, each once; a conversion from YAML has none."""
    effects = Counter(d.effect for d in findings)
    expanded = sum(d.code.endswith(_EXPANDED) for d in findings)
    return {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "destination": destination,
        "to": target,
        "result": "refused" if refused else "converted",
        "statements": {outcome.value: outcomes[outcome] for outcome in Outcome} if outcomes else {},
        "counts": {
            "converted": effects[Effect.CONVERTED],
            "changed": effects[Effect.CHANGED],
            "repaired": effects[Effect.REPAIRED],
            "carried": effects[Effect.CARRIED],
            "refused": effects[Effect.REFUSED],
            "expanded": expanded,
        },
        "findings": [to_json(d) for d in findings],
    }


def summary(findings: Iterable[Diagnostic], outcomes: Counter[Outcome]) -> str:
    """One line for people: statements by outcome, findings by severity."""
    parts = []
    total = sum(outcomes.values())
    if total:
        said = [f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome if outcomes[outcome]]
        parts.append(f"{_count(total, 'statement')}: {', '.join(said)}")
    severities = Counter(d.severity for d in findings)
    said = [_count(severities[s], s.value) for s in Severity if severities[s]]
    parts.append(", ".join(said) if said else "no findings")
    return "; ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"

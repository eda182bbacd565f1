from __future__ import annotations

from collections import Counter

from kactl.keepalived_conf.account import Outcome
from kactl.keepalived_conf.report import report, summary
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity

FINDINGS = [
    Diagnostic("definition-expanded", "m", Place("f", 1, 2, 3), Severity.NOTE, effect=Effect.CONVERTED),
    Diagnostic("extra-words", "m", Place("f", 2), Severity.WARNING, "h", Effect.REPAIRED),
    Diagnostic("missing-value", "m", Place("f", 3), effect=Effect.REFUSED),
]


def test_summary():
    outcomes = Counter({Outcome.CONVERTED: 3, Outcome.REPAIRED: 1})
    assert summary(FINDINGS, outcomes) == "4 statements: 3 converted, 1 repaired; 1 error, 1 warning, 1 note"
    assert summary([], Counter({Outcome.CONVERTED: 1})) == "1 statement: 1 converted; no findings"
    assert summary([], Counter()) == "no findings"


def test_report():
    made = report("f", "-", "yaml", FINDINGS, Counter({Outcome.CONVERTED: 3}), refused=True)
    assert made["result"] == "refused"
    assert made["statements"] == {"converted": 3, "repaired": 0, "carried": 0, "refused": 0}
    assert made["counts"] == {"converted": 1, "changed": 0, "repaired": 1, "carried": 0, "refused": 1, "expanded": 1}
    assert made["findings"][1] == {
        "severity": "warning",
        "code": "extra-words",
        "message": "m",
        "hint": "h",
        "effect": "repaired",
        "file": "f",
        "line": 2,
        "column": 0,
        "length": 1,
    }

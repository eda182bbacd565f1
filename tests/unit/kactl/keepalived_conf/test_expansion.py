"""The collection of findings."""

from __future__ import annotations

import pytest

from kactl.keepalived_conf.expansion import Findings, StoppedError
from kactl_agent.config.diagnostics import Effect, Place, Severity


def test_the_same_thing_at_the_same_place_is_said_once() -> None:
    findings = Findings(10)
    for line in (1, 1, 2):
        findings.warn("code", "message", Place("f", line, 3))
    findings.note("other", "message", Place("f", 1, 3))
    assert [(f.code, f.place.line, f.severity) for f in findings.all] == [
        ("code", 1, Severity.WARNING),
        ("code", 2, Severity.WARNING),
        ("other", 1, Severity.NOTE),
    ]


def test_the_last_error_that_there_is_room_for_stops() -> None:
    findings = Findings(2)
    findings.error("a", "message", Place("f", 1))
    findings.error("a", "message", Place("f", 1))
    with pytest.raises(StoppedError):
        findings.error("a", "message", Place("f", 2))
    assert [f.code for f in findings.all] == ["a", "a", "too-many-errors"]
    assert all(f.effect is Effect.REFUSED for f in findings.all)

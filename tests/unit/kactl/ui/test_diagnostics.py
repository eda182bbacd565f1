"""How many diagnostics are shown, and which."""

from __future__ import annotations

import io

from kactl.environment import Environment
from kactl.ui.diagnostics import MOST_SHOWN, say_diagnostics
from kactl_agent.config.diagnostics import Diagnostic, Place, Severity
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.root import Config


def said(severities: list[Severity]) -> list[str]:
    found = [Diagnostic("c", f"number {n}", Place("a", n), severity) for n, severity in enumerate(severities, 1)]
    err = io.StringIO()
    environment = Environment(io.BytesIO(), io.StringIO(), err, {})
    say_diagnostics(environment, Document(Config(), Origin("a"), found), "FILE has all of them")
    return err.getvalue().splitlines()


def test_as_many_as_are_read() -> None:
    assert len(said([Severity.WARNING] * MOST_SHOWN)) == MOST_SHOWN


def test_of_too_many_the_first() -> None:
    lines = said([Severity.WARNING] * (MOST_SHOWN + 7))
    assert len(lines) == MOST_SHOWN + 1
    assert "number 1" in lines[0]
    assert lines[-1] == "kactl: 7 more findings are not shown; FILE has all of them"


def test_of_too_many_the_errors() -> None:
    lines = said([*[Severity.WARNING] * MOST_SHOWN, Severity.ERROR])
    assert len(lines) == 2
    assert "error" in lines[0]
    assert "300 more" in lines[1]

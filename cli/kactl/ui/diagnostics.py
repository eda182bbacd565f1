"""Diagnostics of documents on a terminal, as JSON, and as annotations of a CI run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kactl.environment import Environment
from kactl_agent.config.diagnostics import Diagnostic, Severity, render_github, render_text, to_json
from kactl_agent.config.document import Document
from kactl_agent.config.masking import mask_sources


@dataclass(frozen=True)
class Counts:
    """How many diagnostics of each severity there are."""

    errors: int = 0
    warnings: int = 0
    notes: int = 0

    @classmethod
    def of(cls, diagnostics: Iterable[Diagnostic]) -> Counts:
        severities = [d.severity for d in diagnostics]
        return cls(
            severities.count(Severity.ERROR), severities.count(Severity.WARNING), severities.count(Severity.NOTE)
        )

    def text(self) -> str:
        """Such as `2 errors, 1 warning`; empty when there are none."""
        named = ((self.errors, "error"), (self.warnings, "warning"), (self.notes, "note"))
        return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in named if count)


MOST_SHOWN = 300
"""Diagnostics of a document that are shown as text at most."""


def say_diagnostics(environment: Environment, document: Document, all_of_them: str) -> None:
    """A document's diagnostics on stderr, each with its excerpt; secrets are covered.

    Of too many only the first errors are shown, or the first of all; `all_of_them` then says what has the rest.
    """
    found = shown = document.diagnostics
    if len(found) > MOST_SHOWN:
        shown = ([d for d in found if d.severity is Severity.ERROR] or found)[:MOST_SHOWN]
    sources = mask_sources(document.sources) if shown else {}
    paint, width = environment.paint(environment.stderr), environment.columns(environment.stderr)
    for diagnostic in shown:
        environment.say(render_text(diagnostic, sources, paint=paint, width=width))
    if len(found) > len(shown):
        environment.say(f"kactl: {len(found) - len(shown)} more findings are not shown; {all_of_them}")


def annotate(environment: Environment, diagnostics: Iterable[Diagnostic]) -> None:
    """GitHub's workflow commands, on stdout, where GitHub looks for them."""
    for diagnostic in diagnostics:
        environment.write(render_github(diagnostic))


def as_json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def json_diagnostics(diagnostics: Iterable[Diagnostic]) -> list[dict[str, str | int]]:
    return [to_json(diagnostic) for diagnostic in diagnostics]

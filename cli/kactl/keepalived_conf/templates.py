"""Files that are not configurations yet: templates of Jinja2, Mustache, Go or ERB that still have to be filled in.

Their braces are nobody's blocks, so that one template gives an error for nearly every line of it. What says more is
that it is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kactl.keepalived_conf.lexer import split_comment
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity

# Braces of a template: only where a brace is out of place in keepalived.conf; `"{{.State}}"` is ordinary text.
_BRACES = re.compile(r"\{[{%#]")
_ERB = re.compile(r"<%[-=#]?(?=\s)")
_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_CAUSES = frozenset({"brace-without-keyword", "extra-brace", "missing-brace", "unterminated-quote"})


def without_template_errors(findings: list[Diagnostic], sources: Mapping[str, str]) -> list[Diagnostic]:
    """The findings of an expansion; where they come of a template, one error says so instead of many about braces."""
    place = _first_place(findings, sources)
    if place is None:
        return findings
    said = Diagnostic(
        "template",
        "this is a template, not a configuration: it has places that are still to be filled in",
        place,
        hint="fill it in first, and take what comes out",
        effect=Effect.REFUSED,
    )
    return [*(d for d in findings if d.code not in _CAUSES and d.code != "too-many-errors"), said]


def _first_place(findings: Iterable[Diagnostic], sources: Mapping[str, str]) -> Place | None:
    """Where the first mark of a template stands, None without one."""
    lines: dict[str, list[str]] = {}
    for finding in findings:
        place = finding.place
        if finding.severity is Severity.ERROR and finding.code == "brace-without-keyword":
            file = lines.setdefault(place.file, sources.get(place.file, "").splitlines())
            found = _BRACES.search(file[place.line - 1]) if 0 < place.line <= len(file) else None
            if found is not None:
                return Place(place.file, place.line, found.start() + 1, 2)
    for name, text in sources.items():
        if "<%" not in text:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            code = split_comment(_QUOTED.sub(lambda m: "_" * len(m[0]), line), 1)[0]
            found = _ERB.search(code)
            if found is not None:
                return Place(name, number, found.start() + 1, 2)
    return None

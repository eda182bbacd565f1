"""Cross-references, clashes and combinations: what keepalived refuses, leaves out or mends, said with its place.

Severity follows what happens: an ERROR is refused by the agent; a WARNING is taken as keepalived takes it. The rules
stand in `kactl_agent.config.checks`.
"""

from __future__ import annotations

from kactl_agent.config import network
from kactl_agent.config.checks import references, sync_group, virtual_server, vrrp
from kactl_agent.config.checks.problem import Problem, Sheet
from kactl_agent.config.diagnostics import Diagnostic
from kactl_agent.config.document import Document


def problems(document: Document) -> list[Problem]:
    """Everything that is wrong between the fields of a document, in the order of the configuration."""
    sheet = Sheet(document)
    for family in (references, network, vrrp, sync_group, virtual_server):
        family.check(sheet)
    return sorted(sheet.problems, key=lambda p: (p.diagnostic.place.file, p.diagnostic.place.line))


def check(document: Document) -> list[Diagnostic]:
    """The diagnostics of `problems`."""
    return [p.diagnostic for p in problems(document)]

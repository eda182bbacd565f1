"""What a rule reports, and the sheet it reports on."""

from __future__ import annotations

from dataclasses import dataclass, field

from kactl_agent.config.diagnostics import Diagnostic, Severity
from kactl_agent.config.document import Document, Key
from kactl_agent.config.schema.keyword import BlockKeywords
from kactl_agent.config.schema.shapes import or_default

Path = tuple[Key, ...]


@dataclass(frozen=True)
class Problem:
    """A diagnostic about one part of the configuration.

    `ignored`: keepalived leaves just this part out, with a message, and runs on. A migration carries such a part as
    text, so that what it hands over loads; in agent YAML it is an error.
    """

    path: Path
    diagnostic: Diagnostic
    ignored: bool = False


def carried(block: BlockKeywords, keyword: str) -> str:
    """The first line of a keyword that is kept as text in a block, "" without one.

    What is wrong with the line has been reported when it was read: that its keyword is not set says nothing new.
    """
    for text in or_default(block.x_keepalived, ()):
        if text.split(None, 1)[:1] == [keyword]:
            return text.partition("\n")[0]
    return ""


@dataclass
class Sheet:
    """The document under check and the problems found so far."""

    document: Document
    problems: list[Problem] = field(default_factory=list)

    def error(self, path: Path, code: str, message: str, hint: str = "", *, ignored: bool = False) -> None:
        """What the agent refuses: keepalived refuses it too, or (`ignored`) leaves it out."""
        self._add(path, code, message, Severity.ERROR, hint, ignored)

    def warning(self, path: Path, code: str, message: str, hint: str = "") -> None:
        """What is taken, but not as it stands: the agent mends it as keepalived does."""
        self._add(path, code, message, Severity.WARNING, hint, ignored=False)

    def note(self, path: Path, code: str, message: str, hint: str = "") -> None:
        self._add(path, code, message, Severity.NOTE, hint, ignored=False)

    def _add(self, path: Path, code: str, message: str, severity: Severity, hint: str, ignored: bool) -> None:
        place = self.document.place(path)
        self.problems.append(Problem(path, Diagnostic(code, message, place, severity, hint), ignored))

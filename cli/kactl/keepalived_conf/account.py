"""What became of every directive of a conversion: each ends as exactly one outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import Enum

from kactl.keepalived_conf.tree import Directive


class Outcome(Enum):
    CONVERTED = "converted"  # a value of the model
    REPAIRED = "repaired"  # a value, as keepalived takes it and not as it stands
    CARRIED = "carried"  # text in x-keepalived
    REFUSED = "refused"  # an error says why


class Account:
    """The outcome of every directive. Marking one twice, or leaving one out, is a fault of the reader."""

    def __init__(self) -> None:
        self._outcomes: dict[int, Outcome] = {}

    def mark(self, directive: Directive) -> None:
        """A directive was converted; that is said once. Raises RuntimeError for what was accounted for already."""
        if id(directive) in self._outcomes:
            raise RuntimeError(f"{directive.file}:{directive.line}: `{directive.raw}` was accounted for twice")
        self._outcomes[id(directive)] = Outcome.CONVERTED

    def repaired(self, directive: Directive) -> None:
        """A converted directive turned out to hold something keepalived repairs or ignores."""
        if self._outcomes.get(id(directive), Outcome.CONVERTED) is Outcome.CONVERTED:
            self._outcomes[id(directive)] = Outcome.REPAIRED

    def mark_all(self, directive: Directive, outcome: Outcome) -> None:
        """A directive and everything in its block goes the same way, whatever was said about parts of it."""
        for part in walk(directive):
            self._outcomes[id(part)] = outcome

    def verify(self, directives: list[Directive]) -> None:
        """Raise RuntimeError when a directive has no outcome."""
        for root in directives:
            for part in walk(root):
                if id(part) not in self._outcomes:
                    raise RuntimeError(f"{part.file}:{part.line}: `{part.raw}` was not accounted for")

    def counts(self, directives: list[Directive]) -> Counter[Outcome]:
        """How many directives had each outcome."""
        return Counter(self._outcomes[id(part)] for root in directives for part in walk(root))


def walk(directive: Directive) -> Iterator[Directive]:
    """A directive and all directives inside it."""
    waiting = [directive]
    while waiting:
        here = waiting.pop()
        yield here
        if here.children:
            waiting.extend(here.children)

"""What reading says: findings at the words that they are about, and the account of what became of each directive."""

from __future__ import annotations

from kactl.keepalived_conf.account import Account, Outcome
from kactl.keepalived_conf.lines import LineReading
from kactl.keepalived_conf.tree import Directive, Word
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity
from kactl_agent.config.schema.keyword import Field, Table


class Findings:
    """The diagnostics of one reading, in the order they are made, and its account."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.account = Account()

    def add(
        self,
        code: str,
        message: str,
        directive: Directive,
        word: int,
        effect: Effect,
        hint: str = "",
        words: list[Word] | None = None,
        count: int = 1,
        *,
        severity: Severity = Severity.WARNING,
    ) -> None:
        """A finding about `count` words from `word` on; `words` where a keyword splits its line by rules of its own."""
        place = _place_of(directive, words or directive.words, word, count)
        self.diagnostics.append(Diagnostic(code, message, place, severity, hint, effect))

    def error(
        self,
        code: str,
        message: str,
        directive: Directive,
        word: int,
        hint: str = "",
        words: list[Word] | None = None,
    ) -> None:
        """A finding that refuses the file."""
        self.add(code, message, directive, word, Effect.REFUSED, hint, words, severity=Severity.ERROR)

    def repairs(
        self, reading: LineReading, directive: Directive, words: list[Word], table: Table | None = None
    ) -> None:
        """What keepalived takes otherwise than it stands on a line; `table` is of the block that the line stands in."""
        for repair in reading.repairs:
            severity = Severity.NOTE if repair.effect is Effect.CONVERTED else Severity.WARNING
            hint = repair.hint
            if repair.code == "extra-words" and table is not None and words[repair.word].text in table.by_word:
                hint = f"`{words[repair.word].text}` needs a line of its own"
            self.add(
                repair.code,
                repair.message,
                directive,
                repair.word,
                repair.effect,
                hint,
                words,
                repair.count,
                severity=severity,
            )
            if repair.effect is Effect.REPAIRED:
                self.account.repaired(directive)

    def spelling(self, found: Field, directive: Directive) -> None:
        """Say so when a keyword, or its spelling, is deprecated."""
        word = directive.keyword
        if word != found.name and word in found.keyword.deprecated:
            text = f"`{word}` is a deprecated spelling of `{found.name}`"
            self.add("deprecated-keyword", text, directive, 0, Effect.CONVERTED, severity=Severity.NOTE)
        elif found.keyword.replaced_by:
            text = f"`{word}` is deprecated"
            hint = f"use {found.keyword.replaced_by}"
            self.add("deprecated-keyword", text, directive, 0, Effect.CONVERTED, hint, severity=Severity.NOTE)

    def extra_words(self, directive: Directive, extra: list[Word]) -> None:
        """Words at the end of a header that keepalived does not look at."""
        text = f"`{' '.join(w.text for w in extra)}` is not part of `{directive.keyword}`: keepalived ignores it"
        self.add("extra-words", text, directive, directive.words.index(extra[0]), Effect.REPAIRED)
        self.account.repaired(directive)

    def unexpected_block(self, directive: Directive) -> None:
        """A block behind a keyword that has none; the `{` of an undefined `${NAME}` looks like one too."""
        text, hint, word = f"`{directive.keyword}` takes no block", "", 0
        inside = directive.children or []
        if directive.raw.endswith("$") and len(inside) == 1 and len(inside[0].words) == 1:
            name = inside[0].keyword
            text = f"`${{{name}}}` is not defined, so that its {{ begins a block"
            hint, word = f"give it a value with --define {name}=VALUE", len(directive.words) - 1
        self.error("unexpected-block", text, directive, word, hint)

    def no_value(self, directive: Directive, hint: str) -> None:
        """keepalived stops at a block that says nothing where it must."""
        self.error("missing-value", f"`{directive.keyword}` has no value", directive, 0, hint)
        self.account.mark_all(directive, Outcome.REFUSED)


def _place_of(directive: Directive, words: list[Word], index: int, count: int) -> Place:
    word = words[min(max(index, 0), len(words) - 1)]
    last = words[min(max(index + count - 1, 0), len(words) - 1)]
    length = last.column + len(last.text) - word.column + 2 * last.quoted
    return Place(directive.file, directive.line, word.column, max(length, 1))

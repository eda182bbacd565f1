"""The values of lines and of the entries of value blocks."""

from __future__ import annotations

from typing import Any

from kactl.keepalived_conf.account import Outcome
from kactl.keepalived_conf.carrying import Carrier, stands_alone
from kactl.keepalived_conf.findings import Findings
from kactl.keepalived_conf.lines import LineFault, LineReading, read_value, word_texts
from kactl.keepalived_conf.model_block import ModelBlock
from kactl.keepalived_conf.origins import Origins, Part
from kactl.keepalived_conf.quoting import QuoteError, split_quoted
from kactl.keepalived_conf.tree import Directive, Word
from kactl_agent.config.diagnostics import Effect
from kactl_agent.config.document import Origin
from kactl_agent.config.schema.shapes import Entries, Shape


class ValueReader:
    """Reads values. What says none is refused, carried or left out, as keepalived does with it."""

    def __init__(self, findings: Findings, origins: Origins, carrier: Carrier) -> None:
        self._findings = findings
        self._origins = origins
        self._carrier = carrier
        self._split: list[Directive] = []  # kept, so that no id() is used twice

    def line(
        self,
        model: ModelBlock,
        directive: Directive,
        shape: Shape,
        *,
        first: int = 1,
        inside: Directive | None = None,
        default: str = "",
    ) -> LineReading | None:
        """The value that a line of the block `model` says from word `first` on; None when it was not taken.

        `inside` is the value block that an entry stands in; `default` is what the keyword means when it is not said.
        """
        words = directive.words
        try:
            if shape.quoted:
                words = _split_quoted(directive)
            reading = read_value(shape, word_texts(words), first)
        except LineFault as fault:
            if fault.refused:
                self._findings.error(fault.code, fault.message, directive, fault.word, fault.hint, words)
                self._findings.account.mark_all(directive, Outcome.REFUSED)
            else:
                text = f"{fault.message}: keepalived ignores the line"
                alone = inside is not None and stands_alone(model, inside)
                effect = Effect.REPAIRED if alone else Effect.CARRIED
                hint = fault.hint
                if default and word_texts(words[first:]) == [default]:
                    hint = f"leave it out: {default} is the default"
                self._findings.add(fault.code, text, directive, fault.word, effect, hint, words)
                if alone:
                    self._origins.leave_comments(directive)
                    self._findings.account.mark_all(directive, Outcome.REPAIRED)
                else:
                    self._carrier.carry(model, directive, inside=inside)
            return None
        self._findings.account.mark(directive)
        self._findings.repairs(reading, directive, words, model.table)
        return reading

    def entries(self, model: ModelBlock, shape: Entries, items: list[Any], origin: Origin, block: Directive) -> None:
        """Put the values of a value block's entries into `items`, with their origins below `origin`."""
        for entry in block.children or []:
            if entry.children is not None:
                self._findings.unexpected_block(entry)
                self._findings.account.mark_all(entry, Outcome.REFUSED)
            elif self._carrier.is_ignored((id(entry), None)):
                self._carrier.leave_out(model, entry, (id(entry), None), inside=block)
            elif shape.many_per_line:
                self._entry_words(model, shape, items, origin, entry, block)
            else:
                reading = self.line(model, entry, shape.item, first=0, inside=block)
                if reading is not None:
                    self._origins.item(origin, len(items), Part(entry))
                    items.append(reading.value)
        self._origins.comments_left_at_end(origin)

    def _entry_words(
        self, model: ModelBlock, shape: Entries, items: list[Any], origin: Origin, entry: Directive, block: Directive
    ) -> None:
        """A line of a value block whose every word is an entry; its comments stand at the first of them."""
        self._findings.account.mark(entry)
        for index, word in enumerate(entry.words):
            one = Directive([word], f'"{word.text}"' if word.quoted else word.text, entry.file, entry.line)
            self._split.append(one)
            if index == 0:
                one.above, one.behind = entry.above, entry.behind
            if self._carrier.is_ignored((id(entry), index)):
                self._carrier.leave_out(model, one, (id(entry), index), inside=block)
                self._findings.account.repaired(entry)
                continue
            reading = self.line(model, one, shape.item, first=0, inside=block)
            if reading is not None:
                self._origins.item(origin, len(items), Part(one), Part(entry, index))
                items.append(reading.value)


def _split_quoted(directive: Directive) -> list[Word]:
    try:
        return split_quoted(directive.raw, directive.words[0].column)
    except QuoteError as error:
        raise LineFault("unterminated-quote", str(error), word=0, refused=True) from None

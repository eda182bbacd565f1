"""The words on the header line of a block: its name, or the values that keepalived has there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import UNSET, Struct

from kactl.keepalived_conf.account import Outcome
from kactl.keepalived_conf.carrying import Carrier
from kactl.keepalived_conf.findings import Findings
from kactl.keepalived_conf.lines import LineFault, read_value, word_texts
from kactl.keepalived_conf.model_block import ModelBlock
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.diagnostics import Effect
from kactl_agent.config.schema.keyword import Field, table_of
from kactl_agent.config.schema.line import read_line
from kactl_agent.config.schema.shapes import MissingWord, Text, ValueFault


class HeaderReader:
    """Reads headers. Without a usable one the block is refused, or carried in the block that it stands in."""

    def __init__(self, findings: Findings, carrier: Carrier) -> None:
        self._findings = findings
        self._carrier = carrier

    def name(self, model: ModelBlock, found: Field, directive: Directive, shape: Text) -> str | None:
        """The name on a block's header line; None when the block was refused, or carried instead."""
        try:
            reading = read_value(shape, word_texts(directive.words), 1)
        except LineFault as fault:
            if fault.refused and not found.keyword.nameless_ignored:
                self._findings.error(fault.code, fault.message, directive, fault.word, fault.hint)
                self._findings.account.mark_all(directive, Outcome.REFUSED)
            else:
                self._findings.add("invalid-header", fault.message, directive, fault.word, Effect.CARRIED, fault.hint)
                self._carrier.carry(model, directive)
            return None
        self._findings.account.mark(directive)
        self._findings.repairs(reading, directive, directive.words)
        name = str(reading.value)
        if name not in model.values.get(found.attribute, ()):
            return name
        text = f"a second `{directive.keyword} {name}`: keepalived stays with the first"
        self._findings.add("duplicate-name", text, directive, 1, Effect.CARRIED)
        self._carrier.carry(model, directive)
        return None

    def header(self, model: ModelBlock, struct: type[Struct], directive: Directive) -> Struct | None:
        """The words on a block's header line; None when the block was refused, or carried instead."""
        words = word_texts(directive.words)
        if len(words) == 1 and any(f.keyword.header for f in table_of(struct)):
            self._findings.no_value(directive, "")
            return None
        taken = self._header_words(model, struct, words, directive)
        if taken is None:
            return None
        value, at = taken
        if at < len(words):
            self._findings.extra_words(directive, directive.words[at:])
        return value

    def _header_words(
        self, model: ModelBlock, struct: type[Struct], words: list[str], directive: Directive
    ) -> tuple[Struct, int] | None:
        """What the words of a header say, where a bad word is replaced by what keepalived takes for it."""
        mended: list[Callable[[], None]] = []
        while True:
            try:
                taken = read_line(struct, words, 1, header=True)
            except MissingWord as fault:
                self._findings.no_value(directive, fault.hint)
                return None
            except ValueFault as fault:
                word, shape = fault.word or 0, fault.shape
                if shape is None or fault.taken is UNSET or len(mended) == len(words):
                    self._findings.add("invalid-header", fault.message, directive, word, Effect.CARRIED, fault.hint)
                    self._carrier.carry(model, directive)
                    return None
                words[word] = shape.render(fault.taken)
                text = f"{fault.message}: keepalived takes `{words[word]}`"
                finding = partial(
                    self._findings.add, "repaired-value", text, directive, word, Effect.REPAIRED, fault.hint
                )
                mended.append(finding)
                continue
            self._findings.account.mark(directive)
            for say in mended:
                say()
                self._findings.account.repaired(directive)
            return taken

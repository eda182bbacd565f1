"""Directives of a keepalived.conf -> Document, by the schema alone.

Every directive ends as exactly one of: a value of the model, a value as keepalived repairs it, text that is carried in
`x-keepalived`, or an error. `Account` holds which, and reading fails loudly when a directive has been forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from kactl.keepalived_conf.account import Account, Outcome
from kactl.keepalived_conf.carrying import BRACE_HINT, CARRIED, Carrier
from kactl.keepalived_conf.findings import Findings
from kactl.keepalived_conf.headers import HeaderReader
from kactl.keepalived_conf.model_block import ModelBlock
from kactl.keepalived_conf.ordering import definitions_first, sort_carried
from kactl.keepalived_conf.origins import Origins, Part, PartKey, add_comments, forget_item
from kactl.keepalived_conf.tree import Directive
from kactl.keepalived_conf.values import ValueReader
from kactl_agent.config.diagnostics import Diagnostic, Effect, Severity
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.keyword import Field, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import Block, Entries, Named, NamedEntries, Repeated, Shape, WordList


@dataclass
class Reading:
    """A document with what the accounting and a second reading need."""

    document: Document
    account: Account
    parts: dict[int, Part]  # by id() of the Origin
    dropped: frozenset[PartKey]  # ignored parts that could not be carried, beside those that were not to be


def read_directives(
    directives: list[Directive],
    at_end: list[str],
    sources: dict[str, str],
    ignored: frozenset[PartKey] = frozenset(),
    dropped: frozenset[PartKey] = frozenset(),
) -> Reading:
    """The document that directives say.

    `ignored` are parts to be carried, `dropped` are parts that are left out for good, as their text would come to mean
    something on the way back; their findings are the caller's.
    The document's diagnostics are the findings of this reading alone.
    """
    reader = _Reader(ignored, dropped)
    root = Origin()
    model = ModelBlock(table_of(Config), root)
    reader.block(model, directives)
    root.at_end = [*(root.at_end or ()), *at_end] or None
    if root.children:
        sort_carried(model.values.get("x_keepalived", []), root)
        root.children = {key: root.children[key] for key in definitions_first(list(root.children))}
    config = model.struct()
    assert isinstance(config, Config)
    reader.account.verify(directives)
    document = Document(config, root, reader.findings.diagnostics, sources)
    return Reading(document, reader.account, reader.origins.parts, reader.carrier.dropped)


class _Reader:
    """Reads blocks and what stands in them; the other readers and the carrier share its findings and origins."""

    def __init__(self, ignored: frozenset[PartKey], dropped: frozenset[PartKey]) -> None:
        self.findings = Findings()
        self.account = self.findings.account
        self.origins = Origins()
        self.carrier = Carrier(self.findings, self.origins, ignored, dropped)
        self._headers = HeaderReader(self.findings, self.carrier)
        self._values = ValueReader(self.findings, self.origins, self.carrier)
        self._by_shape: dict[type[Shape], Callable[[ModelBlock, Field, Directive], None]] = {
            Named: self._named,
            NamedEntries: self._named_entries,
            Block: self._block,
            Entries: self._entries,
            Repeated: self._repeated,
            WordList: self._word_list,
        }

    def block(self, model: ModelBlock, directives: list[Directive]) -> None:
        """Read the directives of a block into it."""
        by_word = model.table.by_word
        swallowed = 0
        for index, directive in enumerate(directives):
            if swallowed:
                swallowed -= 1
                continue
            found = by_word.get(directive.words[0].text)
            if found is None or found.keyword.extension or found.keyword.position is not None or found.keyword.header:
                swallowed = self.carrier.unknown(model, directives, index)
            elif self.carrier.is_ignored((id(directive), None)):
                self.carrier.leave_out(model, directive, (id(directive), None))
            elif directive.children is None and isinstance(found.keyword.shape, Entries):
                swallowed = self.carrier.swallow(model, directives, index)
            elif self._takes_block(found, directive):
                self.findings.spelling(found, directive)
                self._by_shape.get(type(found.keyword.shape), self._line)(model, found, directive)
                if self.carrier.displaced:
                    swallowed = self.carrier.follow_displaced(model, directives[index + 1 :])
        self.origins.comments_left_at_end(model.origin)
        children = model.origin.children
        if children and CARRIED in children:
            # What is carried stands behind everything else, so that it never comes before what it repeats.
            children[CARRIED] = children.pop(CARRIED)

    def _takes_block(self, found: Field, directive: Directive) -> bool:
        """Whether a block stands exactly where the keyword has one; reports it otherwise."""
        blocks = isinstance(found.keyword.shape, Named | NamedEntries | Block | Entries)
        if blocks == (directive.children is not None):
            return True
        word = directive.words[0]
        if blocks:
            self.findings.error("missing-brace", f"`{word.text}` has no block", directive, 0, BRACE_HINT)
        else:
            self.findings.unexpected_block(directive)
        self.account.mark_all(directive, Outcome.REFUSED)
        return False

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _named(self, model: ModelBlock, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Named)
        name = self._headers.name(model, found, directive, shape.name)
        if name is None:
            return
        blocks: dict[str, Struct] = model.values.setdefault(found.attribute, {})
        origin = self.origins.keyword(model, found, directive, name)
        struct = self._inner(model, ModelBlock(table_of(shape.struct), origin), directive)
        if struct is not None:
            blocks[name] = struct
        else:
            forget_item(model.origin, found.name, name)
            if not blocks:
                del model.values[found.attribute]

    def _named_entries(self, model: ModelBlock, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, NamedEntries)
        name = self._headers.name(model, found, directive, shape.name)
        if name is None:
            return
        items: list[Any] = []
        blocks: dict[str, list[Any]] = model.values.setdefault(found.attribute, {})
        origin = self.origins.keyword(model, found, directive, name)
        self._values.entries(model, Entries(shape.item), items, origin, directive)
        if items or not directive.children:
            blocks[name] = items
            return
        # Without any good entry the block is carried, as keepalived has seen it.
        forget_item(model.origin, found.name, name)
        if not blocks:
            del model.values[found.attribute]
        self.carrier.carry(model, directive)

    def _block(self, model: ModelBlock, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Block)
        header = self._headers.header(model, shape.struct, directive)
        if header is None:
            return
        table = table_of(shape.struct)
        values = {f.attribute: v for f, v in table.set_fields(header)}
        if shape.many:
            items: list[Any] = model.values.setdefault(found.attribute, [])
            origin = self.origins.keyword(model, found, directive, len(items))
            struct = self._inner(model, ModelBlock(table, origin, values), directive)
            if struct is not None:
                items.append(struct)
            else:
                forget_item(model.origin, found.name, len(items))
                if not items:
                    del model.values[found.attribute]
            return
        if self._stays_with_first(model, found, directive):
            return
        inner = model.values.get(found.attribute)
        if inner is None:
            inner = model.values[found.attribute] = ModelBlock(table, self.origins.keyword(model, found, directive))
        else:
            add_comments(inner.origin, directive)
        inner.values.update(values)
        self.block(inner, directive.children or [])

    def _inner(self, outer: ModelBlock, inner: ModelBlock, directive: Directive) -> Struct | None:
        """Read a block that stands for itself. Where something required is missing it is carried instead: None."""
        first = len(self.findings.diagnostics)
        self.block(inner, directive.children or [])
        # A list without an entry says as little as none: keepalived removes a group that has no member left.
        missing = [f for f in inner.table if f.keyword.required and inner.values.get(f.attribute, []) == []]
        if not missing:
            return inner.struct()
        found = self.findings.diagnostics[first:]
        said = [d for d in found if d.severity is Severity.ERROR]
        self.findings.diagnostics[first:] = said
        if said:
            return inner.struct()
        names = ", ".join(f"`{f.name}`" for f in missing)
        reason = _why_missing(missing, directive, found)
        self.findings.add(
            "incomplete-block",
            f"`{' '.join(w.text for w in directive.words)}` has no {'usable ' * bool(reason)}{names}: "
            "keepalived leaves it out",
            directive,
            0,
            Effect.CARRIED,
            reason,
        )
        self.carrier.carry(outer, directive)
        return None

    def _stays_with_first(self, model: ModelBlock, found: Field, directive: Directive) -> bool:
        """Whether keepalived ignores this one, as the keyword was said before; then it has been carried."""
        if found.attribute not in model.values or found.keyword.again != "ignored":
            return False
        text = f"a second `{found.name}`: keepalived stays with the first"
        self.findings.add("duplicate-keyword", text, directive, 0, Effect.CARRIED)
        self.carrier.carry(model, directive)
        return True

    # -- lines and value blocks ----------------------------------------------------------------------------------------

    def _line(self, model: ModelBlock, found: Field, directive: Directive) -> None:
        if self._stays_with_first(model, found, directive):
            return
        reading = self._values.line(model, directive, found.keyword.shape, default=found.keyword.default)
        if reading is None:
            return
        before = model.said.get(found.attribute)
        if before is not None:
            text = f"`{found.name}` was said in line {before.line} already: the last one counts"
            self.findings.add("duplicate-keyword", text, directive, 0, Effect.REPAIRED)
            self.account.repaired(before)
        model.values[found.attribute] = reading.value
        model.said[found.attribute] = directive
        self.origins.keyword(model, found, directive)

    def _repeated(self, model: ModelBlock, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Repeated)
        reading = self._values.line(model, directive, shape.item)
        if reading is not None:
            items: list[Any] = model.values.setdefault(found.attribute, [])
            self.origins.keyword(model, found, directive, len(items))
            items.append(reading.value)

    def _word_list(self, model: ModelBlock, found: Field, directive: Directive) -> None:
        if self._stays_with_first(model, found, directive):
            return
        reading = self._values.line(model, directive, found.keyword.shape)
        if reading is not None:
            model.values.setdefault(found.attribute, []).extend(reading.value)
            self.origins.keyword(model, found, directive)

    def _entries(self, model: ModelBlock, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Entries)
        if self._stays_with_first(model, found, directive):
            return
        self.account.mark(directive)
        if len(directive.words) > 1:
            self.findings.extra_words(directive, directive.words[1:])
        items: list[Any] = model.values.setdefault(found.attribute, [])
        self._values.entries(model, shape, items, self.origins.keyword(model, found, directive), directive)


def _why_missing(missing: list[Field], block: Directive, found: list[Diagnostic]) -> str:
    """What was wrong with the lines of keywords that a block is missing, "" when it has no such lines."""
    words = {word for f in missing for word in f.spellings}
    said = {(d.place.file, d.place.line): d.message.partition(": keepalived ")[0] for d in found}
    reasons = [
        f"line {child.line}: {said[child.file, child.line]}"
        for child in block.children or ()
        if child.keyword in words and (child.file, child.line) in said
    ]
    return "; ".join(reasons)

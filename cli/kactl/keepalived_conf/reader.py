"""Directives of a keepalived.conf -> Document, by the schema alone.

Every directive ends as exactly one of: a value of the model, a value as keepalived repairs it, text that is carried in
`x-keepalived`, or an error. `Account` holds which, and reading fails loudly when a directive has been forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import UNSET, Struct

from kactl.keepalived_conf.account import Account, Outcome
from kactl.keepalived_conf.lines import LineFault, LineReading, read_value
from kactl.keepalived_conf.ordering import definitions_first, sort_carried
from kactl.keepalived_conf.quoting import QuoteError, split_quoted
from kactl.keepalived_conf.rawtext import join_carried, render_directive, render_together
from kactl.keepalived_conf.spelling import elsewhere, nearest
from kactl.keepalived_conf.tree import Directive, Word
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.keyword import BlockKeywords, Field, Table, table_of
from kactl_agent.config.schema.line import read_line
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import (
    Block,
    Entries,
    MissingWord,
    Named,
    NamedEntries,
    Quoted,
    Repeated,
    Shape,
    Text,
    ValueFault,
    WordList,
)

CARRIED = "x-keepalived"
_MOST_HINTS = 200
_BRACE_HINT = "its `{` stands at the end of the line or alone on the next one"


@dataclass
class _Builder:
    """A block while it is read: values by attribute; lists and nested builders become tuples and structs in the end."""

    table: Table
    origin: Origin
    values: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Directive] = field(default_factory=dict)  # the line each value is from

    def struct(self) -> Struct:
        values = {name: _finished(value) for name, value in self.values.items()}
        return self.table.struct(**values)


def _finished(value: Any) -> Any:
    if isinstance(value, _Builder):
        return value.struct()
    if isinstance(value, dict):
        return {name: _finished(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


PartKey = tuple[int, int | None]
"""id() of a directive, and the index of a word where each word is an entry."""


@dataclass(frozen=True)
class Part:
    """What an Origin was made from: a directive, or one word of it where each word is an entry."""

    directive: Directive
    word: int | None = None

    @property
    def key(self) -> PartKey:
        return id(self.directive), self.word


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
    builder = _Builder(table_of(Config), root)
    reader.block(builder, directives)
    root.at_end = [*(root.at_end or ()), *at_end] or None
    if root.children:
        sort_carried(builder.values.get("x_keepalived", []), root)
        root.children = {key: root.children[key] for key in definitions_first(list(root.children))}
    config = builder.struct()
    assert isinstance(config, Config)
    reader.account.verify(directives)
    document = Document(config, root, reader.findings, sources)
    return Reading(document, reader.account, reader.parts, reader.dropped)


class _Reader:
    def __init__(self, ignored: frozenset[PartKey], dropped: frozenset[PartKey]) -> None:
        self.findings: list[Diagnostic] = []
        self.account = Account()
        self.parts: dict[int, Part] = {}
        self._ignored = ignored | dropped
        self._dropped = set(dropped)
        self._unknown_keywords = 0
        self._comments_left: list[str] = []  # of what was left out, until something follows
        self._displaced = False  # an unknown block has ended the block that it stands in
        self._split: list[Directive] = []  # kept, so that no id() is used twice
        self._by_shape: dict[type[Shape], Callable[[_Builder, Field, Directive], None]] = {
            Named: self._named,
            NamedEntries: self._named_entries,
            Block: self._block,
            Entries: self._entries,
            Repeated: self._repeated,
            WordList: self._word_list,
        }

    @property
    def dropped(self) -> frozenset[PartKey]:
        return frozenset(self._dropped)

    # -- blocks --------------------------------------------------------------------------------------------------------

    def block(self, builder: _Builder, directives: list[Directive]) -> None:
        """Read the directives of a block into it."""
        by_word = builder.table.by_word
        swallowed = 0
        for index, directive in enumerate(directives):
            if swallowed:
                swallowed -= 1
                continue
            found = by_word.get(directive.words[0].text)
            if found is None or found.keyword.extension or found.keyword.position is not None or found.keyword.header:
                swallowed = self._unknown(builder, directives[index:])
            elif (id(directive), None) in self._ignored:
                self._leave_out(builder, directive, (id(directive), None))
            elif directive.children is None and isinstance(found.keyword.shape, Entries):
                swallowed = self._swallow(builder, directives[index:])
            elif self._takes_block(found, directive):
                self._spelling(found, directive)
                self._by_shape.get(type(found.keyword.shape), self._line)(builder, found, directive)
                if self._displaced:
                    swallowed = self._follow_displaced(builder, directives[index + 1 :])
        self._comments_left_at_end(builder.origin)
        children = builder.origin.children
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
            self._error("missing-brace", f"`{word.text}` has no block", directive, 0, _BRACE_HINT)
        else:
            self._unexpected_block(directive)
        self.account.mark_all(directive, Outcome.REFUSED)
        return False

    def _swallow(self, builder: _Builder, directives: list[Directive]) -> int:
        """A value block without its `{`: keepalived takes what follows for its entries, up to the next `}`.

        Where that ends the block of a later statement, all of it is carried; otherwise it would end the block that this
        one stands in, and is refused. Returns how many of the following directives were taken.
        """
        first = directives[0]
        text = f"`{first.keyword}` has no `{{`"
        last = next((n for n, d in enumerate(directives) if d.children is not None), 0)
        if not last or any(child.children is not None for child in directives[last].children or ()):
            self._error("missing-brace", text, first, 0, _BRACE_HINT)
            self.account.mark_all(first, Outcome.REFUSED)
            return 0
        text += f": keepalived takes the lines up to the }} of `{directives[last].keyword}` for its entries"
        self._finding("missing-brace", text, first, 0, Effect.CARRIED, _BRACE_HINT)
        self._carry(builder, first, text=render_together(directives[: last + 1]))
        for directive in directives[1 : last + 1]:
            self.account.mark_all(directive, Outcome.CARRIED)
        return last

    def _unexpected_block(self, directive: Directive) -> None:
        text, hint, word = f"`{directive.keyword}` takes no block", "", 0
        inside = directive.children or []
        if directive.raw.endswith("$") and len(inside) == 1 and len(inside[0].words) == 1:
            name = inside[0].keyword
            text = f"`${{{name}}}` is not defined, so that its {{ begins a block"
            hint, word = f"give it a value with --define {name}=VALUE", len(directive.words) - 1
        self._error("unexpected-block", text, directive, word, hint)

    def _named(self, builder: _Builder, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Named)
        name = self._name(builder, found, directive, shape.name)
        if name is None:
            return
        blocks: dict[str, Struct] = builder.values.setdefault(found.attribute, {})
        origin = self._origin(builder, found, directive, name)
        struct = self._inner(builder, _Builder(table_of(shape.struct), origin), directive)
        if struct is not None:
            blocks[name] = struct
        else:
            _forget(builder.origin, found.name, name)
            if not blocks:
                del builder.values[found.attribute]

    def _named_entries(self, builder: _Builder, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, NamedEntries)
        name = self._name(builder, found, directive, shape.name)
        if name is None:
            return
        items: list[Any] = []
        blocks: dict[str, list[Any]] = builder.values.setdefault(found.attribute, {})
        origin = self._origin(builder, found, directive, name)
        self._read_entries(builder, Entries(shape.item), items, origin, directive)
        if items or not directive.children:
            blocks[name] = items
            return
        # Without any good entry the block is carried, as keepalived has seen it.
        _forget(builder.origin, found.name, name)
        if not blocks:
            del builder.values[found.attribute]
        self._carry(builder, directive)

    def _name(self, builder: _Builder, found: Field, directive: Directive, shape: Text) -> str | None:
        """The name on a block's header line; None when the block was refused, or carried instead."""
        try:
            reading = read_value(shape, _texts(directive.words), 1)
        except LineFault as fault:
            if fault.refused and not found.keyword.nameless_ignored:
                self._error(fault.code, fault.message, directive, fault.word, fault.hint)
                self.account.mark_all(directive, Outcome.REFUSED)
            else:
                self._finding("invalid-header", fault.message, directive, fault.word, Effect.CARRIED, fault.hint)
                self._carry(builder, directive)
            return None
        self.account.mark(directive)
        self._report_repairs(reading, directive, directive.words)
        name = str(reading.value)
        if name not in builder.values.get(found.attribute, ()):
            return name
        text = f"a second `{directive.keyword} {name}`: keepalived stays with the first"
        self._finding("duplicate-name", text, directive, 1, Effect.CARRIED)
        self._carry(builder, directive)
        return None

    def _block(self, builder: _Builder, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Block)
        header = self._header(builder, shape.struct, directive)
        if header is None:
            return
        table = table_of(shape.struct)
        values = {f.attribute: v for f, v in table.set_fields(header)}
        if shape.many:
            items: list[Any] = builder.values.setdefault(found.attribute, [])
            origin = self._origin(builder, found, directive, len(items))
            struct = self._inner(builder, _Builder(table, origin, values), directive)
            if struct is not None:
                items.append(struct)
            else:
                _forget(builder.origin, found.name, len(items))
                if not items:
                    del builder.values[found.attribute]
            return
        inner = builder.values.get(found.attribute)
        if inner is None:
            inner = builder.values[found.attribute] = _Builder(table, self._origin(builder, found, directive))
        elif found.keyword.again == "ignored":
            self._second_ignored(builder, found, directive)
            return
        else:
            add_comments(inner.origin, directive)
        inner.values.update(values)
        self.block(inner, directive.children or [])

    def _inner(self, outer: _Builder, inner: _Builder, directive: Directive) -> Struct | None:
        """Read a block that stands for itself. Where something required is missing it is carried instead: None."""
        first = len(self.findings)
        self.block(inner, directive.children or [])
        # A list without an entry says as little as none: keepalived removes a group that has no member left.
        missing = [f for f in inner.table if f.keyword.required and inner.values.get(f.attribute, []) == []]
        if not missing:
            return inner.struct()
        found = self.findings[first:]
        said = [d for d in found if d.severity is Severity.ERROR]
        self.findings[first:] = said
        if said:
            return inner.struct()
        names = ", ".join(f"`{f.name}`" for f in missing)
        reason = _why_missing(missing, directive, found)
        self._finding(
            "incomplete-block",
            f"`{' '.join(w.text for w in directive.words)}` has no {'usable ' * bool(reason)}{names}: "
            "keepalived leaves it out",
            directive,
            0,
            Effect.CARRIED,
            reason,
        )
        self._carry(outer, directive)
        return None

    def _header(self, builder: _Builder, struct: type[Struct], directive: Directive) -> Struct | None:
        """The words on a block's header line; None when the block was refused, or carried instead."""
        words = _texts(directive.words)
        if len(words) == 1 and any(f.keyword.header for f in table_of(struct)):
            self._no_header(directive, "")
            return None
        taken = self._header_words(builder, struct, words, directive)
        if taken is None:
            return None
        value, at = taken
        if at < len(words):
            self._extra_words(directive, directive.words[at:])
        return value

    def _no_header(self, directive: Directive, hint: str) -> None:
        """keepalived stops at a block that says nothing where it must."""
        self._error("missing-value", f"`{directive.keyword}` has no value", directive, 0, hint)
        self.account.mark_all(directive, Outcome.REFUSED)

    def _header_words(
        self, builder: _Builder, struct: type[Struct], words: list[str], directive: Directive
    ) -> tuple[Struct, int] | None:
        """What the words of a header say, where a bad word is replaced by what keepalived takes for it."""
        mended: list[Callable[[], None]] = []
        while True:
            try:
                taken = read_line(struct, words, 1, header=True)
            except MissingWord as fault:
                self._no_header(directive, fault.hint)
                return None
            except ValueFault as fault:
                word, shape = fault.word or 0, fault.shape
                if shape is None or fault.taken is UNSET or len(mended) == len(words):
                    self._finding("invalid-header", fault.message, directive, word, Effect.CARRIED, fault.hint)
                    self._carry(builder, directive)
                    return None
                words[word] = shape.render(fault.taken)
                text = f"{fault.message}: keepalived takes `{words[word]}`"
                finding = partial(self._finding, "repaired-value", text, directive, word, Effect.REPAIRED, fault.hint)
                mended.append(finding)
                continue
            self.account.mark(directive)
            for say in mended:
                say()
                self.account.repaired(directive)
            return taken

    # -- lines ---------------------------------------------------------------------------------------------------------

    def _line(self, builder: _Builder, found: Field, directive: Directive) -> None:
        if found.attribute in builder.values and found.keyword.again == "ignored":
            self._second_ignored(builder, found, directive)
            return
        reading = self._words(directive, found.keyword.shape, carrier=builder, default=found.keyword.default)
        if reading is None:
            return
        before = builder.said.get(found.attribute)
        if before is not None:
            text = f"`{found.name}` was said in line {before.line} already: the last one counts"
            self._finding("duplicate-keyword", text, directive, 0, Effect.REPAIRED)
            self.account.repaired(before)
        builder.values[found.attribute] = reading.value
        builder.said[found.attribute] = directive
        self._origin(builder, found, directive)

    def _repeated(self, builder: _Builder, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Repeated)
        reading = self._words(directive, shape.item, carrier=builder)
        if reading is not None:
            items: list[Any] = builder.values.setdefault(found.attribute, [])
            self._origin(builder, found, directive, len(items))
            items.append(reading.value)

    def _word_list(self, builder: _Builder, found: Field, directive: Directive) -> None:
        if found.attribute in builder.values and found.keyword.again == "ignored":
            self._second_ignored(builder, found, directive)
            return
        reading = self._words(directive, found.keyword.shape, carrier=builder)
        if reading is not None:
            builder.values.setdefault(found.attribute, []).extend(reading.value)
            self._origin(builder, found, directive)

    def _entries(self, builder: _Builder, found: Field, directive: Directive) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Entries)
        if found.attribute in builder.values and found.keyword.again == "ignored":
            self._second_ignored(builder, found, directive)
            return
        self.account.mark(directive)
        if len(directive.words) > 1:
            self._extra_words(directive, directive.words[1:])
        items: list[Any] = builder.values.setdefault(found.attribute, [])
        self._read_entries(builder, shape, items, self._origin(builder, found, directive), directive)

    def _read_entries(
        self, builder: _Builder, shape: Entries, items: list[Any], origin: Origin, block: Directive
    ) -> None:
        for entry in block.children or []:
            if entry.children is not None:
                self._unexpected_block(entry)
                self.account.mark_all(entry, Outcome.REFUSED)
            elif (id(entry), None) in self._ignored:
                self._leave_out(builder, entry, (id(entry), None), inside=block)
            elif shape.many_per_line:
                self._entry_words(builder, shape, items, origin, entry, block)
            else:
                reading = self._words(entry, shape.item, carrier=builder, first=0, inside=block)
                if reading is not None:
                    self._item(origin, len(items), Part(entry))
                    items.append(reading.value)
        self._comments_left_at_end(origin)

    def _entry_words(
        self, builder: _Builder, shape: Entries, items: list[Any], origin: Origin, entry: Directive, block: Directive
    ) -> None:
        """A line of a value block whose every word is an entry; its comments stand at the first of them."""
        self.account.mark(entry)
        for index, word in enumerate(entry.words):
            one = Directive([word], f'"{word.text}"' if word.quoted else word.text, entry.file, entry.line)
            self._split.append(one)
            if index == 0:
                one.above, one.behind = entry.above, entry.behind
            if (id(entry), index) in self._ignored:
                self._leave_out(builder, one, (id(entry), index), inside=block)
                self.account.repaired(entry)
                continue
            reading = self._words(one, shape.item, carrier=builder, first=0, inside=block)
            if reading is not None:
                self._item(origin, len(items), Part(one), Part(entry, index))
                items.append(reading.value)

    def _words(
        self,
        directive: Directive,
        shape: Shape,
        *,
        carrier: _Builder,
        first: int = 1,
        inside: Directive | None = None,
        default: str = "",
    ) -> LineReading | None:
        """The value that a line's words say from `first` on; None when it was carried or refused instead."""
        words = directive.words
        try:
            if shape.quoted:
                words = _split_quoted(directive)
            reading = read_value(shape, _texts(words), first)
        except LineFault as fault:
            if fault.refused:
                self._error(fault.code, fault.message, directive, fault.word, fault.hint, words)
                self.account.mark_all(directive, Outcome.REFUSED)
            else:
                text = f"{fault.message}: keepalived ignores the line"
                alone = inside is not None and _stands_alone(carrier, inside)
                effect = Effect.REPAIRED if alone else Effect.CARRIED
                hint = fault.hint
                if default and _texts(words[first:]) == [default]:
                    hint = f"leave it out: {default} is the default"
                self._finding(fault.code, text, directive, fault.word, effect, hint, words)
                if alone:
                    self._leave_comments(directive)
                    self.account.mark_all(directive, Outcome.REPAIRED)
                else:
                    self._carry(carrier, directive, inside=inside)
            return None
        self.account.mark(directive)
        self._report_repairs(reading, directive, words, carrier.table)
        return reading

    def _report_repairs(
        self, reading: LineReading, directive: Directive, words: list[Word], table: Table | None = None
    ) -> None:
        for repair in reading.repairs:
            severity = Severity.NOTE if repair.effect is Effect.CONVERTED else Severity.WARNING
            place = _word_place(directive, words, repair.word, repair.count)
            hint = repair.hint
            if repair.code == "extra-words" and table is not None and words[repair.word].text in table.by_word:
                hint = f"`{words[repair.word].text}` needs a line of its own"
            self.findings.append(Diagnostic(repair.code, repair.message, place, severity, hint, repair.effect))
            if repair.effect is Effect.REPAIRED:
                self.account.repaired(directive)

    # -- what keepalived ignores ---------------------------------------------------------------------------------------

    def _unknown(self, builder: _Builder, directives: list[Directive]) -> int:
        """A keyword that keepalived does not know; returns how many of the following directives are carried with it.

        keepalived passes over its `{` alone, so that within a block the first `}` ends that block, and what follows
        there is read one level up (seen with 2.2.7).
        """
        directive = directives[0]
        word = directive.keyword
        inner = directive.children is not None and builder.table.struct is not Config
        legacy = builder.table.legacy.get(word)
        if legacy is not None:
            hint = f"use {legacy.replaced_by}" if legacy.replaced_by else ""
            text = f"`{word}` means nothing to keepalived any more: {legacy.doc}"
            self._finding("legacy-keyword", text, directive, 0, Effect.CARRIED, hint)
        else:
            self._unknown_keywords += 1
            # Looking for what was meant takes time, and nobody reads that many hints.
            hint = nearest(builder.table, word) or elsewhere(word) if self._unknown_keywords <= _MOST_HINTS else ""
            text = f"`{word}` is no keyword here: keepalived ignores it"
            if inner:
                text += "; the } of its block ends the block around it, and what follows is not part of that"
            elif directive.children is not None:
                text += ", and its block"
            self._finding("unknown-keyword", text, directive, 0, Effect.CARRIED, hint)
        if not inner:
            self._carry(builder, directive)
            return 0
        self._displaced = True
        self._carry(builder, directive, text=render_together(directives))
        for following in directives[1:]:
            self.account.mark_all(following, Outcome.CARRIED)
        return len(directives) - 1

    def _follow_displaced(self, builder: _Builder, following: list[Directive]) -> int:
        """Carry what follows a block that was ended too early, up to the root; returns how many directives that are.

        All that is carried here becomes one text, as it stands behind that block in the end.
        """
        if builder.table.struct is Config:
            self._displaced = False
            return 0
        if following:
            self._carry(builder, following[0], text=render_together(following))
            for directive in following[1:]:
                self.account.mark_all(directive, Outcome.CARRIED)
        texts: list[str] = builder.values.get("x_keepalived", [])
        if len(texts) > 1:
            origin = builder.origin.child(CARRIED)
            items = [origin.child(index) for index in range(len(texts))]
            texts[:] = [join_carried(zip(texts, items, strict=True))]
            items[0].behind = None
            origin.children = {0: items[0]}
        return len(following)

    def _second_ignored(self, builder: _Builder, found: Field, directive: Directive) -> None:
        text = f"a second `{found.name}`: keepalived stays with the first"
        self._finding("duplicate-keyword", text, directive, 0, Effect.CARRIED)
        self._carry(builder, directive)

    def _carry(
        self,
        builder: _Builder,
        directive: Directive,
        *,
        inside: Directive | None = None,
        text: str | None = None,
    ) -> None:
        """Keep a directive as text, an entry in a block of its own; the finding about it has been made."""
        assert issubclass(builder.table.struct, BlockKeywords)
        items: list[str] = builder.values.setdefault("x_keepalived", [])
        origin = _place(builder.origin.child(CARRIED), directive)
        item = _place(origin.child(len(items)), directive)
        if inside is None:
            add_comments(item, directive, outside_only=text is not None or directive.children is not None)
        items.append(render_directive(directive, inside) if text is None else text)
        self.account.mark_all(directive, Outcome.CARRIED)

    def _leave_out(
        self, builder: _Builder, directive: Directive, key: PartKey, *, inside: Directive | None = None
    ) -> None:
        """Carry a part that keepalived ignores, or drop it where its text would not be ignored on the way back."""
        if key in self._dropped or (inside is not None and _stands_alone(builder, inside)):
            self._dropped.add(key)
            self._leave_comments(directive)
            self.account.mark_all(directive, Outcome.REPAIRED)
        else:
            self._carry(builder, directive, inside=inside)

    # -- origins and findings ------------------------------------------------------------------------------------------

    def _leave_comments(self, directive: Directive) -> None:
        """Keep the comments of what is left out; they go above what follows, or to the end of the block."""
        self._comments_left += [*directive.above, *(c for c in (directive.behind,) if c is not None)]

    def _comments_left_above(self, origin: Origin) -> None:
        if self._comments_left:
            origin.above = [*(origin.above or ()), *self._comments_left]
            self._comments_left = []

    def _comments_left_at_end(self, origin: Origin) -> None:
        if self._comments_left:
            origin.at_end = [*self._comments_left, *(origin.at_end or ())]
            self._comments_left = []

    def _origin(self, builder: _Builder, found: Field, directive: Directive, item: str | int | None = None) -> Origin:
        children = builder.origin.children
        known = children is not None and found.name in children
        origin = builder.origin.child(found.name)
        if not known or item is None:
            _place(origin, directive)
        if item is not None:
            origin = _place(origin.child(item), directive)
        self._comments_left_above(origin)
        add_comments(origin, directive)
        self.parts[id(origin)] = Part(directive)
        return origin

    def _item(self, origin: Origin, index: int, part: Part, whole: Part | None = None) -> None:
        item = _place(origin.child(index), part.directive)
        self._comments_left_above(item)
        add_comments(item, part.directive)
        self.parts[id(item)] = whole or part

    def _spelling(self, found: Field, directive: Directive) -> None:
        word = directive.keyword
        if word != found.name and word in found.keyword.deprecated:
            text = f"`{word}` is a deprecated spelling of `{found.name}`"
            self._finding("deprecated-keyword", text, directive, 0, Effect.CONVERTED, severity=Severity.NOTE)
        elif found.keyword.replaced_by:
            text = f"`{word}` is deprecated"
            hint = f"use {found.keyword.replaced_by}"
            self._finding("deprecated-keyword", text, directive, 0, Effect.CONVERTED, hint, severity=Severity.NOTE)

    def _extra_words(self, directive: Directive, extra: list[Word]) -> None:
        text = f"`{' '.join(_texts(extra))}` is not part of `{directive.keyword}`: keepalived ignores it"
        self._finding("extra-words", text, directive, directive.words.index(extra[0]), Effect.REPAIRED)
        self.account.repaired(directive)

    def _finding(
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
        place = _word_place(directive, words or directive.words, word, count)
        self.findings.append(Diagnostic(code, message, place, severity, hint, effect))

    def _error(
        self,
        code: str,
        message: str,
        directive: Directive,
        word: int,
        hint: str = "",
        words: list[Word] | None = None,
    ) -> None:
        self._finding(code, message, directive, word, Effect.REFUSED, hint, words, severity=Severity.ERROR)


def _stands_alone(builder: _Builder, block: Directive) -> bool:
    """Whether a second block like this one would not add to it: an entry that is left out cannot be carried in one."""
    keyword = builder.table.by_word[block.keyword].keyword
    return keyword.again == "ignored" or isinstance(keyword.shape, NamedEntries)


def add_comments(origin: Origin, directive: Directive, *, outside_only: bool = False) -> None:
    """Put a directive's comments at an origin; what has its place taken already goes above.

    `outside_only` leaves out those that stand within the text of what is carried.
    """
    if directive.above:
        origin.above = [*(origin.above or ()), *directive.above]
    if outside_only:
        return
    for comment in (directive.behind, directive.behind_open):
        if comment is None:
            continue
        if origin.behind is None:
            origin.behind = comment
        else:
            origin.above = [*(origin.above or ()), comment]
    if directive.at_end:
        origin.at_end = [*(origin.at_end or ()), *directive.at_end]
    if directive.behind_close is not None:
        if origin.behind_close is None:
            origin.behind_close = directive.behind_close
        else:
            origin.at_end = [*(origin.at_end or ()), directive.behind_close]


def _place(origin: Origin, directive: Directive) -> Origin:
    origin.file = directive.file
    origin.line = directive.line
    origin.column = directive.words[0].column
    origin.length = len(directive.words[0].text)
    return origin


def _word_place(directive: Directive, words: list[Word], index: int, count: int) -> Place:
    word = words[min(max(index, 0), len(words) - 1)]
    last = words[min(max(index + count - 1, 0), len(words) - 1)]
    length = last.column + len(last.text) - word.column + 2 * last.quoted
    return Place(directive.file, directive.line, word.column, max(length, 1))


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


def _forget(origin: Origin, name: str, item: str | int) -> None:
    """Take away the origin of a block that was carried instead."""
    assert origin.children is not None
    listed = origin.children[name].children
    assert listed is not None
    del listed[item]
    if not listed:
        del origin.children[name]


def _texts(words: list[Word]) -> list[str]:
    return [Quoted(w.text) if w.quoted else w.text for w in words]


def _split_quoted(directive: Directive) -> list[Word]:
    try:
        return split_quoted(directive.raw, directive.words[0].column)
    except QuoteError as error:
        raise LineFault("unterminated-quote", str(error), word=0, refused=True) from None

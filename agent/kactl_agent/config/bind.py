"""YAML text -> Document: one walk over the parser's events, by the schema's annotations, collecting every fault.

Scalars are taken as text and read by their shapes: what a YAML version makes of `no`, `12:30` or `0777` never matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec import UNSET, Struct, UnsetType
from yaml.events import MappingStartEvent, ScalarEvent, SequenceStartEvent

from kactl_agent.config.diagnostics import Diagnostic, Severity
from kactl_agent.config.document import Document, Include, Origin
from kactl_agent.config.emit import render_value
from kactl_agent.config.schema.keyword import BlockKeywords, Field, Table, table_of
from kactl_agent.config.schema.line import check_sayable
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import (
    Block,
    Bool,
    Entries,
    Line,
    Named,
    NamedEntries,
    Optional,
    Repeated,
    Scalar,
    SecretSource,
    Shape,
    Text,
    ValueFault,
    WordList,
)
from kactl_agent.config.suggest import NULL_HINTS, explain_kind, explain_unknown
from kactl_agent.config.yaml_comments import Comments
from kactl_agent.config.yaml_events import MAX_DEPTH, Event, Events, Stop, marks

NULL_WORDS = frozenset(("", "~", "null", "Null", "NULL"))
INCLUDE = "include"
MISSING = "missing-keyword"
_PLACED_DEPTH = 2  # keywords of the root, and the items and named blocks of each
_SHARED_DEPTH = 5  # blocks in the items of a list in the items of a list: checkers of real servers
_PLAIN = frozenset((str, int, bool, float))  # what equal blocks are made of
_SHORT = 8  # characters of a word that may stand in many places; longer ones are mostly addresses and names
_NOWHERE = Origin()


def bind(text: str, name: str, *, data: bytes | None = None, whole: bool = True) -> Document:
    """The configuration that a YAML text says. `name` is the file's name in diagnostics, `data` the text's UTF-8 if it
    is at hand.

    Never raises on bad input: faults are the document's diagnostics, and what is at fault is left out of its model.
    `include:` lines are kept for the loader, as `document.includes`. Without `whole` the origin tree ends at the items
    and named blocks of the root's keywords and has no comments: it takes several times what the model does.
    """
    binder = _Binder(text, name, data, whole)
    document = binder.document()
    document.sources[name] = text
    return document


class _Binder:
    def __init__(self, text: str, name: str, data: bytes | None, whole: bool) -> None:
        self.text = text
        self.name = name
        self.data = data
        self.faults: list[Diagnostic] = []
        self.includes: list[Include] = []
        self.where: list[str] = []  # blocks around, for messages
        self.depth = 0  # of the block whose entries are read
        self.placed = MAX_DEPTH if whole else _PLACED_DEPTH
        self.parsed: dict[int, dict[str, Any]] = {}  # by shape: words that stand in thousands of places
        self.shared: dict[tuple[object, ...], Any] = {}
        self.comments = Comments(text if whole else "")

    def document(self) -> Document:
        origin = Origin(self.name, 1, 1)
        config = Config()
        try:
            self.events = Events(self.text, self.name, self.data)
            self.faults = self.events.diagnostics
            self.comments.start(origin)
            config = self.root(origin)
            self.comments.attach(self.events.spans)
        except Stop as stop:
            self.faults.append(stop.diagnostic)
        unique = list(dict.fromkeys(self.faults))
        return Document(config, origin, unique, includes=self.includes)

    def root(self, origin: Origin) -> Config:
        event = self.events.open_document()
        if event is None:
            self.fault("empty", "nothing is configured", None, hint="write `{}` for an empty configuration")
            return Config()
        config = Config()
        if type(event) is MappingStartEvent:
            config = self.struct(Config, event, origin)
        elif not self.is_null(event):
            self.wrong_kind("the configuration", "map", event)
        else:
            self.fault("empty", "nothing is configured", event, hint="write `{}` for an empty configuration")
        self.events.close_document()
        return config

    # -- faults --------------------------------------------------------------------------------------------------------

    def fault(
        self, code: str, message: str, event: Event | None, *, hint: str = "", severity: Severity = Severity.ERROR
    ) -> None:
        place = Origin(self.name, 1, 1).place if event is None else self.events.place(event)
        self.events.report(Diagnostic(code, message, place, severity, hint))

    def wrong_kind(self, what: str, expected: str, event: Event) -> None:
        """The wrong kind of node; passes over it."""
        if self.is_null(event):
            self.fault("null", f"{what} has no value", event, hint=NULL_HINTS.get(expected, NULL_HINTS["value"]))
            return
        kind = _KINDS[type(event)]
        quoted = kind != "word" and bool(event.flow_style)
        message, hint = explain_kind(what, expected, kind, quoted=quoted)
        self.fault("wrong-kind", message, event, hint=hint)
        self.events.skip(event)

    @staticmethod
    def is_null(event: Event) -> bool:
        return type(event) is ScalarEvent and event.implicit[0] and event.value in NULL_WORDS

    # -- structures ----------------------------------------------------------------------------------------------------

    def struct(self, struct: type[Any], start: Event, origin: Origin) -> Any:
        """A block or a line with options, from its map."""
        table = table_of(cast(type[Struct], struct))
        values: dict[str, Any] = {}
        at_root = struct is Config
        children = self.children_of(origin)
        self.comments.container()
        self.depth += 1
        by_name = table.by_name
        for word, key, event in self.events.pairs(start):
            field = by_name.get(word)
            if field is None:
                self.unknown(table, word, key, event, at_root)
                continue
            shape = field.keyword.shape
            self.where.append(word)
            if self.depth > self.placed and isinstance(shape, Scalar):
                children[field.name] = _NOWHERE
                value = self.scalar(shape, event)
            else:
                child = self.origin_of(key, event)
                children[field.name] = child  # not `word`: each is a text of its own
                self.comments.enter(key.start_mark, child)
                value = self.value(shape, event, child)
                self.comments.leave()
            self.where.pop()
            if value is not UNSET:
                values[field.attribute] = value
            if field.keyword.replaced_by:
                self.fault(
                    "deprecated-keyword",
                    f"`{word}` is deprecated",
                    key,
                    hint=f"use {field.keyword.replaced_by}",
                    severity=Severity.WARNING,
                )
        self.depth -= 1
        complete = self.require(table, values, children, origin)
        value = self.made(struct, values)
        if complete and not issubclass(struct, BlockKeywords):
            self.check_line(value, origin)
        return value

    def made(self, struct: type[Any], values: dict[str, Any]) -> Any:
        """Below real servers equal blocks are one: thousands are checked alike, and nobody changes a block."""
        said = tuple(values.values())
        kinds = tuple(map(type, said))  # True is not 1
        if self.depth < _SHARED_DEPTH or not _PLAIN.issuperset(kinds):
            return struct(**values)
        key = (struct, tuple(values), said, kinds)
        found = self.shared.get(key)
        if found is None:
            found = self.shared[key] = struct(**values)
        return found

    def check_line(self, value: Struct, at: Origin) -> None:
        """What no line can say, though each of its words is right."""
        try:
            check_sayable(value)
        except ValueFault as fault:
            self.events.report(Diagnostic("incomplete-line", fault.message, at.place, hint=fault.hint))

    def require(self, table: Table, values: dict[str, Any], children: dict[Any, Origin], at: Origin) -> bool:
        """What a line or a block cannot do without: whether it is all there."""
        complete = len(values) >= len(children)
        for field in table.required:
            keyword = field.keyword
            if field.attribute in values or field.name in children:
                continue
            what = f"`{self.where[-1]}`" if self.where else "the configuration"
            message, hint = f"`{field.name}` is missing in {what}", f"`{field.name}: {keyword.shape.describe()}`"
            self.events.report(Diagnostic(MISSING, message, at.place, hint=hint))
            complete = False
        return complete

    def unknown(self, table: Table, word: str, key: Event, event: Event, at_root: bool) -> None:
        if at_root and word == INCLUDE:
            self.include(event)
            return
        if not (at_root and word.startswith("x-")):  # such keys are a place for anchors
            block = self.where[-1] if self.where else ""
            message, hint = explain_unknown(table, word, block, root=Config)
            self.fault("unknown-keyword", message, key, hint=hint)
        self.events.skip(event)

    def include(self, event: Event) -> None:
        events = self.events.items(event) if type(event) is SequenceStartEvent else [event]
        for item in events:
            if type(item) is not ScalarEvent or self.is_null(item):
                self.wrong_kind("`include`", "value", item)
                continue
            self.includes.append(Include(item.value, self.events.place(item)))

    def children_of(self, origin: Origin) -> dict[Any, Origin]:
        """Where the origins of its entries go; they last as long as the entries are read where they are not wanted."""
        children: dict[Any, Origin] = {}
        if self.depth < self.placed:
            origin.children = children
        return children

    def origin_of(self, key: Event, event: Event) -> Origin:
        """A scalar is found at its value, anything else at its key."""
        start, end = marks(event if type(event) is ScalarEvent else key)
        length = end.column - start.column if start.line == end.line else 1
        return Origin(self.name, start.line + 1, start.column + 1, length or 1)

    # -- values --------------------------------------------------------------------------------------------------------

    def value(self, shape: Shape, event: Event, origin: Origin) -> Any:
        """The value of a node whose first event was taken; UNSET where it is at fault."""
        reader = _READERS.get(type(shape))
        if reader is not None:
            return reader(self, shape, event, origin)
        if isinstance(shape, Scalar):
            return self.scalar(shape, event)
        raise TypeError(f"{type(shape).__name__} has no YAML form")

    @property
    def here(self) -> str:
        return f"`{self.where[-1]}`"

    def scalar(self, shape: Scalar[Any], event: Event) -> Any:
        secret = isinstance(shape, Text) and shape.secret
        if type(event) is not ScalarEvent:
            if secret and type(event) is MappingStartEvent:
                return self.secret(event)
            self.wrong_kind(self.here, "value", event)
            return UNSET
        text: str = event.value
        if event.implicit[0] and text in NULL_WORDS:
            self.wrong_kind(self.here, "true" if isinstance(shape, Bool) else "value", event)
            return UNSET
        known = self.parsed.setdefault(id(shape), {})  # shapes are the schema's: they stay
        found = known.get(text, UNSET)
        if found is not UNSET:
            return found
        try:
            value = shape.parse_yaml(text)
            if len(text) < _SHORT:
                known[text] = value
            return value
        except ValueFault as fault:
            message, hint = fault.message, fault.hint
            if secret and text:
                message, hint = message.replace(f"`{text}`", "the text"), hint.replace(text, "...")
            self.fault("bad-value", f"{self.here}: {message}", event, hint=hint)
            return UNSET

    def secret(self, start: Event) -> Any:
        """`{file: PATH}` or `{env: NAME}`."""
        sources: dict[str, str] = {}
        for word, key, event in self.events.pairs(start):
            if word not in ("file", "env"):
                self.fault("unknown-keyword", f"a secret has no `{word}`", key, hint="`{file: PATH}` or `{env: NAME}`")
                self.events.skip(event)
            elif type(event) is not ScalarEvent or self.is_null(event) or not event.value:
                self.wrong_kind(f"`{word}`", "value", event)
            else:
                sources[word] = event.value
        if len(sources) != 1:
            self.fault("bad-value", "a secret comes from one place", start, hint="`{file: PATH}` or `{env: NAME}`")
            return UNSET
        return SecretSource(**sources)

    def line(self, shape: Line, event: Event, origin: Origin) -> Any:
        if type(event) is MappingStartEvent:
            return self.struct(shape.struct, event, origin)
        table = table_of(shape.struct)
        short = table.short
        if short is None or self.is_null(event):
            self.wrong_kind(self.here, "map" if short is None else "value", event)
            return UNSET
        if type(event) is SequenceStartEvent and not isinstance(_inner(short.keyword.shape), WordList):
            self.wrong_kind(self.here, "map", event)
            return UNSET
        before = len(self.faults)
        value = self.value(short.keyword.shape, event, origin)
        if value is UNSET:
            self.explain_words(shape, short, event, before)
            return UNSET
        self.require(table, {short.attribute: value}, {}, origin)
        return shape.struct(**{short.attribute: value})

    def explain_words(self, shape: Line, short: Field, event: Event, before: int) -> None:
        """`- 192.0.2.1/24 dev eth0`, as keepalived writes it: show the map that says so."""
        if type(event) is not ScalarEvent or " " not in event.value or len(self.faults) != before + 1:
            return
        words = event.value.split()
        try:
            value, end = shape.read(words, 0)
        except ValueFault:
            return
        if end != len(words):
            return
        fault = self.faults.pop()
        secret = isinstance(short.keyword.shape, Text) and short.keyword.shape.secret
        hint = "options are written as a map" if secret else f"write {render_value(shape, value)}"
        self.faults.append(
            Diagnostic("bad-value", f"{self.here} takes options as a map, not as words", fault.place, hint=hint)
        )

    def optional(self, shape: Optional, event: Event, origin: Origin) -> Any:
        if type(event) is ScalarEvent and event.implicit[0] and event.value in _CORE_BOOLS:
            said = event.value.lower() == "true"
            if said is shape.bare:
                return said
            if isinstance(shape.shape, (Text, Line)):
                hint = "take the keyword out instead" if shape.bare else "take the keyword out instead, or name a value"
                self.fault("bad-value", f"{self.here} cannot be {event.value}", event, hint=hint)
                return UNSET
        if self.is_null(event):
            self.wrong_kind(self.here, "true" if shape.bare else "false", event)
            return UNSET
        return self.value(shape.shape, event, origin)

    def word_list(self, shape: WordList, event: Event, origin: Origin) -> Any:
        before = len(self.faults)
        if type(event) is SequenceStartEvent:
            values = self.items(shape.item, event, origin)
        elif type(event) is MappingStartEvent or self.is_null(event):
            self.wrong_kind(self.here, "list", event)
            return UNSET
        else:
            value = self.scalar(shape.item, event)
            if value is UNSET:
                return UNSET
            values = (value,)
        if len(values) < shape.minimum and len(self.faults) == before:
            self.fault("bad-value", f"{self.here} takes at least {shape.minimum}", event, hint=shape.describe())
            return UNSET
        return values

    def repeated(self, shape: Repeated | Entries, event: Event, origin: Origin) -> Any:
        if type(event) is not SequenceStartEvent:
            self.wrong_kind(self.here, "list", event)
            return UNSET
        return self.items(shape.item, event, origin)

    def items(self, item: Shape, start: Event, origin: Origin) -> tuple[Any, ...]:
        values: list[Any] = []
        children = self.children_of(origin)
        self.depth += 1
        plain = not start.flow_style and start.anchor is None and start.tag is None
        self.comments.container(start.start_mark.column if plain else None)
        for event in self.events.items(start):
            child = self.origin_of(event, event)
            self.comments.enter(event.start_mark, child)
            value = self.value(item, event, child)
            self.comments.leave()
            if value is not UNSET:
                children[len(values)] = child
                values.append(value)
        self.depth -= 1
        return tuple(values)

    def block(self, shape: Block, event: Event, origin: Origin) -> Any:
        if type(event) is MappingStartEvent and not shape.many:
            return self.struct(shape.struct, event, origin)
        if type(event) is MappingStartEvent and shape.single_form:
            child = Origin(origin.file, origin.line, origin.column, origin.length)
            self.comments.single(child)
            self.children_of(origin)[0] = child
            return (self.struct(shape.struct, event, child),)
        if type(event) is SequenceStartEvent and shape.many:
            return self.items(Block(shape.struct), event, origin)
        self.wrong_kind(self.here, "list" if shape.many and not shape.single_form else "map", event)
        return UNSET

    def named(self, shape: Named | NamedEntries, start: Event, origin: Origin) -> Any:
        if type(start) is not MappingStartEvent:
            self.wrong_kind(self.here, "map" if self.is_null(start) else "name", start)
            return UNSET
        blocks: dict[str, Any] = {}
        inner = Block(shape.struct) if isinstance(shape, Named) else Entries(shape.item)
        children = self.children_of(origin)
        self.comments.container()
        self.depth += 1
        for word, key, event in self.events.pairs(start):
            name = self.name_of(shape, word, key)
            child = self.origin_of(key, key)
            self.comments.enter(key.start_mark, child)
            self.where.append(word)
            block = self.value(inner, event, child)
            if block is not UNSET and not isinstance(name, UnsetType):
                blocks[name] = block
                children[name] = child
            self.where.pop()
            self.comments.leave()
        self.depth -= 1
        return blocks

    def name_of(self, shape: Named | NamedEntries, word: str, key: Event) -> str | UnsetType:
        try:
            return shape.name.parse_yaml(word)
        except ValueFault as fault:
            self.fault("bad-name", fault.message, key, hint=fault.hint)
            return UNSET


def _inner(shape: Shape) -> Shape:
    return shape.shape if isinstance(shape, Optional) else shape


_KINDS = {ScalarEvent: "word", SequenceStartEvent: "list", MappingStartEvent: "map"}
_CORE_BOOLS = frozenset(("true", "True", "TRUE", "false", "False", "FALSE"))

_READERS: dict[type[Shape], Callable[[_Binder, Any, Event, Origin], Any]] = {
    Line: _Binder.line,
    Optional: _Binder.optional,
    WordList: _Binder.word_list,
    Repeated: _Binder.repeated,
    Entries: _Binder.repeated,
    Block: _Binder.block,
    Named: _Binder.named,
    NamedEntries: _Binder.named,
}

"""The parser events of a YAML text: aliases and merge keys replayed within a budget, depth bounded, faults explained.

PyYAML's C parser makes the events. Nothing is composed, so hostile nesting costs nothing: reading stops at the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from kactl_agent.config.diagnostics import Diagnostic, Place, Severity

MAX_DEPTH = 64
MAX_ALIAS_EVENTS = 200_000
"""How many events aliases may add in all: far more than a configuration needs, far less than a bomb makes."""

MAX_ERRORS = 200
"""Errors of one file that are reported; a file with more is of another kind altogether."""

_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "seq", "map")) | {"!"}


class Mark(Protocol):
    line: int
    column: int
    index: int


Event: TypeAlias = Any
"""A yaml.events event: the C parser's classes carry no usable types."""


def marks(event: Event) -> tuple[Mark, Mark]:
    """Where an event begins and ends."""
    return event.start_mark, event.end_mark


class Stop(Exception):
    """Reading cannot go on; what was found so far stands."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Events:
    """A stream of events with aliases resolved. `spans` are the places of scalars that hold a `#`."""

    def __init__(self, text: str, name: str, data: bytes | None = None) -> None:
        """`data` is the text in UTF-8, which the parser wants."""
        self.text = text
        self.name = name
        self.spans: list[tuple[int, int]] = []
        self._hashes = "#" in text
        self.diagnostics: list[Diagnostic] = []
        self._errors = 0
        self._pending: list[Event] = []  # replayed before the parser goes on; last first
        self._anchors: dict[str, list[Event]] = {}
        self._budget = MAX_ALIAS_EVENTS
        self._depth = 0
        try:
            self._parser = CParser(text if data is None else data)
        except UnicodeEncodeError as fault:  # half of a surrogate pair
            raise Stop(_forbidden(text, fault.start, name)) from None
        except YAMLError as fault:
            raise Stop(_unreadable(fault, text, name)) from None

    def report(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic. Raises Stop at the one error too many."""
        self.diagnostics.append(diagnostic)
        self._errors += diagnostic.severity is Severity.ERROR
        if self._errors >= MAX_ERRORS:
            message = f"{MAX_ERRORS} errors: the rest of the file is not looked at"
            raise Stop(Diagnostic("too-many", message, diagnostic.place))

    def place(self, event: Event) -> Place:
        """Where an event stands; a collection is underlined at its first character only."""
        start: Mark = event.start_mark
        end: Mark = event.end_mark
        if type(event) is not ScalarEvent and type(event) is not AliasEvent:
            return Place(self.name, start.line + 1, start.column + 1)
        length = end.column - start.column if end.line == start.line else 1
        return Place(self.name, start.line + 1, start.column + 1, max(length, 1))

    def take(self) -> Event:
        """The next event as it stands. Raises Stop where the text is no YAML."""
        if self._pending:
            return self._pending.pop()
        try:
            event = self._parser.get_event()
        except YAMLError as fault:
            raise Stop(_unreadable(fault, self.text, self.name)) from None
        if self._hashes and type(event) is ScalarEvent and "#" in event.value:
            first, last = marks(event)
            start, end = first.index, last.index
            if event.style in ("|", ">"):  # a comment may stand behind the block scalar's header
                start = max(self.text.find("\n", start, end), start)
            self.spans.append((start, end))
        return event

    def node(self) -> Event:
        """The first event of the next node, aliases followed; an end event where a collection ends."""
        while True:
            event = self.take()
            kind = type(event)
            if kind is ScalarEvent:
                if event.anchor is None and event.tag is None:  # as nearly all are
                    return event
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                return event
            elif kind is AliasEvent:
                self._replay(event)
                continue
            if event.anchor is not None:
                self._remember(event)
            if event.tag is not None and event.tag not in _CORE_TAGS:
                self.report(
                    Diagnostic(
                        "tag",
                        f"the tag `{event.tag}` means nothing here",
                        self.place(event),
                        hint="write the plain value; a secret can be `{file: PATH}` or `{env: NAME}`",
                    )
                )
            return event

    def _remember(self, event: Event) -> None:
        """Read a whole anchored node ahead, to be replayed here and wherever an alias stands for it."""
        anchor: str = event.anchor
        if type(event) is ScalarEvent:
            self._anchors[anchor] = [event]
            return
        body = self.rest()
        if any(type(e) is AliasEvent and e.anchor == anchor for e in body):
            raise Stop(Diagnostic("alias-loop", f"`&{anchor}` holds itself", self.place(event)))
        self._anchors[anchor] = [event, *body]
        self._pending.extend(reversed(body))

    def rest(self) -> list[Event]:
        """All events of a collection whose first one was taken, up to its end; aliases as they stand."""
        events = []
        depth = 1
        while depth:
            event = self.take()
            events.append(event)
            kind = type(event)
            if kind is MappingStartEvent or kind is SequenceStartEvent:
                depth += 1
                if depth + self._depth > MAX_DEPTH:
                    raise self._too_deep(event)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                depth -= 1
        return events

    def replay(self, events: list[Event]) -> None:
        """Put events back in front of what comes next."""
        self._pending.extend(reversed(events))

    def _replay(self, alias: Event) -> None:
        events = self._anchors.get(alias.anchor)
        if events is None:
            raise Stop(
                Diagnostic(
                    "unknown-alias",
                    f"nothing is anchored as `&{alias.anchor}` above this",
                    self.place(alias),
                    hint="a value that begins with `*` must be quoted",
                )
            )
        self._budget -= len(events)
        if self._budget < 0:
            raise Stop(
                Diagnostic(
                    "alias-expansion", f"aliases expand to more than {MAX_ALIAS_EVENTS} nodes", self.place(alias)
                )
            )
        # Marks stay those of the anchored node: that is where its faults must be mended.
        self._pending.extend(reversed(events))

    def skip(self, start: Event) -> None:
        """Pass over the rest of a node whose first event was taken."""
        if type(start) is MappingStartEvent or type(start) is SequenceStartEvent:
            self.rest()

    def items(self, start: Event) -> Iterator[Event]:
        """First events of a sequence's items; each item is to be taken in full before the next."""
        self._enter(start)
        while type(event := self.node()) is not SequenceEndEvent:
            yield event
        self._depth -= 1

    def pairs(self, start: Event) -> Iterator[tuple[str, Event, Event]]:
        """Key, key event and first event of the value, of a map's entries.

        `<<` merges maps: what they say counts where the map itself says nothing. keys are reported at
        their second place, and passed over.
        """
        self._enter(start)
        seen: dict[str, Event] = {}
        merged: list[list[Event]] = []
        yield from self._entries(seen, merged)
        while merged:  # maps named by `<<`, the first to be named first
            self.replay(merged.pop(0)[1:])
            inherited: list[list[Event]] = []
            yield from self._entries(seen, inherited, merging=True)
            merged[:0] = inherited
        self._depth -= 1

    def _entries(
        self, seen: dict[str, Event], merged: list[list[Event]], *, merging: bool = False
    ) -> Iterator[tuple[str, Event, Event]]:
        own: set[str] = set()  # to know what was said twice among what is merged
        while type(key := self.node()) is not MappingEndEvent:
            if type(key) is not ScalarEvent:
                self._complex_key(key)
                continue
            word: str = key.value
            if word == "<<" and key.implicit[0]:
                self._merge(key, merged)
                continue
            if word in seen:
                if not merging or word in own:
                    first = self.place(seen[word])
                    self.report(
                        Diagnostic(
                            "duplicate-key",
                            f"`{word}` stands here a second time",
                            self.place(key),
                            hint=f"the first is in line {first.line}, column {first.column}",
                        )
                    )
                self.skip(self.node())
                continue
            seen[word] = key
            if merging:
                own.add(word)
            yield word, key, self.node()

    def _merge(self, key: Event, merged: list[list[Event]]) -> None:
        value = self.node()
        maps = [value] if type(value) is not SequenceStartEvent else self.items(value)
        for event in maps:
            if type(event) is not MappingStartEvent:
                self.report(
                    Diagnostic(
                        "wrong-kind", "`<<` takes a map, or a list of maps", self.place(key), hint="such as `<<: *name`"
                    )
                )
                self.skip(event)
                continue
            merged.append([event, *self.rest()])

    def _complex_key(self, key: Event) -> None:
        self.report(
            Diagnostic(
                "wrong-kind",
                "a keyword or a name is expected here, not a list or a map",
                self.place(key),
                hint="a value that begins with `{` or `[` must be quoted",
            )
        )
        self.skip(key)
        self.skip(self.node())

    def _enter(self, start: Event) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._too_deep(start)

    def _too_deep(self, event: Event) -> Stop:
        return Stop(Diagnostic("nesting", f"nested deeper than {MAX_DEPTH} levels", self.place(event)))

    def open_document(self) -> Event | None:
        """The root node's first event, or None where the text holds none."""
        self.take()  # stream start
        event = self.take()
        if type(event) is StreamEndEvent:
            return None
        return self.node()

    def close_document(self) -> None:
        """Raises Stop where more follows the document."""
        self.take()  # document end
        event = self.take()
        if type(event) is DocumentStartEvent:
            place = self.place(event)
            raise Stop(
                Diagnostic(
                    "several-documents",
                    "a second document begins here, and a configuration is one",
                    Place(place.file, place.line, place.column, 3),
                    hint="take the `---` out, or use `include:` with several files",
                )
            )


_TOKEN_HINTS = {
    "\t": ("tab", "a tab cannot indent YAML", "use spaces"),
    "@": ("syntax", "a value cannot begin with `@`", "put it in quotes"),
    "`": ("syntax", "a value cannot begin with a backquote", "put it in quotes"),
    "%": ("syntax", "a value cannot begin with `%`", "put it in quotes"),
}

_PROBLEM_HINTS = (
    ("mapping values are not allowed", "a second `: ` in one line", "a value that holds `: ` must be quoted"),
    ("tab character", "a tab cannot indent YAML", "use spaces"),
    ("could not find expected ':'", "a `:` is missing", "an entry is `keyword: value`, with a blank behind the colon"),
    (
        "did not find expected key",
        "this line does not belong to the block above it",
        "keywords of one block begin in the same column; a value that begins with a quote ends with it",
    ),
    (
        "did not find expected '-' indicator",
        "this line does not belong to the list above it",
        "items of one list begin with `- ` in the same column",
    ),
    (
        "did not find expected <document start>",
        "the configuration ends above, and this follows it",
        "take the `...` out, or use `include:` with several files",
    ),
    ("found unexpected end of stream", "a quote is not closed", ""),
    ("did not find expected ',' or ']'", "a `,` or `]` is missing", "the list opens with `[` and ends with `]`"),
    ("did not find expected ',' or '}'", "a `,` or `}` is missing", "the map opens with `{` and ends with `}`"),
    ("unknown escape character", "no such escape in double quotes", "double the backslash, or use single quotes"),
    ("block sequence entries are not allowed", "a list cannot begin here", "put the `- ` on a line of its own"),
)

_PROBLEM_CODES = {"tab character": "tab", "did not find expected <document start>": "several-documents"}


def _unreadable(fault: YAMLError, text: str, name: str) -> Diagnostic:
    """The parser's complaint in the words of somebody who writes configurations."""
    if not isinstance(fault, MarkedYAMLError):
        return _bad_character(fault, text, name)
    problem = str(fault.problem or fault.context or "not YAML")
    mark = fault.problem_mark or fault.context_mark
    if mark is not None and fault.context_mark is not None and mark.index >= len(text.rstrip()):
        mark = fault.context_mark  # where that began which does not end
    if mark is None:
        return Diagnostic("syntax", problem, Place(name))
    place = Place(name, mark.line + 1, mark.column + 1)
    if "cannot start any token" in problem:
        character = text[mark.index : mark.index + 1]
        code, message, hint = _TOKEN_HINTS.get(character, ("syntax", f"`{character}` cannot stand here", ""))
        return Diagnostic(code, message, place, hint=hint)
    for part, message, hint in _PROBLEM_HINTS:
        if part in problem:
            return Diagnostic(_PROBLEM_CODES.get(part, "syntax"), message, place, hint=hint)
    context = f" {fault.context}" if fault.context else ""
    return Diagnostic("syntax", f"{problem}{context}", place)


def _bad_character(fault: YAMLError, text: str, name: str) -> Diagnostic:
    position = getattr(fault, "position", None)
    if not isinstance(position, int):
        return Diagnostic("syntax", str(fault), Place(name))
    # libyaml counts bytes; the first character of that kind is the one.
    code = getattr(fault, "character", 0)
    return _forbidden(text, max(text.find(chr(code)), 0), name)


def _forbidden(text: str, at: int, name: str) -> Diagnostic:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    code = ord(text[at])
    what = "a NUL byte" if code == 0 else f"the character U+{code:04X}"
    return Diagnostic("control-characters", f"{what} cannot stand in a configuration", Place(name, line, column))

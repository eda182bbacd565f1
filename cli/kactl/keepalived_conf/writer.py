"""Document -> keepalived.conf, by the schema alone.

Everything stands in the order of its origin, values that have none behind it in the schema's order, and what is carried
in `x-keepalived` last, so that it never comes before the keyword it repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kactl.keepalived_conf.lexer import LINE_LIMIT
from kactl.keepalived_conf.ordering import carried_definitions, definitions_first
from kactl.keepalived_conf.rawtext import INDENT, comment, is_whole
from kactl.keepalived_conf.words import Environment, UnwritableError, render_line
from kactl_agent.config.diagnostics import Diagnostic, Effect, Severity
from kactl_agent.config.document import Document, Key, Origin
from kactl_agent.config.schema.keyword import Field, table_of
from kactl_agent.config.schema.line import write_line
from kactl_agent.config.schema.root import DEFINED_FIRST, Config
from kactl_agent.config.schema.shapes import (
    Block,
    Bool,
    Entries,
    Named,
    NamedEntries,
    Repeated,
    SecretSource,
    Shape,
    WordList,
    or_default,
)

_NOWHERE = Origin()
_LIST_WIDTH = 120
"""Lists of words are broken into several lines of the same keyword beyond this many characters."""


@dataclass
class Written:
    """The text, and what could not be said in it as it was meant; with an ERROR among that it is not to be used."""

    text: str
    findings: list[Diagnostic] = field(default_factory=list)


def write(document: Document, read_secret: Callable[[str], str]) -> Written:
    """The keepalived.conf of a document. `read_secret` gives the text of a secret's file; it may raise OSError."""
    writer = _Writer(read_secret)
    writer.comments("", document.origin.above)
    writer.root(document.config, document.origin)
    writer.comments("", document.origin.at_end)
    text = "\n".join(writer.lines)
    return Written(text + "\n" if text else "", writer.findings)


class _Writer:
    def __init__(self, read_secret: Callable[[str], str]) -> None:
        self.lines: list[str] = []
        self.findings: list[Diagnostic] = []
        self._read_secret = read_secret
        self._by_shape: dict[type[Shape], Callable[[Field, Any, Origin, str], None]] = {
            Named: self._named,
            NamedEntries: self._named_entries,
            Block: self._block,
            Entries: self._entries,
            Repeated: self._repeated,
            WordList: self._word_list,
        }

    # -- structure -----------------------------------------------------------------------------------------------------

    def root(self, config: Config, origin: Origin) -> None:
        """All blocks. Definitions that are carried stand above the blocks that may name them, other text last."""
        carried = or_default(config.x_keepalived, ())
        here = _child(origin, "x-keepalived")
        first = carried_definitions(carried)
        users = {user for users in DEFINED_FIRST.values() for user in users} if first else set()
        self._group_comments(here, "")
        for found, item in _ordered(config, origin):
            if found.name in users or found.name == "x-keepalived":
                users = set()
                self._carried([(carried[n], _child(here, n)) for n in first], "")
                first = []
            if found.name != "x-keepalived":
                self.field(found, item, _child(origin, found.name), "")
        definitions = set(carried_definitions(carried))
        self._carried([(text, _child(here, n)) for n, text in enumerate(carried) if n not in definitions], "")
        self.comments("", here.at_end)

    def fields(self, value: Struct, origin: Origin, indent: str) -> None:
        """The lines of a block's fields, but those of its header."""
        for found, item in _ordered(value, origin):
            if found.keyword.position is not None or found.keyword.header:
                continue
            here = _child(origin, found.name)
            if found.name == "x-keepalived":
                self._group_comments(here, indent)
                self._carried([(text, _child(here, index)) for index, text in enumerate(item)], indent)
                self.comments(indent, here.at_end)
            else:
                self.field(found, item, here, indent)

    def field(self, found: Field, item: Any, here: Origin, indent: str) -> None:
        if found.keyword.extension:
            text = f"keepalived has no `{found.name}`: it is left out"
            self._finding("extension-left-out", text, here, Severity.WARNING, Effect.CHANGED)
            self.comments(indent, _all_comments(here))
        else:
            self._by_shape.get(type(found.keyword.shape), self._line)(found, item, here, indent)

    def _named(self, found: Field, value: dict[str, Any], origin: Origin, indent: str) -> None:
        self._group_comments(origin, indent)
        for name, block in value.items():
            self._open([found.name, name], block, _child(origin, name), indent)
        self.comments(indent, origin.at_end)

    def _named_entries(self, found: Field, value: dict[str, Any], origin: Origin, indent: str) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, NamedEntries)
        self._group_comments(origin, indent)
        for name, items in value.items():
            self._entry_block([found.name, name], shape.item, items, _child(origin, name), indent)
        self.comments(indent, origin.at_end)

    def _block(self, found: Field, value: Any, origin: Origin, indent: str) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Block)
        if not shape.many:
            self._open([found.name], value, origin, indent)
            return
        self._group_comments(origin, indent)
        for index, block in enumerate(value):
            self._open([found.name], block, _child(origin, index), indent)
        self.comments(indent, origin.at_end)

    def _open(self, header: list[str], block: Struct, origin: Origin, indent: str) -> None:
        """One block of keywords; comments at the fields that its header says stand above it."""
        self._space(indent)
        table = table_of(type(block))
        above = list(origin.above or ())
        for found, _ in table.set_fields(block):
            if found.keyword.position is not None or found.keyword.header:
                above += _all_comments(_child(origin, found.name))
        self.comments(indent, above)
        words = header + write_line(block, header=True)
        self._add(indent, words, origin, origin.behind, opens_block=True)
        self.fields(block, origin, indent + INDENT)
        self._close(origin, indent)

    def _entries(self, found: Field, value: tuple[Any, ...], origin: Origin, indent: str) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Entries)
        self._entry_block([found.name], shape.item, value, origin, indent)

    def _entry_block(self, header: list[str], item: Shape, value: Sequence[Any], origin: Origin, indent: str) -> None:
        self._space(indent)
        self.comments(indent, origin.above)
        self._add(indent, header, origin, origin.behind, opens_block=True)
        for index, entry in enumerate(value):
            here = _child(origin, index)
            self._words(item.write(self._with_secrets(entry, here)), item, here, indent + INDENT)
        self._close(origin, indent)

    def _close(self, origin: Origin, indent: str) -> None:
        self.comments(indent + INDENT, origin.at_end)
        behind = origin.behind_close
        self.lines.append(f"{indent}}}" + (f" {comment(behind)}" if behind is not None else ""))

    # -- lines ---------------------------------------------------------------------------------------------------------

    def _line(self, found: Field, value: Any, origin: Origin, indent: str) -> None:
        shape = found.keyword.shape
        if isinstance(shape, Bool) and shape.bare_only and value is False:
            # Off is said by leaving the keyword out.
            self.comments(indent, _all_comments(origin))
            return
        self._words([found.name, *self._write(shape, value, origin)], shape, origin, indent)

    def _repeated(self, found: Field, value: tuple[Any, ...], origin: Origin, indent: str) -> None:
        shape = found.keyword.shape
        assert isinstance(shape, Repeated)
        self._group_comments(origin, indent)
        for index, item in enumerate(value):
            here = _child(origin, index)
            self._words([found.name, *self._write(shape.item, item, here)], shape.item, here, indent)
        self.comments(indent, origin.at_end)

    def _word_list(self, found: Field, value: tuple[Any, ...], origin: Origin, indent: str) -> None:
        shape = found.keyword.shape
        words = self._write(shape, value, origin)
        line: list[str] = []
        self.comments(indent, [*(origin.above or ()), *_comments_below(origin)])
        behind = origin.behind
        for word in words:
            full = sum(len(w) + 1 for w in (*line, word)) + len(found.name) > _LIST_WIDTH
            if line and full and found.keyword.again != "ignored":
                self._add(indent, [found.name, *line], origin, None, quoted=shape.quoted)
                line = []
            line.append(word)
        self._add(indent, [found.name, *line], origin, behind, quoted=shape.quoted)
        self.comments(indent, origin.at_end)

    def _words(self, words: list[str], shape: Shape, origin: Origin, indent: str) -> None:
        """One line with its comments; those inside a value that YAML spreads over several lines go above it."""
        if origin is not _NOWHERE:
            self.comments(indent, [*(origin.above or ()), *_comments_below(origin)])
        self._add(indent, words, origin, origin.behind, quoted=shape.quoted)
        self.comments(indent, origin.at_end)

    def _add(
        self,
        indent: str,
        words: Sequence[str],
        origin: Origin,
        behind: str | None,
        *,
        quoted: bool = False,
        opens_block: bool = False,
    ) -> None:
        try:
            line = indent + render_line(words, quoted=quoted, opens_block=opens_block)
        except UnwritableError as error:
            what = f"`{words[0]}`" if words else "an entry"
            text = f"{what} cannot be written in keepalived.conf: {error}"
            self._finding("unwritable-value", text, origin, Severity.ERROR, Effect.REFUSED)
            return
        if behind is not None:
            whole = f"{line} {comment(behind)}"
            if len(whole.encode()) <= LINE_LIMIT:
                line = whole
            else:
                self.comments(indent, [behind])
        self.lines.append(line)

    def _carried(self, texts: Sequence[tuple[str, Origin]], indent: str) -> None:
        """Text of keepalived.conf, as it is; its own comments are inside."""
        for text, here in texts:
            if not is_whole(text):
                said = "this text would change what follows it: its braces are not balanced, or a quote is open"
                self._finding("unwritable-value", said, here, Severity.ERROR, Effect.REFUSED)
            lines = text.split("\n")
            if len(lines) > 1:
                self._space(indent)
            self.comments(indent, [*(here.above or ()), *_comments_below(here)])
            if here.behind is not None and len(lines) > 1:
                self.comments(indent, [here.behind])
            elif here.behind is not None:
                lines[0] += f" {comment(here.behind)}"
            self.lines += [indent + line if line else line for line in lines]
            self.comments(indent, here.at_end)

    # -- comments ------------------------------------------------------------------------------------------------------

    def comments(self, indent: str, texts: Sequence[str] | None) -> None:
        """Comment lines."""
        for text in texts or ():
            self.lines.append(indent + comment(text))

    def _group_comments(self, origin: Origin, indent: str) -> None:
        """Comments at a key that keepalived.conf has no line for: above its first item."""
        above = [*(origin.above or ()), *([origin.behind] if origin.behind is not None else ())]
        if above:
            self._space(indent)
            self.comments(indent, above)

    def _space(self, indent: str) -> None:
        """An empty line before a block that stands at the root."""
        if not indent and self.lines and self.lines[-1] and not self.lines[-1].startswith("#"):
            self.lines.append("")

    # -- secrets -------------------------------------------------------------------------------------------------------

    def _write(self, shape: Shape, value: Any, origin: Origin) -> list[str]:
        value = self._with_secrets(value, origin)
        return [value] if isinstance(value, Environment) else shape.write(value)

    def _with_secrets(self, value: Any, origin: Origin) -> Any:
        """The value with every secret kept elsewhere replaced by what keepalived.conf can say."""
        if isinstance(value, SecretSource):
            return self._secret(value, origin)
        if isinstance(value, Struct):
            changes = {
                found.attribute: self._secret(item, origin)
                for found, item in table_of(type(value)).set_fields(value)
                if isinstance(item, SecretSource)
            }
            return replace(value, **changes) if changes else value
        return value

    def _secret(self, source: SecretSource, origin: Origin) -> str:
        if source.env:
            text = f"the secret is `${{_ENV {source.env}}}` here: keepalived takes it from its environment since 2.4.0"
            self._finding("secret-from-environment", text, origin, Severity.WARNING, Effect.CHANGED)
            return Environment(f"${{_ENV {source.env}}}")
        try:
            secret = self._read_secret(source.file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            text = f"the secret in `{source.file}` cannot be read: {reason}"
            self._finding("secret-unreadable", text, origin, Severity.ERROR, Effect.REFUSED)
            return "unreadable"
        text = f"the secret of `{source.file}` stands in the text now: keepalived reads no file for it"
        self._finding("secret-inlined", text, origin, Severity.WARNING, Effect.CHANGED)
        return secret

    def _finding(self, code: str, message: str, origin: Origin, severity: Severity, effect: Effect) -> None:
        self.findings.append(Diagnostic(code, message, origin.place, severity, "", effect))


def _child(origin: Origin, key: Key) -> Origin:
    if origin.children is None:
        return _NOWHERE
    return origin.children.get(key, _NOWHERE)


def _ordered(value: Struct, origin: Origin) -> list[tuple[Field, Any]]:
    """The set fields in the order of the origin, then of the schema; what is carried comes last."""
    said = list(table_of(type(value)).set_fields(value))
    if origin.children:
        keys = list(origin.children)
        rank = {key: index for index, key in enumerate(definitions_first(keys) if isinstance(value, Config) else keys)}
        last = len(rank)
        said.sort(key=lambda pair: (pair[0].name == "x-keepalived", rank.get(pair[0].name, last)))
    return _in_reach(said)


def _in_reach(said: list[tuple[Field, Any]]) -> list[tuple[Field, Any]]:
    """The same, with each field that keepalived ignores above another one (`Keyword.after`) moved just behind that."""
    for pair in [pair for pair in said if pair[0].keyword.after]:
        above = next((i for i, (f, _) in enumerate(said) if f.name == pair[0].keyword.after), -1)
        if above > said.index(pair):
            said.remove(pair)
            said.insert(above, pair)
    return said


def _comments_below(origin: Origin) -> list[str]:
    """All comments at parts of a value that is one line in keepalived.conf."""
    return [text for child in (origin.children or {}).values() for text in _all_comments(child)]


def _all_comments(origin: Origin) -> list[str]:
    return list(_walk_comments(origin))


def _walk_comments(origin: Origin) -> Iterator[str]:
    yield from origin.above or ()
    if origin.behind is not None:
        yield origin.behind
    for child in (origin.children or {}).values():
        yield from _walk_comments(child)
    yield from origin.at_end or ()
    if origin.behind_close is not None:
        yield origin.behind_close

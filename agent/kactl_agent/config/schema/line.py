"""Lines with options: words -> struct and back, by the struct's keyword table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct

from kactl_agent.config.schema.keyword import Field, Table, table_of
from kactl_agent.config.schema.shapes import Bool, Line, MissingWord, Repeated, SecretSource, ValueFault

S = TypeVar("S", bound=Struct)


def read_line(struct: type[S], words: Sequence[str], at: int, *, header: bool = False) -> tuple[S, int]:
    """The struct that the words from `at` on say, and the index behind what it took.

    Stops, without a fault, at a word that is none of its options: the caller decides whether that is an error (the end of a
    nested line is the beginning of its parent's next option). With `header`, only positional and header fields are read.
    Raises ValueFault, with the index of the word at fault.
    """
    table = table_of(struct)
    values: dict[str, Any] = {}
    waiting = list(table.positional)
    leading = True
    closing: Field | None = None  # an option that ends the line: behind it there is only more of it
    while at < len(words):
        word = words[at]
        if closing is not None and table.by_word.get(word) is not closing:
            break
        option = None if _must_be_positional(table, values) else table.by_word.get(word)
        if option is not None and _is_option(option, header) and (leading or not option.keyword.leading):
            _check_order(struct, option, values, at)
            value, at = _read_option(option, words, at, values)
            values[option.attribute] = value
            if closes_line(option):
                closing = option
            continue
        if word in table.fillers and at + 1 < len(words):
            at += 1
            continue
        bare = _bare_word(table, word, values, leading)
        if bare is not None:
            values[bare.attribute], at = bare.keyword.shape.read(words, at)
            continue
        if not waiting:
            _check_first(struct, word, values, at)
            break
        waiting = [f for f in waiting if f.attribute not in values]
        taken = _read_positional(waiting, words, at)
        if taken is None:
            break
        field, value, at = taken
        leading = False
        values[field.attribute] = value
    for field in table.fields:
        on_line = not header or field.keyword.position is not None or field.keyword.header
        if field.keyword.required and on_line and field.attribute not in values:
            raise MissingWord(f"`{field.name}` is missing: {field.keyword.shape.describe()}", word=at - 1)
    return struct(**values), at


def closes_line(option: Field) -> bool:
    """Whether nothing but the same option again may stand behind it; keepalived ignores what does."""
    return option.keyword.last and isinstance(option.keyword.shape, Repeated)


def _must_be_positional(table: Table, values: dict[str, Any]) -> bool:
    """Whether the line still waits for its first word, which is a value whatever it says (a script may be called `weight`)."""
    first = table.positional[0] if table.positional else None
    if first is None or not first.keyword.required or first.attribute in values or table.fillers:
        return False
    return not any(f.keyword.leading for f in table)


def _check_order(struct: type[Struct], option: Field, values: dict[str, Any], at: int) -> None:
    first = getattr(struct, "first_option", "")
    if first and option.name != first and table_of(struct).by_name[first].attribute not in values:
        raise ValueFault(f"`{option.name}` stands without `{first}` before it", f"write `{first}` first", word=at)


def _check_first(struct: type[Struct], word: str, values: dict[str, Any], at: int) -> None:
    first = getattr(struct, "first_option", "")
    if first and table_of(struct).by_name[first].attribute not in values:
        raise ValueFault(f"`{word}` stands where only `{first}` can", word=at)


def _is_option(field: Field, header: bool) -> bool:
    keyword = field.keyword
    by_name = keyword.position is None or keyword.named
    return by_name and not keyword.bare_word and (keyword.header or keyword.named or not header)


def _read_option(option: Field, words: Sequence[str], at: int, values: dict[str, Any]) -> tuple[Any, int]:
    shape = option.keyword.shape
    if isinstance(shape, Repeated):
        item, at = shape.item.read(words, at + 1)
        return (*values.get(option.attribute, ()), item), at
    return shape.read(words, at + 1)


def _bare_word(table: Table, word: str, values: dict[str, Any], leading: bool) -> Field | None:
    for field in table.bare_words:
        if field.attribute in values or (field.keyword.leading and not leading):
            continue
        try:
            field.keyword.shape.read([word], 0)
        except ValueFault:
            continue
        return field
    return None


def _read_positional(waiting: list[Field], words: Sequence[str], at: int) -> tuple[Field, Any, int] | None:
    """The first waiting positional field that takes the word; optional ones that do not are passed over."""
    first: ValueFault | None = None
    while waiting:
        field = waiting.pop(0)
        try:
            value, behind = field.keyword.shape.read(words, at)
        except ValueFault as fault:
            # When none takes the word, what is wrong with it as the first is what to say.
            first = first or fault
            if field.keyword.required or not waiting:
                raise first from None
            continue
        return field, value, behind
    return None


def write_line(value: Struct, *, header: bool = False) -> list[str]:
    """The words of a line: leading options, positional values in order, then options in the schema's order."""
    table = table_of(type(value))
    words: list[str] = []
    for field, item in table.set_fields(value):
        if field.keyword.leading and (field.keyword.header or not header):
            words += _write_option(field, item)
    positional = [(f, v) for f, v in table.set_fields(value) if f.keyword.position is not None and not f.keyword.named]
    for field, item in sorted(positional, key=lambda pair: pair[0].keyword.position or 0):
        words += field.keyword.shape.write(item)
    for field, item in table.set_fields(value):
        keyword = field.keyword
        placed = keyword.position is not None and not keyword.named
        if placed or keyword.leading or (header and not (keyword.header or keyword.named)):
            continue
        words += _write_option(field, item)
    return words


def _write_option(field: Field, item: Any) -> list[str]:
    shape = field.keyword.shape
    if field.keyword.bare_word:
        return shape.write(item)
    if isinstance(shape, Bool) and shape.bare_only:
        return [field.name] if item else []
    if isinstance(shape, Repeated):
        return [word for one in item for word in (field.name, *shape.item.write(one))]
    return [field.name, *shape.write(item)]


def describe_line(struct: type[Struct]) -> str:
    """A line in the reference's notation."""
    table = table_of(struct)
    parts = []
    for field in table.positional:
        text = field.keyword.shape.describe()
        parts.append(text if field.keyword.required else f"[{text}]")
    for field in table.fields:
        if field.keyword.position is not None:
            continue
        shape = field.keyword.shape
        argument = (
            ""
            if isinstance(shape, Bool) and shape.bare_only
            else "..."
            if isinstance(shape, Line)
            else shape.describe()
        )
        parts.append(f"[{shape.describe()}]" if field.keyword.bare_word else f"[{f'{field.name} {argument}'.strip()}]")
    return " ".join(parts)


def check_sayable(value: Struct) -> None:
    """Raises ValueFault when no line says this value: a word that needs another before it.

    YAML can say such things (`{name: chk, reverse: true}` without a weight); keepalived.conf has no words for them.
    """
    table = table_of(type(value))
    said = {f.attribute: v for f, v in table.set_fields(value) if v is not False or not _is_flag(f)}
    if not said or any(isinstance(item, SecretSource) for item in said.values()):
        return
    meant = type(value)(**said)
    words = write_line(meant)
    read, at = read_line(type(value), words, 0)
    if read != meant or at != len(words):
        raise ValueFault("a word is missing between these", f"expected {describe_line(type(value))}")


def _is_flag(field: Field) -> bool:
    shape = field.keyword.shape
    return isinstance(shape, Bool) and shape.bare_only

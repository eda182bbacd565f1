"""What somebody probably meant who wrote an unknown keyword or the wrong kind of value."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache

from msgspec import Struct

from kactl_agent.config.schema.keyword import Table, table_of
from kactl_agent.config.schema.shapes import Block, Entries, Line, Named, NamedEntries, Optional, Repeated, Shape


def explain_unknown(table: Table, word: str, block: str, *, root: type[Struct]) -> tuple[str, str]:
    """Message and hint for a key that is no keyword of `table`; `block` is the keyword of the block, "" at the root."""
    where = f"`{block}`" if block else "the configuration"
    field = table.by_word.get(word)
    if field is not None:  # another spelling of keepalived's: in YAML each keyword has one name
        return f"`{word}` is written `{field.name}`", f"write `{field.name}:`"
    legacy = table.legacy.get(word)
    if legacy is not None:
        hint = f"use {legacy.replaced_by}" if legacy.replaced_by else "take it out"
        return f"`{word}` is no keyword any more: {legacy.doc}", hint
    message = f"`{word}` is no keyword of {where}"
    spellings = {spelling: f.name for f in table.fields for spelling in f.spellings}
    lowered = {spelling.lower().replace("-", "_"): name for spelling, name in spellings.items()}
    same = lowered.get(word.lower().replace("-", "_"))
    if same is not None:
        return message, f"did you mean `{same}`?"
    homes = [home for home in places_of(root).get(word, ()) if home != block]
    if homes:
        listed = ", ".join(f"`{home}`" if home else "the root" for home in homes[:4])
        return message, f"it is one of {listed}: check the indentation"
    close = difflib.get_close_matches(word, spellings, n=1, cutoff=0.6)
    return message, f"did you mean `{spellings[close[0]]}`?" if close else ""


NULL_HINTS = {
    "list": "write its items below it, each beginning with `- `, or take it out",
    "map": "write its keywords below it, indented, or `{}` for a block with nothing in it",
    "name": "write its names below it, indented, or take it out",
    "true": "write `true` for the keyword alone, or take it out",
    "false": "write `false` for the keyword alone, or take it out",
    "value": "write a value, or take the keyword out; the word itself is written in quotes",
}
"""By what is expected: what to do about a keyword with nothing behind it."""

_EXPECTS = {"list": "a list", "map": "a map", "name": "names with blocks"}


def explain_kind(what: str, expected: str, kind: str, *, quoted: bool) -> tuple[str, str]:
    """Message and hint for a wrong kind of node ("word", "list" or "map"); `quoted`: quotes may be what is missing."""
    if expected == "list":
        hint = "begin each item with `- `"
    elif expected == "map":
        hint = f"write `keyword: value` lines, {'without `- ` in front' if kind == 'list' else 'indented below it'}"
    elif expected == "name":
        hint = "write each name as a key: `NAME:`, with its keywords indented below"
    else:
        hint = "write one value behind the colon"
        if quoted:
            hint += "; a value that begins with `{` or `[` must be quoted"
    return f"{what} takes {_EXPECTS.get(expected, 'one value')}, and this is a {kind}", hint


@cache
def places_of(root: type[Struct]) -> dict[str, tuple[str, ...]]:
    """Canonical keyword -> the blocks and lines (by their keyword, "" for the root) that have it."""
    found: dict[str, list[str]] = {}
    seen: set[tuple[str, type[Struct]]] = set()
    waiting = [("", root)]
    while waiting:
        name, struct = waiting.pop(0)
        if (name, struct) in seen:
            continue
        seen.add((name, struct))
        for field in table_of(struct).fields:
            homes = found.setdefault(field.name, [])
            if name not in homes:
                homes.append(name)
            waiting.extend((field.name, inner) for inner in structs_of(field.keyword.shape))
    return {word: tuple(homes) for word, homes in found.items()}


def structs_of(shape: Shape) -> Iterator[type[Struct]]:
    """The structs a shape is made of, directly."""
    match shape:
        case Line(struct=struct) | Block(struct=struct) | Named(struct=struct):
            yield struct
        case Optional(shape=inner) | Repeated(item=inner) | Entries(item=inner) | NamedEntries(item=inner):
            yield from structs_of(inner)

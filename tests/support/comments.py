"""Comments on the origins of a configuration: strategies that put them there, and what an origin tree says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from kactl_agent.config.document import Document, Key, Origin
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import (
    Block,
    Entries,
    Named,
    NamedEntries,
    Optional,
    Repeated,
    Shape,
    WordList,
)

TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20).map(str.rstrip)


def items_of(shape: Shape, value: Any) -> list[tuple[Key, Shape, Any]]:
    """The parts of a value: key, shape and value of each."""
    if isinstance(shape, Optional):
        return [] if value is shape.bare else items_of(shape.shape, value)
    if isinstance(shape, Named):
        return [(name, Block(shape.struct), block) for name, block in value.items()]
    if isinstance(shape, NamedEntries):
        return [(name, Entries(shape.item), entries) for name, entries in value.items()]
    if isinstance(shape, Block) and shape.many:
        return [(number, Block(shape.struct), block) for number, block in enumerate(value)]
    if isinstance(shape, Repeated | Entries | WordList):
        return [(number, shape.item, item) for number, item in enumerate(value)]
    if isinstance(value, Struct):
        return [(f.name, f.keyword.shape, v) for f, v in table_of(type(value)).set_fields(value)]
    return []


@st.composite
def documents(draw: st.DrawFn, configs: st.SearchStrategy[Config]) -> Document:
    """Documents with the fields in any order, and comments anywhere."""
    config = draw(configs)
    origin = Origin()
    rate = draw(st.sampled_from((0, 2, 5, 10)))

    def chance() -> bool:
        return rate > 0 and draw(st.integers(0, 9)) < rate

    def fill(shape: Shape, value: Any, at: Origin) -> None:
        parts = items_of(shape, value)
        if isinstance(value, Struct):
            parts = draw(st.permutations(parts))
        for key, inner, part in parts:
            child = at.child(key)
            fill(inner, part, child)
            if _is_alone(inner, part):
                continue  # the block and its only item are one thing in YAML: comments are the item's
            if chance():
                child.above = draw(st.lists(TEXTS, min_size=1, max_size=2))
            if chance():
                child.behind = draw(TEXTS)
            if isinstance(inner, Block | Named | NamedEntries | Entries | Repeated):
                if chance():
                    child.at_end = draw(st.lists(TEXTS, min_size=1, max_size=2))
                if chance():
                    child.behind_close = draw(TEXTS)

    fill(Block(Config), config, origin)
    if chance():
        origin.at_end = draw(st.lists(TEXTS, min_size=1, max_size=2))
    return Document(config, origin)


def _is_alone(shape: Shape, value: Any) -> bool:
    return isinstance(shape, Block) and shape.many and shape.single_form and len(value) == 1


def comments(origin: Origin, path: tuple[Key, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Path, above, behind, at_end and behind_close of every part that has comments."""
    if origin.above or origin.at_end or origin.behind is not None or origin.behind_close is not None:
        yield path, origin.above or [], origin.behind, origin.at_end or [], origin.behind_close
    for key, child in sorted((origin.children or {}).items(), key=lambda pair: str(pair[0])):
        yield from comments(child, (*path, key))

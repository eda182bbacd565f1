"""A keyword's value from the words behind it, and back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.shapes import Entries, NamedEntries, Quoted, Repeated, Scalar, Shape, ValueFault


def shape_of(struct: type[Struct], keyword: str) -> Shape:
    """What one line of the keyword is: of blocks of entries and repeated lines, one of them."""
    shape = table_of(struct).by_word[keyword].keyword.shape
    return shape.item if isinstance(shape, Entries | Repeated | NamedEntries) else shape


def words_of(text: str) -> list[str]:
    """`a "b c" d` as three words, the quoted one marked."""
    words: list[str] = []
    for n, part in enumerate(text.split('"')):
        words += [Quoted(part)] if n % 2 else part.split()
    return words


def taken(struct: type[Struct], keyword: str, line: str) -> Any:
    """The value that the words behind the keyword say; every word must be taken."""
    words = words_of(line)
    value, end = shape_of(struct, keyword).read(words, 0)
    assert end == len(words), words[end:]
    return value


def written(struct: type[Struct], keyword: str, value: Any) -> str:
    """The words of a value, quoted where they are marked so."""
    return " ".join(f'"{w}"' if isinstance(w, Quoted) else w for w in shape_of(struct, keyword).write(value))


def same(struct: type[Struct], keyword: str, line: str, value: Any) -> None:
    """The words say the value, and the value is written as these words."""
    assert taken(struct, keyword, line) == value
    assert written(struct, keyword, value) == line


def fault(struct: type[Struct], keyword: str, line: str) -> ValueFault:
    """What is wrong with the words."""
    words = words_of(line)
    with pytest.raises(ValueFault) as caught:
        shape_of(struct, keyword).read(words, 0)
    return caught.value


def in_yaml(struct: type[Struct], keyword: str, value: Any) -> str | int | bool:
    """A scalar value as it stands in YAML, checked to be read back from there."""
    shape = shape_of(struct, keyword)
    assert isinstance(shape, Scalar)
    shown = shape.to_yaml(value)
    assert shape.parse_yaml(str(shown)) == value
    return shown


def from_yaml(struct: type[Struct], keyword: str, text: str) -> Any:
    """The value that a YAML scalar says."""
    shape = shape_of(struct, keyword)
    assert isinstance(shape, Scalar)
    return shape.parse_yaml(text)

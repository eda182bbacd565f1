"""Shapes of values that stand together: on one line, in a value block, in a block, under names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from kactl_agent.config.schema.scalars import Text
from kactl_agent.config.schema.shape import Json, MissingWord, Scalar, Shape

# -- structures on a line -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Optional(Shape):
    """The keyword alone means something (`nftables` against `nftables mytable`): its value is `bare` then, True or False.

    False is for keywords that switch something off by standing alone (`vrrp_ipsets`).
    """

    shape: Shape
    bare: bool = True

    @property
    def quoted(self) -> bool:
        return self.shape.quoted

    def read(self, words: Sequence[str], at: int) -> tuple[Any, int]:
        return (self.bare, at) if at >= len(words) else self.shape.read(words, at)

    def write(self, value: Any) -> list[str]:
        return [] if value is self.bare else self.shape.write(value)

    def describe(self) -> str:
        return f"[{self.shape.describe()}]"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"const": self.bare}, self.shape.json_schema(refs)]}


@dataclass(frozen=True)
class WordList(Shape):
    """Several words on the keyword's line; said again, the line adds to the list. Value: tuple. YAML: a list, or one scalar."""

    item: Scalar[Any]
    minimum: int = 1
    drops_word: bool = False  # a bad word is ignored alone, not with its line

    def read(self, words: Sequence[str], at: int) -> tuple[tuple[Any, ...], int]:
        values = []
        while at < len(words):
            value, at = self.item.read(words, at)
            values.append(value)
        if len(values) < self.minimum:
            raise MissingWord("a value is missing", f"expected {self.describe()}", word=at - 1)
        return tuple(values), at

    def write(self, value: tuple[Any, ...]) -> list[str]:
        return [word for item in value for word in self.item.write(item)]

    def describe(self) -> str:
        return f"{self.item.describe()} ..."

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        item = self.item.json_schema(refs)
        return {"anyOf": [item, {"type": "array", "items": item}]}


# -- structures of lines and blocks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line(Shape):
    """Words with options, as a struct whose positional fields come first. YAML: a map, or the first positional alone."""

    struct: type[Struct]

    @property
    def quoted(self) -> bool:
        from kactl_agent.config.schema.keyword import table_of

        return any(f.keyword.shape.quoted for f in table_of(self.struct).positional)

    def read(self, words: Sequence[str], at: int) -> tuple[Any, int]:
        from kactl_agent.config.schema.line import read_line

        return read_line(self.struct, words, at)

    def write(self, value: Any) -> list[str]:
        from kactl_agent.config.schema.line import write_line

        return write_line(value)

    def describe(self) -> str:
        from kactl_agent.config.schema.line import describe_line

        return describe_line(self.struct)

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        from kactl_agent.config.schema.keyword import table_of

        full: Json = {"$ref": f"#/$defs/{refs[self.struct]}"}
        short = table_of(self.struct).short
        return full if short is None else {"anyOf": [short.keyword.shape.json_schema(refs), full]}


@dataclass(frozen=True)
class Repeated(Shape):
    """A line that may stand several times, each adding one value. Value: tuple. YAML: a list."""

    item: Shape

    @property
    def quoted(self) -> bool:
        return self.item.quoted

    def describe(self) -> str:
        return f"{self.item.describe()} (repeatable)"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "array", "items": self.item.json_schema(refs)}


@dataclass(frozen=True)
class Entries(Shape):
    """A value block: one entry a line (or several words a line, each an entry). Value: tuple. YAML: a list.

    A value block has no keywords of its own: every line of it is an entry.
    """

    item: Shape
    many_per_line: bool = False

    def describe(self) -> str:
        return f"{{ {self.item.describe()} ... }}"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "array", "items": self.item.json_schema(refs)}


@dataclass(frozen=True)
class Block(Shape):
    """A block of keywords. Words on its header line are the struct's positional and header fields.

    `many`: it may stand several times; value: tuple, YAML: a list (with `single_form`, one alone may be a map and is written as one).
    Otherwise a second block of the same keyword adds to the first.
    """

    struct: type[Struct]
    many: bool = False
    single_form: bool = False

    def describe(self) -> str:
        return "{ ... }"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        one: Json = {"$ref": f"#/$defs/{refs[self.struct]}"}
        if not self.many:
            return one
        listed: Json = {"type": "array", "items": one}
        return {"anyOf": [one, listed]} if self.single_form else listed


@dataclass(frozen=True)
class Named(Shape):
    """Blocks with a name on the header line. Value: dict from name to struct, in order. YAML: a map."""

    struct: type[Struct]
    name: Text = field(default_factory=lambda: Text("name"))

    def describe(self) -> str:
        return f"{self.name.describe()} {{ ... }}"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{refs[self.struct]}"}}


@dataclass(frozen=True)
class NamedEntries(Shape):
    """Value blocks with a name on the header line (`virtual_server_group`). Value: dict from name to tuple. YAML: a map of lists."""

    item: Shape
    name: Text = field(default_factory=lambda: Text("name"))

    def describe(self) -> str:
        return f"{self.name.describe()} {{ {self.item.describe()} ... }}"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "object", "additionalProperties": {"type": "array", "items": self.item.json_schema(refs)}}


def shape_of_one(shape: Shape) -> Shape:
    """The shape of a single value, without what makes it optional, a list or a block of entries."""
    while isinstance(shape, Optional | Repeated | Entries | WordList):
        shape = shape.shape if isinstance(shape, Optional) else shape.item
    return shape


def is_secret(shape: Shape) -> bool:
    """Whether values are secrets, which no message shows, and which may come from a file or the environment."""
    one = shape_of_one(shape)
    return isinstance(one, Text) and one.secret

"""Document -> YAML text: what was said, in the order it was said, with its comments; nothing invented.

The text is the same whenever the document is, and reading it gives the same document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.keyword import Field, table_of
from kactl_agent.config.schema.shapes import (
    Block,
    Choice,
    Entries,
    Line,
    Named,
    NamedEntries,
    Number,
    Optional,
    Repeated,
    Scalar,
    SecretSource,
    Shape,
    WordList,
)
from kactl_agent.config.yaml_comments import CLOSING
from kactl_agent.config.yaml_scalars import comment, comment_words, literal, quote

WIDTH = 100
"""Lines with options are written as one flow map up to this many columns."""
_LONGEST_KEY = 900  # YAML's simple keys end at 1024 characters

_NOTHING = Origin()


def emit(document: Document) -> str:
    """The YAML text of a document; `{}` when nothing is set."""
    emitter = _Emitter()
    emitter.root(document.config, document.origin)
    return "\n".join(emitter.lines) + "\n"


def render_value(shape: Shape, value: Any) -> str:
    """A value in flow style, on one line."""
    return _flow(shape, value, inside=False)


class _Emitter:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def root(self, config: Struct, origin: Origin) -> None:
        self.comments("", origin.above)
        fields = _ordered(config, origin)
        if not fields:
            self.comments("", origin.at_end)
            self.lines.append("{}")
            return
        tall = False
        for number, (field, value) in enumerate(fields):
            start = len(self.lines)
            self.entry("", field.name, field.keyword.shape, value, _child(origin, field.name))
            was_tall, tall = tall, len(self.lines) - start > 1
            if number and (tall or was_tall):
                self.lines.insert(start, "")
        if origin.at_end:
            self.lines.append("")
            self.comments("", origin.at_end)

    def comments(self, indent: str, texts: Iterable[str] | None) -> None:
        if texts:
            self.lines.extend(f"{indent}{comment(text)}" for text in texts)

    # -- an entry of a map, an item of a list --------------------------------------------------------------------------

    def entry(self, indent: str, key: str, shape: Shape, value: Any, origin: Origin) -> None:
        """`key: value`, on one line or with the value's lines below it."""
        shape, value, origin = _resolved(shape, value, origin)
        self.comments(indent, origin.above)
        word = quote(key)
        if len(word) > _LONGEST_KEY:
            self.lines.append(f"{indent}? {word}")
            word = ""
        self.node(f"{indent}{word}:", indent, shape, value, origin)

    def node(self, opening: str, indent: str, shape: Shape, value: Any, origin: Origin) -> None:
        """What stands behind `key:`; the comments above are written already."""
        lines = self.lines
        behind = "" if origin.behind is None else f" {comment(origin.behind)}"
        if isinstance(shape, Scalar):
            if origin.at_end or origin.behind_close is not None:
                self.lost(indent, opening, origin)
            if type(value) is str and "\n" in value and (block := literal(value)) is not None:
                lines.append(f"{opening} |-{behind}")
                lines.extend(f"{indent}  {line}" if line else "" for line in block)
                return
            lines.append(f"{opening} {_scalar(shape, value, flow=False)}{behind}")
            return
        text = _one_line(shape, value, origin, WIDTH - len(opening) - 1)
        if text is not None:
            lines.append(f"{opening} {text}{behind}")
            return
        lines.append(f"{opening}{behind}")
        inner = f"{indent}  "
        self.body(inner, shape, value, origin)
        self.comments(inner, origin.at_end)
        if origin.behind_close is not None:
            self.closing(inner, origin.behind_close)
        if _is_empty(value):
            lines.append(f"{inner}{'{}' if _is_map(shape) else '[]'}")

    def closing(self, indent: str, text: str) -> None:
        self.lines.append(f"{indent}# {CLOSING} {comment_words(text)}".rstrip())

    def lost(self, indent: str, opening: str, origin: Origin) -> None:
        """Comments at the end of what has no lines of its own stand above it."""
        if opening.lstrip() == ":":
            return
        self.comments(indent, origin.at_end)
        if origin.behind_close is not None:
            self.comments(indent, (origin.behind_close,))

    def body(self, indent: str, shape: Shape, value: Any, origin: Origin) -> None:
        """The lines of a collection."""
        if isinstance(shape, Named | NamedEntries):
            block = _named_item(shape)
            for name, item in value.items():
                self.entry(indent, name, block, item, _child(origin, name))
        elif isinstance(shape, WordList | Repeated | Entries) or (isinstance(shape, Block) and shape.many):
            self.items(indent, shape, value, origin)
        else:
            for field, item in _ordered(value, origin):
                self.entry(indent, field.name, field.keyword.shape, item, _child(origin, field.name))

    def items(self, indent: str, shape: Shape, values: tuple[Any, ...], origin: Origin) -> None:
        item_shape = Block(shape.struct) if isinstance(shape, Block) else getattr(shape, "item", shape)
        origins = [_child(origin, number) for number in range(len(values))]
        flow: list[str | None] = [None] * len(values)
        if isinstance(item_shape, Block):  # items of one list look alike
            texts = [_short_block(v, o, WIDTH - len(indent)) for v, o in zip(values, origins, strict=True)]
            if None not in texts:
                flow = texts
        for value, at, text in zip(values, origins, flow, strict=True):
            self.comments(indent, at.above)
            if text is not None:
                behind = "" if at.behind is None else f" {comment(at.behind)}"
                self.lines.append(f"{indent}- {text}{behind}")
            else:
                self.item(indent, item_shape, value, at)

    def item(self, indent: str, shape: Shape, value: Any, origin: Origin) -> None:
        shape, value, origin = _resolved(shape, value, origin)
        opens_map = _is_map(shape) and not _is_empty(value)
        if not opens_map or _one_line(shape, value, origin, WIDTH - len(indent) - 2) is not None:
            self.node(f"{indent}-", indent, shape, value, origin)
            return
        start = len(self.lines)
        self.node(f"{indent}-", indent, shape, value, origin)
        first, item = _ordered(value, origin)[0]
        _, _, noted = _resolved(first.keyword.shape, item, _child(origin, first.name))
        if noted.above or noted.behind is not None or self.lines[start + 1].lstrip().startswith("#"):
            return  # its own comments need lines apart from the dash
        behind = self.lines[start][len(indent) + 1 :]
        self.lines[start : start + 2] = [f"{indent}- {self.lines[start + 1][len(indent) + 2 :]}{behind}"]


def _child(origin: Origin, key: str | int) -> Origin:
    children = origin.children
    return _NOTHING if children is None else children.get(key, _NOTHING)


def _ordered(value: Struct, origin: Origin) -> list[tuple[Field, Any]]:
    """The fields that are set, in the order they were written in; a header's words first, unknown ones last."""
    fields = list(table_of(type(value)).set_fields(value))
    children = origin.children
    if not children:
        return fields
    order = {key: number for number, key in enumerate(children)}
    last = len(order)

    def rank(pair: tuple[Field, Any]) -> int:
        keyword = pair[0].keyword
        return order.get(pair[0].name, -1 if keyword.position is not None or keyword.header else last)

    fields.sort(key=rank)
    return fields


def _resolved(shape: Shape, value: Any, origin: Origin) -> tuple[Shape, Any, Origin]:
    """Step through shapes that have no form of their own, to what stands in the text."""
    while True:
        if isinstance(shape, Optional):
            if value is shape.bare:
                return _BOOLEAN, value, origin
            shape = shape.shape
        elif isinstance(shape, Block) and shape.many and shape.single_form and len(value) == 1:
            shape, value, origin = Block(shape.struct), value[0], _merged(origin, _child(origin, 0))
        else:
            return shape, value, origin


class _Boolean(Scalar[bool]):
    """The value of a keyword that stands alone."""

    def to_yaml(self, value: bool) -> bool:
        return value


_BOOLEAN = _Boolean()


def _merged(outer: Origin, inner: Origin) -> Origin:
    """A list of one that is written without the list: the comments of both stand at it."""
    if not (outer.above or outer.at_end) and outer.behind is None and outer.behind_close is None:
        return inner
    both = Origin(inner.file, inner.line, inner.column, inner.length)
    both.above = [*(outer.above or ()), *(inner.above or ())]
    both.behind = outer.behind if inner.behind is None else inner.behind
    if outer.behind is not None and inner.behind is not None:
        both.above.append(outer.behind)
    both.at_end = [*(inner.at_end or ()), *(outer.at_end or ())]
    both.behind_close = inner.behind_close if outer.behind_close is None else outer.behind_close
    if outer.behind_close is not None and inner.behind_close is not None:
        both.at_end.append(inner.behind_close)
    both.children = inner.children
    return both


def _is_map(shape: Shape) -> bool:
    return isinstance(shape, Named | NamedEntries | Line) or (isinstance(shape, Block) and not shape.many)


def _named_item(shape: Named | NamedEntries) -> Shape:
    return Block(shape.struct) if isinstance(shape, Named) else Entries(shape.item)


def _is_empty(value: Any) -> bool:
    if isinstance(value, Struct):
        return not any(True for _ in table_of(type(value)).set_fields(value))
    return not value


def _has_comments_below(origin: Origin) -> bool:
    if origin.at_end or origin.behind_close is not None:
        return True
    children = origin.children
    return children is not None and any(child.has_comments for child in children.values())


def _one_line(shape: Shape, value: Any, origin: Origin, room: int) -> str | None:
    """The text of a collection that stands on its keyword's line, or None where it takes lines of its own."""
    if not isinstance(shape, Line | WordList) and not _is_empty(value):
        return None
    if origin is not _NOTHING and _has_comments_below(origin):
        return None
    if isinstance(shape, Line):
        text = _flow(shape, value, inside=False)
        return text if "\n" not in text and (len(text) <= room or not text.startswith("{")) else None
    if isinstance(shape, WordList):
        if len(value) == 1 and shape.minimum <= 1:
            return _scalar(shape.item, value[0], flow=False)
        text = _flow(shape, value, inside=False)
        return text if len(text) <= room else None
    return "{}" if _is_map(shape) else "[]"


def _short_block(value: Struct, origin: Origin, room: int) -> str | None:
    """A block of a few plain values as one flow map."""
    if origin is not _NOTHING and _has_comments_below(origin):
        return None
    if not all(_on_a_line(field.keyword.shape) for field, _ in table_of(type(value)).set_fields(value)):
        return None
    parts = _flow_fields(value, origin)
    text = f"{{{', '.join(parts)}}}"
    return text if len(text) <= room else None


def _on_a_line(shape: Shape) -> bool:
    inner = shape.shape if isinstance(shape, Optional) else shape
    return isinstance(inner, Scalar | Line | WordList)


def _flow(shape: Shape, value: Any, *, inside: bool) -> str:
    """A value in flow style; `inside` when it stands within another flow collection."""
    if isinstance(shape, Optional):
        return ("true" if value else "false") if value is shape.bare else _flow(shape.shape, value, inside=inside)
    if isinstance(shape, Scalar):
        return _scalar(shape, value, flow=inside)
    if isinstance(shape, Line):
        short = _short(value)
        if short is not None:
            return _flow(short.keyword.shape, getattr(value, short.attribute), inside=inside)
        return f"{{{', '.join(_flow_fields(value, _NOTHING))}}}"
    if isinstance(shape, WordList) and len(value) == 1 and shape.minimum <= 1:
        return _scalar(shape.item, value[0], flow=inside)
    if isinstance(shape, WordList | Repeated | Entries):
        return f"[{', '.join(_flow(shape.item, item, inside=True) for item in value)}]"
    if isinstance(shape, Block) and shape.many:
        return f"[{', '.join(_flow(Block(shape.struct), item, inside=True) for item in value)}]"
    if isinstance(shape, Named | NamedEntries):
        block = _named_item(shape)
        return f"{{{', '.join(f'{quote(k, flow=True)}: {_flow(block, v, inside=True)}' for k, v in value.items())}}}"
    return f"{{{', '.join(_flow_fields(value, _NOTHING))}}}"


def _flow_fields(value: Struct, origin: Origin) -> list[str]:
    return [
        f"{quote(field.name, flow=True)}: {_flow(field.keyword.shape, item, inside=True)}"
        for field, item in _ordered(value, origin)
    ]


def _short(value: Struct) -> Field | None:
    """The field that a line's value is written as alone: its first positional one, when nothing else is set."""
    table = table_of(type(value))
    short = table.short
    if short is None:
        return None
    shape = short.keyword.shape
    inner = shape.shape if isinstance(shape, Optional) else shape
    if not isinstance(inner, Scalar | WordList):
        return None
    fields = [field for field, _ in table.set_fields(value)]
    if fields != [short] or isinstance(getattr(value, short.attribute), SecretSource):
        return None
    return short


def _scalar(shape: Scalar[Any], value: Any, *, flow: bool) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, SecretSource):
        source, text = ("file", value.file) if value.file else ("env", value.env)
        return f"{{{source}: {quote(text, flow=True)}}}"
    written = shape.to_yaml(value)
    if isinstance(written, bool):
        return "true" if written else "false"
    if isinstance(written, int):
        return str(written)
    if isinstance(written, Number):
        return str(written)
    # `version: 2` is read as the same word whichever way it is written.
    if isinstance(shape, Choice) and written.isdecimal() and (written == "0" or written[0] != "0"):
        return written
    return quote(written, flow=flow)

"""Changes to a configuration's tree, led by the schema: what is one item and what a list of them is.

The states are those of Ansible's resource modules. An item of a list is the same one when what identifies it is: the
words of its header line (the address and port of a real server) or its first word (an address, the name of a tracker).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any

from msgspec import Struct
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from kactl.editing.text import node, plain, texts
from kactl_agent.config.schema.keyword import BlockKeywords, Field, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.routes import RouteEntry
from kactl_agent.config.schema.rules import RuleEntry
from kactl_agent.config.schema.shapes import (
    Block,
    Entries,
    Line,
    Named,
    NamedEntries,
    Optional,
    Repeated,
    Scalar,
    Shape,
    WordList,
)


class State(Enum):
    """What is to become of the items that a change names, and of the others."""

    MERGED = "merged"  # what the change says is added; all else stays
    REPLACED = "replaced"  # items that the change names are what it says, no more; other items stay
    OVERRIDDEN = "overridden"  # the configuration is what the change says, no more
    DELETED = "deleted"  # what the change names is gone


def apply(tree: CommentedMap, change: dict[str, Any], state: State) -> None:
    """Change a tree in place. Keys that the schema does not know are taken as they are: binding refuses them later."""
    match state:
        case State.MERGED:
            _merge(tree, change, Config)
        case State.REPLACED:
            _replace(tree, change, Config)
        case State.OVERRIDDEN:
            _override(tree, change, Config)
        case State.DELETED:
            _delete(tree, change, Config)


# -- what the schema says ----------------------------------------------------------------------------------------------


def _shape(struct: type[Struct] | None, key: str) -> Shape | None:
    field = table_of(struct).by_name.get(key) if struct is not None else None
    shape = field.keyword.shape if field is not None else None
    while isinstance(shape, Optional):
        shape = shape.shape
    return shape


def _struct(shape: Shape | None) -> type[Struct] | None:
    """Of a block or a line that is a map of its own."""
    return shape.struct if isinstance(shape, Block | Line) else None


def _item(shape: Shape | None) -> Shape | None:
    """The shape of an item of a list; None where a value is no list of items."""
    if isinstance(shape, Block) and shape.many:
        return shape
    return shape.item if isinstance(shape, Repeated | Entries | WordList) else None


def _identifying(struct: type[Struct]) -> list[Field]:
    """Of a block the words of its header line, of a line its first word; nothing of routes and rules, of which several
    may have the same destination."""
    table = table_of(struct)
    if issubclass(struct, BlockKeywords):
        return [f for f in table.fields if f.keyword.header or f.keyword.position is not None]
    return [] if issubclass(struct, RouteEntry | RuleEntry) else list(table.positional[:1])


def identity(item: Any, shape: Shape | None) -> Hashable:
    """What makes an item of a list the one it is; equal for spellings that mean the same."""
    struct = _struct(shape)
    if struct is None:
        return _canonical(shape, item)
    if not isinstance(item, dict):
        short = table_of(struct).short
        item = {short.name: item} if short is not None else {}
    said = tuple((f.name, _canonical(f.keyword.shape, item[f.name])) for f in _identifying(struct) if f.name in item)
    return said or repr(sorted(texts(item).items()))


def _find(items: Any, shape: Shape | None) -> Callable[[Any], int | None]:
    """Looks up which item is the same as a new one, each at most once: an equal one rather than a changed one.

    One address and port may be two virtual servers, of two protocols: where both say theirs, it counts.
    """
    places: dict[Hashable, list[int]] = {}
    for number, old in enumerate(items):
        places.setdefault(identity(old, shape), []).append(number)

    def fits(old: Any, new: Any) -> bool:
        both = isinstance(old, dict) and isinstance(new, dict) and "protocol" in old and "protocol" in new
        return not both or str(old["protocol"]).upper() == str(new["protocol"]).upper()

    def find(new: Any) -> int | None:
        candidates = places.get(identity(new, shape), [])
        fitting = [number for number in candidates if fits(items[number], new)]
        equal = [number for number in fitting if len(fitting) > 1 and texts(items[number]) == texts(new)]
        for number in (*equal, *fitting):
            candidates.remove(number)
            return number
        return None

    return find


def _canonical(shape: Shape | None, value: Any) -> str:
    """The canonical text of a scalar; the text itself where it is none of its kind."""
    text = texts(value)
    if not isinstance(text, str):
        return repr(text)
    if isinstance(shape, Scalar):
        try:
            return shape.render(shape.parse_yaml(text))
        except Exception:  # noqa: BLE001 - a bad value identifies nothing; binding the result says what is wrong with it
            return text
    return text


# -- states ------------------------------------------------------------------------------------------------------------


def _merge(tree: Any, change: dict[str, Any], struct: type[Struct] | None) -> None:
    for key, value in change.items():
        shape = _shape(struct, key)
        if key not in tree:
            tree[key] = node(value)
        elif isinstance(shape, Named | NamedEntries) and isinstance(value, dict) and isinstance(tree[key], dict):
            for name, block in value.items():
                if isinstance(shape, Named) and name in tree[key] and isinstance(block, dict):
                    _merge(tree[key][name], block, shape.struct)
                elif isinstance(shape, NamedEntries) and name in tree[key] and isinstance(block, list):
                    _merge_items(tree[key], name, block, shape.item)
                else:
                    tree[key][name] = node(block)
        elif _item(shape) is not None:
            _merge_items(tree, key, value, _item(shape))
        elif isinstance(value, dict) and isinstance(tree[key], dict):
            _merge(tree[key], value, _struct(shape))
        else:
            _set(tree, key, value)


def _merge_items(holder: Any, key: str, value: Any, item: Shape | None) -> None:
    """Items that are there already are merged into, others go to the end. A single form becomes a list."""
    items = _listed(holder, key)
    find = _find(items, item)
    for new in value if isinstance(value, list) else [value]:
        place = find(new)
        if place is None:
            items.append(node([new])[0])
        elif isinstance(new, dict):
            if not isinstance(items[place], dict):
                items[place] = _spelled_out(items[place], item)
            _merge(items[place], new, _struct(item))


def _replace(tree: Any, change: dict[str, Any], struct: type[Struct]) -> None:
    for key, value in change.items():
        shape = _shape(struct, key)
        if key not in tree:
            tree[key] = node(value)
        elif isinstance(shape, Named | NamedEntries) and isinstance(value, dict) and isinstance(tree[key], dict):
            for name, block in value.items():
                _make(tree[key], name, block, Block(shape.struct) if isinstance(shape, Named) else Entries(shape.item))
        elif isinstance(shape, Block) and shape.many:
            items = _listed(tree, key)
            find = _find(items, shape)
            for new in value if isinstance(value, list) else [value]:
                place = find(new)
                if place is None:
                    items.append(node([new])[0])
                else:
                    _make(items, place, new, Block(shape.struct))
        else:
            _make(tree, key, value, shape)


def _override(tree: Any, change: dict[str, Any], struct: type[Struct] | None) -> None:
    for key in [key for key in tree if key not in change]:
        del tree[key]
    for key, value in change.items():
        _make(tree, key, value, _shape(struct, key))


def _make(holder: Any, key: Any, value: Any, shape: Shape | None) -> None:
    """Make the value under a key exactly this, touching no part that says the same already."""
    there = key in holder if isinstance(holder, dict) else 0 <= key < len(holder)
    old = holder[key] if there else None
    if isinstance(value, dict) and isinstance(old, dict) and not (isinstance(shape, Block) and shape.many):
        if isinstance(shape, Named):
            _override_named(old, value, Block(shape.struct))
        elif isinstance(shape, NamedEntries):
            _override_named(old, value, Entries(shape.item))
        else:
            _override(old, value, _struct(shape))
        return
    item = _item(shape)
    if isinstance(value, list) and isinstance(old, list) and item is not None:
        _make_items(old, value, item)
        return
    _set(holder, key, value)


def _override_named(tree: Any, value: dict[str, Any], shape: Shape) -> None:
    for name in [name for name in tree if name not in value]:
        del tree[name]
    for name, block in value.items():
        _make(tree, name, block, shape)


def _make_items(old: Any, value: list[Any], item: Shape) -> None:
    """In the order of `value`; items that stay keep their comments."""
    find = _find(old, item)
    places = [find(new) for new in value]
    if places != list(range(len(old))):
        kept = list(old)
        del old[:]
        old.extend(node([new])[0] if place is None else kept[place] for place, new in zip(places, value, strict=True))
    for number, new in enumerate(value):
        _make(old, number, new, Block(item.struct) if isinstance(item, Block) else item)


def _delete(tree: Any, change: dict[str, Any], struct: type[Struct] | None) -> None:
    """Leaves that the change names go; so do items that it names by their identity alone (`{VI_1: {}}`)."""
    for key, value in change.items():
        if key not in tree:
            continue
        shape = _shape(struct, key)
        item = _item(shape)
        if isinstance(shape, Named | NamedEntries) and isinstance(value, dict) and value:
            for name, block in value.items():
                if name in tree[key]:
                    if isinstance(block, dict) and block and isinstance(shape, Named):
                        _delete(tree[key][name], block, shape.struct)
                    else:
                        del tree[key][name]
            _drop_empty(tree, key)
        elif item is not None and value and isinstance(value, dict | list):
            _delete_items(tree, key, value, item)
        elif isinstance(value, dict) and value and isinstance(tree[key], dict):
            _delete(tree[key], value, _struct(shape))
            _drop_empty(tree, key)
        else:
            del tree[key]


def _delete_items(tree: Any, key: str, value: Any, item: Shape) -> None:
    items = _listed(tree, key)
    struct = _struct(item)
    named = {f.name for f in _identifying(struct)} | {"protocol"} if struct is not None else set()
    for gone in value if isinstance(value, list) else [value]:
        while (number := _find(items, item)(gone)) is not None:  # all that are called so
            deeper = {k: v for k, v in gone.items() if k not in named} if isinstance(gone, dict) else {}
            if deeper and isinstance(items[number], dict):
                _delete(items[number], deeper, struct)
                break
            del items[number]
    _drop_empty(tree, key)


# -- nodes -------------------------------------------------------------------------------------------------------------


def _set(holder: Any, key: Any, value: Any) -> None:
    there = key in holder if isinstance(holder, dict) else 0 <= key < len(holder)
    new = node(value)
    if there and (plain(holder[key]) == plain(new) or _same_word(holder[key], new)):
        return
    holder[key] = new


def _same_word(old: Any, new: Any) -> bool:
    """Quotes matter for the words that mean something without them, and for no other."""
    return isinstance(old, str) and isinstance(new, str) and str(old) == str(new) and not isinstance(plain(old), bool)


def _listed(holder: Any, key: str) -> Any:
    if not isinstance(holder[key], list):
        holder[key] = CommentedSeq([holder[key]])
    return holder[key]


def _drop_empty(tree: Any, key: str) -> None:
    if not tree[key]:
        del tree[key]


def _spelled_out(value: Any, shape: Shape | None) -> CommentedMap:
    """A short form as the map that it stands for."""
    struct = _struct(shape)
    short = table_of(struct).short if struct is not None else None
    made = CommentedMap({short.name: value} if short is not None else {})
    made.fa.set_flow_style()
    return made

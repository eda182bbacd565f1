"""YAML text as a tree that is written back as it stood: comments, order, quotes and flow style stay.

Scalars are texts here, as the schema reads them: what a version of YAML makes of `no` or `0777` never matters.
"""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString
from ruamel.yaml.tag import Tag

from kactl_agent.config.yaml_scalars import quote

_TEXT = Tag(suffix="tag:yaml.org,2002:str")
_BLOCK_ITEM = re.compile(r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", re.MULTILINE)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WORDS = {"true": True, "false": False, "": None, "~": None, "null": None}
_WIDEST = 1 << 16  # a line is never folded


class _TextResolver(VersionedResolver):
    """Every plain scalar is a text."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0]:
            return _TEXT
        return super().resolve(kind, value, implicit)


def _yaml(text: str) -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.Resolver = _TextResolver
    yaml.preserve_quotes = True
    yaml.width = _WIDEST
    found = _BLOCK_ITEM.search(text)
    offset = 2 if found is None else len(found[2]) - len(found[1])
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def load(text: str) -> CommentedMap:
    """The tree of a text; an empty one is an empty map. Raises YAMLError, and ValueError for what is no map."""
    tree = _yaml(text).load(text)
    if tree is not None and not isinstance(tree, CommentedMap):
        raise ValueError("not a map")
    return CommentedMap() if tree is None else tree


def dump(tree: CommentedMap, like: str) -> str:
    """The text of a tree, its lists indented as in the text `like`."""
    stream = io.StringIO()
    _yaml(like).dump(tree, stream)
    return stream.getvalue()


def node(value: Any) -> Any:
    """Plain data (as JSON has it) as nodes of a tree; lists of words, and items that are small maps, on a line each."""
    if isinstance(value, dict):
        return CommentedMap((str(key), node(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        listed = CommentedSeq(node(item) for item in value)
        if all(isinstance(item, str) for item in listed):
            listed.fa.set_flow_style()
        for item in listed:
            if isinstance(item, CommentedMap) and all(isinstance(each, str) for each in item.values()):
                item.fa.set_flow_style()
        return listed
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar as the text that says it, quoted where a plain word would be read as something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if isinstance(value, ScalarString) or quote(value, flow=True) == value:
        return value
    quoted: str = DoubleQuotedScalarString(value)
    return quoted


def plain(value: Any) -> Any:
    """Nodes of a tree as plain data: maps, lists, texts, and of plain words whole numbers, true, false and null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, ScalarString) or not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else str(value)
    if value in _WORDS:
        return _WORDS[value]
    return int(value) if _WHOLE.fullmatch(value) else str(value)


def texts(value: Any) -> Any:
    """Nodes or plain data with every scalar as its text: equal for what is spelled alike."""
    if isinstance(value, dict):
        return {str(key): texts(item) for key, item in value.items()}
    return [texts(item) for item in value] if isinstance(value, list | tuple) else str(scalar(value))

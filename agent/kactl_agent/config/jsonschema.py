"""The JSON Schema (draft 2020-12) of the YAML configuration, made from the keyword table alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from kactl_agent.config.schema.keyword import Field, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import (
    Duration,
    Integer,
    Json,
    Shape,
    shape_of_one,
)
from kactl_agent.config.suggest import structs_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
INCLUDE_DOC = "Other YAML files to read: a path or a pattern, or a list of them, relative to this file"
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}


def json_schema() -> Json:
    """The schema as JSON builtins. Each keyword carries its documentation, `x-default`, `x-unit` and `x-since`."""
    refs = names_of(all_structs())
    definitions = {name: _definition(struct, refs) for struct, name in sorted(refs.items(), key=lambda pair: pair[1])}
    root = definitions.pop(refs[Config])
    one = {"type": "string", "minLength": 1}
    root["properties"]["include"] = {
        "description": INCLUDE_DOC,
        "anyOf": [one, {"type": "array", "items": one}],
    }
    root["patternProperties"] = {"^x-(?!keepalived$)": {"description": "A place for anchors; ignored"}}
    return {
        "$schema": DIALECT,
        "$id": "urn:kactl:agent-configuration",
        "title": "kactl agent configuration",
        **root,
        "$defs": definitions,
    }


def all_structs() -> list[type[Struct]]:
    """The structs of the schema, the root first, in the order they are met."""
    found: dict[type[Struct], None] = {}
    waiting: list[type[Struct]] = [Config]
    while waiting:
        struct = waiting.pop(0)
        if struct in found:
            continue
        found[struct] = None
        for field in table_of(struct).fields:
            waiting.extend(structs_of(field.keyword.shape))
    return list(found)


def names_of(structs: Iterable[type[Struct]]) -> dict[type, str]:
    """A name for each struct: its own, with its module's where several have the same."""
    structs = list(structs)
    count = Counter(struct.__name__ for struct in structs)
    return {
        struct: struct.__name__
        if count[struct.__name__] == 1
        else f"{struct.__module__.rpartition('.')[2]}.{struct.__name__}"
        for struct in structs
    }


def _definition(struct: type[Struct], refs: dict[type, str]) -> Json:
    table = table_of(struct)
    definition: Json = {
        "description": _first_line(struct),
        "type": "object",
        "properties": {field.name: _property(field, refs) for field in table.fields},
        "additionalProperties": False,
    }
    required = [field.name for field in table.fields if field.keyword.required]
    if required:
        definition["required"] = required
    return definition


def _property(field: Field, refs: dict[type, str]) -> Json:
    keyword = field.keyword
    schema: Json = {"description": _description(field), **keyword.shape.json_schema(refs)}
    if keyword.default:
        schema["x-default"] = keyword.default
    unit = unit_of(keyword.shape)
    if unit:
        schema["x-unit"] = unit
    if keyword.since:
        schema["x-since"] = keyword.since
    if not keyword.extension:
        schema["x-keepalived-keyword"] = field.name
    if keyword.replaced_by:
        schema["deprecated"] = True
    return schema


def _description(field: Field) -> str:
    keyword = field.keyword
    parts = [keyword.doc.rstrip(".") + "."]
    if keyword.default:
        parts.append(f"Default: {keyword.default}.")
    unit = unit_of(keyword.shape)
    if unit:
        parts.append(f"A bare number is {unit}.")
    if keyword.replaced_by:
        parts.append(f"Deprecated: use {keyword.replaced_by}.")
    return " ".join(parts)


def unit_of(shape: Shape) -> str:
    """The unit of a bare number, in words; empty where there is none."""
    shape = shape_of_one(shape)
    if isinstance(shape, Duration):
        return _UNIT_NAMES[shape.unit]
    return shape.unit if isinstance(shape, Integer) else ""


def _first_line(struct: type[Struct]) -> str:
    doc: Any = struct.__doc__ or ""
    return str(doc).strip().split("\n", 1)[0]

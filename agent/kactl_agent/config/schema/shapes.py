"""How the value of a keyword is written: the shapes that YAML, keepalived.conf, JSON Schema and the reference share.

A scalar shape turns one word into a value and back. A structural shape says how values stand together: on one line, in a value
block, in a block, under names. Everything that reads or writes configuration walks these; none of it knows a keyword by name.
"""

from __future__ import annotations

from kactl_agent.config.schema.scalars import (
    FALSE_WORDS,
    TRUE_WORDS,
    Bool,
    Choice,
    Command,
    Duration,
    Integer,
    Number,
    SecretSource,
    Text,
    WholeSeconds,
    parse_decimal,
    render_decimal,
)
from kactl_agent.config.schema.shape import Json, Maybe, MissingWord, Quoted, Scalar, Shape, T, ValueFault, or_default
from kactl_agent.config.schema.structures import (
    Block,
    Entries,
    Line,
    Named,
    NamedEntries,
    Optional,
    Repeated,
    WordList,
    is_secret,
    shape_of_one,
)

__all__ = [
    "FALSE_WORDS",
    "TRUE_WORDS",
    "Block",
    "Bool",
    "Choice",
    "Command",
    "Duration",
    "Entries",
    "Integer",
    "Json",
    "Line",
    "Maybe",
    "MissingWord",
    "Named",
    "NamedEntries",
    "Number",
    "Optional",
    "Quoted",
    "Repeated",
    "Scalar",
    "SecretSource",
    "Shape",
    "T",
    "Text",
    "ValueFault",
    "WholeSeconds",
    "WordList",
    "is_secret",
    "or_default",
    "parse_decimal",
    "render_decimal",
    "shape_of_one",
]

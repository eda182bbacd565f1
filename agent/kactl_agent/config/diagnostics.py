"""Diagnostics: what is wrong or worth saying about a configuration, where, and what to do about it."""

from __future__ import annotations

from enum import Enum

import msgspec


class Severity(Enum):
    ERROR = "error"  # the configuration is refused
    WARNING = "warning"  # it is taken, but not as it stands
    NOTE = "note"  # it is taken as it stands, and something is worth knowing


class Effect(Enum):
    """What a conversion did with the construct a finding is about."""

    NONE = ""
    CONVERTED = "converted"  # same meaning in other words: a deprecated spelling, an expanded definition
    CHANGED = "changed"  # converted with a changed meaning
    REPAIRED = "repaired"  # keepalived silently takes it for something else; that is what was converted
    CARRIED = "carried"  # neither keepalived nor the schema knows it; it travels as text
    REFUSED = "refused"


class Place(msgspec.Struct, frozen=True):
    """A place in a file: lines and columns count from 1, columns in characters; `length` is how much to underline."""

    file: str
    line: int = 0  # 0: the file as a whole
    column: int = 0
    length: int = 1


class Diagnostic(msgspec.Struct, frozen=True):
    """One finding. `code` is stable (kebab-case), the message is one sentence without a final period."""

    code: str
    message: str
    place: Place
    severity: Severity = Severity.ERROR
    hint: str = ""
    effect: Effect = Effect.NONE

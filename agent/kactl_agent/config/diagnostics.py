"""Diagnostics: what is wrong or worth saying about a configuration, where, and what to do about it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache

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


# -- rendering ---------------------------------------------------------------------------------------------------------

Paint = Callable[[str, str], str]
"""(role, text) -> text with colour; roles are "error", "warning", "note", "place", "caret" and "hint"."""

EXCERPT_WIDTH = 100
_NARROWEST = 20


def render_text(
    diagnostic: Diagnostic,
    sources: Mapping[str, str] | None = None,
    *,
    paint: Paint = lambda _role, text: text,
    width: int | None = None,
) -> str:
    """`FILE:LINE:COLUMN: error[code]: message`, the line with a caret below, and the hint; no newline at the end.

    `sources` are the texts of the files, their secrets covered (`masking.mask_sources`); `width` is how many
    columns the terminal has, so that no excerpt is wrapped and every caret stands below its word.
    """
    place = diagnostic.place
    where = place.file
    if place.line:
        where += f":{place.line}:{place.column}" if place.column else f":{place.line}"
    kind = diagnostic.severity.value
    lines = [
        f"{paint('place', f'{printable(where)}:')} {paint(kind, f'{kind}[{diagnostic.code}]:')} "
        f"{printable(diagnostic.message)}"
    ]
    source = (sources or {}).get(place.file)
    if source is not None and place.line:
        lines += _excerpt(source, place, paint, width)
    if diagnostic.hint:
        lines.append(f"  {paint('hint', 'hint:')} {printable(diagnostic.hint)}")
    return "\n".join(lines)


def to_json(diagnostic: Diagnostic) -> dict[str, str | int]:
    """The diagnostic as JSON builtins; line 0 is the file as a whole."""
    place = diagnostic.place
    return {
        "severity": diagnostic.severity.value,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "effect": diagnostic.effect.value,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "length": place.length,
    }


def render_github(diagnostic: Diagnostic) -> str:
    """A workflow command of GitHub Actions that annotates the line."""
    place = diagnostic.place
    command = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}[diagnostic.severity]
    properties = [f"file={_github_property(place.file)}"]
    if place.line:
        properties.append(f"line={place.line}")
    if place.column:
        properties += [f"col={place.column}", f"endColumn={place.column + place.length}"]
    properties.append(f"title={_github_property(diagnostic.code)}")
    message = diagnostic.message + (f"\nhint: {diagnostic.hint}" if diagnostic.hint else "")
    return f"::{command} {','.join(properties)}::{_github_text(message)}"


def _github_text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_text(text).replace(":", "%3A").replace(",", "%2C")


def printable(text: str) -> str:
    """Text from a file as a terminal may show it: control and direction characters become visible marks."""
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") else character


def columns(text: str) -> int:
    """How many terminal columns a text takes: East Asian wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def _excerpt(source: str, place: Place, paint: Paint, width: int | None) -> list[str]:
    line = line_of(source, place.line)
    if line is None:
        return []
    # A tab takes the columns that it has in the file's own text, of a fixed width so that the caret can follow.
    at = max(place.column - 1, 0)
    head, marked, tail = line[:at], line[at : at + max(place.length, 1)], line[at + max(place.length, 1) :]
    head, marked, tail = (printable(part.replace("\t", "    ")) for part in (head, marked, tail))
    number = str(place.line)
    room = EXCERPT_WIDTH
    if width is not None:
        room = max(min(room, width - len(number) - 5), _NARROWEST)
    head, marked, tail = _fit(head, marked, tail, room)
    gutter = " " * len(number)
    excerpt = f"{head}{marked}{tail}".rstrip()
    lines = [f"  {number} | {excerpt}" if excerpt else f"  {number} |"]
    if place.column:
        caret = "^" * max(columns(marked), 1)
        lines.append(f"  {gutter} | {' ' * columns(head)}{paint('caret', caret)}")
    return lines


def _fit(head: str, marked: str, tail: str, room: int) -> tuple[str, str, str]:
    """The three in at most `room` characters: what is marked first, then what stands before it."""
    if len(head) + len(marked) + len(tail) <= room:
        return head, marked, tail
    if len(marked) > room - 2:
        marked, tail = f"{marked[: room - 3]}…", ""
    room -= len(marked)
    kept = room - min(len(tail), room // 3)
    if len(head) > kept:
        head = f"…{head[len(head) - kept + 1 :]}"
    room -= len(head)
    if len(tail) > room:
        tail = f"{tail[: room - 1]}…" if room else ""
    return head, marked, tail


def line_of(source: str, number: int) -> str | None:
    """Line `number` (from 1) of a text, without its end. Only line feeds and carriage returns end lines."""
    lines = _lines(source)
    return lines[number - 1].rstrip("\r") if number <= len(lines) else None


@lru_cache(maxsize=1)
def _lines(source: str) -> list[str]:
    """The lines of the source that is shown now: findings come file by file, and there may be thousands of them."""
    return source.split("\n")

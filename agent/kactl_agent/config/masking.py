"""Sources with their secrets covered, for excerpts: by the place where a secret stands, never by its text.

A secret stands behind a keyword that the schema calls secret: up to the end of the line in keepalived.conf, to the end
of the value in YAML. And it stands where a text is defined that is used there: `$NAME=` and `~SEQ`, `~LST` of
keepalived.conf, anchors of YAML. A text that happens to be the same elsewhere is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from kactl_agent.config.secrets import secret_keywords

# Behind an escaped line end, as in the carried text of a quoted YAML scalar, a keyword begins too.
_KEYWORD_START = r"(?:(?<![\w-])|(?<=\\[nrt]))"
_DEFINITION = re.compile(r"[ \t]*\$(\w+)=[ \t]*")
_DEFINITIONS = re.compile(r"^[ \t]*\$(\w+)=((?:.*\\\r?\n)*.*)", re.MULTILINE)
_SEQUENCE = re.compile(r"[ \t]*~\w+[ \t]*\(([^)]*)")
_ANCHOR = re.compile(r"(?<!\S)&([^\s,\[\]{}]+)[ \t]+(?=\S)")
_REFERENCE = re.compile(r"\$\{?(\w+)|(?<!\S)\*([^\s,\[\]{}]+)")
_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)*")  # anchor and tag of a YAML value
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_FLOW_PLAIN = re.compile(r"[^,\[\]{}]*")
_BLOCK_PLAIN = re.compile(r"(?:(?![ \t]#).)*")
_ENTRY = re.compile(r"[ \t]*(?:-[ \t]+)*(?:\{|[\"']?[\w-]+[\"']?[ \t]*:(?:[ \t]|$))")


@cache
def _keyword() -> re.Pattern[str]:
    words = "|".join(sorted(map(re.escape, secret_keywords()), key=len, reverse=True))
    return re.compile(rf"{_KEYWORD_START}(?:{words})[\"']?(?:[ \t]*(?P<colon>:)[ \t]*|[ \t]+(?=\S))")


def mask_sources(sources: Mapping[str, str]) -> dict[str, str]:
    """The texts of files with `*` for every character of a secret; lines and columns stay what they are."""
    first = [_Masking(()) for _ in sources]
    for masking, text in zip(first, sources.values(), strict=True):
        masking.text(text)
    names = _closure(set().union(*(m.referenced for m in first)), sources.values())
    return {file: _Masking(names).text(text) for file, text in sources.items()}


def _closure(names: set[str], texts: Collection[str]) -> set[str]:
    """The names, and those that their definitions use in turn."""
    if not names:
        return names
    used: dict[str, set[str]] = {}
    for text in texts:
        for name, value in _DEFINITIONS.findall(text):
            used.setdefault(name, set()).update(_references(value))
    waiting = list(names)
    while waiting:
        new = used.get(waiting.pop(), set()) - names
        names |= new
        waiting += new
    return names


def _references(text: str) -> set[str]:
    return {definition or alias for definition, alias in _REFERENCE.findall(text)}


@dataclass(frozen=True)
class _OpenValue:
    """A value that may go on in the lines below."""

    indent: int  # of its key: lines that stand further right belong to it
    whole: bool = False  # all of them, whatever they look like
    quote: str = ""  # until this quote
    backslash: bool = False  # while lines end in a backslash


class _Masking:
    """Covers the secrets of one text, those in definitions and anchors called `names` too.

    `referenced` are the names of definitions and anchors that stand in what was covered.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.referenced: set[str] = set()
        self._names = names
        self._open: _OpenValue | None = None

    def text(self, text: str) -> str:
        self._open = None
        return "\n".join([self._line(line) for line in text.split("\n")])

    def _line(self, line: str) -> str:
        if self._open is not None:
            covered = self._continued(line, self._open)
            if covered is not None:
                return covered
        line = self._definitions(line)
        pieces: list[str] = []
        at = depth = 0
        while (found := _keyword().search(line, at)) is not None:
            start = end = found.end()
            depth += _depth(line[at:start])
            if found["colon"] is None:
                end = len(line)
            else:
                end = self._value_end(line, found.start(), start, flow=depth > 0)
            pieces += [line[at:start], self._cover(line[start:end])]
            at = end
        return "".join([*pieces, line[at:]]) if pieces else line

    def _definitions(self, line: str) -> str:
        """The line with the value of a definition, the list of a sequence or an anchored value covered."""
        if not self._names:
            return line
        definition = _DEFINITION.match(line)
        if definition is not None and definition[1] in self._names:
            if line.rstrip().endswith("\\"):
                self._open = _OpenValue(0, backslash=True)
            return line[: definition.end()] + self._cover(line[definition.end() :])
        sequence = _SEQUENCE.match(line)
        if sequence is not None and not _references(sequence[1]).isdisjoint(self._names):
            start, end = sequence.span(1)
            return line[:start] + self._cover(line[start:end]) + line[end:]
        for anchor in _ANCHOR.finditer(line):
            if anchor[1] in self._names:
                start = anchor.end()
                flow = _depth(line[:start]) > 0
                end = self._value_end(line, len(line) - len(line.lstrip(" ")), start, flow=flow)
                return line[:start] + self._cover(line[start:end]) + line[end:]
        return line

    def _value_end(self, line: str, indent: int, start: int, *, flow: bool) -> int:
        """Where the YAML value at `start` ends on this line; its key stands at `indent`, within braces where `flow`."""
        prefix = _PROPERTIES.match(line, start)
        start = prefix.end() if prefix is not None else start
        quoted = _QUOTED.match(line, start)
        if quoted is not None:
            return quoted.end()
        first = line[start : start + 1]
        if first in ('"', "'"):
            self._open = _OpenValue(indent, quote=first)
            return len(line)
        if flow:
            plain = _FLOW_PLAIN.match(line, start) if first not in ("{", "[") else None
            return plain.end() if plain is not None else len(line)
        self._open = _OpenValue(indent, whole=first in ("|", ">"))
        plain = _BLOCK_PLAIN.match(line, start)
        return plain.end() if plain is not None else len(line)

    def _continued(self, line: str, value: _OpenValue) -> str | None:
        """The covered line, None where the value has ended or the line is an entry of its own."""
        if value.backslash:
            if not line.rstrip().endswith("\\"):
                self._open = None
            return self._cover(line)
        if value.quote:
            if value.quote in line:
                self._open = None
            return self._cover(line)
        if not line.strip():
            return line
        indent = len(line) - len(line.lstrip(" "))
        if indent <= value.indent:
            self._open = None
            return None
        if not value.whole and (line.lstrip().startswith("#") or _ENTRY.match(line)):
            return None
        return line[:indent] + self._cover(line[indent:])

    def _cover(self, text: str) -> str:
        self.referenced |= _references(text)
        seen = len(text.rstrip())
        return "*" * seen + text[seen:]


def _depth(text: str) -> int:
    """How many more braces and brackets are opened in it than closed."""
    return text.count("{") + text.count("[") - text.count("}") - text.count("]")

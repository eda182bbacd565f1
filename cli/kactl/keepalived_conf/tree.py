"""The two trees of a keepalived.conf.

`SourceFile` is lossless: the physical lines as they stand, each with its kind; joined again they are the file, byte for
byte. `Directive` is what is left after expansion (definitions, conditions, sequences, includes): keyword, words and
block, each with the place it came from and the comments that stand above and behind it.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from enum import Enum

from kactl_agent.config.diagnostics import Diagnostic


@dataclass(slots=True)
class Word:
    """One word of a logical line. Columns count characters from 1 in the physical line the word came from."""

    text: str
    column: int
    quoted: bool = False


@dataclass(slots=True)
class Directive:
    """One statement: `words[0]` is the keyword, `children` is None unless a block follows."""

    words: list[Word]
    raw: str  # the logical line, expanded, without comment and surrounding blanks; quoted keywords are split from it
    file: str
    line: int
    children: list[Directive] | None = None
    above: list[str] = field(default_factory=list)  # comment lines above, without marker and the blank behind it
    behind: str | None = None  # comment at the end of the line
    behind_open: str | None = None  # comment behind the `{`, where it is on a line of its own
    at_end: list[str] = field(default_factory=list)  # comment lines after the last child, before the `}`
    behind_close: str | None = None  # comment behind the `}`
    close_line: int = 0  # line of the `}`

    @property
    def keyword(self) -> str:
        return self.words[0].text


class LineKind(Enum):
    """What a physical line is, judged by its own text alone."""

    BLANK = "blank"
    COMMENT = "comment"
    STATEMENT = "statement"
    DEFINITION = "definition"  # $NAME=value
    CONTINUATION = "continuation"  # the following lines of a definition whose lines end in a backslash
    CONDITIONAL = "conditional"  # @id text
    SEQUENCE = "sequence"  # ~SEQ(...) text, ~LST(...) text
    INCLUDE = "include"
    REFUSED = "refused"  # the text of a file that is not taken apart, because it is no configuration


@dataclass(slots=True)
class SourceFile:
    """A file as it stands. `name` is the path it is reported under; `findings` is what was noticed while decoding.

    `lines` are the physical lines with their terminators, `kinds` what each of them is. (Two lists, and not one of
    objects: a file of a million lines must not keep the garbage collector busy.)
    """

    name: str
    lines: list[str]
    kinds: list[LineKind]
    encoding: str  # "utf-8" or "latin-1"
    bom: bool = False
    findings: list[Diagnostic] = field(default_factory=list)

    def render(self) -> bytes:
        """The file's bytes, exactly as they were parsed."""
        body = "".join(self.lines).encode(self.encoding)
        return codecs.BOM_UTF8 + body if self.bom else body

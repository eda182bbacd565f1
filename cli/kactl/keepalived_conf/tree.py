"""The two trees of a keepalived.conf.

`SourceFile` is lossless: the physical lines as they stand, each with its kind; joined again they are the file, byte for byte.
`Directive` is what is left after expansion (definitions, conditions, sequences, includes): keyword, words and block, each
with the place it came from and the comments that stand above and behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


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
    raw: str  # the logical line: expanded, without comment and surrounding blanks; quoted keywords are split from this again
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

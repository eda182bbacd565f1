"""Blocks: statements and braces, one after the other, become a tree of directives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kactl.keepalived_conf.lexer import BLANKS, Columns, columns_from, split_words
from kactl.keepalived_conf.tree import Directive, Word
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place

# Braces in double quotes are ordinary; a backslash protects a quote, not a brace.
_BRACE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\\[^{}]|"|([{}])', re.DOTALL)


def find_brace(text: str, start: int = 0) -> int:
    """Index of the first brace outside double quotes at or behind `start`, -1 without one."""
    position = start
    while True:
        match = _BRACE.search(text, position)
        if match is None or match[0] == '"':
            return -1
        if match[1] is not None:
            return match.start()
        position = match.end()


class NestingExceededError(Exception):
    """Blocks are nested deeper than the limit; the error has been reported."""


@dataclass(slots=True)
class _OpenBlock:
    directive: Directive
    file: str
    line: int
    column: int
    indent: int
    children: list[Directive]


class BlockBuilder:
    """Builds the tree. `report` takes the errors; `depth_limit` bounds nesting (`NestingExceededError`)."""

    def __init__(self, report: Callable[[Diagnostic], None], depth_limit: int) -> None:
        self.roots: list[Directive] = []
        self.pending: list[str] = []  # comment lines waiting for the next directive, or the end of their block
        self.unreliable = False  # braces were lost in an unterminated quote: what is missing or too many says nothing
        self._report = report
        self._depth_limit = depth_limit
        self._open: list[_OpenBlock] = []
        self._siblings = self.roots
        self._candidate: Directive | None = None  # the last statement, while a `{` may still follow it
        self._last: Directive | None = None  # what a comment behind the current line belongs to ...
        self._last_slot = "behind"  # ... and how
        self._indent = 0
        self._suspect: tuple[int, int] | None = (
            None  # by indentation: the block of this line is not closed before that line
        )
        self._closed: tuple[int, int] | None = None  # lines of the last root block

    @property
    def parent(self) -> Directive | None:
        """The innermost open block."""
        return self._open[-1].directive if self._open else None

    @property
    def root(self) -> Directive | None:
        """The outermost open block."""
        return self._open[0].directive if self._open else None

    def start_line(self, indent: int) -> None:
        """A physical or expanded line begins; `indent` is its first character's column."""
        self._last = None
        self._indent = indent

    def comment_line(self, text: str) -> None:
        """A comment on a line of its own, or of a line that expansion makes vanish."""
        self.pending.append(text)

    def comment_behind(self, text: str) -> None:
        """The comment at a line's end goes behind the last thing on the line; without one, above what follows."""
        if self._last is None or getattr(self._last, self._last_slot) is not None:
            self.pending.append(text)
        else:
            setattr(self._last, self._last_slot, text)

    def statement(self, text: str, columns: Columns, file: str, line: int) -> Directive:
        """Add a statement; `text` has no surrounding blanks and is not empty."""
        return self.add(split_words(text, columns), text, file, line)

    def add(self, words: list[Word], raw: str, file: str, line: int) -> Directive:
        """Add a statement whose words are split already."""
        directive = Directive(words, raw, file, line)
        if self.pending:
            directive.above = self.pending
            self.pending = []
        self._siblings.append(directive)
        self._candidate = directive
        self._last = directive
        self._last_slot = "behind"
        return directive

    def open_brace(self, file: str, line: int, column: int) -> None:
        """A `{`: the statement before it gets its block."""
        directive = self._candidate
        if directive is None:
            self._error("brace-without-keyword", "this { has no keyword before it", Place(file, line, column), "")
            # Its } must not count as one too many: the block is read, and belongs to nothing.
            directive = Directive([Word("", column)], "", file, line)
        self._candidate = None
        if len(self._open) >= self._depth_limit:
            self._error(
                "nesting", f"blocks are nested more than {self._depth_limit} deep", Place(file, line, column), ""
            )
            raise NestingExceededError
        children: list[Directive] = []
        directive.children = children
        if self._last is not directive:
            self._last = directive
            self._last_slot = "behind_open"
        if self._suspect is None and self._open:
            outer = self._open[-1]
            if self._indent <= outer.indent and directive.line != outer.directive.line:
                self._suspect = (outer.directive.line, directive.line)
        self._open.append(_OpenBlock(directive, file, line, column, self._indent, children))
        self._siblings = children

    def close_brace(self, file: str, line: int, column: int, first: bool) -> None:
        """A `}`; `first` says that it is the first thing on its line, so that its column is an indentation."""
        self._candidate = None
        if not self._open:
            if not self.unreliable:
                hint = "remove it"
                if self._closed is not None:
                    hint = (
                        f"the block that begins in line {self._closed[0]} was closed in line {self._closed[1]} already"
                    )
                self._error("extra-brace", "this } closes no block", Place(file, line, column), hint)
            self._last = None
            return
        block = self._open.pop()
        directive = block.directive
        if self._suspect is None and first and self._open and column < block.indent and line != block.line:
            # Indented like an outer block's end: the } of the block it closes is probably the one that is missing.
            self._suspect = (directive.line, line)
        if self.pending:
            directive.at_end = self.pending
            self.pending = []
        directive.close_line = line
        self._last = directive
        self._last_slot = "behind_close"
        if self._open:
            self._siblings = self._open[-1].children
        else:
            self._siblings = self.roots
            self._closed = (directive.line, line)

    def finish(self) -> list[str]:
        """The end of everything: report what is still open; give the comments that stand at the end."""
        if not self.unreliable:
            for block in self._open:
                name = block.directive.raw
                hint = f"add the }} that ends '{name}'"
                if self._suspect is not None:
                    hint += "; by the indentation, the block of line {} is not closed before line {}".format(
                        *self._suspect
                    )
                self._error(
                    "missing-brace", "this { is never closed", Place(block.file, block.line, block.column), hint
                )
        for block in self._open:
            block.directive.close_line = block.line
        return self.pending

    def _error(self, code: str, message: str, place: Place, hint: str) -> None:
        self._report(Diagnostic(code, message, place, hint=hint, effect=Effect.REFUSED))


def split_statement(text: str, columns: Columns, start: int, end: int) -> tuple[str, Columns]:
    """`text[start:end]` without surrounding blanks, and its columns."""
    piece = text[start:end]
    stripped = piece.lstrip(BLANKS)
    start += len(piece) - len(stripped)
    return stripped.rstrip(BLANKS), columns_from(columns, start)

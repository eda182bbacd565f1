"""The logical lines of a configuration, in the order they are read: files, included files, what expansion puts between.

Physical lines come without their comments. What needs no preprocessing, comment lines and plain statements, goes to
the blocks at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from kactl.keepalived_conf import includes
from kactl.keepalived_conf.blocks import BlockBuilder
from kactl.keepalived_conf.definitions import DefinitionTable, Line
from kactl.keepalived_conf.expansion import ExpandOptions, Findings, StoppedError
from kactl.keepalived_conf.lexer import (
    BLANKS,
    LINE_LIMIT,
    Columns,
    column_at,
    comment_text,
    parse_source,
    split_comment,
)
from kactl.keepalived_conf.tree import LineKind, SourceFile
from kactl_agent.config.diagnostics import Effect, Place, Severity

_NOT_PLAIN = re.compile(r'[$"\\{}#!]')


@dataclass(slots=True)
class _Frame:
    """A run of lines being read: a file, the repetitions of a sequence, the rest of a multi-line definition."""

    lines: Iterator[Line]
    path: str = ""  # normalised path of a file's frame
    outer_directory: str = ""
    outer_base: str = ""
    outer_checks: frozenset[str] = frozenset()


class LogicalLines:
    """A stack of runs of lines; the one on top is read first. `next_line` gives None at the end of everything."""

    def __init__(
        self, options: ExpandOptions, findings: Findings, blocks: BlockBuilder, definitions: DefinitionTable
    ) -> None:
        self._options = options
        self._limits = options.limits
        self._findings = findings
        self._blocks = blocks
        self._definitions = definitions
        self._frames: list[_Frame] = []
        self._files = 0
        self._base = ""  # directory of the file being read, as messages show it
        self._checks: frozenset[str] = frozenset()
        self._lines = 0
        self._statements = 0
        self._characters = 0

    def next_line(self) -> Line | None:
        """The next logical line that is more than a plain statement."""
        while self._frames:
            line = next(self._frames[-1].lines, None)
            if line is not None:
                self._count_line(line.text, line.file, line.line)
                return line
            self._close_frame()
        return None

    def push(self, lines: Iterator[Line]) -> None:
        """These lines come next, before the rest of what is being read."""
        self._frames.append(_Frame(lines))

    def add_characters(self, count: int, place: Place) -> None:
        """Count what is kept in memory; too much ends the expansion."""
        self._characters += count
        if self._characters > self._limits.characters:
            message = f"the configuration expands to more than {self._limits.characters} characters"
            self._findings.error("expansion-limit", message, place)
            raise StoppedError

    def open_file(self, source: SourceFile) -> bool:
        """Start to read a file; False when its text is refused."""
        refused = False
        for finding in source.findings:
            refused = refused or finding.severity is Severity.ERROR
            self._findings.report(finding)
        if refused:
            return False
        directory = os.path.dirname(source.name)  # noqa: PTH120 - the name is kept as it was given
        frame = _Frame(self._file_lines(source), self._normalise(source.name))
        frame.outer_directory, frame.outer_base, frame.outer_checks = (
            self._definitions.directory,
            self._base,
            self._checks,
        )
        self._frames.append(frame)
        self._files += 1
        self._base = directory
        self._definitions.directory = self._normalise(directory)
        return True

    def _close_frame(self) -> None:
        frame = self._frames.pop()
        if frame.path:
            self._files -= 1
            self._definitions.directory, self._base, self._checks = (
                frame.outer_directory,
                frame.outer_base,
                frame.outer_checks,
            )

    def _normalise(self, path: str) -> str:
        directory = self._options.working_directory
        return os.path.normpath(os.path.join(str(Path.cwd()) if directory is None else directory, path))  # noqa: PTH118

    def _count_line(self, text: str, file: str, line: int) -> None:
        self._lines += 1
        if self._lines > self._limits.lines:
            self.exceed_lines(Place(file, line))
        self._characters += len(text)
        if self._characters > self._limits.characters:
            self.add_characters(0, Place(file, line))

    def exceed_lines(self, place: Place) -> NoReturn:
        """End the expansion: it has more lines than the limit."""
        message = f"the configuration expands to more than {self._limits.lines} lines"
        self._findings.error("expansion-limit", message, place)
        raise StoppedError

    def _file_lines(self, source: SourceFile) -> Iterator[Line]:
        """The logical lines of a file; plain statements and comments go to the blocks at once."""
        blocks = self._blocks
        name = source.name
        head: Line | None = None  # a definition whose continuation lines are being collected
        for number, (text, kind) in enumerate(zip(source.lines, source.kinds, strict=True), 1):
            if head is not None and kind is not LineKind.CONTINUATION:
                yield head
                head = None
            if kind is LineKind.BLANK:
                continue
            stripped = text.strip(BLANKS)
            if kind is LineKind.COMMENT:
                blocks.comment_line(comment_text(stripped))
                continue
            column = len(text) - len(text.lstrip(BLANKS)) + 1
            if kind is LineKind.STATEMENT and len(text) < 256 and not _NOT_PLAIN.search(stripped):
                blocks.start_line(column)
                self.statement(stripped, column, name, number)
                continue
            line = self._decommented(stripped, column, name, number)
            if kind is LineKind.CONTINUATION:
                if head is not None and (line.text != "\\" or line.comment is not None):
                    head.continuation.append(line)
            elif kind is LineKind.DEFINITION or source.kinds[number : number + 1] == [LineKind.CONTINUATION]:
                head = line
            else:
                yield self._backslash_joined(line)
        if head is not None:
            yield head

    def _decommented(self, text: str, column: int, file: str, number: int) -> Line:
        """A physical line without its comment, and without what cannot be read of it."""
        too_long = len(text) > LINE_LIMIT // 4 and len(text.encode()) > LINE_LIMIT
        code, columns, comment, quote = split_comment(text[: self._limits.line_length] if too_long else text, column)
        if too_long:
            self._findings.warn(
                "line-too-long",
                f"the line is longer than {LINE_LIMIT} bytes, and keepalived skips it",
                Place(file, number, column),
                "split it with a definition ($NAME=...)",
                Effect.REPAIRED,
            )
            return Line("", column, file, number, comment)
        if quote:
            code = self.cut_open_quote(code, columns, quote, Place(file, number, quote))
        return Line(code, columns, file, number, comment)

    def _backslash_joined(self, line: Line) -> Line:
        """A line whose last character is a backslash: that continues definitions only, and is part of the last word."""
        code = line.text.rstrip(BLANKS)
        if not code.endswith("\\"):
            return line
        place = Place(line.file, line.line, column_at(line.columns, len(code) - 1))
        self._findings.warn(
            "trailing-backslash",
            "a backslash continues definitions only; keepalived takes this one for a part of the word before it",
            place,
            "put the whole statement on one line",
            Effect.REPAIRED,
        )
        kept = len(code[:-1].rstrip(BLANKS))
        columns = [column_at(line.columns, index) for index in range(kept)] + [place.column]
        return replace(line, text=code[:kept] + "\\", columns=columns)

    def cut_open_quote(self, code: str, columns: Columns, quote: int, place: Place) -> str:
        """Report a double quote left open in column `quote`; gives what stands before it."""
        self._findings.error(
            "unterminated-quote", "this double quote is never closed", place, "quotes end on the line they begin on"
        )
        index = quote - columns if isinstance(columns, int) else columns.index(quote)
        if "{" in code[index:] or "}" in code[index:]:
            self._blocks.unreliable = True
        return code[:index]

    def statement(self, text: str, columns: Columns, file: str, line: int) -> None:
        """Add a statement to the blocks; `include_check` in global_defs takes effect here."""
        self._statements += 1
        if self._statements > self._limits.lines:
            self.exceed_lines(Place(file, line))
        parent = self._blocks.parent
        directive = self._blocks.statement(text, columns, file, line)
        if text.startswith("include_check") and parent is not None and parent.keyword == "global_defs":
            words = [word.text for word in directive.words]
            if words[0] == "include_check":
                self._checks = includes.apply_include_check(self._checks, words[1:])

    def include(self, include: includes.IncludeLine, place: Place) -> None:
        """Look the files up; they are read next."""
        if self._files >= self._limits.include_depth:
            message = f"files are included more than {self._limits.include_depth} deep"
            self._findings.error("include-depth", message, place)
            return
        checks = self._checks | include.checks
        try:
            matches = includes.find_files(include.pattern, self._base, self._options.glob)
        except (includes.PatternError, OSError, ValueError) as error:
            self._findings.error("include-pattern", f"'{include.pattern}' cannot be looked up: {error}", place)
            return
        fatal = [message for check, message in matches.missing if check in checks]
        tolerated = [message for check, message in matches.missing if check != includes.WILDCARD_MATCH]
        if fatal:
            hint = f"'{include.keyword}' and include_check decide that this is an error"
            self._findings.error("include-missing", "; ".join(fatal), place, hint)
        elif tolerated:
            hint = "what they would contain is not converted"
            self._findings.warn("include-missing", "; ".join(tolerated), place, hint, Effect.CHANGED)
        else:
            names = ", ".join(matches.paths[:8]) + (", ..." if len(matches.paths) > 8 else "")
            self._findings.note("include-expanded", f"'{include.pattern}' includes {names or 'no file'}", place)
        self._frames.append(_Frame(self._included(matches.paths, includes.READ in checks, place)))

    def _included(self, paths: list[str], strict: bool, place: Place) -> Iterator[Line]:
        """Opens the files one after the other: each empty line says that a file's own frame has been put on top."""
        for path in paths:
            source = self._load(path, strict, place)
            if source is not None and self.open_file(source):
                yield Line("", 1, place.file, place.line)

    def _load(self, path: str, strict: bool, place: Place) -> SourceFile | None:
        normal = self._normalise(path)
        if any(frame.path == normal for frame in self._frames):
            hint = "keepalived reads it again and again until it can open no more files"
            self._findings.error("include-cycle", f"'{path}' includes itself", place, hint)
            return None
        try:
            data = includes.read_suitable(path, self._options.file_mode, self._options.read_file)
        except includes.UnsuitableFileError as error:
            if strict:
                self._findings.error("include-unreadable", str(error), place)
            else:
                self._findings.warn("include-skipped", f"{error}, and is skipped", place, "", Effect.CHANGED)
            return None
        self.add_characters(len(data), place)
        return parse_source(data, path)

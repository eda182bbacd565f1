"""From a source file to directives: conditions, definitions, sequences, includes, then blocks.

The order is keepalived's: a line's condition is looked at first, then it may be a definition or a sequence; what is left
has its definitions expanded and is looked at once more; then it may be an include; then its braces are taken apart, and
what stands behind a brace is a new line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity

from kactl.keepalived_conf import includes
from kactl.keepalived_conf.blocks import BlockBuilder, NestingExceededError, find_brace, split_statement
from kactl.keepalived_conf.definitions import (
    Definition,
    DefinitionTable,
    Line,
    RunawayExpansionError,
    match_definition,
    plain_definition,
    strip_references,
)
from kactl.keepalived_conf.lexer import (
    BLANKS,
    LINE_LIMIT,
    Columns,
    column_at,
    columns_from,
    comment_text,
    parse_source,
    split_comment,
)
from kactl.keepalived_conf.sequences import (
    SequenceError,
    SequenceHead,
    lists,
    match_sequence,
    numbers,
    parse_head,
    render_number,
)
from kactl.keepalived_conf.tree import Directive, LineKind, SourceFile

_CONDITION = re.compile(r"@(\^?)([^ \t\f\v\r\n]*+)[ \t\f\v\r\n]*+")
_NOT_PLAIN = re.compile(r'[$"\\{}#!]')


@dataclass(frozen=True)
class Limits:
    """What bounds an expansion; beyond any of them it ends with an error."""

    lines: int = 1_000_000
    characters: int = 64 * 1024 * 1024
    line_length: int = 64 * 1024  # characters of one line after expansion
    definition_depth: int = 64
    block_depth: int = 64
    include_depth: int = 32
    errors: int = 100


def _lowest(low: int, high: int) -> int:  # noqa: ARG001 - the signature of `random`
    return low


@dataclass(frozen=True)
class ExpandOptions:
    """What an expansion depends on beside the file.

    config_id: what `@id` is compared with (keepalived's --config-id). defines: definitions that win over the file's.
    random(low, high): an integer of [low, high] for `${_RANDOM}`. read_file, glob, file_mode: access to included files, with
    OSError for what fails.
    """

    config_id: str = ""
    defines: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    random: Callable[[int, int], int] = _lowest
    read_file: Callable[[str], bytes] = includes.read_file
    glob: includes.GlobFunction = includes.glob_files
    file_mode: Callable[[str], int] = includes.file_mode
    working_directory: str | None = None  # of relative file names, for `${_PWD}`; None: the process's own
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class Expansion:
    """The directives, the comments behind the last of them, and the findings in the order they were made."""

    directives: list[Directive]
    at_end: list[str]
    findings: list[Diagnostic]


def expand(source: SourceFile, options: ExpandOptions | None = None) -> Expansion:
    """Expand a file. Never raises; with an ERROR among the findings the directives are incomplete."""
    return _Expander(options or ExpandOptions()).run(source)


class _StoppedError(Exception):
    """The expansion cannot go on; the reason has been reported."""


@dataclass(slots=True)
class _Rest:
    """What is left of a line; `expanded`: its definitions have been expanded."""

    text: str
    columns: Columns
    expanded: bool
    heads: int = 0  # how often a definition at its start has made it another kind of line


@dataclass(slots=True)
class _Frame:
    """A run of lines being read: a file, the repetitions of a sequence, the rest of a multi-line definition."""

    lines: Iterator[Line]
    path: str = ""  # normalised path of a file's frame
    outer_directory: str = ""
    outer_base: str = ""
    outer_checks: frozenset[str] = frozenset()


class _Expander:
    def __init__(self, options: ExpandOptions) -> None:
        self._options = options
        self._limits = options.limits
        self._findings: list[Diagnostic] = []
        self._reported: set[tuple[str, str, int, int]] = set()
        self._errors = 0
        self._blocks = BlockBuilder(self._report, options.limits.block_depth)
        self._definitions = DefinitionTable(
            config_id=options.config_id,
            environment=options.environment,
            random=options.random,
            fixed=options.defines,
            depth_limit=options.limits.definition_depth,
            length_limit=options.limits.line_length,
        )
        self._frames: list[_Frame] = []
        self._files = 0
        self._base = ""  # directory of the file being read, as messages show it
        self._checks: frozenset[str] = frozenset()
        self._lines = 0
        self._characters = 0

    def run(self, source: SourceFile) -> Expansion:
        at_end: list[str] = []
        try:
            if self._open_file(source):
                while self._frames:
                    line = next(self._frames[-1].lines, None)
                    if line is None:
                        self._close_frame()
                    else:
                        self._count_line(line.text, line.file, line.line)
                        self._read(line)
            at_end = self._blocks.finish()
        except (_StoppedError, NestingExceededError):
            at_end = self._blocks.pending
        self._note_definitions()
        return Expansion(self._blocks.roots, at_end, self._findings)

    # Reporting

    def _report(self, diagnostic: Diagnostic) -> None:
        """Take a finding, one for each code and place: repeated lines say things once."""
        place = diagnostic.place
        key = (diagnostic.code, place.file, place.line, place.column)
        if key in self._reported:
            return
        self._reported.add(key)
        self._findings.append(diagnostic)
        if diagnostic.severity is Severity.ERROR:
            self._errors += 1
            if self._errors == self._limits.errors:
                self._findings.append(
                    Diagnostic(
                        "too-many-errors", f"after {self._errors} errors, reading stops", Place(place.file, place.line)
                    )
                )
                raise _StoppedError

    def _error(self, code: str, message: str, place: Place, hint: str = "") -> None:
        self._report(Diagnostic(code, message, place, hint=hint, effect=Effect.REFUSED))

    def _warn(self, code: str, message: str, place: Place, hint: str = "", effect: Effect = Effect.NONE) -> None:
        self._report(Diagnostic(code, message, place, Severity.WARNING, hint, effect))

    def _note(self, code: str, message: str, place: Place, effect: Effect = Effect.CONVERTED) -> None:
        self._report(Diagnostic(code, message, place, Severity.NOTE, effect=effect))

    def _note_definitions(self) -> None:
        used: dict[tuple[str, int, int], bool] = {}
        for definition in self._definitions.seen:
            key = (definition.file, definition.line, definition.column)
            used[key] = used.get(key, False) or definition.used
        for definition in self._definitions.seen:
            place = Place(definition.file, definition.line, definition.column, len(definition.name) + 1)
            if definition.overridden:
                self._note("definition-overridden", f"${definition.name} has another value by --define", place)
            elif used[definition.file, definition.line, definition.column]:
                self._note("definition-expanded", f"${definition.name} is expanded where it is used", place)
            else:
                self._note("definition-unused", f"${definition.name} is never used and is not carried over", place)

    # Files and frames

    def _open_file(self, source: SourceFile) -> bool:
        """Start to read a file; False when its text is refused."""
        refused = False
        for finding in source.findings:
            refused = refused or finding.severity is Severity.ERROR
            self._report(finding)
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
        self._characters += len(text)
        if self._lines > self._limits.lines or self._characters > self._limits.characters:
            what = (
                f"{self._limits.lines} lines"
                if self._lines > self._limits.lines
                else f"{self._limits.characters} characters"
            )
            self._error("expansion-limit", f"the configuration expands to more than {what}", Place(file, line))
            raise _StoppedError

    def _file_lines(self, source: SourceFile) -> Iterator[Line]:
        """The logical lines of a file; plain statements and comments go to the blocks at once."""
        blocks = self._blocks
        name = source.name
        head: Line | None = None  # a definition whose continuation lines are being collected
        for number, physical in enumerate(source.lines, 1):
            text = physical.text
            kind = physical.kind
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
                self._count_line(stripped, name, number)
                blocks.start_line(column)
                self._statement(stripped, column, name, number)
                continue
            line = self._decommented(stripped, column, name, number)
            if kind is LineKind.CONTINUATION:
                if head is not None:
                    head.continuation.append(line)
            elif kind is LineKind.DEFINITION or kind is LineKind.CONDITIONAL:
                head = line
            else:
                yield line
        if head is not None:
            yield head

    def _decommented(self, text: str, column: int, file: str, number: int) -> Line:
        """A physical line without its comment, and without what cannot be read of it."""
        code, columns, comment, quote = split_comment(text, column)
        if len(text) > LINE_LIMIT // 4 and len(text.encode()) > LINE_LIMIT:
            self._warn(
                "line-too-long",
                f"the line is longer than {LINE_LIMIT} bytes, and keepalived skips it",
                Place(file, number, column),
                "split it with a definition ($NAME=...)",
                Effect.REPAIRED,
            )
            return Line("", column, file, number, comment)
        if quote:
            code = self._cut_open_quote(code, columns, quote, Place(file, number, quote))
        return Line(code, columns, file, number, comment)

    def _cut_open_quote(self, code: str, columns: Columns, quote: int, place: Place) -> str:
        self._error(
            "unterminated-quote", "this double quote is never closed", place, "quotes end on the line they begin on"
        )
        index = quote - columns if isinstance(columns, int) else columns.index(quote)
        if "{" in code[index:] or "}" in code[index:]:
            self._blocks.unreliable = True
        return code[:index]

    # Lines

    def _read(self, line: Line) -> None:
        """Take a logical line: a condition, a definition, a sequence, an include, or statements and braces."""
        self._blocks.start_line(column_at(line.columns, 0))
        rest: _Rest | None = _Rest(line.text, line.columns, False)
        while rest is not None:
            rest = self._process(line, rest)
        if line.comment is not None:
            self._blocks.comment_behind(line.comment)
        for further in line.continuation:
            if further.comment is not None:
                self._blocks.comment_line(further.comment.removesuffix("\\").rstrip(BLANKS))

    def _process(self, line: Line, rest: _Rest) -> _Rest | None:
        """Do one step for what is left of a line; gives what is left behind it."""
        text, columns = split_statement(rest.text, rest.columns, 0, len(rest.text))
        if not text:
            return None
        place = Place(line.file, line.line, column_at(columns, 0))
        if text[0] == "@":
            kept = self._condition(text, place)
            if kept < 0:
                self._warn_dropped_definition(line, place)
                return None
            text, columns = text[kept:], columns_from(columns, kept)
            if not text:
                return None
        if text[0] == "$" and (definition := match_definition(text)) is not None:
            self._define(line, definition, columns)
            return None
        if text[0] == "~" and match_sequence(text):
            self._sequence(line, text, columns, place)
            return None
        if not rest.expanded and "$" in text:
            head = self._expand_head(line, text, columns, rest.heads, place) if text[0] == "$" else None
            if head is not None:
                return head
            expanded = self._expand_references(line, text, columns, place)
            if expanded is not None:
                return expanded
        include = includes.match_include(text)
        if include is not None:
            self._include(include, place)
            return None
        return self._split_blocks(line, text, columns, rest.expanded)

    def _split_blocks(self, line: Line, text: str, columns: Columns, expanded: bool) -> _Rest | None:
        """Statements and braces, up to a piece that is more than a statement: that and what follows is given back."""
        blocks = self._blocks
        start = 0
        while start < len(text):
            end = find_brace(text, start)
            stop = len(text) if end < 0 else end
            piece, piece_columns = split_statement(text, columns, start, stop)
            if piece:
                if start and (piece[0] in "@$~" or includes.match_include(piece)) and self._is_special(piece):
                    return _Rest(text[start:], columns_from(columns, start), expanded)
                self._statement(piece, piece_columns, line.file, line.line)
            if end < 0:
                break
            column = column_at(columns, end)
            if text[end] == "{":
                blocks.open_brace(line.file, line.line, column)
            else:
                blocks.close_brace(line.file, line.line, column, end == 0)
            start = end + 1
        return None

    @staticmethod
    def _is_special(piece: str) -> bool:
        return piece[0] in "@i" or match_definition(piece) is not None or match_sequence(piece)

    def _statement(self, text: str, columns: Columns, file: str, line: int) -> None:
        parent = self._blocks.parent
        directive = self._blocks.statement(text, columns, file, line)
        if text.startswith("include_check") and parent is not None and parent.keyword == "global_defs":
            words = [word.text for word in directive.words]
            if words[0] == "include_check":
                self._checks = includes.apply_include_check(self._checks, words[1:])

    # Conditions

    def _condition(self, text: str, place: Place) -> int:
        """Index of the text behind a condition that holds, -1 for a line that is dropped."""
        match = _CONDITION.match(text)
        if match is None:
            return 0
        holds = (match[2] == self._options.config_id) is not bool(match[1])
        condition = match[0].strip(BLANKS)
        what, does = ("kept", "does") if holds else ("dropped", "does not")
        self._note(
            "condition-expanded",
            f"the line is {what}: {condition} {does} hold for the id '{self._options.config_id}'",
            Place(place.file, place.line, place.column, len(condition)),
        )
        return match.end() if holds else -1

    def _warn_dropped_definition(self, line: Line, place: Place) -> None:
        if line.continuation:
            self._warn(
                "dropped-continuation",
                "the further lines of this definition are dropped with it; keepalived reads them as configuration",
                place,
                "put the condition on the definition's use, or on each of its lines",
                Effect.CHANGED,
            )

    # Definitions

    def _define(self, line: Line, match: re.Match[str], columns: Columns) -> None:
        text = match.string
        place = Place(line.file, line.line, column_at(columns, 0), match.end())
        lines = [Line(*split_statement(text, columns, match.end(), len(text)), line.file, line.line)]
        lines += [Line(each.text, each.columns, each.file, each.line) for each in line.continuation]
        for each in lines[:-1] if lines[-1].text and not lines[-1].text.endswith("\\") else lines:
            each.text = each.text.removesuffix("\\").rstrip(BLANKS)
        if not line.continuation and line.comment is not None and text.endswith("\\"):
            self._warn(
                "continuation-broken",
                "a comment behind the backslash ends the definition; keepalived up to 2.2 continued it",
                place,
                "remove the comment, or put it above the definition",
            )
        # Empty lines say nothing, but an empty first line keeps a definition a multi-line one.
        lines = lines[:1] + [each for each in lines[1:] if each.text]
        self._characters += sum(len(each.text) for each in lines)
        self._definitions.define(Definition(match[1], lines, line.file, line.line, place.column))

    def _expand_head(self, line: Line, text: str, columns: Columns, heads: int, place: Place) -> _Rest | None:
        """Expand what a line starts with, where that makes it a condition, a definition or a sequence."""
        try:
            result = self._definitions.expand_head(Line(text, columns, line.file, line.line, None, line.chain))
            if result is not None and heads >= self._limits.definition_depth:
                raise RunawayExpansionError(self._definitions.find_cycle(text))
        except RunawayExpansionError as error:
            self._report_runaway(error, place)
            return _Rest(strip_references(text), place.column, True)
        if result is None:
            return None
        if result.following:
            self._frames.append(_Frame(iter(result.following)))
        return _Rest(result.text, result.columns, False, heads + 1)

    def _expand_references(self, line: Line, text: str, columns: Columns, place: Place) -> _Rest | None:
        """Expand a line's definitions; None when nothing changes."""
        definitions = self._definitions
        try:
            result = definitions.expand(Line(text, columns, line.file, line.line, None, line.chain))
        except RunawayExpansionError as error:
            self._report_runaway(error, place)
            return _Rest(strip_references(text), place.column, True)
        if definitions.builtins_used:
            names = ", ".join(dict.fromkeys(definitions.builtins_used))
            self._note("definition-expanded", f"{names} is expanded to the value it has here", place)
        for reference, message in definitions.parameter_errors:
            self._warn("definition-parameters", f"{reference} is not expanded: {message}", place)
        if result.text is text:
            return None
        if result.following:
            self._frames.append(_Frame(iter(result.following)))
        # What a definition inserts may begin a comment; keepalived looks for comments again behind an expansion.
        code, mapped, comment, quote = split_comment(result.text, result.columns)
        if comment is not None:
            self._report_expanded_comment(code, Place(place.file, place.line, column_at(mapped, len(code))))
        if quote:
            code = self._cut_open_quote(code, mapped, quote, Place(place.file, place.line, quote))
        return _Rest(code, mapped, True)

    def _report_expanded_comment(self, code: str, place: Place) -> None:
        message = "an expanded definition begins a comment here, and keepalived ignores what follows"
        if code and code[-1] not in BLANKS:
            self._warn("comment-by-expansion", message, place, "put the text into double quotes", Effect.REPAIRED)
        else:  # a way to switch lines off and on
            self._note("comment-by-expansion", message, place)

    def _report_runaway(self, error: RunawayExpansionError, place: Place) -> None:
        cycle = error.cycle
        if cycle is None:
            limits = f"{self._limits.definition_depth} definitions deep or {self._limits.line_length} characters long"
            self._error("expansion-limit", f"this line expands to more than {limits}", place)
        else:
            self._error(
                "self-reference",
                f"${cycle.name} refers to itself, so that its expansion never ends",
                Place(cycle.file, cycle.line, cycle.column, len(cycle.name) + 1) if cycle.line else place,
                f"it is used in line {place.line}",
            )

    # Sequences

    def _sequence(self, line: Line, text: str, columns: Columns, place: Place) -> None:
        try:
            head = parse_head(text)
            names, rows, count = self._repetition(line, head, place)
        except SequenceError as error:
            self._warn("sequence-invalid", f"{error}, and keepalived drops the line", place, "", Effect.REPAIRED)
            return
        self._note("sequence-expanded", f"~{head.kind} is written out {count} times", place)
        body, body_columns = split_statement(text, columns, head.end, len(text))
        if body:
            comment, line.comment = line.comment, None
            repeated = Line(body, body_columns, line.file, line.line, comment, line.chain)
            self._frames.append(_Frame(self._repeat(repeated, names, rows)))

    def _repetition(self, line: Line, head: SequenceHead, place: Place) -> tuple[list[str], Iterator[list[str]], int]:
        """The variables of a sequence, the values they take together, and how many times."""
        if head.kind == "LST":
            return lists(head.parameters)
        parameters = head.parameters
        if "$" in parameters:
            try:
                result = self._definitions.expand(Line(parameters, 1, line.file, line.line, None, line.chain))
            except RunawayExpansionError as error:
                self._report_runaway(error, place)
                raise SequenceError("its parameters cannot be expanded") from error
            parameters = result.text
        name, values = numbers(head.kind, parameters)
        return [name], ([render_number(head.kind, value)] for value in values), len(values)

    def _repeat(self, line: Line, names: list[str], rows: Iterator[list[str]]) -> Iterator[Line]:
        """The line once for each row, with the variables set to it; the line's comment comes once."""
        bind = self._definitions.bind
        comment = line.comment
        hidden: list[Definition | None] | None = None
        for row in rows:
            before = [bind(name, plain_definition(name, value)) for name, value in zip(names, row, strict=True)]
            hidden = before if hidden is None else hidden
            yield Line(line.text, line.columns, line.file, line.line, comment, line.chain)
            comment = None
        for name, definition in zip(names, hidden or [], strict=False):
            bind(name, definition)

    # Includes

    def _include(self, include: includes.IncludeLine, place: Place) -> None:
        checks = self._checks | include.checks
        if self._files >= self._limits.include_depth:
            self._error("include-depth", f"files are included more than {self._limits.include_depth} deep", place)
            return
        try:
            matches = includes.find_files(include.pattern, self._base, self._options.glob)
        except (includes.PatternError, OSError, ValueError) as error:
            self._error("include-pattern", f"'{include.pattern}' cannot be looked up: {error}", place)
            return
        fatal = [message for check, message in matches.missing if check in checks]
        silent = [message for check, message in matches.missing if check == includes.WILDCARD_MATCH]
        tolerated = [message for check, message in matches.missing if check not in checks]
        if fatal:
            self._error("include-missing", "; ".join(fatal), place, f"'{include.keyword}' makes it an error here")
        elif tolerated and len(silent) < len(tolerated):
            self._warn(
                "include-missing", "; ".join(tolerated), place, "what it would contain is not converted", Effect.CHANGED
            )
        if matches.paths or (silent and not fatal):
            count = len(matches.paths)
            found = f"{count} file{'' if count == 1 else 's'}: {', '.join(matches.paths[:8])}" if count else "no file"
            self._note("include-expanded", f"'{include.pattern}' includes {found}", place)
        self._frames.append(_Frame(self._included(matches.paths, includes.READ in checks, place)))

    def _included(self, paths: list[str], strict: bool, place: Place) -> Iterator[Line]:
        """Opens the files one after the other: each empty line says that a file's own frame has been put on top."""
        for path in paths:
            source = self._load(path, strict, place)
            if source is not None and self._open_file(source):
                yield Line("", 1, place.file, place.line)

    def _load(self, path: str, strict: bool, place: Place) -> SourceFile | None:
        normal = self._normalise(path)
        if any(frame.path == normal for frame in self._frames):
            self._error(
                "include-cycle",
                f"'{path}' includes itself",
                place,
                "keepalived reads it again and again until files run out",
            )
            return None
        reason = ""
        data = b""
        try:
            reason = includes.unsuitable(self._options.file_mode(path))
            if not reason:
                data = self._options.read_file(path)
        except (OSError, ValueError) as error:
            reason = f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        if reason:
            message = f"'{path}' {reason}"
            if strict:
                self._error("include-unreadable", message, place)
            else:
                self._warn("include-skipped", f"{message}, and is skipped", place, "", Effect.CHANGED)
            return None
        self._characters += len(data)
        if self._characters > self._limits.characters:
            self._error("expansion-limit", f"the files are larger than {self._limits.characters} characters", place)
            raise _StoppedError
        return parse_source(data, path)

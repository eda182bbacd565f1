"""From a source file to directives: conditions, definitions, sequences, includes, then blocks.

The order is keepalived's: a line's condition is looked at first, then it may be a definition or a sequence; what is
left has its definitions expanded and is looked at once more; then it may be an include; then its braces are taken
apart, and what stands behind a brace is a new line.
"""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass

from kactl.keepalived_conf import includes
from kactl.keepalived_conf.blocks import BlockBuilder, NestingExceededError, find_brace, split_statement
from kactl.keepalived_conf.definitions import (
    Definition,
    DefinitionTable,
    Line,
    RunawayExpansionError,
    match_definition,
    strip_references,
)
from kactl.keepalived_conf.expansion import ExpandOptions, Expansion, Findings, Limits, StoppedError
from kactl.keepalived_conf.lexer import (
    BLANKS,
    Columns,
    column_at,
    columns_from,
    split_comment,
)
from kactl.keepalived_conf.logical_lines import LogicalLines
from kactl.keepalived_conf.sequences import (
    SequenceError,
    match_sequence,
    parse_head,
    repeat,
    rows_of,
)
from kactl.keepalived_conf.tree import SourceFile
from kactl_agent.config.diagnostics import Effect, Place
from kactl_agent.config.secrets import secret_keywords

__all__ = ["ExpandOptions", "Expansion", "Limits", "expand"]

_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_UNDEFINED = re.compile(r"(?<![^\s{}])\$([A-Za-z_][A-Za-z0-9_]*+)(?=[\s{}/]|\Z)")  # `$NAME` or `$NAME/24`
_CONDITION = re.compile(r"@(\^?)([^ \t\f\v\r\n]*+)[ \t\f\v\r\n]*+")


def expand(source: SourceFile, options: ExpandOptions | None = None) -> Expansion:
    """Expand a file. Never raises; with an ERROR among the findings the directives are incomplete."""
    collecting = gc.isenabled()
    gc.disable()  # a tree has no cycles, and to look for them among a million objects takes longer than to build it
    try:
        return _Expander(options or ExpandOptions()).run(source)
    finally:
        if collecting:
            gc.enable()


@dataclass(slots=True)
class _Rest:
    """What is left of a line; `expanded`: its definitions have been expanded."""

    text: str
    columns: Columns
    expanded: bool
    heads: int = 0  # how often a definition at its start has made it another kind of line


class _Expander:
    def __init__(self, options: ExpandOptions) -> None:
        self._options = options
        self._limits = options.limits
        self._findings = Findings(options.limits.errors)
        self._blocks = BlockBuilder(self._findings.report, options.limits.block_depth)
        self._definitions = DefinitionTable(
            config_id=options.config_id,
            environment=options.environment,
            random=options.random,
            fixed=options.defines,
            depth_limit=options.limits.definition_depth,
            length_limit=options.limits.line_length,
        )
        self._undefined: set[str] = set()
        self._lines = LogicalLines(options, self._findings, self._blocks, self._definitions)

    def run(self, source: SourceFile) -> Expansion:
        at_end: list[str] = []
        try:
            if self._lines.open_file(source):
                while (line := self._lines.next_line()) is not None:
                    self._read(line)
            at_end = self._blocks.finish()
        except (StoppedError, NestingExceededError):
            at_end = self._blocks.pending
        self._note_definitions()
        return Expansion(self._blocks.roots, at_end, self._findings.all)

    def _note_definitions(self) -> None:
        used: dict[tuple[str, int, int], bool] = {}
        for definition in self._definitions.seen:
            key = (definition.file, definition.line, definition.column)
            used[key] = used.get(key, False) or definition.used
        for definition in self._definitions.seen:
            place = Place(definition.file, definition.line, definition.column, len(definition.name) + 1)
            if definition.overridden:
                self._findings.note("definition-overridden", f"${definition.name} has another value by --define", place)
            elif used[definition.file, definition.line, definition.column]:
                self._findings.note("definition-expanded", f"${definition.name} is expanded where it is used", place)
            else:
                self._findings.note(
                    "definition-unused", f"${definition.name} is never used and is not carried over", place
                )

    # Lines

    def _read(self, line: Line) -> None:
        """Take a logical line: a condition, a definition, a sequence, an include, or statements and braces."""
        self._blocks.start_line(column_at(line.columns, 0))
        if "#" in line.text or "!" in line.text:
            self._read_twice(line)
        rest: _Rest | None = _Rest(line.text, line.columns, False)
        while rest is not None:
            rest = self._process(line, rest)
        if line.comment is not None:
            self._blocks.comment_behind(line.comment)
        for further in line.continuation:
            if further.comment is not None:
                self._blocks.comment_line(further.comment.removesuffix("\\").rstrip(BLANKS))

    def _read_twice(self, line: Line) -> None:
        r"""Take off the comment that what `\#` and `\!` leave begins when a line is read for the second time.

        keepalived's processes read a copy of the files from which comments, and with them these backslashes, have
        been taken already, and look for comments again (seen with 2.2.7). Only global_defs are what the first reading
        made of them, and that until the next reload.
        """
        code, columns, comment, _ = split_comment(line.text, line.columns)
        if comment is None:
            return
        place = Place(line.file, line.line, column_at(line.columns, len(code)))
        hint = "put the text into double quotes"
        root = self._blocks.root
        if root.keyword == "global_defs" if root is not None else line.text.startswith("global_defs"):
            message = "keepalived forgets this backslash at a reload, when a comment begins here; the character is kept"
            self._findings.warn("escaped-comment", message, place, hint, Effect.CHANGED)
        else:
            message = "keepalived forgets the backslash before this character, and a comment begins here"
            self._findings.warn("escaped-comment", message, place, hint, Effect.REPAIRED)
            line.text, line.columns = code, columns

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
            self._lines.include(include, place)
            return None
        if "$" in text:
            self._warn_undefined(line, text, columns)
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
                    self._lines.add_characters(len(text) - start, Place(line.file, line.line))
                    return _Rest(text[start:], columns_from(columns, start), expanded)
                self._lines.statement(piece, piece_columns, line.file, line.line)
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

    # Conditions

    def _condition(self, text: str, place: Place) -> int:
        """Index of the text behind a condition that holds, -1 for a line that is dropped."""
        match = _CONDITION.match(text)
        if match is None:
            return 0
        holds = (match[2] == self._options.config_id) is not bool(match[1])
        condition = match[0].strip(BLANKS)
        what, does = ("kept", "does") if holds else ("dropped", "does not")
        self._findings.note(
            "condition-expanded",
            f"the line is {what}: {condition} {does} hold for the id '{self._options.config_id}'",
            Place(place.file, place.line, place.column, len(condition)),
        )
        return match.end() if holds else -1

    def _warn_dropped_definition(self, line: Line, place: Place) -> None:
        if line.continuation:
            self._findings.warn(
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
            self._findings.warn(
                "continuation-broken",
                "a comment behind the backslash ends the definition; keepalived up to 2.2 continued it",
                place,
                "remove the comment, or put it above the definition",
            )
        # Empty lines say nothing. An empty first line is kept for the places of those that follow, if they are several,
        # and for a sequence, which has to begin a line.
        said = [each for each in lines if each.text]
        alone = len(said) == 1 and not said[0].text.startswith("~")
        lines = said if alone or (said and said[0] is lines[0]) else lines[:1] + said
        self._lines.add_characters(sum(len(each.text) for each in lines), place)
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
            self._lines.push(iter(result.following))
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
            self._findings.note("definition-expanded", f"{names} is expanded to the value it has here", place)
        for reference, message in definitions.parameter_errors:
            self._findings.warn("definition-parameters", f"{reference} is not expanded: {message}", place)
        if result.text is text:
            return None
        # What a definition inserts may begin a comment; keepalived looks for comments again behind an expansion.
        code, mapped, comment, quote = split_comment(result.text, result.columns)
        following = [each for each in result.following if comment is None or not each.behind]
        if following:
            self._lines.push(iter(following))
        if comment is not None:
            self._report_expanded_comment(code, Place(place.file, place.line, column_at(mapped, len(code))))
        if quote:
            code = self._lines.cut_open_quote(code, mapped, quote, Place(place.file, place.line, quote))
        return _Rest(code, mapped, True)

    def _report_expanded_comment(self, code: str, place: Place) -> None:
        message = "an expanded definition begins a comment here, and keepalived ignores what follows"
        if code and code[-1] not in BLANKS:
            self._findings.warn(
                "comment-by-expansion", message, place, "put the text into double quotes", Effect.REPAIRED
            )
        else:  # a way to switch lines off and on
            self._findings.note("comment-by-expansion", message, place)

    def _warn_undefined(self, line: Line, text: str, columns: Columns) -> None:
        """Report words that look like a definition that nobody made, each name once; a secret may look so too."""
        if text.split(None, 1)[0] in secret_keywords():
            return
        for match in _UNDEFINED.finditer(_QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)):
            name = match[1]
            if name in self._undefined or self._definitions.knows(name):
                continue
            self._undefined.add(name)
            place = Place(line.file, line.line, column_at(columns, match.start()), len(match[0]))
            message = f"${name} is not defined: keepalived takes it as it stands"
            self._findings.warn("definition-missing", message, place, f"give it a value with --define {name}=VALUE")

    def _report_runaway(self, error: RunawayExpansionError, place: Place) -> None:
        cycle = error.cycle
        if cycle is None:
            limits = f"{self._limits.definition_depth} definitions deep or {self._limits.line_length} characters long"
            self._findings.error("expansion-limit", f"this line expands to more than {limits}", place)
        else:
            self._findings.error(
                "self-reference",
                f"${cycle.name} refers to itself, so that its expansion never ends",
                Place(cycle.file, cycle.line, cycle.column, len(cycle.name) + 1) if cycle.line else place,
                f"it is used in line {place.line}",
            )

    # Sequences

    def _sequence(self, line: Line, text: str, columns: Columns, place: Place) -> None:
        try:
            head = parse_head(text)
            names, rows, count = rows_of(head, line, self._definitions)
        except RunawayExpansionError as error:
            self._report_runaway(error, place)
            return
        except SequenceError as error:
            self._findings.warn(
                "sequence-invalid", f"{error}, and keepalived drops the line", place, "", Effect.REPAIRED
            )
            return
        self._findings.note("sequence-expanded", f"~{head.kind} is written out {count} times", place)
        body, body_columns = split_statement(text, columns, head.end, len(text))
        if body and count > self._limits.lines:
            self._lines.exceed_lines(place)
        if body:
            comment, line.comment = line.comment, None
            repeated = Line(body, body_columns, line.file, line.line, comment, line.chain)
            self._lines.push(repeat(repeated, names, rows, self._definitions))

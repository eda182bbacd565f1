"""`~SEQ`, `~SEQx` and `~LST`: their parameters, and the values they give their variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kactl.keepalived_conf.definitions import Definition, DefinitionTable, Line, plain_definition
from kactl.keepalived_conf.lexer import BLANKS

_HEAD = re.compile(r"~(SEQx?|LST)[ \t]*\(")
_NUMBER = re.compile(r"[ \t]*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)\Z")


class SequenceError(Exception):
    """The specification is not valid; keepalived drops such a line."""


@dataclass(frozen=True, slots=True)
class SequenceHead:
    """`~SEQ(parameters) text`: `end` is the index at which the repeated text begins."""

    kind: str  # SEQ, SEQx or LST
    parameters: str
    end: int


def match_sequence(text: str) -> bool:
    """Whether a line without leading blanks starts a sequence."""
    return _HEAD.match(text) is not None


def parse_head(text: str) -> SequenceHead:
    """Split a line that `match_sequence` into parameters and repeated text; raises `SequenceError` without a `)`."""
    match = _HEAD.match(text)
    if match is None:
        raise SequenceError("this is no sequence")
    end = text.find(")", match.end())
    if end < 0:
        raise SequenceError(f"the ) that ends the parameters of ~{match[1]} is missing")
    return SequenceHead(match[1], text[match.end() : end], end + 1)


def parse_number(text: str) -> int:
    """A number as C writes it: 0x for hexadecimal, 0 for octal."""
    match = _NUMBER.match(text.rstrip(BLANKS))
    if match is None or len(match[2]) > 20:
        raise SequenceError(f"'{text.strip(BLANKS)}' is not a number")
    digits = match[2]
    if digits[:2] in ("0x", "0X"):
        value = int(digits, 16)
    elif digits[0] == "0" and len(digits) > 1:
        try:
            value = int(digits, 8)
        except ValueError as error:
            raise SequenceError(f"'{text.strip(BLANKS)}' is not an octal number") from error
    else:
        value = int(digits)
    return -value if match[1] == "-" else value


def numbers(kind: str, parameters: str) -> tuple[str, range]:
    """The variable of a `~SEQ` or `~SEQx` and the numbers it takes (`(var, [start, [step,]] end)`)."""
    name, *rest = parameters.split(",")
    if not 1 <= len(rest) <= 3:
        raise SequenceError(f"~{kind} takes a variable and one to three numbers")
    values = [parse_number(text) for text in rest]
    end = values[-1]
    start = values[0] if len(values) > 1 else (1 if end > 0 else -1)
    step = values[1] if len(values) > 2 else (1 if end >= start else -1)
    if step == 0 or (end > start and step < 0) or (end < start and step > 0):
        raise SequenceError(f"steps of {step} do not lead from {start} to {end}")
    if kind == "SEQx" and (start < 0 or end < 0):
        raise SequenceError("~SEQx is for positive numbers only")
    return name.strip(BLANKS), range(start, end + (1 if step > 0 else -1), step)


def render_number(kind: str, value: int) -> str:
    """A number as the variable's value: ~SEQx writes hexadecimal digits without prefix."""
    return format(value, "x") if kind == "SEQx" else str(value)


def lists(parameters: str) -> tuple[list[str], Iterator[list[str]], int]:
    """The variables of a `~LST`, the values they take together (missing ones are empty), and how many times."""
    groups = list(_split_groups(parameters))
    names = groups[0]
    rows = groups[1:]
    if not rows:
        raise SequenceError("~LST takes a variable and at least one value")
    for row in rows:
        if len(row) > len(names):
            raise SequenceError(f"{len(row)} values are given for {len(names)} variables of ~LST")
        if any(re.search(r"[ \t\f\v\r\n]", value) for value in row):
            raise SequenceError("a value of ~LST contains a blank")
    return names, (row + [""] * (len(names) - len(row)) for row in rows), len(rows)


def _split_groups(parameters: str) -> Iterator[list[str]]:
    """`{a,b}, {1,2}, 3` as lists of texts without surrounding blanks."""
    position = 0
    size = len(parameters)
    while True:
        while position < size and parameters[position] in BLANKS:
            position += 1
        if position < size and parameters[position] == "{":
            end = parameters.find("}", position)
            if end < 0:
                raise SequenceError("the } that ends a group of ~LST is missing")
            yield [text.strip(BLANKS) for text in parameters[position + 1 : end].split(",")]
            comma = parameters.find(",", end)
            between = parameters[end + 1 : comma if comma >= 0 else size]
            if between.strip(BLANKS):
                raise SequenceError(f"'{between.strip(BLANKS)}' stands behind a group of ~LST")
        else:
            comma = parameters.find(",", position)
            yield [parameters[position : comma if comma >= 0 else size].strip(BLANKS)]
        if comma < 0:
            return
        position = comma + 1


def rows_of(head: SequenceHead, line: Line, definitions: DefinitionTable) -> tuple[list[str], Iterator[list[str]], int]:
    """The variables of a line's sequence, the values they take together, and how many times.

    Definitions in the parameters of `~SEQ` are expanded first (`RunawayExpansionError`); values of `~LST` where they
    are used.
    """
    if head.kind == "LST":
        return lists(head.parameters)
    parameters = head.parameters
    if "$" in parameters:
        parameters = definitions.expand(Line(parameters, 1, line.file, line.line, None, line.chain)).text
    name, values = numbers(head.kind, parameters)
    return [name], ([render_number(head.kind, value)] for value in values), len(values)


def repeat(line: Line, names: list[str], rows: Iterator[list[str]], definitions: DefinitionTable) -> Iterator[Line]:
    """The line once for each row, with the variables set to it; the line's comment comes once.

    Afterwards the variables are what they were; keepalived 2.2.7 leaves the last value, which its manual says not to
    rely on.
    """
    comment = line.comment
    hidden: list[Definition | None] | None = None
    for row in rows:
        before = [definitions.bind(name, plain_definition(name, value)) for name, value in zip(names, row, strict=True)]
        hidden = before if hidden is None else hidden
        yield Line(line.text, line.columns, line.file, line.line, comment, line.chain)
        comment = None
    for name, definition in zip(names, hidden or [], strict=False):
        definitions.bind(name, definition)

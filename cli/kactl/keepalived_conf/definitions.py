"""Definitions: `$NAME=value` lines and the built-in ones, and their expansion in a line.

A value is stored as it stands and expanded where it is used, again and again until nothing changes. `$NAME` is only a
reference before a blank, a comma, a closing parenthesis or the end of the line; `${NAME}` always is. Undefined names
stay as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kactl.keepalived_conf.lexer import BLANKS, Columns, columns_from

RANDOM_MAX = 32767

_DEFINITION = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*+)=")
_REFERENCE = re.compile(
    r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*+)([ \t][^{}]*+)?\}|([A-Za-z_][A-Za-z0-9_]*+)(?=[ \t\f\v\r\n,)]|\Z))"
)


@dataclass(slots=True, eq=False)
class Line:
    """A piece of text to be read as a line, the place it came from, and the definitions it came out of."""

    text: str
    columns: Columns
    file: str
    line: int
    comment: str | None = None
    chain: tuple[Definition, ...] = ()
    continuation: list[Line] = field(default_factory=list)  # the further physical lines of a definition
    behind: bool = False  # a sequence that a definition puts behind other text: a comment there takes it with it


@dataclass(slots=True, eq=False)
class Definition:
    """A definition: more than one line makes it a multi-line one, which is only expanded at the end of a line."""

    name: str
    lines: list[Line]
    file: str
    line: int  # 0: not from a file (built in, a sequence's variable, --define)
    column: int = 1
    used: bool = False
    overridden: bool = False


@dataclass(slots=True)
class ExpandedText:
    """A line's text after expansion; `following` are the further lines of the multi-line definition it ended with."""

    text: str
    columns: Columns
    following: list[Line] = field(default_factory=list)


class RunawayExpansionError(Exception):
    """A line's expansion does not end, or grows beyond the limit."""

    def __init__(self, cycle: Definition | None) -> None:
        super().__init__("runaway expansion")
        self.cycle = cycle  # the definition that refers to itself; None: it is just too large or too deep


class ParameterError(Exception):
    """The parameters of a built-in definition are wrong; the reference stays as text."""


def match_definition(text: str) -> re.Match[str] | None:
    """`$NAME=` at the start of a line without leading blanks."""
    return _DEFINITION.match(text)


def plain_definition(name: str, value: str) -> Definition:
    """A definition that no file contains; line feeds in its value make it a multi-line one."""
    return Definition(name, [Line(text, 1, "", 0) for text in value.split("\n")], "", 0)


def parse_random(parameters: list[str]) -> tuple[int, int]:
    """The range of `${_RANDOM [min [max]]}`; as in keepalived 2.4.3, a minimum above the maximum is the maximum too."""
    if not all(text.isascii() and text.isdigit() for text in parameters):
        raise ParameterError("_RANDOM takes non-negative numbers")
    if len(parameters) > 2:
        raise ParameterError(f"_RANDOM takes a minimum and a maximum; {len(parameters)} parameters are given")
    if any(len(text) > 9 for text in parameters):
        raise ParameterError("_RANDOM takes numbers up to nine digits")
    low = int(parameters[0]) if parameters else 0
    high = int(parameters[1]) if len(parameters) > 1 else RANDOM_MAX
    return low, max(low, high)


class DefinitionTable:
    """The definitions in force. One table serves all files, in the order they are read."""

    def __init__(
        self,
        *,
        config_id: str,
        environment: Mapping[str, str],
        random: Callable[[int, int], int],
        fixed: Mapping[str, str],
        depth_limit: int,
        length_limit: int,
    ) -> None:
        self.directory = "/"
        self.seen: list[Definition] = []  # every definition of the files, in order
        self.builtins_used: list[str] = []  # by the last call of `expand`, as written
        self.parameter_errors: list[tuple[str, str]] = []  # by the last call of `expand`: reference, what is wrong
        self._config_id = config_id
        self._environment = environment
        self._random = random
        self._depth_limit = depth_limit
        self._length_limit = length_limit
        self._fixed = {name: plain_definition(name, value) for name, value in fixed.items()}
        self._table: dict[str, Definition] = dict(self._fixed)

    def define(self, definition: Definition) -> None:
        """Take a definition of a file; one that was given from outside wins over it."""
        self.seen.append(definition)
        if definition.name in self._fixed:
            definition.overridden = True
        else:
            self._table[definition.name] = definition

    def knows(self, name: str) -> bool:
        """Whether a name is defined, by a file or otherwise."""
        return name in self._table

    def bind(self, name: str, definition: Definition | None) -> Definition | None:
        """Set (None: remove) a temporary definition and give the one that it hides, to be bound again afterwards."""
        hidden = self._table.get(name)
        if definition is None:
            self._table.pop(name, None)
        else:
            self._table[name] = definition
        return hidden

    def expand(self, line: Line) -> ExpandedText:
        """Expand a line's references until nothing changes; raises `RunawayExpansionError`."""
        self.builtins_used = []
        self.parameter_errors = []
        text, columns = line.text, line.columns
        following: list[Line] = []
        chain = line.chain
        for _ in range(self._depth_limit):
            step = self._expand_once(text, columns, chain)
            if step is None:
                return ExpandedText(text, columns, following)
            text, columns, further, multi = step
            if multi is not None:
                chain = (*chain, multi)
                following = further + following
            if text.lstrip(BLANKS).startswith(("#", "!")):
                return ExpandedText(text, columns, following)  # all of it is a comment now
            if len(text) > self._length_limit:
                break
        if self._expand_once(text[: self._length_limit], 1, chain) is None and len(text) <= self._length_limit:
            return ExpandedText(text, columns, following)
        raise RunawayExpansionError(self.find_cycle(line.text) or self.find_cycle(text[: self._length_limit]))

    def expand_head(self, line: Line) -> ExpandedText | None:
        """Expand what a line starts with until it is a condition, a definition or a sequence; None if it never is.

        What follows such a head is expanded in its turn: the text that a sequence repeats only once its variable is
        set.
        """
        text, columns = line.text, line.columns
        following: list[Line] = []
        for _ in range(self._depth_limit):
            match = _REFERENCE.match(text)
            step = None if match is None else self._expand_once(text, columns, line.chain, first_only=True)
            if match is None or step is None:
                return None
            text, columns, further, _multi = step
            following = further + following
            blanks = len(text) - len(text.lstrip(BLANKS))
            text, columns = text[blanks:], columns_from(columns, blanks)
            if text.startswith(("@", "~")) or _DEFINITION.match(text):
                return ExpandedText(text, columns, following)
        return None

    def _expand_once(
        self, text: str, columns: Columns, chain: tuple[Definition, ...], *, first_only: bool = False
    ) -> tuple[str, Columns, list[Line], Definition | None] | None:
        """One pass over a line; None when it changes nothing. `first_only`: take the reference it starts with alone."""
        pieces: list[str] = []
        mapped: list[int] | None = None
        further: list[Line] = []
        multi: Definition | None = None
        start = 0
        size = 0
        for match in _REFERENCE.finditer(text):
            if first_only and (match.start() or (match[1] or match[3]) not in self._table):
                return None  # what is built in gives no line of another kind
            value = self._value(match)
            if value is None:
                continue
            if isinstance(value, Definition):
                lines = value.lines
                behind = len(lines) > 1 and not lines[0].text and bool(text[: match.start()].strip(BLANKS))
                if behind and not lines[1].text.startswith("~"):
                    lines = lines[1:]  # keepalived knows no empty first line: behind other text stands what follows it
                if len(value.lines) > 1:
                    if text[match.end() :].strip(BLANKS):
                        continue  # keepalived leaves a multi-line definition as text unless it is the last thing
                    if value in chain or len(chain) >= self._depth_limit:
                        raise RunawayExpansionError(value if value in chain else None)
                    multi = value
                    nested = (*chain, value)
                    further = [Line(each.text, each.columns, each.file, each.line, None, nested) for each in lines[1:]]
                    further[0].behind = behind and lines is value.lines
                value.used = True
                replacement = lines[0].text
            else:
                replacement = value
            if mapped is None:
                mapped = []
            mapped.extend(_column_list(columns, start, match.start()))
            mapped.extend([_column_list(columns, match.start(), match.start() + 1)[0]] * len(replacement))
            pieces += (text[start : match.start()], replacement)
            size += match.start() - start + len(replacement)
            start = match.end()
            if (
                first_only
                or size > self._length_limit
                or (replacement in ("#", "!") and not "".join(pieces[:-1]).strip())
            ):
                break
        if mapped is None:
            return None
        mapped.extend(_column_list(columns, start, len(text)))
        pieces.append(text[start:])
        return "".join(pieces), mapped, further, multi

    def _value(self, match: re.Match[str]) -> Definition | str | None:
        name = match[1] or match[3]
        parameters = (match[2] or "").split()
        definition = self._table.get(name)
        if definition is not None:
            return definition if not parameters else None
        if not name.startswith("_"):
            return None
        value = self._builtin(name, parameters, match[0])
        if value is not None:
            self.builtins_used.append(match[0])
        return value

    def _builtin(self, name: str, parameters: list[str], reference: str) -> str | None:
        match name, parameters:
            case "_PWD", []:
                return self.directory
            case "_INSTANCE", []:
                return self._config_id
            case "_HASH", []:
                return "#"
            case "_BANG", []:
                return "!"
            case "_ENV", [variable]:
                value = self._environment.get(variable)
                if value is None:
                    self.parameter_errors.append((reference, f"the environment has no variable {variable}"))
                return value
            case "_ENV", _:
                self.parameter_errors.append((reference, "_ENV takes the name of one environment variable"))
            case "_RANDOM", _:
                try:
                    low, high = parse_random(parameters)
                except ParameterError as error:
                    self.parameter_errors.append((reference, str(error)))
                else:
                    return str(self._random(low, high))
        return None

    def find_cycle(self, text: str) -> Definition | None:
        """A definition reachable from a text that refers to itself, directly or through others."""
        state: dict[Definition, bool] = {}  # False: being walked, True: done
        for root in self._references(text):
            stack: list[tuple[Definition, list[Definition]]] = []
            if root in state:
                continue
            state[root] = False
            stack.append((root, self._references_of(root)))
            while stack:
                definition, open_references = stack[-1]
                if not open_references:
                    state[definition] = True
                    stack.pop()
                    continue
                following = open_references.pop()
                if following not in state:
                    state[following] = False
                    stack.append((following, self._references_of(following)))
                elif not state[following]:
                    return following
        return None

    def _references_of(self, definition: Definition) -> list[Definition]:
        return [found for line in definition.lines for found in self._references(line.text)]

    def _references(self, text: str) -> list[Definition]:
        names = {match[1] or match[3]: None for match in _REFERENCE.finditer(text)}
        return [self._table[name] for name in names if name in self._table]


def strip_references(text: str) -> str:
    """A text with its references replaced by their names: what is left of a line whose expansion was refused."""
    return _REFERENCE.sub(lambda match: match[1] or match[3], text)


def _column_list(columns: Columns, start: int, end: int) -> list[int]:
    if isinstance(columns, int):
        return list(range(columns + start, columns + end))
    return columns[start:end]

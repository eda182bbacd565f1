"""A keepalived.conf from its bytes to a Document that has been checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from msgspec import structs

from kactl.keepalived_conf.account import Outcome
from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.ordering import early_references
from kactl.keepalived_conf.origins import PartKey
from kactl.keepalived_conf.preprocess import ExpandOptions, expand
from kactl.keepalived_conf.reader import Reading, read_directives
from kactl.keepalived_conf.templates import without_template_errors
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config import check
from kactl_agent.config.checks.problem import Problem
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config

_ROUNDS = 8  # leaving a part out can leave another without what it needs; each round goes one step further
_STILL_TRUE = frozenset({"unknown-keyword", "legacy-keyword"})
"""Findings about a statement that hold when it is carried as part of its block, too."""


@dataclass
class Loaded:
    """A document and what became of every statement of its files."""

    document: Document
    outcomes: Counter[Outcome]


def load(data: bytes, name: str, options: ExpandOptions | None = None) -> Loaded:
    """Read a keepalived.conf; never raises. With an ERROR among the document's diagnostics it is not to be used.

    Diagnostics stand in the order of the file: lexical ones, what keepalived repairs or ignores, and the checks that
    look at several keywords at once. Every file that was read is among the document's sources.
    """
    options = options or ExpandOptions()
    sources = {name: decode(data)}
    expansion = expand(parse_source(data, name), _recording(options, sources))
    expansion.findings = without_template_errors(expansion.findings, sources)
    directives = expansion.directives
    if not any(d.severity is Severity.ERROR for d in expansion.findings) and not _known(directives):
        expansion.findings.append(_nothing_known(name, expansion.findings))
    if any(d.severity is Severity.ERROR for d in expansion.findings):
        empty = Document(Config(), Origin(), _in_order(expansion.findings, sources), sources)
        return Loaded(empty, Counter())
    reading, problems = _read(directives, expansion.at_end, sources)
    found = _one_for_a_place([*expansion.findings, *reading.document.diagnostics, *problems])
    reading.document.diagnostics = _in_order(found, sources)
    return Loaded(reading.document, reading.account.counts(directives))


def _read(directives: list[Directive], at_end: list[str], sources: dict[str, str]) -> tuple[Reading, list[Diagnostic]]:
    """Read, check, and read again with the parts carried that keepalived leaves out, or the agent would refuse.

    So whatever is converted can be loaded; what cannot be used as it stands is text, with a finding, until mended.
    """
    reading = read_directives(directives, at_end, sources)
    if reading.document.errors:
        return reading, []
    ignored: frozenset[PartKey] = frozenset()
    unknown = [d for d in reading.document.diagnostics if d.code in _STILL_TRUE]
    dropped, said = _early(reading, directives)
    rounds = _ROUNDS
    while True:
        if ignored or dropped:
            reading = read_directives(directives, at_end, sources, ignored, dropped)
        problems = check.problems(reading.document)
        rounds -= 1
        left_out = {}
        for problem in problems:
            if problem.ignored or problem.diagnostic.severity is Severity.ERROR:
                part = reading.parts.get(id(reading.document.origin.find(problem.path)))
                if part is not None:
                    left_out[part.key] = problem
        if not left_out or not rounds:
            break
        ignored |= left_out.keys()
        said += list(left_out.items())
    findings = [_left_out(problem, dropped=key in reading.dropped) for key, problem in said]
    # A misspelt keyword may be the very reason that its block cannot be used: carried, it is still worth saying.
    said_again = set(reading.document.diagnostics)
    findings += [d for d in unknown if d not in said_again]
    return reading, findings + [problem.diagnostic for problem in problems]


def _early(reading: Reading, directives: list[Directive]) -> tuple[frozenset[PartKey], list[tuple[PartKey, Problem]]]:
    """The parts that name what is defined further down, which keepalived does not find."""
    origin = reading.document.origin
    made_from = {key: part.directive for key, part in reading.parts.items()}
    dropped: set[PartKey] = set()
    said: list[tuple[PartKey, Problem]] = []
    for reference in early_references(reading.document, made_from, directives):
        part = reading.parts[id(origin.find(reference.path))]
        if not reference.option:
            dropped.add(part.key)
        text = f"`{reference.name}` is defined further down, where keepalived does not find it for this line"
        hint = f"move the {reference.kind} above the block that names it"
        place = origin.find(reference.path).place
        diagnostic = Diagnostic("defined-later", text, place, Severity.WARNING, hint, Effect.CHANGED)
        said.append((part.key, Problem(reference.path, diagnostic, ignored=True)))
    return frozenset(dropped), said


def _one_for_a_place(found: list[Diagnostic]) -> list[Diagnostic]:
    """The findings without those of names that are not defined where something else is found: its hint says that."""
    missing = {d.place: d for d in found if d.code == "definition-missing"}
    if not missing:
        return found
    said = {d.place for d in found if d.code != "definition-missing"}
    return [
        structs.replace(d, hint=missing[d.place].hint) if d.place in missing and d.code != "definition-missing" else d
        for d in found
        if d.code != "definition-missing" or d.place not in said
    ]


def _left_out(problem: Problem, *, dropped: bool) -> Diagnostic:
    """The finding about a part that is left out of the model for this problem."""
    said = problem.diagnostic
    if dropped:
        why, effect = "it has no effect, and is left out", Effect.REPAIRED
    elif said.effect is Effect.CHANGED:
        why, effect = "now it is found", Effect.CHANGED
    elif problem.ignored:
        why, effect = "keepalived leaves it out", Effect.CARRIED
    else:
        why, effect = "it cannot be used like this, and is kept as text", Effect.CARRIED
    return Diagnostic(said.code, f"{said.message}: {why}", said.place, Severity.WARNING, said.hint, effect)


def _nothing_known(name: str, findings: list[Diagnostic]) -> Diagnostic:
    """Why there is nothing to convert: the files that hold it are not here, or it is another kind of file."""
    text, hint = "nothing in it is a keyword of keepalived.conf", "is it the right file?"
    if any(d.code == "include-missing" for d in findings):
        text = "there is nothing to convert without the files that it includes"
        hint = "convert it on the machine that has them, or beside a copy of them"
    return Diagnostic("no-known-keyword", text, Place(name), hint=hint, effect=Effect.REFUSED)


def _known(directives: list[Directive]) -> bool:
    """Whether any statement at the root is a keyword of keepalived, today's or one of old."""
    table = table_of(Config)
    for directive in directives:
        found = table.by_word.get(directive.keyword)
        if directive.keyword in table.legacy or (found is not None and not found.keyword.extension):
            return True
    return False


def _recording(options: ExpandOptions, sources: dict[str, str]) -> ExpandOptions:
    """The same options, with the text of every included file put into `sources`."""

    def read_file(path: str) -> bytes:
        data = options.read_file(path)
        sources[path] = decode(data)
        return data

    return replace(options, read_file=read_file)


def decode(data: bytes) -> str:
    """Text as the parser sees it, for excerpts: without byte order mark, latin-1 where it is not UTF-8."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _in_order(found: list[Diagnostic], sources: dict[str, str]) -> list[Diagnostic]:
    """Diagnostics in the order of the files and their lines, each once."""
    files = {file: index for index, file in enumerate(sources)}
    once = dict.fromkeys(found)
    return sorted(once, key=lambda d: (files.get(d.place.file, len(files)), d.place.line, d.place.column))

"""A keepalived.conf from its bytes to a Document that has been checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from kactl_agent.config import check
from kactl_agent.config.checks.problem import Problem
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config

from kactl.keepalived_conf.account import Outcome
from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import ExpandOptions, expand
from kactl.keepalived_conf.reader import Reading, read_directives
from kactl.keepalived_conf.tree import Directive

_ROUNDS = 8  # leaving a part out can leave another without what it needs; each round goes one step further


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
    directives = expansion.directives
    if not any(d.severity is Severity.ERROR for d in expansion.findings) and not _known(directives):
        expansion.findings.append(
            Diagnostic(
                "no-known-keyword",
                "nothing in it is a keyword of keepalived.conf",
                Place(name),
                hint="is it the right file?",
                effect=Effect.REFUSED,
            )
        )
    if any(d.severity is Severity.ERROR for d in expansion.findings):
        empty = Document(Config(), Origin(), _in_order(expansion.findings, sources), sources)
        return Loaded(empty, Counter())
    reading, problems = _read(directives, expansion.at_end, sources)
    found = [*expansion.findings, *reading.document.diagnostics, *problems]
    reading.document.diagnostics = _in_order(found, sources)
    return Loaded(reading.document, reading.account.counts(directives))


def _read(directives: list[Directive], at_end: list[str], sources: dict[str, str]) -> tuple[Reading, list[Diagnostic]]:
    """Read, check, and read again with the parts carried that keepalived leaves out, or the agent would refuse.

    So whatever is converted can be loaded; what cannot be used as it stands is text, with a finding, until mended.
    """
    ignored: frozenset[tuple[int, int | None]] = frozenset()
    kept: list[Diagnostic] = []
    rounds = _ROUNDS
    while True:
        reading = read_directives(directives, at_end, sources, ignored)
        if reading.document.errors:
            return reading, kept  # what it lacks may be what could not be read
        problems = check.problems(reading.document)
        left_out: set[tuple[int, int | None]] = set()
        for problem in problems:
            if not problem.ignored and problem.diagnostic.severity is not Severity.ERROR:
                continue
            part = reading.parts.get(id(reading.document.origin.find(problem.path)))
            if part is not None:
                left_out.add((id(part.directive), part.word))
                kept.append(_left_out(problem))
        rounds -= 1
        if not left_out or not rounds:
            return reading, kept + [p.diagnostic for p in problems]
        ignored |= left_out


def _left_out(problem: Problem) -> Diagnostic:
    """The finding about a part that is carried for this problem."""
    said = problem.diagnostic
    why = "keepalived leaves it out" if problem.ignored else "it cannot be used like this, and is kept as text"
    return Diagnostic(said.code, f"{said.message}: {why}", said.place, Severity.WARNING, said.hint, Effect.CARRIED)


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

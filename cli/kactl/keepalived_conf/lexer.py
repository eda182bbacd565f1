"""Physical lines of a keepalived.conf: decoding, classification, comments, words.

The rules are keepalived's own (2.4.3): `#` and `!` start a comment outside double quotes, also in mid-word; a double
quote starts a word and ends the one before it; space, tab, form feed, vertical tab and carriage return separate words.
"""

from __future__ import annotations

import codecs
import re

from kactl.keepalived_conf.tree import LineKind, SourceFile, Word
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity

BLANKS = " \t\f\v\r\n"
LINE_LIMIT = 1023  # bytes without the terminator: keepalived reads lines into a buffer of 1024
LINE_COUNT_LIMIT = 1_000_000
_REPORTED_CONTROL_LINES = 10

# A column map: one number is the column of the first character of a text that stands in its line as it is; a list has a
# column for each character, for texts that an expansion or a removed backslash has changed.
Columns = int | list[int]

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_DEFINITION = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*+=")
_CONDITION = re.compile(r"@\^?[^ \t\f\v\r\n]*+[ \t\f\v\r\n]*+")
_SEQUENCE = re.compile(r"~(?:SEQx?|LST)[ \t]*\(")
_INCLUDE = re.compile(r"include[rmwba]?[ \t\f\v]+[^ \t\f\v\r\n]")
_PLAIN_WORD = re.compile(r"[^ \t\f\v\r\n]++")
_WORD = re.compile(r'"([^"]*+)"?|[^ \t\f\v\r\n"]++')
_LEXEME = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\\(.)|(["#!])', re.DOTALL)


def parse_source(data: bytes, name: str) -> SourceFile:
    """Decode a file and classify its lines; never fails, and `render()` gives `data` back.

    Findings: `encoding` (not UTF-8: read as latin-1), `byte-order-mark`, and the errors `control-bytes` and
    `too-many-lines`: such a file is not to be expanded.
    """
    findings: list[Diagnostic] = []
    bom = data.startswith(codecs.BOM_UTF8)
    body = data[len(codecs.BOM_UTF8) :] if bom else data
    if bom:
        findings.append(
            Diagnostic(
                "byte-order-mark",
                "the file starts with a UTF-8 byte order mark, which keepalived takes for part of the first word",
                Place(name, 1, 1),
                Severity.NOTE,
                effect=Effect.REPAIRED,
            )
        )
    encoding = "utf-8"
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        encoding = "latin-1"
        text = body.decode("latin-1")
        line = body.count(b"\n", 0, error.start) + 1
        column = error.start - body.rfind(b"\n", 0, error.start)
        findings.append(
            Diagnostic(
                "encoding",
                f"byte 0x{body[error.start]:02x} is not UTF-8; the file is read as latin-1",
                Place(name, line, column),
                Severity.WARNING,
                hint="convert the file to UTF-8, so that its comments and names read as they were written",
                effect=Effect.CONVERTED,
            )
        )
    faults = _find_control_bytes(text, name) or _check_size(text, name)
    if faults:
        return SourceFile(name, [text], [LineKind.REFUSED], encoding, bom, findings + faults)
    lines, kinds = _classify_lines(text)
    return SourceFile(name, lines, kinds, encoding, bom, findings)


def _check_size(text: str, name: str) -> list[Diagnostic]:
    count = text.count("\n")
    if count <= LINE_COUNT_LIMIT:
        return []
    message = f"the file has {count} lines; no more than {LINE_COUNT_LIMIT} are read"
    return [Diagnostic("too-many-lines", message, Place(name), effect=Effect.REFUSED)]


def _find_control_bytes(text: str, name: str) -> list[Diagnostic]:
    """An error for the first control byte of each line, for the first lines that have one."""
    findings: list[Diagnostic] = []
    position = 0
    number = 1
    while match := _CONTROL.search(text, position):
        number += text.count("\n", position, match.start())
        if len(findings) == _REPORTED_CONTROL_LINES:
            place = Place(name, number)
            hint = "this does not look like a text file"
            message = "more lines contain control bytes"
            findings.append(Diagnostic("control-bytes", message, place, hint=hint, effect=Effect.REFUSED))
            break
        column = match.start() - text.rfind("\n", 0, match.start())
        findings.append(
            Diagnostic(
                "control-bytes",
                f"the line contains the control byte 0x{ord(match[0]):02x}",
                Place(name, number, column),
                hint="a configuration is text; its only control characters are tabs, form feeds and line ends",
                effect=Effect.REFUSED,
            )
        )
        position = text.find("\n", match.start())
        if position < 0:
            break
    return findings


def _classify_lines(text: str) -> tuple[list[str], list[LineKind]]:
    """Split at line feeds only, keeping them: every other character stays inside its line."""
    lines = text.split("\n")
    last = lines.pop()
    lines = [line + "\n" for line in lines]
    if last:
        lines.append(last)
    kinds: list[LineKind] = []
    continued = False
    for line in lines:
        kind = LineKind.CONTINUATION if continued else classify_line(line)
        if continued or kind is LineKind.DEFINITION or kind is LineKind.CONDITIONAL:
            continued = _continues(line, kind)
        kinds.append(kind)
    return lines, kinds


def _continues(line: str, kind: LineKind) -> bool:
    """Whether the next line belongs to this one: only definitions continue, also those behind a condition."""
    if not line.rstrip(BLANKS).endswith("\\"):
        return False
    return kind is not LineKind.CONDITIONAL or is_definition(line, _CONDITION.match(line.lstrip(BLANKS)))


def is_definition(line: str, condition: re.Match[str] | None = None) -> bool:
    """Whether a line (behind its condition, where there is one) starts `$NAME=`."""
    text = line.lstrip(BLANKS)
    return _DEFINITION.match(text, condition.end() if condition else 0) is not None


def classify_line(line: str) -> LineKind:
    """The kind of one physical line, without regard to the lines before it."""
    text = line.lstrip(BLANKS)
    if not text:
        return LineKind.BLANK
    first = text[0]
    if first in "#!":
        return LineKind.COMMENT
    if first == "$" and _DEFINITION.match(text):
        return LineKind.DEFINITION
    if first == "@":
        return LineKind.CONDITIONAL
    if first == "~" and _SEQUENCE.match(text):
        return LineKind.SEQUENCE
    if first == "i" and _INCLUDE.match(text):
        return LineKind.INCLUDE
    return LineKind.STATEMENT


def column_at(columns: Columns, index: int) -> int:
    """The column of character `index` of a text with this column map (behind its end: one further than its last)."""
    if isinstance(columns, int):
        return columns + index
    if index < len(columns):
        return columns[index]
    return columns[-1] + 1 if columns else 1


def columns_from(columns: Columns, start: int) -> Columns:
    """The column map of `text[start:]`."""
    return columns + start if isinstance(columns, int) else columns[start:]


def split_comment(text: str, columns: Columns) -> tuple[str, Columns, str | None, int]:
    r"""Take the comment off a line: (code, its columns, comment or None, column of a double quote left open or 0).

    `\#` and `\!` outside quotes become the character itself; every other backslash stays. The comment comes without its
    marker and without one blank behind it.
    """
    escapes: list[int] = []
    comment: str | None = None
    open_quote = 0
    end = len(text)
    for match in _LEXEME.finditer(text):
        mark = match[2]
        if mark is None:
            if match[1] is not None and match[1] in "#!":
                escapes.append(match.start())
        elif mark == '"':
            open_quote = column_at(columns, match.start())
            break
        else:
            end = match.start()
            comment = comment_text(text[end:])
            break
    code = text[:end]
    if escapes:
        mapped = [column_at(columns, index) for index in range(end)]
        pieces: list[str] = []
        kept: list[int] = []
        start = 0
        for position in [*escapes, end]:
            pieces.append(code[start:position])
            kept.extend(mapped[start:position])
            start = position + 1
        return "".join(pieces), kept, comment, open_quote
    return code, columns, comment, open_quote


def comment_text(comment: str) -> str:
    """A comment without its marker, one blank behind that, and what trails: `# two words` is `two words`."""
    text = comment[1:].rstrip(BLANKS)
    return text[1:] if text[:1] in (" ", "\t") else text


def split_words(text: str, columns: Columns = 1) -> list[Word]:
    """The words of a logical line without comment. A quote left open takes the rest of the line (see `open_quote`)."""
    if '"' not in text:
        if isinstance(columns, int):
            return [Word(match[0], match.start() + columns) for match in _PLAIN_WORD.finditer(text)]
        return [Word(match[0], columns[match.start()]) for match in _PLAIN_WORD.finditer(text)]
    words: list[Word] = []
    for match in _WORD.finditer(text):
        inside = match[1]
        column = column_at(columns, match.start())
        words.append(Word(match[0], column) if inside is None else Word(inside, column, True))
    return words


def open_quote(raw: str) -> bool:
    """Whether keepalived finds a quote left open when it splits a line into words; there a backslash protects nothing.

    Such a line is lost to it ("Unmatched quote"), unless the keyword is a quoted one, which has rules of its own.
    """
    return raw.count('"') % 2 == 1

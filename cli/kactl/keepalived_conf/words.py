"""Words -> a line of keepalived.conf that keepalived reads as these words again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kactl.keepalived_conf.blocks import find_brace
from kactl.keepalived_conf.lexer import LINE_LIMIT, split_comment, split_words
from kactl.keepalived_conf.quoting import QuoteError, split_quoted
from kactl_agent.config.schema.shapes import Quoted

# Words of these characters mean nothing to any layer of the language, wherever they stand.
_PLAIN = re.compile(r"[A-Za-z0-9_./:%+,=*<>()|;&?^\[\]-]+\Z")
_PLAIN_LINE = re.compile(r"[A-Za-z0-9_./:%+,=*<>()|;&?^\[\] -]+\Z")
_FIRST = re.compile(r"[@~$]|include[rmwba]?\Z")
_NAMES = "PWD|INSTANCE|RANDOM|HASH|BANG|ENV"
_BUILT_IN = re.compile(rf"\$\{{_(?:{_NAMES})\b|\$_(?:{_NAMES})(?=[ ,)]|\Z)")
_ESCAPES = {"\a": "a", "\b": "b", "\x1b": "E", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}


class UnwritableError(ValueError):
    """No line of keepalived.conf says these words."""


class Environment(Quoted):
    """A word that keepalived itself takes from the environment (`${_ENV NAME}`): the one expansion that is meant."""

    __slots__ = ()


def render_line(words: Sequence[str], *, quoted: bool, opens_block: bool = False) -> str:
    """The line of these words. Raises UnwritableError.

    `quoted`: its keyword is one that keepalived splits with quoting rules of its own (`Shape.quoted`).
    """
    if not words:
        raise UnwritableError("it says nothing")
    rendered = [_render(word, quoted=quoted) for word in words]
    if not rendered[0].startswith('"') and _FIRST.match(rendered[0]):
        rendered[0] = f'"{rendered[0]}"'
    line = " ".join(rendered)
    if not _PLAIN_LINE.match(line):
        _verify(line, words, quoted=quoted)
    if len(line.encode()) + 2 * opens_block > LINE_LIMIT:
        raise UnwritableError(f"the line is longer than the {LINE_LIMIT} bytes that keepalived reads")
    return f"{line} {{" if opens_block else line


def _render(word: str, *, quoted: bool) -> str:
    if not isinstance(word, Quoted) and _PLAIN.match(word):
        return word
    if quoted and not isinstance(word, Environment):
        return quote(word)
    plain = not isinstance(word, Quoted) and word and not re.search(r'[\s"#!{}]', word)
    return word if plain else f'"{word}"'


def quote(text: str) -> str:
    r"""`text` as one double-quoted word of a quoted keyword.

    A double quote is `\"`; where their number is odd it is `\042`, as keepalived counts quotes before it reads escapes.
    """
    double = '\\"' if text.count('"') % 2 == 0 else "\\042"
    pieces = []
    for character in text:
        if character == '"':
            pieces.append(double)
        elif character == "\\":
            pieces.append("\\\\")
        elif character in _ESCAPES:
            pieces.append("\\" + _ESCAPES[character])
        elif character < " " or character == "\x7f":
            pieces.append(f"\\{ord(character):03o}")
        else:
            pieces.append(character)
    return f'"{"".join(pieces)}"'


def _verify(line: str, words: Sequence[str], *, quoted: bool) -> None:
    """Read the line as keepalived does. Raises UnwritableError unless it says the words."""
    if any(not isinstance(word, Environment) and _BUILT_IN.search(word) for word in words):
        raise UnwritableError("keepalived would expand the `${_...}` in it")
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", line):
        raise UnwritableError("it holds a line end or a control character")
    code, _, comment, open_quote = split_comment(line, 1)
    try:
        read = split_quoted(code) if quoted else split_words(code)
    except QuoteError as error:
        raise UnwritableError(str(error)) from None
    if comment is not None or open_quote or find_brace(code) >= 0 or [w.text for w in read] != [str(w) for w in words]:
        raise UnwritableError("a double quote or a backslash in it has no way to be written here")

r"""Quoted keywords: lines that keepalived splits with quotes and escapes, as a shell would, instead of plain words.

These are commands and what else may hold blanks: scripts, misc_path, regex, process. The line is split with these
rules, and the word that is a command line is split once more with the same rules: `notify "/path/s.sh a 'b c'" user`.

- `"` and `'` group; quoted and unquoted pieces that touch are one word; an empty pair of quotes is an empty word.
- Escapes are read everywhere, in both kinds of quotes too: `\a \b \E \f \n \r \t \v`, `\NNN` (up to 3 octal digits),
  `\xHH` (up to 2 hexadecimal digits, as from keepalived 2.3.2 on), `\cX` (control character); a backslash and any other
  character is that character.
- A word ends at a NUL character that an escape gives, since keepalived's words are C strings.
"""

from __future__ import annotations

import re

from kactl.keepalived_conf.lexer import Columns, column_at
from kactl.keepalived_conf.tree import Word

_PIECE = re.compile(
    r"(?P<blank>[ \t\f\v\r\n]++)|(?P<plain>[^ \t\f\v\r\n\"'\\]++)|(?P<quote>[\"'])"
    r"|(?P<escape>\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|c.|.)?)",
    re.DOTALL,
)
_INSIDE = {'"': re.compile(r'[^"\\]++'), "'": re.compile(r"[^'\\]++")}
_CONTROL_CHARACTERS = {"a": 7, "b": 8, "E": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


class QuoteError(Exception):
    """A quote is never closed. `column` is where it opens."""

    def __init__(self, quote: str, column: int) -> None:
        super().__init__(f"the quote {quote} is never closed")
        self.quote = quote
        self.column = column


def split_quoted(raw: str, column: Columns = 1) -> list[Word]:
    """The words of a quoted keyword's line, the keyword included. `column` is that of its first character."""
    return [Word(_decode(content), column_at(column, start), quoted) for start, content, quoted in _split(raw, column)]


def split_command(text: str) -> list[str]:
    """The arguments of a command line (a word that `split_quoted` gave)."""
    return [_decode(content) for _, content, _ in _split(text, 1)]


def _split(text: str, columns: Columns) -> list[tuple[int, bytearray, bool]]:
    """(index of its first character, content as bytes, whether a part of it was quoted) of each word."""
    words: list[tuple[int, bytearray, bool]] = []
    current: bytearray | None = None
    start = 0
    quoted = False
    quote = ""
    quote_at = 0
    position = 0
    while position < len(text):
        inside = _INSIDE[quote].match(text, position) if quote else None
        match = inside or _PIECE.match(text, position)
        assert match is not None  # every character begins one of the pieces
        kind = "plain" if inside else match.lastgroup
        piece = match[0]
        if kind == "blank":
            if current is not None:
                words.append((start, current, quoted))
                current = None
        else:
            if current is None:
                current, start, quoted = bytearray(), position, False
            if kind == "plain":
                current += piece.encode()
            elif kind == "escape":
                current += _unescape(piece)
            elif quote:
                quote = ""
            else:
                quote, quote_at, quoted = piece, position, True
        position = match.end()
    if quote:
        raise QuoteError(quote, column_at(columns, quote_at))
    if current is not None:
        words.append((start, current, quoted))
    return words


def _unescape(escape: str) -> bytes:
    body = escape[1:]
    if not body:
        return b"\\"
    first = body[0]
    if first in "01234567":
        return bytes((int(body, 8) & 0xFF,))
    if first == "x" and len(body) > 1:
        return bytes((int(body[1:], 16),))
    if first == "c" and len(body) > 1:
        return bytes((ord(body[1]) & 0x1F,))
    if first in _CONTROL_CHARACTERS:
        return bytes((_CONTROL_CHARACTERS[first],))
    return body.encode()


def _decode(content: bytearray) -> str:
    data = bytes(content).split(b"\0", 1)[0]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")

r"""Command lines as keepalived splits them: with quotes and escapes, as a shell would, and nothing else of a shell.

- `"` and `'` group; quoted and unquoted pieces that touch are one word; an empty pair of quotes is an empty word.
- Escapes are read everywhere, in both kinds of quotes too: `\a \b \E \f \n \r \t \v`, `\NNN` (up to 3 octal digits),
  `\xHH` (up to 2 hexadecimal digits, as from keepalived 2.3.2 on), `\cX` (control character); a backslash and any other
  character is that character.
- A word ends at a NUL character that an escape gives, since keepalived's words are C strings.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PIECE = re.compile(
    r"(?P<blank>[ \t\f\v\r\n]++)|(?P<plain>[^ \t\f\v\r\n\"'\\]++)|(?P<quote>[\"'])"
    r"|(?P<escape>\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|c.|.)?)",
    re.DOTALL,
)
_INSIDE = {'"': re.compile(r'[^"\\]++'), "'": re.compile(r"[^'\\]++")}
_CONTROL_CHARACTERS = {"a": 7, "b": 8, "E": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


class UnclosedQuote(ValueError):
    """A quote is never closed. `index` is where in the text it opens."""

    def __init__(self, quote: str, index: int) -> None:
        super().__init__(f"the quote {quote} is never closed")
        self.quote = quote
        self.index = index


class Piece(NamedTuple):
    """A word, the index of its first character, and whether a part of it was quoted."""

    start: int
    text: str
    quoted: bool


def split_command(text: str) -> list[str]:
    """The arguments of a command line. Raises UnclosedQuote."""
    return [piece.text for piece in split(text)]


def split(text: str) -> list[Piece]:
    """The words of a text. Raises UnclosedQuote."""
    words: list[Piece] = []
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
                words.append(Piece(start, _decode(current), quoted))
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
        raise UnclosedQuote(quote, quote_at)
    if current is not None:
        words.append(Piece(start, _decode(current), quoted))
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

"""Scalars of YAML text: quoted exactly where a reader of YAML 1.1 or 1.2 would misread the plain word."""

from __future__ import annotations

import re
from functools import lru_cache

_WORDS = frozenset(
    form
    for word in ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
    for form in (word, word.capitalize(), word.upper())
) | {"~", "<<", "="}

_NUMBER = re.compile(
    r"""[-+]?(
        0b[01_]+ | 0o?[0-7_]+ | 0x[0-9a-fA-F_]+                            # whole numbers of other bases
      | [0-9][0-9_,]*(:[0-5]?[0-9])*(\.[0-9_]*)?([eE][-+]?[0-9]+)?          # decimal, sexagesimal
      | \.[0-9_]+([eE][-+]?[0-9]+)?
      | \.(inf|Inf|INF)
    ) | \.(nan|NaN|NAN)
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?                         # a date of YAML 1.1
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"(?:[^\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]| (?! ))+")
_NO_FIRST = frozenset("-?:,[]{}#&*!|>'\"%@`")
_FLOW = re.compile(r"[,\[\]{}:]")  # an older reader stops at a colon in a flow map, whatever follows it
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]')
_NEEDS_ESCAPE = re.compile(r"[\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_NO_COMMENT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\x00": "\\0"}


@lru_cache(maxsize=1 << 14)
def quote(text: str, *, flow: bool = False) -> str:
    """A text as a scalar; `flow` says that it stands inside of `{}` or `[]`."""
    if _is_plain(text) and not (flow and _FLOW.search(text)):
        return text
    if _NEEDS_ESCAPE.search(text):
        return f'"{_ESCAPED.sub(_escape, text)}"'
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'


def _is_plain(text: str) -> bool:
    if not text or text in _WORDS or not _PLAIN.fullmatch(text):
        return False
    first = text[0]
    if first in _NO_FIRST and not (first == "-" and len(text) > 1 and (text[1].isalnum() or text[1] == "/")):
        return False
    if ": " in text or " #" in text or text[-1] in ": " or first == " ":
        return False
    return not ((first in "-+." or first.isdigit()) and _NUMBER.fullmatch(text))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def literal(text: str) -> list[str] | None:
    """The lines of a literal block scalar (`|-`) that says the text, or None where it takes quotes."""
    lines = text.split("\n")
    if len(lines) < 2 or not lines[0] or not lines[-1] or lines[0][0] in " \t":
        return None
    if any(_NEEDS_ESCAPE.search(line.replace("\t", " ")) or (line and not line.strip()) for line in lines):
        return None
    return lines


def comment(text: str) -> str:
    """A comment with its marker; characters that YAML cannot hold become blanks. A row of `#` stays one."""
    text = comment_words(text)
    return f"#{text}" if text[:1] in ("", "#") else f"# {text}"


def comment_words(text: str) -> str:
    """The text of a comment as YAML can hold it."""
    return _NO_COMMENT.sub(" ", text).rstrip()

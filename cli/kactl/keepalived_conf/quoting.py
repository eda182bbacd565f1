r"""Quoted keywords: lines that keepalived splits with quotes and escapes, as a shell would, instead of plain words.

These are commands and what else may hold blanks: scripts, misc_path, regex, process. The line is split with these
rules, and the word that is a command line is split once more with the same rules: `notify "/path/s.sh a 'b c'" user`.

The rules are those of `kactl_agent.config.command_line`.
"""

from __future__ import annotations

from kactl.keepalived_conf.lexer import Columns, column_at
from kactl.keepalived_conf.tree import Word
from kactl_agent.config.command_line import UnclosedQuote, split


class QuoteError(Exception):
    """A quote is never closed. `column` is where it opens."""

    def __init__(self, quote: str, column: int) -> None:
        super().__init__(f"the quote {quote} is never closed")
        self.quote = quote
        self.column = column


def split_quoted(raw: str, column: Columns = 1) -> list[Word]:
    """The words of a quoted keyword's line, the keyword included. `column` is that of its first character."""
    try:
        return [Word(piece.text, column_at(column, piece.start), piece.quoted) for piece in split(raw)]
    except UnclosedQuote as error:
        raise QuoteError(error.quote, column_at(column, error.index)) from error


def split_command(text: str) -> list[str]:
    """The arguments of a command line (a word that `split_quoted` gave). Raises QuoteError."""
    return [word.text for word in split_quoted(text)]

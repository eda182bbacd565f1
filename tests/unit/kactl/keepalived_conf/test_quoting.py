"""Quoted keywords. The expected values are those that keepalived 2.2.7 shows in its state dump and messages."""

from __future__ import annotations

import pytest

from kactl.keepalived_conf.quoting import QuoteError, split_command, split_quoted


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ('notify "/bin/echo a b" root', ["notify", "/bin/echo a b", "root"]),
        ("notify '/bin/echo \"a b\" c' root", ["notify", '/bin/echo "a b" c', "root"]),
        ("notify /bin/echo root", ["notify", "/bin/echo", "root"]),
        ("notify \"/bin/ec\"'ho x' root", ["notify", "/bin/echo x", "root"]),
        (r"notify /bin/echo i\ j k", ["notify", "/bin/echo", "i j", "k"]),
        (r"""n /e "c\x41 \\d"e'f g\x41' h""", ["n", "/e", r"cA \def gA", "h"]),
        ("""n /e l'm n'o "p'q" """, ["n", "/e", "lm no", "p'q"]),
        ('n /e "a"b"c" d', ["n", "/e", "abc", "d"]),
        ('n /e "" x', ["n", "/e", "", "x"]),
        (r"n a\xgb", ["n", "axgb"]),
        (r"n a\ca\c?b\c@d", ["n", "a\x01\x1fb"]),  # \c@ is NUL, which ends the word
        (r"n a\c", ["n", "ac"]),
        (r"n \101\x4\E\q\1234", ["n", "A\x04\x1bqS4"]),
        (r"n \a\b\f\n\r\t\v", ["n", "\a\b\f\n\r\t\v"]),
        (r"n \x41b", ["n", "Ab"]),  # keepalived before 2.3.2 read any number of digits
        (r"n é\xc3\xa9", ["n", "éé"]),
        ("n a\\", ["n", "a\\"]),
    ],
)
def test_split_quoted(raw: str, words: list[str]) -> None:
    assert [word.text for word in split_quoted(raw)] == words


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("/bin/echo a b 'c d' A A", ["/bin/echo", "a", "b", "c d", "A", "A"]),
        (r"/bin/echo \x41 b", ["/bin/echo", "A", "b"]),
        ("/bin/echo a''b '' c", ["/bin/echo", "ab", "", "c"]),
        ("/bin/echo \"a b\" 'c' ''", ["/bin/echo", "a b", "c", ""]),
        ("/bin/echo x \n", ["/bin/echo", "x"]),
        ("", []),
    ],
)
def test_split_command(command: str, arguments: list[str]) -> None:
    assert split_command(command) == arguments


def test_a_command_line_is_read_twice() -> None:
    word = split_quoted(r'notify_master "/bin/echo a\\x41 b\x42 \'c d\'" root')[1]
    assert word.text == r"/bin/echo a\x41 bB 'c d'"
    assert split_command(word.text) == ["/bin/echo", "aA", "bB", "c d"]


def test_words_know_columns_and_quotes() -> None:
    words = split_quoted("a 'b c' d", 5)
    assert [(word.column, word.quoted) for word in words] == [(5, False), (7, True), (13, False)]


@pytest.mark.parametrize(("raw", "column"), [('n "a', 3), ('n \'a "b"', 3), (r'n "a\"', 3), ("a b'c", 4)])
def test_an_open_quote_is_an_error_with_its_column(raw: str, column: int) -> None:
    with pytest.raises(QuoteError) as raised:
        split_quoted(raw)
    assert raised.value.column == column

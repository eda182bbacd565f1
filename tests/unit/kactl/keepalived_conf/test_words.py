from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl.keepalived_conf.lexer import split_comment, split_words
from kactl.keepalived_conf.quoting import split_command, split_quoted
from kactl.keepalived_conf.words import Environment, UnwritableError, quote, render_line
from kactl_agent.config.schema.shapes import Quoted


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["router_id", "lb1"], "router_id lb1"),
        (["router_id", "two words"], 'router_id "two words"'),
        (["router_id", "a#b"], 'router_id "a#b"'),
        (["router_id", "a!b"], 'router_id "a!b"'),
        (["router_id", "{a}"], 'router_id "{a}"'),
        (["router_id", ""], 'router_id ""'),
        (["router_id", "c:\\d"], "router_id c:\\d"),
        (["router_id", Quoted("abc")], 'router_id "abc"'),
        (["@id"], '"@id"'),
        (["~SEQ"], '"~SEQ"'),
        (["include", "x"], '"include" x'),
        (["$X=1"], '"$X=1"'),
        (["auth_pass", "$UNDEFINED"], "auth_pass $UNDEFINED"),
        (["auth_pass", Environment("${_ENV PW}")], 'auth_pass "${_ENV PW}"'),
    ],
)
def test_plain_lines(words: list[str], line: str):
    assert render_line(words, quoted=False) == line


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("/bin/true", "script /bin/true"),
        ("/bin/echo 'a b'", """script "/bin/echo 'a b'\""""),
        ('/bin/echo "a b"', 'script "/bin/echo \\"a b\\""'),
        ("/bin/echo \\n", 'script "/bin/echo \\\\n"'),
        ("/bin/echo a\tb", 'script "/bin/echo a\\tb"'),
        ("/bin/echo # not a comment", 'script "/bin/echo # not a comment"'),
        ('/bin/echo 5" disk', 'script "/bin/echo 5\\042 disk"'),
    ],
)
def test_commands(command: str, line: str):
    assert render_line(["script", command], quoted=True) == line
    assert [w.text for w in split_quoted(line)] == ["script", command]


@pytest.mark.parametrize("word", ['say "hi"', "${_PWD}/x", "$_HASH", "a\nb", "x" * 2000, "bell\a"])
def test_what_a_plain_word_cannot_hold(word: str):
    with pytest.raises(UnwritableError):
        render_line(["router_id", word], quoted=False)


def test_a_trailing_backslash_would_protect_the_closing_quote():
    assert render_line(["router_id", "a\\"], quoted=False) == "router_id a\\"
    with pytest.raises(UnwritableError):
        render_line(["router_id", "a b\\"], quoted=False)


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=30)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_whatever_is_written_is_read_back(words: list[str]):
    """By the lexer that keepalived.conf is read with: comment, then words."""
    try:
        line = render_line(["keyword", *words], quoted=False)
    except UnwritableError:
        return
    code, _, comment, open_quote = split_comment(line, 1)
    assert (comment, open_quote) == (None, 0)
    assert [w.text for w in split_words(code)] == ["keyword", *words]


@given(TEXTS)
def test_a_quoted_keyword_can_say_any_text(text: str):
    assert [w.text for w in split_quoted(f"k {quote(text)}")] == ["k", text]
    assert quote(text).count('"') % 2 == 0  # keepalived splits the line once without regard to escapes


def test_command_arguments_survive():
    (_, command) = (w.text for w in split_quoted(render_line(["script", "/x 'a b' \"c d\" e\\ f"], quoted=True)))
    assert split_command(command) == ["/x", "a b", "c d", "e f"]

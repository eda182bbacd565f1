"""Braces and comments, through the whole expansion."""

from __future__ import annotations

from typing import Any

import pytest

from kactl.keepalived_conf.blocks import find_brace
from support.expanding import errors, expand_text, lines_of, only, outline


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a b {\nc\n}\n", [("a b", ["c"])]),
        ("a b\n{\nc\n}\n", [("a b", ["c"])]),
        ("a b\n\n# x\n\n{ c\n d\n} e", [("a b", ["c", "d"]), "e"]),
        ("vrrp_script s { script /bin/true }", [("vrrp_script s", ["script /bin/true"])]),
        ("V{foo}\n", [("V", ["foo"])]),
        ("V { foo a{b c}d {e f} }", [("V", [("foo a", ["b c"]), ("d", ["e f"])])]),
        ('V { "3{" foo "x}y"\n bar }', [("V", ["3{ foo x}y", "bar"])]),
        (r'a "x \" { y" b', ["a x \\ { y  b"]),  # the brace is in quotes for braces, though not for words
        ("n '/bin/x {a}' f", [("n '/bin/x", ["a"]), "' f"]),
        (r"a\{b c\}d", [("a\\", ["b c\\"]), "d"]),
        ("V {}\nW { }", [("V", []), ("W", [])]),
        ("a {\n@h1 }\n@no }\nb", [("a", []), "b"]),
        ("a { @no b }\n c }", [("a", ["c"])]),
        ("a { @h1 b }", [("a", ["b"])]),
    ],
)
def test_blocks(text: str, tree: list[Any]) -> None:
    assert lines_of(text) == tree


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a {\n}\n }\nb\n", [("extra-brace", 3, 2)]),
        ("a {\n b {\n }\n", [("missing-brace", 1, 3)]),
        ("a {\n b {\n", [("missing-brace", 1, 3), ("missing-brace", 2, 4)]),
        ("{\n x\n}\n", [("brace-without-keyword", 1, 1)]),
        ("a {\n}\n{ x }\n", [("brace-without-keyword", 3, 1)]),
        ("a {} {}\n", [("brace-without-keyword", 1, 6)]),
        ('a {\n b "c }\n}\nd "e\n', [("unterminated-quote", 2, 4), ("unterminated-quote", 4, 3)]),
        ('a { b "c }', [("unterminated-quote", 1, 7)]),
        ("}\n}\na {\n", [("extra-brace", 1, 1), ("extra-brace", 2, 1), ("missing-brace", 3, 3)]),
    ],
)
def test_brace_and_quote_errors_are_all_collected(text: str, found: list[tuple[str, int, int]]) -> None:
    assert errors(expand_text(text)) == found


def test_an_extra_brace_hints_at_the_block_that_ended() -> None:
    assert "line 1 was closed in line 3" in only(expand_text("a {\nb\n}\n}\n"), "extra-brace").hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a {\n  b {\n    c\n}\nd {\n}\n", "block of line 2 is not closed before line 4"),
        ("a {\n  b\n\nd {\n}\n", "block of line 1 is not closed before line 4"),
    ],
)
def test_a_missing_brace_hints_at_the_line_by_indentation(text: str, hint: str) -> None:
    assert hint in only(expand_text(text), "missing-brace").hint


def test_what_surrounds_an_error_is_still_read() -> None:
    assert outline(expand_text("a {\n}\n}\nb {\nc\n}\n").directives) == [("a", []), ("b", ["c"])]


def test_nesting_is_bounded() -> None:
    assert lines_of("a {\n" * 64 + "}\n" * 64)
    assert errors(expand_text("a {\n" * 65 + "}\n" * 65)) == [("nesting", 65, 3)]
    assert errors(expand_text("a {" * 300)) == [("nesting", 1, 195)]


def test_errors_are_bounded() -> None:
    found = errors(expand_text("}\n" * 1000))
    assert len(found) == 101
    assert found[-1] == ("too-many-errors", 100, 0)


def test_find_brace_stops_at_an_open_quote() -> None:
    assert find_brace('a "b { c') == -1
    assert find_brace('"{" {') == 4
    assert find_brace("{ {", 1) == 2


def test_comments_stand_with_what_they_are_about() -> None:
    text = """\
# top
! of the file

a b # behind a
c { # behind c
  # above d
  d # behind d
  # end of c
} # behind the close of c
e
{ # behind the open of e
} ! close e
s { script /bin/true } # one line
# last
"""
    expansion = expand_text(text)
    a, c, e, s = expansion.directives
    assert (a.above, a.behind) == (["top", "of the file"], "behind a")
    assert (c.above, c.behind, c.at_end, c.behind_close) == ([], "behind c", ["end of c"], "behind the close of c")
    assert c.children is not None
    assert (c.children[0].above, c.children[0].behind) == (["above d"], "behind d")
    assert (e.behind, e.behind_open, e.behind_close) == (None, "behind the open of e", "close e")
    assert (s.behind, s.behind_close) == (None, "one line")
    assert expansion.at_end == ["last"]


def test_comments_of_lines_that_vanish_stand_above_what_follows() -> None:
    text = """\
$X=1 # def
$M=\\
 b \\ # inside
@no c # cond
~SEQ(i,5,1,2) z # bad
include /none* # inc
d $X # d
"""
    (d,) = expand_text(text).directives
    assert d.above == ["def", "inside", "cond", "bad", "inc"]
    assert d.behind == "d"


def test_comments_inside_a_multi_line_definition_come_once() -> None:
    text = "$M=\\\n a \\\n # note \\\n b\n$M # use\n$M\n"
    expansion = expand_text(text)
    assert [d.above for d in expansion.directives] == [["note", "use"], [], [], []]


def test_the_comment_of_a_repeated_line_comes_once() -> None:
    assert [d.behind for d in expand_text("~SEQ(i,1,3) a # x").directives] == ["x", None, None]


def test_comments_travel_with_included_files() -> None:
    expansion = expand_text("# 1\ninclude a\n# 3\nb\n", files={"/etc/keepalived/a": "x # 2\n# 2b\n"})
    x, b = expansion.directives
    assert (x.above, x.behind, b.above) == (["1"], "2", ["2b", "3"])


def test_directives_know_their_place() -> None:
    (a,) = expand_text("\n  a b {\n c  d\n\n }\n").directives
    assert (a.line, a.close_line, [w.column for w in a.words]) == (2, 5, [3, 5])
    assert a.children is not None
    assert (a.children[0].raw, a.children[0].line, [w.column for w in a.children[0].words]) == ("c  d", 3, [2, 5])

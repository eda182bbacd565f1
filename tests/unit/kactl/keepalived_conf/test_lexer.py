"""Lines, comments and words, against what keepalived 2.2.7 was seen to make of the same text."""

from __future__ import annotations

import pytest

from kactl.keepalived_conf.lexer import (
    LINE_COUNT_LIMIT,
    classify_line,
    comment_text,
    open_quote,
    parse_source,
    split_comment,
    split_words,
)
from kactl.keepalived_conf.tree import LineKind
from kactl_agent.config.diagnostics import Severity


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("", LineKind.BLANK),
        (" \t\f\v\r", LineKind.BLANK),
        ("  # x", LineKind.COMMENT),
        ("! x", LineKind.COMMENT),
        (" $X=1", LineKind.DEFINITION),
        ("$X =1", LineKind.STATEMENT),
        ("$9X=1", LineKind.STATEMENT),
        ("$X", LineKind.STATEMENT),
        (" @id x", LineKind.CONDITIONAL),
        ("~SEQ(i,1,2) x", LineKind.SEQUENCE),
        ("~SEQx (i,1,2) x", LineKind.SEQUENCE),
        ("~LST(a,b)", LineKind.SEQUENCE),
        ("~OTHER(a,b)", LineKind.STATEMENT),
        ("include a", LineKind.INCLUDE),
        ("includea a", LineKind.INCLUDE),
        ("include", LineKind.STATEMENT),
        ("include_check", LineKind.STATEMENT),
        ("vrrp_instance a {", LineKind.STATEMENT),
    ],
)
def test_lines_are_classified_by_their_own_text(line: str, kind: LineKind) -> None:
    assert classify_line(line) is kind


def test_only_definitions_continue() -> None:
    source = parse_source(b"$A=x \\\n y \\ \n z\nfoo \\\nbar\n@h1 $B=1\\\n2\n@h1 foo \\\nbar", "f")
    assert [kind.value for kind in source.kinds] == [
        "definition", "continuation", "continuation", "statement", "statement",
        "conditional", "continuation", "conditional", "statement",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a",
        b"a\r\nb\n\n",
        b"\xef\xbb\xbfa\n",
        b"\xff\xfe",
        b"a\0b\n",
        b"\xe2\x80\xa8x\x85\n",
        b"\n" * 3,
        b"\xef\xbb\xbf\xff",
    ],
)
def test_a_source_renders_its_bytes(data: bytes) -> None:
    assert parse_source(data, "f").render() == data


def test_encoding_falls_back_to_latin_1_with_the_place_of_the_first_byte() -> None:
    source = parse_source("a\nrouter_id é".encode("latin-1"), "f")
    assert source.encoding == "latin-1"
    assert source.lines[1] == "router_id é"
    (finding,) = source.findings
    assert (finding.code, finding.place.line, finding.place.column, finding.severity) == (
        "encoding",
        2,
        11,
        Severity.WARNING,
    )


def test_a_byte_order_mark_is_a_finding_and_not_part_of_the_first_word() -> None:
    source = parse_source(b"\xef\xbb\xbfglobal_defs {\n", "f")
    assert source.lines == ["global_defs {\n"]
    assert [finding.code for finding in source.findings] == ["byte-order-mark"]


def test_control_bytes_refuse_a_file_once_for_each_line() -> None:
    source = parse_source(b"a\tb\v\f\r\n c\0\0\nd\x1b\n\x7f\n", "f")
    found = [(finding.code, finding.place.line, finding.place.column) for finding in source.findings]
    assert found == [("control-bytes", 2, 3), ("control-bytes", 3, 2), ("control-bytes", 4, 1)]
    assert all(finding.severity is Severity.ERROR for finding in source.findings)


def test_control_bytes_of_a_binary_file_are_not_all_reported() -> None:
    source = parse_source(b"\0\n" * 1000, "f")
    assert len(source.findings) == 11


def test_a_file_of_too_many_lines_is_refused_and_still_rendered() -> None:
    data = b"\n" * (LINE_COUNT_LIMIT + 1)
    source = parse_source(data, "f")
    assert [finding.code for finding in source.findings] == ["too-many-lines"]
    assert source.render() == data


@pytest.mark.parametrize(
    ("text", "code", "comment"),
    [
        ("a b", "a b", None),
        ("a # b", "a ", "b"),
        ("d#e", "d", "e"),
        ("a!b", "a", "b"),
        ('"a # b" c', '"a # b" c', None),
        ('"a ! b" c ! d', '"a ! b" c ', "d"),
        (r"a\#b c\!d", "a#b c!d", None),
        (r"e\\f", r"e\\f", None),
        (r"a\\#b", r"a\\", "b"),  # the first backslash protects the second, so that the # is a comment
        (r"e\\\#f", r"e\\#f", None),
        (r'"x \" # y" z # w', r'"x \" # y" z ', "w"),
        (r"a\"b # c", r"a\"b ", "c"),  # outside quotes, an escaped quote opens none
        ("'c#d'", "'c", "d'"),  # single quotes are ordinary
    ],
)
def test_comments_are_taken_off(text: str, code: str, comment: str | None) -> None:
    assert split_comment(text, 1) == (code, split_comment(text, 1)[1], comment, 0)


def test_columns_behind_a_removed_backslash_are_those_of_the_line() -> None:
    code, columns, _, _ = split_comment(r"ab\#c d", 5)
    assert [(word.text, word.column) for word in split_words(code, columns)] == [("ab#c", 5), ("d", 11)]


def test_a_quote_left_open_is_found_where_it_opens() -> None:
    assert split_comment('a "b" "c # d', 1)[3] == 7


@pytest.mark.parametrize(
    ("comment", "text"),
    [("# a b ", "a b"), ("#a", "a"), ("!\ta", "a"), ("##  a", "#  a"), ("#   a", "  a"), ("#", ""), ("# x\r\n", "x")],
)
def test_a_comment_loses_its_marker_and_one_blank(comment: str, text: str) -> None:
    assert comment_text(comment) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc\fd\ve\rf", ["a", "b", "c", "d", "e", "f"]),
        ('a"b c"d', ["a", "b c", "d"]),
        ('pa"rt quoted"', ["pa", "rt quoted"]),
        ('"unq"joined', ["unq", "joined"]),
        ("'single quoted'", ["'single", "quoted'"]),
        ('a "" b', ["a", "", "b"]),
        ('"x \\"', ["x \\"]),
        ("a\u00a0b c", ["a\u00a0b", "c"]),  # a no-break space separates nothing
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word.text for word in split_words(text)] == words


def test_words_know_their_columns_and_quotes() -> None:
    assert [(w.text, w.column, w.quoted) for w in split_words('a "b c" d', 3)] == [
        ("a", 3, False),
        ("b c", 5, True),
        ("d", 11, False),
    ]


@pytest.mark.parametrize(("raw", "found"), [('a "b"', False), (r'a "b\"c"', True), ("a'b", False)])
def test_a_quote_that_word_splitting_finds_open(raw: str, found: bool) -> None:
    assert open_quote(raw) is found

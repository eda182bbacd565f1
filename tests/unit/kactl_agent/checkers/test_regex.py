"""PCRE2 patterns: keepalived's options by name, offsets, limits, and what differs."""

from __future__ import annotations

import time

import pytest

from kactl_agent.checkers.regex import (
    MATCH_LIMIT,
    OPTIONS,
    SEARCH_LIMIT,
    BodyPattern,
    MatchFault,
    PatternFault,
    body_fault,
    limit_of,
)
from kactl_agent.checkers.settings import RegexSettings
from kactl_agent.config.schema.http_check import REGEX_OPTIONS


def found(pattern: str, body: bytes, *options: str) -> int | None:
    return BodyPattern(pattern, options).search(body)


def test_every_option_of_the_schema_is_known() -> None:
    assert tuple(OPTIONS) == REGEX_OPTIONS


@pytest.mark.parametrize(
    ("pattern", "body", "options", "at"),
    [
        ("b", b"aab", (), 2),
        ("B", b"aab", (), None),
        ("B", b"aab", ("caseless",), 2),
        ("a.b", b"a\nb", (), None),
        ("a.b", b"a\nb", ("dotall",), 0),
        ("^b", b"a\nb", (), None),
        ("^b", b"a\nb", ("multiline",), 2),
        ("a b # x", b"ab", ("extended",), 0),
        ("b$", b"ab\n", (), 1),
        ("b$", b"ab\n", ("dollar_endonly",), None),
        ("b", b"a\nb", ("firstline",), None),
        (r"\x{41}", b"xA", (), 1),  # not as JavaScript has it
        (r"\x{41}", b"A", ("alt_bsux",), None),
        (r"\x41", b"A", ("alt_bsux",), 0),
        (r"(?<n>a)(?<n>b)", b"ab", ("dupnames",), 0),
        (r"(a)?\1b", b"b", (), None),
        (r"(a)?\1b", b"b", ("match_unset_backref",), 0),
        ("a[]b", b"a]b", ("allow_empty_class",), None),
        ("^.$", "é".encode(), ("utf",), 0),
        ("^.$", "é".encode(), (), None),
        (r"^\w$", "é".encode(), ("utf",), None),  # ucp is not on by itself
        (r"^\w$", "é".encode(), ("utf", "ucp"), 0),
        ("(?<=status: )ok|(?i)UP", b"x up", (), 2),
    ],
)
def test_patterns_and_options(pattern: str, body: bytes, options: tuple[str, ...], at: int | None) -> None:
    assert found(pattern, body, *options) == at


@pytest.mark.parametrize("option", REGEX_OPTIONS)
def test_every_option_is_taken_by_the_library(option: str) -> None:
    assert BodyPattern("abc", (option,)).search(b"xabc") == 1


def test_offsets() -> None:
    pattern = BodyPattern("b")
    assert pattern.search(b"b.b.b", 1) == 2
    assert pattern.search(b"b.b.b", 1, 2) == 2
    assert pattern.search(b"b.b.b", 1, 1) is None
    assert pattern.search(b"b", 5) is None
    assert BodyPattern("(?<=a)b").search(b"ab", 1) == 1  # what stands before is looked at


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("a(", "missing closing parenthesis at offset 2"), ("[z-a]", "range out of order"), (r"a\Cb", "disabled")],
)
def test_a_bad_pattern_says_what_and_where(pattern: str, said: str) -> None:
    with pytest.raises(PatternFault, match=said):
        BodyPattern(pattern)


def test_bodies_that_are_not_utf_8_are_a_fault() -> None:
    with pytest.raises(MatchFault, match="UTF-8"):
        BodyPattern("x", ("utf",)).search(b"\xff x")


@pytest.mark.parametrize(
    ("pattern", "body"),
    [
        ("(a+)+$", b"a" * 5000 + b"b"),
        ("(x+x+)+[yz]", b"x" * 5000),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", b"a" * 3000),
        (r"(?s)^(.|\n|\r)*[Q-Z]$", b"ab" * 100_000),
    ],
)
def test_a_pattern_that_explodes_is_given_up(pattern: str, body: bytes) -> None:
    compiled = BodyPattern(pattern)
    began = time.process_time()
    with pytest.raises(MatchFault, match="takes too"):
        compiled.search(body)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("pattern", [r"(?:a|b)+\d", r"[ab]*[ab]*[ab]*\d", r"(?:a+b?)+[!?]"])
@pytest.mark.parametrize("length", [2_000, 20_000, 60_000, 200_000])
def test_a_search_is_bounded_not_each_place_of_it(pattern: str, length: int) -> None:
    """A match may begin at every place, and PCRE2 counts anew at each."""
    compiled = BodyPattern(pattern)
    with pytest.raises(MatchFault, match="takes too"):
        compiled.search(b"ab" * (length // 2))
    assert compiled.granted <= 2 * SEARCH_LIMIT


def test_the_longer_a_body_the_fewer_steps_at_each_place() -> None:
    for places in (1, 2, 1000, 20_000, 1 << 16, 1 << 20, 1 << 22, 1 << 30):
        limit = limit_of(places)
        assert limit & limit - 1 == 0
        assert limit * places <= max(SEARCH_LIMIT, places)
        assert limit <= MATCH_LIMIT
    assert limit_of(1 << 16) == 64


@pytest.mark.parametrize("options", [(), ("dotall",), ("dotall", "utf")])
def test_one_place_may_take_what_all_of_them_may_not(options: tuple[str, ...]) -> None:
    """From its end back to the tag: tens of thousands of steps, at one place of the body."""
    page = "é <title>up</title>".encode() + b" and so on" * 1200
    assert found("(?s)<title>.*</title>", page, *options) == 3
    assert found("(?s)<title>.*</nothing>|<title>.*!", page, *options) is None


def test_offsets_count_where_places_are_tried_one_by_one() -> None:
    page = b"<b>" * 3 + b"x" * 20_000
    pattern = BodyPattern("(?s)<b>.*<b>")
    assert pattern.search(page) == 0
    assert pattern.search(page, 1) == 3
    assert pattern.search(page, 1, 2) is None
    assert pattern.search(page, 4) is None
    assert BodyPattern("(?s)<b>.*<b>", ("firstline",)).search(b"\n" + page[:50]) is None


def test_what_does_not_fit_the_stack_of_the_jit_is_matched_without_it() -> None:
    assert BodyPattern(r"^(?:(a)|(b))*?c").search(b"ab" * 20_000 + b"c") == 0


def test_a_body_that_is_as_it_must_be_or_not() -> None:
    assert body_fault(RegexSettings(pattern="up"), b"is up") == ""
    assert body_fault(RegexSettings(pattern="up"), b"down") == "regex does not match"
    assert body_fault(RegexSettings(pattern="up", no_match=True), b"down") == ""
    assert body_fault(RegexSettings(pattern="up", no_match=True), b"is up") == "regex matches at offset 3, and must not"
    assert body_fault(RegexSettings(pattern="up", max_offset=2), b"is up") == "regex does not match"
    assert body_fault(RegexSettings(pattern="x", options=("utf",)), b"\xff").startswith("regex: UTF-8 error")

"""The keepalived.conf language against arbitrary input: nothing is lost, nothing raises, everything ends."""

from __future__ import annotations

import contextlib
import random

from hypothesis import given
from hypothesis import strategies as st

from kactl.keepalived_conf.lexer import parse_source, split_words
from kactl.keepalived_conf.preprocess import Limits
from kactl.keepalived_conf.quoting import QuoteError, split_command, split_quoted
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.diagnostics import Severity
from support.expanding import expand_text, outline

LIMITS = Limits(lines=2000, characters=200_000, line_length=4000)

# Text in which the language's own characters are frequent.
FRAGMENTS = st.sampled_from(
    [
        "$A", "${A}", "$A=", "$B=", "$B", "${B}", "\\\n", "\\", "{", "}", '"', "'", "#", "!", "@", "@h1 ", "@^h1 ",
        "@no ", "~SEQ(i,1,3) ", "~SEQ(", "~SEQx(A,8,11)", "~LST({A,B},{1,2},{3}) ", "~LST(", ")", ",", "$i", "${i}",
        "\n", "\n", " ", "\t", "include a\n", "include b*\n", "include {a,b}\n", "includea ", "${_PWD}",
        "${_RANDOM 1 2}", "${_ENV X}", "${_HASH}", "global_defs {\n", "include_check ", "word", "é", "\r\n", "\v", "\0",
        "\\#", '\\"',
    ]
)  # fmt: skip
LANGUAGE = st.lists(FRAGMENTS, max_size=60).map("".join)


@given(st.binary(max_size=300) | LANGUAGE.map(str.encode))
def test_rendering_gives_the_bytes_back(data: bytes) -> None:
    source = parse_source(data, "f")
    assert source.render() == data
    assert len(source.lines) == len(source.kinds)


@given(st.binary(max_size=200) | LANGUAGE.map(str.encode), LANGUAGE, LANGUAGE)
def test_nothing_raises_and_everything_ends(data: bytes, first: str, second: str) -> None:
    files = {"/etc/keepalived/a": first, "/etc/keepalived/b1": second}
    expansion = expand_text(data, files=files, limits=LIMITS)
    stack = list(expansion.directives)
    while stack:
        directive = stack.pop()
        assert directive.words
        assert directive.raw == directive.raw.strip(" \t\f\v\r\n") != ""
        assert [w.text for w in split_words(directive.raw)] == [w.text for w in directive.words]
        assert all(word.column >= 1 for word in directive.words)
        stack.extend(directive.children or [])
    for finding in expansion.findings:
        assert finding.place.file


@given(LANGUAGE)
def test_quoted_words_are_words_or_an_error(text: str) -> None:
    for split in (split_quoted, split_command):
        with contextlib.suppress(QuoteError):
            split(text)


WORDS = st.text(st.sampled_from("abcxyz0189./:-_é'"), min_size=1, max_size=8)
BLANK = st.sampled_from([" ", "\t", "  "])
COMMENT = st.none() | st.text(st.sampled_from('abc {}"$@#!'), max_size=8)


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> list[Directive]:
    """Directives as a writer would have them, with comments everywhere."""
    result = []
    for _ in range(draw(st.integers(0, 3))):
        directive = Directive([], " ".join(draw(st.lists(WORDS, min_size=1, max_size=3))), "", 0)
        directive.above = [text for text in draw(st.lists(COMMENT, max_size=2)) if text is not None]
        directive.behind = draw(COMMENT)
        if depth < 3 and draw(st.booleans()):
            directive.children = draw(trees(depth=depth + 1))
            directive.at_end = [text for text in draw(st.lists(COMMENT, max_size=2)) if text is not None]
            directive.behind_close = draw(COMMENT)
        result.append(directive)
    return result


def write(directives: list[Directive], chance: random.Random, out: list[str]) -> None:
    for directive in directives:
        out += [f"{chance.choice(['# ', '!', '  # '])}{text}\n" for text in directive.above]
        behind = "" if directive.behind is None else f" # {directive.behind}"
        if directive.children is None:
            out.append(f"  {directive.raw}{behind}\n")
            continue
        out.append(directive.raw + chance.choice([" {", "{", "\t{ "]) + behind + "\n")
        write(directive.children, chance, out)
        out += [f"# {text}\n" for text in directive.at_end]
        out.append("}" + ("" if directive.behind_close is None else f"! {directive.behind_close}") + "\n\n")


def shape(directives: list[Directive]) -> list[object]:
    """Everything that matters, with comments as they are read: without trailing blanks and one leading one."""

    def read(text: str | None) -> str | None:
        return None if text is None else text.strip()

    return [
        (
            directive.raw,
            [read(text) for text in directive.above],
            read(directive.behind),
            None if directive.children is None else shape(directive.children),
            [read(text) for text in directive.at_end],
            read(directive.behind_close),
        )
        for directive in directives
    ]


@given(trees(), st.randoms(use_true_random=False))
def test_a_written_tree_is_read_back_with_its_comments(tree: list[Directive], chance: random.Random) -> None:
    out: list[str] = []
    write(tree, chance, out)
    expansion = expand_text("".join(out))
    assert [finding for finding in expansion.findings if finding.severity is Severity.ERROR] == []
    assert shape(expansion.directives) == shape(tree)


@given(trees(), st.randoms(use_true_random=False))
def test_braces_may_stand_on_any_line(tree: list[Directive], chance: random.Random) -> None:
    """The same statements, all on one line or each brace on its own, make the same blocks."""
    out: list[str] = []

    def strip(directives: list[Directive]) -> list[Directive]:
        return [
            Directive([], each.raw, "", 0, None if each.children is None else strip(each.children))
            for each in directives
        ]

    write(strip(tree), chance, out)
    spread = "".join(out).replace("{", "\n{\n").replace("}", "\n}\n")
    assert outline(expand_text(spread).directives) == outline(expand_text("".join(out)).directives)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 7))
def test_sequences_count_as_their_definition_says(start: int, end: int, step: int) -> None:
    step = step if end >= start else -step
    expected = []
    value = start
    while (value <= end) if step > 0 else (value >= end):
        expected.append(f"x{value}")
        value += step
    assert outline(expand_text(f"~SEQ(i, {start}, {step}, {end}) x$i").directives) == expected


@given(st.dictionaries(st.sampled_from("ABCDE"), LANGUAGE.filter(lambda t: "\n" not in t and "\0" not in t)), LANGUAGE)
def test_definitions_always_end(definitions: dict[str, str], text: str) -> None:
    head = "".join(f"${name}={value}\n" for name, value in definitions.items())
    expand_text(head + text, limits=LIMITS, defines={"E": "${A} $B"})

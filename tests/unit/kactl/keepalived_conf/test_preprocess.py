"""Conditions, line limits, encodings, and the order of it all."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kactl.keepalived_conf.preprocess import Limits
from kactl_agent.config.diagnostics import Effect, Severity
from support.expanding import errors, expand_text, lines_of, only, outline, places


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("@h1 a\n@h2 b\n@^h1 c\n@^h2 d", ["a", "d"]),
        ("@h1x a\n@h b\n@^h1x c", ["c"]),
        ("  @h1\ta", ["a"]),
        ("@h1 @h2 e", ["@h2 e"]),
        ("@ h\n@^ i", ["i"]),
        ("@h1\n@no\na", ["a"]),
        ("f @no g", ["f @no g"]),
        ("$M=@h1\n$N=@no\n$M j\n$N k", ["j"]),
        ("$M=@h1\n$X=1\n$M a $X", ["a 1"]),
    ],
)
def test_conditions(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_conditions_follow_the_id() -> None:
    text = "@low a\n@high b\n@^low c"
    assert [lines_of(text, config_id=name) for name in ("low", "high")] == [["a"], ["b", "c"]]


def test_each_condition_is_one_note_that_says_what_became_of_the_line() -> None:
    expansion = expand_text("@h1 a\n @^h1 b")
    assert places(expansion, Severity.NOTE) == [("condition-expanded", 1, 1), ("condition-expanded", 2, 2)]
    assert ["kept" in f.message for f in expansion.findings] == [True, False]
    assert all(f.effect is Effect.CONVERTED for f in expansion.findings)


def test_words_behind_a_condition_keep_their_columns() -> None:
    (directive,) = expand_text(" @h1  a b").directives
    assert [w.column for w in directive.words] == [7, 9]


def test_a_line_longer_than_keepalived_reads_is_skipped() -> None:
    fits, long = "a" * 1023, "b" * 1024
    expansion = expand_text(f"{fits}\n{long} # c\nc\n")
    assert outline(expansion.directives) == [fits, "c"]
    finding = only(expansion, "line-too-long")
    assert (finding.place.line, finding.severity, finding.effect) == (2, Severity.WARNING, Effect.REPAIRED)
    assert expansion.directives[1].above == ["c"]


def test_the_line_limit_counts_bytes() -> None:
    assert places(expand_text("é" * 512), Severity.WARNING) == [("line-too-long", 1, 1)]
    assert lines_of("é" * 511) == ["é" * 511]


@pytest.mark.parametrize(
    ("text", "lines"),
    [("a b \\\nc", ["a b\\", "c"]), ("\\\na", ["\\", "a"]), ("@h1 \\\na", ["a"]), ("a \\ # c\nb", ["a\\", "b"])],
)
def test_a_backslash_at_the_end_continues_no_statement(text: str, lines: list[str]) -> None:
    expansion = expand_text(text)
    assert outline(expansion.directives) == lines
    finding = only(expansion, "trailing-backslash")
    assert (finding.place.line, finding.place.column) == (1, text.index("\\") + 1)


@pytest.mark.parametrize(
    ("text", "lines", "effect"),
    [
        ("v {\na b\\#c # d\n}", [("v", ["a b"])], Effect.REPAIRED),
        ("a b\\!c", ["a b"], Effect.REPAIRED),
        ("global_defs {\na b\\#c # d\n}", [("global_defs", ["a b#c"])], Effect.CHANGED),
        ("global_defs { a b\\#c }", [("global_defs", ["a b#c"])], Effect.CHANGED),
    ],
)
def test_an_escaped_comment_character_counts_in_global_defs_alone(text: str, lines: list[Any], effect: Effect) -> None:
    # keepalived 2.2.7 names `w` for the unknown statement `w\#x` of an instance; in global_defs it takes `a\#b` as a#b.
    expansion = expand_text(text)
    assert outline(expansion.directives) == lines
    assert only(expansion, "escaped-comment").effect is effect


def test_a_long_comment_is_a_comment() -> None:
    assert expand_text("#" + "x" * 5000).at_end == ["x" * 5000]


def test_long_values_come_from_definitions() -> None:
    (line,) = lines_of(f"$L={'v' * 900}\n${{L}}${{L}}")
    assert line == "v" * 1800


def test_carriage_returns_and_a_byte_order_mark_are_no_part_of_words() -> None:
    expansion = expand_text(b"\xef\xbb\xbfa b\r\nc {\r\nd # e\r\n}\r\n")
    assert outline(expansion.directives) == ["a b", ("c", ["d"])]
    assert expansion.directives[1].children is not None
    assert expansion.directives[1].children[0].behind == "e"
    assert [f.code for f in expansion.findings] == ["byte-order-mark"]


def test_control_bytes_give_no_directives_and_no_further_errors() -> None:
    expansion = expand_text(b"a {\n\0\n")
    assert expansion.directives == []
    assert errors(expansion) == [("control-bytes", 2, 1)]


def test_characters_are_bounded() -> None:
    expansion = expand_text("~SEQ(i,1,1000) abcdefgh\n", limits=Limits(characters=400))
    assert [code for code, _, _ in errors(expansion)] == ["expansion-limit"]


def test_the_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    expand_text("a")
    assert gc.isenabled()


def _messages(path: Path, *options: str) -> str:
    """What keepalived -t says about a file."""
    command = ["keepalived", "-t", "-f", str(path), "-i", "h1", *options]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, env={**os.environ, "LANG": "C"}
    )
    return result.stdout + result.stderr


@pytest.mark.keepalived
@pytest.mark.skipif(shutil.which("keepalived") is None, reason="needs the keepalived binary")
@pytest.mark.parametrize(
    "text",
    [
        "V {\n w1 # c\n w2#c\n \"w3\" x\n}",
        "@h1 w1\n@no w2\n@^no w3\n@^h1 w4\n@h1x w5",
        "$A=w1 b\n$A\n$B=w2\\\n w3\n$B\n${A}x",
        "~SEQ(i,1,3) w$i\n~SEQ(i,3,2,7) v$i\n~LST({a,b},{x,1},{y}) u${a}${b}\n~SEQx(i,9,11) t$i",
        "$M=\\\n w1 \\\n $N \\\n w2\n$N=\\\n w3 \\\n w4\n$M",
        "w1 { w2 } w3",
        "w1\\#x\nw2 \\#y\n\\#w3",
        "$S=~SEQ(i,1,2)\n$S w$i\n$D=$Y=w7\n$D\n$Y",
    ],
)  # fmt: skip
def test_the_statements_are_those_that_keepalived_sees(text: str, tmp_path: Path) -> None:
    """Inside a vrrp_instance, keepalived names each unknown statement by its first word."""
    path = tmp_path / "k.conf"
    path.write_text(f"vrrp_instance I {{\nvirtual_router_id 1\n{text}\n}}\n")
    reported = {
        line.split("Unknown keyword '")[1].removesuffix("'")
        for line in _messages(path).splitlines()
        if "Unknown keyword '" in line
    } - {"}"}
    (instance,) = expand_text(path.read_text()).directives
    ours: set[str] = set()
    for child in (instance.children or [])[1:]:
        ours.add(child.keyword)  # the block of an unknown keyword is skipped
    if "{" in text:
        ours |= {grandchild.keyword for child in instance.children or [] for grandchild in child.children or []}
    assert ours == reported

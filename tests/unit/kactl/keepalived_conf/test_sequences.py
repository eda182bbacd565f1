"""~SEQ, ~SEQx and ~LST. Expected values are what keepalived 2.2.7 made of the same lines."""

from __future__ import annotations

import pytest

from kactl.keepalived_conf.preprocess import Limits
from kactl_agent.config.diagnostics import Effect, Severity
from support.expanding import expand_text, lines_of, only, outline, places


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("~SEQ(i,1,2) a$i ${i}", ["a1 1", "a2 2"]),
        ("~SEQ(i,1,2)n$i", ["n1", "n2"]),
        ("~SEQ (i,1,2) y", ["y", "y"]),
        ("~SEQ(k,3,1) $k", ["3", "2", "1"]),
        ("~SEQ(k,2) b$k", ["b1", "b2"]),
        ("~SEQ(k,-2) c$k", ["c-1", "c-2"]),
        ("~SEQ(k,1,3,10) e$k", ["e1", "e4", "e7", "e10"]),
        ("~SEQ(k,1,3,9) e$k", ["e1", "e4", "e7"]),
        ("~SEQ(k,010,012) f$k", ["f8", "f9", "f10"]),
        ("~SEQ(k,0x10,0x11) f$k", ["f16", "f17"]),
        ("~SEQx(k,8,0x10) d$k", ["d8", "d9", "da", "db", "dc", "dd", "de", "df", "d10"]),
        ("~SEQx(AD, 0x90, 0x10, 0xc0) fe80::20:${AD}:1", [f"fe80::20:{n}:1" for n in ("90", "a0", "b0", "c0")]),
        ("~SEQ(i,1,2) ~SEQ(j,1,2) a${i}x${j}", ["a1x1", "a1x2", "a2x1", "a2x2"]),
        ("$E=2\n~SEQ(i,1,$E) a$i\n~SEQ(i, 1, ${E}) b$i", ["a1", "a2", "b1", "b2"]),
        ("$L=1,3\n~SEQ(i,${L}) z$i", ["z1", "z2", "z3"]),
        ("~LST(a, p , q) x${a}y", ["xpy", "xqy"]),
        ("~LST(a,,b) s${a}t\n~LST(a,b,) r${a}t", ["st", "sbt", "rbt", "rt"]),
        ("~LST({a,b}, {1,2}, {3}) x${a}-${b}", ["x1-2", "x3-"]),
        ("~LST({a, b}, {1, 2},  {3 ,4}) v${a}_${b}", ["v1_2", "v3_4"]),
        ("~LST({a,b},1,2) x${a}y${b}", ["x1y", "x2y"]),
        ("$L=1,3\n~LST(v,$L) w$v", ["w1,3"]),  # a value is expanded where it is used
        ("~LST(a,1,2) ~SEQ(a,3,4) u$a", ["u3", "u4", "u3", "u4"]),
        ("~LST({A,B},{10,1},{11,5}) ~SEQ(C,168,2,170) 192.${C}.${A}.${B}",
         ["192.168.10.1", "192.170.10.1", "192.168.11.5", "192.170.11.5"]),
        ("~SEQ(i,1,2)", []),
        ("ok ~SEQ(i,1,2) $i", ["ok ~SEQ(i,1,2) $i"]),
        ("~XYZ(1)", ["~XYZ(1)"]),
        ("$i=9\n~SEQ(i,1,2) a\nb $i", ["a", "a", "b 9"]),
        ("~SEQ(i,1,2) @no a\n~SEQ(i,1,2) @h1 b", ["b", "b"]),
    ],
)  # fmt: skip
def test_sequences(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_one_line_blocks_repeat() -> None:
    assert lines_of("~SEQ(n, 10, 5, 20) virtual_server 10.0.0.$n 80 { x ${n} }") == [
        ("virtual_server 10.0.0.10 80", ["x 10"]),
        ("virtual_server 10.0.0.15 80", ["x 15"]),
        ("virtual_server 10.0.0.20 80", ["x 20"]),
    ]


def test_a_multi_line_definition_repeats_as_a_whole() -> None:
    text = "$V=\\\n a ${i} { \\\n b${i} \\\n }\n~SEQ(i,1,2) $V\nend"
    assert lines_of(text) == [("a 1", ["b1"]), ("a 2", ["b2"]), "end"]


def test_a_sequence_that_a_definition_gives_is_one_before_the_rest_expands() -> None:
    assert lines_of("$V=\\\n a$i \\\n b$i\n$S= ~SEQ(i,1,2) $V\n$S\n$T=~SEQ(i,1,2)\n$T x$i") == [
        "a1", "b1", "a2", "b2", "x1", "x2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "~SEQ(i,1,2",
        "~SEQ(i,1,z) x",
        "~SEQ(i,1,09) x",
        "~SEQ(i,1,0,2) x",
        "~SEQ(i,1,-1,2) x",
        "~SEQ(i,2,2,1) x",
        "~SEQ() x",
        "~SEQ(i,1,2,3,4) x",
        "~SEQx(i,-1,1) x",
        "~LST(a) x",
        "~LST({a,b},{1,2,3}) x",
        "~LST(a,{1,2},3) x",
        "~LST(a,p q) x",
        "~LST(a,{1) x",
        "~LST(a,{1}b) x",
    ],
)
def test_an_invalid_sequence_drops_its_line_as_keepalived_does(line: str) -> None:
    expansion = expand_text(f"a\n {line}\nb")
    assert outline(expansion.directives) == ["a", "b"]
    finding = only(expansion, "sequence-invalid")
    assert (finding.place.line, finding.place.column) == (2, 2)
    assert (finding.severity, finding.effect) == (Severity.WARNING, Effect.REPAIRED)


def test_each_sequence_is_one_note() -> None:
    expansion = expand_text("~SEQ(i,1,3) a")
    assert places(expansion, Severity.NOTE) == [("sequence-expanded", 1, 1)]
    assert "3 times" in only(expansion, "sequence-expanded").message


def test_sequences_are_bounded() -> None:
    limits = Limits(lines=1000)
    for text in ("~SEQ(i,1,99999999999) x", "~SEQ(i,1,99999999999) @no x", "~SEQ(i,1,99999999999) $X=1"):
        only(expand_text(text, limits=limits), "expansion-limit")


def test_columns_of_an_expanded_line_are_those_of_the_line_it_stands_in() -> None:
    (directive,) = expand_text("~SEQ(i,100,100) a $i b").directives
    assert [(w.text, w.column) for w in directive.words] == [("a", 17), ("100", 19), ("b", 22)]

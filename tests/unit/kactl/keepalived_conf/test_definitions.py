"""Definitions and their expansion. Expected values are what keepalived 2.2.7 made of the same lines."""

from __future__ import annotations

from typing import Any

import pytest

from kactl.keepalived_conf.definitions import ParameterError, parse_random
from kactl.keepalived_conf.preprocess import Limits
from kactl_agent.config.diagnostics import Effect, Severity
from support.expanding import errors, expand_text, lines_of, only, outline, places


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("$A=foo\nx $A y", ["x foo y"]),
        ("$A=foo\nx$A ${A}b $A, $A) z$A- $A", ["xfoo foob foo, foo) z$A- foo"]),
        ('$A=foo\n"q $A" "w $A x" "${A}"', ["q $A w foo x foo"]),
        ("$A=foo\n$$A", ["$foo"]),
        ("$A=foo\n$B=\nx$A$B y", ["xfoo y"]),
        ("$A=a b\nx $A", ["x a b"]),
        ("\t$R=\tval  ue  # c\n$R", ["val ue"]),
        ('$S="q # r" # c\nx $S', ["x q # r"]),
        ("$A=1\n$A=2\n$A", ["2"]),
        ("$A\n$A=1\n$A", ["$A", "1"]),
        ("$S=a b\n$T=$S\n$S=late\n$T ${T}${T} ${S}$T", ["late $Slate latelate"]),
        ("$A=$\n$B=bb\n$C=x$\n${A}B ${A}{B} ${C}B", ["bb bb xbb"]),
        ("$UNDEF b", ["$UNDEF b"]),
        ("$Q =1", ["$Q =1"]),
        ("$X=1\n@h1 $X=2\n@no $X=3\n$X", ["2"]),
        ("$D=$Y=5\n$D\n${Y}", ["5"]),
        ("$A=a!b\n$A", ["a"]),
        ('$E="z {"\n$E', ["z {"]),
        ("s { $U=/bin/true\n script $U }", [("s", ["script /bin/true"])]),
        ("s { x\n$X=v }\n$X", [("s", ["x", "v"])]),
        ("$A=a\\b\n$A", ["a\\b"]),
    ],
)
def test_definitions(text: str, lines: list[Any]) -> None:
    assert lines_of(text) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        # keepalived 2.2.7 leaves an empty first line out
        ("$M=\\\n one \\\n two ${A} \\\n three\n$A=foo\npre $M\nnext", ["pre one", "two foo", "three", "next"]),
        ("$M=\\\n one \\\n two\n$H=${_HASH}\n$H $M", ["two"]),
        ("$M=\\\n one\nx ${M}/24 y", ["x one/24 y"]),
        # a sequence begins a line, unless a comment stands before it (seen with 2.2.7)
        ("$R=a$i \\\n b$i\n$M=\\\n ~SEQ(i,1,2) $R\n$E=\n$E $M", ["a1", "b1", "a2", "b2"]),
        ("$R=a$i \\\n b$i\n$M=\\\n ~SEQ(i,1,2) $R\n$H=${_HASH}\n$H $M\nc", ["c"]),
        ("$M=\\\n\nx $M y", ["x y"]),
        ("$M=one \\\n two\n$M post", ["$M post"]),
        ('$M=one \\\n two\n"$M"\n"${M}"', ["$M", "${M}"]),
        ("$M=one \\\n\n two\n$M", ["two", "one"]),  # an empty line ends it
        ("$M=one \\\n   \\\n two\n$M", ["one", "two"]),
        ("$M=one \\\n# com \\\n two\n$M", ["one", "two"]),
        ("$M=one \\\n# com\n two\n$M", ["two", "one"]),
        ("$M= one  two  \\  \n three\n$M", ["one two", "three"]),
        ("$M=one \\\n two\\", []),
        ("$M=\\\n a { \\\n b \\\n } \\\n\nx {\n $M\n}", [("x", [("a", ["b"])])]),
        ("$M=b \\\n c\na { $M\n}", [("a", ["b", "c"])]),
        (
            "$M=\\\n $Z=1 \\\n a$Z \\\n @no n \\\n ~SEQ(i,1,2) x$i \\\n $Z=2 \\\n b${Z}\n$M\nend",
            ["a1", "x1", "x2", "b2", "end"],
        ),
        ("$N=\\\n a \\\n b$i\n$M=\\\n x \\\n ~SEQ(i,1,2) $N \\\n y\n$M", ["x", "a", "b1", "a", "b2", "y"]),
        ("@h1 $M=a \\\n b\n$M", ["a", "b"]),
        ("$M=$Z=7 \\\n z$Z\n$M", ["z7"]),
    ],
)
def test_multi_line_definitions(text: str, lines: list[Any]) -> None:
    assert lines_of(text) == lines


def test_a_comment_behind_the_backslash_ends_a_definition() -> None:
    # As in keepalived 2.4.3; 2.2.7 continued.
    expansion = expand_text("$M=one \\ # c\nthree\n$M")
    assert outline(expansion.directives) == ["three", "one"]
    assert only(expansion, "continuation-broken").severity is Severity.WARNING


def test_the_further_lines_of_a_dropped_definition_are_dropped_with_it() -> None:
    # Mended: keepalived 2.2.7 reads them as configuration ("Unknown keyword 'b\'").
    expansion = expand_text("@no $M=a \\\n b \\\n c\nd")
    assert outline(expansion.directives) == ["d"]
    assert only(expansion, "dropped-continuation").effect is Effect.CHANGED


def test_lines_of_a_multi_line_definition_keep_their_place() -> None:
    (a, b) = expand_text("$M=\\\n a x \\\n  b\n\n\n$M").directives
    assert (a.line, [w.column for w in a.words]) == (2, [2, 4])
    assert (b.line, b.words[0].column) == (3, 3)


def test_words_of_a_value_stand_where_it_is_used() -> None:
    (directive,) = expand_text("$A=long value\n x ${A} y").directives
    assert [(w.text, w.column) for w in directive.words] == [("x", 2), ("long", 4), ("value", 4), ("y", 9)]


def test_each_definition_is_one_note() -> None:
    expansion = expand_text("$A=1\n$B=2\n$A=3\nx $A $A\ny $A")
    assert sorted(places(expansion, Severity.NOTE)) == [
        ("definition-expanded", 3, 1),
        ("definition-unused", 1, 1),
        ("definition-unused", 2, 1),
    ]
    assert all(f.effect is Effect.CONVERTED for f in expansion.findings)


def test_definitions_from_outside_win() -> None:
    expansion = expand_text("$A=1\nx $A $B", defines={"A": "2", "B": "3"})
    assert outline(expansion.directives) == ["x 2 3"]
    assert places(expansion, Severity.NOTE) == [("definition-overridden", 1, 1)]


def test_built_in_definitions() -> None:
    text = 'a "${_HASH}" "${_BANG}" ${_INSTANCE} ${_PWD} ${_ENV HOME}'
    assert lines_of(text, environment={"HOME": "/root"}) == ["a # ! h1 /etc/keepalived /root"]
    assert lines_of("$_BANG=zz\na ${_BANG}") == ["a zz"]
    assert lines_of("${_PWD}", name="sub/a.conf") == ["/w/sub"]
    assert places(expand_text("x ${_PWD}"), Severity.NOTE) == [("definition-expanded", 1, 1)]


def test_random_takes_its_range_from_the_parameters() -> None:
    asked: list[tuple[int, int]] = []

    def pick(low: int, high: int) -> int:
        asked.append((low, high))
        return high

    text = "${_RANDOM} ${_RANDOM 5} ${_RANDOM 5 9} ${_RANDOM 5 1} $_RANDOM"
    assert lines_of(text, random=pick) == ["32767 32767 9 5 32767"]
    assert asked == [(0, 32767), (5, 32767), (5, 9), (5, 5), (0, 32767)]


@pytest.mark.parametrize("parameters", [["1", "2", "3"], ["a"], ["-1"], ["1", "x"], ["9999999999"]])
def test_wrong_parameters_of_random(parameters: list[str]) -> None:
    with pytest.raises(ParameterError):
        parse_random(parameters)


@pytest.mark.parametrize("reference", ["${_RANDOM 7 7 7}", "${_RANDOM x}", "${_ENV NONE}", "${_ENV}", "${_ENV A B}"])
def test_a_built_in_that_fails_stays_as_text(reference: str) -> None:
    expansion = expand_text(f'a "{reference}"')
    assert outline(expansion.directives) == [f"a {reference}"]
    assert only(expansion, "definition-parameters").severity is Severity.WARNING


def test_what_an_undefined_reference_leaves_is_a_block() -> None:
    # The real binary sees a { here too: "Unknown keyword 'UNDEF'", "Unexpected '{' - ignoring".
    assert lines_of("a ${UNDEF} b") == [("a $", ["UNDEF"]), "b"]


def test_an_expanded_comment_character_begins_a_comment() -> None:
    expansion = expand_text("router_id a${_HASH}b c")
    assert outline(expansion.directives) == ["router_id a"]
    assert only(expansion, "comment-by-expansion").effect is Effect.REPAIRED
    switched_off = expand_text("$OFF=${_HASH}\n$OFF a\nb")
    assert outline(switched_off.directives) == ["b"]
    assert only(switched_off, "comment-by-expansion").severity is Severity.NOTE


def test_a_quote_left_open_by_expansion_is_an_error() -> None:
    assert ("unterminated-quote", 1, 4) in errors(expand_text('$W="a\nx $W b'))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("$IF=${IF}\ninterface $IF\n", (1, 1)),
        ("$IF=a ${IF}\ninterface $IF\n", (1, 1)),
        ("  $A=${B}\n$B=${A}\nx $A\n", (1, 3)),
        ("$A=${B}x\n $B=${C}\n$C=${B}\nx $A\n", (2, 2)),
        ("$A=${A}${A}\nx $A\n", (1, 1)),
        ("$M=\\\n a \\\n $M\n$M\n", (1, 1)),
        ("$A=@h1 $A\n$A\n", (1, 1)),
        ("$A=~SEQ(i,1,${A}) x\n$A\n", (1, 1)),
    ],
)
def test_a_self_reference_is_an_error_at_its_place(text: str, place: tuple[int, int]) -> None:
    finding = only(expand_text(text), "self-reference")
    assert (finding.place.line, finding.place.column) == place
    assert finding.severity is Severity.ERROR


def test_an_unused_self_reference_is_none() -> None:
    assert lines_of("$IF=${IF}\na") == ["a"]


def test_a_self_reference_spoils_nothing_else() -> None:
    expansion = expand_text("$A=${A}\na $A {\nb\n}\nc")
    assert errors(expansion) == [("self-reference", 1, 1)]
    assert outline(expansion.directives) == [("a A", ["b"]), "c"]


def test_expansion_is_bounded() -> None:
    doubling = "".join(f"$A{i}=${{A{i + 1}}}${{A{i + 1}}}\n" for i in range(40)) + "$A40=zz\nx $A0\n"
    assert errors(expand_text(doubling)) == [("expansion-limit", 42, 1)]
    deep = "".join(f"$A{i}=${{A{i + 1}}}\n" for i in range(80)) + "$A80=zz\nx $A0\n"
    assert errors(expand_text(deep)) == [("expansion-limit", 82, 1)]
    lines = "".join(f"$A{i}=\\\n $A{i + 1} \\\n $A{i + 1}\n" for i in range(40)) + "$A40=x\n$A0\n"
    assert [code for code, _, _ in errors(expand_text(lines, limits=Limits(lines=5000)))] == ["expansion-limit"]


def test_a_chain_of_definitions_may_be_deep() -> None:
    deep = "".join(f"$A{i}=${{A{i + 1}}}\n" for i in range(60)) + "$A60=zz\nx $A0\n"
    assert lines_of(deep) == ["x zz"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("interface $IF\ndev $IF", ["IF"]),  # once
        ("$VIP/24 dev $IF", ["VIP", "IF"]),
        ("vrrp_instance $NAME {\n}", ["NAME"]),
        ("interface $IF\n$IF=eth0\ndev $IF", ["IF"]),  # defined too late
        ("$IF=eth0\ninterface $IF", []),
        ("$M=one \\\n two\n$M post", []),  # a definition that keepalived leaves as text
        ('script "/bin/x $HOME"', []),
        ("auth_pass $ecret", []),
        ("notify /bin/x $1 a$b $(date)", []),
    ],
)
def test_a_name_that_is_not_defined_is_reported(text: str, names: list[str]) -> None:
    expansion = expand_text(text)
    missing = [f for f in expansion.findings if f.code == "definition-missing"]
    assert [f.message.split()[0] for f in missing] == [f"${name}" for name in names]
    assert all(f.severity is Severity.WARNING and f.effect is Effect.NONE for f in missing)

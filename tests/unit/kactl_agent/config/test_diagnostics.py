"""How diagnostics look: text with an excerpt, JSON, annotations."""

from __future__ import annotations

import pytest

from kactl_agent.config.diagnostics import (
    EXCERPT_WIDTH,
    Diagnostic,
    Effect,
    Place,
    Severity,
    columns,
    line_of,
    printable,
    render_github,
    render_text,
    to_json,
)

SOURCE = "global_defs:\n  router_id: x\n\tfoo\n  name: 名前 bad\n"


def diagnostic(line: int = 0, column: int = 0, length: int = 1, hint: str = "") -> Diagnostic:
    return Diagnostic("some-code", "it is wrong", Place("a.yaml", line, column, length), hint=hint)


def test_place_kind_excerpt_caret_and_hint() -> None:
    assert render_text(diagnostic(2, 14, 1, "mend it"), {"a.yaml": SOURCE}) == (
        "a.yaml:2:14: error[some-code]: it is wrong\n  2 |   router_id: x\n    |              ^\n  hint: mend it"
    )


def test_a_file_as_a_whole_has_no_line() -> None:
    assert render_text(diagnostic(), {"a.yaml": SOURCE}) == "a.yaml: error[some-code]: it is wrong"


def test_a_line_as_a_whole_has_no_caret() -> None:
    assert render_text(diagnostic(1), {"a.yaml": SOURCE}) == (
        "a.yaml:1: error[some-code]: it is wrong\n  1 | global_defs:"
    )


def test_without_the_text_there_is_no_excerpt() -> None:
    assert render_text(diagnostic(2, 3)) == "a.yaml:2:3: error[some-code]: it is wrong"
    assert render_text(diagnostic(99, 3), {"a.yaml": SOURCE}) == "a.yaml:99:3: error[some-code]: it is wrong"


def caret_of(text: str) -> tuple[str, str]:
    """The underlined part, as far as columns tell, and the caret line."""
    excerpt, caret = text.splitlines()[1:3]
    at, end = caret.index("^"), len(caret)
    taken, marked = 0, ""
    for character in excerpt:
        if at <= taken < end:
            marked += character
        taken += columns(character)
    return marked, caret


def test_the_caret_follows_tabs_and_wide_characters() -> None:
    assert caret_of(render_text(diagnostic(3, 2, 3), {"a.yaml": SOURCE}))[0] == "foo"
    assert caret_of(render_text(diagnostic(4, 9, 2), {"a.yaml": SOURCE}))[0] == "名前"
    assert caret_of(render_text(diagnostic(4, 12, 3), {"a.yaml": SOURCE}))[0] == "bad"


@pytest.mark.parametrize("at", [1, 50, 500, 950, 996])
def test_long_lines_are_cut_around_the_caret(at: int) -> None:
    line = "".join(chr(0x61 + n % 26) for n in range(1000))
    text = render_text(diagnostic(1, at, 4), {"a.yaml": line})
    assert caret_of(text)[0] == line[at - 1 : at + 3]
    assert all(len(shown) <= EXCERPT_WIDTH + 10 for shown in text.splitlines())


def test_a_long_underlined_part_is_cut() -> None:
    text = render_text(diagnostic(1, 1, 5000), {"a.yaml": "x" * 5000})
    assert all(len(shown) <= EXCERPT_WIDTH + 10 for shown in text.splitlines())


@pytest.mark.parametrize("width", [1, 30, 60])
def test_an_excerpt_fits_a_terminal_and_the_caret_stays(width: int) -> None:
    source = "a" * 90 + "X" + "b" * 90
    shown = render_text(diagnostic(1, 91, 1), {"a.yaml": source}, width=width).splitlines()[1:3]
    assert max(map(len, shown)) <= max(width, 26)
    assert shown[0][shown[1].index("^")] == "X"


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    found = Diagnostic("c", "`\x1b[2J` is bad", Place("a\x1b.yaml", 1, 1), hint="\x07")
    text = render_text(found, {"a\x1b.yaml": "\x1b[31mred \u202e\x00\x7f"})
    assert all(character.isprintable() or character == "\n" for character in text)
    assert printable("\x1b") == "␛"


def test_colours_name_their_roles() -> None:
    roles = []
    render_text(diagnostic(2, 3, 1, "h"), {"a.yaml": SOURCE}, paint=lambda role, text: roles.append(role) or text)
    assert roles == ["place", "error", "caret", "hint"]


def test_lines_end_at_line_feeds() -> None:
    assert line_of("a\r\nb\x0bc\nd", 1) == "a"
    assert line_of("a\r\nb\x0bc\nd", 2) == "b\x0bc"
    assert line_of("a\r\nb\x0bc\nd", 3) == "d"
    assert line_of("a", 2) is None


def test_json_has_every_part() -> None:
    found = Diagnostic("c", "m", Place("f", 1, 2, 3), Severity.WARNING, "h", Effect.CARRIED)
    assert to_json(found) == {
        "severity": "warning",
        "code": "c",
        "message": "m",
        "hint": "h",
        "effect": "carried",
        "file": "f",
        "line": 1,
        "column": 2,
        "length": 3,
    }


def test_github_annotations_are_escaped() -> None:
    found = Diagnostic("c", "50% of\nit", Place("a,b:c.yaml", 1, 2, 3), Severity.NOTE, "h")
    assert render_github(found) == (
        "::notice file=a%2Cb%3Ac.yaml,line=1,col=2,endColumn=5,title=c::50%25 of%0Ait%0Ahint: h"
    )
    assert render_github(diagnostic()) == "::error file=a.yaml,title=some-code::it is wrong"

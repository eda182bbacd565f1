"""include and its variants; what is fatal is what keepalived's -t refuses (exit 6) for the same line."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from kactl.keepalived_conf.includes import PatternError, apply_include_check, expand_braces, glob_files
from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import ExpandOptions, expand
from kactl_agent.config.diagnostics import Severity
from support.expanding import errors, expand_text, lines_of, only, outline, places

BASE = "/etc/keepalived/"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a", ["a"]),
        ("{a,b}.conf", ["a.conf", "b.conf"]),
        ("{foo/{,cat,dog},bar}", ["foo/", "foo/cat", "foo/dog", "bar"]),
        ("x{1,2}y{3,4}", ["x1y3", "x1y4", "x2y3", "x2y4"]),
        ("a{b", ["a{b"]),
        ("a}b", ["a}b"]),
        ("{a", ["{a"]),
        ("{{a,b}", ["{a", "{b"]),
    ],
)
def test_braces(pattern: str, names: list[str]) -> None:
    assert expand_braces(pattern) == names


def test_braces_are_bounded() -> None:
    with pytest.raises(PatternError):
        expand_braces("{a,b}" * 30)
    assert errors(expand_text("include " + "{a,b}" * 30)) == [("include-pattern", 1, 1)]


def test_files_are_read_in_order_where_the_include_stands() -> None:
    files = {BASE + "a.conf": "a\n", BASE + "b.conf": "b {\nc\n}\n"}
    assert lines_of("x\ninclude *.conf\ny", files=files) == ["x", "a", ("b", ["c"]), "y"]
    assert lines_of("include {b,a}.conf", files=files) == [("b", ["c"]), "a"]


def test_names_are_relative_to_the_including_file() -> None:
    files = {BASE + "sub/s.conf": "s ${_PWD}\ninclude t.conf\n", BASE + "sub/t.conf": "t ${_PWD}", "/abs.conf": "abs"}
    text = "include sub/s.conf\ninclude /abs.conf\nx ${_PWD}"
    assert lines_of(text, files=files) == ["s /etc/keepalived/sub", "t /etc/keepalived/sub", "abs", "x /etc/keepalived"]


def test_directives_name_their_file() -> None:
    (a,) = expand_text("include a.conf", files={BASE + "a.conf": "\na"}).directives
    assert (a.file, a.line) == (BASE + "a.conf", 2)


def test_blocks_and_definitions_go_across_files() -> None:
    files = {BASE + "a": "$X=1\nb {", BASE + "z": "}"}
    assert lines_of("include a\nc $X\ninclude z", files=files) == [("b", ["c 1"])]


def test_an_include_may_come_from_conditions_definitions_and_sequences() -> None:
    files = {BASE + "a1": "a", BASE + "a2": "b"}
    text = "@h1 include a1\n@no include a1\n$I=include a2\n$I\n~SEQ(i,1,2) include a$i\nv { include a1\n}"
    assert lines_of(text, files=files) == ["a", "b", "a", "b", ("v", ["a"])]


def test_the_name_is_the_rest_of_the_line() -> None:
    # keepalived 2.2.7: Config files missing 'a b'; missing '"a"'
    assert "'a b'" in only(expand_text("include a b", files={BASE + "a": "x"}), "include-missing").message
    assert "'\"a\"'" in only(expand_text('include "a"', files={BASE + "a": "x"}), "include-missing").message


@pytest.mark.parametrize(
    ("keyword", "fatal"),
    [
        ("include", ""),
        ("includer", "r"),
        ("includem", "m"),
        ("includew", "w"),
        ("includeb", "b"),
        ("includea", "rmwb"),
    ],
)
def test_which_failures_are_errors(keyword: str, fatal: str) -> None:
    text = f"{keyword} none\n{keyword} none*\n{keyword} {{a,none}}\n{keyword} dir\n{keyword} exe"
    modes = {BASE + "dir": stat.S_IFDIR | 0o755, BASE + "exe": stat.S_IFREG | 0o755}
    expansion = expand_text(text, files={BASE + "a": "x", BASE + "exe": "y"}, modes=modes)
    expected = [("include-missing", 1, 1)] if "m" in fatal else []
    expected += [("include-missing", 2, 1)] if "w" in fatal else []
    expected += [("include-missing", 3, 1)] if "b" in fatal else []
    expected += [("include-unreadable", 4, 1), ("include-unreadable", 5, 1)] if "r" in fatal else []
    assert errors(expansion) == expected
    assert outline(expansion.directives) == ["x"]


def test_failures_that_are_not_errors_are_warnings_and_a_wildcard_may_match_nothing() -> None:
    modes = {BASE + "dir": stat.S_IFDIR | 0o755}
    expansion = expand_text("include none\ninclude none*\ninclude {a,b}\ninclude dir", modes=modes)
    assert places(expansion, Severity.WARNING) == [
        ("include-missing", 1, 1),
        ("include-missing", 3, 1),
        ("include-skipped", 4, 1),
    ]
    assert ("include-expanded", 2, 1) in places(expansion, Severity.NOTE)


def test_include_check_rules_plain_includes_until_its_file_ends() -> None:
    files = {BASE + "a": "global_defs {\ninclude_check match\n}\ninclude none1\n"}
    assert errors(expand_text("include a\ninclude none2", files=files)) == [("include-missing", 4, 1)]
    assert errors(expand_text("include_check\ninclude none")) == []  # outside global_defs it is nothing


@pytest.mark.parametrize(
    ("words", "checks"),
    [
        ([], {"read", "match", "wildcard_match", "brace_match"}),
        (["match", "read"], {"match", "read"}),
        (["+match"], {"match", "brace_match"}),
        (["-brace_match"], set[str]()),
        (["unknown"], {"brace_match"}),
    ],
)
def test_include_check_words(words: list[str], checks: set[str]) -> None:
    assert apply_include_check(frozenset({"brace_match"}), words) == checks


def test_an_include_is_one_note() -> None:
    expansion = expand_text("include a*", files={BASE + "a1": "x", BASE + "a2": "y"})
    assert places(expansion, Severity.NOTE) == [("include-expanded", 1, 1)]
    assert f"{BASE}a1, {BASE}a2" in only(expansion, "include-expanded").message


@pytest.mark.parametrize(
    ("text", "files", "tree"),
    [
        ("include keepalived.conf\nz", {"keepalived.conf": ""}, ["z"]),
        ("include a\nz", {"a": "x\ninclude b", "b": "include a\ny"}, ["x", "y", "z"]),
    ],
)
def test_a_file_that_includes_itself_is_an_error(text: str, files: dict[str, str], tree: list[str]) -> None:
    expansion = expand_text(text, files={BASE + name: content for name, content in files.items()})
    assert [code for code, _, _ in errors(expansion)] == ["include-cycle"]
    assert outline(expansion.directives) == tree


def test_depth_is_bounded() -> None:
    files = {f"{BASE}{i}": f"include {i + 1}" for i in range(100)}
    assert [code for code, _, _ in errors(expand_text("include 0", files=files))] == ["include-depth"]


def test_a_file_may_be_read_more_than_once() -> None:
    assert lines_of("include a\ninclude a", files={BASE + "a": "x"}) == ["x", "x"]


def test_an_unreadable_file_is_skipped() -> None:
    expansion = expand_text("include a\nx", modes={BASE + "a": stat.S_IFREG | 0o600})
    assert "Permission denied" in only(expansion, "include-skipped").message
    assert outline(expansion.directives) == ["x"]


def test_findings_of_an_included_file_name_it() -> None:
    expansion = expand_text("include a\nx", files={BASE + "a": b"\0\n"})
    assert only(expansion, "control-bytes").place.file == BASE + "a"
    assert outline(expansion.directives) == ["x"]


# keepalived 2.2.7 refuses these too; 2.4.3, which is followed, only what the variant is for.
STRICTER_IN_2_2_7 = {
    ("includew", "none"),
    *((keyword, name) for keyword in ("includem", "includew", "includeb") for name in ("directory", "executable")),
}


@pytest.mark.keepalived
@pytest.mark.skipif(shutil.which("keepalived") is None, reason="needs the keepalived binary")
@pytest.mark.parametrize("keyword", ["include", "includer", "includem", "includew", "includeb", "includea"])
@pytest.mark.parametrize("pattern", ["none", "none*", "{good,none}", "directory", "executable", "good"])
def test_what_keepalived_refuses_is_an_error(keyword: str, pattern: str, tmp_path: Path) -> None:
    (tmp_path / "good").write_text("# nothing\n")
    (tmp_path / "directory").mkdir()
    (tmp_path / "executable").write_text("# nothing\n")
    (tmp_path / "executable").chmod(0o755)
    main = tmp_path / "main.conf"
    main.write_text(f"{keyword} {pattern}\n")
    result = subprocess.run(["keepalived", "-t", "-f", str(main)], capture_output=True, timeout=20, check=False)
    expansion = expand(parse_source(main.read_bytes(), str(main)), ExpandOptions())
    refused = result.returncode == 6  # NO_CONFIG: what an include makes fatal
    if (keyword, pattern) in STRICTER_IN_2_2_7:
        assert errors(expansion) == []
    else:
        assert (errors(expansion) != []) == refused


def test_real_files(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text("b\n")
    (tmp_path / "conf.d" / "a.conf").write_text("a\n")
    (tmp_path / "conf.d" / "x.conf").write_text("x\n")
    (tmp_path / "conf.d" / "x.conf").chmod(0o755)
    main = tmp_path / "main.conf"
    main.write_text("include conf.d/*.conf\ninclude conf.d\ninclude none\n")
    expansion = expand(parse_source(main.read_bytes(), str(main)), ExpandOptions())
    assert outline(expansion.directives) == ["a", "b"]
    assert [code for code, _, _ in places(expansion, Severity.WARNING)] == [
        "include-skipped",
        "include-skipped",
        "include-missing",
    ]
    assert glob_files(str(tmp_path / "conf.d" / "[ab].conf")) == [str(tmp_path / "conf.d" / f"{n}.conf") for n in "ab"]

from __future__ import annotations

import pytest

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import expand
from kactl.keepalived_conf.rawtext import comment, is_whole, render_directive, render_together
from kactl.keepalived_conf.tree import Directive
from support.conversion import assert_stable, to_yaml


def directives(text: str) -> list[Directive]:
    expansion = expand(parse_source(text.encode(), "f"))
    assert {d.code for d in expansion.findings} <= {"escaped-comment"}
    return expansion.directives


def test_a_block_is_normalised():
    (block,) = directives('a  "b c"   {   x   y\n\n# one\nd { } # two\n}\n')
    assert render_directive(block) == 'a  "b c" {\n  x   y\n  # one\n  d {\n  } # two\n}'


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "a {\n}",
        "a { # x\n  # y\n  b # z\n  # w\n} # v",
        "a {\n  b {\n    c\n  }\n}",
        'a "# b"',
    ],
)
def test_what_is_rendered_is_read_as_the_same(text: str):
    (one,) = directives(text)
    assert render_directive(one) == text


def test_an_entry_is_rendered_in_its_block():
    (block,) = directives("virtual_ipaddress {\n  # above\n  10.0.0.300 # behind\n}\n")
    assert block.children is not None
    text = "virtual_ipaddress {\n  # above\n  10.0.0.300 # behind\n}"
    assert render_directive(block.children[0], block) == text


def test_statements_that_belong_together():
    both = directives("track_interface eth0 # x\n# y\nb {\n c\n}\n")
    assert render_together(both) == "track_interface eth0 # x\n# y\nb {\n  c\n}"


@pytest.mark.parametrize("text", ["a b", "a {\n b\n}", 'a "}"', "a # }", "a { b } c {\n}"])
def test_texts_that_are_whole(text: str):
    assert is_whole(text)


@pytest.mark.parametrize("text", ["a {", "}", "} a {", 'a "b', "a {\n # }"])
def test_texts_that_are_not(text: str):
    assert not is_whole(text)


def test_comments():
    assert (comment(""), comment("x")) == ("#", "# x")


def test_a_row_of_comment_characters_stays_one():
    text = "##### Web #####\nglobal_defs { ###BACKUP\n  #=====\n}\n"
    yaml = to_yaml(text)
    assert yaml.startswith("##### Web #####\nglobal_defs: ###BACKUP\n  # =====\n")
    assert "##### Web #####\nglobal_defs { ###BACKUP\n" in assert_stable(text)

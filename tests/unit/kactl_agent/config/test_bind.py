"""YAML -> Document: every fault at once, with its place and what to do; comments where they stand."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.diagnostics import Diagnostic, Severity
from kactl_agent.config.document import Document
from kactl_agent.config.schema.addresses import AddressEntry
from kactl_agent.config.schema.shapes import SecretSource
from kactl_agent.config.schema.track import ScriptWeight, UserGroup, VrrpScript
from kactl_agent.config.yaml_events import MAX_ERRORS


def faults(text: str) -> list[tuple[int, int, str, str, str]]:
    """Line, column, code, message and hint of every diagnostic."""
    found = bind(text, "agent.yaml").diagnostics
    return [(d.place.line, d.place.column, d.code, d.message, d.hint) for d in found]


def only(text: str) -> Diagnostic:
    """The one diagnostic of a text."""
    (diagnostic,) = bind(text, "agent.yaml").diagnostics
    return diagnostic


def script(lines: str) -> Any:
    """What a vrrp_script `a` with these lines, at no indentation, is bound to; it must be without fault."""
    lines += "" if "script:" in lines else "\nscript: x"
    document = bind("vrrp_script:\n  a:\n" + "".join(f"    {line}\n" for line in lines.splitlines()), "agent.yaml")
    assert not document.diagnostics
    assert isinstance(document.config.vrrp_script, dict)
    return document.config.vrrp_script["a"]


def instance(lines: str) -> Document:
    return bind(
        "vrrp_instance:\n  VI_1:\n    virtual_router_id: 51\n"
        + "".join(f"    {line}\n" for line in lines.splitlines()),
        "agent.yaml",
    )


# -- values -----------------------------------------------------------------------------------------------------------


def test_a_map_with_every_kind_of_value() -> None:
    assert script("script: /bin/chk --all\ninterval: 2\nweight: -20\ninit_fail: true") == VrrpScript(
        script="/bin/chk --all", interval=2_000_000, weight=ScriptWeight(weight=-20), init_fail=True
    )


def test_a_line_is_a_scalar_or_a_map() -> None:
    assert script("user: nobody") == VrrpScript(script="x", user=UserGroup(user="nobody"))
    assert script("user: {user: nobody, group: adm}") == VrrpScript(
        script="x", user=UserGroup(user="nobody", group="adm")
    )


@pytest.mark.parametrize(
    ("written", "microseconds"),
    [("1", 1_000_000), ("0.25", 250_000), ("500ms", 500_000), ("1.5s", 1_500_000), ("2m", 120_000_000)],
)
def test_durations_are_exact_integers(written: str, microseconds: int) -> None:
    assert script(f"interval: {written}").interval == microseconds


@pytest.mark.parametrize("word", ["no", "12:30", "0777", "1e3", "0x1F", "2001-12-14", "1_000", "yes", "off", ".5", "="])
def test_a_text_stays_the_text_that_was_written(word: str) -> None:
    """YAML 1.1 would make a bool, a sexagesimal number, an octal, a float, a date of these."""
    assert script(f"script: {word}").script == word


@pytest.mark.parametrize("word", ["true", "True", "on", "yes"])
def test_a_flag_takes_the_words_of_both_languages(word: str) -> None:
    assert script(f"init_fail: {word}").init_fail is True


def test_a_decimal_with_leading_zero_is_decimal_as_keepalived_reads_it() -> None:
    assert script("rise: 010").rise == 10


def test_list_items_are_scalars_or_maps() -> None:
    document = instance("virtual_ipaddress:\n  - 192.0.2.1/24\n  - {address: 2001:db8::1, dev: eth1}")
    assert not document.diagnostics
    assert document.config.vrrp_instance["VI_1"].virtual_ipaddress == (
        AddressEntry(address="192.0.2.1/24"),
        AddressEntry(address="2001:db8::1", dev="eth1"),
    )


def test_secrets_are_texts_or_sources() -> None:
    for written, value in (
        ("hunter2", "hunter2"),
        ("{file: pass}", SecretSource(file="pass")),
        ("{env: PASS}", SecretSource(env="PASS")),
    ):
        document = instance(f"authentication: {{auth_type: PASS, auth_pass: {written}}}")
        assert not document.errors
        assert document.config.vrrp_instance["VI_1"].authentication.auth_pass == value


def test_what_is_at_fault_is_left_out_and_the_rest_stands() -> None:
    document = bind("vrrp_script:\n  a: {script: x, rise: many, fall: 3}\n", "agent.yaml")
    assert document.config.vrrp_script == {"a": VrrpScript(script="x", fall=3)}
    assert len(document.errors) == 1


# -- faults -----------------------------------------------------------------------------------------------------------


def test_every_fault_is_reported_at_once_with_its_place() -> None:
    text = """\
vrrp_script:
  a:
    script:
    interval: soon
    rsie: 2
  b: [1]
vrrp_scrip: {}
"""
    assert [(line, column, code) for line, column, code, _, _ in faults(text)] == [
        (3, 12, "null"),
        (4, 15, "bad-value"),
        (5, 5, "unknown-keyword"),
        (6, 6, "wrong-kind"),
        (7, 1, "unknown-keyword"),
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("vrrp_script: {a: {script: x, rsie: 2}}", "did you mean `rise`?"),
        ("vrrp_script: {a: {script: x, init-fail: true}}", "did you mean `init_fail`?"),
        ("vrrp_script: {a: {script: x, Weight: 2}}", "did you mean `weight`?"),
        ("vrrp_scirpt: {}", "did you mean `vrrp_script`?"),
        ("virtual_router_id: 51", "it is one of `vrrp_instance`: check the indentation"),
        ("static_ipaddress: [{address: 192.0.2.1, brd: 192.0.2.255}]", "write `broadcast:`"),
        ("vrrp_script: {a: {script: x, zzzzzzz: 2}}", ""),
    ],
)
def test_an_unknown_keyword_says_what_was_probably_meant(text: str, hint: str) -> None:
    found = only(text)
    assert (found.code, found.hint) == ("unknown-keyword", hint)


def test_a_keyword_of_old_says_what_replaces_it() -> None:
    found = only("virtual_server: [{address: 192.0.2.1, port: 80, nat_mask: 255.255.255.0}]")
    assert found.code == "unknown-keyword"
    assert "no keyword any more" in found.message


def test_a_deprecated_keyword_is_taken_with_a_warning() -> None:
    found = [d for d in instance("interface: eth0\ndebug: 1").diagnostics if d.code == "deprecated-keyword"]
    assert all(d.severity is Severity.WARNING for d in found)


def test_duplicate_keys_show_both_places() -> None:
    found = only("vrrp_script:\n  a: {script: x}\n  b: {script: y}\n  a: {script: z}\n")
    assert (found.code, found.place.line, found.place.column) == ("duplicate-key", 4, 3)
    assert found.hint == "the first is in line 2, column 3"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("vrrp_script: [a]", "`vrrp_script` takes names with blocks, and this is a list", "write each name as a key"),
        ("vrrp_script: {a: x}", "`a` takes a map, and this is a word", "indented below it"),
        ("static_ipaddress: 192.0.2.1", "`static_ipaddress` takes a list, and this is a word", "`- `"),
        ("vrrp_script: {a: {script: [x]}}", "`script` takes one value, and this is a list", "must be quoted"),
        ("vrrp_script:\n  a:\n    script:\n      - x", "`script` takes one value, and this is a list", "one value"),
        ("- vrrp_script", "the configuration takes a map, and this is a list", "without `- ` in front"),
        ("word", "the configuration takes a map, and this is a word", "keyword: value"),
        ("vrrp_script: {a: {script: {{ program }}}}", "`script` takes one value, and this is a map", "must be quoted"),
        ("global_defs: {[a]: b}", "a keyword or a name is expected here", "must be quoted"),
    ],
)
def test_a_wrong_kind_of_node_is_explained(text: str, message: str, hint: str) -> None:
    found = bind(text, "agent.yaml").diagnostics[0]
    assert found.code == "wrong-kind"
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize("word", ["", "~", "null", "Null", "NULL"])
def test_nothing_behind_a_keyword_is_an_error(word: str) -> None:
    found = only(f"global_defs:\n  router_id: {word}\n")
    assert (found.code, found.message) == ("null", "`router_id` has no value")
    assert only(f"global_defs: {word}\n").code == "null"


@pytest.mark.parametrize("text", ["vrrp_script: {a: {script: x, init_fail: }}", "global_defs: {nftables: }"])
def test_a_keyword_that_stands_alone_takes_true(text: str) -> None:
    assert only(text).hint == "write `true` for the keyword alone, or take it out"
    assert not bind(text.replace(": }", ": true}"), "agent.yaml").diagnostics


def test_the_word_null_can_be_quoted() -> None:
    assert not bind('global_defs: {router_id: "null"}', "agent.yaml").diagnostics


def test_words_of_a_keepalived_line_show_the_map_to_write() -> None:
    (found,) = instance("virtual_ipaddress:\n  - 192.0.2.1/24 dev eth0 label eth0:1").diagnostics
    assert found.hint == 'write {address: 192.0.2.1/24, dev: eth0, label: "eth0:1"}'


def test_a_map_without_what_its_line_needs() -> None:
    (found,) = instance("virtual_ipaddress:\n  - {dev: eth0}").diagnostics
    assert (found.code, found.place.line, found.place.column) == ("missing-keyword", 5, 9)
    assert "`address` is missing" in found.message


@pytest.mark.parametrize(
    ("text", "keyword", "column"),
    [
        ("vrrp_script: {a: {rise: 2}}", "script", 15),
        ("virtual_server: [{address: 192.0.2.1, real_server: [{port: 80}]}]", "address", 53),
        ("bfd_instance: {b: {}}", "neighbor_ip", 16),
    ],
)
def test_a_block_without_what_it_needs(text: str, keyword: str, column: int) -> None:
    (found,) = bind(text, "agent.yaml").diagnostics
    assert (found.code, found.place.column) == ("missing-keyword", column)
    assert f"`{keyword}` is missing" in found.message


def test_no_message_shows_a_secret() -> None:
    document = instance("authentication: {auth_type: PASS, auth_pass: far-too-long-for-vrrp}")
    assert document.errors
    assert "far-too-long" not in "".join(d.message + d.hint for d in document.diagnostics)


def test_a_secret_has_one_source() -> None:
    for written in ("{file: a, env: b}", "{}", "{fiel: a}", "{file: }"):
        assert instance(f"authentication: {{auth_pass: {written}}}").errors


# -- the YAML itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("global_defs:\n\trouter_id: x", "tab", 2, 1),
        ("global_defs: {router_id: x", "syntax", 1, 14),
        ("static_ipaddress: [192.0.2.1}", "syntax", 1, 29),
        ('global_defs: {router_id: "x', "syntax", 1, 26),
        ("global_defs:\n  router_id: a: b", "syntax", 2, 15),
        ("global_defs:\n  router_id: @x", "syntax", 2, 14),
        ("global_defs:\n  router_id: `x", "syntax", 2, 14),
        ("global_defs:\n    router_id: x\n  lvs_flush: true", "syntax", 3, 3),
        ("static_ipaddress:\n  - 192.0.2.1\n  x: y", "syntax", 3, 3),
        ("global_defs: {router_id: *nowhere}", "unknown-alias", 1, 26),
        ("global_defs: {}\n---\nglobal_defs: {}", "several-documents", 2, 1),
        ("global_defs: {}\n...\nglobal_defs: {}", "several-documents", 3, 1),
        ("", "empty", 1, 1),
        ("# only a comment\n", "empty", 1, 1),
        ("---\n", "empty", 2, 1),
        ("~", "empty", 1, 1),
        ("global_defs: {router_id: x\x07y}", "control-characters", 1, 27),
        ("a\n\x00b", "control-characters", 2, 1),
        ("global_defs: {router_id: !vault abc}", "tag", 1, 26),
        ("&a [*a]", "alias-loop", 1, 1),
    ],
)
def test_what_is_no_yaml_is_one_clear_fault(text: str, code: str, line: int, column: int) -> None:
    found = bind(text, "agent.yaml").diagnostics
    assert [(d.code, d.place.line, d.place.column) for d in found[:1]] == [(code, line, column)]
    assert len(found) == 1 or code == "several-documents"


def test_an_empty_map_is_an_empty_configuration() -> None:
    assert not bind("{}\n", "agent.yaml").diagnostics


def test_carriage_returns_do_not_matter() -> None:
    document = bind("global_defs: # c\r\n  router_id: x\r\n", "agent.yaml")
    assert not document.diagnostics
    assert document.origin.find(("global_defs",)).behind == "c"


def test_nesting_ends_quickly() -> None:
    for text in ("[" * 40_000, "{a: " * 40_000, "x-a: &a " + "[" * 40_000, "- " * 40_000):
        start = time.perf_counter()
        found = bind(text, "agent.yaml").diagnostics
        assert {d.code for d in found} <= {"nesting", "wrong-kind", "unknown-keyword"}
        assert "nesting" in {d.code for d in found}
        assert time.perf_counter() - start < 5


def test_ten_megabytes_end() -> None:
    for text in (
        "x" * 10_000_000,
        "global_defs: {router_id: " + "x" * 10_000_000,
        "a: b\n" * 2_000_000,
        "#" * 10_000_000,
    ):
        start = time.perf_counter()
        assert bind(text, "agent.yaml").errors
        assert time.perf_counter() - start < 10


def test_a_file_of_faults_is_not_read_to_its_end() -> None:
    found = bind("".join(f"keyword{n}: x\n" for n in range(100_000)), "agent.yaml").diagnostics
    assert len(found) == MAX_ERRORS + 1
    assert found[-1].code == "too-many"


# -- anchors ----------------------------------------------------------------------------------------------------------


def test_anchors_stand_for_values_and_root_keys_with_x_hold_them() -> None:
    text = """\
x-script: &chk {script: /bin/chk, interval: &i 2}
vrrp_script:
  a: *chk
  b: {script: y, interval: *i}
"""
    document = bind(text, "agent.yaml")
    assert not document.diagnostics
    assert document.config.vrrp_script == {
        "a": VrrpScript(script="/bin/chk", interval=2_000_000),
        "b": VrrpScript(script="y", interval=2_000_000),
    }


def test_merge_keys_add_what_is_not_said() -> None:
    text = """\
x-one: &one {script: one, rise: 1}
x-two: &two {script: two, rise: 2, fall: 2}
vrrp_script:
  a: {<<: *one, script: own}
  b: {<<: [*one, *two]}
  c:
    rise: 9
    <<: {<<: *two, rise: 7}
"""
    document = bind(text, "agent.yaml")
    assert not document.diagnostics
    assert document.config.vrrp_script == {
        "a": VrrpScript(script="own", rise=1),
        "b": VrrpScript(script="one", rise=1, fall=2),
        "c": VrrpScript(script="two", rise=9, fall=2),
    }


def test_a_fault_behind_an_anchor_is_reported_once_where_it_stands() -> None:
    text = "x-a: &a {script: x, rise: many}\nvrrp_script:\n  a: *a\n  b: *a\n"
    assert [(line, column) for line, column, *_ in faults(text)] == [(1, 27)]


def test_aliases_that_multiply_are_stopped() -> None:
    lines = ["x-0: &a0 {script: x}"]
    for n in range(1, 9):
        lines.append(f"x-{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}")
    lines.append("vrrp_script: {a: *a8}")
    start = time.perf_counter()
    assert bind("\n".join(lines), "agent.yaml").diagnostics[-1].code == "alias-expansion"
    assert time.perf_counter() - start < 5


# -- comments ---------------------------------------------------------------------------------------------------------


def said(document: Document, *path: str | int) -> tuple[Any, Any, Any, Any]:
    origin = document.origin
    for key in path:
        assert origin.children is not None
        origin = origin.children[key]
    return origin.above, origin.behind, origin.at_end, origin.behind_close


def test_comments_stand_above_behind_and_at_the_end() -> None:
    text = """\
# file
# header
vrrp_script: # scripts
  # a's
  a: # an a
    script: "x # y"   # runs
    # nothing follows
  # no more scripts

# global
global_defs:
  router_id: x#y
  # } # closing

# end
"""
    document = bind(text, "agent.yaml")
    assert not document.diagnostics
    assert said(document, "vrrp_script") == (["file", "header"], "scripts", ["no more scripts"], None)
    assert said(document, "vrrp_script", "a") == (["a's"], "an a", ["nothing follows"], None)
    assert said(document, "vrrp_script", "a", "script") == (None, "runs", None, None)
    assert said(document, "global_defs") == (["global"], None, None, "closing")
    assert said(document, "global_defs", "router_id") == (None, None, None, None)
    assert document.origin.at_end == ["end"]


def test_comments_at_items_of_lists() -> None:
    text = """\
static_ipaddress:
# first
- 192.0.2.1 # one
-   # two
  # its address
  address: 192.0.2.2
  # ends it
# third
- {address: 192.0.2.3, # inside
   dev: eth0} # closes
"""
    document = bind(text, "agent.yaml")
    assert not document.diagnostics
    assert said(document, "static_ipaddress", 0) == (["first"], "one", None, None)
    assert said(document, "static_ipaddress", 1) == (None, "two", ["ends it"], None)
    assert said(document, "static_ipaddress", 1, "address") == (["its address"], None, None, None)
    assert said(document, "static_ipaddress", 2) == (["third"], "inside", None, None)
    assert said(document, "static_ipaddress", 2, "dev") == (None, "closes", None, None)


def test_comments_around_block_scalars() -> None:
    text = """\
global_defs:
  x-keepalived:
    - |- # header
      first # not a comment
      second
    # after
    - third
"""
    document = bind(text, "agent.yaml")
    assert document.config.global_defs.x_keepalived == ("first # not a comment\nsecond", "third")
    assert said(document, "global_defs", "x-keepalived", 0) == (None, "header", None, None)
    assert said(document, "global_defs", "x-keepalived", 1) == (["after"], None, None, None)


def test_places_of_values_keywords_and_names() -> None:
    document = bind("vrrp_script:\n  a:\n    script: /bin/x\n", "agent.yaml")
    place = document.origin.find(("vrrp_script", "a", "script")).place
    assert (place.file, place.line, place.column, place.length) == ("agent.yaml", 3, 13, 6)
    assert document.origin.find(("vrrp_script", "a")).place.line == 2


# -- includes ---------------------------------------------------------------------------------------------------------


def test_includes_are_kept_for_the_loader() -> None:
    document = bind("include:\n  - a.yaml\n  - conf.d/*.yaml\n", "agent.yaml")
    assert not document.diagnostics
    assert [(i.pattern, i.place.line) for i in document.includes] == [("a.yaml", 2), ("conf.d/*.yaml", 3)]
    assert [i.pattern for i in bind("include: a.yaml", "agent.yaml").includes] == ["a.yaml"]
    assert bind("include: {a: b}", "agent.yaml").errors
    assert bind("global_defs: {include: b}", "agent.yaml").errors


def test_equal_blocks_of_real_servers_are_one() -> None:
    server = "- {{fwmark: {0}, real_server: [{{address: 192.0.2.{0}, TCP_CHECK: {{retry: {1}}}}}]}}\n"
    text = "virtual_server:\n" + "".join(server.format(*said) for said in ((1, 1), (2, 1), (3, 2)))
    reals = [server.real_server[0] for server in bind(text, "f").config.virtual_server]
    first, second, third = (real.tcp_check[0] for real in reals)
    assert first is second
    assert (first.retry, third.retry) == (1, 2)
    assert [real.address for real in reals] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]

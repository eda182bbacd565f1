"""What is carried as text, and what is left out."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from support.conversion import codes
from support.reading import instance, only_instance, only_script, read, script


def test_an_address_that_is_none_is_carried():
    reading = instance(" virtual_ipaddress {\n 10.0.0.1\n 10.0.0.300 # typo\n }")
    value = only_instance(reading)
    assert [a.address for a in value.virtual_ipaddress] == ["10.0.0.1"]
    assert value.x_keepalived == ("virtual_ipaddress {\n  10.0.0.300 # typo\n}",)
    assert codes(reading.document.diagnostics) == [("invalid-value", 6, "carried")]


def test_a_group_of_addresses_without_a_good_one_is_carried_as_a_whole():
    reading = read("foo\nvirtual_server_group g { # x\n bad # y\n}\nglobal_defs {\n}\n")
    assert reading.document.config.virtual_server_group is UNSET
    assert reading.document.config.x_keepalived == ("foo", "virtual_server_group g { # x\n  bad # y\n}")
    assert list(reading.document.origin.children) == ["global_defs", "x-keepalived"]


def test_a_bad_address_of_a_group_is_left_out():
    # A second block with the name is another group to keepalived, and an empty one.
    reading = read("virtual_server_group g {\n 10.0.0.1 80\n bad\n}\n")
    assert len(reading.document.config.virtual_server_group["g"]) == 1
    assert reading.document.config.x_keepalived is UNSET
    assert codes(reading.document.diagnostics) == [("invalid-value", 3, "repaired")]


def test_comments_of_what_is_left_out_stay_in_its_block():
    text = "virtual_server_group g {\n # one\n 10.0.0.1 80\n # two\n 10.0.0.x 80 # bad\n # three\n 10.0.0.3 80\n"
    text += " 10.0.0.y 80 # last\n # end\n}\n"
    reading = read(text)
    assert [d.effect.value for d in reading.document.diagnostics] == ["repaired", "repaired"]
    group = reading.document.origin.child("virtual_server_group").child("g")
    assert (group.child(0).above, group.child(1).above) == (["one"], ["two", "bad", "three"])
    assert group.at_end == ["last", "end"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("weigth 2", "did you mean `weight`?"),
        ("Interval 2", "did you mean `interval`?"),
        ("virtual_router_id 3", "it belongs in `vrrp_instance`"),
        ("qqqqqq", ""),
    ],
)
def test_unknown_keywords_are_carried(line: str, hint: str):
    reading = script(f" {line}")
    assert only_script(reading).x_keepalived == (line,)
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.effect.value) == ("unknown-keyword", "carried")
    assert hint in finding.hint
    assert bool(finding.hint) == bool(hint)


def test_an_unknown_block_is_carried_with_its_comments():
    reading = read('global_defs {\n}\n# a\nfoo bar { # b\n  # c\n  x "y # z" # d\n  e {\n  }\n  # f\n} # g\n')
    text = 'foo bar { # b\n  # c\n  x "y # z" # d\n  e {\n  }\n  # f\n} # g'
    assert reading.document.config.x_keepalived == (text,)
    assert reading.document.origin.find(("x-keepalived", 0)).above == ["a"]


def test_keywords_of_old_say_what_replaces_them():
    reading = read("global_defs {\n lvs_id LB1\n}\n")
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.effect.value) == ("legacy-keyword", "carried")
    assert "router_id" in finding.hint
    assert reading.document.config.global_defs.x_keepalived == ("lvs_id LB1",)


def test_a_value_block_without_its_brace_takes_what_follows():
    # keepalived: "Block track_interface has extra parameters eth0", "tracked interface auth_type doesn't exist"
    reading = instance(" track_interface eth0\n authentication {\n auth_type PASS\n }\n priority 3")
    value = only_instance(reading)
    assert value.x_keepalived == ("track_interface eth0\nauthentication {\n  auth_type PASS\n}",)
    assert value.authentication is UNSET
    assert value.priority == 3
    assert codes(reading.document.diagnostics) == [("missing-brace", 4, "carried")]


def test_a_value_block_without_its_brace_that_would_end_its_parent_is_refused():
    reading = instance(" track_interface eth0\n priority 3")
    assert codes(reading.document.errors) == [("missing-brace", 4, "refused")]


def test_what_is_carried_stands_last():
    # The way back writes it last: so a repeated keyword never comes before the one that counts.
    reading = script(" bogus 1\n interval 2")
    block = reading.document.origin.find(("vrrp_script", "s"))
    assert list(block.children) == ["script", "interval", "x-keepalived"]


def test_a_second_process_of_a_tracked_process_is_carried_as_keepalived_ignores_it():
    reading = read("vrrp_track_process p {\n process agent --one\n process other\n}\n")
    value = reading.document.config.vrrp_track_process["p"]
    assert (value.process, value.x_keepalived) == (("agent", "--one"), ("process other",))
    assert codes(reading.document.diagnostics) == [("duplicate-keyword", 3, "carried")]

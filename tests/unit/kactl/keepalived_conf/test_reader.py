"""Blocks and lines of a keepalived.conf, as keepalived takes them."""

from __future__ import annotations

from msgspec import UNSET

from support.conversion import codes
from support.reading import instance, only_instance, only_script, read, script


def test_values_are_read_by_the_schema():
    reading = script(" interval 2.5\n weight -20 reverse\n init_fail")
    value = only_script(reading)
    assert (value.script, value.interval, value.init_fail) == ("/bin/true", 2_500_000, True)
    assert (value.weight.weight, value.weight.reverse) == (-20, True)
    assert value.rise is UNSET
    assert reading.document.diagnostics == []


def test_places_and_comments_stand_at_the_origin():
    reading = read(
        "# top\nvrrp_script s { # open\n  # above\n  script /bin/true # behind\n  # last\n} # close\n# end\n"
    )
    origin = reading.document.origin
    block = origin.find(("vrrp_script", "s"))
    assert (block.above, block.behind, block.at_end, block.behind_close) == (["top"], "open", ["last"], "close")
    line = block.find(("script",))
    assert (line.above, line.behind, line.line, line.column) == (["above"], "behind", 4, 3)
    assert origin.at_end == ["end"]


# What keepalived 2.2.7 does with these was seen in its state dump and its messages.


def test_the_last_of_two_lines_counts():
    reading = script(" interval 2\n interval 3")
    assert only_script(reading).interval == 3_000_000
    assert codes(reading.document.diagnostics) == [("duplicate-keyword", 4, "repaired")]


def test_of_two_notify_scripts_the_first_counts():
    reading = instance(" notify /bin/a\n notify /bin/b")
    value = only_instance(reading)
    assert value.notify.command == "/bin/a"
    assert value.x_keepalived == ("notify /bin/b",)
    assert codes(reading.document.diagnostics) == [("duplicate-keyword", 5, "carried")]


def test_of_two_blocks_with_one_name_the_first_counts():
    reading = read("vrrp_script s {\n script /bin/a\n}\nvrrp_script s {\n script /bin/b\n}\n")
    assert only_script(reading).script == "/bin/a"
    assert reading.document.config.x_keepalived == ("vrrp_script s {\n  script /bin/b\n}",)
    assert codes(reading.document.diagnostics) == [("duplicate-name", 4, "carried")]


def test_value_blocks_add_up():
    reading = instance(" virtual_ipaddress {\n 10.0.0.1\n }\n virtual_ipaddress {\n 10.0.0.2/24 dev eth1\n }")
    assert [a.address for a in only_instance(reading).virtual_ipaddress] == ["10.0.0.1", "10.0.0.2/24"]
    assert reading.document.diagnostics == []


def test_blocks_of_keywords_add_up():
    reading = read("global_defs {\n router_id a\n}\nglobal_defs {\n enable_traps\n}\n")
    value = reading.document.config.global_defs
    assert (value.router_id, value.enable_traps) == ("a", True)


def test_words_on_the_header_of_a_value_block_are_ignored():
    reading = instance(" virtual_ipaddress extra {\n 10.0.0.6\n }")
    assert [a.address for a in only_instance(reading).virtual_ipaddress] == ["10.0.0.6"]
    assert codes(reading.document.diagnostics) == [("extra-words", 4, "repaired")]


def test_header_words_of_a_virtual_server():
    text = "virtual_server 10.0.0.1 80 {{\n real_server 10.0.0.2 8080 {{\n weight 3\n }}\n}}\n{}"
    reading = read(text.format("virtual_server fwmark 7 {\n}\nvirtual_server group g {\n}\n"))
    first, second, third = reading.document.config.virtual_server
    assert (first.address, first.port, second.fwmark, third.group) == ("10.0.0.1", 80, 7, "g")
    assert (first.real_server[0].address, first.real_server[0].port) == ("10.0.0.2", 8080)


def test_a_block_without_a_usable_header_is_carried():
    reading = read("vrrp_instance {\n state MASTER\n}\nvirtual_server fwmark x {\n lb_algo rr\n}\nglobal_defs {\n}\n")
    assert reading.document.config.x_keepalived == (
        "vrrp_instance {\n  state MASTER\n}",
        "virtual_server fwmark x {\n  lb_algo rr\n}",
    )
    assert codes(reading.document.diagnostics) == [("invalid-header", 1, "carried"), ("invalid-header", 4, "carried")]


def test_an_incomplete_block_says_which_line_is_to_blame():
    reading = read("vrrp_instance V {\n interface eth0\n virtual_router_id ID\n mcast_src_ip x\n}\n")
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.place.line) == ("incomplete-block", 1)
    assert "no usable `virtual_router_id`" in finding.message
    assert finding.hint.startswith("line 3: `ID` is not a whole number")
    assert "line 4" not in finding.hint


def test_an_incomplete_block_is_carried_as_a_whole():
    reading = read("vrrp_script s {\n interval 2 # fast\n}\nglobal_defs {\n}\n")
    assert reading.document.config.vrrp_script is UNSET
    assert reading.document.config.x_keepalived == ("vrrp_script s {\n  interval 2 # fast\n}",)
    assert codes(reading.document.diagnostics) == [("incomplete-block", 1, "carried")]
    assert reading.document.origin.find(("vrrp_script",)) is reading.document.origin


def test_a_block_without_braces_is_refused():
    reading = read("vrrp_instance V\nglobal_defs {\n}\n")
    assert codes(reading.document.errors) == [("missing-brace", 1, "refused")]


def test_a_line_with_braces_is_refused():
    reading = instance(" priority 100 {\n }\n virtual_ipaddress {\n 10.0.0.1 {\n }\n }")
    assert codes(reading.document.errors) == [("unexpected-block", 4, "refused"), ("unexpected-block", 7, "refused")]

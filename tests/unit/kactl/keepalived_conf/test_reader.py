from __future__ import annotations

import pytest
from msgspec import UNSET

from kactl.keepalived_conf.account import Account, Outcome
from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import expand
from kactl.keepalived_conf.reader import Reading, read_directives
from kactl.keepalived_conf.tree import Directive, Word
from kactl_agent.config.diagnostics import Severity
from support.conversion import codes


def read(text: str) -> Reading:
    expansion = expand(parse_source(text.encode(), "f"))
    assert not expansion.findings
    reading = read_directives(expansion.directives, expansion.at_end, {})
    assert sum(reading.account.counts(expansion.directives).values()) > 0
    return reading


def script(lines: str) -> Reading:
    return read(f"vrrp_script s {{\n script /bin/true\n{lines}\n}}\n")


def only_script(reading: Reading) -> object:
    return reading.document.config.vrrp_script["s"]


INSTANCE = "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n{}\n}}\n"


def instance(lines: str) -> Reading:
    return read(INSTANCE.format(lines))


def only_instance(reading: Reading) -> object:
    return reading.document.config.vrrp_instance["V"]


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


def test_words_behind_a_value_are_ignored_and_said():
    reading = script(" interval 3 4 5")
    assert only_script(reading).interval == 3_000_000
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.place.line, finding.place.column, finding.place.length) == ("extra-words", 3, 13, 3)


def test_a_flag_ignores_its_argument():
    reading = instance(" nopreempt off")
    assert only_instance(reading).nopreempt is True
    assert codes(reading.document.diagnostics) == [("extra-words", 4, "repaired")]


def test_words_on_the_header_of_a_value_block_are_ignored():
    reading = instance(" virtual_ipaddress extra {\n 10.0.0.6\n }")
    assert [a.address for a in only_instance(reading).virtual_ipaddress] == ["10.0.0.6"]
    assert codes(reading.document.diagnostics) == [("extra-words", 4, "repaired")]


def test_an_unknown_option_of_an_address_is_ignored_alone():
    reading = instance(" virtual_ipaddress {\n 10.0.0.1 foo dev eth1\n 10.0.0.2 10.0.0.3\n }")
    addresses = only_instance(reading).virtual_ipaddress
    assert [(a.address, a.dev) for a in addresses] == [("10.0.0.1", "eth1"), ("10.0.0.2", UNSET)]
    assert codes(reading.document.diagnostics) == [("extra-words", 5, "repaired"), ("extra-words", 6, "repaired")]


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


def test_state_is_case_sensitive_and_silently_backup():
    reading = instance(" state Master")
    assert only_instance(reading).state == "BACKUP"
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.effect.value, finding.severity) == ("repaired-value", "repaired", Severity.WARNING)
    assert "BACKUP" in finding.message
    assert "MASTER" in finding.hint


def test_passwords_are_cut_and_never_shown():
    reading = instance(" authentication {\n auth_type PASS\n auth_pass 12345678secret\n }")
    assert only_instance(reading).authentication.auth_pass == "12345678"
    (finding,) = reading.document.diagnostics
    assert codes([finding]) == [("repaired-value", 6, "repaired")]
    assert "1234" not in finding.message + finding.hint


def test_a_name_takes_any_number_of_words_in_groups():
    reading = read("vrrp_sync_group G {\n group {\n A B\n C\n }\n}\n")
    assert reading.document.config.vrrp_sync_group["G"].group == ("A", "B", "C")


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


def test_a_name_in_braces_that_is_not_defined_is_the_reason_for_a_block():
    for line, column in ((" priority ${PRIO}", 11), (" virtual_ipaddress {\n  ${PRIO}/24\n }", 3)):
        (finding,) = instance(line).document.errors
        assert (finding.code, finding.place.column) == ("unexpected-block", column)
        assert finding.message.startswith("`${PRIO}` is not defined")
        assert finding.hint.endswith("--define PRIO=VALUE")


def test_a_default_that_keepalived_does_not_take_may_be_left_out():
    # "vrrp_garp_interval '0' is invalid" (2.2.7); so it stands in the configuration that many distributions ship
    (finding,) = read("global_defs {\n vrrp_garp_interval 0\n}\n").document.diagnostics
    assert (finding.code, finding.hint) == ("invalid-value", "leave it out: 0 is the default")


def test_comments_of_what_is_left_out_stay_in_its_block():
    text = "virtual_server_group g {\n # one\n 10.0.0.1 80\n # two\n 10.0.0.x 80 # bad\n # three\n 10.0.0.3 80\n"
    text += " 10.0.0.y 80 # last\n # end\n}\n"
    reading = read(text)
    assert [d.effect.value for d in reading.document.diagnostics] == ["repaired", "repaired"]
    group = reading.document.origin.child("virtual_server_group").child("g")
    assert (group.child(0).above, group.child(1).above) == (["one"], ["two", "bad", "three"])
    assert group.at_end == ["last", "end"]


def test_a_second_keyword_on_a_line_has_a_hint():
    # keepalived 2.2.7 takes `path /x` and says nothing about the rest
    check = "virtual_server 10.0.0.9 80 {\n protocol TCP\n real_server 10.0.0.1 80 {\n HTTP_GET {\n"
    reading = read(check + "url { path /x status_code 200 }\n}\n}\n}\n")
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.hint) == ("extra-words", "`status_code` needs a line of its own")


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


def test_deprecated_spellings_are_converted():
    reading = read("global_defs {\n lvs_flush_onstop\n}\n")
    assert reading.document.config.global_defs.lvs_flush_on_stop is True
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.effect.value, finding.severity.value) == ("deprecated-keyword", "converted", "note")
    assert "`lvs_flush_on_stop`" in finding.message


@pytest.mark.parametrize("keyword", ["interface", "priority", "auth_pass", "unicast_src_ip", "advert_int"])
def test_a_keyword_without_its_value_is_refused(keyword: str):
    lines = f" authentication {{\n {keyword}\n }}" if keyword == "auth_pass" else f" {keyword}"
    reading = instance(lines)
    errors = [d for d in reading.document.errors if d.code == "missing-value"]
    assert [(d.place.line, d.effect.value) for d in errors] == [(5 if keyword == "auth_pass" else 4, "refused")]


def test_a_block_without_braces_is_refused():
    reading = read("vrrp_instance V\nglobal_defs {\n}\n")
    assert codes(reading.document.errors) == [("missing-brace", 1, "refused")]


def test_a_line_with_braces_is_refused():
    reading = instance(" priority 100 {\n }\n virtual_ipaddress {\n 10.0.0.1 {\n }\n }")
    assert codes(reading.document.errors) == [("unexpected-block", 4, "refused"), ("unexpected-block", 7, "refused")]


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


def test_commands_are_one_quoted_word():
    reading = instance(""" notify "/bin/n.sh 'a b' \\"c\\"" root wheel""")
    notify = only_instance(reading).notify
    assert (notify.command, notify.user, notify.group) == ("""/bin/n.sh 'a b' "c\"""", "root", "wheel")


def test_a_command_with_unquoted_arguments_runs_as_its_second_word():
    # The classic mistake: keepalived takes the argument for the user.
    reading = instance(" notify /bin/n.sh master")
    notify = only_instance(reading).notify
    assert (notify.command, notify.user) == ("/bin/n.sh", "master")


def test_a_single_quote_left_open_is_refused():
    reading = instance(" notify '/bin/n.sh a")
    assert codes(reading.document.errors) == [("unterminated-quote", 4, "refused")]


def test_what_is_carried_stands_last():
    # The way back writes it last: so a repeated keyword never comes before the one that counts.
    reading = script(" bogus 1\n interval 2")
    block = reading.document.origin.find(("vrrp_script", "s"))
    assert list(block.children) == ["script", "interval", "x-keepalived"]


def test_every_statement_is_accounted_for():
    text = "vrrp_script s {\n script x\n interval 1\n interval 2 3\n weight 999\n}\nfoo {\n bar\n}\nvrrp_instance V\n"
    expansion = expand(parse_source(text.encode(), "f"))
    reading = read_directives(expansion.directives, [], {})
    counts = reading.account.counts(expansion.directives)
    assert counts == {Outcome.CONVERTED: 2, Outcome.REPAIRED: 2, Outcome.CARRIED: 3, Outcome.REFUSED: 1}


def test_the_account_fails_loudly():
    account = Account()
    one = Directive([Word("a", 1)], "a", "f", 1)
    with pytest.raises(RuntimeError, match="not accounted for"):
        account.verify([one])
    account.mark(one)
    account.verify([one])
    with pytest.raises(RuntimeError, match="twice"):
        account.mark(one)


def test_an_ignored_word_of_a_group_is_left_out():
    # keepalived takes the first group block only, and loses its place in the file behind a second one.
    text = "vrrp_sync_group G {\n group {\n A B C\n }\n}\n"
    expansion = expand(parse_source(text.encode(), "f"))
    line = expansion.directives[0].children[0].children[0]
    reading = read_directives(expansion.directives, [], {}, frozenset([(id(line), 1)]))
    group = reading.document.config.vrrp_sync_group["G"]
    assert (group.group, group.x_keepalived) == (("A", "C"), UNSET)


def test_a_second_process_of_a_tracked_process_is_carried_as_keepalived_ignores_it():
    reading = read("vrrp_track_process p {\n process agent --one\n process other\n}\n")
    value = reading.document.config.vrrp_track_process["p"]
    assert (value.process, value.x_keepalived) == (("agent", "--one"), ("process other",))
    assert codes(reading.document.diagnostics) == [("duplicate-keyword", 3, "carried")]


def test_words_behind_the_ways_of_a_route_are_ignored_as_keepalived_does():
    reading = read("static_routes {\n 10.1.0.0/24 nexthop via 10.9.9.2 dev eth0 weight 5 congctl cubic metric 7\n}\n")
    (route,) = reading.document.config.static_routes
    assert (len(route.nexthop), route.congctl, route.metric) == (1, UNSET, UNSET)
    assert codes(reading.document.diagnostics) == [("extra-words", 2, "repaired")]

"""The values of lines and entries, as keepalived takes them: seen in the state dump and messages of 2.2.7."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import expand
from kactl.keepalived_conf.reader import read_directives
from kactl_agent.config.diagnostics import Severity
from support.conversion import codes
from support.reading import instance, only_instance, only_script, read, script


def test_words_behind_a_value_are_ignored_and_said():
    reading = script(" interval 3 4 5")
    assert only_script(reading).interval == 3_000_000
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.place.line, finding.place.column, finding.place.length) == ("extra-words", 3, 13, 3)


def test_a_flag_ignores_its_argument():
    reading = instance(" nopreempt off")
    assert only_instance(reading).nopreempt is True
    assert codes(reading.document.diagnostics) == [("extra-words", 4, "repaired")]


def test_an_unknown_option_of_an_address_is_ignored_alone():
    reading = instance(" virtual_ipaddress {\n 10.0.0.1 foo dev eth1\n 10.0.0.2 10.0.0.3\n }")
    addresses = only_instance(reading).virtual_ipaddress
    assert [(a.address, a.dev) for a in addresses] == [("10.0.0.1", "eth1"), ("10.0.0.2", UNSET)]
    assert codes(reading.document.diagnostics) == [("extra-words", 5, "repaired"), ("extra-words", 6, "repaired")]


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


def test_a_default_that_keepalived_does_not_take_may_be_left_out():
    # "vrrp_garp_interval '0' is invalid" (2.2.7); so it stands in the configuration that many distributions ship
    (finding,) = read("global_defs {\n vrrp_garp_interval 0\n}\n").document.diagnostics
    assert (finding.code, finding.hint) == ("invalid-value", "leave it out: 0 is the default")


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


def test_an_ignored_word_of_a_group_is_left_out():
    # keepalived takes the first group block only, and loses its place in the file behind a second one.
    text = "vrrp_sync_group G {\n group {\n A B C\n }\n}\n"
    expansion = expand(parse_source(text.encode(), "f"))
    line = expansion.directives[0].children[0].children[0]
    reading = read_directives(expansion.directives, [], {}, frozenset([(id(line), 1)]))
    group = reading.document.config.vrrp_sync_group["G"]
    assert (group.group, group.x_keepalived) == (("A", "C"), UNSET)


def test_words_behind_the_ways_of_a_route_are_ignored_as_keepalived_does():
    reading = read("static_routes {\n 10.1.0.0/24 nexthop via 10.9.9.2 dev eth0 weight 5 congctl cubic metric 7\n}\n")
    (route,) = reading.document.config.static_routes
    assert (len(route.nexthop), route.congctl, route.metric) == (1, UNSET, UNSET)
    assert codes(reading.document.diagnostics) == [("extra-words", 2, "repaired")]


@pytest.mark.parametrize("keyword", ["interface", "priority", "auth_pass", "unicast_src_ip", "advert_int"])
def test_a_keyword_without_its_value_is_refused(keyword: str):
    lines = f" authentication {{\n {keyword}\n }}" if keyword == "auth_pass" else f" {keyword}"
    reading = instance(lines)
    errors = [d for d in reading.document.errors if d.code == "missing-value"]
    assert [(d.place.line, d.effect.value) for d in errors] == [(5 if keyword == "auth_pass" else 4, "refused")]

"""Entries of static_rules and virtual_rules, as keepalived 2.2.7 takes them (-t, dump)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.rules import RuleEntry, StaticRuleEntry
from kactl_agent.config.schema.vrrp import VrrpInstance
from support.keyword_lines import fault, from_yaml, same, taken


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("from 10.0.0.0/8 preference 5 table 7", {"from_": "10.0.0.0/8", "preference": 5, "table": "7"}),
        ("not from all to 10.0.0.0/8 table main", {"not_": True, "from_": "all", "to": "10.0.0.0/8", "table": "main"}),
        ("fwmark 5/0xff table 7", {"fwmark": "5/0xff", "table": "7"}),
        ("tos 16 dev eth0 oif eth1 table 7", {"tos": "16", "dev": "eth0", "oif": "eth1", "table": "7"}),
        (
            "tunnel-id 5 uidrange 5-6 ipproto tcp table 7",
            {"tunnel_id": 5, "uidrange": "5-6", "ipproto": "tcp", "table": "7"},
        ),
        ("sport 5-6 dport 7-8 table 7", {"sport": "5-6", "dport": "7-8", "table": "7"}),
        (
            "table 7 realms 5/6 suppress_prefixlength 0 suppress_ifgroup 5",
            {"table": "7", "realms": "5/6", "suppress_prefixlength": 0, "suppress_ifgroup": "5"},
        ),
        ("l3mdev", {"l3mdev": True}),
        ("preference 5 goto 40", {"preference": 5, "goto": 40}),
        ("blackhole protocol 5 no_track", {"blackhole": True, "protocol": 5, "no_track": True}),
        ("from 10.0.0.0/8 prohibit", {"from_": "10.0.0.0/8", "prohibit": True}),
        ("table 7 no_track inet6", {"table": "7", "no_track": True, "inet6": True}),
    ],
)
def test_both_kinds(line: str, value: dict[str, Any]) -> None:
    same(Config, "static_rules", line, StaticRuleEntry(**value))
    same(VrrpInstance, "virtual_rules", line, RuleEntry(**value))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("iif eth0 lookup 7 order 3", {"dev": "eth0", "table": "7", "preference": 3}),
        ("from any type unreachable", {"from_": "any", "unreachable": True}),
        ("priority 0x10 nop", {"preference": 16, "nop": True}),
        ("preference 010 dsfield 010 table 7", {"preference": 8, "tos": "8", "table": "7"}),
        (
            "table 7 sup_pl 8 sup_group default",
            {"table": "7", "suppress_prefixlength": 8, "suppress_ifgroup": "default"},
        ),
    ],
)
def test_other_spellings(line: str, value: dict[str, Any]) -> None:
    assert taken(Config, "static_rules", line) == StaticRuleEntry(**value)


@pytest.mark.parametrize(
    "option",
    [
        "to foo",
        "table 0",
        "preference x",
        "preference 4294967296",
        "fwmark x",
        "tos 300",
        "tunnel-id 0x10",
        "uidrange 5",
        "realms 5/300",
        "suppress_prefixlength x",
        "goto 0x50",
    ],
)
def test_mistakes_cost_the_rule(option: str) -> None:
    assert fault(Config, "static_rules", f"from 10.0.0.0/8 {option}").taken is UNSET
    assert RuleEntry.whole_line
    assert table_of(RuleEntry).by_word[option.split()[0]].keyword.bad_value is None


@pytest.mark.parametrize("option", ["protocol 256", "protocol static", "ipproto 300", "sport 5", "dport 9"])
def test_mistakes_that_cost_the_option_alone(option: str) -> None:
    assert fault(Config, "static_rules", f"table 7 {option}").taken is UNSET
    assert table_of(RuleEntry).by_word[option.split()[0]].keyword.bad_value == "option"


def test_one_port_is_mended_in_yaml() -> None:
    # keepalived refuses `sport 80` (behaviour P3) and keeps the rule without it; YAML may say it.
    assert from_yaml(RuleEntry, "sport", "80") == "80-80"


def test_repairs() -> None:
    assert fault(Config, "static_rules", "from 10.0.0.0/33 table 7").taken == "10.0.0.0/32"
    assert fault(Config, "static_rules", "iif abcdefghijklmnopqrstu table 7").taken == "abcdefghijklmno"


def test_a_rule_has_no_address_of_its_own() -> None:
    with pytest.raises(AssertionError, match=r"10\.0\.0\.0/8"):
        taken(Config, "static_rules", "10.0.0.0/8 table 5")

"""Entries of static_ipaddress and virtual_ipaddress, as keepalived 2.2.7 takes them (-t, dump)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.addresses import AddressEntry, StaticAddressEntry
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.vrrp import VrrpInstance
from support.keyword_lines import fault, same, taken


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("10.0.0.1", {"address": "10.0.0.1"}),
        ("10.0.0.1/24 dev eth0", {"address": "10.0.0.1/24", "dev": "eth0"}),
        ("10.0.0.1/24 broadcast +", {"address": "10.0.0.1/24", "broadcast": "+"}),
        ("10.0.0.1/24 broadcast 10.0.0.255", {"address": "10.0.0.1/24", "broadcast": "10.0.0.255"}),
        ("10.0.0.1/24 scope link label eth0:1", {"address": "10.0.0.1/24", "scope": "link", "label": "eth0:1"}),
        ("10.0.0.1 peer 10.0.0.2/30", {"address": "10.0.0.1", "peer": "10.0.0.2/30"}),
        (
            "2001:db8::1/64 home -nodad mngtmpaddr noprefixroute autojoin no_track preferred_lft forever",
            {
                "address": "2001:db8::1/64",
                "home": True,
                "nodad": True,
                "mngtmpaddr": True,
                "noprefixroute": True,
                "autojoin": True,
                "no_track": True,
                "preferred_lft": "forever",
            },
        ),
    ],
)
def test_both_kinds(line: str, value: dict[str, Any]) -> None:
    same(Config, "static_ipaddress", line, StaticAddressEntry(**value))
    same(VrrpInstance, "virtual_ipaddress", line, AddressEntry(**value))
    same(VrrpInstance, "virtual_ipaddress_excluded", line, AddressEntry(**value))


def test_what_only_one_kind_has() -> None:
    same(Config, "static_ipaddress", "10.0.0.1 track_group g", StaticAddressEntry(address="10.0.0.1", track_group="g"))
    same(VrrpInstance, "virtual_ipaddress", "10.0.0.1 use_vmac", AddressEntry(address="10.0.0.1", use_vmac=True))
    assert "use_vmac" not in table_of(StaticAddressEntry).by_word
    assert "track_group" not in table_of(AddressEntry).by_word


def test_short_spelling() -> None:
    assert taken(Config, "static_ipaddress", "10.0.0.1/24 brd -").broadcast == "-"


@pytest.mark.parametrize("line", ["dev eth0 10.0.0.1/24", "default dev eth0", "any", "10.0.0.15-20/24"])
def test_the_address_comes_first(line: str) -> None:
    found = fault(Config, "static_ipaddress", line)
    assert (found.word, found.taken) == (0, UNSET)


def test_mistakes_that_cost_the_address() -> None:
    table = table_of(AddressEntry)
    for name, bad in (("broadcast", "foo"), ("label", "eth0:aaaaaaaaaaaaaaaa")):
        assert fault(Config, "static_ipaddress", f"10.0.0.1/24 {name} {bad}").taken is UNSET
        assert table.by_name[name].keyword.bad_value == "line"
    assert table.by_name["dev"].keyword.drops_line, "a second dev costs the address"


@pytest.mark.parametrize("option", ["scope 300", "peer foo", "preferred_lft 1.5", "preferred_lft 5s"])
def test_mistakes_that_cost_the_option(option: str) -> None:
    found = fault(Config, "static_ipaddress", f"10.0.0.1/24 {option}")
    assert found.word == 2
    keyword = table_of(AddressEntry).by_name[option.split()[0]].keyword
    assert (keyword.bad_value, keyword.drops_line) == (None, False)
    assert not AddressEntry.whole_line

from __future__ import annotations

import pytest
from msgspec import UNSET

from kactl.keepalived_conf.lines import LineFault, LineReading, read_value
from kactl_agent.config.diagnostics import Effect
from kactl_agent.config.schema.addresses import AddressEntry
from kactl_agent.config.schema.routes import RouteEntry
from kactl_agent.config.schema.shapes import Choice, Duration, Integer, Line, Text, WordList
from kactl_agent.config.schema.vrrp import UnicastPeer


def read(shape: object, text: str) -> LineReading:
    return read_value(shape, ["keyword", *text.split()], 1)


def entry(struct: type, text: str) -> LineReading:
    return read_value(Line(struct), text.split(), 0)


def said(reading: LineReading) -> list[tuple[str, int, int]]:
    return [(r.code, r.word, r.count) for r in reading.repairs]


def test_a_good_line_needs_no_repair():
    assert read(Integer(1, 255), "100") == LineReading(100, [])


def test_what_keepalived_takes_instead_is_taken():
    reading = read(Integer(1, 255, otherwise=100), "256")
    assert reading.value == 100
    assert said(reading) == [("repaired-value", 1, 1)]
    assert "keepalived takes `100`" in reading.repairs[0].message


def test_rounding_is_a_repair():
    reading = read(Duration(decimals=2), "0.015")
    assert reading.value == 20_000
    assert said(reading) == [("repaired-value", 1, 1)]


def test_secrets_are_not_repeated():
    reading = read(Text("password", cut=8, secret=True), "longer-than-eight")
    assert reading.value == "longer-t"
    assert "longer" not in reading.repairs[0].message.replace("longer than", "")


def test_the_rest_of_a_line_is_ignored():
    reading = read(Choice(("MASTER", "BACKUP")), "MASTER a b")
    assert (reading.value, said(reading)) == ("MASTER", [("extra-words", 2, 2)])


def test_comments_of_other_languages_are_words():
    (repair,) = read(Integer(1, 255), "100 // master").repairs
    assert (repair.code, repair.count, repair.hint) == ("extra-words", 2, "a comment begins with `#` or `!`")


def test_a_bad_value_without_a_substitute_costs_the_line():
    with pytest.raises(LineFault) as caught:
        read(Integer(1, 255), "x 3")
    assert (caught.value.code, caught.value.word, caught.value.refused) == ("invalid-value", 1, False)


def test_a_missing_value_is_refused():
    with pytest.raises(LineFault) as caught:
        read(Integer(1, 255), "")
    assert (caught.value.code, caught.value.word, caught.value.refused) == ("missing-value", 0, True)


def test_unknown_words_of_an_address_are_left_out_one_by_one():
    reading = entry(AddressEntry, "10.0.0.1 foo dev eth1 bar")
    assert (reading.value.address, reading.value.dev) == ("10.0.0.1", "eth1")
    assert said(reading) == [("extra-words", 1, 4)]


def test_a_bad_option_of_a_peer_is_left_out_with_its_value():
    # keepalived 2.2.7: "number '300' outside range [0, 255]", and the peer stays with what else is said
    reading = entry(UnicastPeer, "10.0.0.10 min_ttl 300 max_ttl 20")
    assert (reading.value.address, reading.value.min_ttl, reading.value.max_ttl) == ("10.0.0.10", UNSET, 20)
    assert said(reading) == [("ignored-option", 1, 2)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("10.0.0.4 dev eth0 dev eth1", "duplicate-option"),  # "Cannot specify ipaddress device more than once"
        ("10.0.0.8 label abcdefghijklmnopqrs", "invalid-value"),  # "Address label ... - removing address"
        ("10.0.0.300", "invalid-value"),
    ],
)
def test_what_makes_keepalived_ignore_an_address(text: str, code: str):
    with pytest.raises(LineFault) as caught:
        entry(AddressEntry, text)
    assert (caught.value.code, caught.value.refused) == (code, False)


def test_an_unknown_word_makes_keepalived_ignore_a_route():
    with pytest.raises(LineFault) as caught:
        entry(RouteEntry, "10.1.0.0/24 via 10.0.0.254 foo dev eth1")
    assert (caught.value.code, caught.value.word) == ("unknown-option", 3)


def test_words_behind_the_ways_of_a_route_are_ignored_alone():
    # keepalived 2.2.7: "Route has trailing nonsense after nexthops - mtu", and the route is there without
    reading = entry(RouteEntry, "10.1.0.0/24 nexthop via 10.0.0.1 weight 1 nexthop via 10.0.0.2 weight 2 mtu 1000")
    assert (len(reading.value.nexthop), reading.value.mtu) == (2, UNSET)
    assert said(reading) == [("extra-words", 11, 2)]


def test_deprecated_options_are_named():
    reading = entry(RouteEntry, "10.1.0.0/24 gw 10.0.0.254")
    assert reading.value.via.address == "10.0.0.254"
    assert [(r.code, r.effect) for r in reading.repairs] == [("deprecated-keyword", Effect.CONVERTED)]


def test_a_list_reads_all_words():
    assert read(WordList(Integer()), "1 2 3").value == (1, 2, 3)

"""Scalars of networking: what they take, and what keepalived 2.2.7 (-t, dump) makes of the rest."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from kactl_agent.config.schema import network
from kactl_agent.config.schema.network import (
    DSFIELD,
    ROUTING_TABLE,
    RULE_TABLE,
    SCOPE,
    InterfaceName,
    IpAddress,
    IpPrefix,
    Lifetime,
    MacAddress,
    MarkAndMask,
    MplsLabels,
    NameOrNumber,
    NumberRange,
    Port,
    Realms,
    RouteTime,
    family_of,
)
from kactl_agent.config.schema.shapes import Scalar, ValueFault
from support.schema_strategies import values


def fault(shape: Scalar[str], text: str) -> ValueFault:
    with pytest.raises(ValueFault) as caught:
        shape.parse(text)
    return caught.value


SHAPES = [
    IpAddress(),
    IpAddress(4),
    IpAddress(6),
    IpAddress(4, words=("+", "-")),
    IpAddress(multicast=True),
    IpPrefix(),
    IpPrefix(words=("default",)),
    InterfaceName(),
    MacAddress(),
    ROUTING_TABLE,
    SCOPE,
    Realms(),
    MarkAndMask(),
    NumberRange("port", 65535),
    Lifetime(),
    RouteTime(),
    MplsLabels(),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{type(shape).__name__}-{shape.describe()}")
@given(data=st.data())
def test_canonical_text_stays_and_yaml_says_the_same(shape: Scalar[str], data: st.DataObject) -> None:
    value = data.draw(values(shape))
    assert shape.parse(shape.render(value)) == value
    assert shape.parse_yaml(str(shape.to_yaml(value))) == value


@given(st.ip_addresses(v=6))
def test_ipv6_is_canonical_in_any_spelling(address: ipaddress.IPv6Address) -> None:
    canonical = IpAddress().parse(str(address))
    assert IpAddress(6).parse(address.exploded.upper()) == canonical
    assert ipaddress.ip_address(canonical) == address
    assert family_of(canonical) == 6


def test_family_of() -> None:
    assert family_of("10.0.0.0/8") == 4


@pytest.mark.parametrize("text", ["10.0.1", "10.0.0.01", "10.0.0.256", "fe80::1%eth0", "host", "", "10.0.0.1 ", "::g"])
def test_what_is_no_address(text: str) -> None:
    assert fault(IpAddress(), text).taken is UNSET
    assert fault(IpPrefix(), text).taken is UNSET


def test_families_and_multicast() -> None:
    assert "IPv6" in fault(IpAddress(4), "::1").message
    assert "IPv4" in fault(IpPrefix(6), "10.0.0.1").message
    assert "multicast" in fault(IpAddress(4, multicast=True), "10.0.0.1").message
    assert "prefix" in fault(IpAddress(), "10.0.0.1/24").hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10.0.0.9/24", "10.0.0.9/24"),  # host bits stay
        ("10.0.0.9", "10.0.0.9"),  # a missing length stays missing
        ("10.0.0.9/024", "10.0.0.9/24"),
        ("2001:DB8:0::1/64", "2001:db8::1/64"),
    ],
)
def test_prefixes(text: str, value: str) -> None:
    assert IpPrefix().parse(text) == value


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("10.0.0.1/33", "10.0.0.1/32"),
        ("10.0.0.1/x", "10.0.0.1/32"),
        ("10.0.0.1/", "10.0.0.1/0"),
        ("2001:db8::1/129", "2001:db8::1/128"),
    ],
)
def test_a_bad_length_is_the_longest_to_keepalived(text: str, taken: str) -> None:
    assert fault(IpPrefix(), text).taken == taken


def test_a_filler_before_an_address() -> None:
    assert IpPrefix(filler="to").read(["to", "10.0.0.0/8", "via"], 0) == ("10.0.0.0/8", 2)
    assert IpAddress(filler="to").read(["10.0.0.1"], 0) == ("10.0.0.1", 1)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a b"])
def test_what_is_no_interface(text: str) -> None:
    assert fault(InterfaceName(), text).taken is UNSET


def test_a_long_interface_name_is_cut_by_keepalived() -> None:
    assert InterfaceName().parse("abcdefghijklmno") == "abcdefghijklmno"
    assert fault(InterfaceName(), "abcdefghijklmnop").taken == "abcdefghijklmno"


def test_mac_addresses() -> None:
    assert MacAddress().parse("0:1B:c:0d:0e:0f") == "00:1b:0c:0d:0e:0f"
    for text in ("00:11:22:33:44", "00:11:22:33:44:55:66", "00-11-22-33-44-55", "0g:11:22:33:44:55"):
        fault(MacAddress(), text)


def test_ports() -> None:
    assert (Port().parse("1"), Port().parse("65535"), Port(zero=True).parse("0")) == (1, 65535, 0)
    for text in ("0", "65536", "-1", "http", "1.0", "١"):
        with pytest.raises(ValueFault):
            Port().parse(text)


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (DSFIELD, "0x10", "16"),
        (DSFIELD, "10", "10"),  # keepalived shows 0xa for it: decimal, where ip(8) would read hexadecimal
        (DSFIELD, "010", "8"),
        (ROUTING_TABLE, "0x10", "16"),
        (ROUTING_TABLE, "main", "main"),
        (SCOPE, "link", "link"),
        (Realms(), "5/6", "5/6"),
        (Realms(), "0x10/0x11", "16/17"),
        (Realms(), "lan", "lan"),
        (MarkAndMask(), "5/0xFF", "5/0xff"),
        (Lifetime(), "007", "7"),
        (NumberRange("port", 65535), "0005-0006", "5-6"),
    ],
)
def test_numbers_and_names(shape: Scalar[str], text: str, value: str) -> None:
    assert shape.parse(text) == value


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (DSFIELD, "256"),
        (ROUTING_TABLE, "4294967296"),
        (ROUTING_TABLE, "-1"),
        (ROUTING_TABLE, "5x"),
        (RULE_TABLE, "0"),
        (SCOPE, "300"),
        (Realms(), "5/300"),
        (Realms(), "1/2/3"),
        (MarkAndMask(), "x"),
        (MarkAndMask(), "5/ff"),
        (MarkAndMask(), "0x100000000"),
        (Lifetime(), "5s"),
        (Lifetime(), "0x10"),
        (Lifetime(), "1.5"),
        (Lifetime(), "4294967296"),
        (NumberRange("port", 65535), "5"),
        (NumberRange("port", 65535), "6-5"),
        (NumberRange("port", 65535), "5-70000"),
        (RouteTime(), "10x"),
        (MplsLabels(), "1048576"),
        (MplsLabels(), "1/2/3"),
        (MplsLabels(), "1/"),
        (MplsLabels(), "x"),
        (RouteTime(), "s"),
    ],
)
def test_what_is_no_number_or_name(shape: Scalar[str], text: str) -> None:
    assert fault(shape, text).taken is UNSET


def test_a_time_without_unit_has_no_decimals() -> None:
    assert RouteTime().parse("0.5s") == "0.5s"
    assert fault(RouteTime(), "1.5").taken == "2"


def test_yaml_may_say_one_port_for_a_range() -> None:
    assert NumberRange("port", 65535, single=True).parse_yaml("80") == "80-80"
    fault(NumberRange("port", 65535, single=True), "80")
    with pytest.raises(ValueFault):
        NumberRange("uid", 65535).parse_yaml("80")


def test_numbers_are_numbers_in_yaml() -> None:
    assert ROUTING_TABLE.to_yaml("100") == 100
    assert ROUTING_TABLE.to_yaml("main") == "main"
    assert Realms().to_yaml("5") == 5
    assert MarkAndMask().to_yaml("5/0xff") == "5/0xff"
    assert MarkAndMask().to_yaml("010") == "010", "octal to keepalived: no number of YAML's"
    assert Lifetime().to_yaml("forever") == "forever"


def test_descriptions_name_the_limits() -> None:
    assert NameOrNumber("realm", maximum=255).describe() == "<realm name or 0..255>"
    assert IpAddress(4, words=("+", "-")).describe() == "<ipv4>|+|-"
    assert network.IpPrefix().describe() == "<ip>[/<length>]"

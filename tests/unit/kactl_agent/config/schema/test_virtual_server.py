"""Virtual and real servers: words, values, limits, and what keepalived 2.2.7 makes of what is beyond them."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.line import read_line, write_line
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.shapes import MissingWord, ValueFault
from kactl_agent.config.schema.virtual_server import GroupMember, LvsMethod, RealServer, SorryServer, VirtualServer
from support.keyword_lines import fault, from_yaml, in_yaml, same, shape_of, taken


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("10.1.1.1 80", VirtualServer(address="10.1.1.1", port=80)),
        ("10.1.1.1", VirtualServer(address="10.1.1.1")),
        ("10.1.1.1 0", VirtualServer(address="10.1.1.1", port=0)),
        ("2001:db8::1 443", VirtualServer(address="2001:db8::1", port=443)),
        ("fwmark 7", VirtualServer(fwmark=7)),
        ("group web", VirtualServer(group="web")),
    ],
)
def test_header(line: str, value: VirtualServer) -> None:
    words = line.split()
    assert read_line(VirtualServer, words, 0, header=True) == (value, len(words))
    assert write_line(value, header=True) == words


def test_header_does_not_take_the_keywords_of_the_block() -> None:
    with pytest.raises(ValueFault):
        read_line(VirtualServer, ["weight", "5"], 0, header=True)


@pytest.mark.parametrize("line", ["10.1.1.1 70000", "10.1.1.1 http", "foo 80", "10.1.1.1:80", "fe80::1%eth0 80"])
def test_headers_keepalived_skips(line: str) -> None:
    with pytest.raises(ValueFault) as caught:
        read_line(VirtualServer, line.split(), 0, header=True)
    assert caught.value.taken is UNSET


def test_prefix_of_a_header_is_dropped() -> None:
    with pytest.raises(ValueFault) as caught:
        read_line(VirtualServer, ["10.1.1.1/24", "80"], 0, header=True)
    assert caught.value.taken == "10.1.1.1"


def test_real_server_header() -> None:
    words = ["10.0.0.1", "8080"]
    assert read_line(RealServer, words, 0, header=True)[0] == RealServer(address="10.0.0.1", port=8080)
    with pytest.raises(MissingWord):
        read_line(RealServer, [], 0, header=True)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAT", LvsMethod(method="NAT")),
        ("DR", LvsMethod(method="DR")),
        ("TUN", LvsMethod(method="TUN")),
        ("TUN type gre csum", LvsMethod(method="TUN", type="gre", checksum="csum")),
        ("TUN type gue port 6080 remcsum", LvsMethod(method="TUN", type="gue", port=6080, checksum="remcsum")),
    ],
)
@pytest.mark.parametrize("keyword", ["lb_kind", "lvs_method", "sorry_server_lvs_method"])
def test_forwarding(keyword: str, line: str, value: LvsMethod) -> None:
    same(VirtualServer, keyword, line, value)


def test_forwarding_of_a_real_server_has_one_name() -> None:
    same(RealServer, "lvs_method", "DR", LvsMethod(method="DR"))
    assert "lb_kind" not in table_of(RealServer).by_word
    assert table_of(RealServer).legacy["lb_kind"].replaced_by == "lvs_method"


@pytest.mark.parametrize("line", ["nat", "FNAT", "masq"])
def test_other_forwarding_is_ignored(line: str) -> None:
    assert fault(VirtualServer, "lb_kind", line).taken is UNSET


def test_checksum_may_stand_before_the_port() -> None:
    value = LvsMethod(method="TUN", type="gue", port=6080, checksum="csum")
    assert taken(VirtualServer, "lb_kind", "TUN type gue csum port 6080") == value


def test_bad_tunnel_options_name_their_word() -> None:
    assert fault(VirtualServer, "lb_kind", "TUN type foo").word == 2
    assert fault(VirtualServer, "lb_kind", "TUN type gue port 99999").word == 4


@pytest.mark.parametrize("keyword", ["lb_algo", "lvs_sched"])
def test_schedulers(keyword: str) -> None:
    same(VirtualServer, keyword, "wlc", "wlc")
    same(VirtualServer, keyword, "twos", "twos")
    for word in ("WLC", "foo"):
        assert fault(VirtualServer, keyword, word).taken is UNSET


@pytest.mark.parametrize("word", ["tcp", "Tcp", "TCP"])
def test_protocol_in_any_case(word: str) -> None:
    assert taken(VirtualServer, "protocol", word) == "TCP"
    assert fault(VirtualServer, "protocol", "ICMP").taken is UNSET


def test_persistence_timeout() -> None:
    same(VirtualServer, "persistence_timeout", "", True)
    same(VirtualServer, "persistence_timeout", "360", 360_000_000)
    same(VirtualServer, "persistence_timeout", "2678400", 2_678_400_000_000)
    for word in ("0", "2678401", "abc", "1.5"):
        assert fault(VirtualServer, "persistence_timeout", word).taken is UNSET


def test_persistence_granularity() -> None:
    same(VirtualServer, "persistence_granularity", "255.255.255.0", "255.255.255.0")
    same(VirtualServer, "persistence_granularity", "64", "64")
    assert in_yaml(VirtualServer, "persistence_granularity", "64") == 64
    assert in_yaml(VirtualServer, "persistence_granularity", "255.255.0.0") == "255.255.0.0"
    # as inet_aton(3) reads them
    assert taken(VirtualServer, "persistence_granularity", "255.255.65280") == "255.255.255.0"
    assert taken(VirtualServer, "persistence_granularity", "255.255.255") == "255.255.0.255"
    assert fault(VirtualServer, "persistence_granularity", "129").taken == "0.0.0.129"
    for word in ("/24", "foo"):
        assert fault(VirtualServer, "persistence_granularity", word).taken is UNSET


@pytest.mark.parametrize("word", ["0", "abc", "2.5", "5000000000"])
def test_a_bad_quorum_is_one(word: str) -> None:
    assert fault(VirtualServer, "quorum", word).taken == 1


@pytest.mark.parametrize(
    ("keyword", "bad"),
    [
        ("hysteresis", ["-1", "abc", "5000000000"]),
        ("weight", ["0", "-1", "abc", "2147483648"]),
        ("retry", ["0", "-1", "abc", "4294967296"]),
        ("delay_loop", ["0", "-5", "abc", "0.0000001"]),
        ("connect_timeout", ["0", "4295", "abc"]),
        ("delay_before_retry", ["-1"]),
        ("warmup", ["-1"]),
        ("ip_family", ["ipv4"]),
        ("smtp_alert", ["maybe"]),
    ],
)
def test_bad_values_of_a_virtual_server_are_ignored(keyword: str, bad: list[str]) -> None:
    for word in bad:
        assert fault(VirtualServer, keyword, word).taken is UNSET


@pytest.mark.parametrize(
    ("keyword", "bad"),
    [
        ("weight", ["-1", "abc", "2147483648"]),
        ("uthreshold", ["-1", "5000000000"]),
        ("lthreshold", ["-2"]),
        ("retry", ["0"]),
        ("alpha", ["foo"]),
        ("inhibit_on_failure", ["foo"]),
        ("smtp_alert", ["maybe"]),
        ("lvs_method", ["foo"]),
    ],
)
def test_bad_values_of_a_real_server_are_ignored(keyword: str, bad: list[str]) -> None:
    for word in bad:
        assert fault(RealServer, keyword, word).taken is UNSET


def test_weight_of_a_real_server_may_be_zero() -> None:
    same(RealServer, "weight", "0", 0)
    same(RealServer, "weight", "2147483647", 2**31 - 1)


@pytest.mark.parametrize(("word", "micro"), [("0.5", 500_000), ("60", 60_000_000), ("0.000001", 1)])
def test_delay_loop_is_microseconds(word: str, micro: int) -> None:
    same(VirtualServer, "delay_loop", word, micro)
    assert from_yaml(VirtualServer, "delay_loop", "500ms") == 500_000


@pytest.mark.parametrize(("word", "micro"), [("1.1234567", 1_123_457), ("1.1234564", 1_123_456)])
def test_delay_loop_is_rounded(word: str, micro: int) -> None:
    assert fault(VirtualServer, "delay_loop", word).taken == micro


@pytest.mark.parametrize("keyword", ["alpha", "inhibit_on_failure"])
def test_any_word_switches_on_in_a_virtual_server(keyword: str) -> None:
    same(VirtualServer, keyword, "", True)
    same(VirtualServer, keyword, "off", False)
    for word in ("1", "ON", "foo"):
        assert fault(VirtualServer, keyword, word).taken is True
    with pytest.raises(ValueFault):
        from_yaml(VirtualServer, keyword, "foo")


def test_sorry_server() -> None:
    same(VirtualServer, "sorry_server", "10.1.1.1 80", SorryServer(address="10.1.1.1", port=80))
    same(VirtualServer, "sorry_server", "10.1.1.1", SorryServer(address="10.1.1.1"))
    same(VirtualServer, "sorry_server", "10.1.1.1 0", SorryServer(address="10.1.1.1", port=0))
    for line in ("10.1.1.1 70000", "10.1.1.1 http", "foo 80"):
        assert fault(VirtualServer, "sorry_server", line).taken is UNSET


@pytest.mark.parametrize(
    ("struct", "keyword"),
    [
        (VirtualServer, "quorum_up"),
        (VirtualServer, "quorum_down"),
        (RealServer, "notify_up"),
        (RealServer, "notify_down"),
    ],
)
def test_commands(struct: type[VirtualServer | RealServer], keyword: str) -> None:
    assert taken(struct, keyword, '"/bin/n a" root wheel') == Script(command="/bin/n a", user="root", group="wheel")
    assert table_of(struct).by_name[keyword].keyword.again == "ignored"


def test_flags_are_attributes_of_another_name() -> None:
    assert table_of(VirtualServer).by_word["flag-1"].attribute == "flag_1"
    assert table_of(VirtualServer).by_word["mh-fallback"].attribute == "mh_fallback"


def test_the_scheduler_is_written_before_its_flags_and_the_sorry_server_before_its_own() -> None:
    # keepalived ignores them the other way round.
    names = [f.name for f in table_of(VirtualServer)]
    for flag in ("hashed", "sh-port", "sh-fallback", "mh-port", "mh-fallback"):
        assert names.index("lb_algo") < names.index(flag)
    assert names.index("sorry_server") < names.index("sorry_server_inhibit")
    assert names.index("sorry_server") < names.index("sorry_server_lvs_method")


def test_real_servers_come_last() -> None:
    assert [f.name for f in table_of(VirtualServer)][-2:] == ["real_server", "x-keepalived"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("10.1.1.1 80", GroupMember(address="10.1.1.1", port=80)),
        ("10.1.1.1", GroupMember(address="10.1.1.1")),
        ("10.1.1.1-20 80", GroupMember(address="10.1.1.1-20", port=80)),
        ("10.1.1.250-10.1.2.10 80", GroupMember(address="10.1.1.250-10.1.2.10", port=80)),
        ("10.1.1.8/29 80", GroupMember(address="10.1.1.8/29", port=80)),
        ("2001:db8::1-ff 80", GroupMember(address="2001:db8::1-ff", port=80)),
        ("2001:db8::1-2001:db8::1:5 80", GroupMember(address="2001:db8::1-2001:db8::1:5", port=80)),
        ("2001:db8::/124 80", GroupMember(address="2001:db8::/124", port=80)),
        ("fwmark 1", GroupMember(fwmark=1)),
        ("fwmark 0", GroupMember(fwmark=0)),
        ("fwmark 1 inet6", GroupMember(fwmark=1, family="inet6")),
    ],
)
def test_group_members(line: str, value: GroupMember) -> None:
    same(Config, "virtual_server_group", line, value)


@pytest.mark.parametrize(
    "line",
    [
        "10.1.1.1/33 80",
        "10.1.1.20-10 80",
        "10.1.1.1-256 80",
        "10.1.1.1-10.1.1.0 80",
        "10.1.1.1-2001:db8::1 80",
        "2001:db8::ff-1 80",
        "10.1.1.1 70000",
        "10.1.1.1 abc",
        "fwmark abc",
        "fwmark -1",
        "fwmark 0x10",
        "fwmark 1-3",
        "fwmark 1 ipv6",
    ],
)
def test_group_members_keepalived_skips(line: str) -> None:
    assert fault(Config, "virtual_server_group", line).taken is UNSET


def test_range_is_canonical() -> None:
    words = ["2001:DB8:0::1-0FF"]
    value, _ = shape_of(Config, "virtual_server_group").read(words, 0)
    assert value.address == "2001:db8::1-ff"


@pytest.mark.parametrize(
    ("struct", "word"),
    [
        (VirtualServer, "nat_mask"),
        (VirtualServer, "nb_get_retry"),
        (VirtualServer, "timeout"),
        (RealServer, "nb_get_retry"),
        (RealServer, "persistence_timeout"),
    ],
)
def test_words_of_older_versions_are_explained(struct: type[VirtualServer | RealServer], word: str) -> None:
    table = table_of(struct)
    assert word not in table.by_word
    assert table.legacy[word].doc

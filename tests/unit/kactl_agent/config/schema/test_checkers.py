"""Checkers: words, values, limits, and what keepalived 2.2.7 makes of what is beyond them."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.checkers import (
    BfdCheck,
    Connection,
    DnsCheck,
    FileCheck,
    FileWeight,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    SmtpHost,
    TcpCheck,
    UdpCheck,
)
from kactl_agent.config.schema.http_check import HttpGet, HttpUrl, SslGet, SslUrl
from kactl_agent.config.schema.keyword import BlockKeywords, table_of
from kactl_agent.config.schema.script import UserGroup
from kactl_agent.config.schema.shapes import Quoted
from support.keyword_lines import fault, from_yaml, same, shape_of, taken, written

CONNECTIONS = [TcpCheck, PingCheck, SmtpCheck, SmtpHost, DnsCheck, UdpCheck, HttpGet, SslGet]
CONNECTION_KEYWORDS = ["connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout"]
TIMING = ["alpha", "delay_loop", "retry", "delay_before_retry", "warmup", "log_all_failures"]


@pytest.mark.parametrize("struct", CONNECTIONS)
def test_checkers_share_how_they_connect(struct: type[Connection]) -> None:
    for keyword in CONNECTION_KEYWORDS:
        assert table_of(struct).by_name[keyword].keyword == table_of(Connection).by_name[keyword].keyword


@pytest.mark.parametrize("struct", [*CONNECTIONS, MiscCheck])
def test_checkers_have_their_times(struct: type[BlockKeywords]) -> None:
    assert set(TIMING) <= set(table_of(struct).by_name)


def test_a_program_makes_its_own_connections() -> None:
    for keyword in CONNECTION_KEYWORDS:
        assert keyword not in table_of(MiscCheck).by_word
    for keyword in ("connect_timeout", "connect_port", "nb_get_retry"):
        assert table_of(MiscCheck).legacy[keyword].doc


@pytest.mark.parametrize("struct", [FileCheck, BfdCheck])
def test_followers_have_no_times(struct: type[BlockKeywords]) -> None:
    assert not {"retry", "delay_loop", "connect_timeout"} & set(table_of(struct).by_word)


@pytest.mark.parametrize(
    ("keyword", "bad"),
    [
        ("connect_ip", ["foo"]),
        ("bindto", ["foo"]),
        ("connect_port", ["0", "abc", "70000"]),
        ("bind_port", ["0", "70000"]),
        ("bind_if", ["averyveryverylonginterfacename"]),
        ("fwmark", ["5000000000", "0x10", "abc", "-1"]),
        ("retry", ["-1", "5000000000", "abc"]),
        ("delay_before_retry", ["-1"]),
        ("delay_loop", ["0"]),
        ("connect_timeout", ["0", "-1", "4295"]),
        ("alpha", ["foo"]),
        ("log_all_failures", ["foo"]),
    ],
)
def test_bad_values_are_ignored(keyword: str, bad: list[str]) -> None:
    for word in bad:
        assert fault(TcpCheck, keyword, word).taken is UNSET


def test_checkers_may_do_without_retry_and_delay() -> None:
    same(TcpCheck, "retry", "0", 0)
    same(TcpCheck, "delay_before_retry", "0", 0)
    same(TcpCheck, "warmup", "0", 0)
    same(TcpCheck, "delay_loop", "0.5", 500_000)


def test_a_prefix_is_dropped() -> None:
    assert fault(TcpCheck, "connect_ip", "10.0.0.0/24").taken == "10.0.0.0"


@pytest.mark.parametrize("struct", [TcpCheck, PingCheck, SmtpCheck, DnsCheck, UdpCheck])
def test_nb_get_retry_is_for_web_servers(struct: type[Connection]) -> None:
    assert "nb_get_retry" not in table_of(struct).by_word
    assert table_of(struct).legacy["nb_get_retry"].replaced_by == "retry"


@pytest.mark.parametrize("struct", [HttpGet, SslGet])
def test_nb_get_retry_is_retry(struct: type[HttpGet]) -> None:
    field = table_of(struct).by_word["nb_get_retry"]
    assert field.name == "retry"
    assert "nb_get_retry" in field.keyword.deprecated


def test_tls_compliant_is_for_ssl_alone() -> None:
    for struct in (SslGet, SslUrl):
        assert table_of(struct).by_name["tls_compliant"].keyword.since == "2.2.8"
    for other in (HttpGet, HttpUrl):
        assert "tls_compliant" not in table_of(other).by_word


@pytest.mark.parametrize(("word", "value"), [("1.0", "1.0"), ("1.0C", "1.0C"), ("1.0c", "1.0C"), ("1.1", "1.1")])
def test_http_protocol(word: str, value: str) -> None:
    assert taken(HttpGet, "http_protocol", word) == value


@pytest.mark.parametrize("word", ["1.1C", "2"])
def test_other_http_protocols_are_ignored(word: str) -> None:
    assert fault(HttpGet, "http_protocol", word).taken is UNSET


@pytest.mark.parametrize("keyword", ["path", "status_code", "digest"])
def test_what_belongs_into_a_url_says_so(keyword: str) -> None:
    assert table_of(HttpGet).legacy[keyword].replaced_by == "url"


def test_status_codes() -> None:
    same(HttpUrl, "status_code", "200", ("200",))
    same(HttpUrl, "status_code", "200-299 400-499 503", ("200-299", "400-499", "503"))


@pytest.mark.parametrize("word", ["600", "99", "299-200", "abc", "200,201", "200-", "2xx"])
def test_no_status_codes(word: str) -> None:
    assert fault(HttpUrl, "status_code", f"200 {word}").word == 1


def test_digest() -> None:
    same(HttpUrl, "digest", "9b3a0c85a887a256d6939da88aabd8cd", "9b3a0c85a887a256d6939da88aabd8cd")
    for word in ("abc", "zz3a0c85a887a256d6939da88aabd8cd", "9b3a0c85a887a256d6939da88aabd8cd00"):
        assert fault(HttpUrl, "digest", word).taken is UNSET
    assert table_of(HttpUrl).by_name["digest"].keyword.again == "ignored"


def test_regex() -> None:
    assert taken(HttpUrl, "regex", '"foo bar"') == "foo bar"
    assert shape_of(HttpUrl, "regex").quoted
    same(HttpUrl, "regex_options", "caseless dotall", ("caseless", "dotall"))
    value = taken(HttpUrl, "regex_stack", "1024 8192")
    assert (value.start, value.maximum) == (1024, 8192)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("0aff", "hex:0aff"),
        ("Ab12f 3 456", "hex:ab120f034506"),
        ('"hello world"', "hello world"),
        ('"hex:41"', "hex:6865783a3431"),
    ],
)
def test_payload(line: str, value: str) -> None:
    assert taken(UdpCheck, "payload", line) == value


def test_payload_of_the_manual() -> None:
    # keepalived.conf(5): `Ab12f 3 456 546443123` is AB 12 0F 03 45 06 54 64 43 12 03.
    assert taken(UdpCheck, "payload", "Ab12f 3 456 546443123") == "hex:ab120f0345065464431203"


@pytest.mark.parametrize("value", ["hex:ab120f", "hello world", "0a0b"])
def test_payload_is_written_as_it_is_read(value: str) -> None:
    assert taken(UdpCheck, "payload", written(UdpCheck, "payload", value)) == value
    assert from_yaml(UdpCheck, "payload", value) == value


def test_text_that_cannot_stand_in_quotes_is_bytes() -> None:
    value = from_yaml(UdpCheck, "payload", "a\nb")
    assert value == "hex:610a62"
    assert all(not isinstance(word, Quoted) for word in shape_of(UdpCheck, "payload").write(value))


@pytest.mark.parametrize("line", ["hello", "00fx", "0xzz"])
def test_payload_without_quotes_is_hexadecimal(line: str) -> None:
    assert fault(UdpCheck, "payload", line).taken is UNSET


def test_require_reply() -> None:
    same(UdpCheck, "require_reply", "", True)
    same(UdpCheck, "require_reply", "00 xx", "hex:00xx")
    assert taken(UdpCheck, "require_reply", "0Xab") == "hex:0xab"
    assert taken(UdpCheck, "require_reply", '"OK"') == "OK"
    assert fault(UdpCheck, "require_reply", "zz").taken is UNSET


@pytest.mark.parametrize("keyword", ["min_reply_length", "max_reply_length"])
def test_reply_lengths(keyword: str) -> None:
    same(UdpCheck, keyword, "65535", 65535)
    for word in ("65536", "-1", "abc"):
        assert fault(UdpCheck, keyword, word).taken is UNSET


@pytest.mark.parametrize(("word", "value"), [("a", "A"), ("Soa", "SOA"), ("dnskey", "DNSKEY")])
def test_dns_types_in_any_case(word: str, value: str) -> None:
    assert taken(DnsCheck, "type", word) == value
    for other in ("PTR", "SRV", "5"):
        assert fault(DnsCheck, "type", other).taken is UNSET


def test_dns_names() -> None:
    same(DnsCheck, "name", ".", ".")
    same(DnsCheck, "name", "www.example.com.", "www.example.com.")
    for name in ("a..b", "x" * 64 + ".example", ".".join(["x" * 60] * 5)):
        assert fault(DnsCheck, "name", name).taken is UNSET


def test_misc_check() -> None:
    assert taken(MiscCheck, "misc_path", '"/bin/chk a b"') == "/bin/chk a b"
    same(MiscCheck, "user", "root wheel", UserGroup(user="root", group="wheel"))
    same(MiscCheck, "misc_timeout", "5", 5_000_000)
    assert fault(MiscCheck, "misc_dynamic", "foo").taken is True
    for word in ("1.5", "abc", "-1", "4295"):
        assert fault(MiscCheck, "misc_timeout", word).taken is UNSET


def test_file_check() -> None:
    same(FileCheck, "weight", "3 reverse", FileWeight(weight=3, reverse=True))
    same(FileCheck, "weight", "-3 noreverse", FileWeight(weight=-3, noreverse=True))
    same(FileCheck, "weight", "-2147483647", FileWeight(weight=-2147483647))
    for line in ("2147483648", "abc", "reverse"):
        assert fault(FileCheck, "weight", line).taken is UNSET


@pytest.mark.parametrize(("struct", "keyword"), [(DnsCheck, "name"), (BfdCheck, "name")])
def test_the_first_name_counts(struct: type[BlockKeywords], keyword: str) -> None:
    assert table_of(struct).by_name[keyword].keyword.again == "ignored"

"""What checkers inherit, what keepalived's defaults are, and what is said about mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    BfdCheckSettings,
    DnsCheckSettings,
    FileCheckSettings,
    HttpCheckSettings,
    HttpVersion,
    MiscCheckSettings,
    RegexSettings,
    SmtpCheckSettings,
    TcpCheckSettings,
    TlsSettings,
    UdpCheckSettings,
    keyword_of,
)
from kactl_agent.config.bind import bind
from kactl_agent.config.checkers import SERVED_CHECKERS, CheckerResolver, reply_pattern
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.diagnostics import Diagnostic, Severity
from kactl_agent.config.resolve import resolve
from kactl_agent.config.schema import checkers, http_check
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.tracking.settings import Command, FileSettings

SECOND = 1_000_000_000
PLACE = ("virtual_server", 0, "real_server", 0)


def resolved(
    checker: str, *, real: str = "", server: str = "", root: str = ""
) -> tuple[tuple[AnyCheckerSettings, ...], list[Diagnostic]]:
    """The settings of a checker of 10.0.0.1 port 8080, and what is said."""
    text = f"""{root}
virtual_server:
  - address: 192.0.2.1
    port: 80
    protocol: TCP
    {server}
    real_server:
      - {{address: 10.0.0.1, port: 8080, {real}{checker}}}
"""
    document = bind(text, "agent.yaml")
    assert [d for d in document.diagnostics if d.severity is Severity.ERROR] == []
    sheet = Sheet(document)
    (virtual,) = document.config.virtual_server
    (real_server,) = virtual.real_server
    settings = CheckerResolver(sheet).resolve(PLACE, virtual, real_server, real_server.address, 8080)
    return settings, [problem.diagnostic for problem in sheet.problems]


def one(checker: str, **said: str) -> Any:
    (settings,), diagnostics = resolved(checker, **said)
    assert diagnostics == []
    return settings


MINIMAL = {
    "TCP_CHECK": "TCP_CHECK: {}",
    "PING_CHECK": "PING_CHECK: {}",
    "SMTP_CHECK": "SMTP_CHECK: {}",
    "DNS_CHECK": "DNS_CHECK: {}",
    "UDP_CHECK": "UDP_CHECK: {}",
    "MISC_CHECK": "MISC_CHECK: {misc_path: /bin/true}",
    "HTTP_GET": "HTTP_GET: {url: [{path: /}]}",
    "SSL_GET": "SSL_GET: {url: [{path: /}]}",
}


@pytest.mark.parametrize("keyword", MINIMAL)
def test_defaults_are_keepaliveds(keyword: str) -> None:
    settings = one(MINIMAL[keyword])
    assert keyword_of(settings) == keyword
    timing = settings.timing
    retry = {"DNS_CHECK": 3, "MISC_CHECK": 0}.get(keyword, 1)
    before_retry = {"DNS_CHECK": 60, "HTTP_GET": 3, "SSL_GET": 3}.get(keyword, 1)
    assert (timing.delay_loop, timing.warmup, timing.delay_while_down) == (60 * SECOND,) * 3
    assert (timing.retry, timing.delay_before_retry) == (retry, before_retry * SECOND)
    assert not timing.alpha
    assert not timing.log_all_failures
    assert timing.jitter == 0
    if keyword == "MISC_CHECK":
        assert settings.timeout == 60 * SECOND
    else:
        assert (settings.target.address, settings.target.port) == ("10.0.0.1", 8080)
        assert settings.target.timeout == 5 * SECOND


@pytest.mark.parametrize("keyword", MINIMAL)
def test_the_innermost_word_counts(keyword: str) -> None:
    body = MINIMAL[keyword]
    outer = "delay_loop: 11\n    retry: 4\n    delay_before_retry: 2\n    warmup: 7\n    alpha: true"
    timing = one(body, server=outer).timing
    assert (timing.delay_loop, timing.retry, timing.delay_before_retry) == (11 * SECOND, 4, 2 * SECOND)
    assert (timing.warmup, timing.alpha) == (7 * SECOND, True)
    timing = one(body, server=outer, real="delay_loop: 5, alpha: false, ").timing
    assert (timing.delay_loop, timing.retry, timing.alpha) == (5 * SECOND, 4, False)
    inner = body.replace("{", "{retry: 0, warmup: 0, delay_loop: 2.5, ", 1)
    timing = one(inner, server=outer).timing
    assert (timing.retry, timing.warmup, timing.delay_loop) == (0, 0, 2_500_000_000)


def test_all_failures_are_logged_where_it_is_said() -> None:
    globally = "global_defs: {checker_log_all_failures: true}"
    assert one("TCP_CHECK: {}", root=globally).timing.log_all_failures
    assert not one("TCP_CHECK: {log_all_failures: false}", root=globally).timing.log_all_failures


def test_http_checks_wait_longer_while_down() -> None:
    timing = one("HTTP_GET: {url: [{path: /}], delay_loop: 2, delay_before_retry: 9}").timing
    assert timing.delay_while_down == 9 * SECOND
    assert one("TCP_CHECK: {delay_loop: 2, delay_before_retry: 9}").timing.delay_while_down == 2 * SECOND


def test_extras_are_inherited_too() -> None:
    timing = one("TCP_CHECK: {}", server="check_jitter: 20\n    delay_loop_down: 0.5").timing
    assert (timing.jitter, timing.delay_while_down) == (20, SECOND // 2)


def test_the_target() -> None:
    target = one(
        "TCP_CHECK: {connect_ip: '2001:db8::1', connect_port: 99, bindto: '2001:db8::2', bind_port: 7, bind_if: eth0, "
        "fwmark: 3, connect_timeout: 2.5}"
    ).target
    assert (target.address, target.port) == ("2001:db8::1", 99)
    assert (target.bind_address, target.bind_port, target.bind_interface) == ("2001:db8::2", 7, "eth0")
    assert (target.fwmark, target.timeout) == (3, 2_500_000_000)
    assert one("TCP_CHECK: {}", server="connect_timeout: 3").target.timeout == 3 * SECOND


def test_the_mark_of_a_virtual_server_is_not_on_the_packets_of_its_checks() -> None:
    """The kernel would balance them."""
    text = "virtual_server: [{fwmark: 7, real_server: [{address: 10.0.0.1, port: 80, TCP_CHECK: {}}]}]"
    [server] = resolve(bind(text, "f")).settings.balancing[0].virtual_servers
    [checker] = server.real_servers[0].checkers
    assert isinstance(checker, TcpCheckSettings)
    assert checker.target.fwmark == 0


@pytest.mark.parametrize(
    ("url", "checker", "real", "server", "host"),
    [
        ("virtualhost: u", "virtualhost: c", "virtualhost: r", "virtualhost: v", "u"),
        ("", "virtualhost: c", "virtualhost: r", "virtualhost: v", "c"),
        ("", "", "virtualhost: r", "virtualhost: v", "r"),
        ("", "", "", "virtualhost: v", "v"),
        ("", "", "", "", "10.0.0.1:8080"),
        ("", "connect_port: 80", "", "", "10.0.0.1"),
        ("", "connect_ip: '2001:db8::1'", "", "", "[2001:db8::1]:8080"),
    ],
)
def test_whose_virtual_host(url: str, checker: str, real: str, server: str, host: str) -> None:
    text = f"HTTP_GET: {{url: [{{path: /, {url}}}], {checker}}}"
    settings = one(text, real=f"{real}, " if real else "", server=server)
    assert settings.urls[0].host == host


def test_the_name_in_the_handshake_is_never_the_real_servers() -> None:
    def name(more: str = "", url: str = "", **said: str) -> str:
        settings = one(f"SSL_GET: {{url: [{{path: /, {url}}}], {more}}}", **said)
        return str(settings.urls[0].server_name)

    assert name("virtualhost: c") == ""  # without enable_sni
    assert name("enable_sni: true, virtualhost: c", "virtualhost: u") == "u"
    assert name("enable_sni: true, virtualhost: c") == "c"
    assert name("enable_sni: true", real="virtualhost: r, ", server="virtualhost: v") == "v"
    assert name("enable_sni: true", real="virtualhost: r, ") == ""


def test_all_of_a_url() -> None:
    url = (
        "path: /a, status_code: [200, 301-303], digest: 5D41402ABC4B2A76B9719D911017C592, regex: 'a b', "
        "regex_options: [caseless, utf], regex_no_match: true, regex_min_offset: 3, regex_max_offset: 9"
    )
    settings = one(f"SSL_GET: {{url: [{{{url}}}, {{path: /b, tls_compliant: false}}], tls_compliant: true, "
                   "http_protocol: 1.0c, fast_recovery: true}")  # fmt: skip
    first, second = settings.urls
    assert first.status_codes == ((200, 200), (301, 303))
    assert first.digest == "5d41402abc4b2a76b9719d911017c592"
    assert first.regex == RegexSettings(
        pattern="a b", options=("caseless", "utf"), no_match=True, min_offset=3, max_offset=9
    )
    assert (first.tls_compliant, second.tls_compliant) == (True, False)
    assert second.status_codes == ((200, 299),)
    assert (settings.version, settings.fast_recovery) == (HttpVersion.HTTP_1_0_CLOSE, True)
    assert isinstance(settings, HttpCheckSettings)


def test_the_ssl_block_is_everybodys() -> None:
    root = "SSL: {certificate: /c.pem, key: /k.pem, ca: /ca.pem, password: sesame}"
    settings = one("SSL_GET: {url: [{path: /}], tls_verify: true, tls_expiry_warning: 14}", root=root)
    assert settings.tls == TlsSettings(
        certificate="/c.pem", key="/k.pem", ca="/ca.pem", password="sesame", verify=True,
        expiry_warning=14 * 86_400 * SECOND,
    )  # fmt: skip
    assert "sesame" not in repr(settings)
    assert one("SSL_GET: {url: [{path: /}]}").tls == TlsSettings()
    assert one("HTTP_GET: {url: [{path: /}]}").tls is None


def test_each_host_of_an_smtp_check_is_a_checker() -> None:
    settings, _ = resolved(
        "SMTP_CHECK: {helo_name: me, connect_timeout: 2, host: [{connect_ip: 10.0.0.7}, {connect_port: 26, retry: 5}]}"
    )
    first, second = settings
    assert isinstance(first, SmtpCheckSettings)
    assert isinstance(second, SmtpCheckSettings)
    assert (first.target.address, first.target.port, first.target.timeout) == ("10.0.0.7", 8080, 2 * SECOND)
    assert (second.target.address, second.target.port, second.timing.retry) == ("10.0.0.1", 26, 5)
    assert first.helo_name == second.helo_name == "me"


def test_dns_and_udp() -> None:
    dns = one("DNS_CHECK: {type: aaaa, name: x.example}")
    assert isinstance(dns, DnsCheckSettings)
    assert (dns.type, dns.name) == ("AAAA", "x.example")
    udp = one("UDP_CHECK: {payload: hi, require_reply: 'hex:6fxxx1', min_reply_length: 2, max_reply_length: 9}")
    assert isinstance(udp, UdpCheckSettings)
    assert (udp.payload, udp.require_reply) == (b"hi", True)
    assert (udp.pattern, udp.mask) == (b"\x6f\x00\x01", b"\xff\x00\x0f")
    assert (udp.min_reply_length, udp.max_reply_length) == (2, 9)
    assert one("UDP_CHECK: {require_reply: true}").pattern == b""
    assert reply_pattern("ok") == (b"ok", b"\xff\xff")


def test_misc() -> None:
    misc = one(
        "MISC_CHECK: {misc_path: '/x/y \"a b\" c', misc_timeout: 3, misc_dynamic: true, user: {user: u, group: g}}"
    )
    assert isinstance(misc, MiscCheckSettings)
    assert misc.command == Command(("/x/y", "a b", "c"), "u", "g")
    assert (misc.timeout, misc.dynamic) == (3 * SECOND, True)
    assert misc.place == (*PLACE, "MISC_CHECK", 0)


@pytest.mark.parametrize(
    ("own", "block", "weight", "reverse"),
    [
        ("", "", 1, False),
        ("weight: 3", "", 3, False),
        ("weight: {weight: 3, reverse: true}", "", 3, True),
        ("weight: {weight: 3, reverse: true}", "weight: 4", 4, True),
        ("weight: {weight: 3, reverse: true}", "weight: {weight: 4, noreverse: true}", 4, False),
        ("", "weight: {weight: 0, reverse: true}", 0, True),
    ],
)
def test_file(own: str, block: str, weight: int, reverse: bool) -> None:
    root = f"track_file: {{f: {{file: /run/f, init_file: 4, {own}}}}}"
    settings = one(f"FILE_CHECK: {{track_file: f, {block}}}", root=root)
    assert isinstance(settings, FileCheckSettings)
    assert settings.file == FileSettings(name="f", path="/run/f", initial=4)
    assert (settings.weight, settings.reverse) == (weight, reverse)


def test_bfd() -> None:
    root = "bfd_instance: {b: {neighbor_ip: 10.0.0.1}}"
    settings = one("BFD_CHECK: {name: b}", root=root, server="alpha: true")
    assert isinstance(settings, BfdCheckSettings)
    assert (settings.name, settings.timing.alpha) == ("b", True)


def test_several_checkers_are_kept_in_one_order() -> None:
    settings, _ = resolved("TCP_CHECK: [{}, {connect_port: 9}], UDP_CHECK: {}")
    assert [keyword_of(each) for each in settings] == ["TCP_CHECK", "TCP_CHECK", "UDP_CHECK"]
    assert isinstance(settings[1], TcpCheckSettings)


def test_equal_timing_is_one_object() -> None:
    settings, _ = resolved("TCP_CHECK: [{}, {connect_port: 9}]")
    assert settings[0].timing is settings[1].timing


@pytest.mark.parametrize(
    ("checker", "code", "severity"),
    [
        ("HTTP_GET: {url: [{path: /, regex: 'a('}]}", "bad-regex", Severity.ERROR),
        ("HTTP_GET: {url: []}", "no-url", Severity.ERROR),
        ("HTTP_GET: {url: [{path: /, regex: a, regex_stack: {start: 1, maximum: 9}}]}", "regex-stack", Severity.NOTE),
        ("HTTP_GET: {url: [{path: /, regex_min_offset: 3}]}", "no-regex", Severity.WARNING),
        ("MISC_CHECK: {misc_path: '/x \"y'}", "unclosed-quote", Severity.ERROR),
    ],
)  # fmt: skip
def test_mistakes_have_a_place(checker: str, code: str, severity: Severity) -> None:
    _, (diagnostic,) = resolved(checker)
    assert (diagnostic.code, diagnostic.severity) == (code, severity)
    assert diagnostic.place.line == 8


def test_what_is_not_served_is_said() -> None:
    """Every keyword of a checker is served; of regex_stack a note says why it is not needed."""
    blocks = {
        "TCP_CHECK": checkers.TcpCheck,
        "PING_CHECK": checkers.PingCheck,
        "SMTP_CHECK": checkers.SmtpCheck,
        "SMTP_CHECK/host": checkers.SmtpHost,
        "DNS_CHECK": checkers.DnsCheck,
        "UDP_CHECK": checkers.UdpCheck,
        "MISC_CHECK": checkers.MiscCheck,
        "FILE_CHECK": checkers.FileCheck,
        "BFD_CHECK": checkers.BfdCheck,
        "HTTP_GET": http_check.HttpGet,
        "SSL_GET": http_check.SslGet,
        "HTTP_GET/url": http_check.HttpUrl,
        "SSL_GET/url": http_check.SslUrl,
    }
    assert blocks.keys() == SERVED_CHECKERS.keys()
    for block, struct in blocks.items():
        assert {field.name for field in table_of(struct)} == SERVED_CHECKERS[block]


def test_what_stands_elsewhere_is_served_too() -> None:
    text = """global_defs: {checker_log_all_failures: true}
SSL: {certificate: /c.pem, key: /k.pem}
virtual_server:
  - {address: 192.0.2.1, port: 80, protocol: TCP, lb_algo: rr, lb_kind: NAT, check_jitter: 3, delay_loop_down: 1,
     real_server: [{address: 10.0.0.1, port: 80, check_jitter: 4, SSL_GET: {url: [{path: /}]}}]}
"""
    said = resolve(bind(text, "agent.yaml")).diagnostics
    assert [diagnostic.message for diagnostic in said if diagnostic.code == "not-served"] == []

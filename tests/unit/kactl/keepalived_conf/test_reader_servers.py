"""Virtual servers as keepalived 2.2.7 takes them where they are not quite right."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import expand
from kactl.keepalived_conf.reader import read_directives
from support.conversion import codes


def read(text: str) -> Any:
    expansion = expand(parse_source(text.encode(), "k.conf"))
    return read_directives(expansion.directives, expansion.at_end, {})


def server(lines: str) -> str:
    return f"virtual_server 192.0.2.1 80 {{\n real_server 198.51.100.1 80 {{\n{lines}\n}}\n}}\n"


def test_the_prefix_of_an_address_in_a_header_is_dropped() -> None:
    reading = read("virtual_server 192.0.2.1/24 80 {\n real_server 198.51.100.1/32 80 {\n }\n}\n")
    (service,) = reading.document.config.virtual_server
    assert (service.address, service.port, service.real_server[0].address) == ("192.0.2.1", 80, "198.51.100.1")
    assert codes(reading.document.diagnostics) == [("repaired-value", 1, "repaired"), ("repaired-value", 2, "repaired")]


def test_a_real_server_with_a_bad_port_is_left_out_alone() -> None:
    reading = read(
        "virtual_server 192.0.2.1 80 {\n real_server 198.51.100.1 99999 {\n }\n real_server 198.51.100.2 80 {\n }\n}\n"
    )
    (service,) = reading.document.config.virtual_server
    assert [r.address for r in service.real_server] == ["198.51.100.2"]
    assert codes(reading.document.diagnostics) == [("invalid-header", 2, "carried")]


def test_bad_status_codes_are_left_out_alone() -> None:
    reading = read(server("HTTP_GET {\nurl {\npath /\nstatus_code 200 abc 201 299-200\nstatus_code 2xx\n}\n}"))
    (check,) = reading.document.config.virtual_server[0].real_server[0].http_get
    assert check.url[0].status_code == ("200", "201")
    assert codes(reading.document.diagnostics) == [
        ("ignored-word", 6, "repaired"),
        ("ignored-word", 6, "repaired"),
        ("invalid-value", 7, "carried"),
    ]


def test_a_bad_tunnel_option_is_left_out_alone() -> None:
    reading = read("virtual_server 192.0.2.1 80 {\n lb_kind TUN type foo\n}\n")
    (service,) = reading.document.config.virtual_server
    assert (service.lb_kind.method, service.lb_kind.checksum) == ("TUN", service.lb_kind.type)
    assert codes(reading.document.diagnostics) == [("ignored-option", 2, "repaired")]


def test_quoted_payloads_are_text_and_others_bytes() -> None:
    reading = read(server('UDP_CHECK {\npayload "PING 1"\nrequire_reply 0a xx\n}\nUDP_CHECK {\nrequire_reply\n}'))
    first, second = reading.document.config.virtual_server[0].real_server[0].udp_check
    assert (first.payload, first.require_reply, second.require_reply) == ("PING 1", "hex:0axx", True)
    assert codes(reading.document.diagnostics) == []


def test_words_of_older_versions_are_carried_and_explained() -> None:
    reading = read(
        server("nb_get_retry 3\nTCP_CHECK {\nnb_get_retry 3\n}\nHTTP_GET {\nnb_get_retry 4\nurl {\npath /\n}\n}")
    )
    (real,) = reading.document.config.virtual_server[0].real_server
    assert real.x_keepalived == ("nb_get_retry 3",)
    assert real.tcp_check[0].x_keepalived == ("nb_get_retry 3",)
    assert real.http_get[0].retry == 4
    assert codes(reading.document.diagnostics) == [
        ("legacy-keyword", 3, "carried"),
        ("legacy-keyword", 5, "carried"),
        ("deprecated-keyword", 8, "converted"),
    ]


def test_members_of_a_group_are_left_out_one_by_one() -> None:
    lines = ["10.1.1.1 80 x", "10.1.1.2-1 80", "fwmark 0x10", "fwmark 1 ipv6", "fwmark 2 inet6"]
    reading = read("virtual_server_group g {\n" + "\n".join(lines) + "\n}\n")
    members = reading.document.config.virtual_server_group["g"]
    assert [(m.address, m.port, m.fwmark, m.family) for m in members] == [
        ("10.1.1.1", 80, UNSET, UNSET),
        (UNSET, UNSET, 2, "inet6"),
    ]
    assert [line for _, line, _ in codes(reading.document.diagnostics)] == [2, 3, 4, 5]

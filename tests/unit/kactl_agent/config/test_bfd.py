"""bfd_instance resolved: keepalived's defaults, who is told, authentication, and mistakes with their place."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from kactl_agent.bfd.settings import AuthType, Mode, SessionSettings
from kactl_agent.config.bfd import privileges_for
from kactl_agent.config.load import load_bytes
from kactl_agent.config.resolve import Resolution, resolve


def resolution(text: str) -> Resolution:
    document = load_bytes(text.encode(), "agent.yaml")
    assert not document.errors, document.diagnostics
    return resolve(document)


def session(**said: Any) -> SessionSettings:
    words = ", ".join(f"{key}: {value}" for key, value in ({"neighbor_ip": "192.0.2.2"} | said).items())
    found = resolution(f"bfd_instance:\n  b1: {{{words}}}\n")
    assert not found.diagnostics, found.diagnostics
    [one] = found.settings.bfd.sessions
    return one


def mistake(**said: Any) -> tuple[str, int]:
    words = ", ".join(f"{key}: {value}" for key, value in ({"neighbor_ip": "192.0.2.2"} | said).items())
    found = resolution(f"bfd_instance:\n  b1: {{{words}}}\n").diagnostics
    assert all(d.severity.value == "error" for d in found)
    return found[0].code, found[0].place.line


def test_defaults_are_those_of_keepalived() -> None:
    one = session()
    assert one.neighbor == ip_address("192.0.2.2").packed
    assert (one.desired_min_tx_interval, one.required_min_rx_interval, one.idle_tx_interval) == (
        10_000,
        10_000,
        1_000_000,
    )
    assert (one.detect_mult, one.passive, one.mode) == (5, False, Mode.SINGLE_HOP)
    assert (one.ttl, one.minimum_ttl) == (255, 255)
    assert (one.tell_vrrp, one.tell_checkers) == (True, True)
    assert (one.authentication, one.padded_pdu_size, one.source, one.interface) == (None, 0, b"", "")


def test_what_is_said_is_taken() -> None:
    one = session(
        source_ip="192.0.2.1", min_rx=20.5, min_tx=30, idle_tx=2000, multiplier=7, passive="true", interface="eth1"
    )
    assert one.source == ip_address("192.0.2.1").packed
    assert (one.required_min_rx_interval, one.desired_min_tx_interval, one.idle_tx_interval) == (
        20_500,
        30_000,
        2_000_000,
    )
    assert (one.detect_mult, one.passive, one.interface) == (7, True, "eth1")


@pytest.mark.parametrize(
    ("said", "ttl", "least"),
    [
        ({}, 255, 255),
        ({"max_hops": 1}, 255, 254),
        ({"max_hops": -1}, 255, 0),
        ({"ttl": 64, "max_hops": 2}, 64, 62),
        ({"ttl": 3, "max_hops": 5}, 3, 0),
        ({"neighbor_ip": "2001:db8::2"}, 255, 64),  # keepalived's own packets have 64
        ({"neighbor_ip": "2001:db8::2", "ttl": 255}, 255, 255),
        ({"multihop": "true"}, 255, 0),
        ({"multihop": "true", "max_hops": 3}, 255, 252),
    ],
)
def test_ttl_and_hops(said: dict[str, Any], ttl: int, least: int) -> None:
    said = {key: f'"{value}"' if ":" in str(value) else value for key, value in said.items()}
    one = session(**said)
    assert (one.ttl, one.minimum_ttl) == (ttl, least)


@pytest.mark.parametrize(
    ("said", "vrrp", "checkers"),
    [({}, True, True), ({"vrrp": "true"}, True, False), ({"checker": "true"}, False, True),
     ({"vrrp": "true", "checker": "true"}, True, True)],
)  # fmt: skip
def test_who_is_told(said: dict[str, Any], vrrp: bool, checkers: bool) -> None:
    one = session(**said)
    assert (one.tell_vrrp, one.tell_checkers) == (vrrp, checkers)


def test_authentication() -> None:
    keys = "[{id: 1, key: old}, {id: 7, key: 'hex:00ff10'}]"
    auth = session(authentication=f"{{auth_type: keyed_md5, key: {keys}, active_key: 7}}").authentication
    assert auth is not None
    assert (auth.type, auth.active) == (AuthType.KEYED_MD5, 7)
    assert [(key.id, key.secret) for key in auth.keys] == [(1, b"old"), (7, b"\x00\xff\x10")]
    auth = session(authentication="{key: [{id: 3, key: only}]}").authentication
    assert auth is not None
    assert (auth.type, auth.active) == (AuthType.METICULOUS_KEYED_SHA1, 3)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"authentication": "{key: [{id: 1, key: a}], active_key: 2}"}, "active-key"),
        ({"authentication": "{key: [{id: 1, key: a}, {id: 1, key: b}]}"}, "duplicate-key"),
        ({"authentication": "{auth_type: keyed_md5, key: [{id: 1, key: seventeen-bytes-x}]}"}, "key-length"),
        ({"source_ip": '"2001:db8::1"'}, "address-family"),
        ({"neighbor_ip": '"fe80::1"'}, "link-local"),
        ({"unaffiliated_echo": "true"}, "echo-incomplete"),
        (
            {"unaffiliated_echo": "true", "interface": "eth0", "source_ip": "192.0.2.1", "multihop": "true"},
            "echo-multihop",
        ),
        (
            {"unaffiliated_echo": "true", "interface": "eth0", "source_ip": "192.0.2.1", "passive": "true"},
            "echo-passive",
        ),
    ],
)
def test_mistakes(said: dict[str, Any], code: str) -> None:
    assert mistake(**said) == (code, 2)


def test_the_same_session_twice() -> None:
    found = resolution("bfd_instance:\n  b1: {neighbor_ip: 192.0.2.2}\n  b2: {neighbor_ip: 192.0.2.2}\n").diagnostics
    assert [(d.code, d.place.line) for d in found] == [("duplicate-session", 3)]


def test_echo_needs_raw_sockets_and_nothing_else_does() -> None:
    plain = resolution("bfd_instance:\n  b1: {neighbor_ip: 192.0.2.2}\n").settings.bfd
    said = "{neighbor_ip: 192.0.2.2, source_ip: 192.0.2.1, interface: eth0, unaffiliated_echo: true}"
    looped = resolution(f"bfd_instance:\n  b1: {said}\n").settings.bfd
    assert privileges_for(plain) == ()
    assert privileges_for(looped) == ("CAP_NET_RAW",)
    assert looped.sessions[0].mode is Mode.UNAFFILIATED_ECHO

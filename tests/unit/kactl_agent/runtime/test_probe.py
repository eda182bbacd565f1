"""Checks against real sockets: each server behaviour ends in time, with a verdict that says what was seen."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import resource
import shutil
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.exchanges import NetworkCheckSettings
from kactl_agent.checkers.settings import (
    CheckTiming,
    ConnectTarget,
    DnsCheckSettings,
    HttpCheckSettings,
    PingCheckSettings,
    RegexSettings,
    SmtpCheckSettings,
    TcpCheckSettings,
    TlsSettings,
    UdpCheckSettings,
    UrlSettings,
)
from kactl_agent.runtime.probe import Outcome, ProbeShell
from support.check_servers import (
    CheckServer,
    Do,
    certificate,
    datagram_server,
    dns_answer,
    page,
    server_context,
    stream_server,
    unanswering,
    unused_port,
)

TIMING = CheckTiming()
SECOND = 1_000_000_000


@pytest.fixture
def shell() -> Iterator[ProbeShell]:
    loop = asyncio.SelectorEventLoop()
    made = ProbeShell(loop)
    yield made
    made.close()
    loop.close()


def outcomes(
    shell: ProbeShell, checks: Sequence[NetworkCheckSettings], trace: list[str] | None = None
) -> list[Outcome]:
    """The outcomes of checks that are made at the same time, in their order."""
    loop = shell._loop
    found: dict[int, Outcome] = {}

    def done(number: int, outcome: Outcome) -> None:
        assert number not in found, "an outcome is given once"
        found[number] = outcome
        if len(found) == len(checks):
            loop.stop()

    for number, settings in enumerate(checks):
        shell.start(settings, 0, lambda outcome, n=number: done(n, outcome), None if trace is None else trace.append)
        assert number not in found, "never from within start"
    alarm = loop.call_later(30, loop.stop)
    loop.run_forever()
    alarm.cancel()
    assert len(found) == len(checks), "no outcome"
    return [found[number] for number in range(len(checks))]


def outcome(shell: ProbeShell, settings: NetworkCheckSettings, trace: list[str] | None = None) -> CheckEnded:
    (found,) = outcomes(shell, [settings], trace)
    assert isinstance(found, CheckEnded)
    return found


def target(server: CheckServer | int, seconds: float = 5, **said: Any) -> ConnectTarget:
    address, port = ("127.0.0.1", server) if isinstance(server, int) else (server.address, server.port)
    return ConnectTarget(address=address, port=port, timeout=int(seconds * SECOND), **said)


def tcp(server: CheckServer | int, seconds: float = 5, **said: Any) -> TcpCheckSettings:
    return TcpCheckSettings(timing=TIMING, target=target(server, seconds, **said))


def http(server: CheckServer, seconds: float = 5, tls: TlsSettings | None = None, **url: Any) -> HttpCheckSettings:
    made = UrlSettings(**{"path": "/a", "host": "www.x"} | url)
    return HttpCheckSettings(timing=TIMING, target=target(server, seconds), urls=(made,), tls=tls)


# -- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection(shell: ProbeShell, address: str) -> None:
    with stream_server(Do.HOLD, address=address) as server:
        assert outcome(shell, tcp(server)) == CheckEnded(True, "connected")
    assert outcome(shell, tcp(server)) == CheckEnded(False, "Connection refused")


def test_a_connection_that_is_not_answered_ends_in_time(shell: ProbeShell) -> None:
    with unanswering() as server:
        began = time.monotonic()
        assert outcome(shell, tcp(server, 0.3)) == CheckEnded(False, "no connection in time")
        assert 0.29 < time.monotonic() - began < 5


def test_a_page(shell: ProbeShell) -> None:
    digest = hashlib.md5(b"hello", usedforsecurity=False).hexdigest()
    with stream_server(Do.READ, page()) as server:
        found = outcome(shell, http(server, digest=digest, regex=RegexSettings(pattern="^hel+o$")))
    assert found == CheckEnded(True, "/a: status 200, 5 bytes")
    assert server.requests == [b"GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: www.x\r\n\r\n"]


def test_a_large_page_comes_in_pieces(shell: ProbeShell) -> None:
    body = bytes(range(256)) * 40_000
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    with stream_server(Do.READ, page(body)) as server:
        assert outcome(shell, http(server, 20, digest=digest)).success


HANGS = {
    "says nothing": ((Do.HOLD,), "no answer in time in its answer to /a"),
    "stops in the header": ((Do.READ, b"HTTP/1.0 200 OK\r\nX:", Do.HOLD), "no answer in time in its answer to /a"),
    "stops in the body": (
        (Do.READ, b"HTTP/1.0 200 OK\r\n\r\nabc", Do.HOLD),
        "no answer in time in the body of /a, 3 bytes behind its header",
    ),
    "trickles its header": ((Do.READ, b"HTTP/1.0 200 OK\r\n", b"X: y\r\n", Do.TRICKLE), "no answer in time"),
    "trickles its body": ((Do.READ, b"HTTP/1.0 200 OK\r\n\r\n", b".", Do.TRICKLE), "no answer in time in the body"),
    "floods with its body": (
        (Do.READ, b"HTTP/1.0 200 OK\r\n\r\n", b"." * 9999, Do.FLOOD),
        "no answer in time in the body",
    ),
    "floods with header": ((Do.READ, b"HTTP/1.0 200 OK\r\n", b"X: y\r\n" * 99, Do.FLOOD), "the header is longer than"),
    "floods with garbage": ((b"\xff\x00" * 999, Do.FLOOD), "what came is no HTTP response"),
    "resets": ((Do.READ, Do.RESET), "Connection reset by peer"),
    "resets in the body": ((Do.READ, b"HTTP/1.0 200 OK\r\n\r\nabc", 0.1, Do.RESET), "Connection reset by peer"),
    "closes": ((Do.READ,), "no response came"),
    "closes at once": ((), ""),
    "speaks SSH": ((b"SSH-2.0-OpenSSH_9\r\n", Do.HOLD), "what came is no HTTP response: SSH-2.0-OpenSSH_9"),
}


@pytest.mark.parametrize("name", HANGS)
def test_a_server_that_misbehaves_fails_in_time_and_harms_no_other(shell: ProbeShell, name: str) -> None:
    """Another check of a good server ends at once meanwhile."""
    steps, detail = HANGS[name]
    ended: list[float] = []
    with stream_server(*steps) as bad, stream_server(Do.READ, page()) as good:
        began = time.monotonic()
        loop = shell._loop
        for delay in (0.1, 0.2, 0.3):
            loop.call_later(delay, lambda: shell.start(http(good), 0, lambda _: ended.append(time.monotonic())))
        # where an answer decides, and not the time, a busy machine may take its time for it
        found = outcome(shell, http(bad, 0.5 if "in time" in detail else 5))
        took = time.monotonic() - began
        until = time.monotonic() + 20
        while len(ended) < 3 and time.monotonic() < until:
            loop.call_later(0.01, loop.stop)
            loop.run_forever()
    assert not found.success
    assert detail in found.detail
    assert took < 5
    assert len(ended) == 3


def test_a_server_that_speaks_smtp(shell: ProbeShell) -> None:
    smtp = SmtpCheckSettings(timing=TIMING, target=ConnectTarget(address=""), helo_name="me.example")
    with stream_server(
        b"220-hi\r\n", 0.1, b"220 go\r\n", Do.READ, b"250-a\r\n250 b\r\n", Do.READ, b"221 bye\r\n"
    ) as server:
        found = outcome(shell, SmtpCheckSettings(timing=TIMING, target=target(server), helo_name=smtp.helo_name))
    assert found.success
    assert server.requests == [b"HELO me.example\r\n", b"QUIT\r\n"]
    with stream_server(b"220-", Do.TRICKLE) as server:
        found = outcome(shell, SmtpCheckSettings(timing=TIMING, target=target(server, 0.3)))
    assert found == CheckEnded(False, "no answer in time in its greeting")


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return certificate(tmp_path_factory.mktemp("tls"), days=5)


def test_tls_without_verification(shell: ProbeShell, pair: tuple[Path, Path]) -> None:
    trace: list[str] = []
    with stream_server(Do.READ, page(), tls=server_context(*pair)) as server:
        assert outcome(shell, http(server, tls=TlsSettings(), server_name="www.sni"), trace).success
        assert outcome(shell, http(server, tls=TlsSettings())).success
    assert server.names == ["www.sni", None]
    assert server.closed_properly == [False, False]
    assert any("TLSv1.3" in line for line in trace)
    assert any("certificate valid until 2" in line for line in trace)


@pytest.mark.parametrize("name", [".x", "a..b", "x" * 70, "www.x:8443", "bücher.example", "under_score.x", "192.0.2.1"])
def test_any_virtual_host_is_taken_for_a_name_or_refused(shell: ProbeShell, pair: tuple[Path, Path], name: str) -> None:
    """What no handshake can carry is a failure that says so."""
    with stream_server(Do.READ, page(), tls=server_context(*pair)) as server:
        found = outcome(shell, http(server, tls=TlsSettings(), server_name=name))
    assert found.success or found.detail.startswith(f"{name} is no name for a handshake: "), found


class LosingContext(ssl.SSLContext):
    """As the real one where the connection has been reset before the handshake: the socket has lost its descriptor."""

    def wrap_socket(self, sock: socket.socket, *_arguments: Any, **_more: Any) -> ssl.SSLSocket:
        os.close(sock.detach())
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


class LosingShell(ProbeShell):
    def context(self, settings: TlsSettings, name: str | None) -> ssl.SSLContext:
        del settings, name
        return LosingContext(ssl.PROTOCOL_TLS_CLIENT)


def test_a_connection_that_is_lost_before_the_handshake_is_not_watched_any_more() -> None:
    loop = asyncio.SelectorEventLoop()
    shell = LosingShell(loop)
    with stream_server(Do.READ, page()) as server:
        found = outcome(shell, http(server, tls=TlsSettings()))
    assert (found.success, "reset" in found.detail) == (False, True)
    assert shell.running == 0
    shell.close()
    loop.close()


def test_tls_compliant_says_goodbye(shell: ProbeShell, pair: tuple[Path, Path]) -> None:
    with stream_server(Do.READ, page(), tls=server_context(*pair)) as server:
        assert outcome(shell, http(server, tls=TlsSettings(), tls_compliant=True)).success
        loop = shell._loop
        loop.call_later(5, loop.stop)
        while not server.closed_properly and shell.running:
            loop.call_later(0.05, loop.stop)
            loop.run_forever()
    assert server.closed_properly == [True]


def test_a_large_page_over_tls(shell: ProbeShell, pair: tuple[Path, Path]) -> None:
    """Records that were read together with others are not forgotten: nobody tells of them again."""
    body = bytes(range(256)) * 20_000
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    with stream_server(Do.READ, page(body), tls=server_context(*pair)) as server:
        found = outcomes(shell, [http(server, 20, tls=TlsSettings(), digest=digest) for _ in range(5)])
    assert [isinstance(each, CheckEnded) and each.success for each in found] == [True] * 5


def test_tls_verification(shell: ProbeShell, pair: tuple[Path, Path], tmp_path: Path) -> None:
    verifying = TlsSettings(ca=str(pair[0]), verify=True)
    with stream_server(Do.READ, page(), tls=server_context(*pair)) as server:
        assert outcome(shell, http(server, tls=verifying, server_name="x.example")).success
        assert outcome(shell, http(server, tls=verifying)).success  # its address is in the certificate
        wrong = outcome(shell, http(server, tls=verifying, server_name="y.example"))
        unknown = outcome(shell, http(server, tls=TlsSettings(verify=True), server_name="x.example"))
    assert "certificate: Hostname mismatch" in wrong.detail
    assert "certificate: self" in unknown.detail


def test_a_certificate_that_ends_soon_is_a_warning(shell: ProbeShell, pair: tuple[Path, Path]) -> None:
    day = 86_400 * SECOND
    with stream_server(Do.READ, page(), tls=server_context(*pair)) as server:
        warned = outcome(shell, http(server, tls=TlsSettings(expiry_warning=9 * day)))
        quiet = outcome(shell, http(server, tls=TlsSettings(expiry_warning=3 * day)))
    assert warned.success
    assert warned.warning.startswith(f"the certificate of 127.0.0.1 port {server.port} is valid until 2")
    assert quiet.warning == ""


def test_a_client_certificate_is_shown(shell: ProbeShell, pair: tuple[Path, Path], tmp_path: Path) -> None:
    client, key = certificate(tmp_path, "client.example")
    context = server_context(*pair)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that a refusal is part of the handshake
    with stream_server(Do.READ, page(), tls=context) as server:
        assert outcome(shell, http(server, tls=TlsSettings(certificate=str(client), key=str(key)))).success
        refused = outcome(shell, http(server, tls=TlsSettings()))
        missing = outcome(shell, http(server, tls=TlsSettings(certificate="/nonexistent.pem")))
    assert not refused.success
    assert missing == CheckEnded(False, "certificate /nonexistent.pem, key  cannot be used: No such file or directory")


def test_a_handshake_that_hangs_or_is_none(shell: ProbeShell, pair: tuple[Path, Path]) -> None:
    with stream_server(Do.HOLD, tls=server_context(*pair), handshake=False) as server:
        found = outcome(shell, http(server, 0.3, tls=TlsSettings()))
    assert found == CheckEnded(False, "no connection in time")
    with stream_server(b"HTTP/1.0 200 OK\r\n\r\n") as server:
        found = outcome(shell, http(server, tls=TlsSettings()))
    assert found.detail.startswith("TLS: ")


# -- datagrams --------------------------------------------------------------------------------------------------------


def udp(server: CheckServer | int, seconds: float = 5, **said: Any) -> UdpCheckSettings:
    return UdpCheckSettings(timing=TIMING, target=target(server, seconds), **said)


def test_udp(shell: ProbeShell) -> None:
    with datagram_server(lambda data: []) as silent:
        assert outcome(shell, udp(silent, 0.2, payload=b"")) == CheckEnded(True, "no error in time")
        assert outcome(shell, udp(silent, 0.2, require_reply=True)) == CheckEnded(False, "no reply in time")
    assert silent.requests == [b"", b""]
    assert outcome(shell, udp(silent)) == CheckEnded(False, "Connection refused")
    with datagram_server(lambda data: [data + b"!"], "::1") as echo:
        assert outcome(shell, udp(echo, payload=b"hi", require_reply=True, pattern=b"hi", mask=b"\xff\xff")).success


def test_dns(shell: ProbeShell) -> None:
    def dns(server: CheckServer, seconds: float = 5) -> DnsCheckSettings:
        return DnsCheckSettings(timing=TIMING, target=target(server, seconds), type="A", name="example.com")

    with datagram_server(dns_answer()) as server:
        assert outcome(shell, dns(server)).success
    with datagram_server(dns_answer(3)) as server:
        assert "NXDOMAIN" in outcome(shell, dns(server)).detail
    with datagram_server(dns_answer(identifier_shift=1)) as server:
        assert "no answer in time, but 1 datagrams" in outcome(shell, dns(server, 0.2)).detail
    with datagram_server(lambda data: [b"\0"] * 2000 + list(dns_answer()(data))) as server:
        found = outcome(shell, dns(server, 1))  # a flood of it may drown the answer
    assert "0 answers" in found.detail or "no response to the query" in found.detail


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_ping(shell: ProbeShell, address: str) -> None:
    ping = PingCheckSettings(timing=TIMING, target=ConnectTarget(address=address))
    try:
        assert outcome(shell, ping) == CheckEnded(True, "echo reply")
    except PermissionError:
        pytest.skip("no ICMP sockets here")


# -- the target -------------------------------------------------------------------------------------------------------


def test_from_where(shell: ProbeShell) -> None:
    port = unused_port()
    with stream_server(Do.READ, page()) as server:
        for said in (
            {"bind_address": "127.0.0.2"},
            {"bind_port": port},
            {"bind_address": "127.0.0.3", "bind_port": port},
        ):
            assert outcome(shell, tcp(server, **said)).success
        assert outcome(shell, tcp(server, bind_port=port)).success, "a port can be used again at once"
        missing = outcome(shell, tcp(server, bind_address="192.0.2.1"))
        assert missing == CheckEnded(False, "Cannot assign requested address")
        assert not outcome(shell, tcp(server, bind_interface="nosuch0")).success


def test_an_unreachable_address_fails_at_once(shell: ProbeShell) -> None:
    found = outcome(shell, TcpCheckSettings(timing=TIMING, target=ConnectTarget(address="ff02::1", port=1)))
    assert not found.success


# -- many -------------------------------------------------------------------------------------------------------------


def test_many_at_once_and_more_than_there_are_descriptors_for() -> None:
    loop = asyncio.SelectorEventLoop()
    shell = ProbeShell(loop, most=20)
    with contextlib.closing(loop), stream_server(Do.READ, page()) as server:
        found = outcomes(shell, [http(server) for _ in range(200)])
        assert all(isinstance(each, CheckEnded) and each.success for each in found)
        shell.close()


def test_a_want_of_descriptors_says_nothing_of_the_server(shell: ProbeShell) -> None:
    with stream_server(Do.HOLD) as server:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            (found,) = outcomes(shell, [tcp(server)])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == CheckLost("Too many open files")


def test_an_aborted_check_is_heard_of_no_more(shell: ProbeShell) -> None:
    heard: list[Outcome] = []
    loop = shell._loop
    with stream_server(Do.READ, page()) as server:
        shell.start(tcp(server), 0, heard.append).abort()
        shell.start(tcp(server, bind_address="192.0.2.1"), 0, heard.append).abort()
        loop.call_later(0.2, loop.stop)
        loop.run_forever()
    assert heard == []
    assert shell.running == 0


def test_a_trace_shows_what_went_there_and_back(shell: ProbeShell) -> None:
    trace: list[str] = []
    with stream_server(Do.READ, page()) as server:
        outcome(shell, http(server), trace)
    text = "\n".join(line.partition(": ")[2] for line in trace)
    assert f"TCP to 127.0.0.1 port {server.port}\nconnected\nsent 61 bytes: b'GET /a" in text
    assert "received" in text
    assert text.endswith("success: /a: status 200, 5 bytes")

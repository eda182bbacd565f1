"""The same checks of the same servers by keepalived and by kactl: what each asks for, and what it makes of the answer.

As a program (`python checker_contest.py`, in a kernel with IPVS) it lets keepalived check the servers of all cases and
prints what it saw, as JSON: support.uml runs it where the running kernel has no IPVS.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.check_servers import (
    CheckServer,
    Do,
    Step,
    certificate,
    datagram_server,
    dns_answer,
    page,
    server_context,
    stream_server,
    unanswering,
)

SECONDS = 16.0
"""How long keepalived checks: time to begin, for the longest check there is, its retry, and for what comes behind a
slow moment of the guest."""

HELLO = hashlib.md5(b"hello", usedforsecurity=False).hexdigest()
OK = page()
Answer = Callable[[bytes], Sequence[bytes]]


@dataclass(frozen=True)
class Case:
    """A checker in keepalived's words, and the server it checks: steps of a stream, or answers to datagrams."""

    checker: str
    steps: tuple[Step, ...] | None = None
    answer: Answer | None = None
    real: str = ""  # further lines of the real server
    server: str = ""  # further lines of the virtual server
    tls: bool = False
    unanswered: bool = False
    differs: str = ""  # why kactl decides otherwise, on purpose


@dataclass(frozen=True)
class Seen:
    up: bool
    requests: tuple[bytes, ...]  # without repetition
    names: tuple[str | None, ...] = ()  # of TLS handshakes


def get(url: str = "", more: str = "") -> str:
    return f"HTTP_GET {{\n url {{\n path /a\n {url}\n }}\n connect_timeout 2\n {more}\n }}"


def ssl_get(url: str = "", more: str = "") -> str:
    return get(url, more).replace("HTTP_GET", "SSL_GET", 1)


def plain(keyword: str, more: str = "") -> str:
    return f"{keyword} {{\n connect_timeout 2\n {more}\n }}"


def udp(more: str, *replies: bytes, differs: str = "") -> Case:
    return Case(plain("UDP_CHECK", f"payload 6869\n {more}"), answer=lambda data: replies, differs=differs)


READ = Do.READ
PIECES = (b"22", 0.1, b"0 hi\r\n", READ, b"2", 0.1, b"50 ok\r\n", READ, b"221 \r\n")
LENGTHS = "lengths are looked at, as documented; keepalived 2.2.7 does not"
HTTP: dict[str, Case] = {
    "a page": Case(get(), (READ, OK)),
    "without length": Case(get(), (READ, b"HTTP/1.0 200 OK\r\n\r\nhello")),
    "chunked": Case(get(), (READ, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")),
    "empty": Case(get(), (READ, page(b""))),
    "204": Case(get(), (READ, b"HTTP/1.1 204 No Content\r\n\r\n")),
    "404": Case(get(), (READ, page(status=404))),
    "302": Case(get(), (READ, page(b"", 302, "Location: /b"))),
    "500": Case(get(), (READ, page(status=500))),
    "404 is wanted": Case(get("status_code 404"), (READ, page(status=404))),
    "a range is wanted": Case(get("status_code 200-204 301"), (READ, page(status=301))),
    "outside of the range": Case(get("status_code 200-204 301"), (READ, page(status=205))),
    "digest": Case(get(f"digest {HELLO}"), (READ, OK)),
    "wrong digest": Case(get(f"digest {'0' * 32}"), (READ, OK)),
    "digest of what comes within the length": Case(get(f"digest {HELLO}"), (READ, page() + b" and more")),
    "digest and status": Case(get(f"digest {HELLO}"), (READ, page(status=500))),
    "digest and a status that is wanted": Case(get(f"digest {HELLO}\n status_code 500"), (READ, page(status=500))),
    "regex": Case(get('regex "h.llo"'), (READ, OK)),
    "wrong regex": Case(get('regex "^ello"'), (READ, OK)),
    "regex with option": Case(get('regex "HELLO"\n regex_options caseless'), (READ, OK)),
    "regex that must not match": Case(get('regex "ell"\n regex_no_match'), (READ, OK)),
    "regex that does not match": Case(get('regex "xyz"\n regex_no_match'), (READ, OK)),
    "regex behind an offset": Case(
        get('regex "l"\n regex_min_offset 4'), (READ, OK), differs="as documented; keepalived 2.2.7 does not look"
    ),
    "regex at an offset": Case(get('regex "l"\n regex_min_offset 3'), (READ, OK)),
    "regex before an offset": Case(get('regex "o"\n regex_options use_offset_limit\n regex_max_offset 3'), (READ, OK)),
    "regex over pieces": Case(
        get('regex "hello world"'), (READ, b"HTTP/1.0 200 OK\r\n\r\nhello ", 0.2, b"world")
    ),
    "HTTP/1.0C": Case(get(more="http_protocol 1.0C"), (READ, OK)),
    "HTTP/1.1": Case(get(more="http_protocol 1.1"), (READ, OK)),
    "virtual host of the url": Case(
        get("virtualhost u.x", "virtualhost c.x"), (READ, OK), real="virtualhost r.x", server="virtualhost v.x"
    ),
    "virtual host of the checker": Case(
        get("", "virtualhost c.x"), (READ, OK), real="virtualhost r.x", server="virtualhost v.x"
    ),
    "virtual host of the real server": Case(get(), (READ, OK), real="virtualhost r.x", server="virtualhost v.x"),
    "virtual host of the virtual server": Case(get(), (READ, OK), server="virtualhost v.x"),
    "says nothing": Case(get(), (READ, Do.HOLD)),
    "closes": Case(get(), (READ,)),
    "resets": Case(get(), (READ, Do.RESET)),
    "stops in the header": Case(get(), (READ, b"HTTP/1.0 200 OK\r\nX: ", Do.HOLD)),
    "closes in the header": Case(get(), (READ, b"HTTP/1.0 200 OK\r\nX: ")),
    "stops in the body": Case(get(), (READ, b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhello", Do.HOLD)),
    "closes in the body": Case(get(), (READ, b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhello")),
    "keeps the connection behind its length": Case(
        get(), (READ, OK, Do.HOLD), differs="a response that is complete is complete"
    ),
    "garbage": Case(get(), (READ, b"\x00\xff\x13garbage\r\n\r\n")),
    "SSH": Case(get(), (b"SSH-2.0-OpenSSH\r\n", READ)),
    "no status": Case(get(), (READ, b"HTTP/1.0 OK\r\n\r\nhello")),
    "no reason": Case(
        get(), (READ, b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello"), differs="the reason says nothing that counts"
    ),
    "slow but in time": Case(get(), (READ, 0.4, b"HTTP/1.0 200 OK\r\n", 0.2, b"\r\nhello")),
    "header fields in any case": Case(
        get(f"digest {HELLO}"),
        (READ, b"HTTP/1.0 200 OK\r\nCONTENT-length:5\r\n\r\nhelloXX"),
        differs="names of fields have no case (RFC 9110 section 5.1); keepalived 2.2.7 knows some spellings",
    ),
    "trickles for ever": Case(
        get(), (READ, b"HTTP/1.0 200 OK\r\n\r\n", b".", Do.TRICKLE), differs="keepalived waits for ever"
    ),
    "refused": Case(get()),
    "not answered": Case(get(), unanswered=True),
    "another port": Case(get(more="connect_port PORT"), (READ, OK)),
    "another address and port": Case(get(more="connect_ip 127.0.0.1\n connect_port PORT"), (READ, OK)),
    "two pages": Case(get().replace("connect_timeout", "url {\n path /b\n }\n connect_timeout"), (READ, OK)),
    "TLS": Case(ssl_get(), (READ, OK), tls=True),
    "TLS and digest": Case(ssl_get(f"digest {HELLO}"), (READ, OK), tls=True),
    "TLS with a name": Case(ssl_get("virtualhost u.x", "enable_sni"), (READ, OK), tls=True),
    "TLS with the checker's name": Case(
        ssl_get("", "enable_sni\n virtualhost c.x"), (READ, OK), tls=True, real="virtualhost r.x"
    ),
    "TLS with the virtual server's name": Case(
        ssl_get("", "enable_sni"), (READ, OK), tls=True, server="virtualhost v.x"
    ),
    "TLS without a name": Case(ssl_get("virtualhost u.x"), (READ, OK), tls=True),
    "TLS with nobody's name": Case(ssl_get("", "enable_sni"), (READ, OK), tls=True),
    "TLS to who speaks none": Case(ssl_get(), (READ, OK)),
    "TLS and nothing": Case(ssl_get(), (READ, Do.HOLD), tls=True),
    "TLS and 500": Case(ssl_get(), (READ, page(status=500)), tls=True),
}  # fmt: skip

EHLO = (b"220 hi\r\n", READ, b"250 ok\r\n")
OTHERS: dict[str, Case] = {
    "TCP": Case(plain("TCP_CHECK"), (0.1,)),
    "TCP refused": Case(plain("TCP_CHECK")),
    "TCP not answered": Case(plain("TCP_CHECK"), unanswered=True),
    "SMTP": Case(plain("SMTP_CHECK"), (*EHLO, READ, b"221 bye\r\n")),
    "SMTP with a name": Case(plain("SMTP_CHECK", "helo_name me.x"), (*EHLO, READ, b"221 bye\r\n")),
    "SMTP refuses": Case(plain("SMTP_CHECK"), (b"554 no\r\n", READ)),
    "SMTP refuses HELO": Case(plain("SMTP_CHECK"), (b"220 hi\r\n", READ, b"501 no\r\n", READ)),
    "SMTP closes behind QUIT": Case(plain("SMTP_CHECK"), (*EHLO, READ)),
    "SMTP any answer to QUIT": Case(plain("SMTP_CHECK"), (*EHLO, READ, b"500 what\r\n")),
    "SMTP no answer to QUIT": Case(plain("SMTP_CHECK"), (*EHLO, READ, Do.HOLD)),
    "SMTP says nothing": Case(plain("SMTP_CHECK"), (Do.HOLD,)),
    "SMTP closes": Case(plain("SMTP_CHECK"), ()),
    "SMTP in lines": Case(
        plain("SMTP_CHECK"),
        (b"220-hi\r\n220 there\r\n", READ, b"250-a\r\n250 b\r\n", READ, b"221 bye\r\n"),
        differs="replies may have many lines (RFC 5321 section 4.2.1); keepalived 2.2.7 fails",
    ),
    "SMTP in pieces": Case(plain("SMTP_CHECK"), PIECES),
    "DNS": Case(plain("DNS_CHECK"), answer=dns_answer()),
    "DNS type and name": Case(plain("DNS_CHECK", "type aaaa\n name www.example.com"), answer=dns_answer()),
    "DNS NXDOMAIN": Case(plain("DNS_CHECK"), answer=dns_answer(3)),
    "DNS SERVFAIL": Case(plain("DNS_CHECK"), answer=dns_answer(2)),
    "DNS other query": Case(plain("DNS_CHECK"), answer=dns_answer(identifier_shift=1)),
    "DNS no response": Case(plain("DNS_CHECK"), answer=lambda query: [query]),
    "DNS short": Case(plain("DNS_CHECK"), answer=lambda query: [query[:3]]),
    "DNS silent": Case(plain("DNS_CHECK"), answer=lambda query: []),
    "DNS refused": Case(plain("DNS_CHECK")),
    "UDP silent": udp(""),
    "UDP refused": Case(plain("UDP_CHECK", "payload 6869")),
    "UDP answers": udp("", b"x"),
    "UDP reply": udp("require_reply", b"x"),
    "UDP no reply": udp("require_reply"),
    "UDP pattern": udp("require_reply 6f6b", b"ok then"),
    "UDP wildcard": udp("require_reply 6fxx21", b"o?!"),
    "UDP half a wildcard": udp("require_reply 6fx1", b"oq"),
    "UDP wrong pattern": udp("require_reply 6f6b", b"no"),
    "UDP shorter than the pattern": udp("require_reply 6f6b", b"o", differs=LENGTHS),
    "UDP too short": udp("require_reply\n min_reply_length 3", b"ab", differs=LENGTHS),
    "UDP just long enough": udp("require_reply\n min_reply_length 3", b"abc"),
    "UDP too long": udp("require_reply\n max_reply_length 3", b"abcd", differs=LENGTHS),
    "UDP 300 bytes": udp("require_reply", b"x" * 300),
    "MISC 0": Case('MISC_CHECK {\n misc_path "/bin/sh -c \'exit 0\'"\n }'),
    "MISC 1": Case('MISC_CHECK {\n misc_path "/bin/sh -c \'exit 1\'"\n }'),
    "MISC 7": Case('MISC_CHECK {\n misc_path "/bin/sh -c \'exit 7\'"\n }'),
    "MISC dynamic 7": Case('MISC_CHECK {\n misc_path "/bin/sh -c \'exit 7\'"\n misc_dynamic\n }'),
    "MISC dynamic 1": Case('MISC_CHECK {\n misc_path "/bin/sh -c \'exit 1\'"\n misc_dynamic\n }'),
    "MISC too long": Case('MISC_CHECK {\n misc_path "/bin/sleep 60"\n misc_timeout 2\n }'),
    "PING": Case(plain("PING_CHECK")),
    "PING nobody": Case(plain("PING_CHECK", "connect_ip 192.0.2.77")),
}  # fmt: skip
CASES = HTTP | OTHERS


@contextlib.contextmanager
def servers(cases: dict[str, Case], folder: Path) -> Iterator[dict[str, CheckServer]]:
    """A server for each case; a case without one has a port on which nobody listens."""
    pair = certificate(folder) if any(case.tls for case in cases.values()) else None
    with ExitStack() as stack:
        made: dict[str, CheckServer] = {}
        for name, case in cases.items():
            if case.steps is not None:
                tls = server_context(*pair) if case.tls and pair is not None else None
                made[name] = stack.enter_context(stream_server(*case.steps, tls=tls))
            elif case.answer is not None:
                made[name] = stack.enter_context(datagram_server(case.answer))
            elif case.unanswered:
                made[name] = stack.enter_context(unanswering())
        for name in cases.keys() - made.keys():
            made[name] = stack.enter_context(refusing())
        yield made


@contextlib.contextmanager
def refusing() -> Iterator[CheckServer]:
    """A port that refuses connections and datagrams, and that nobody else takes meanwhile: a socket that does not
    listen cannot be connected to, and one that has a peer takes no other's datagrams."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            place = stream.getsockname()
            try:
                datagrams.bind(place)
            except OSError:
                continue  # somebody has it for datagrams
            datagrams.connect(("127.0.0.1", 9))
            yield CheckServer(*place)
            return


def configuration(cases: dict[str, Case], ports: dict[str, int]) -> str:
    """A virtual server for each case: 10.9.0.1, 10.9.0.2, ... A checker that says PORT goes there itself."""
    parts = ["global_defs {\n router_id x\n script_user root\n}"]
    for number, (name, case) in enumerate(cases.items(), 1):
        elsewhere = "PORT" in case.checker
        real, checker = 9 if elsewhere else ports[name], case.checker.replace("PORT", str(ports[name]))
        parts.append(
            f"virtual_server 10.9.0.{number} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n"
            f" delay_loop 4\n warmup 3\n retry 1\n delay_before_retry 1\n {case.server}\n"
            f" real_server 127.0.0.1 {real} {{\n weight 1\n"
            f" {case.real}\n {checker}\n }}\n}}"
        )
    return "\n".join(parts) + "\n"


def seen(case: Case, server: CheckServer, up: bool) -> Seen:
    requests = [_comparable(case, server, data) for data in server.requests if data]
    return Seen(up, tuple(dict.fromkeys(requests)), tuple(dict.fromkeys(server.names)))


def _comparable(case: Case, server: CheckServer, request: bytes) -> bytes:
    """Without what differs from run to run."""
    if "DNS_CHECK" in case.checker:
        return b"??" + request[2:]
    if request[:1] == b"\x16":
        return b"a TLS handshake"
    return request.replace(b":%d\r\n" % server.port, b":PORT\r\n")


# -- keepalived -------------------------------------------------------------------------------------------------------


def observe_keepalived(cases: dict[str, Case]) -> dict[str, Seen]:
    """Needs a kernel with IPVS, and root."""
    with tempfile.TemporaryDirectory() as name, servers(cases, Path(name)) as made:
        folder = Path(name)
        conf = folder / "keepalived.conf"
        conf.write_text(configuration(cases, {case: server.port for case, server in made.items()}))
        log = (folder / "log").open("wb")
        command = ["keepalived", "-n", "-l", "-C", "-f", str(conf)]
        pids = ["-p", str(folder / "pid"), "-c", str(folder / "checkers.pid")]
        with log, subprocess.Popen([*command, *pids], stdout=log, stderr=log) as daemon:
            time.sleep(SECONDS)
            table = Path("/proc/net/ip_vs").read_text()
            daemon.terminate()
            sys.stderr.write((folder / "log").read_text())
        alive = balanced(table)
        return {
            case: seen(cases[case], made[case], f"0A0900{number:02X}:0050" in alive)
            for number, case in enumerate(cases, 1)
        }


def balanced(table: str) -> set[str]:
    """The services of /proc/net/ip_vs that have a real server."""
    found, service = set(), ""
    for line in table.splitlines():
        words = line.split()
        if words and words[0] in ("TCP", "UDP"):
            service = words[1]
        elif words[:1] == ["->"] and service and ":" in words[1] and "Remote" not in words[1]:
            found.add(service)
    return found


def keepalived_in_uml(names: Sequence[str] = ()) -> dict[str, Seen]:
    """These cases, or all, in one boot of a User Mode Linux."""
    from support import uml

    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    done = uml.run([sys.executable, __file__, *names], environment={"PYTHONPATH": path}, timeout=200)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return {
        name: Seen(up, tuple(bytes.fromhex(data) for data in requests), tuple(names))
        for name, (up, requests, names) in json.loads(done.stdout).items()
    }


def main() -> None:
    found = observe_keepalived({name: case for name, case in CASES.items() if not sys.argv[1:] or name in sys.argv[1:]})
    json.dump(
        {name: [each.up, [data.hex() for data in each.requests], each.names] for name, each in found.items()},
        sys.stdout,
    )


# -- kactl ------------------------------------------------------------------------------------------------------------


def observe_kactl(cases: dict[str, Case]) -> dict[str, tuple[Seen, str]]:
    """One check (of an HTTP_GET, of each url) of every server, all at once; with what was said of it."""
    with tempfile.TemporaryDirectory() as name, servers(cases, Path(name)) as made:
        verdicts = asyncio.run(_check(configuration(cases, {case: server.port for case, server in made.items()})))
        return {
            case: (seen(cases[case], made[case], up), detail)
            for (case, (up, detail)) in zip(cases, verdicts, strict=True)
        }


async def _check(conf: str) -> list[tuple[bool, str]]:
    from kactl_agent.checkers.actions import CheckEnded
    from kactl_agent.checkers.misc import misc_outcome
    from kactl_agent.checkers.settings import BfdCheckSettings, FileCheckSettings, HttpCheckSettings, MiscCheckSettings
    from kactl_agent.config.checkers import CheckerResolver
    from kactl_agent.config.checks.problem import Sheet
    from kactl_agent.config.schema.shapes import or_default
    from kactl_agent.runtime.probe import Outcome, ProbeShell
    from support.conversion import document_of

    document = document_of(conf)
    resolver = CheckerResolver(Sheet(document))
    loop = asyncio.get_running_loop()
    shell = ProbeShell(loop)

    async def program(settings: MiscCheckSettings) -> CheckEnded:
        process = await asyncio.create_subprocess_exec(*settings.command.arguments)
        try:
            return misc_outcome(
                await asyncio.wait_for(process.wait(), settings.timeout / 1e9), dynamic=settings.dynamic
            )
        except TimeoutError:
            process.kill()
            await process.wait()
            return CheckEnded(False, "timed out")

    async def one(server: Any) -> tuple[bool, str]:
        (real,) = server.real_server
        (settings,) = resolver.resolve((), server, real, real.address, real.port)
        if isinstance(settings, MiscCheckSettings):
            ended = await program(settings)
            return ended.success, ended.detail
        detail = ""
        assert not isinstance(settings, FileCheckSettings | BfdCheckSettings)
        for step in range(len(settings.urls) if isinstance(settings, HttpCheckSettings) else 1):
            future: asyncio.Future[Outcome] = loop.create_future()
            shell.start(settings, step, future.set_result)
            outcome = await future
            if not isinstance(outcome, CheckEnded) or not outcome.success:
                return False, getattr(outcome, "detail", "lost")
            detail = outcome.detail
        return True, detail

    try:
        return list(await asyncio.gather(*(one(server) for server in or_default(document.config.virtual_server, ()))))
    finally:
        shell.close()


if __name__ == "__main__":
    main()

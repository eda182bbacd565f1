"""kactl genhash, and genhash by its old name."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.settings import HttpCheckSettings
from kactl_agent.config.bind import bind
from kactl_agent.config.checkers import CheckerResolver
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.runtime.probe import Outcome, ProbeShell
from support.check_servers import Do, Step, stream_server
from support.page_server import page_server

PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HELLO = "5d41402abc4b2a76b9719d911017c592"


def genhash(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run(["genhash", *words], Environment(io.BytesIO(), out, err, {}))
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_digest_alone_is_printed(address: str) -> None:
    with page_server(PAGE, address) as server:
        assert genhash("-s", address, "-p", str(server.port), "-u", "/a") == (ExitCode.FINE, f"{HELLO}\n", "")
    assert server.requests[0].startswith(b"GET /a HTTP/1.0\r\n")


def test_long_options_and_virtual_host() -> None:
    with page_server(PAGE) as server:
        words = ("--server", "127.0.0.1", "--port", str(server.port), "--url", "/", "--use-virtualhost", "x.example")
        assert genhash(*words, "--protocol", "1.0c", "--timeout", "3")[0] == ExitCode.FINE
    assert server.requests == [
        b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: x.example\r\n\r\n"
    ]


def test_no_response_is_a_failure_and_said() -> None:
    with page_server(b"") as server:
        code, out, err = genhash("-s", "127.0.0.1", "-p", str(server.port), "-u", "/")
    assert (code, out) == (ExitCode.FAILED, "")
    assert "no response came" in err
    code, out, err = genhash("-s", "127.0.0.1", "-p", str(server.port), "-u", "/")
    assert (code, out) == (ExitCode.FAILED, "")
    assert "Connection refused" in err


def test_a_name_that_no_handshake_can_carry() -> None:
    with page_server(PAGE) as server:
        words = ("-s", "127.0.0.1", "-p", str(server.port), "-u", "/", "-S", "-I", "-V", ".x")
        program = [sys.executable, "-m", "kactl", "genhash", *words]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert ".x is no name for a handshake" in done.stderr


def test_a_large_body_is_hashed_as_it_comes() -> None:
    body = bytes(range(256)) * 40_000
    with page_server(b"HTTP/1.0 200 OK\r\n\r\n" + body) as server:
        _, out, _ = genhash("-s", "127.0.0.1", "-p", str(server.port), "-u", "/")
    assert out.strip() == hashlib.md5(body, usedforsecurity=False).hexdigest()


def test_a_very_large_body_needs_no_memory() -> None:
    """100 MB; a process that has hashed them is as large as one that has hashed five bytes."""
    chunk, count = bytes(range(256)) * 4096, 100

    def largest(*steps: Step) -> tuple[str, int]:
        with stream_server(Do.READ, b"HTTP/1.0 200 OK\r\n\r\n", *steps) as server:
            words = ["genhash", "-s", "127.0.0.1", "-p", str(server.port), "-u", "/", "-t", "30"]
            command = [sys.executable, "-m", "kactl", *words]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                out = process.stdout.read()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = status
        return out.strip(), usage.ru_maxrss

    small, little = largest(b"hello")
    large, most = largest(*[chunk] * count)
    expected = hashlib.md5(usedforsecurity=False)
    for _ in range(count):
        expected.update(chunk)
    assert (small, large) == (HELLO, expected.hexdigest())
    assert most - little < 8 * 1024, "KiB"


def test_its_digest_makes_the_checker_pass_on_the_same_server() -> None:
    """S01: genhash and HTTP_GET read a response with the same code. Chunked, so that framing would show."""
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with page_server(response) as server:
        _, digest, _ = genhash("-s", "127.0.0.1", "-p", str(server.port), "-u", "/a", "-P", "1.1")
        words = {"path": "/a", "digest": digest.strip()}
        right = check(f"HTTP_GET: {{http_protocol: 1.1, url: [{words}]}}", server.port)
        wrong = check(f"HTTP_GET: {{http_protocol: 1.1, url: [{words | {'digest': '0' * 32}}]}}", server.port)
    assert right.success
    assert not wrong.success
    assert digest.strip() in wrong.detail
    assert server.requests[0] == server.requests[1]


def check(block: str, port: int) -> CheckEnded:
    """One check by the agent, as the configuration says it."""
    real = f"{{address: 127.0.0.1, port: {port}, {block}}}"
    text = f"virtual_server: [{{address: 192.0.2.1, port: 80, protocol: TCP, real_server: [{real}]}}]"
    document = bind(text, "agent.yaml")
    (server,) = or_default(document.config.virtual_server, ())
    (real_server,) = or_default(server.real_server, ())
    (settings,) = CheckerResolver(Sheet(document)).resolve((), server, real_server, "127.0.0.1", port)
    assert isinstance(settings, HttpCheckSettings)

    async def run() -> Outcome:
        loop = asyncio.get_running_loop()
        shell = ProbeShell(loop)
        future: asyncio.Future[Outcome] = loop.create_future()
        shell.start(settings, 0, future.set_result)
        try:
            return await future
        finally:
            shell.close()

    outcome = asyncio.run(run())
    assert isinstance(outcome, CheckEnded)
    return outcome


def test_verbose_shows_header_body_and_digest() -> None:
    with page_server(PAGE) as server:
        _, out, _ = genhash("-s", "127.0.0.1", "-p", str(server.port), "-u", "/a", "-v")
    assert "0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK." in out
    assert "Global response time for [/a] = " in out
    assert HELLO in out.splitlines()


@pytest.mark.parametrize("words", [(), ("-s", "name.example", "-p", "80", "-u", "/"), ("-s", "127.0.0.1", "-p", "80")])
def test_usage(words: tuple[str, ...]) -> None:
    assert genhash(*words)[0] == ExitCode.USAGE


def test_by_its_old_name() -> None:
    program = "import sys; sys.argv = ['genhash', *sys.argv[1:]]; from kactl.__main__ import genhash; genhash()"
    with page_server(PAGE) as server:
        words = ["-s", "127.0.0.1", "-p", str(server.port), "-u", "/"]
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{HELLO}\n")

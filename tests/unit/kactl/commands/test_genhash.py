"""kactl genhash, and genhash by its old name."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
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


def test_a_large_body_is_hashed_as_it_comes() -> None:
    body = bytes(range(256)) * 40_000
    with page_server(b"HTTP/1.0 200 OK\r\n\r\n" + body) as server:
        _, out, _ = genhash("-s", "127.0.0.1", "-p", str(server.port), "-u", "/")
    assert out.strip() == hashlib.md5(body, usedforsecurity=False).hexdigest()


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

"""kactl genhash prints what `keepalived --genhash` prints, and asks as it asks."""

from __future__ import annotations

import io
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl.app import run
from kactl.environment import Environment
from support.check_servers import Do, stream_server, wait_for_port
from support.page_server import page_server

pytestmark = pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")

RESPONSES = {
    "with its length": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "more than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloXXXX",
    "without length": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 Not Found\r\n\r\nnope",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 4\r\n\r\nover",
    "large": b"HTTP/1.0 200 OK\r\n\r\n" + bytes(range(256)) * 4_000,
}


LARGE = bytes(range(256)) * 4096


def both(words: list[str]) -> tuple[str, str]:
    theirs = subprocess.run(["keepalived", "--genhash", *words], capture_output=True, text=True, timeout=30)
    out = io.StringIO()
    run(["genhash", *words], Environment(io.BytesIO(), out, io.StringIO(), {}))
    return theirs.stdout, out.getvalue()


@pytest.mark.parametrize("protocol", ["1.0", "1.0c", "1.1"])
@pytest.mark.parametrize("name", RESPONSES)
def test_same_request_and_same_digest(name: str, protocol: str) -> None:
    with page_server(RESPONSES[name]) as server:
        words = ["-s", "127.0.0.1", "-p", str(server.port), "-u", "/a?b=c", "-P", protocol, "-V", "www.example.net"]
        theirs, ours = both(words)
    assert ours == theirs
    assert server.requests[0] == server.requests[1]


def test_same_for_a_body_of_100_megabytes() -> None:
    with stream_server(Do.READ, b"HTTP/1.0 200 OK\r\n\r\n", *[LARGE] * 100) as server:
        theirs, ours = both(["-s", "127.0.0.1", "-p", str(server.port), "-u", "/", "-t", "30"])
    assert ours == theirs
    assert len(ours) == 33


@pytest.mark.parametrize("name", sorted(RESPONSES.keys() - {"large"}))
def test_the_same_is_shown_verbosely(name: str) -> None:
    with page_server(RESPONSES[name]) as server:
        theirs, ours = both(["-s", "127.0.0.1", "-p", str(server.port), "-u", "/a", "-v"])
    assert _without_time(ours) == _without_time(theirs)


def _without_time(text: str) -> str:
    return re.sub(r" = \d+ usecs", " = N usecs", text.replace("\r\n", "\n"))


@pytest.fixture
def port() -> Iterator[int]:
    """One that nobody takes before who shares it with us listens there."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_same_from_nginx(tmp_path: Path, port: int) -> None:
    """Pages, redirects and errors of virtual hosts, as a real server sends them."""
    (tmp_path / "page.html").write_text("<p>hello</p>" * 999)
    (tmp_path / "nginx.conf").write_text(
        f"""user root; daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
        events {{}}
        http {{
          access_log off; server_tokens off; default_type text/html; keepalive_timeout 0;
          server {{ listen 127.0.0.1:{port} reuseport; server_name www.x; root {tmp_path};
            location /moved {{ return 302 /page.html; }} }}
          server {{ listen 127.0.0.1:{port}; server_name other.x; return 200 "another page"; }}
        }}"""
    )
    command = ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as nginx:
        try:
            wait_for_port(port)
            digests = set()
            for host in ("www.x", "other.x"):
                for path in ("/page.html", "/moved", "/missing"):
                    for protocol in ("1.0", "1.0c", "1.1"):
                        words = ["-s", "127.0.0.1", "-p", str(port), "-u", path, "-V", host, "-P", protocol]
                        theirs, ours = both(words)
                        assert ours == theirs
                        digests.add(ours)
        finally:
            nginx.terminate()
    assert len(digests) == 4


def test_same_over_ipv6_and_without_virtual_host() -> None:
    with page_server(RESPONSES["with its length"], "::1") as server:
        theirs, ours = both(["-s", "::1", "-p", str(server.port), "-u", "/"])
    assert ours == theirs
    assert server.requests[0] == server.requests[1]


def test_same_over_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x.example"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with page_server(RESPONSES["with its length"], tls=context) as server:
        theirs, ours = both(["-S", "-I", "-V", "x.example", "-s", "127.0.0.1", "-p", str(server.port), "-u", "/"])
    assert ours == theirs
    assert names == ["x.example", "x.example"]
    assert server.requests[0] == server.requests[1]

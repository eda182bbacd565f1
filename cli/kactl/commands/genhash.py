"""kactl genhash: the digest of a page, by the exchange that HTTP_GET and SSL_GET make."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass

import click

from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.checkers.http import HttpExchange, HttpRequest, HttpResponseFault, host_header
from kactl_agent.checkers.settings import HttpVersion

_VERSIONS = {
    "1.0": HttpVersion.HTTP_1_0,
    "1.0c": HttpVersion.HTTP_1_0_CLOSE,
    "1.0C": HttpVersion.HTTP_1_0_CLOSE,
    "1.1": HttpVersion.HTTP_1_1,
}
_CHUNK = 1 << 16


def _address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise click.BadParameter(f"server should be an IP, not {value}") from None


@dataclass(frozen=True)
class _Target:
    address: str
    port: int
    timeout: float
    fwmark: int
    tls: bool
    server_name: str | None


@click.command(epilog="\b\nExample: kactl genhash -s 192.0.2.10 -p 80 -u /healthz")
@click.option(
    "-s", "--server", "address", metavar="IP", required=True, callback=_address, help="Address of the server."
)
@click.option("-p", "--port", type=click.IntRange(1, 65535), required=True, help="Its port.")
@click.option("-u", "--url", "path", metavar="PATH", required=True, help="What is asked for.")
@click.option("-S", "--use-ssl", "tls", is_flag=True, help="Use TLS; certificates are not verified, as SSL_GET has it.")
@click.option("-I", "--use-sni", "sni", is_flag=True, help="Send the virtual host as SNI.")
@click.option("-V", "--use-virtualhost", "virtualhost", metavar="NAME", default="", help="Host header.")
@click.option("-m", "--fwmark", type=click.IntRange(0, 2**32 - 1), default=0, help="Firewall mark of the packets.")
@click.option("-P", "--protocol", type=click.Choice([*_VERSIONS]), default="1.0", help="Version; c closes explicitly.")
@click.option(
    "-t", "--timeout", type=click.IntRange(1, 3600), default=5, help="Seconds to connect, and to be answered."
)
@click.option("-v", "--verbose", is_flag=True, help="Show header, body and digest as dumps.")
@click.pass_obj
def genhash(
    environment: Environment,
    address: str,
    port: int,
    path: str,
    tls: bool,
    sni: bool,
    virtualhost: str,
    fwmark: int,
    protocol: str,
    timeout: int,
    verbose: bool,
) -> int:
    """Print the MD5 digest of a page's body, for the keyword `digest`.

    Any status counts: the body of a 404 is hashed too. Exits with 1 when no response came.
    """
    target = _Target(address, port, timeout, fwmark, tls, (virtualhost or None) if sni else None)
    request = HttpRequest(path, host_header(address, port, virtualhost), _VERSIONS[protocol])
    exchange = HttpExchange()
    dump = _Dump(environment, exchange) if verbose else None
    began = time.monotonic_ns()
    try:
        _run(target, request, exchange, dump)
    except (OSError, HttpResponseFault) as fault:
        environment.say(f"kactl: {address} port {port}: {_reason(fault)}")
        return ExitCode.FAILED
    if dump is not None:
        dump.end()
    environment.write(exchange.digest)
    if verbose:
        environment.write(f"\nGlobal response time for [{path}] = {(time.monotonic_ns() - began) // 1000} usecs")
    return ExitCode.FINE


def _run(target: _Target, request: HttpRequest, exchange: HttpExchange, dump: _Dump | None) -> None:
    """Make the exchange; nothing of the body is kept. Raises OSError and HttpResponseFault."""
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as plain:
        plain.settimeout(target.timeout)
        if target.fwmark:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, target.fwmark)
        plain.connect((target.address, target.port))
        with _secured(plain, target) as connection:
            connection.sendall(request.encode())
            while not exchange.complete:
                data = connection.recv(_CHUNK)
                if not data:
                    exchange.end()
                    break
                body = exchange.receive(data)
                if dump is not None:
                    dump.body(body)


def _secured(plain: socket.socket, target: _Target) -> socket.socket:
    if not target.tls:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    try:
        return context.wrap_socket(plain, server_hostname=target.server_name)
    except ValueError as error:
        raise HttpResponseFault(f"{target.server_name} is no name for a handshake: {error}") from None


def _reason(fault: OSError | HttpResponseFault) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    return (fault.strerror or str(fault)) if isinstance(fault, OSError) else str(fault)


_TITLES = {
    # as keepalived draws them
    "header": "[    HTTP Header Buffer    ]",
    "text": "[ HTTP Header Ascii Buffer ]",
    "body": "[        HTML Buffer        ]",
    "digest": "[    HTML hash resulting    ]",
    "end": "[ HTML hash final resulting ]",
}
_ROW = 16


class _Dump:
    """Header, body and digest in hexadecimal and as text, the body as it comes."""

    def __init__(self, environment: Environment, exchange: HttpExchange) -> None:
        self._environment = environment
        self._exchange = exchange
        self._shown = 0  # bytes of the body
        self._rest = b""  # of it that fill no row yet
        self._has_begun = False

    def body(self, data: bytes) -> None:
        """The next part of the body, whose header is complete."""
        if not self._exchange.status:
            return
        self._begin()
        if data and not self._shown and not self._rest:
            self._title("body")
        whole = self._rest + data
        rows = len(whole) - len(whole) % _ROW
        if rows:
            self._environment.write(_hex(whole[:rows], self._shown))
            self._shown += rows
        self._rest = whole[rows:]

    def end(self) -> None:
        self._begin()
        if self._rest:
            self._environment.write(_hex(self._rest, self._shown))
        self._environment.write("")
        self._title("digest")
        self._environment.write(_hex(bytes.fromhex(self._exchange.digest)))
        self._title("end")

    def _begin(self) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        header = self._exchange.header
        self._title("header")
        self._environment.write(_hex(header))
        self._title("text")
        self._environment.write(header.decode("latin-1"))

    def _title(self, which: str) -> None:
        self._environment.write(f"{'-' * 23}{_TITLES[which]}{'-' * 23}")


def _hex(data: bytes, begin: int = 0) -> str:
    """Sixteen bytes a line: decimal offset, hexadecimal, characters."""
    lines = []
    for offset in range(0, len(data), _ROW):
        part = data[offset : offset + _ROW]
        digits = " ".join(f"{byte:02x}" for byte in part[:8]).ljust(23)
        more = " ".join(f"{byte:02x}" for byte in part[8:]).ljust(23)
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{begin + offset:04d}  {digits} - {more}   {text:<16}")
    return "\n".join(lines)

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
    began = time.monotonic_ns()
    try:
        body = _run(target, request, exchange, keep_body=verbose)
    except (OSError, HttpResponseFault) as fault:
        environment.say(f"kactl: {address} port {port}: {_reason(fault)}")
        return ExitCode.FAILED
    if verbose:
        _dump(environment, exchange, body)
    environment.write(exchange.digest)
    if verbose:
        environment.write(f"\nGlobal response time for [{path}] = {(time.monotonic_ns() - began) // 1000} usecs")
    return ExitCode.FINE


def _run(target: _Target, request: HttpRequest, exchange: HttpExchange, *, keep_body: bool) -> bytes:
    """Make the exchange; returns the body when it is asked for. Raises OSError and HttpResponseFault."""
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    kept = bytearray()
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
                if keep_body:
                    kept += body
    return bytes(kept)


def _secured(plain: socket.socket, target: _Target) -> socket.socket:
    if not target.tls:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=target.server_name)


def _reason(fault: OSError | HttpResponseFault) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    return (fault.strerror or str(fault)) if isinstance(fault, OSError) else str(fault)


def _dump(environment: Environment, exchange: HttpExchange, body: bytes) -> None:
    """Header, body and digest in hexadecimal and as text."""
    for title, data in (("HTTP Header Buffer", exchange.header), ("HTTP Header Ascii Buffer", None)):
        environment.write(_title(title))
        environment.write(exchange.header.decode("latin-1").replace("\r\n", "\n") if data is None else _hex(data))
    environment.write(_title("HTML Buffer"))
    environment.write(f"{_hex(body)}\n")
    environment.write(_title("HTML hash resulting"))
    environment.write(_hex(bytes.fromhex(exchange.digest)))
    environment.write(_title("HTML hash final resulting"))


def _title(text: str) -> str:
    return f"[ {text:^24} ]".center(74, "-")


def _hex(data: bytes) -> str:
    """Sixteen bytes a line: decimal offset, hexadecimal, characters."""
    lines = []
    for offset in range(0, len(data), 16):
        part = data[offset : offset + 16]
        digits = " ".join(f"{byte:02x}" for byte in part[:8]).ljust(23)
        more = " ".join(f"{byte:02x}" for byte in part[8:]).ljust(23)
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{offset:04d}  {digits} - {more}   {text}")
    return "\n".join(lines)

"""The sockets of checks: from where, to where, with which mark; and what TLS they speak."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress

from kactl_agent.checkers.exchange import Transport
from kactl_agent.checkers.settings import ConnectTarget, TlsSettings

_IP_BIND_ADDRESS_NO_PORT = 24
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # ip(7), ipv6(7)
_NO_WAITING = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1
_ECHO_REPLY, _ECHO_REPLY6 = 0, 129


def open_socket(target: ConnectTarget, transport: Transport) -> socket.socket:
    """A non-blocking socket, bound as the target says. Raises OSError."""
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    sock = _ping_socket(family) if transport is Transport.ECHO else _plain_socket(family, transport)
    try:
        if transport is not Transport.STREAM:
            _hear_errors(sock, family)
        if target.fwmark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, target.fwmark)
        if target.bind_interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, target.bind_interface.encode() + b"\0")
        port = 0 if transport is Transport.ECHO else target.bind_port
        if target.bind_address or port:
            _bind(sock, target, family, port)
    except BaseException:
        sock.close()
        raise
    return sock


def peer_of(target: ConnectTarget, transport: Transport) -> tuple[str, int] | tuple[str, int, int, int]:
    """What to connect to. Raises OSError when the interface of a link-local address is not there."""
    port = 0 if transport is Transport.ECHO else target.port
    return _address(target.address, port, target.bind_interface)


def _hear_errors(sock: socket.socket, family: socket.AddressFamily) -> None:
    """All ICMP errors, not only those the kernel takes for fatal: a host that answers no ARP is unreachable, too."""
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)


def _plain_socket(family: socket.AddressFamily, transport: Transport) -> socket.socket:
    kind = socket.SOCK_STREAM if transport is Transport.STREAM else socket.SOCK_DGRAM
    return socket.socket(family, kind | _NO_WAITING)


def _ping_socket(family: socket.AddressFamily) -> socket.socket:
    """An ICMP datagram socket where ping_group_range allows it, else a raw one, which takes CAP_NET_RAW."""
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    with suppress(PermissionError):
        return socket.socket(family, socket.SOCK_DGRAM | _NO_WAITING, protocol)
    sock = socket.socket(family, socket.SOCK_RAW | _NO_WAITING, protocol)
    if family == socket.AF_INET:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF ^ 1 << _ECHO_REPLY))
    else:
        words = [0xFFFFFFFF] * 8
        words[_ECHO_REPLY6 // 32] ^= 1 << _ECHO_REPLY6 % 32
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))
    return sock


def _bind(sock: socket.socket, target: ConnectTarget, family: socket.AddressFamily, port: int) -> None:
    if port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # without TIME_WAIT, in which the next check from this port to the same server could not be made
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        with suppress(OSError):  # the port is chosen with the peer: any number of checks can share an address
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    address = target.bind_address or ("::" if family == socket.AF_INET6 else "")  # any of our own
    sock.bind(_address(address, port, target.bind_interface))


def _address(address: str, port: int, interface: str) -> tuple[str, int] | tuple[str, int, int, int]:
    if ":" not in address:
        return address, port
    scoped = interface and address.lower().startswith("fe80")
    return address, port, 0, socket.if_nametoindex(interface) if scoped else 0


class TlsFault(Exception):
    """The TLS material cannot be used; says why."""


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """What SSL_GET checks connect with. Raises TlsFault.

    Without verification every server is taken that speaks any TLS the library still speaks, as keepalived does.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    step = ""
    try:
        if settings.ca:
            step = f"ca {settings.ca}"
            context.load_verify_locations(settings.ca)
        elif settings.verify:
            context.load_default_certs()
        if settings.certificate or settings.key:
            step = f"certificate {settings.certificate}, key {settings.key}"
            context.load_cert_chain(
                settings.certificate or settings.key, settings.key or None, settings.password.encode()
            )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise TlsFault(f"{step} cannot be used: {reason}") from None
    return context


def name_fault(context: ssl.SSLContext, name: str) -> str:
    """Why a handshake cannot carry this name (server name indication), empty when it can."""
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except ValueError as error:
        return f"{name} is no name for a handshake: {error}"
    return ""

"""Servers that behave as they are told: answer, hang, flood, reset, trickle; over TCP, TLS and UDP. They remember what
they were asked."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Do(Enum):
    """A step of a server that is not bytes to send (bytes) or seconds to wait (a float)."""

    READ = "wait for a request"
    HOLD = "say nothing until the peer leaves"
    RESET = "break the connection"
    FLOOD = "send the step before for ever"
    TRICKLE = "send the step before again and again, slowly"


Step = bytes | float | Do


@dataclass
class CheckServer:
    address: str
    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    times: list[float] = field(default_factory=list)  # of connections or datagrams, by the monotonic clock
    names: list[str | None] = field(default_factory=list)  # of TLS handshakes
    closed_properly: list[bool] = field(default_factory=list)  # TLS: whether the peer said close_notify


@contextlib.contextmanager
def stream_server(
    *steps: Step,
    address: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    handshake: bool = True,
    script: Callable[[int], Sequence[Step]] | None = None,
) -> Iterator[CheckServer]:
    """Goes through the steps with each connection (with `script` through those for its number, from 0), then closes it.
    Without `handshake` it never answers TLS."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=1024)
    server = CheckServer(address, listener.getsockname()[1])
    stopping = threading.Event()
    threads: list[threading.Thread] = []
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: server.names.append(name)

    def serve(plain: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), plain:
            plain.settimeout(30)
            connection = plain
            if tls is not None and handshake:
                connection = tls.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
            with connection:
                _go_through(script(number) if script else steps, connection, server, stopping)
                if isinstance(connection, ssl.SSLSocket):
                    server.closed_properly.append(_said_goodbye(connection))

    def accept() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            server.times.append(time.monotonic())
            threads.append(threading.Thread(target=serve, args=(plain, server.connections), daemon=True))
            server.connections += 1
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        stopping.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(10)
        for thread in threads:
            thread.join(10)


def _go_through(
    steps: Sequence[Step], connection: socket.socket, server: CheckServer, stopping: threading.Event
) -> None:
    before = b""
    for step in steps:
        match step:
            case bytes():
                before = step
                connection.sendall(step)
            case float():
                stopping.wait(step)
            case Do.READ:
                server.requests.append(connection.recv(65536))
            case Do.HOLD:
                connection.settimeout(0.1)
                while not stopping.is_set():
                    with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                        if not connection.recv(4096):
                            return
            case Do.RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            case Do.FLOOD:
                while not stopping.is_set():
                    connection.sendall(before * 64)
            case Do.TRICKLE:
                while not stopping.wait(0.05):
                    connection.sendall(before)


def _said_goodbye(connection: ssl.SSLSocket) -> bool:
    connection.settimeout(5)
    try:
        connection.unwrap()
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def datagram_server(
    answer: Callable[[bytes], Sequence[bytes]], address: str = "127.0.0.1", port: int = 0
) -> Iterator[CheckServer]:
    """Answers each datagram with those that `answer` gives for it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, port))
        sock.settimeout(0.1)
        server = CheckServer(address, sock.getsockname()[1])
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                with contextlib.suppress(OSError):
                    data, peer = sock.recvfrom(65536)
                    server.times.append(time.monotonic())
                    server.requests.append(data)
                    for reply in answer(data):
                        sock.sendto(reply, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            thread.join(10)


def dns_answer(code: int = 0, *, identifier_shift: int = 0) -> Callable[[bytes], Sequence[bytes]]:
    """A DNS server that answers everything with this response code."""

    def answer(query: bytes) -> Sequence[bytes]:
        identifier = (int.from_bytes(query[:2], "big") + identifier_shift) & 0xFFFF
        return [identifier.to_bytes(2, "big") + bytes((0x81, 0x80 | code)) + query[4:]]

    return answer


def page(body: bytes = b"hello", status: int = 200, *fields: str) -> bytes:
    """A response with its Content-Length."""
    head = [f"HTTP/1.0 {status} X", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join((*head, "", "")).encode() + body


def unused_port(address: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on, and that the kernel gives nobody who does not ask for it by its number."""
    for port in random.SystemRandom().sample(range(10_000, 32_000), 50):  # beneath net.ipv4.ip_local_port_range
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock, contextlib.suppress(OSError):
            sock.bind((address, port))
            return port
    raise OSError("fifty ports are in use")


def wait_for_port(port: int, address: str = "127.0.0.1", seconds: float = 20) -> None:
    """Until somebody listens there. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise TimeoutError(f"nobody listens on {address} port {port}") from None
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def unanswering(address: str = "127.0.0.1") -> Iterator[CheckServer]:
    """A port whose connections are neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):  # the backlog takes one or two: the others are left without an answer
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex((address, port))
        time.sleep(0.05)
        yield CheckServer(address, port)


def certificate(folder: Path, name: str = "x.example", days: int = 2, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", str(days), "-subj", f"/CN={name}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", f"subjectAltName=DNS:{name},IP:{address}"),
            *("-keyout", str(key_file), "-out", str(certificate_file)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate_file, key_file


def server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return context

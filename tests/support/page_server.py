"""A server that answers each connection with given bytes, over TCP or TLS, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class PageServer:
    address: str
    port: int
    requests: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def page_server(response: bytes, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[PageServer]:
    """Serve while the block runs. The connection is closed behind each response."""
    listener = socket.create_server(
        (address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=8
    )
    server = PageServer(address, listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                plain.settimeout(10)
                with tls.wrap_socket(plain, server_side=True) if tls else plain as connection:
                    server.requests.append(connection.recv(65536))
                    connection.sendall(response)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(15)

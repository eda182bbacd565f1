"""One HTTP GET as HTTP_GET, SSL_GET and genhash make it: bytes out, bytes in, and the digest of the body's bytes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from kactl_agent.checkers.settings import HttpVersion

MAX_HEADER = 64 * 1024
"""Bytes of status line and header fields at most."""

_BEGIN, _END = b"HTTP/", b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})(?:[ \r]|$)")
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*$", re.IGNORECASE | re.MULTILINE)


class HttpResponseFault(Exception):
    """What came is no HTTP response; the message says why."""


@dataclass(frozen=True)
class HttpRequest:
    """What is asked for. `host` is the whole value of the Host header (see `host_header`)."""

    path: str
    host: str
    version: HttpVersion = HttpVersion.HTTP_1_0

    def encode(self) -> bytes:
        """The bytes keepalived sends."""
        number = "1.1" if self.version is HttpVersion.HTTP_1_1 else "1.0"
        lines = [f"GET {self.path} HTTP/{number}", "User-Agent: KeepAliveClient"]
        if self.version is not HttpVersion.HTTP_1_0:
            lines.append("Connection: close")
        lines.append(f"Host: {self.host}")
        return "\r\n".join((*lines, "", "")).encode()


def host_header(address: str, port: int, virtualhost: str = "") -> str:
    """The virtual host where there is one, else the address: IPv6 in brackets, without the ports 80 and 443."""
    if virtualhost:
        return virtualhost
    host = f"[{address}]" if ":" in address else address
    return host if port in (80, 443) else f"{host}:{port}"


class HttpExchange:
    """Reads one response. The digest is MD5 of the body as it comes on the wire, a chunked one with its framing.

    A body ends with Content-Length bytes or with the connection; what comes behind it does not count. Memory does not
    grow with the body.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self.status = 0
        self.content_length: int | None = None
        self.body_length = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether nothing more has to be read."""
        return self._complete

    @property
    def header(self) -> bytes:
        """Status line and fields as far as they have come, up to and with the empty line."""
        return bytes(self._header)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits, as the keyword `digest` takes them."""
        return self._digest.hexdigest()

    def receive(self, data: bytes) -> bytes:
        """Take in what was read; returns the part of it that is body. Raises HttpResponseFault."""
        if self._complete:
            return b""
        if not self.status:
            data = self._receive_header(data)
            if not self.status:
                return b""
        if self.content_length is not None:
            data = data[: self.content_length - self.body_length]
        self._digest.update(data)
        self.body_length += len(data)
        self._complete = self.content_length is not None and self.body_length >= self.content_length
        return data

    def end(self) -> None:
        """The peer has closed the connection. Raises HttpResponseFault when there is no response by then."""
        if not self.status:
            what = "the connection was closed within the header" if self._header else "no response came"
            raise HttpResponseFault(what)
        self._complete = True

    def _receive_header(self, data: bytes) -> bytes:
        """Collect the header; returns what stands behind it once it is whole."""
        header = self._header
        searched = max(0, len(header) - len(_END) + 1)
        header += data
        end = header.find(_END, searched)
        if (len(header) if end < 0 else end) > MAX_HEADER:
            raise HttpResponseFault(f"the header is longer than {MAX_HEADER} bytes")
        if end < 0:
            if header[: len(_BEGIN)] != _BEGIN[: len(header)]:
                raise HttpResponseFault("what came is no HTTP response")
            return b""
        end += len(_END)
        rest = bytes(header[end:])
        del header[end:]
        status = _STATUS.match(header)
        if status is None:
            raise HttpResponseFault("what came is no HTTP response")
        self.status = int(status[1])
        length = _LENGTH.search(header.replace(b"\r\n", b"\n"))
        self.content_length = int(length[1]) if length and len(length[1]) < 20 else None
        return rest

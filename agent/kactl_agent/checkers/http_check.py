"""HTTP_GET and SSL_GET: one url, its request, and whether the response is what it must be."""

from __future__ import annotations

import hmac

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.exchange import StreamExchange, shown
from kactl_agent.checkers.http import HttpExchange, HttpRequest, HttpResponseFault
from kactl_agent.checkers.settings import HttpVersion, UrlSettings

MAX_SEARCHED = 4 * 1024 * 1024
"""Bytes of a body that a regex sees."""


class HttpCheckExchange(StreamExchange):
    """Status first, then digest, then regex. What cannot become right any more is not waited for."""

    def __init__(self, url: UrlSettings, version: HttpVersion) -> None:
        self._url = url
        self._request = HttpRequest(url.path, url.host, version)
        self._exchange = HttpExchange()
        self._body = bytearray()

    def connected(self) -> bytes:
        return self._request.encode()

    def receive(self, data: bytes) -> bytes | CheckEnded:
        exchange = self._exchange
        try:
            body = exchange.receive(data)
        except HttpResponseFault as fault:
            return CheckEnded(False, f"{self._url.path}: {fault}: {shown(exchange.header)}")
        if exchange.status:
            if not self._status_is_right():
                return self._wrong_status()
            if self._url.regex is not None and len(self._body) < MAX_SEARCHED:
                self._body += body
            if exchange.complete:
                return self._judge()
        return b""

    def ended(self) -> CheckEnded:
        try:
            self._exchange.end()
        except HttpResponseFault as fault:
            return CheckEnded(False, f"{self._url.path}: {fault}")
        return self._judge()

    def _judge(self) -> CheckEnded:
        url, exchange = self._url, self._exchange
        if url.digest and not hmac.compare_digest(exchange.digest, url.digest):
            return CheckEnded(False, f"{url.path}: digest {exchange.digest}, not {url.digest}")
        if url.regex is not None:
            from kactl_agent.checkers.regex import PatternFault, body_fault

            try:
                wrong = body_fault(url.regex, bytes(self._body[:MAX_SEARCHED]))
            except PatternFault as fault:
                wrong = f"regex cannot be compiled: {fault}"
            if wrong:
                return CheckEnded(False, f"{url.path}: {wrong}")
        length, said = exchange.body_length, exchange.content_length
        short = f" of {said} announced" if said is not None and said > length else ""
        return CheckEnded(True, f"{url.path}: status {exchange.status}, {length} bytes{short}")

    def _status_is_right(self) -> bool:
        status = self._exchange.status
        return any(low <= status <= high for low, high in self._url.status_codes)

    def _wrong_status(self) -> CheckEnded:
        wanted = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in self._url.status_codes)
        return CheckEnded(False, f"{self._url.path}: status {self._exchange.status}, not {wanted}")

    def _stage(self) -> str:
        if self._exchange.status:
            return f"in the body of {self._url.path}, {self._exchange.body_length} bytes behind its header"
        return f"in its answer to {self._url.path}"

"""The agent's end of the control socket. Runs in the observer: no client, however slow or hostile, costs more than
a bounded buffer there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kactl_agent import __version__
from kactl_agent.control import protocol
from kactl_agent.control.protocol import ControlError, Parameters, Request

_IDLE_REQUEST_SECONDS = 30.0  # for the rest of a request that has begun
Answer = Callable[[Any], None]
"""To be called once, now or later, with the result or a ControlError."""
Method = Callable[[Parameters, Answer], None]
"""May raise ControlError instead of answering."""


class Service(Protocol):
    """What the observer offers. `methods` are those of the agent; those of a connection are here."""

    @property
    def methods(self) -> Mapping[str, Method]: ...

    def events_since(self, cursor: str, limit: int) -> tuple[list[dict[str, Any]], bool]: ...

    def end_of_events(self) -> str: ...

    def follow(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]: ...


class ControlServer:
    """Serves a listening Unix socket until closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, service: Service) -> None:
        self._loop = loop
        self._listener = listener
        self.service = service
        self.clients: set[_Client] = set()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        self._server = await self._loop.create_unix_server(lambda: _Client(self._loop, self), sock=self._listener)

    def is_full(self) -> bool:
        """Clients that come and go while the loop is busy are all connected before the first is seen to have left: they
        hold no place."""
        if len(self.clients) >= protocol.MOST_CLIENTS:
            self.clients -= {client for client in self.clients if client.has_left()}
        return len(self.clients) >= protocol.MOST_CLIENTS

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in tuple(self.clients):
            client.drop()


class _Client(asyncio.Protocol):
    """One connection. Requests are answered in order; what takes its time, without holding the others up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: ControlServer) -> None:
        self._loop = loop
        self._server = server
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._patience: asyncio.TimerHandle | None = None
        self._most_unread = 0  # bytes
        self._reads_slowly = False
        self._come_to: str | None = None  # cursor of a subscription that has to be told of what was before
        self._unfollow: Callable[[], None] | None = None

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        if self._server.is_full():
            error = ControlError(protocol.TOO_MANY_CLIENTS, f"{protocol.MOST_CLIENTS} clients are connected already")
            transport.write(protocol.encode_error(None, error))
            transport.close()
            return
        self._server.clients.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server.clients.discard(self)
        self._transport = None
        self._come_to = None
        self._be_patient(False)
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None

    def data_received(self, data: bytes) -> None:
        if self not in self._server.clients:
            return
        self._buffer += data
        while b"\n" in self._buffer:
            if self._transport is None or self._transport.is_closing():
                return  # let go: what else it asked for is nobody's work
            line, _, self._buffer = self._buffer.partition(b"\n")
            if len(line) >= protocol.LARGEST_REQUEST:
                self._refuse_size()
                return
            if line.strip():
                self._answer(line)
        if len(self._buffer) >= protocol.LARGEST_REQUEST:
            self._refuse_size()
            return
        self._be_patient(bool(self._buffer))

    def pause_writing(self) -> None:
        self._reads_slowly = True

    def resume_writing(self) -> None:
        self._reads_slowly = False
        self._catch_up()

    # -- in and out ----------------------------------------------------------------------------------------------------

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def has_left(self) -> bool:
        """It has hung up, and nothing it said is left to be read."""
        if self._transport is None:
            return True
        descriptor = self._transport.get_extra_info("socket").fileno()
        try:
            with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except ConnectionResetError:  # without having read all answers
            return True
        except OSError:  # there is nothing to read yet, or no descriptor to look with
            return False

    def _be_patient(self, waiting: bool) -> None:
        """A request that has begun must end in time, so that half ones cannot use up all places."""
        if waiting and self._patience is None:
            self._patience = self._loop.call_later(_IDLE_REQUEST_SECONDS, self.drop)
        elif not waiting and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse_size(self) -> None:
        error = ControlError(protocol.TOO_LARGE, f"a request has at most {protocol.LARGEST_REQUEST} bytes")
        self._buffer = b""
        self._write(protocol.encode_error(None, error))
        if self._transport is not None:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        """What a client does not read is kept up to a limit, then the client is let go. An answer of any size fits
        behind what is within the limit, and as much again behind that."""
        if self._transport is None or self._transport.is_closing():
            return
        unread = self._transport.get_write_buffer_size()
        if unread <= protocol.LARGEST_BACKLOG:
            self._most_unread = protocol.LARGEST_BACKLOG + len(data)
        if unread + len(data) > self._most_unread:
            self.drop()
            return
        self._transport.write(data)

    # -- methods -------------------------------------------------------------------------------------------------------

    def _answer(self, line: bytes) -> None:
        identity: int | str | None = None
        try:
            request = protocol.decode_request(line)
            identity = request.id
            _refuse_unknown(request)
            mine = _METHODS.get(request.method)
            method = self._server.service.methods.get(request.method)
            if mine is not None:
                mine(self, request)
            elif method is not None:
                self._ask(request, method)
            else:
                known = ", ".join(sorted((*_METHODS, *self._server.service.methods)))
                raise ControlError(
                    protocol.UNKNOWN_METHOD, f"there is no method {request.method[:64]!r}", {"methods": known}
                )
        except ControlError as error:
            self._write(protocol.encode_error(error.data.pop("id", identity), error))

    def _result(self, request: Request, result: Any) -> None:
        data = protocol.encode_result(request.id, result)
        if len(data) > protocol.LARGEST_ANSWER:
            text = f"the answer has {len(data)} bytes, more than the {protocol.LARGEST_ANSWER} that a client takes"
            data = protocol.encode_error(request.id, ControlError(protocol.ANSWER_TOO_LARGE, text))
        self._write(data)

    def _ping(self, request: Request) -> None:
        self._result(request, "pong")

    def _version(self, request: Request) -> None:
        self._result(request, {"agent": __version__, "protocol": protocol.PROTOCOL_VERSION})

    def _events(self, request: Request) -> None:
        parameters = Parameters(request.params)
        cursor = parameters.text("cursor")
        limit = parameters.number("limit", protocol.MOST_EVENTS, 1, protocol.MOST_EVENTS)
        try:
            events, gap = self._server.service.events_since(cursor, limit)
        except ValueError as error:
            raise ControlError(protocol.BAD_PARAMS, str(error)) from None
        end = events[-1]["cursor"] if events else cursor or self._server.service.end_of_events()
        self._result(request, {"events": events, "cursor": end, "gap": gap})

    def _subscribe(self, request: Request) -> None:
        """Answer, then what is behind the cursor (nothing without one), then every event as it happens."""
        if self._unfollow is not None or self._come_to is not None:
            raise ControlError(protocol.BAD_REQUEST, "this connection has subscribed already")
        service = self._server.service
        cursor = Parameters(request.params).text("cursor") or service.end_of_events()
        try:
            _events, gap = service.events_since(cursor, 1)
        except ValueError as error:
            raise ControlError(protocol.BAD_PARAMS, str(error)) from None
        self._result(request, {"cursor": cursor, "gap": gap})
        self._come_to = "" if gap else cursor  # the oldest there are
        self._catch_up()

    def _catch_up(self) -> None:
        """Write what is behind the subscription's cursor, as fast as it is read; from its end on, what happens."""
        service = self._server.service
        while self._come_to is not None and not self._reads_slowly:
            events, gap = service.events_since(self._come_to, protocol.MOST_EVENTS)
            if gap:  # too slow: what comes next is no longer kept, which the next connection is told
                self.drop()
                return
            for event in events:
                self._write(protocol.encode_event(event))
            if self._transport is None or self._transport.is_closing():
                return
            if events:
                self._come_to = events[-1]["cursor"]
            else:
                self._come_to = None
                self._unfollow = service.follow(lambda event: self._write(protocol.encode_event(event)))

    def _ask(self, request: Request, method: Method) -> None:
        answered = False

        def answer(outcome: Any) -> None:
            nonlocal answered
            if answered:
                return
            answered = True
            patience.cancel()
            if isinstance(outcome, ControlError):
                self._write(protocol.encode_error(request.id, outcome))
            else:
                self._result(request, outcome)

        text = f"no outcome of {request.method} within {protocol.ANSWER_SECONDS:.0f} s; see the log"
        code = protocol.RELOAD_FAILED if request.method == "reload" else protocol.INTERNAL
        patience = self._loop.call_later(protocol.ANSWER_SECONDS, answer, ControlError(code, text))
        try:
            method(Parameters(request.params), answer)
        except ControlError as error:
            answer(error)


def _refuse_unknown(request: Request) -> None:
    known = protocol.METHODS.get(request.method)
    unknown = sorted(set(request.params) - set(known)) if known is not None else []
    if unknown:
        names = ", ".join(known or ()) or "none"
        text = f"{request.method} has no parameter {unknown[0][:64]!r}; it has {names}"
        raise ControlError(protocol.BAD_PARAMS, text, {"parameters": list(known or ())})


_METHODS: dict[str, Callable[[_Client, Request], None]] = {
    "ping": _Client._ping,
    "version": _Client._version,
    "events": _Client._events,
    "subscribe": _Client._subscribe,
}

"""The shell of network checks: connects, speaks TLS, sends, receives and times out, for thousands of them at once.

Nothing here waits: one descriptor of the loop (an epoll of our own) stands for all sockets. However a server behaves,
a check ends within twice its timeout (to connect, TLS included; then to be answered), what is read at a time is
bounded, and so is the time that checks take from the loop in one go.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import os
import resource
import secrets
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.certificate import CertificateFault, not_after
from kactl_agent.checkers.exchange import Exchange, Transport
from kactl_agent.checkers.exchanges import NetworkCheckSettings, make_exchange
from kactl_agent.checkers.settings import ConnectTarget, HttpCheckSettings, TlsSettings
from kactl_agent.runtime.probe_sockets import TlsFault, open_socket, peer_of, tls_context

Outcome = CheckEnded | CheckLost
Done = Callable[[Outcome], None]
Trace = Callable[[str], None]

CHUNK = 1 << 16
_READS_A_WAKEUP = 4
_EVENTS_AT_ONCE = 16
_BUDGET = 4_000_000  # ns that checks take from the loop in one go
_RESERVED = 128  # descriptors that are not for checks
_MOST_DESCRIPTORS = 65_536
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})  # says nothing about the server


class Probe:
    """A check that is under way."""

    __slots__ = (
        "_began",
        "_done",
        "_exchange",
        "_interest",
        "_plan",
        "_ready",
        "_secured",
        "_shell",
        "_sock",
        "_to_send",
        "_trace",
        "_warning",
        "deadline",
    )

    def __init__(self, shell: ProbeShell, plan: _Plan, exchange: Exchange, done: Done, trace: Trace | None) -> None:
        self._shell = shell
        self._plan = plan
        self._exchange = exchange
        self._done: Done | None = done
        self._trace = trace
        self._sock: socket.socket | None = None
        self._secured: ssl.SSLSocket | None = None
        self._ready: Callable[[], None] = self._connect_ready
        self._interest = 0
        self._to_send = b""
        self._warning = ""
        self._began = time.monotonic_ns()
        self.deadline: int | None = None

    def abort(self) -> None:
        """Nobody wants its outcome any more."""
        self._done = None
        self._close()

    # -- for the shell -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin, unless it was aborted meanwhile. The outcome comes later, never from within."""
        if self._done is None:
            return
        target, transport = self._plan.target, self._exchange.transport
        self._began = time.monotonic_ns()
        if self._trace is not None:
            self._say(f"{transport.value} to {target.address}" + (f" port {target.port}" if target.port else ""))
        try:
            self._sock = open_socket(target, transport)
            code = self._sock.connect_ex(peer_of(target, transport))
        except OSError as error:
            self._shell.later(partial(self._os_failure, error))
            return
        if code not in (0, errno.EINPROGRESS):
            self._shell.later(partial(self._os_failure, OSError(code, os.strerror(code))))
            return
        self._limit()
        self._interest = select.EPOLLOUT
        self._shell.watch(self, self._sock, self._interest)

    def ready(self) -> None:
        """Its socket can do what it waits for, or has failed."""
        if self._sock is None:
            return
        try:
            self._ready()
        except (ssl.SSLWantReadError, BlockingIOError):
            self._want(select.EPOLLIN)
        except ssl.SSLWantWriteError:
            self._want(select.EPOLLOUT)
        except ssl.SSLCertVerificationError as error:
            self._finish(self._exchange.failed(f"certificate: {error.verify_message}"))
        except ssl.SSLError as error:
            self._finish(self._exchange.failed(f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"))
        except OSError as error:
            self._os_failure(error)

    def time_out(self) -> None:
        if self._done is None:  # it has said what there is to say
            self._close()
            return
        connected = self._ready not in (self._connect_ready, self._handshake)
        self._finish(self._exchange.timed_out(connected))

    # -- phases --------------------------------------------------------------------------------------------------------

    def _connect_ready(self) -> None:
        sock = self._sock
        assert sock is not None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._os_failure(OSError(code, os.strerror(code)))
            return
        self._say("connected")
        tls = self._plan.tls
        if tls is None:
            self._begin()
            return
        try:
            context = self._shell.context(tls)
        except TlsFault as fault:
            self._finish(CheckEnded(False, str(fault)))
            return
        name = self._plan.server_name or (self._plan.target.address if tls.verify else None)
        self._sock = self._secured = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=name)
        self._ready = self._handshake
        self._handshake()

    def _handshake(self) -> None:
        secured = self._secured
        assert secured is not None
        secured.do_handshake()
        if self._trace is not None:
            cipher = secured.cipher()
            self._say(f"{secured.version()}, {cipher[0] if cipher else 'no cipher'}")
        self._look_at_certificate(secured)
        self._begin()

    def _begin(self) -> None:
        self._limit()
        first = self._exchange.connected()
        self._ready = self._receive
        if isinstance(first, CheckEnded):
            self._finish(first)
            return
        if self._exchange.transport is Transport.STREAM:
            self._send(first)
        else:
            assert self._sock is not None
            self._sock.send(first)
            self._say_data("sent", first)
            self._want(select.EPOLLIN)

    def _send(self, data: bytes) -> None:
        self._to_send = data
        self._ready = self._sending
        if data:
            self._say_data("sent", data)
        self._sending()

    def _sending(self) -> None:
        assert self._sock is not None
        while self._to_send:
            try:
                self._to_send = self._to_send[self._sock.send(self._to_send) :]
            except BlockingIOError:
                self._want(select.EPOLLOUT)
                return
        self._ready = self._receive
        self._want(select.EPOLLIN)

    def _receive(self) -> None:
        sock, stream = self._sock, self._exchange.transport is Transport.STREAM
        assert sock is not None
        for _ in range(_READS_A_WAKEUP):
            data = sock.recv(CHUNK)
            if not data and stream:
                self._say("the server closed the connection")
                self._finish(self._exchange.ended())
                return
            self._say_data("received", data)
            answer = self._exchange.receive(data)
            if isinstance(answer, CheckEnded):
                self._finish(answer)
                return
            if answer:
                self._send(answer)
                return
        if self._secured is not None and self._secured.pending():
            self._shell.later(self.ready)  # nothing more may come that would wake us up

    def _say_goodbye(self) -> None:
        """close_notify in both directions (RFC 8446 section 6.1); whatever comes instead is as good."""
        assert self._secured is not None
        try:
            self._secured.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except (OSError, ValueError):
            pass
        self._close()

    # -- the end -------------------------------------------------------------------------------------------------------

    def _os_failure(self, error: OSError) -> None:
        if error.errno in _LOCAL:
            self._finish(CheckLost(error.strerror or str(error)))
        else:
            self._finish(self._exchange.failed(error.strerror or str(error)))

    def _finish(self, outcome: Outcome) -> None:
        done, self._done = self._done, None
        goodbye = self._plan.goodbye and self._secured is not None and self._ready not in (
            self._handshake,
            self._say_goodbye,
        )  # fmt: skip
        if goodbye:
            self._ready = self._say_goodbye
            self.ready()
        else:
            self._close()
        if done is None:
            return
        if isinstance(outcome, CheckEnded):
            self._say(("success: " if outcome.success else "failure: ") + outcome.detail)
            if self._warning and outcome.success:
                outcome = CheckEnded(True, outcome.detail, outcome.weight, self._warning)
        done(outcome)

    def _close(self) -> None:
        self.deadline = None
        if self._sock is not None:
            self._shell.forget(self._sock)
            self._sock.close()
            self._sock = None

    # -- what it needs -------------------------------------------------------------------------------------------------

    def _limit(self) -> None:
        self.deadline = time.monotonic_ns() + self._plan.target.timeout
        self._shell.alarm(self, self.deadline)

    def _want(self, events: int) -> None:
        if self._sock is not None and events != self._interest:
            self._interest = events
            self._shell.rewatch(self._sock, events)

    def _look_at_certificate(self, secured: ssl.SSLSocket) -> None:
        tls = self._plan.tls
        if tls is None or not (tls.expiry_warning or self._trace is not None):
            return
        try:
            end = not_after(secured.getpeercert(binary_form=True) or b"")
        except CertificateFault as fault:
            self._warning = f"the server's certificate cannot be read: {fault}" if tls.expiry_warning else ""
            return
        self._say(f"certificate valid until {end:%Y-%m-%d %H:%M} UTC")
        if tls.expiry_warning and end - datetime.now(UTC) < timedelta(microseconds=tls.expiry_warning // 1000):
            where = f"{self._plan.target.address} port {self._plan.target.port}"
            self._warning = f"the certificate of {where} is valid until {end:%Y-%m-%d} only"

    def _say(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f"{(time.monotonic_ns() - self._began) / 1_000_000:.1f} ms: {text}")

    def _say_data(self, what: str, data: bytes) -> None:
        if self._trace is not None:
            self._say(f"{what} {len(data)} bytes: {data[:400]!r}{'...' if len(data) > 400 else ''}")


class _Plan:
    """What a probe needs to know besides its exchange; made once for each url of each checker."""

    __slots__ = ("goodbye", "server_name", "target", "tls")

    def __init__(self, settings: NetworkCheckSettings, step: int) -> None:
        self.target: ConnectTarget = settings.target
        self.tls: TlsSettings | None = None
        self.server_name = ""
        self.goodbye = False
        if isinstance(settings, HttpCheckSettings):
            self.tls = settings.tls
            self.server_name = settings.urls[step].server_name
            self.goodbye = settings.urls[step].tls_compliant


class ProbeShell:
    """Runs checks in a loop. `most`: how many at once; the others wait for their turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int | None = None) -> None:
        self._loop = loop
        self._most = most if most is not None else max(1, raise_descriptor_limit() - _RESERVED)
        self._poll = select.epoll()
        self._watched: dict[int, Probe] = {}
        self._waiting: deque[Probe] = deque()
        self._alarms: list[tuple[int, int, Probe]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._contexts: dict[TlsSettings, ssl.SSLContext] = {}
        self._closed = False
        loop.add_reader(self._poll.fileno(), self._run)

    @property
    def running(self) -> int:
        """Checks that have a socket."""
        return len(self._watched)

    def start(self, settings: NetworkCheckSettings, step: int, done: Done, trace: Trace | None = None) -> Probe:
        """Make a check. `done` is called once with its outcome, later; never after `abort` or `close`."""
        exchange = make_exchange(settings, step, secrets.randbits(64))
        probe = Probe(self, _Plan(settings, step), exchange, done, trace)
        if len(self._watched) >= self._most:
            self._waiting.append(probe)
        else:
            probe.open()
        return probe

    def close(self) -> None:
        """Leave all checks; nobody hears of them any more."""
        self._closed = True
        self._waiting.clear()
        for probe in list(self._watched.values()):
            probe.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._poll.fileno())
        self._poll.close()

    # -- for probes ----------------------------------------------------------------------------------------------------

    def later(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)

    def watch(self, probe: Probe, sock: socket.socket, events: int) -> None:
        self._watched[sock.fileno()] = probe
        self._poll.register(sock.fileno(), events)

    def rewatch(self, sock: socket.socket, events: int) -> None:
        self._poll.modify(sock.fileno(), events)

    def forget(self, sock: socket.socket) -> None:
        """It is about to be closed, which takes it out of the epoll."""
        self._watched.pop(sock.fileno(), None)
        if self._waiting and not self._closed:
            self._loop.call_soon(self._open_waiting)

    def alarm(self, probe: Probe, deadline: int) -> None:
        self._count += 1
        heapq.heappush(self._alarms, (deadline, self._count, probe))
        if self._timer is None or deadline < self._timer_at:
            self._arm(deadline)

    def context(self, settings: TlsSettings) -> ssl.SSLContext:
        """Raises TlsFault."""
        found = self._contexts.get(settings)
        if found is None:
            found = self._contexts[settings] = tls_context(settings)
        return found

    def forget_contexts(self) -> None:
        """Certificates and keys are read again when they are needed: a reload may have brought other files."""
        self._contexts.clear()

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        until = time.monotonic_ns() + _BUDGET
        while True:
            events = self._poll.poll(0, _EVENTS_AT_ONCE)
            for descriptor, _events in events:
                probe = self._watched.get(descriptor)
                if probe is not None:
                    probe.ready()
            if self._closed or len(events) < _EVENTS_AT_ONCE or time.monotonic_ns() > until:
                return

    def _open_waiting(self) -> None:
        while self._waiting and len(self._watched) < self._most:
            self._waiting.popleft().open()

    def _arm(self, deadline: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(0, deadline - time.monotonic_ns()) / 1e9, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = time.monotonic_ns()
        until = now + _BUDGET
        while self._alarms:
            deadline, _number, probe = self._alarms[0]
            if probe.deadline == deadline:
                if deadline > now or time.monotonic_ns() > until:
                    self._arm(deadline)
                    return
                heapq.heappop(self._alarms)
                probe.time_out()
            else:
                heapq.heappop(self._alarms)


def raise_descriptor_limit() -> int:
    """Descriptors this process may have, after taking what it can get; a check takes one while it runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return min(soft, _MOST_DESCRIPTORS) if soft != resource.RLIM_INFINITY else _MOST_DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most

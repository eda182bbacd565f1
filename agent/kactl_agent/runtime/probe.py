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
from enum import Enum
from functools import partial
from typing import ClassVar

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.certificate import CertificateFault, not_after
from kactl_agent.checkers.exchange import Exchange, Transport
from kactl_agent.checkers.exchanges import NetworkCheckSettings, make_exchange
from kactl_agent.checkers.settings import (
    ConnectTarget,
    DnsCheckSettings,
    HttpCheckSettings,
    PingCheckSettings,
    TlsSettings,
)
from kactl_agent.runtime.probe_sockets import TlsFault, name_fault, open_socket, peer_of, tls_context

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
_READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_FAILED = select.EPOLLHUP | select.EPOLLERR
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class _Phase(Enum):
    """How far a probe is."""

    CONNECT = 1
    HANDSHAKE = 2
    SEND = 3
    RECEIVE = 4
    GOODBYE = 5


class Probe:
    """A check that is under way."""

    __slots__ = (
        "_began",
        "_descriptor",
        "_done",
        "_exchange",
        "_failed",
        "_phase",
        "_plan",
        "_readable",
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
        self._descriptor = -1  # of the socket, even when that has lost it to one which has failed
        self._secured: ssl.SSLSocket | None = None
        self._phase = _Phase.CONNECT
        self._readable = False
        self._failed = False
        self._to_send = b""
        self._warning = ""
        self._began = 0
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
        self._began = self._shell.now = time.monotonic_ns()
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
        self._descriptor = self._sock.fileno()
        self._shell.watch(self, self._descriptor)

    def ready(self, events: int = 0) -> None:
        """Something has become possible with its socket, or it has failed. Told once (EPOLLET): `_readable` stays until
        a read has found nothing."""
        if events & _READABLE:
            self._readable = True
            self._failed = bool(events & _FAILED)
        try:
            phase = None
            while self._sock is not None and phase is not self._phase:
                phase = self._phase
                self._PHASES[phase](self)
        except (ssl.SSLWantReadError, BlockingIOError):
            if self._phase is _Phase.RECEIVE:
                self._readable = False
        except ssl.SSLWantWriteError:
            pass
        except ssl.SSLCertVerificationError as error:
            self._finish(self._exchange.failed(f"certificate: {error.verify_message}"))
        except ssl.SSLError as error:
            self._finish(self._exchange.failed(f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"))
        except OSError as error:
            self._os_failure(error)

    def time_out(self) -> None:
        if self._done is None:  # it has said what there is to say
            self._close()
        else:
            self._finish(self._exchange.timed_out(self._phase not in (_Phase.CONNECT, _Phase.HANDSHAKE)))

    # -- phases: each goes on to the next, or raises what it waits for -------------------------------------------------

    def _connect(self) -> None:
        sock = self._sock
        assert sock is not None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if self._failed else 0
        if code:
            self._os_failure(OSError(code, os.strerror(code)))
            return
        self._say("connected")
        tls = self._plan.tls
        if tls is None:
            self._begin()
            return
        name = self._plan.server_name or (self._plan.target.address if tls.verify else None)
        try:
            context = self._shell.context(tls, name)
        except TlsFault as fault:
            self._finish(CheckEnded(False, str(fault)))
            return
        self._sock = self._secured = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=name)
        self._phase = _Phase.HANDSHAKE

    def _handshake(self) -> None:
        secured = self._secured
        assert secured is not None
        secured.do_handshake()
        if self._trace is not None:
            cipher = secured.cipher()
            self._say(f"{secured.version()}, {cipher[0] if cipher else 'no cipher'}")
        self._look_at_certificate(secured)
        self._readable = True  # the end of the handshake may have come with more
        self._begin()

    def _begin(self) -> None:
        self._limit()
        first = self._exchange.connected()
        if isinstance(first, CheckEnded):
            self._finish(first)
            return
        self._to_send = first
        if self._exchange.transport is Transport.STREAM:
            self._phase = _Phase.SEND
            return
        assert self._sock is not None
        self._sock.send(first)  # an empty datagram is one, too
        self._say_data("sent", first)
        self._phase = _Phase.RECEIVE

    def _send(self) -> None:
        assert self._sock is not None
        while self._to_send:
            sent = self._sock.send(self._to_send)
            self._say_data("sent", self._to_send[:sent])
            self._to_send = self._to_send[sent:]
        self._phase = _Phase.RECEIVE

    def _receive(self) -> None:
        sock, stream = self._sock, self._exchange.transport is Transport.STREAM
        assert sock is not None
        if not self._readable:
            return
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
                self._to_send = answer
                self._phase = _Phase.SEND
                return
        self._shell.later(self.ready)  # there may be more, of which nobody tells again; others come first

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

    _PHASES: ClassVar[dict[_Phase, Callable[[Probe], None]]] = {
        _Phase.CONNECT: _connect,
        _Phase.HANDSHAKE: _handshake,
        _Phase.SEND: _send,
        _Phase.RECEIVE: _receive,
        _Phase.GOODBYE: _say_goodbye,
    }

    # -- the end -------------------------------------------------------------------------------------------------------

    def _os_failure(self, error: OSError) -> None:
        if error.errno in _LOCAL:
            self._finish(CheckLost(error.strerror or str(error)))
        else:
            self._finish(self._exchange.failed(error.strerror or str(error)))

    def _finish(self, outcome: Outcome) -> None:
        done, self._done = self._done, None
        if self._plan.goodbye and self._phase in (_Phase.SEND, _Phase.RECEIVE):
            self._phase = _Phase.GOODBYE
            self._shell.later(self.ready)
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
            self._shell.forget(self._descriptor)
            self._sock.close()
            self._sock = None

    # -- what it needs -------------------------------------------------------------------------------------------------

    def _limit(self) -> None:
        self.deadline = self._shell.now + self._plan.target.timeout
        self._shell.alarm(self, self.deadline)

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
        self._names: dict[str, str] = {}  # why a handshake cannot carry them, empty when it can
        self._closed = False
        self.now = time.monotonic_ns()  # when checks were last seen to; a clock costs a system call on some machines
        loop.add_reader(self._poll.fileno(), self._run)

    @property
    def running(self) -> int:
        """Checks that have a socket."""
        return len(self._watched)

    def start(self, settings: NetworkCheckSettings, step: int, done: Done, trace: Trace | None = None) -> Probe:
        """Make a check. `done` is called once with its outcome, later; never after `abort` or `close`."""
        chance = secrets.randbits(64) if isinstance(settings, DnsCheckSettings | PingCheckSettings) else 0
        exchange = make_exchange(settings, step, chance)
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

    def watch(self, probe: Probe, descriptor: int) -> None:
        """Edge-triggered: one system call for the life of a check."""
        self._watched[descriptor] = probe
        self._poll.register(descriptor, _EVENTS)

    def forget(self, descriptor: int) -> None:
        """It is about to be closed, or is closed, which takes it out of the epoll."""
        self._watched.pop(descriptor, None)
        if self._waiting and not self._closed:
            self._loop.call_soon(self._open_waiting)

    def alarm(self, probe: Probe, deadline: int) -> None:
        self._count += 1
        heapq.heappush(self._alarms, (deadline, self._count, probe))
        if self._timer is None or deadline < self._timer_at:
            self._arm(deadline)

    def context(self, settings: TlsSettings, name: str | None) -> ssl.SSLContext:
        """One with which a handshake can carry the name. Raises TlsFault."""
        found = self._contexts.get(settings)
        if found is None:
            found = self._contexts[settings] = tls_context(settings)
        if name is not None and name not in self._names:
            self._names[name] = name_fault(found, name)
        if name is not None and self._names[name]:
            raise TlsFault(self._names[name])
        return found

    def forget_contexts(self) -> None:
        """Certificates and keys are read again when they are needed: a reload may have brought other files."""
        self._contexts.clear()
        self._names.clear()

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self.now = time.monotonic_ns()
        until = self.now + _BUDGET
        while True:
            ready = self._poll.poll(0, _EVENTS_AT_ONCE)
            for descriptor, events in ready:
                probe = self._watched.get(descriptor)
                if probe is not None:
                    probe.ready(events)
            if self._closed or len(ready) < _EVENTS_AT_ONCE:
                return
            self.now = time.monotonic_ns()
            if self.now > until:
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

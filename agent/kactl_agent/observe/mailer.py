"""Sends the mails that workers ask for: a connection for each, a few at once, no second try (keepalived smtp_alert).

A reload changes where the next mail goes; one that is on its way is delivered as it began. Workers hear when a mail is
done with, so that an observer that follows this one sends what this one could not.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from kactl_agent.notify.events import Mail
from kactl_agent.notify.message import render_message
from kactl_agent.notify.settings import MailSettings, Security
from kactl_agent.notify.smtp import Action, Finished, Send, SmtpExchange, StartTls
from kactl_agent.observe.handlers import Handlers
from kactl_agent.runtime.frames import Frame, LogRecord
from kactl_agent.runtime.notify_frames import MailDone, MailOrder

if TYPE_CHECKING:
    import ssl

AT_ONCE = 8
MOST_WAITING = 1000  # a relay that is away for hours, and an instance that flaps, must not fill the memory
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # whatever the locale is
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SECOND = 1e9


class Mailer:
    """Orders come as frames; `settings` tells where mail goes now, `answer` sends a frame to a worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Callable[[], MailSettings | None],
        answer: Callable[[str, Frame], object],
        log: Callable[[LogRecord], None],
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._answer = answer
        self._log = log
        self._waiting: deque[MailOrder] = deque()
        self._tasks: dict[asyncio.Task[None], MailOrder] = {}
        self._at_rest: Callable[[], None] | None = None

    def offer(self, handlers: Handlers) -> None:
        handlers.on(MailOrder, self.take)

    def take(self, order: MailOrder) -> None:
        """Asked again for what it has, it does nothing more."""
        if order not in self._waiting and order not in self._tasks.values():
            self._waiting.append(order)
            if len(self._waiting) > MOST_WAITING:
                lost = self._waiting.popleft()
                text = f"mail `{lost.subject}` is not sent: {MOST_WAITING} newer ones are waiting"
                self._say("error", text, "mail_dropped")
                self._answer(lost.worker, MailDone(lost.number))
            self._next()

    def when_at_rest(self, callback: Callable[[], None]) -> None:
        """Call back once there is nothing left to send, now or later."""
        self._at_rest = callback
        self._next()

    def _next(self) -> None:
        while self._waiting and len(self._tasks) < AT_ONCE:
            order = self._waiting.popleft()
            task = self._loop.create_task(self._send(order))
            self._tasks[task] = order
            task.add_done_callback(self._done)
        if not self._tasks and self._at_rest is not None:
            at_rest, self._at_rest = self._at_rest, None
            at_rest()

    def _done(self, task: asyncio.Task[None]) -> None:
        order = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say("error", f"mail `{order.subject}`: unexpected: {error!r}", "mail_failed")
        self._answer(order.worker, MailDone(order.number))
        self._next()

    async def _send(self, order: MailOrder) -> None:
        settings = self._settings()
        if settings is None:
            self._say("warning", f"mail `{order.subject}` is not sent: there is no mail relay any more", "mail_nowhere")
            return
        outcome = await deliver(settings, Mail(order.subject, order.body), order.at)
        where = f"{settings.host} port {settings.port}"
        if outcome.error:
            self._say("error", f"mail `{order.subject}` was not sent: {where}: {outcome.error}", outcome.reason)
            return
        self._say("info", f"mail `{order.subject}` was sent: {where} has taken it", "mail_sent")
        if outcome.refused:
            text = f"mail `{order.subject}`: {where} did not take it for {', '.join(outcome.refused)}"
            self._say("warning", text, "mail_refused")

    def _say(self, level: str, text: str, code: str) -> None:
        self._log(LogRecord(time.time_ns(), level, "observer", text, {"code": code}))


async def deliver(settings: MailSettings, mail: Mail, at: int) -> Finished:
    """One mail over one connection. Whatever goes wrong is in the answer."""
    loop = asyncio.get_running_loop()
    timeout = settings.timeout / _SECOND
    try:
        context = None if settings.security is Security.NONE else _tls_context(settings.ca_file)
        message = render_message(settings, mail, date_text(at))
        connect = loop.create_connection(
            lambda: _Delivery(loop, settings, message, context),
            settings.host,
            settings.port,
            ssl=context if settings.security is Security.IMPLICIT else None,
            server_hostname=settings.server_name if settings.security is Security.IMPLICIT else None,
        )
        transport, delivery = await asyncio.wait_for(connect, timeout)
    except TimeoutError:
        return Finished(f"no connection within {timeout:g} s", "mail_no_connection")
    except OSError as error:  # TLS errors are some too
        return Finished(f"no connection: {_reason(error)}", "mail_no_connection")
    try:
        return await delivery.finished
    finally:
        transport.abort() if not delivery.delivered else transport.close()


def date_text(at: int) -> str:
    """`Mon, 23 Nov 2026 10:06:33 +0000`, in local time, of ns since 1970 (RFC 5322 3.3)."""
    local = time.localtime(at // 1_000_000_000)
    day, month = _DAYS[local.tm_wday], _MONTHS[local.tm_mon - 1]
    hours, minutes = divmod(abs(local.tm_gmtoff) // 60, 60)
    zone = f"{'-' if local.tm_gmtoff < 0 else '+'}{hours:02d}{minutes:02d}"
    clock = f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"
    return f"{day}, {local.tm_mday:02d} {month} {local.tm_year} {clock} {zone}"


def _tls_context(ca_file: str) -> ssl.SSLContext:
    """Of the authorities that the file has now: 20 ms, and renewed ones count from the next mail on. Raises OSError
    when the file cannot be read or is no certificate."""
    import ssl

    return ssl.create_default_context(cafile=ca_file or None)


class _Delivery(asyncio.Protocol):
    """Runs one `SmtpExchange` over one connection."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: MailSettings,
        message: bytes,
        context: ssl.SSLContext | None,
    ) -> None:
        self.finished: asyncio.Future[Finished] = loop.create_future()
        self.delivered = False
        self._loop = loop
        self._settings = settings
        self._context = context
        self._exchange = SmtpExchange(settings, message, time.monotonic_ns())
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._carry_out(self._exchange.receive(data, time.monotonic_ns()))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._carry_out(self._exchange.receive(b"", time.monotonic_ns()))

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send() if self._transport is not None:
                    self._transport.write(action.data)
                case StartTls():
                    self._handshake = self._loop.create_task(self._start_tls())
                case Finished():
                    self._finish(action)
                case _:
                    pass
        self._arm()

    def _finish(self, outcome: Finished) -> None:
        self.delivered = not outcome.error
        if self._handshake is not None:
            self._handshake.cancel()
        if not self.finished.done():
            self.finished.set_result(outcome)

    async def _start_tls(self) -> None:
        assert self._transport is not None
        assert self._context is not None
        try:
            transport = await self._loop.start_tls(
                self._transport, self, self._context, server_hostname=self._settings.server_name
            )
        except OSError as error:
            self._finish(Finished(f"TLS handshake: {_reason(error)}", "smtp_tls"))
            return
        self._handshake = None
        self._transport = transport
        self._carry_out(self._exchange.tls_ready(time.monotonic_ns()))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._exchange.deadline()
        if deadline is not None and not self.finished.done():
            delay = max(0, deadline - time.monotonic_ns()) / _SECOND
            self._timer = self._loop.call_later(delay, self._due)

    def _due(self) -> None:
        self._carry_out(self._exchange.handle_timer(time.monotonic_ns()))


def _reason(error: OSError) -> str:
    verification = getattr(error, "verify_message", "")
    if verification:
        return f"the certificate is not valid: {verification}"
    # what asyncio says of a connection hides why there is none
    return os.strerror(error.errno) if error.errno and type(error).__module__ != "ssl" else str(error)

"""Tells others what happens: scripts through the spawner, lines into FIFOs, mails to the observer.

None of it waits. Scripts do not go through the observer, so that they are run even while there is none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import Protocol

from kactl_agent.notify.events import Mail, Notification
from kactl_agent.notify.queues import Action, ScriptQueues, StartScript
from kactl_agent.runtime.fifo_writer import FifoWriters
from kactl_agent.runtime.notify_frames import MailDone, MailOrder, NotifyFifos
from kactl_agent.runtime.scripts import RunListener
from kactl_agent.runtime.worker_shell import WorkerShell
from kactl_agent.tracking.settings import Command, Executable

_TERMINATE, _KILL = 15, 9
_STOP_SECONDS = 4.0  # for scripts, at the stop
_SPARE_SECONDS = 0.5  # for all else that a worker has to do then
_LINES_SECONDS = 1.0  # for readers of FIFOs, at the stop
_LOOK_SECONDS = 0.01
_MOST_MAILS = 2000  # that wait for an observer; one that is there has a limit of its own


class Runner(Protocol):
    """Runs commands: `kactl_agent.runtime.scripts.ScriptRunner`."""

    def run(self, executable: Executable, listener: RunListener) -> int: ...

    def signal(self, run: int, number: int) -> None: ...


class _Script:
    """A script that runs; hears how that ends."""

    def __init__(self, teller: Teller, number: int, program: str) -> None:
        self._teller = teller
        self._number = number
        self._program = program
        self.run = 0

    def started(self) -> None:
        """Its end is what counts."""

    def ended(self, status: int) -> None:
        how = f"exited with status {status}" if status >= 0 else f"was killed by signal {-status}"
        self._teller.log("debug" if status == 0 else "warning", f"notify script {self._program} {how}")
        self._teller.ended(self._number)

    def not_started(self, reason: str) -> None:
        self._teller.log("error", f"notify script {self._program} could not be started: {reason}")
        self._teller.ended(self._number)

    def lost(self) -> None:
        self._teller.log("error", f"notify script {self._program} ended with the spawner")
        self._teller.ended(self._number)


class Teller:
    """One for each worker that has something to tell."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shell: WorkerShell, runner: Runner) -> None:
        self._loop = loop
        self._shell = shell
        self._runner = runner
        self._executables: dict[Command, Executable] = {}
        self._queues = ScriptQueues()
        self._scripts: dict[int, _Script] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fifos = FifoWriters(loop, partial(self.log, "warning"))
        self._mails: dict[int, MailOrder] = {}
        self._last_mail = 0
        shell.on_descriptors(NotifyFifos, self._take_fifos)
        shell.on_observer(MailDone, self._mail_done)

    def log(self, level: str, message: str) -> None:
        self._shell.log(level, message)

    def configure(self, executables: Iterable[tuple[Command, Executable]], fifos: tuple[str, ...]) -> None:
        """Commands that can be run here, and keywords of FIFOs that lines go to. What is under way goes on."""
        self._executables = dict(executables)
        self._fifos.want(fifos)

    def tell(self, notification: Notification) -> None:
        """Scripts, then lines, then the mail, as keepalived does."""
        scripts = tuple(
            self._executables[call.command].with_arguments(*call.arguments)
            for call in notification.scripts
            if call.command in self._executables
        )
        self._carry_out(self._queues.add(notification.queue, scripts, time.monotonic_ns()))
        self.write(notification.lines)
        if notification.mail is not None:
            self._post(notification.mail)

    def write(self, lines: Iterable[str]) -> None:
        """Lines alone."""
        for line in lines:
            self._fifos.write(line)

    # -- scripts -------------------------------------------------------------------------------------------------------

    def ended(self, number: int) -> None:
        self._scripts.pop(number, None)
        self._carry_out(self._queues.ended(number, time.monotonic_ns()))

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, StartScript):
                self._start(action)
            elif action.number in self._scripts:
                self._runner.signal(self._scripts[action.number].run, _KILL if action.kill else _TERMINATE)
        self._arm()

    def _start(self, action: StartScript) -> None:
        script = _Script(self, action.number, action.executable.arguments[0])
        self._scripts[action.number] = script
        try:
            script.run = self._runner.run(action.executable, script)
        except ValueError as error:
            self._loop.call_soon(script.not_started, str(error))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._queues.deadline()
        if deadline is None:
            self._timer = None
        else:
            delay = max(0, deadline - time.monotonic_ns()) / 1e9
            self._timer = self._loop.call_later(delay, self._due)

    def _due(self) -> None:
        self._carry_out(self._queues.handle_timer(time.monotonic_ns()))

    # -- mails ---------------------------------------------------------------------------------------------------------

    def _post(self, mail: Mail) -> None:
        self._last_mail += 1
        order = MailOrder(self._shell.process, self._last_mail, time.time_ns(), mail.subject, mail.body)
        self._mails[order.number] = order
        if len(self._mails) > _MOST_MAILS:
            lost = self._mails.pop(next(iter(self._mails)))
            self.log("error", f"mail `{lost.subject}` is forgotten: {_MOST_MAILS} newer ones are not sent either")
        if self._shell.observer is not None:
            self._shell.observer.post(order)

    def observed(self) -> None:
        """There is another observer: it sends what the one before did not say it has sent."""
        for order in self._mails.values():
            if self._shell.observer is not None:
                self._shell.observer.post(order)

    def _mail_done(self, done: MailDone) -> None:
        self._mails.pop(done.number, None)

    # -- FIFOs ---------------------------------------------------------------------------------------------------------

    def _take_fifos(self, frame: NotifyFifos, descriptors: list[int]) -> None:
        self._fifos.connect(dict(zip(frame.keywords, descriptors, strict=True)))

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self, patience: int) -> None:
        """The worker stops and has told everything: end it (`WorkerShell.finish`) once that has gone out. `patience` is
        the supervisor's with a worker, in ns (child_wait_time)."""
        seconds = max(0.0, min(_STOP_SECONDS, patience / 1e9 - _SPARE_SECONDS))
        self._carry_out(self._queues.stop(time.monotonic_ns(), int(seconds * 0.75e9)))
        now = time.monotonic()
        self._finish(now + min(_LINES_SECONDS, seconds), now + seconds)

    def _finish(self, lines_until: float, until: float) -> None:
        now = time.monotonic()
        lines = self._fifos.pending and now < lines_until
        if (self._queues.idle and not lines) or now >= until:
            self._fifos.close()
            self._shell.finish()
        else:
            self._loop.call_later(_LOOK_SECONDS, self._finish, lines_until, until)

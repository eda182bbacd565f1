"""The observer: serves everything that looks from outside, from what the other processes send it. Unprivileged."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from kactl_agent.control.server import ControlServer, Method
from kactl_agent.observe.bfd_state import BfdState
from kactl_agent.observe.check_desk import CheckDesk
from kactl_agent.observe.checkers_state import CheckersState
from kactl_agent.observe.dumping import Dumping
from kactl_agent.observe.explaining import Explaining
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.journal import Journal
from kactl_agent.observe.journal_files import JournalFiles
from kactl_agent.observe.logs import LogSettings, LogWriter, open_log
from kactl_agent.observe.mailer import Mailer
from kactl_agent.observe.order_desk import OrderDesk
from kactl_agent.observe.reload_desk import ReloadDesk
from kactl_agent.observe.state import AgentState
from kactl_agent.observe.vrrp_view import watch_vrrp
from kactl_agent.runtime import frames, privileges
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges, load_sealed
from kactl_agent.runtime.dump_frames import WriteDump
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.log_frames import DescribeYourself, LogDetail
from kactl_agent.runtime.loop import LoopEdge, worker_loop
from kactl_agent.runtime.self_description import describe

PROCESS = "observer"
_LAST_WORDS_SECONDS = 6.0  # for the other workers to end after the supervisor did
_LAST_MAILS_SECONDS = 1.5  # less than the supervisor's patience with the observer
_MOST_EARLY_LINES = 1000


class ObserverStart(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor hands the observer at its fork. Of the secrets the configuration holds one: the password of
    the mail relay, for the observer sends the mails."""

    configuration: AgentConfiguration
    supervisor_pid: int
    started: int  # monotonic ns of the agent's start
    log: LogSettings
    journal: tuple[int, ...] = ()  # descriptors of its files


def run(start: ObserverStart, listener: socket.socket, supervisor: Edge, log_files: socket.socket | None = None) -> int:
    """The life of the observer's process. Returns its exit code."""
    log = open_log(start.log, log_files)  # nobody may not open standard error
    privileges.become_nobody()
    privileges.keep_only(())
    privileges.die_with_parent(start.supervisor_pid)
    with worker_loop() as loop:
        observer = Observer(loop, start, supervisor, log)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(ignored, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, observer.supervisor_lost)
        loop.set_exception_handler(observer.failed)
        server = ControlServer(loop, listener, observer)
        loop.run_until_complete(server.start())
        observer.announce()
        loop.run_forever()
        server.close()
        loop.run_until_complete(asyncio.sleep(0))
    return 0


class Observer:
    """`kactl_agent.control.server.Service`, fed by frames."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: ObserverStart, supervisor: Edge, log: LogWriter) -> None:
        self._loop = loop
        self._state = AgentState(start.configuration, start.supervisor_pid, started=start.started)
        self._journal = Journal(
            files=JournalFiles(start.journal) if start.journal else None, complain=self._journal_is_in_trouble
        )
        self._log = log
        self._supervisor: LoopEdge | None = LoopEdge(loop, supervisor, self._from_supervisor, self.supervisor_lost)
        self._workers: dict[str, LoopEdge] = {}
        self.handlers = Handlers()
        self.handlers.on(frames.LogRecord, log.write)
        self.handlers.on(LogDetail, self._log_detail)
        self.handlers.on(DescribeYourself, self._describe)
        self.handlers.on(frames.RecordingLine, self._record)
        watch_vrrp(self.handlers, self._state, self._journal)
        sessions = BfdState(self.handlers, lambda: self._state.configuration, time.monotonic_ns)
        self._state.sections["bfd"] = sessions.section
        balanced = CheckersState()
        balanced.register(self.handlers)
        self._state.sections["ipvs"] = balanced.status
        self.methods: dict[str, Method] = {
            "status": lambda _parameters, answer: answer(self.status()),
        }
        self._reloads = ReloadDesk(self._post, self._journal)
        self.methods |= self._reloads.methods
        self.handlers.on(frames.ReloadOutcome, self._reloads.reload_outcome)
        self.handlers.on(frames.ConfirmOutcome, self._reloads.confirm_outcome)
        self.handlers.on(frames.PendingConfirmation, self._reloads.take_pending)
        self._state.about_agent["pending_confirmation"] = self._reloads.status
        Explaining(self.handlers, self._journal, self._state, self._post).offer(self.methods)
        self._dumping = Dumping(loop, self._state, self._post)
        self._dumping.offer(self.handlers, self.methods)
        CheckDesk(partial(self._answer, "checkers")).offer(self.handlers, self.methods)
        OrderDesk(partial(self._answer, "checkers")).offer(self.handlers, self.methods)
        self._mailer = Mailer(loop, lambda: self._state.configuration.mail, self._answer, log.write)
        self._mailer.offer(self.handlers)
        self._ending = False
        self._recordings: dict[str, int] = {}
        self._recordings_to_begin: dict[str, int] = {}  # files of recordings whose first line has not come yet
        self._early: dict[str, list[bytes]] = {}  # lines of recordings whose file has not come yet

    def _post(self, frame: frames.Frame) -> bool:
        """To the supervisor. False when the agent is stopping."""
        if self._supervisor is None or self._ending:
            return False
        self._supervisor.edge.post(frame)
        return True

    def _answer(self, worker: str, frame: frames.Frame) -> bool:
        """To a worker that asked for something, or is asked; False when there is none any more."""
        edge = self._workers.get(worker)
        if edge is not None:
            edge.edge.post(frame)
        return edge is not None

    def _describe(self, _frame: DescribeYourself) -> None:
        edges: dict[str, Edge | None] = {name: each.edge for name, each in self._workers.items()}
        edges["supervisor"] = None if self._supervisor is None else self._supervisor.edge
        self._log.write(frames.LogRecord(time.time_ns(), "info", PROCESS, describe(edges)))

    def _log_detail(self, frame: LogDetail) -> None:
        self._log.detail = frame.wanted

    def announce(self) -> None:
        if self._supervisor is not None:
            self._supervisor.edge.post(frames.WorkerStarted(PROCESS))

    def failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback raised: that is said and the others go on, so that no client can end the service for all."""
        error = context.get("exception")
        text = "".join(traceback.format_exception(error)) if error is not None else context["message"]
        self._log.write(frames.LogRecord(time.time_ns(), "error", PROCESS, f"unexpected: {text}"))

    def _journal_is_in_trouble(self, trouble: str) -> None:
        text = f"events are kept in memory alone: {trouble}" if trouble else "events can be written again"
        level = "warning" if trouble else "info"
        self._log.write(frames.LogRecord(time.time_ns(), level, PROCESS, f"journal: {text}"))

    def supervisor_lost(self) -> None:
        """The end is near: stay for the last words of the workers, but not long."""
        if not self._ending:
            self._ending = True
            self._loop.call_later(_LAST_WORDS_SECONDS, self._loop.stop)
        if not self._workers:
            self._end()

    def _end(self) -> None:
        """Once the last mails are out, or cannot be waited for any longer."""
        self._mailer.when_at_rest(self._loop.stop)
        self._loop.call_later(_LAST_MAILS_SECONDS, self._loop.stop)

    # -- kactl_agent.control.server.Service ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        return self._state.status()

    def events_since(self, cursor: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        return self._journal.since(cursor, limit)

    def end_of_events(self) -> str:
        return self._journal.cursor

    def follow(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        return self._journal.follow(listener)

    # -- frames --------------------------------------------------------------------------------------------------------

    def _from_worker(self, frame: frames.AnyFrame, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        self.handlers.handle(frame)

    def _worker_lost(self, name: str) -> None:
        del self._workers[name]
        self.handlers.lost(name)
        if self._ending and not self._workers:
            self._end()

    def _worker_gained(self, name: str, edge: Edge) -> None:
        old = self._workers.pop(name, None)
        if old is not None:
            old.close()
            self.handlers.lost(name)
        self._workers[name] = LoopEdge(self._loop, edge, self._from_worker, partial(self._worker_lost, name))

    def _from_supervisor(self, frame: frames.AnyFrame, descriptors: list[int]) -> None:
        match frame:
            case frames.ProcessState():
                self._process_state(frame)
            case frames.Settings() if descriptors:
                self._state.configuration = load_sealed(descriptors.pop())
                self._post(frames.SettingsApplied(frame.serial, ConfigurationChanges((), (), ())))
            case frames.PlanOutcome():
                self._reloads.plan_outcome(frame, descriptors.pop() if descriptors else None)
            case frames.ObserverEdge() if descriptors:
                self._worker_gained(frame.worker, Edge.from_descriptor(descriptors.pop()))
            case frames.RecordingFile() if descriptors:
                self._recording_file(frame.instance, descriptors.pop())
            case WriteDump() if len(descriptors) == len(frame.kinds):
                self._dumping.write(frame, descriptors)
                descriptors = []
            case frames.Stop():
                self.supervisor_lost()
            case _:
                self.handlers.handle(frame)
        for descriptor in descriptors:
            os.close(descriptor)

    def _process_state(self, frame: frames.ProcessState) -> None:
        self._state.take_process(frame)
        if frame.last_exit and frame.pid == 0:
            self._journal.append("process", time.time_ns(), process=frame.process, ended=frame.last_exit)

    def _recording_file(self, instance: str, descriptor: int) -> None:
        """For a recording that begins. Files and lines come from two processes: either may be first."""
        early = self._early.pop(instance, None)
        if early is None:
            self._take_file(self._recordings_to_begin, instance, descriptor)
            return
        self._take_file(self._recordings, instance, descriptor)
        for line in early:
            self._write_recording(instance, line)

    def _record(self, frame: frames.RecordingLine) -> None:
        instance = frame.instance
        if frame.first:
            self._take_file(self._recordings, instance, self._recordings_to_begin.pop(instance, None))
            self._early.pop(instance, None)
            if instance not in self._recordings:
                self._early[instance] = []
        if instance in self._recordings:
            self._write_recording(instance, frame.line)
        elif (waiting := self._early.get(instance)) is not None:
            waiting.append(frame.line)
            if len(waiting) > _MOST_EARLY_LINES:  # its file could not be opened
                del self._early[instance]

    def _take_file(self, files: dict[str, int], instance: str, descriptor: int | None) -> None:
        old = files.pop(instance, None)
        if old is not None:
            os.close(old)
        if descriptor is not None:
            files[instance] = descriptor

    def _write_recording(self, instance: str, line: bytes) -> None:
        descriptor = self._recordings.get(instance)
        if descriptor is None:
            return
        try:
            os.write(descriptor, line)
        except OSError as error:
            os.close(self._recordings.pop(instance))
            text = f"{instance}: the recording ends here: {error.strerror or error}"
            self._log.write(frames.LogRecord(time.time_ns(), "warning", PROCESS, text))

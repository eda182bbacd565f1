"""The BFD worker: wires sessions, sockets and the rest of the agent together. Nothing else runs in its loop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from itertools import islice

import msgspec

from kactl_agent.bfd.actions import Report, StateChanged
from kactl_agent.bfd.packet import diagnostic_text
from kactl_agent.bfd.snapshot import SessionSnapshot
from kactl_agent.kernel.bfd_sockets import BfdPorts, UdpPorts
from kactl_agent.runtime import frames, privileges
from kactl_agent.runtime.batched_reading import BatchedReading
from kactl_agent.runtime.bfd_frames import BfdHeartbeat, BfdSessionGone, BfdSnapshot, SessionVerdict
from kactl_agent.runtime.bfd_machine import BfdMachine
from kactl_agent.runtime.chance import random_bytes
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.runtime.loop import Timer, on_terminate, worker_loop
from kactl_agent.runtime.privileges import Capability
from kactl_agent.runtime.worker_shell import Applied, WorkerShell

PROCESS = "bfd"
_HEARTBEAT_SECONDS = 1.0
_SNAPSHOT_SECONDS = 2.0  # between two reports of what is no change of state
_SNAPSHOTS_A_TURN = 8  # of the loop: timers do not wait for the reports of hundreds of sessions
_LAST_PACKET_SECONDS = 0.02  # after the first AdminDown, which may have been lost
_CLIENTS = ("vrrp", "checkers")


class BfdWorkerStart(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor hands the worker at its fork."""

    configuration: AgentConfiguration
    capabilities: frozenset[privileges.Capability]


def start(configuration: AgentConfiguration, capabilities: frozenset[privileges.Capability]) -> BfdWorkerStart:
    """What `run` takes."""
    return BfdWorkerStart(configuration=configuration, capabilities=capabilities)


def run(start: BfdWorkerStart, supervisor: Edge, observer: Edge) -> int:
    """The life of the worker's process. Returns its exit code."""
    privileges.keep_only(start.capabilities)
    with worker_loop() as loop:
        worker = BfdWorker(loop, UdpPorts(), start, supervisor, observer)
        on_terminate(loop, worker.stop)
        loop.call_soon(worker.begin)
        loop.run_forever()
        worker.close()
    return 0


class BfdWorker:
    """`kactl_agent.runtime.worker_shell.ShelteredWorker` and `kactl_agent.runtime.bfd_machine.Listener`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ports: BfdPorts,
        start: BfdWorkerStart,
        supervisor: Edge,
        observer: Edge,
    ) -> None:
        self._loop = loop
        self._configuration = start.configuration
        self._capabilities = start.capabilities
        self._reading = BatchedReading(loop)
        self._timer = timer = Timer(loop, lambda: self._machine.run_due())
        chance = random_bytes(start.configuration.process)
        self._machine = BfdMachine(ports, self._reading, self, time.monotonic_ns, timer.arm, chance)
        self._dirty: dict[str, None] = {}
        self._changes: deque[tuple[str, StateChanged, int, SessionSnapshot]] = deque()
        self._reporting = False
        self._stopping = False
        self._shell = WorkerShell(PROCESS, loop, supervisor, observer, self)

    def begin(self) -> None:
        self._machine.apply(self._configuration.bfd.sessions)
        self._keep_pace()
        self._report_all()
        self._shell.started()
        self._beat()
        self._report_now_and_then()

    def _keep_pace(self) -> None:
        self._timer.between = self._reading.between = self._machine.granularity

    def close(self) -> None:
        """After the loop has ended."""
        self._machine.close()
        self._reading.close()

    # -- kactl_agent.runtime.worker_shell.ShelteredWorker --------------------------------------------------------------

    def prepare(self, new: AgentConfiguration) -> str:
        """What was given up at the start cannot be had again."""
        wanted = {Capability[name] for name in new.privileges.get(PROCESS, ())}
        missing = sorted(each.name for each in wanted - self._capabilities)
        return f"sessions need {' and '.join(missing)}: restart the agent for that" if missing else ""

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        self._configuration = new
        before = set(self._machine.names)
        changes = self._machine.apply(new.bfd.sessions)
        self._keep_pace()
        for name in before.difference(self._machine.names):
            self._dirty.pop(name, None)
            gone = BfdSessionGone(name)
            self._shell.state(name, gone)
            for client in _CLIENTS:
                edge = self._shell.peer(client)
                if edge is not None:
                    edge.post_state(name, gone)
        self._report_all()
        for client in _CLIENTS:  # whom the new configuration names, whoever was told before
            self.peer_joined(client)
        problems = [
            f"{name}: {problem}" for name in self._machine.names if (problem := self._machine.path(name).problem)
        ]
        done(changes, problems)

    def stop(self, order: frames.Stop | None = None) -> None:
        """Neighbours are told that it is no failure; clients are told nothing."""
        del order
        if not self._stopping:
            self._stopping = True
            self._machine.stop()
            self._loop.call_later(_LAST_PACKET_SECONDS, self._finish)

    def _finish(self) -> None:
        self._machine.stop()
        self._report()
        self._shell.finish()

    def observed(self) -> None:
        self._report_all()

    def connect_spawner(self, sock: socket.socket) -> None:
        sock.close()

    def peer_joined(self, name: str) -> None:
        for session in self._machine.names:
            self._tell(name, session)

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None:
        """Nobody has anything to say to sessions."""

    def peer_lost(self, name: str) -> None:
        """The next one is told everything."""

    # -- kactl_agent.runtime.bfd_machine.Listener ----------------------------------------------------------------------

    def state_changed(self, name: str, change: StateChanged, now: int) -> None:
        """Clients are told at once, the journal when there is time."""
        for client in _CLIENTS:
            self._tell(client, name)
        self._changes.append((name, change, now, self._machine.sessions[name].snapshot()))
        self._report_soon()

    def _report_change(self, name: str, change: StateChanged, now: int, session: SessionSnapshot) -> None:
        at = time.time_ns() - (time.monotonic_ns() - now)
        self._shell.event(
            Happening(
                at=at,
                kind="bfd_session",
                subject=f"bfd_instance {name}",
                old=change.old.text,
                new=change.new.text,
                cause=change.cause.value,
                detail=change.detail,
                facts={
                    "diagnostic": diagnostic_text(change.diagnostic),
                    "remote_diagnostic": diagnostic_text(change.remote_diagnostic),
                    "remote_state": session.remote_state.text,
                    "detection_time_ms": session.detection_time // 1000,
                    "last_packet_age_ms": (now - session.last_received) // 1_000_000 if session.last_received else None,
                    "late_max_ms": self._machine.sessions.lateness.maximum // 1_000_000,
                },
            )
        )
        text = f"{name}: {change.old.text} -> {change.new.text}: {change.detail}"
        self._shell.log("info", text, session=name, cause=change.cause.value)
        self._dirty[name] = None

    def settled(self, name: str) -> None:
        for client in _CLIENTS:
            self._tell(client, name)

    def report(self, name: str, report: Report) -> None:
        text = f"{name}: {report.detail}" if name else report.detail
        self._shell.log(report.level, text, session=name, code=report.code)
        if name in self._machine.sessions:
            self._dirty[name] = None
            self._report_soon()

    # -- what others are told ------------------------------------------------------------------------------------------

    def _tell(self, client: str, name: str) -> None:
        """Whether the session is up, if the client is to know. A session that had no time yet to come up is not said to
        be down: after a restart of this process clients go on with what they knew."""
        session = self._machine.sessions[name]
        wanted = session.settings.tell_vrrp if client == "vrrp" else session.settings.tell_checkers
        edge = self._shell.peer(client)
        if edge is not None and wanted and session.settled:
            edge.post_state(name, SessionVerdict(name, session.up))

    def _report_all(self) -> None:
        self._dirty.update(dict.fromkeys(self._machine.names))
        self._report_soon()

    def _report_now_and_then(self) -> None:
        if not self._stopping:
            self._report_all()
            self._loop.call_later(_SNAPSHOT_SECONDS, self._report_now_and_then)

    def _report_soon(self) -> None:
        if not self._reporting:
            self._reporting = True
            self._loop.call_soon(self._report)

    def _report(self) -> None:
        self._reporting = False
        for _ in range(len(self._changes) if self._stopping else min(len(self._changes), _SNAPSHOTS_A_TURN)):
            self._report_change(*self._changes.popleft())
        now, at = time.monotonic_ns(), time.time_ns()
        for name in list(islice(self._dirty, None if self._stopping else _SNAPSHOTS_A_TURN)):
            del self._dirty[name]
            if name in self._machine.sessions:
                path = self._machine.path(name)
                snapshot = BfdSnapshot(
                    now=now,
                    at=at,
                    snapshot=self._machine.sessions[name].snapshot(),
                    source=path.sender.source if path.sender is not None else b"",
                    source_port=path.source_port,
                    problem=path.problem,
                )
                self._shell.state(name, snapshot)
        if self._dirty or self._changes:
            self._report_soon()

    def _beat(self) -> None:
        if self._stopping:
            return
        self._machine.retry()
        lateness, observer = self._machine.sessions.lateness, self._shell.observer
        beat = BfdHeartbeat(
            now=time.monotonic_ns(),
            at=time.time_ns(),
            timers=lateness.timers,
            late_max=lateness.maximum,
            late_over_10ms=lateness.over_10ms,
            late_over_quarter=lateness.over_quarter,
            dropped=observer.dropped if observer is not None else 0,
            discarded=dict(self._machine.sessions.discarded),
        )
        self._shell.state(None, beat)
        self._loop.call_later(_HEARTBEAT_SECONDS, self._beat)

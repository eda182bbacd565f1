"""The checkers worker: wires engines, kernel and the rest of the agent together."""

from __future__ import annotations

import asyncio
import socket

import msgspec

from kactl_agent.runtime import frames, privileges
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.loop import on_terminate, worker_loop
from kactl_agent.runtime.worker_shell import NO_CHANGES, Applied, WorkerShell

PROCESS = "checkers"


class CheckersWorkerStart(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor hands the worker at its fork."""

    configuration: AgentConfiguration
    capabilities: frozenset[privileges.Capability]
    keep_ipvs: bool  # --keep-ipvs


def start(
    configuration: AgentConfiguration, capabilities: frozenset[privileges.Capability], *, keep_ipvs: bool
) -> CheckersWorkerStart:
    """What `run` takes."""
    return CheckersWorkerStart(configuration=configuration, capabilities=capabilities, keep_ipvs=keep_ipvs)


def run(start: CheckersWorkerStart, supervisor: Edge, observer: Edge) -> int:
    """The life of the worker's process. Returns its exit code."""
    privileges.keep_only(start.capabilities)
    with worker_loop() as loop:
        worker = CheckersWorker(loop, start, supervisor, observer)
        on_terminate(loop, worker.stop)
        loop.call_soon(worker.begin)
        loop.run_forever()
    return 0


def reclaim_at_end(configurations: list[AgentConfiguration]) -> int:
    """Take IPVS entries off the machine when no worker is left that will. Returns an exit code."""
    del configurations
    return 0


class CheckersWorker:
    """`kactl_agent.runtime.worker_shell.ShelteredWorker`"""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, start: CheckersWorkerStart, supervisor: Edge, observer: Edge
    ) -> None:
        self._configuration = start.configuration
        self._stopping = False
        self._shell = WorkerShell(PROCESS, loop, supervisor, observer, self)

    def begin(self) -> None:
        self._shell.started()

    def prepare(self, new: AgentConfiguration) -> str:
        del new
        return ""

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        self._configuration = new
        done(NO_CHANGES, ())

    def stop(self, order: frames.Stop | None = None) -> None:
        del order
        if not self._stopping:
            self._stopping = True
            self._shell.finish()

    def observed(self) -> None:
        """There is nothing to tell."""

    def connect_spawner(self, sock: socket.socket) -> None:
        sock.close()

    def peer_joined(self, name: str) -> None:
        """There is nothing to tell."""

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None:
        """Nobody has anything to say."""

    def peer_lost(self, name: str) -> None:
        """See above."""

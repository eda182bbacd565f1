"""What is the same in every worker: its edges to the other processes, its side of a reload, and its end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges, load_sealed
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.log_frames import DescribeYourself
from kactl_agent.runtime.loop import LoopEdge
from kactl_agent.runtime.scheduling import Scheduling
from kactl_agent.runtime.self_description import describe

_LAST_WORDS_SECONDS = 0.5
F = TypeVar("F", bound=frames.Frame)
NO_CHANGES = ConfigurationChanges((), (), ())
Applied = Callable[[ConfigurationChanges, Sequence[str]], None]
"""To be called once, now or in a later turn of the loop: what changed, and what is not on the machine as it should."""


class ShelteredWorker(Protocol):
    """What a shell calls. None of it may block."""

    def prepare(self, new: AgentConfiguration) -> str:
        """Why this worker cannot run the settings, or an empty string. Changes nothing."""

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        """Put prepared settings in force, in slices where it is much; then call `done`."""

    def stop(self, order: frames.Stop | None = None) -> None:
        """Release everything as ordered (None: as the command line says), then call `WorkerShell.finish`. A second call
        changes nothing."""

    def observed(self) -> None:
        """There is a new observer, who knows nothing: tell it everything again."""

    def connect_spawner(self, sock: socket.socket) -> None: ...

    def peer_joined(self, name: str) -> None:
        """There is a new peer (see `WorkerShell.peer`), who knows nothing: tell it everything again."""

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None: ...

    def peer_lost(self, name: str) -> None: ...


class WorkerShell:
    """One for each worker process. Frames come out of it as calls of the worker; what the worker has to say goes in."""

    def __init__(
        self, process: str, loop: asyncio.AbstractEventLoop, supervisor: Edge, observer: Edge, worker: ShelteredWorker
    ) -> None:
        self.process = process
        self._loop = loop
        self._worker = worker
        self._prepared: tuple[int, AgentConfiguration] | None = None
        self._applying = False
        self._next: tuple[int, int] | None = None  # serial and descriptor of settings that came meanwhile
        self._stopping = False
        self._peers: dict[str, LoopEdge] = {}
        self._handlers: dict[type[frames.Frame], Callable[[Any], object]] = {}
        self._of_observer: dict[type[frames.Frame], Callable[[Any], object]] = {}
        self._takers: dict[type[frames.Frame], Callable[[Any, list[int]], object]] = {}
        self._supervisor = LoopEdge(loop, supervisor, self._from_supervisor, self._supervisor_lost)
        self._observer: LoopEdge | None = None
        self._use_observer(observer)

    # -- what the worker says ------------------------------------------------------------------------------------------

    def started(self) -> None:
        """The worker is at work."""
        if Scheduling.current is not None:
            Scheduling.current.begin(self._loop, self.log)
        self._supervisor.edge.post(frames.WorkerStarted(self.process))

    def on(self, kind: type[F], handler: Callable[[F], object]) -> None:
        """What to do with a frame of the supervisor that this worker alone understands."""
        self._handlers[kind] = handler

    def on_observer(self, kind: type[F], handler: Callable[[F], object]) -> None:
        """What the observer may say: nothing that a protocol depends on, for it talks to the world."""
        self._of_observer[kind] = handler

    def on_descriptors(self, kind: type[F], handler: Callable[[F, list[int]], object]) -> None:
        """Frames of the supervisor with descriptors, which are the handler's."""
        self._takers[kind] = handler

    def answer(self, frame: frames.Frame) -> None:
        """To the supervisor."""
        self._supervisor.edge.post(frame)

    @property
    def observer(self) -> Edge | None:
        """None while there is none."""
        return None if self._observer is None else self._observer.edge

    def peer(self, name: str) -> Edge | None:
        """The edge to another worker; None while that one does not run."""
        edge = self._peers.get(name)
        return None if edge is None else edge.edge

    def tell(self, name: str, key: Hashable, frame: frames.Frame) -> None:
        """A state for another worker, in place of what it has not been sent yet; a peer that joins asks for all."""
        edge = self.peer(name)
        if edge is not None:
            edge.post_state(key, frame)

    def event(self, frame: frames.Frame) -> bool:
        """For the observer's log or journal. False when nobody will hear of it."""
        return self._observer is not None and self._observer.edge.post_event(frame)

    def state(self, key: Hashable, frame: frames.Frame) -> None:
        """The state of something for the observer, in place of what it has not been sent yet."""
        if self._observer is not None:
            self._observer.edge.post_state(key, frame)

    def log(self, level: str, message: str, **fields: str | int | bool) -> None:
        self.event(frames.LogRecord(time.time_ns(), level, self.process, message, fields))

    def finish(self) -> None:
        """Everything is released: end the loop once the last words are out, or shall not be."""
        self._stopping = True
        self._end_by(time.monotonic() + _LAST_WORDS_SECONDS)

    def _end_by(self, deadline: float) -> None:
        edges = (self._observer, *self._peers.values())
        unsent = any(edge is not None and edge.edge.pending for edge in edges)
        if unsent and time.monotonic() < deadline:
            self._loop.call_later(0.005, self._end_by, deadline)
        else:
            self._loop.stop()

    def close(self) -> None:
        """Hang up. Only for who goes on after the loop has ended."""
        self._drop()
        for edge in (self._supervisor, self._observer, *self._peers.values()):
            if edge is not None:
                edge.close()

    # -- what the others say -------------------------------------------------------------------------------------------

    def _supervisor_lost(self) -> None:
        self._stopping = True
        self._worker.stop()

    def _use_observer(self, edge: Edge) -> None:
        if self._observer is not None:
            self._observer.close()
        self._observer = LoopEdge(self._loop, edge, self._from_observer, self._observer_lost)

    def _observer_lost(self) -> None:
        self._observer = None

    def _from_observer(self, frame: frames.AnyFrame, descriptors: list[int]) -> None:
        """Descriptors are never kept."""
        _close_all(descriptors)
        handler = self._of_observer.get(type(frame))
        if handler is not None:
            handler(frame)

    def _from_supervisor(self, frame: frames.AnyFrame, descriptors: list[int]) -> None:
        match frame:
            case frames.Stop():
                self._stopping = True
                self._worker.stop(frame)
            case frames.ObserverEdge() if descriptors:
                self._use_observer(Edge.from_descriptor(descriptors.pop()))
                self._worker.observed()
            case frames.SpawnerEdge() if descriptors and not self._stopping:
                self._worker.connect_spawner(socket.socket(fileno=descriptors.pop()))
            case frames.PeerEdge() if descriptors and not self._stopping:
                self._use_peer(frame.worker, Edge.from_descriptor(descriptors.pop()))
            case frames.Settings() if descriptors and not self._stopping:
                self._drop()
                self._next = (frame.serial, descriptors.pop())
                self._look_at_next()
            case frames.ApplySettings() if not self._stopping:
                self._apply(frame.serial)
            case DescribeYourself():
                edges: dict[str, Edge | None] = {"supervisor": self._supervisor.edge, "observer": self.observer}
                self.log("info", describe(edges | {name: edge.edge for name, edge in self._peers.items()}))
            case frames.DropSettings():
                self._drop()
            case _ if type(frame) in self._takers and not self._stopping:
                self._takers[type(frame)](frame, descriptors)
                return
            case _ if type(frame) in self._handlers and not self._stopping:
                self._handlers[type(frame)](frame)
            case _:
                pass
        _close_all(descriptors)

    def _use_peer(self, name: str, edge: Edge) -> None:
        old = self._peers.pop(name, None)
        if old is not None:
            old.close()
        self._peers[name] = LoopEdge(self._loop, edge, partial(self._from_peer, name), partial(self._peer_lost, name))
        self._worker.peer_joined(name)

    def _from_peer(self, name: str, frame: frames.AnyFrame, descriptors: list[int]) -> None:
        _close_all(descriptors)
        if not self._stopping:
            self._worker.peer_said(name, frame)

    def _peer_lost(self, name: str) -> None:
        del self._peers[name]
        if not self._stopping:
            self._worker.peer_lost(name)

    # -- reload --------------------------------------------------------------------------------------------------------

    def _drop(self) -> None:
        self._prepared = None
        if self._next is not None:
            os.close(self._next[1])
            self._next = None

    def _look_at_next(self) -> None:
        """Not while others are being put in force: a worker knows of one change at a time, and answers in order."""
        if self._next is not None and not self._applying and not self._stopping:
            (serial, descriptor), self._next = self._next, None
            self._supervisor.edge.post(self._prepare(serial, descriptor))

    def _prepare(self, serial: int, descriptor: int) -> frames.SettingsPrepared:
        try:
            new = load_sealed(descriptor)
        except ValueError as error:
            return frames.SettingsPrepared(serial, str(error))
        refusal = self._worker.prepare(new)
        if not refusal:
            self._prepared = (serial, new)
        return frames.SettingsPrepared(serial, refusal)

    def _apply(self, serial: int) -> None:
        if self._prepared is None or self._prepared[0] != serial:
            text = "these settings were not prepared"
            self._supervisor.edge.post(frames.SettingsApplied(serial, NO_CHANGES, text))
            return
        new, self._prepared = self._prepared[1], None
        self._applying = True
        if Scheduling.current is not None:
            Scheduling.current.change(new.process)
        self._worker.apply(new, partial(self._applied, serial))

    def _applied(self, serial: int, changes: ConfigurationChanges, problems: Sequence[str]) -> None:
        self._applying = False
        self._supervisor.edge.post(frames.SettingsApplied(serial, changes, problems=tuple(problems)))
        self._look_at_next()


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

"""The worker processes: started, connected to each other, restarted with back-off, stopped in order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.drain_frames import DrainOrder
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair
from kactl_agent.runtime.privileges import Capability
from kactl_agent.supervisor.children import Backoff, Worker, exit_text, fork_child
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.poller import Poller, TimerHandle
from kactl_agent.supervisor.spawning import Spawning
from kactl_agent.supervisor.worker_kinds import PEERS, WORKERS, Prepare, capabilities, prepare

OBSERVER = "observer"
_OBSERVER_STOP_SECONDS = 2.0
Target = Callable[[Edge], int]


class Host(Protocol):
    """What a fleet needs of the supervisor."""

    def log(self, level: str, message: str) -> None: ...

    def complain(self, process: str, line: str) -> None:
        """In a worker that cannot go on."""

    def to_start_with(self) -> AgentConfiguration | None:
        """The configuration a worker starts with; None while that is being decided."""

    def observe(self, supervisor: Edge) -> int:
        """The life of the observer's process."""

    def drains(self) -> tuple[DrainOrder, ...]:
        """What a VRRP worker starts with."""

    def observer_started(self) -> None: ...

    def started(self, worker: str, configuration: AgentConfiguration) -> None:
        """It runs with this one, whichever is in force."""

    def said(self, worker: str, frame: frames.AnyFrame) -> None: ...

    def ended(self, worker: Worker, code: int) -> None:
        """It is not among the running ones any more. Unless it was told to go, nothing has been done about it."""


class Fleet:
    """Workers by name, the observer among them."""

    def __init__(
        self,
        host: Host,
        poller: Poller,
        options: Options,
        spawning: Spawning,
        kept_by: Callable[[str], list[int]],
        prepare: Prepare = prepare,
    ) -> None:
        """`kept_by` has the descriptors that a process keeps besides its edges."""
        self._host = host
        self._poller = poller
        self._options = options
        self._spawning = spawning
        self._kept_by = kept_by
        self._prepare = prepare
        self._children: dict[str, Worker] = {}
        self._capabilities: dict[str, frozenset[Capability]] = {}
        self._backoff = {name: Backoff() for name in (*WORKERS, OBSERVER)}
        self._respawns: dict[str, TimerHandle] = {}
        self._leaving: set[Worker] = set()  # told to go while the agent goes on
        self._stopping: set[Worker] = set()  # told to go with the agent
        self._observers_end = ""  # of the one before, for the next one's journal
        self.restarts = dict.fromkeys((*WORKERS, OBSERVER), 0)

    # -- who there is --------------------------------------------------------------------------------------------------

    def __contains__(self, name: str) -> bool:
        return name in self._children

    def __iter__(self) -> Iterator[Worker]:
        """Workers that run, without the observer."""
        return iter([child for name, child in self._children.items() if name != OBSERVER])

    def edge(self, name: str) -> Edge | None:
        child = self._children.get(name)
        return None if child is None else child.edge

    def is_staying(self, child: Worker) -> bool:
        return child not in self._leaving

    def lacks(self, child: Worker, configuration: AgentConfiguration) -> list[str]:
        """Capabilities that the configuration needs of it and that it has given up, which is for good."""
        return sorted(each.name for each in capabilities(child.name, configuration) - self._capabilities[child.name])

    @property
    def script_workers(self) -> list[Worker]:
        return [child for name, child in self._children.items() if name != OBSERVER and WORKERS[name].runs_scripts]

    # -- starting ------------------------------------------------------------------------------------------------------

    def start_observer(self) -> None:
        """It is connected to everyone there is."""
        ours, theirs = (Edge(sock) for sock in socket_pair())
        self._spawn(OBSERVER, self._host.observe, ours, theirs, self._kept_by(OBSERVER))
        if self._observers_end:
            ours.post(frames.ProcessState(OBSERVER, 0, self.restarts[OBSERVER], self._observers_end))
            self._post_process(OBSERVER)
        try:
            for child in self:
                self._post_process(child.name)
                to_observer, to_worker = socket_pair()
                child.edge.post(frames.ObserverEdge(OBSERVER), [to_worker.detach()])
                ours.post(frames.ObserverEdge(child.name), [to_observer.detach()])
        except OSError as error:
            self._give_up(self._children[OBSERVER], error)
        self.post_spawner()
        self._host.observer_started()

    def start(self, name: str, configuration: AgentConfiguration) -> None:
        """Raises OSError when there is no room for another process."""
        ours, theirs = (Edge(sock) for sock in socket_pair())
        to_observer, to_worker = socket_pair()
        observer = Edge(to_worker)

        def life(edge: Edge) -> int:
            """In the new process: what is wrong with its preparation ends that one alone."""
            run = self._prepare(name, self._options, configuration, self._host.drains())
            return run(edge, observer)

        try:
            self._spawn(name, life, ours, theirs, [to_worker.fileno(), *self._kept_by(name)])
        except OSError:
            to_observer.close()
            raise
        finally:
            to_worker.close()
        self._capabilities[name] = capabilities(name, configuration)
        child = self._children[name]
        self._post_or_close(OBSERVER, frames.ObserverEdge(name), to_observer.detach())
        try:
            if WORKERS[name].runs_scripts:
                self._spawning.connect(child)
            self._introduce(child)
        except OSError as error:
            self._give_up(child, error)
        self._host.started(name, configuration)

    def _give_up(self, child: Worker, error: OSError) -> None:
        """It runs, but not everybody can talk to it: another one follows."""
        self._host.log("error", f"the {child.name} worker cannot be connected: {error.strerror or error}")
        child.kill()

    def start_wanted(self) -> None:
        """All that there is work for and that neither run nor wait for their restart."""
        for name in reversed(WORKERS):
            if name not in self._children and name not in self._respawns:
                self._start_if_wanted(name)

    def _introduce(self, child: Worker) -> None:
        """A socket to each of the workers that it talks to."""
        for pair in PEERS:
            if child.name not in pair:
                continue
            other = self._children.get(pair[0] if pair[1] == child.name else pair[1])
            if other is not None:
                one, two = socket_pair()
                child.edge.post(frames.PeerEdge(other.name), [one.detach()])
                other.edge.post(frames.PeerEdge(child.name), [two.detach()])

    def _post_or_close(self, name: str, frame: frames.Frame, descriptor: int) -> None:
        child = self._children.get(name)
        if child is not None:
            child.edge.post(frame, [descriptor])
        else:
            os.close(descriptor)

    def _spawn(self, name: str, target: Target, ours: Edge, theirs: Edge, keep: list[int]) -> None:
        try:
            pid = fork_child(
                name,
                partial(target, theirs),
                [theirs.fileno(), *keep],
                self._poller.after_fork,
                partial(self._host.complain, name),
            )
            child = self._children[name] = Worker(name, pid, ours)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._poller.add_reader(child.fileno(), partial(self._ended, child))
        self._poller.add_edge(ours, partial(self._readable, child))
        self._post_process(name)

    # -- what they say -------------------------------------------------------------------------------------------------

    def _readable(self, child: Worker) -> None:
        try:
            received = child.edge.receive()
        except EdgeClosed:
            self._poller.remove_edge(child.edge)
            child.kill(signal.SIGTERM)  # mostly it has ended already; one that speaks nonsense has to
            return
        for frame, descriptors in received:
            for descriptor in descriptors:
                os.close(descriptor)
            self._host.said(child.name, frame)

    def _post_process(self, name: str, last_exit: str = "") -> None:
        child = self._children.get(name)
        self.post(frames.ProcessState(name, child.pid if child else 0, self.restarts[name], last_exit))

    def post(self, frame: frames.Frame, descriptors: Sequence[int] = ()) -> None:
        """To the observer, if there is one. The descriptors are closed in any case."""
        observer = self.edge(OBSERVER)
        if observer is not None:
            observer.post(frame, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)

    def post_spawner(self, last_exit: str = "") -> None:
        process = self._spawning.process
        pid = process.pid if process else 0
        self.post(frames.ProcessState("spawner", pid, self._spawning.restarts, last_exit))

    # -- ends and restarts ---------------------------------------------------------------------------------------------

    def _ended(self, child: Worker) -> None:
        self._poller.remove_reader(child.fileno())
        self._poller.remove_edge(child.edge)
        code = child.reap()
        child.edge.close()
        del self._children[child.name]
        if child.name == OBSERVER:
            self._observers_end = exit_text(code)
        self._post_process(child.name, exit_text(code) if child not in self._leaving else "")
        self._host.ended(child, code)
        self._leaving.discard(child)

    def respawn_later(self, child: Worker) -> None:
        delay = self._backoff[child.name].after(time.monotonic_ns() - child.started)
        self._host.log("info", f"the {child.name} worker is restarted {f'in {delay} s' if delay else 'now'}")
        self.restarts[child.name] += 1
        self._later(child.name, delay)

    def _later(self, name: str, delay: float) -> None:
        self._respawns[name] = self._poller.call_later(delay, partial(self._respawn, name))

    def _respawn(self, name: str) -> None:
        del self._respawns[name]
        self._start_if_wanted(name)

    def _start_if_wanted(self, name: str) -> None:
        """With what all are to run, once that is known."""
        configuration = self._host.to_start_with()
        if configuration is None:
            self._later(name, 0.05)
        elif name == OBSERVER or configuration.needs(name):
            self._start_or_later(name, configuration)

    def _start_or_later(self, name: str, configuration: AgentConfiguration) -> None:
        try:
            if name == OBSERVER:
                self.start_observer()
            else:
                self.start(name, configuration)
        except OSError as error:  # no process, no descriptor, no memory: the others go on meanwhile
            delay = self._backoff[name].after(0)
            reason = error.strerror or str(error)
            self._host.log("error", f"the {name} worker cannot be started, again in {delay} s: {reason}")
            self._later(name, delay)

    def retire(self, child: Worker, order: frames.Stop, seconds: float) -> None:
        """It has no work any more, or another has to do it: `Host.ended` hears of its end. After `seconds` it is
        killed."""
        self._leaving.add(child)
        self._tell_to_stop(child, order, seconds)

    # -- the end -------------------------------------------------------------------------------------------------------

    def cancel_restarts(self) -> None:
        for handle in self._respawns.values():
            handle.cancel()

    def stop_workers(self, order: frames.Stop, seconds: float) -> bool:
        """Stop those that still run, and kill them after `seconds`. False when none does. All at once, so that no peer
        waits for a load balancer that takes its time; but BFD last, whose sessions mean something to the others."""
        running = [child for name in WORKERS if (child := self._children.get(name)) is not None]
        for child in [each for each in running if each.name != "bfd"] or running:
            if child not in self._stopping:
                self._stopping.add(child)
                self._tell_to_stop(child, order, seconds)
        return bool(running)

    def stop_observer(self) -> bool:
        observer = self._children.get(OBSERVER)
        if observer is None:
            return False
        self._tell_to_stop(observer, frames.Stop(), _OBSERVER_STOP_SECONDS)
        return True

    def _tell_to_stop(self, child: Worker, order: frames.Stop, seconds: float) -> None:
        child.edge.post(order)
        child.edge.try_flush()
        self._poller.call_later(seconds, partial(self._kill, child))

    def _kill(self, child: Worker) -> None:
        if self._children.get(child.name) is child:
            self._host.log("warning", f"the {child.name} worker did not stop in time and is killed")
            child.kill()

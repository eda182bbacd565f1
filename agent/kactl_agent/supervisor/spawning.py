"""The spawner, seen from the supervisor: connected to workers, restarted when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from kactl_agent.runtime import frames
from kactl_agent.runtime.spawner import SETTLE
from kactl_agent.supervisor.children import Backoff, Child, Worker, exit_text, fork_child
from kactl_agent.supervisor.poller import Poller, TimerHandle

PROCESS = "spawner"
_STOP_SECONDS = 3.0  # it gives scripts one second to end


class SpawnerProcess(Child):
    """A running spawner and our end of its control socket."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        super().__init__(PROCESS, pid)
        control.setblocking(False)
        self.control = control

    def end(self) -> None:
        """Wait for its end, for which nothing is left to do but to hang up. Harmless once it has been reaped."""
        self.control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def connect(self, worker: Worker) -> None:
        """Give the worker a socket to the spawner."""
        sock = self.client(worker.name)
        if sock is not None:
            worker.edge.post(frames.SpawnerEdge(), [sock.detach()])

    def settle(self, umask: int, namespace: str = "") -> None:
        """What scripts are started with from now on; the namespace is entered for good."""
        with contextlib.suppress(OSError):  # it has ended: its successor is told
            self.control.send(SETTLE + f"{umask:o} {namespace}".encode())

    def client(self, name: str) -> socket.socket | None:
        """A new socket to the spawner. None when it has ended: whoever wants one is connected to its successor."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            socket.send_fds(self.control, [name.encode()], [theirs.fileno()])
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        return ours


class Spawning:
    """Keeps a spawner running. `ended` hears how one ended, and says whether there is to be another."""

    def __init__(self, poller: Poller, ended: Callable[[str], bool]) -> None:
        self._poller = poller
        self._ended = ended
        self._backoff = Backoff()
        self._respawn: TimerHandle | None = None
        self._workers: Callable[[], list[Worker]] = list
        self._umask: int | None = None
        self.process: SpawnerProcess | None = None
        self.restarts = 0

    def settle(self, umask: int) -> None:
        """What scripts are started with. A successor of the spawner is in our network namespace from the start."""
        self._umask = umask
        if self.process is not None:
            self.process.settle(umask)

    def watch(self, process: SpawnerProcess, workers: Callable[[], list[Worker]]) -> None:
        """`workers` are those that run scripts."""
        self.process, self._workers = process, workers
        if self._umask is not None:
            process.settle(self._umask)
        self._poller.add_reader(process.fileno(), partial(self._gone, process))

    def connect(self, worker: Worker) -> None:
        if self.process is not None:
            self.process.connect(worker)

    def client(self) -> socket.socket | None:
        """A socket for the supervisor itself; None while there is no spawner."""
        return None if self.process is None else self.process.client("supervisor")

    def stop(self) -> None:
        """It ends what still runs, and itself; `ended` hears of it."""
        if self._respawn is not None:
            self._respawn.cancel()
        if self.process is not None:
            self.process.control.close()
            self._poller.call_later(_STOP_SECONDS, partial(self._kill, self.process))

    def _kill(self, process: SpawnerProcess) -> None:
        if self.process is process:
            process.kill()

    def _gone(self, process: SpawnerProcess) -> None:
        self._poller.remove_reader(process.fileno())
        code = process.reap()
        process.control.close()
        self.process = None
        if self._ended(exit_text(code)):
            delay = self._backoff.after(time.monotonic_ns() - process.started)
            self._respawn = self._poller.call_later(delay, self._start)

    def _start(self) -> None:
        self._respawn = None
        self.restarts += 1
        try:
            self.watch(self._launched(), self._workers)
            for worker in self._workers():
                self.connect(worker)
        except OSError:  # no process, no descriptor, no memory
            if self.process is None:
                self._respawn = self._poller.call_later(self._backoff.after(0), self._start)
            else:  # it runs, but not for all of them: another one follows
                self.process.kill()

    def _launched(self) -> SpawnerProcess:
        """One by exec: forked from this process, it would not be small. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            target = partial(_execute, theirs, os.getpid())
            return SpawnerProcess(fork_child(PROCESS, target, [theirs.fileno()], self._poller.after_fork), ours)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()


def _execute(control: socket.socket, parent: int) -> NoReturn:
    control.set_inheritable(True)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    module = "kactl_agent.runtime.spawner"
    arguments = [sys.executable, "-P", "-m", module, str(control.fileno()), str(parent)]
    os.execv(sys.executable, arguments)

"""An agent whose workers do nothing but say what happens to them: `python plain_agent.py CONFIG RUN_DIR`.

What a worker is to do stands in router_id: `bfd:exit3 checkers:refuse`. It may refuse settings, take `long` to look at
them, `hang` when it is to put them in force, or `linger` until it is killed when it is to stop.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from pathlib import Path

from kactl_agent.observe.log_sink import open_standard_descriptors
from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.loop import on_terminate, worker_loop
from kactl_agent.runtime.sdnotify import Notifier
from kactl_agent.runtime.spawner import launch
from kactl_agent.runtime.worker_shell import NO_CHANGES, Applied, WorkerShell
from kactl_agent.supervisor.loading import load
from kactl_agent.supervisor.log import Log
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.run_dir import RunDirectory
from kactl_agent.supervisor.spawning import SpawnerProcess
from kactl_agent.supervisor.supervisor import Supervisor
from kactl_agent.supervisor.worker_kinds import Run

_LONG_SECONDS = 4.0


class PlainWorker:
    """`kactl_agent.runtime.worker_shell.ShelteredWorker`"""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, start: AgentConfiguration, supervisor: Edge, observer: Edge
    ) -> None:
        self._loop = loop
        self._name = name
        self._shell = WorkerShell(name, loop, supervisor, observer, self)
        self._stopping = False
        self.code = 0
        self._configuration = start

    def begin(self) -> None:
        self._shell.log("info", f"{self._name} started with {self._orders(self._configuration)}")
        if "exit3" in self._orders(self._configuration):
            self._shell.log("error", f"agent.yaml:7:1: the {self._name} worker cannot run this")
            self.code = 3
            self.stop()
            return
        self._shell.started()

    def _orders(self, configuration: AgentConfiguration) -> list[str]:
        said = (word.split(":") for word in configuration.router_id.split())
        return [order for name, order in said if name == self._name]

    def prepare(self, new: AgentConfiguration) -> str:
        if "long" in self._orders(new):
            time.sleep(_LONG_SECONDS)
        return "told to" if "refuse" in self._orders(new) else ""

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        if "hang" in self._orders(new):
            signal.pause()
        self._configuration = new
        self._shell.log("info", f"{self._name} applied {self._orders(new)}")
        done(NO_CHANGES, ())

    def stop(self, order: frames.Stop | None = None) -> None:
        if not self._stopping:
            self._stopping = True
            self._shell.log("info", f"{self._name} stops")
            if "linger" not in self._orders(self._configuration):
                self._shell.finish()

    def observed(self) -> None:
        self._shell.log("info", f"{self._name} has a new observer")

    def connect_spawner(self, sock: socket.socket) -> None:
        self._shell.log("info", f"{self._name} has a spawner")
        sock.close()

    def peer_joined(self, name: str) -> None:
        peer = self._shell.peer(name)
        assert peer is not None
        peer.post_state("hello", frames.InstanceGone(self._name))

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None:
        assert isinstance(frame, frames.InstanceGone)
        self._shell.log("info", f"{self._name} hears {frame.instance}")

    def peer_lost(self, name: str) -> None:
        self._shell.log("info", f"{self._name} lost {name}")


def prepare(name: str, _options: Options, configuration: AgentConfiguration, _drains: object) -> Run:
    def run(supervisor: Edge, observer: Edge) -> int:
        with worker_loop() as loop:
            worker = PlainWorker(loop, name, configuration, supervisor, observer)
            on_terminate(loop, worker.stop)
            loop.call_soon(worker.begin)
            loop.run_forever()
        return worker.code

    return run


def main(config: str, directory: str) -> int:
    open_standard_descriptors()
    options = Options(config=Path(config), run_dir=Path(directory))
    spawner = SpawnerProcess(*launch())
    outcome = load(options)
    assert outcome.configuration is not None, outcome.report
    run_dir = RunDirectory(options.run_dir)
    run_dir.claim()
    supervisor = Supervisor(
        options, Log(options), Notifier(None), run_dir, outcome.configuration, spawner, outcome.text, prepare
    )
    try:
        return supervisor.run()
    finally:
        run_dir.release()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The agent and keepalived run the same keepalived.conf, in the same kind of node, one after the other."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.conversion import to_yaml
from support.netns import Node

_STOP_TIMEOUT = 20


@dataclass(frozen=True)
class Router:
    """One vrrp_instance of a configuration for both."""

    name: str
    virtual_router_id: int
    addresses: Sequence[str]
    interface: str = "eth0"
    priority: int = 100
    advert_int: str = "1"
    version: int = 2
    excluded: Sequence[str] = ()
    lines: Sequence[str] = ()


def configuration(routers: Sequence[Router], *global_lines: str) -> str:
    """A keepalived.conf."""
    parts = ["global_defs {\n  router_id bench\n" + "".join(f"  {line}\n" for line in global_lines) + "}\n"]
    for router in routers:
        body = [
            f"interface {router.interface}",
            f"virtual_router_id {router.virtual_router_id}",
            f"version {router.version}",
            f"priority {router.priority}",
            f"advert_int {router.advert_int}",
            *router.lines,
            "virtual_ipaddress {",
            *(f"  {address}" for address in router.addresses),
            "}",
        ]
        if router.excluded:
            body += ["virtual_ipaddress_excluded {", *(f"  {address}" for address in router.excluded), "}"]
        parts.append(f"vrrp_instance {router.name} {{\n" + "".join(f"  {line}\n" for line in body) + "}\n")
    return "\n".join(parts)


class Contender:
    """A running daemon in a node. `config` may be written anew before `reload`."""

    label = ""

    def __init__(self, node: Node, directory: Path, text: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.node = node
        self.directory = directory
        self.log_path = directory / "log"
        self.configure(text)
        self.started = time.time_ns()  # the process, its configuration written
        with self.log_path.open("a") as log:
            self.process = node.run(*self.command(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def configure(self, text: str) -> None:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def processes(self) -> list[int]:
        """The daemon and all its descendants."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Orderly, and waited for."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(_STOP_TIMEOUT)

    def kill(self) -> None:
        """As when the power fails: nobody of the daemon gets to say a word."""
        pids = self.processes()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.process.wait(_STOP_TIMEOUT)

    def close(self) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()


class Kactl(Contender):
    label = "kactl"

    def configure(self, text: str) -> None:
        (self.directory / "agent.yaml").write_text(to_yaml(text))

    def command(self) -> list[str]:
        folder = self.directory
        return [
            sys.executable, "-m", "kactl_agent",
            "--config", str(folder / "agent.yaml"), "--run-dir", str(folder / "run"),
        ]  # fmt: skip


class Keepalived(Contender):
    label = "keepalived"

    def configure(self, text: str) -> None:
        (self.directory / "keepalived.conf").write_text(text)

    def command(self) -> list[str]:
        folder = self.directory
        return [
            "keepalived", "--vrrp", "-n", "-l", "-f", str(folder / "keepalived.conf"),
            "-p", str(folder / "main.pid"), "-r", str(folder / "vrrp.pid"),
        ]  # fmt: skip


Kind = Callable[[Node, Path, str], Contender]
KINDS: tuple[type[Contender], ...] = (Kactl, Keepalived)


def available() -> list[type[Contender]]:
    """Those this machine has, the agent first."""
    return [kind for kind in KINDS if kind is Kactl or shutil.which("keepalived")]


@contextlib.contextmanager
def running(kind: type[Contender], node: Node, directory: Path, text: str) -> Iterator[Contender]:
    daemon = kind(node, directory, text)
    try:
        yield daemon
    finally:
        daemon.close()


def processor_time(pids: Sequence[int]) -> int:
    """ns that the processes have spent on a processor, in user and system mode."""
    total = 0
    for pid in pids:
        total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return total


def proportional_set_size(pids: Sequence[int]) -> int:
    """KiB of memory: a page shared by n processes counts an nth part for each of them."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total

"""Other implementations of BFD, each in a node of `support.netns`: BIRD, FRR's bfdd and keepalived."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.netns import Node, wait_for

_FRR = Path("/usr/lib/frr")
_STOP_SECONDS = 10


@dataclass(frozen=True)
class Neighbor:
    """A session of a peer. Intervals are milliseconds."""

    address: str
    local: str = ""
    interface: str = "eth0"
    multihop: bool = False
    min_tx: int = 50
    min_rx: int = 50
    multiplier: int = 3
    passive: bool = False
    auth: str = ""  # as BIRD calls it: "meticulous keyed sha1"
    keys: Sequence[tuple[int, str]] = ()  # the first one signs
    lines: Sequence[str] = ()


class Peer:
    """A running daemon."""

    def __init__(self, node: Node, directory: Path, neighbors: Sequence[Neighbor]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.node = node
        self.directory = directory
        self.neighbors = list(neighbors)
        self.processes: list[subprocess.Popen[str]] = []
        self.log_path = directory / "log"
        self.start()

    def start(self) -> None:
        raise NotImplementedError

    def states(self) -> dict[str, str]:
        """State of the sessions, by the neighbour's address: Up, Down, Init, AdminDown."""
        raise NotImplementedError

    def run(self, *command: str) -> subprocess.Popen[str]:
        with self.log_path.open("a") as log:
            process = self.node.run(*command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def pids(self) -> list[int]:
        """Of the daemons and all their descendants."""
        found, todo = [], [process.pid for process in self.processes]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def signal(self, number: int) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Nobody gets to say a word."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            self.signal(number)
        for process in self.processes:
            process.wait(_STOP_SECONDS)

    def close(self) -> None:
        if any(process.poll() is None for process in self.processes):
            self.signal(signal.SIGCONT)
            for process in self.processes:
                process.terminate()
            for process in self.processes:
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(_STOP_SECONDS)

    def wait_state(self, state: str, seconds: float, address: str = "") -> None:
        where = address or self.neighbors[0].address
        wait_for(lambda: self.states().get(where) == state, seconds, f"{state} in {self.states()}: {self.log[-2000:]}")


class Bird(Peer):
    """BIRD 2."""

    def configuration(self) -> str:
        lines = ["log stderr all;", f"router id {self.node.ipv4};", "protocol device {}", "protocol bfd {"]
        kinds = {"multihop" if n.multihop else f'interface "{n.interface}"': n for n in self.neighbors}
        for kind, neighbor in kinds.items():
            lines.append(f"  {kind} {{ {self._options(neighbor)} }};")
        for n in self.neighbors:
            local = f" local {n.local}" if n.local else ""
            way = f"{local} multihop yes" if n.multihop else f' dev "{n.interface}"{local}'
            lines.append(f"  neighbor {n.address}{way};")
        return "\n".join([*lines, "}"]) + "\n"

    @staticmethod
    def _options(neighbor: Neighbor) -> str:
        options = [
            f"min rx interval {neighbor.min_rx} ms",
            f"min tx interval {neighbor.min_tx} ms",
            "idle tx interval 1 s",
            f"multiplier {neighbor.multiplier}",
            f"passive {'yes' if neighbor.passive else 'no'}",
        ]
        if neighbor.auth:
            options.append(f"authentication {neighbor.auth}")
            options += [f'password "{text}" {{ id {number}; }}' for number, text in neighbor.keys]
        return "; ".join([*options, *neighbor.lines]) + ";"

    def start(self) -> None:
        config = self.directory / "bird.conf"
        config.write_text(self.configuration())
        self._control = self.directory / "bird.ctl"
        self.run("bird", "-f", "-c", str(config), "-s", str(self._control), "-P", str(self.directory / "pid"))

    def reconfigure(self, *neighbors: Neighbor) -> None:
        self.neighbors = list(neighbors)
        (self.directory / "bird.conf").write_text(self.configuration())
        self.ask("configure")

    def ask(self, command: str) -> str:
        done = subprocess.run(
            ["birdc", "-r" if command.startswith("show") else "-v", "-s", str(self._control), *command.split()],
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
        return done.stdout

    def states(self) -> dict[str, str]:
        found = {}
        for line in self.ask("show bfd sessions").splitlines():
            words = line.split()
            if len(words) >= 3 and re.fullmatch(r"[0-9a-f.:]+", words[0]):
                found[words[0]] = words[2]
        return found


class Frr(Peer):
    """FRR's bfdd, with the zebra that it needs."""

    def start(self) -> None:
        # the daemons give up root, so the folder is one that others may write to
        self._folder = Path(tempfile.mkdtemp(prefix="kactl-frr-", dir="/tmp"))
        self._folder.chmod(0o777)
        (self._folder / "zebra.conf").write_text("hostname zebra\n")
        (self._folder / "bfdd.conf").write_text(self.configuration())
        self._daemon("zebra")
        self._daemon("bfdd", "--bfdctl", str(self._folder / "bfdd.sock"))

    def _daemon(self, name: str, *options: str) -> None:
        folder = self._folder
        self.run(
            str(_FRR / name), "-f", str(folder / f"{name}.conf"), "-z", str(folder / "zserv"),
            "-i", str(folder / f"{name}.pid"), "--vty_socket", str(folder), "--log", "stdout", *options,
        )  # fmt: skip
        try:
            wait_for((folder / f"{name}.vty").exists, 20, f"{name} is up: {self.log}")
        except AssertionError:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def configuration(self) -> str:
        lines = ["bfd"]
        for n in self.neighbors:
            way = f"multihop local-address {n.local}" if n.multihop else f"interface {n.interface}"
            if n.local and not n.multihop:
                way = f"local-address {n.local} {way}"
            lines += [
                f" peer {n.address} {way}",
                f"  detect-multiplier {n.multiplier}",
                f"  receive-interval {n.min_rx}",
                f"  transmit-interval {n.min_tx}",
                *(["  passive-mode"] if n.passive else []),
                *(f"  {line}" for line in n.lines),
                "  no shutdown",
                " !",
            ]
        return "\n".join([*lines, "!"]) + "\n"

    def peers(self) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["vtysh", "--vty_socket", str(self._folder), "-d", "bfdd", "-c", "show bfd peers json"],
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
        try:
            found: list[dict[str, Any]] = json.loads(done.stdout)
        except ValueError:
            return []
        return found

    def states(self) -> dict[str, str]:
        words = {"up": "Up", "down": "Down", "init": "Init", "shutdown": "AdminDown"}
        return {peer["peer"]: words.get(peer["status"], peer["status"]) for peer in self.peers()}


class KeepalivedBfd(Peer):
    """keepalived, its bfd_instance b1, b2, ... for the neighbours, and whatever more a configuration says."""

    more = ""

    def configuration(self) -> str:
        parts = ["global_defs {\n  router_id peer\n}\n"]
        for number, n in enumerate(self.neighbors, 1):
            lines = [
                f"neighbor_ip {n.address}",
                *([f"source_ip {n.local}"] if n.local else []),
                f"min_rx {n.min_rx}",
                f"min_tx {n.min_tx}",
                f"multiplier {n.multiplier}",
                *(["passive"] if n.passive else []),
                *n.lines,
            ]
            parts.append(f"bfd_instance b{number} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n")
        return "".join(parts) + self.more

    def start(self) -> None:
        config = self.directory / "keepalived.conf"
        config.write_text(self.configuration())
        pids = [
            part for flag, name in zip("prcb", ("main", "vrrp", "check", "bfd"), strict=True)
            for part in (f"-{flag}", str(self.directory / name))
        ]  # fmt: skip
        self.run("keepalived", "-n", "-l", "-D", "-P", "-f", str(config), *pids)

    def states(self) -> dict[str, str]:
        """By the last that its log says of each session."""
        found = {n.address: "Down" for n in self.neighbors}
        for name, state in re.findall(r"\((\S+)\) Entering (\S+) state", self.log):
            number = int(name[1:]) - 1
            found[self.neighbors[number].address] = state
        return found


def require(what: str) -> None:
    """Skip where the other implementation is not installed."""
    path = str(_FRR / "bfdd") if what == "frr" else what
    if shutil.which(path) is None:
        pytest.skip(f"{what} is not installed")


@contextlib.contextmanager
def peers(*started: Peer) -> Iterator[None]:
    try:
        yield
    finally:
        for peer in started:
            peer.close()

"""The same scene under keepalived and under kactl, and all they tell others in it: scripts with their arguments, users
and environments, lines of FIFOs, mails.

A node alone on its network, so that everything that happens, the scene brings about.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.agents import START, Agent
from support.mail_sink import MailSink
from support.netns import Network, Node, inside, wait_for
from support.vrrp import advert, make_settings, packed

_RECORDER = """#!/usr/bin/python3 -ISE
import json, os, sys
with open("/proc/self/cmdline", "rb") as file:
    words = file.read()[:-1].split(b"\\0")
call = {
    "arguments": [word.decode() for word in words[words.index(sys.argv[0].encode()) + 1:]],
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
    "directory": os.getcwd(), "umask": os.umask(0), "leader": os.getpgrp() == os.getpid(),
    "streams": [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)],
    "environment": dict(os.environ),
}
with open(LOG, "a") as file:
    file.write(json.dumps(call) + "\\n")
"""
ENVIRONMENT = {"KACTL_TEST": "two words", "IFS": "x"}
"""Of the daemon; what scripts see of it is compared."""
_GROUP = "224.0.0.18"


class Scene:
    """One node with a recorder of calls, FIFOs with a reader, and a mail relay. Files are where any user may enter."""

    def __init__(self, net: Network, directory: Path, sink: MailSink) -> None:
        self.node: Node = net.nodes[0]
        self.net = net
        self.directory = directory
        self.sink = sink
        self.fifo = directory / "fifo"
        self.recorder = directory / "record"
        self._calls = directory / "calls"
        self._lines: list[str] = []
        self._reader: threading.Thread | None = None
        self._done = threading.Event()
        directory.chmod(0o755)
        self._calls.touch()
        self._calls.chmod(0o666)
        self.recorder.write_text(_RECORDER.replace("LOG", repr(str(self._calls))))
        self.recorder.chmod(0o755)
        for name in ("fault", "weight"):
            self.track(name, 0)

    def track(self, name: str, value: int) -> None:
        """The file that instances track: `fault` and `weight`."""
        new = self.directory / f".{name}"  # nobody finds it empty, whatever makes him look
        new.write_text(f"{value}\n")
        new.replace(self.directory / name)

    def hear(self, priority: int, virtual_router_id: int, address: str) -> None:
        """An advert of version 3 from another router."""
        source, settings = "198.51.100.2", make_settings(version=3, virtual_router_id=virtual_router_id)
        payload, _ = advert(priority, packed(source), settings=settings, addresses=(packed(address),))
        with inside(self.net.nodes[1].namespace):
            sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
        with sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
            sock.bind((source, 0))
            sock.sendto(payload, (_GROUP, 0))

    # -- what was told -------------------------------------------------------------------------------------------------

    @property
    def calls(self) -> list[dict[str, Any]]:
        whole = self._calls.read_text().rpartition("\n")[0]  # the last line may be being written
        return [json.loads(line) for line in whole.splitlines() if line]

    @property
    def arguments(self) -> list[tuple[str, ...]]:
        return [tuple(call["arguments"]) for call in self.calls]

    @property
    def lines(self) -> list[str]:
        return list(self._lines)

    def read_fifo(self) -> None:
        """From now on, again after every end, until the scene is over."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._done.is_set():
            try:
                descriptor = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
            except FileNotFoundError:
                time.sleep(0.01)
                continue
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                rest = b""
                while not self._done.is_set():
                    try:
                        data = os.read(file.fileno(), 4096)
                    except BlockingIOError:
                        time.sleep(0.005)
                        continue
                    if not data:
                        break
                    *whole, rest = (rest + data).split(b"\n")
                    self._lines += [line.decode() for line in whole]
            time.sleep(0.01)

    def wait_line(self, line: str, seconds: float = 20.0, count: int = 1) -> None:
        wait_for(lambda: self._lines.count(line) >= count, seconds, f"{line}; there is {self._lines}")

    def wait_calls(self, count: int, seconds: float = 20.0) -> None:
        wait_for(lambda: len(self.calls) >= count, seconds, f"{count} calls; there are {self.arguments}")

    def close(self) -> None:
        self._done.set()
        if self._reader is not None:
            self._reader.join(5)


class Keepalived:
    """The real one in the node of a scene."""

    name = "keepalived"

    def __init__(self, scene: Scene, text: str) -> None:
        self._conf = scene.directory / "keepalived.conf"
        self._conf.write_text(text)
        self._log = scene.directory / "keepalived.log"
        with self._log.open("w") as log:
            self.process = scene.node.run(
                "keepalived", "--vrrp", "-n", "-l", "-D", "-f", str(self._conf),
                "-p", str(scene.directory / "main.pid"), "-r", str(scene.directory / "vrrp.pid"),
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=scene.directory,
                env=os.environ | ENVIRONMENT,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text()

    def reload(self, text: str) -> None:
        self._conf.write_text(text)
        count = self.log.count("Reload complete")
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log.count("Reload complete") > count, START, "keepalived has reloaded")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


class Kactl:
    """Ours, with the same file, converted."""

    name = "kactl"

    def __init__(self, scene: Scene, text: str) -> None:
        self._directory = scene.directory / "agent"
        self._directory.mkdir()
        self._convert(text)
        configuration = {"include": [str(self._directory / "converted.yaml")]}
        with contextlib.chdir(scene.directory):
            self.agent = Agent(scene.node, self._directory, configuration, environment=ENVIRONMENT)
        self.process = self.agent.process

    def _convert(self, text: str) -> None:
        source = self._directory / "keepalived.conf"
        source.write_text(text)
        code = "from kactl.__main__ import main; import sys; sys.exit(main())"
        command = [sys.executable, "-c", code, "convert", str(source), "-o", str(self._directory / "converted.yaml")]
        subprocess.run(command, check=True, capture_output=True, timeout=START)

    @property
    def log(self) -> str:
        return self.agent.log

    def reload(self, text: str) -> None:
        self._convert(text)
        count = self.log.count("reload done")
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log.count("reload done") > count, START, f"kactl has reloaded: {self.log}")

    def stop(self) -> None:
        self.agent.stop()

    def close(self) -> None:
        self.agent.close()


Daemon = Keepalived | Kactl


@contextlib.contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    """A network, and nobody else on it but who speaks when told to."""
    directory.mkdir(parents=True)
    net = Network(2)
    try:
        with inside(net.nodes[0].namespace):
            sink = MailSink()
        try:
            made = Scene(net, directory, sink)
            try:
                yield made
            finally:
                made.close()
        finally:
            sink.close()
    finally:
        net.close()

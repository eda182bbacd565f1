"""The failover demo: one keepalived.conf, converted for two routers, run by two agents; the master dies and comes back.

Runs inside private network, mount and process namespaces (see tests/lanes/demo). Three network namespaces hang on a
bridge: lb1 and lb2 run agents, client pings the virtual address every 50 ms. On a terminal one screen shows who is
master; elsewhere plain lines do. `--svg FILE` records the closing screen.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kactl_agent.control.client import AgentNotReachable, ControlClient
from kactl_agent.control.protocol import ControlError

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
VIP = "192.0.2.10"
INSTANCE = "WEB"
PING_INTERVAL = 0.05
START, SOON = 60.0, 20.0  # seconds within which a busy machine starts the agents, and gets anything else done
STATE_STYLES = {"MASTER": "bold green", "BACKUP": "cyan", "FAULT": "bold red", "no power": "dim"}


def run(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Node:
    """A router: a network namespace, and the agent in it."""

    def __init__(self, name: str, address: str, config: Path, folder: Path) -> None:
        self.name = name
        self.address = address
        self.config = config
        self.run_dir = folder / f"run-{name}"
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.cursor = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", self.name, str(BIN / "kactl-agent")),
                    *("--config", str(self.config), "--run-dir", str(self.run_dir)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def cut_power(self) -> None:
        """Everything of the router stops at once: no priority-0 advert, no address removed, and its link is gone."""
        run("ip", "link", "set", f"sw-{self.name}", "down")
        for pid in run("ip", "netns", "pids", self.name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None

    def restore_power(self) -> None:
        """A machine that boots has no virtual address."""
        run("ip", "-n", self.name, "address", "flush", "dev", "eth0")
        run("ip", "-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "link", "set", f"sw-{self.name}", "up")
        self.start()

    def instance(self) -> dict[str, Any]:
        """What the agent says of the instance; state `no power` or `starting` when it does not answer."""
        if self.process is None:
            return {"state": "no power"}
        if self.process.poll() is not None:
            raise RuntimeError(f"the agent on {self.name} ended by itself:\n{self.log.read_text()[-2000:]}")
        try:
            with ControlClient(self.run_dir, timeout=1.0) as client:
                status = client.call("status")
        except (AgentNotReachable, ControlError):
            return {"state": "starting"}
        found = status["vrrp"]["instances"].get(INSTANCE)
        return found if found else {"state": "starting"}

    def holds_address(self) -> bool:
        return f" {VIP}/" in run("ip", "-n", self.name, "-o", "address", "show", "dev", "eth0", check=False)

    def transitions(self) -> list[dict[str, Any]]:
        """The journal's transitions, oldest first; empty when the agent is gone."""
        try:
            with ControlClient(self.run_dir, timeout=1.0) as client:
                events = client.call("events")["events"]
        except (AgentNotReachable, ControlError):
            return []
        return [e for e in events if e.get("type") == "transition" and e.get("instance") == INSTANCE]


class Client:
    """Pings the virtual address and keeps book of answers and gaps."""

    _LINE = re.compile(r"^\[([0-9.]+)\].*icmp_seq=(\d+).*time=")

    def __init__(self, folder: Path) -> None:
        self.log = folder / "ping.log"
        self._read_to = 0
        self.first = 0  # what was sent before the first answer is not lost: nobody held the address yet
        self.latest = 0
        self.answered = 0
        self.last_answer = 0.0
        self.gaps: list[tuple[float, float]] = []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", "client", "ping", "-D", "-n", "-i", str(PING_INTERVAL), VIP],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )

    def read(self) -> None:
        """Take in what ping has printed since last time. A gap is more than four intervals without an answer."""
        with self.log.open("rb") as log:
            log.seek(self._read_to)
            chunk = log.read()
        complete = chunk[: chunk.rfind(b"\n") + 1]
        self._read_to += len(complete)
        for line in complete.decode(errors="replace").splitlines():
            match = self._LINE.match(line)
            if match is None:
                continue
            at, sequence = float(match[1]), int(match[2])
            if self.last_answer and at - self.last_answer > 4 * PING_INTERVAL:
                self.gaps.append((self.last_answer, at))
            self.last_answer = at
            self.answered += 1
            self.first = self.first or sequence
            self.latest = max(self.latest, sequence)

    @property
    def sent(self) -> int:
        return self.latest - self.first + 1 if self.first else 0

    @property
    def lost(self) -> int:
        return max(0, self.sent - self.answered)

    @property
    def silent_for(self) -> float:
        return time.time() - self.last_answer if self.last_answer else 0.0


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@dataclass
class Story:
    """What happened, in order: wall time, who, what."""

    began: float = field(default_factory=time.time)
    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def tell(self, who: str, what: str, at: float | None = None) -> None:
        self.lines.append((time.time() if at is None else at, who, what))

    def collect(self, node: Node) -> None:
        """The node's transitions, with the cause its agent gives; to be asked for before it loses its memory."""
        for event in node.transitions():
            self.tell(node.name, f"{event['old']} -> {event['new']}: {event['detail']}", _seconds(event["time"]))


class Stage:
    """Shows the nodes: one live screen on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, nodes: list[Node], client: Client, story: Story) -> None:
        self.console = console
        self.nodes = nodes
        self.client = client
        self.story = story
        self.caption = ""
        self.keep_screens = False
        self.screens: list[Panel] = []
        self._said: dict[str, str] = {}
        self._live: Live | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        with Live(self.screen(), console=self.console, refresh_per_second=10, transient=True) as self._live:
            yield

    def screen(self) -> Panel:
        table = Table(expand=True, box=None, padding=(0, 2))
        for heading in ("router", "state", "priority", f"holds {VIP}", "master it sees"):
            table.add_column(heading)
        for node in self.nodes:
            seen = node.instance()
            state = seen["state"]
            priority = str(seen.get("priority", {}).get("effective", ""))
            holds = Text("yes", "bold green") if node.holds_address() else Text("no", "dim")
            table.add_row(
                node.name, Text(state, STATE_STYLES.get(state, "")), priority, holds, seen.get("master") or ""
            )
        return Panel(Group(table, Text(), self._client_line()), title=self.caption, border_style="blue")

    def _client_line(self) -> Text:
        self.client.read()
        line = Text(f"client: {self.client.answered} pings answered, {self.client.lost} lost   ")
        if self.client.silent_for > 4 * PING_INTERVAL:
            line.append(f"no answer for {self.client.silent_for:.1f} s", "bold red")
        elif self.client.last_answer:
            line.append("answered", "green")
        return line

    def refresh(self) -> None:
        if self._live is not None:
            self._live.update(self.screen())
            return
        self.client.read()
        for node in self.nodes:
            state = node.instance()["state"]
            if self._said.get(node.name) != state:
                self._said[node.name] = state
                self.console.print(f"{time.time() - self.story.began:6.2f} s  {node.name}: {state}")

    def watch(self, caption: str, until: Callable[[], bool], limit: float) -> None:
        """Show until the condition holds. Raises RuntimeError after `limit` seconds."""
        self.caption = caption
        if self._live is None:
            self.console.print(f"{time.time() - self.story.began:6.2f} s  {caption}")
        end = time.monotonic() + limit
        while not until():
            if time.monotonic() > end:
                raise RuntimeError(f"{caption}: did not happen within {limit:.0f} s")
            self.refresh()
            time.sleep(0.05)
        self.refresh()
        if self.keep_screens:
            self.screens.append(self.screen())


def build_network(nodes: list[Node]) -> None:
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "sw", "type", "bridge")
    run("ip", "link", "set", "sw", "up")
    for name, address in (*((n.name, n.address) for n in nodes), ("client", "192.0.2.100")):
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"sw-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", f"sw-{name}", "master", "sw", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")


def convert(console: Console, folder: Path) -> list[Path]:
    """One keepalived.conf becomes one agent.yaml for each router: the config id chooses its lines."""
    source = HERE / "keepalived.conf"
    console.rule("a keepalived.conf for both routers")
    console.print(source.read_text(encoding="utf-8"), markup=False, highlight=False, soft_wrap=True)
    results = []
    for name in ("lb1", "lb2"):
        target = folder / f"{name}.yaml"
        words = [str(BIN / "kactl"), "convert", str(source), "-o", str(target), "--id", name]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"kactl convert failed:\n{done.stderr}")
        results.append(target)
    console.rule("kactl convert keepalived.conf --id lb1")
    console.print(results[0].read_text(encoding="utf-8"), markup=False, highlight=False, soft_wrap=True)
    return results


def play(stage: Stage, story: Story, lb1: Node, lb2: Node) -> None:
    client = stage.client

    def state(node: Node, wanted: str) -> Callable[[], bool]:
        return lambda: node.instance()["state"] == wanted

    for node in (lb1, lb2):
        node.start()
    stage.watch("both agents start", lambda: state(lb1, "MASTER")() and state(lb2, "BACKUP")(), START)
    stage.watch("the client reaches the virtual address", lambda: client.answered > 20, SOON)
    story.collect(lb1)
    story.tell("demo", "lb1 loses its power: no goodbye, no cleaning up")
    gaps = len(client.gaps)
    lb1.cut_power()
    stage.watch("lb1 has lost its power", state(lb2, "MASTER"), SOON)
    stage.watch("lb2 carries the virtual address", lambda: len(client.gaps) > gaps, SOON)
    mark = client.answered
    stage.watch("the client goes on with lb2", lambda: client.answered > mark + 20, SOON)
    story.tell("demo", "lb1 has its power back")
    lb1.restore_power()
    stage.watch(
        "lb1 is back, with the higher priority", lambda: state(lb1, "MASTER")() and state(lb2, "BACKUP")(), START
    )
    mark = client.answered
    stage.watch("the client goes on with lb1", lambda: client.answered > mark + 20, SOON)


def closing(console: Console, story: Story, client: Client) -> None:
    """The timeline with causes, and what it meant for the client."""
    table = Table(title="what happened, and why", title_style="bold", box=None, padding=(0, 2))
    for heading in ("time", "who", "what"):
        table.add_column(heading)
    for at, who, what in sorted(story.lines):
        style = "bold" if who == "demo" else "green" if "-> MASTER" in what else ""
        table.add_row(f"{at - story.began:6.2f} s", who, Text(what, style))
    console.print()
    console.print(table)
    longest = max((end - start for start, end in client.gaps), default=0.0)
    console.print(
        f"\nfailover time the client saw: {longest:.2f} s ({client.lost} of {client.sent} pings lost)", style="bold"
    )
    console.print("VRRP allows 3 x 1 s + skew (256 - 100)/256 s = 3.61 s after the last advert of a master that dies\n")


def record(path: str, screens: list[Panel], story: Story, client: Client) -> None:
    """The screens that matter and the timeline, as a picture."""
    console = Console(record=True, file=io.StringIO(), width=112)
    for screen in (screens[1], screens[3], screens[-1]):
        console.print(screen)
    closing(console, story, client)
    console.save_svg(path, title="make demo")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--svg", help="record the closing screen as an SVG")
    arguments = parser.parse_args()
    console = Console()
    if os.getpid() > 2 and not os.environ.get("KACTL_DEMO_ANYWAY"):
        print("start this with `make demo`: it wants namespaces of its own", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="kactl-demo-") as name:
        folder = Path(name)
        configs = convert(console, folder)
        lb1 = Node("lb1", "192.0.2.1", configs[0], folder)
        lb2 = Node("lb2", "192.0.2.2", configs[1], folder)
        build_network([lb1, lb2])
        story = Story()
        client = Client(folder)
        stage = Stage(console, [lb1, lb2], client, story)
        stage.keep_screens = bool(arguments.svg)
        try:
            with stage.open():
                play(stage, story, lb1, lb2)
            for node in (lb1, lb2):
                story.collect(node)
            client.read()
            for start, end in client.gaps:
                story.tell("client", f"answered again after {end - start:.2f} s", end)
        finally:
            client.process.kill()
            for node in (lb1, lb2):
                if node.process is not None:
                    node.process.terminate()
            for node in (lb1, lb2):
                if node.process is not None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        node.process.wait(5)
        closing(console, story, client)
        if arguments.svg:
            record(arguments.svg, stage.screens, story, client)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; everything of the demo is gone", file=sys.stderr)
        sys.exit(130)
    except RuntimeError as trouble:
        print(f"demo: {trouble}", file=sys.stderr)
        sys.exit(1)

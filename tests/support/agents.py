"""Real agents in the nodes of `support.netns`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kactl_agent.control.client import AgentNotReachable, ControlClient
from support.netns import Node, wait_for

SLACK = 5.0  # seconds a loaded machine with two cores may add to what the protocol takes
START = 30.0  # seconds it may take to start an interpreter and read a configuration
VERSION2, VERSION3 = 2, 3


def skew(version: int, priority: int, interval: float = 1.0) -> float:
    """Skew_Time in seconds (RFC 3768 6.1, RFC 9568 6.1)."""
    return (256 - priority) / 256 * (1.0 if version == VERSION2 else interval)


def master_down(version: int, priority: int, interval: float = 1.0) -> float:
    """Master_Down_Interval in seconds."""
    return 3 * interval + skew(version, priority, interval)


def instance(name: str = "VI_1", **keywords: Any) -> dict[str, Any]:
    block = {"interface": "eth0", "virtual_router_id": 51, "priority": 100, "advert_int": 1} | keywords
    return {"vrrp_instance": {name: block}}


class Agent:
    """One kactl-agent process in a node."""

    def __init__(
        self,
        node: Node,
        directory: Path,
        configuration: dict[str, Any] | None,
        *options: str,
        environment: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> None:
        """Without a configuration its file stays as it is. `environment` is added to what the test itself has; `prefix`
        is a command that becomes the agent."""
        self.node = node
        self.run_dir = directory / "run"
        self.config = directory / "agent.yaml"
        self.log_path = directory / "agent.log"
        directory.mkdir(parents=True, exist_ok=True)
        if configuration is not None:
            self.configure(configuration)
        self._log_before = self.log_path.stat().st_size if self.log_path.exists() else 0
        command = (*prefix, *self.command_line(self.config, self.run_dir), "--log-detail", *options)
        with self.log_path.open("a") as log:
            environment = os.environ | (environment or {})
            self.process = node.run(*command, stderr=log, stdin=subprocess.DEVNULL, env=environment)

    @staticmethod
    def command_line(config: Path, run_dir: Path) -> tuple[str, ...]:
        return sys.executable, "-m", "kactl_agent", "--config", str(config), "--run-dir", str(run_dir)

    def configure(self, configuration: dict[str, Any]) -> None:
        """All of it at once: an agent that reads meanwhile does not find half of it, or nothing."""
        new = self.config.with_name(f".{self.config.name}.test")
        new.write_text(json.dumps(configuration))  # JSON is YAML
        new.replace(self.config)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def status(self) -> dict[str, Any] | None:
        try:
            with ControlClient(self.run_dir, timeout=5) as client:
                status: dict[str, Any] = client.call("status")
                return status
        except AgentNotReachable:
            return None

    def state(self, name: str = "VI_1") -> str:
        status = self.status()
        return status["vrrp"]["instances"].get(name, {}).get("state", "") if status else ""

    def pid_of(self, process: str) -> int:
        """Of a worker, 0 while it is not running."""
        status = self.status()
        return (status["agent"]["processes"].get(process, {}).get("pid") or 0) if status else 0

    def kill(self, process: str, number: int = signal.SIGKILL) -> int:
        """A signal for a worker that runs; its pid. (Pid 0 would be everybody here.)"""
        pid = self.pid_of(process)
        assert pid, f"no {process} worker; log:\n{self.log}"
        os.kill(pid, number)
        return pid

    @property
    def agent_pid(self) -> int:
        """Of the supervisor (`ip netns exec` becomes it)."""
        return self.process.pid

    def _log_of_this_one(self) -> str:
        """Without what an agent before it has left in the file, if that is still there."""
        data = self.log_path.read_bytes()
        return data[self._log_before if len(data) >= self._log_before else 0 :].decode(errors="replace")

    def wait_running(self) -> None:
        wait_for(
            lambda: "running: " in self._log_of_this_one() or self.process.poll() is not None, START, "the agent is up"
        )

    def wait_state(self, state: str, seconds: float, name: str = "VI_1") -> None:
        """Within `seconds` from now, or from when the agent is up."""
        self.wait_running()
        wait_for(lambda: self.state(name) == state, seconds, f"{name} in state {state}; log:\n{self.log}")

    def wait_follows(self, master: Agent, seconds: float, name: str = "VI_1") -> None:
        """It has heard its master: a BACKUP may be one that has not begun yet to take over for want of anybody."""
        self.wait_running()

        def follows() -> bool:
            status = self.status()
            found = status["vrrp"]["instances"].get(name, {}) if status else {}
            return (found.get("state"), found.get("master")) == ("BACKUP", master.node.ipv4)

        wait_for(follows, seconds, f"{name} follows {master.node.ipv4}; log:\n{self.log}")

    def settle_log(self, process: str = "vrrp") -> None:
        """All that the worker has said until now is in the log: so is what it is made to say behind it."""
        said = f" {process}: internal state: "
        before = self.log.count(said)
        self.process.send_signal(signal.SIGRTMAX)
        wait_for(lambda: self.log.count(said) > before, START, f"the {process} worker speaks; log:\n{self.log}")

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@contextlib.contextmanager
def agents(*started: Agent) -> Iterator[None]:
    try:
        yield
    finally:
        for agent in started:
            agent.close()


def wait_warm(agent: Agent) -> None:
    """What a reload needs is imported a second after the start, or after that in which no reload was under way."""

    def uptime() -> float:
        status = agent.status()
        return float(status["agent"]["uptime_s"]) if status else 0.0

    idle_from = uptime()
    wait_for(lambda: uptime() > max(5.0, idle_from + 3), START, "the agent is warm")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False

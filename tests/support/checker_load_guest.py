"""The CPU time that HTTP checks cost keepalived and kactl on the same real servers: a program for a kernel with IPVS.

Prints JSON: microseconds a check of each, and how many checks nginx has answered to each.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kactl_agent.control.client import AgentNotReachable, ControlClient
from support.check_servers import wait_for_port

REAL_SERVERS = 200  # each is checked once a second
SECONDS = 12.0
PORTS = range(20_000, 20_000 + REAL_SERVERS)
_TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Callable[[], int]]:
    """Gives how many requests were answered."""
    listens = "".join(f"listen 127.0.0.1:{port};" for port in PORTS)
    (folder / "nginx.conf").write_text(
        f"""user root; daemon off; worker_processes 1; pid {folder}/nginx.pid;
        events {{ worker_connections 1024; }}
        http {{ access_log off; server {{ {listens} location / {{ return 200 "hello"; }}
          location /count {{ stub_status; }} }} }}"""
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(PORTS[0])
            yield _answered
        finally:
            process.terminate()


def _answered() -> int:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{PORTS[0]}/count", timeout=30) as response:
        found = re.search(r"^ \d+ \d+ (\d+)", response.read().decode(), re.M)
    assert found
    return int(found[1])


def configuration() -> str:
    reals = "".join(
        f"real_server 127.0.0.1 {port} {{\n HTTP_GET {{\n url {{\n path /\n }}\n connect_timeout 3\n }}\n}}\n"
        for port in PORTS
    )
    return (
        "global_defs {\n router_id x\n}\nvirtual_server 10.9.0.1 80 {\n delay_loop 1\n warmup 1\n lb_algo rr\n"
        f" lb_kind NAT\n protocol TCP\n{reals}}}\n"
    )


def processor_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cost(pid: int, answered: Callable[[], int]) -> tuple[float, int]:
    """Microseconds a check, and how many there were."""
    time.sleep(4)  # the first round
    before, cpu = answered(), processor_seconds(pid)
    time.sleep(SECONDS)
    cpu, checks = processor_seconds(pid) - cpu, answered() - before - 1
    return 1e6 * cpu / max(1, checks), checks


def keepalived(folder: Path, answered: Callable[[], int]) -> tuple[float, int]:
    pid_file = folder / "checkers.pid"
    command = ["keepalived", "-n", "-C", "-f", str(folder / "keepalived.conf")]
    pids = ["-p", str(folder / "keepalived.pid"), "-c", str(pid_file)]
    with subprocess.Popen([*command, *pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while not (pid_file.exists() and pid_file.read_text().strip()):
                assert time.monotonic() < until
                time.sleep(0.1)
            return cost(int(pid_file.read_text()), answered)
        finally:
            process.terminate()


def kactl(folder: Path, answered: Callable[[], int]) -> tuple[float, int]:
    config = folder / "agent.yaml"
    convert = [sys.executable, "-m", "kactl", "convert", str(folder / "keepalived.conf"), "-o", str(config)]
    subprocess.run(convert, check=True, capture_output=True)
    command = [sys.executable, "-m", "kactl_agent", "--config", str(config), "--run-dir", str(folder / "run")]
    log = (folder / "agent.log").open("w")
    with log, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log) as process:
        try:
            return cost(_worker(folder, process), answered)
        finally:
            process.terminate()
            sys.stderr.write((folder / "agent.log").read_text()[-2000:])


def _worker(folder: Path, process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(AgentNotReachable), ControlClient(folder / "run", timeout=10) as client:
            pid = client.call("status")["agent"]["processes"].get("checkers", {}).get("pid")
            if pid:
                return int(pid)
        time.sleep(0.2)
    raise TimeoutError("no checkers worker")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, nginx(Path(name)) as answered:
        folder = Path(name)
        (folder / "keepalived.conf").write_text(configuration())
        theirs, checks = keepalived(folder, answered)
        ours, of_ours = kactl(folder, answered)
    json.dump({"theirs": theirs, "checks": checks, "ours": ours, "of_ours": of_ours}, sys.stdout)


if __name__ == "__main__":
    main()

"""Inside a kernel with IPVS: how long keepalived and the agent take with thousands of virtual servers.

As a program (`python ipvs_bench.py JOB RESULTS`, JSON) it measures both, one after the other. A job has configurations
as [keepalived.conf, agent YAML] in files: `empty`, `full`, `changed` (one weight), `large` (or none).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path("/run/kactl-bench")
_PATIENCE = 300.0
LONGEST = 120.0  # that a reload is waited for
_RESTS = 0.3  # of a processor: less than that is what runs by itself
LARGE_SERVERS, LARGE_REALS = 2284, 37298
_CLONE_NEWNET = 0x40000000
_IP_VS_SO_GET_INFO = 64 + 1024 + 64 + 1  # linux/ip_vs.h
_INFO = struct.Struct("=IiI")  # struct ip_vs_getinfo: version, size of the hash table, services
Job = dict[str, Any]


def configuration(servers: int, reals: int, weight: int = 1, more: int = 0) -> str:
    """A keepalived.conf. `weight` is that of the first real server; the first `more` virtual servers have a real server
    more. Checks come so late that none is made meanwhile."""
    blocks = []
    for number in range(servers):
        real = "".join(
            f" real_server 10.{100 + each}.{number >> 8}.{number & 255} 80 {{\n"
            f"  weight {1 if number or each else weight}\n"
            "  TCP_CHECK {\n   connect_timeout 3\n  }\n }\n"
            for each in range(reals + (number < more))
        )
        address = f"10.10.{number >> 8}.{number & 255}"
        head = f"virtual_server {address} 80 {{\n warmup 3600000\n lb_algo wrr\n lb_kind NAT\n"
        blocks.append(f"{head} protocol TCP\n{real}}}\n")
    return "".join(blocks)


def large() -> str:
    each, more = divmod(LARGE_REALS, LARGE_SERVERS)
    return configuration(LARGE_SERVERS, each, more=more)


def entries() -> int:
    """Services and destinations in the kernel."""
    return max(0, Path("/proc/thread-self/net/ip_vs").read_bytes().count(b"\n") - 3)


def services() -> int:
    """In the kernel, which says so at once: a look at all entries takes as long as making hundreds of them, and whoever
    is looked at longer would pay more of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as control:
        _version, _size, count = _INFO.unpack(control.getsockopt(socket.IPPROTO_IP, _IP_VS_SO_GET_INFO, _INFO.size))
    return int(count)


def _filled(servers: int, count: int) -> bool:
    """All of it; a few of tens of thousands may have been checked already, and be dead."""
    return services() >= servers and entries() >= count - count // 1000


def wait(condition: Callable[[], bool], pause: float = 0.05) -> float:
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > _PATIENCE:
            raise TimeoutError
        time.sleep(pause)
    return time.monotonic() - began


def proportional(pid: int) -> int:
    """KiB of a process and its children, each page shared out among those who have it."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(entry.name) == pid or int(status[1]) == pid:
                rollup = (entry / "smaps_rollup").read_text()
                total += int(rollup.split("Pss:")[1].split()[0])
        except (OSError, IndexError, ValueError):
            continue
    return total


def ticks(pid: int) -> int:
    """Of a process, its children, and all that those have waited for, on a processor."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(entry.name) == pid or int(status[1]) == pid:
            total += sum(map(int, status[11:15]))
    return total


def rest(pid: int) -> float:
    """Seconds until the processes have done what there was to do; then nothing happens for three. They may take longer
    than anybody waits."""
    began = busy = time.monotonic()
    before, since = ticks(pid), began
    while busy > time.monotonic() - 3 and busy - began < LONGEST:
        time.sleep(0.25)
        now, used = time.monotonic(), ticks(pid)
        if (used - before) / os.sysconf("SC_CLK_TCK") > _RESTS * (now - since):
            busy = now
        before, since = used, now
    return busy - began


class Contender:
    """A daemon with its configuration file."""

    def __init__(self, which: int, words: list[str], config: Path) -> None:
        self.which = which
        self._words = words
        self._config = config
        self._log = FOLDER / f"log{which}"

    def configure(self, texts: list[str]) -> None:
        """Reading it from the host's file system counts for nobody."""
        shutil.copy(texts[self.which], self._config)

    def start(self) -> subprocess.Popen[bytes]:
        output = self._log.open("wb")
        return subprocess.Popen(self._words, stdout=output, stderr=subprocess.STDOUT)


def enter_fresh_namespace() -> None:
    """With a table of its own: the kernel keeps deleted destinations for two minutes, and who comes later would search
    what the other one left."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(
        "ip link set lo up; ip link add d0 type dummy; ip link set d0 up; ip addr add 10.0.0.254/8 dev d0",
        shell=True,
        check=False,
    )


def _fill(contender: Contender, job: Job) -> tuple[subprocess.Popen[bytes], float]:
    """By a reload from an empty configuration: the daemon, and how long the reload took."""
    contender.configure(job["empty"])
    daemon = contender.start()
    wait(lambda: entries() == 2)
    time.sleep(3)
    contender.configure(job["full"])
    daemon.send_signal(signal.SIGHUP)
    return daemon, wait(lambda: _filled(job["servers"], job["entries"]), 0.02)


def measure(contender: Contender, job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {}
    enter_fresh_namespace()
    daemon, found["first_fill"] = _fill(contender, job)
    daemon.terminate()
    daemon.wait()
    enter_fresh_namespace()
    full, large = (job["servers"], job["entries"]), (job["large_servers"], job["large_entries"])
    contender.configure(job["full"])
    began = time.monotonic()
    daemon = contender.start()
    wait(lambda: _filled(*full))
    found["start"] = time.monotonic() - began
    daemon.terminate()
    daemon.wait()
    subprocess.run(["ipvsadm", "-C"], check=True)

    daemon, found["fill"] = _fill(contender, job)
    time.sleep(3)
    found["memory"] = proportional(daemon.pid)
    contender.configure(job["changed"])
    daemon.send_signal(signal.SIGHUP)
    address = job["address"]
    shows = ["ipvsadm", "-Ln", "-t", address]

    def changed() -> bool:
        said = subprocess.run(shows, capture_output=True, check=False).stdout
        return re.search(rb"Masq\s+7\s", said) is not None

    found["change"] = wait(changed)
    time.sleep(2)
    began = time.monotonic()
    daemon.terminate()
    daemon.wait()
    found["stop"], found["left"] = time.monotonic() - began, entries()
    if job["large"]:
        subprocess.run(["ipvsadm", "-C"], check=True)
        contender.configure(job["large"])
        daemon = contender.start()
        found["large_start"] = wait(lambda: _filled(*large), 0.2)
        rest(daemon.pid)
        began = time.monotonic()
        daemon.terminate()
        daemon.wait()
        found["large_stop"], found["large_left"] = time.monotonic() - began, entries()
        subprocess.run(["ipvsadm", "-C"], check=True)
        daemon = contender.start()
        wait(lambda: _filled(*large), 0.2)
        rest(daemon.pid)
        daemon.send_signal(signal.SIGHUP)
        found["large_again"] = rest(daemon.pid)
        daemon.terminate()
        daemon.wait()
    return found


def main(arguments: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    job = json.loads(Path(arguments[0]).read_text())
    conf, yaml = FOLDER / "keepalived.conf", FOLDER / "agent.yaml"
    pids = [f"--pid={FOLDER}/k.pid", f"--checkers_pid={FOLDER}/c.pid"]
    contenders = {
        "keepalived": Contender(0, ["keepalived", "-C", "-n", "-l", "-f", str(conf), *pids], conf),
        "agent": Contender(
            1,
            [
                sys.executable,
                "-m",
                "kactl_agent",
                "--only",
                "checkers",
                "--config",
                str(yaml),
                "--run-dir",
                str(FOLDER / "run"),
            ],
            yaml,
        ),
    }
    results = {}
    for name, contender in contenders.items():
        try:
            results[name] = measure(contender, job)
        except TimeoutError:
            print((FOLDER / f"log{contender.which}").read_text()[-3000:], file=sys.stderr)
            raise
    Path(arguments[1]).write_text(json.dumps(results))
    os.sync()


if __name__ == "__main__":
    main(sys.argv[1:])

"""A real server behind a BFD session: the session is lost, and the kernel balances to it no more.

As a program (`python bfd_check_guest.py RESULTS`) it runs in a kernel with IPVS: the machine's own, in a network
namespace, or that of User Mode Linux (support.uml).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kactl_agent.control.client import AgentNotReachable, ControlClient

FOLDER = Path("/run/kactl-bfd-check")
DIRECTOR, SERVER = "127.0.13.1", "127.0.13.2"
_PATIENCE = 60.0  # the kernel may be emulated
_SESSION = {"min_tx": 200, "min_rx": 200, "multiplier": 3}


def start(name: str, configuration: dict[str, Any]) -> subprocess.Popen[bytes]:
    folder = FOLDER / name
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text(json.dumps(configuration))
    command = [
        sys.executable,
        "-m",
        "kactl_agent",
        "--config",
        str(folder / "agent.yaml"),
        "--run-dir",
        str(folder / "run"),
    ]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(command, stderr=log)


def status(name: str) -> dict[str, Any]:
    try:
        with ControlClient(FOLDER / name / "run", timeout=10) as client:
            found: dict[str, Any] = client.call("status")
            return found
    except AgentNotReachable:
        return {}


def in_kernel() -> bool:
    """Whether the service has its real server, as the kernel says."""
    return any(
        line.lstrip().startswith("-> 7F000D02:0050") for line in Path("/proc/net/ip_vs").read_text().splitlines()
    )


def real_server() -> dict[str, Any]:
    found: dict[str, Any] = status("director")["ipvs"]["virtual_servers"][0]["real_servers"][0]
    return found


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text() for path in FOLDER.glob("*/log"))
            raise SystemExit(f"not within {_PATIENCE} s: {what}\n{logs}")
        time.sleep(0.05)


def main(results: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    check = {"BFD_CHECK": [{"name": "b1"}], "address": SERVER, "port": 80}
    service = {"address": "192.0.2.10", "port": 80, "protocol": "TCP", "lb_algo": "rr", "lb_kind": "NAT", "alpha": True}
    session = {"neighbor_ip": SERVER, "source_ip": DIRECTOR, "checker": True, **_SESSION}
    director = start(
        "director", {"bfd_instance": {"b1": session}, "virtual_server": [{**service, "real_server": [check]}]}
    )
    seen = []
    peer = start("peer", {"bfd_instance": {"b1": {"neighbor_ip": DIRECTOR, "source_ip": SERVER, **_SESSION}}})
    try:
        wait(in_kernel, "the session is up, and so is the real server")
        seen.append("up")
        stopped = status("peer")["agent"]["processes"]["bfd"]["pid"]
        os.kill(stopped, signal.SIGSTOP)
        wait(lambda: not in_kernel(), "the session is lost, and the real server out")
        seen.append("out")
        wait(lambda: not real_server()["alive"], "the status says so")
        check = real_server()["checkers"][0]
        seen.append(f"{check['type']} {check['up']}")
        os.kill(stopped, signal.SIGCONT)
        wait(in_kernel, "the session is up again")
        seen.append("up again")
    finally:
        for process in (director, peer):
            process.terminate()
            process.wait(30)
    Path(results).write_text(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])

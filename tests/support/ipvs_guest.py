"""Runs keepalived's checkers and the agent's, one after the other, and says what ipvsadm shows of each at every step.

As a program (`python ipvs_guest.py SCENARIOS RESULTS`, JSON) it runs in a kernel with IPVS: the machine's own, in a
network namespace, or that of User Mode Linux (support.uml). A step writes a file, gives the daemon another
configuration, or runs a command; what is shown is waited for, never slept for: keepalived's until it has taken in what
has happened and stays the same, the agent's until it is keepalived's.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path("/run/kactl-ipvs")
FIFO = FOLDER / "fifo"
FILES = 4  # track files f1, f2, ...
_STEADY = 0.7  # seconds without a change until keepalived's table counts
_START = 40.0
_PATIENCE = 20.0

Scenario = dict[str, Any]
Seen = dict[str, Any]


def shell(command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stdout


def rules() -> list[str]:
    """`ipvsadm -Sn`, in an order that does not depend on a hash."""
    return sorted(line.rstrip() for line in shell("ipvsadm -Sn").splitlines())


def listing() -> list[str]:
    """`ipvsadm -Ln --thresholds`, with the services in an order of their own."""
    blocks: list[list[str]] = []
    for line in shell("ipvsadm -Ln --thresholds").splitlines()[3:]:
        if line.startswith(" "):
            blocks[-1].append(" ".join(line.split()))
        else:
            blocks.append([" ".join(line.split())])
    return [line for block in sorted(blocks) for line in (block[0], *sorted(block[1:]))]


def shown() -> Seen:
    return {
        "rules": rules(),
        "listing": listing(),
        "daemons": sorted(shell("ipvsadm -l --daemon").splitlines()),
        "timeouts": shell("ipvsadm -l --timeout").strip(),
    }


class Lines:
    """What is written into the FIFO."""

    def __init__(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            FIFO.unlink()
        os.mkfifo(FIFO)
        self._descriptor = os.open(FIFO, os.O_RDWR | os.O_NONBLOCK)
        self._data = b""

    def take(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._descriptor, 65536):
                self._data += data
        lines, self._data = self._data.decode().splitlines(), b""
        return lines

    def close(self) -> None:
        os.close(self._descriptor)


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.03)
    return True


def steady() -> None:
    """Until what ipvsadm shows has stayed the same for a while."""
    last, since = rules(), time.monotonic()
    end = since + _PATIENCE
    while time.monotonic() - since < _STEADY and time.monotonic() < end:
        time.sleep(0.05)
        now = rules()
        if now != last:
            last, since = now, time.monotonic()


def write(name: str, value: str) -> None:
    path = FOLDER / name
    new = path.with_suffix(".new")
    new.write_text(f"{value}\n")
    os.utime(new, ns=(0, time.time_ns()))
    new.rename(path)


def was_read(name: str) -> bool:
    """Since it was written: the file system notes that, where the time noted before is older than what is in it."""
    return (FOLDER / name).stat().st_atime_ns > 0


def prepare(scenario: Scenario) -> None:
    for number in range(1, FILES + 1):
        write(f"f{number}", "0")
    for name, value in scenario.get("files", {}).items():
        write(name, value)
    shell("ipvsadm -C")
    for command in scenario.get("before", ()):
        shell(command)


def steps(scenario: Scenario, reload: Callable[[int], None]) -> Iterator[str]:
    for number, step in enumerate(scenario["steps"]):
        match step:
            case ["write", name, value]:
                write(name, value)
            case ["run", command]:
                shell(command)
            case ["reload", _text, _yaml]:
                reload(number)
        yield f"step {number + 1}: {' '.join(step[:3]) if step[0] != 'reload' else 'reload'}"


def keepalived(scenario: Scenario) -> dict[str, Any]:
    """What keepalived does: label -> what is shown then."""
    prepare(scenario)
    conf, log = FOLDER / "keepalived.conf", FOLDER / "keepalived.log"
    conf.write_text(scenario["conf"])
    lines, seen = Lines(), {}
    with log.open("w") as output:
        words = ["keepalived", "-C", "-n", "-l", "-D", "-f", str(conf), "-i", "lb1"]
        pids = [f"--pid={FOLDER}/k.pid", f"--checkers_pid={FOLDER}/c.pid"]
        with subprocess.Popen([*words, *pids], stdout=output, stderr=subprocess.STDOUT) as daemon:

            def reload(number: int) -> None:
                done = log.read_text().count("Reload complete")
                conf.write_text(scenario["steps"][number][1])
                daemon.send_signal(signal.SIGHUP)
                wait(lambda: log.read_text().count("Reload complete") > done, _START)

            wait(lambda: "Startup complete" in log.read_text() or daemon.poll() is not None, _START)
            first: list[str] = []

            def told() -> bool:
                first.extend(lines.take())
                return len(first) >= int(scenario.get("lines", 0))

            wait(told, _PATIENCE)
            steady()
            seen["start"] = {**shown(), "lines": [*first, *lines.take()]}
            for step, label in zip(scenario["steps"], steps(scenario, reload), strict=True):
                if step[0] == "write":
                    wait(functools.partial(was_read, step[1]), _PATIENCE)
                steady()
                seen[label] = {**shown(), "lines": lines.take()}
            daemon.terminate()
            daemon.wait()
    seen["stop"] = {**shown(), "lines": lines.take()}
    lines.close()
    return {"seen": seen, "log": log.read_text()[-4000:]}


def keepalived_anew(scenario: Scenario) -> dict[str, Any]:
    """What keepalived makes of each configuration when it starts with it: what a reload is to lead to as well."""
    alone = {**scenario, "steps": []}
    seen, log = {}, ""
    for number, text in enumerate([scenario["conf"], *(step[1] for step in scenario["steps"])]):
        peer = keepalived({**alone, "conf": text})
        seen["start" if not number else f"step {number}: reload"] = peer["seen"]["start"]
        seen["stop"], log = peer["seen"]["stop"], peer["log"]
    return {"seen": seen, "log": log}


def agent(scenario: Scenario, expected: dict[str, Seen]) -> dict[str, Any]:
    """What the agent does, once it is what keepalived did or will never be."""
    prepare(scenario)
    config, log = FOLDER / "agent.yaml", FOLDER / "agent.log"
    config.write_text(scenario["yaml"])
    lines, seen = Lines(), {}
    took: dict[str, float] = {}

    def settle(label: str) -> None:
        began = time.monotonic()
        wanted = expected[label]
        found: list[str] = []

        def as_expected() -> bool:
            found.extend(lines.take())
            now = shown()
            same = all(now[part] == wanted[part] for part in ("rules", "daemons", "timeouts"))
            return same and len(found) >= len(wanted["lines"])

        wait(as_expected, _PATIENCE if label != "start" else _START)
        took[label] = round(time.monotonic() - began, 2)
        seen[label] = {**shown(), "lines": [*found, *lines.take()]}

    run_dir = FOLDER / "run"
    words = [
        sys.executable,
        "-m",
        "kactl_agent",
        "--only",
        "checkers,bfd",
        "--config",
        str(config),
        "--run-dir",
        str(run_dir),
    ]
    with log.open("w") as output, subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT) as daemon:

        def reload(number: int) -> None:
            config.write_text(scenario["steps"][number][2])
            daemon.send_signal(signal.SIGHUP)

        settle("start")
        for label in steps(scenario, reload):
            settle(label)
        daemon.terminate()
        daemon.wait()
    settle("stop")
    lines.close()
    return {"seen": seen, "log": log.read_text()[-4000:], "took": took}


def main(arguments: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for command in (
        "ip link set lo up", "ip link add d0 type dummy", "ip link set d0 up", "ip addr add 10.0.0.254/24 dev d0",
        "ip -6 addr add fd00::fe/64 dev d0 nodad",
    ):  # fmt: skip
        shell(command)
    results = {}
    for scenario in json.loads(Path(arguments[0]).read_text()):
        peer = keepalived_anew(scenario) if scenario.get("anew") else keepalived(scenario)
        expected = peer["seen"]
        results[scenario["name"]] = {"keepalived": peer, "agent": agent(scenario, expected)}
        Path(arguments[1]).write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Thousands of virtual servers: to fill the kernel's table, to change one weight, to leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.config.load import load_file
from kactl_agent.config.resolve import resolve
from support import golden, ipvs_bench, keepalived_peer, uml
from support.figures import Figure, add

FULL = bool(os.environ.get("KACTL_FULL", "1"))
NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()
SERVERS, REALS = (2000, 4) if FULL else (100, 4)
LARGE = (2284, 16) if FULL else None

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed"),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


def address(number: int) -> str:
    """Of a virtual server."""
    return f"10.10.{number >> 8}.{number & 255}"


def configuration(servers: int, reals: int, weight: int = 1) -> str:
    """`weight` is that of the first real server. Checks come so late that none is made meanwhile."""
    blocks = []
    for number in range(servers):
        real = "".join(
            f" real_server 10.{100 + each}.{number >> 8}.{number & 255} 80 {{\n"
            f"  weight {1 if number or each else weight}\n"
            "  TCP_CHECK {\n   connect_timeout 3\n  }\n }\n"
            for each in range(reals)
        )
        head = f"virtual_server {address(number)} 80 {{\n warmup 3600000\n lb_algo wrr\n lb_kind NAT\n"
        blocks.append(f"{head} protocol TCP\n{real}}}\n")
    return "".join(blocks)


def files(folder: Path, name: str, text: str) -> list[str]:
    conf, yaml = folder / f"{name}.conf", folder / f"{name}.yaml"
    conf.write_text(text)
    done = golden.kactl("convert", str(conf), "--to", "yaml", "-o", str(yaml))
    assert done.status == 0, done.stderr
    return [str(conf), str(yaml)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    job, found = folder / "job.json", folder / "results.json"
    job.write_text(
        json.dumps(
            {
                "empty": files(folder, "empty", configuration(1, 1)),
                "full": files(folder, "full", configuration(SERVERS, REALS)),
                "changed": files(folder, "changed", configuration(SERVERS, REALS, weight=7)),
                "entries": SERVERS * (REALS + 1),
                "address": "10.10.0.0:80",
                "large": files(folder, "large", configuration(*LARGE)) if LARGE else None,
                "large_entries": LARGE[0] * (LARGE[1] + 1) if LARGE else 0,
            }
        )
    )
    command = [sys.executable, ipvs_bench.__file__, str(job), str(found)]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if NATIVE:
        done = subprocess.run(
            ["unshare", "-n", *command], capture_output=True, text=True, check=False, env={**os.environ, **environment}
        )
    else:
        done = uml.run(command, memory="1536M", timeout=1400, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    read: dict[str, Any] = json.loads(found.read_text())
    return read


@pytest.mark.parametrize(
    ("key", "what", "must", "aim"),
    [
        ("start", "start with {0} virtual servers x {1} real servers, imports included", "reported", ""),
        ("fill", "from an empty configuration to the table of {0} x {1}, by reload", "<= 1.0", "0.4"),
        ("change", "reload of it with one weight changed", "<= 1.5", "0.7"),
        ("stop", "stop of it, everything removed", "<= 1.0", "0.3"),
    ],
)
def test_times(results: dict[str, Any], key: str, what: str, must: str, aim: str) -> None:
    ours, theirs = results["agent"][key], results["keepalived"][key]
    add(Figure(what.format(SERVERS, REALS), "s", ours, theirs, must, aim))


def test_nothing_is_left(results: dict[str, Any]) -> None:
    ours, theirs = results["agent"]["left"], results["keepalived"]["left"]
    add(Figure("entries left behind by the stop", "", ours, theirs, "0"))
    assert ours == 0


def test_memory(results: dict[str, Any]) -> None:
    ours, theirs = results["agent"]["memory"] / 1024, results["keepalived"]["memory"] / 1024
    add(
        Figure(
            f"memory (PSS of all processes) with {SERVERS * REALS} real servers checked",
            "MiB",
            ours,
            theirs,
            "reported",
        )
    )


@pytest.mark.skipif(LARGE is None, reason="only in the full run")
def test_a_large_one_stops_completely(results: dict[str, Any]) -> None:
    assert LARGE is not None
    ours, theirs = results["agent"], results["keepalived"]
    what = f"{LARGE[0]} x {LARGE[1]}"
    add(Figure(f"start with {what}, imports included", "s", ours["large_start"], theirs["large_start"], "reported"))
    add(
        Figure(
            f"stop with {what}, everything removed", "s", ours["large_stop"], theirs["large_stop"], "complete", "5 s"
        )
    )
    add(Figure(f"entries left behind by the stop of {what}", "", ours["large_left"], theirs["large_left"], "0"))
    assert ours["large_left"] == 0


def test_parsing_and_planning(tmp_path: Path) -> None:
    """2,284 virtual servers with 37,298 real servers: what happens in a process of its own."""
    count, each = (2284, 16) if FULL else (100, 4)
    _conf, yaml = files(tmp_path, "large", configuration(count, each))

    def timed(step: Callable[[], Any]) -> tuple[float, Any]:
        began = time.perf_counter()
        value = step()
        return time.perf_counter() - began, value

    loading, document = timed(lambda: load_file(Path(yaml)))
    resolving, resolution = timed(lambda: resolve(document))
    assert len(resolution.settings.balancing.settings.virtual_servers) == count
    add(Figure(f"reading {count} x {each} from YAML, with its rules", "s", loading, None, "reported"))
    add(Figure(f"settings of {count} x {each}", "s", resolving, None, "reported"))

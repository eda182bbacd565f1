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

from kactl_agent.config.diff import plan
from kactl_agent.config.load import load_file
from kactl_agent.config.resolve import resolve
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.loading import load
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.planning import side_of
from support import golden, ipvs_bench, keepalived_peer, uml
from support.figures import Figure, add
from support.ipvs_bench import configuration, large

FULL = bool(os.environ.get("KACTL_FULL", "1"))
NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()
SERVERS, REALS = (2000, 4) if FULL else (100, 4)
LARGE, LARGE_REALS = ipvs_bench.LARGE_SERVERS, ipvs_bench.LARGE_REALS

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed"),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


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
                "servers": SERVERS,
                "entries": SERVERS * (REALS + 1),
                "address": "10.10.0.0:80",
                "large": files(folder, "large", large()) if FULL else None,
                "large_servers": LARGE,
                "large_entries": LARGE + LARGE_REALS,
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
        ("first_fill", "the same where no service has ever been deleted", "reported", ""),
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


@pytest.mark.skipif(not FULL, reason="only in the full run")
def test_a_large_one_stops_completely(results: dict[str, Any]) -> None:
    ours, theirs = results["agent"], results["keepalived"]
    what = f"{LARGE} virtual and {LARGE_REALS} real servers"
    for key, text, must, aim in (
        ("large_start", f"start with {what}, imports included", "reported", ""),
        (
            "large_again",
            f"reload of {what} that changes nothing, until all rest ({ipvs_bench.LONGEST:.0f} s at most)",
            "reported",
            "",
        ),
        ("large_stop", f"stop with {what}, everything removed", "complete", "5 s"),
    ):
        add(Figure(text, "s", ours[key], theirs[key], must, aim))
    add(Figure(f"entries left behind by the stop of {what}", "", ours["large_left"], theirs["large_left"], "0"))
    assert ours["large_left"] == 0


def test_parsing_and_planning(tmp_path: Path) -> None:
    """2,284 virtual servers with 37,298 real servers: what happens in a process of its own."""
    count = LARGE if FULL else 100
    _conf, yaml = files(tmp_path, "large", large() if FULL else configuration(count, 4))

    def timed(step: Callable[[], Any]) -> tuple[float, Any]:
        began = time.perf_counter()
        value = step()
        return time.perf_counter() - began, value

    loading, document = timed(lambda: load_file(Path(yaml)))
    resolving, resolution = timed(lambda: resolve(document))
    assert len(resolution.settings.balancing.settings.virtual_servers) == count
    whole = load(Options(config=Path(yaml))).configuration
    assert whole is not None
    nothing = AgentConfiguration(revision="", file="")
    planning, changes = timed(lambda: plan(side_of(nothing), side_of(whole)))
    assert len(changes) == count
    add(Figure(f"reading {count} virtual servers from YAML, with its rules", "s", loading, None, "reported"))
    add(Figure(f"settings of {count} virtual servers", "s", resolving, None, "reported"))
    add(Figure(f"plan of a reload that brings {count} virtual servers", "s", planning, None, "reported"))

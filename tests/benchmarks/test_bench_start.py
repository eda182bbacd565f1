"""How long the commands take to answer, process start included."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.figures import Figure, add, median

ROUNDS = 9
BIN = Path(sys.executable).parent


def milliseconds(*command: str) -> float:
    subprocess.run(command, check=True, capture_output=True)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append((time.perf_counter() - start) * 1000)
    return median(times)


@pytest.mark.parametrize(
    ("arguments", "must"),
    [
        (("kactl", "--version"), "< 100 ms"),
        (("kactl", "--help"), ""),
        (("kactl-agent", "--version"), ""),
    ],
    ids=" ".join,
)
def test_answer(arguments: tuple[str, ...], must: str) -> None:
    program, *options = arguments
    theirs = None
    if program == "kactl-agent" and shutil.which("keepalived"):
        theirs = milliseconds("keepalived", *options)
    ours = milliseconds(str(BIN / program), *options)
    add(Figure(" ".join(arguments), "ms", ours, theirs, must))
    assert ours < 5000, "a command that takes seconds to answer is broken"


def test_check_of_a_small_configuration(tmp_path: Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(
        "vrrp_instance: {VI_1: {interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]}}\n"
    )
    ours = milliseconds(str(BIN / "kactl-agent"), "--check", "--config", str(config))
    add(Figure("kactl-agent --check of a small file", "ms", ours))
    assert ours < 5000

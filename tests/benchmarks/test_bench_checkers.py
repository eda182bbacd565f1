"""What checks cost: a checkers worker over IPVS in memory, and HTTP checks beside keepalived, where there is IPVS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import checker_load, checker_load_guest, keepalived_peer, uml
from support.check_servers import unused_port, wait_for_port
from support.figures import Figure, add

PORTS = 8
NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]


def environment() -> dict[str, str]:
    tests = str(Path(checker_load.__file__).parents[1])
    return {"PYTHONPATH": os.pathsep.join([tests, *filter(None, sys.path)])}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Where an nginx answers."""
    folder = tmp_path_factory.mktemp("nginx")
    chosen = [unused_port() for _ in range(PORTS)]
    listens = "".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in chosen)
    (folder / "nginx.conf").write_text(
        f"""user root; daemon off; worker_processes 1; pid {folder}/nginx.pid;
        events {{ worker_connections 8192; }}
        http {{ access_log off; server {{ {listens} return 200 "hello"; }} }}"""
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as nginx:
        try:
            wait_for_port(chosen[0])
            yield [str(port) for port in chosen]
        finally:
            nginx.terminate()


def load(kind: str, count: int, between: float, seconds: float, ports: list[str]) -> dict[str, Any]:
    command = [sys.executable, checker_load.__file__, kind, str(count), str(between), str(seconds), *ports]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=200, env=os.environ | environment()
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def test_a_thousand_http_checks_a_second(ports: list[str]) -> None:
    figures = load("http", 1000, 1, 10, ports)
    add(Figure("1,000 HTTP checks a second: processor", "%", figures["percent"], None, "< 60 %", "30 %"))
    add(Figure("1,000 HTTP checks a second: a check", "us", figures["microseconds"]))
    assert figures["a_second"] > 900
    assert figures["failed"] == 0
    assert figures["percent"] < 90


def test_ten_thousand_tcp_checks_in_five_seconds(ports: list[str]) -> None:
    figures = load("tcp", 10_000, 5, 10, ports)
    add(Figure("10,000 TCP checks over 5 s: loop lag p99", "ms", figures["lag_p99"], None, "< 50 ms", "20 ms"))
    add(Figure("10,000 TCP checks over 5 s: longest loop lag", "ms", figures["lag_most"]))
    add(Figure("10,000 TCP checks over 5 s: processor", "%", figures["percent"]))
    assert figures["a_second"] > 1800
    assert figures["failed"] == 0


def test_memory_with_eight_thousand_real_servers(ports: list[str]) -> None:
    figures = load("http", 8_000, 20, 1, ports)
    add(Figure("8,000 real servers checked over HTTP: memory (PSS) of the worker", "MiB", figures["mebibytes"]))


@pytest.mark.keepalived
@pytest.mark.kernel_ipvs
@pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed")
@pytest.mark.skipif(not NATIVE and uml.why_not() is not None, reason=f"no IPVS, no User Mode Linux: {uml.why_not()}")
def test_two_hundred_http_checks_a_second_beside_keepalived() -> None:
    command = [sys.executable, checker_load_guest.__file__]
    if NATIVE:
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=os.environ | environment())
    else:
        done = uml.run(command, environment=environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    where = "" if NATIVE else " (User Mode Linux)"
    add(
        Figure(
            f"200 HTTP checks a second: processor a check{where}", "us", seen["ours"], seen["theirs"], "<= 1.5", "1.0"
        )
    )
    assert seen["of_ours"] > 0.8 * seen["checks"]

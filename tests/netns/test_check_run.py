"""kactl check-run against a real agent. Servers are checked where the kernel has no IPVS, too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import START, Agent, agents
from support.check_servers import Do, page, stream_server
from support.netns import Network, inside, network, wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


def kactl(agent: Agent, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kactl", words[0], "--run-dir", str(agent.run_dir), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=START, check=False)


def checkers(agent: Agent) -> list[dict[str, Any]]:
    status = agent.status()
    servers = status["ipvs"]["virtual_servers"] if status else []
    return [checker for server in servers for real in server["real_servers"] for checker in real["checkers"]]


def test_an_operator_sees_what_a_check_sees(net: Network, tmp_path: Path) -> None:
    """And the checks of the schedule go on beside it: their results stand in the status."""
    node = net.nodes[0]
    with inside(node.namespace), stream_server(Do.READ, page(b"all is well")) as server:
        real = {
            "address": "127.0.0.1",
            "port": server.port,
            "HTTP_GET": {"url": [{"path": "/healthz", "regex": "is well$"}], "virtualhost": "www.example.net"},
            "MISC_CHECK": {"misc_path": "/bin/false", "user": "root"},
        }
        virtual = {
            "address": "192.0.2.10", "port": 80, "protocol": "TCP", "delay_loop": 1, "warmup": 0, "lb_algo": "rr",
            "lb_kind": "NAT", "real_server": [real],
        }  # fmt: skip
        agent = Agent(node, tmp_path / "agent", {"virtual_server": [virtual]})
        with agents(agent):
            agent.wait_running()
            wait_for(lambda: len(checkers(agent)) == 2, START, f"the checkers are shown; log:\n{agent.log}")
            where = ("192.0.2.10:80", f"127.0.0.1:{server.port}")
            good = kactl(agent, "check-run", *where, "--checker", "http_get")
            everything = kactl(agent, "check-run", *where, "--output", "json")
            nobody = kactl(agent, "check-run", "192.0.2.10:80", "10.9.9.9")
            wait_for(
                lambda: [checker["up"] for checker in checkers(agent)] == [True, False],
                START,
                "the results of the schedule",
            )
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.startswith(f"real server 127.0.0.1:{server.port} of [192.0.2.10]:tcp:80\nHTTP_GET (")
    assert "GET /healthz HTTP/1.0" in good.stdout
    assert "Host: www.example.net" in good.stdout
    assert "all is well" in good.stdout
    assert "/healthz: status 200, 11 bytes" in good.stdout.splitlines()[-1]
    assert everything.returncode == 1
    answer = json.loads(everything.stdout)
    assert [(each["type"], each["success"]) for each in answer["checkers"]] == [
        ("HTTP_GET", True),
        ("MISC_CHECK", False),
    ]
    assert answer["checkers"][1]["detail"] == "exited with status 1"
    assert nobody.returncode == 1
    assert "there is no real server" in nobody.stderr

"""kactl-agent --print-capabilities: what a unit has to grant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALWAYS = {"CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"}
VRRP = {"vrrp_instance": {"A": {"interface": "eth0", "virtual_router_id": 1, "virtual_ipaddress": ["192.0.2.1"]}}}
SERVER = {
    "address": "192.0.2.10",
    "port": 80,
    "protocol": "TCP",
    "real_server": [{"address": "192.0.2.20", "port": 80}],
}
BALANCING = {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"}


def printed(tmp_path: Path, config: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "agent.yaml"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", "kactl_agent", "--config", str(file), "--print-capabilities", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("config", "beyond"),
    [
        ({"global_defs": {"router_id": "a"}}, set()),
        (VRRP, {"CAP_NET_ADMIN", "CAP_NET_RAW"}),
        (VRRP | {"global_defs": {"vrrp_rt_priority": 50}}, {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_NICE"}),
        (VRRP | {"global_defs": {"vrrp_no_swap": True}}, {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK"}),
        ({"virtual_server": [SERVER]}, BALANCING),  # whatever checks a reload brings: it restarts no worker
        ({"virtual_server": [SERVER], "net_namespace_ipvs": "red"}, BALANCING | {"CAP_SYS_ADMIN"}),
        (VRRP | {"net_namespace": "red"}, {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"}),
    ],
)
def test_what_a_configuration_needs_and_no_more(tmp_path: Path, config: dict[str, Any], beyond: set[str]) -> None:
    done = printed(tmp_path, config)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == ALWAYS | beyond


def test_the_command_line_counts(tmp_path: Path) -> None:
    assert "CAP_SYS_ADMIN" in printed(tmp_path, VRRP, "--namespace", "red").stdout


def test_an_invalid_configuration(tmp_path: Path) -> None:
    done = printed(tmp_path, {"vrrp_instance": {"A": {"priority": 300}}})
    assert (done.returncode, done.stdout) == (3, "")
    assert "error[" in done.stderr

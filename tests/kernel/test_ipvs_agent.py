"""The agent and the kernel's IPVS: the codec against ipvsadm, a killed worker, drift, namespaces, the sync daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import ipvs_agent_guest, keepalived_peer, uml

NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()

pytestmark = [
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(600),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    results = tmp_path_factory.mktemp("ipvs") / "results.json"
    command = [sys.executable, ipvs_agent_guest.__file__, str(results)]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if NATIVE:
        done = subprocess.run(
            ["unshare", "-n", *command], capture_output=True, text=True, check=False, env={**os.environ, **environment}
        )
    else:
        done = uml.run(command, timeout=550, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(Path(results).read_text())
    return {**found, "log": done.stdout}


def test_what_ipvsadm_made_is_read_and_made_again(seen: dict[str, Any]) -> None:
    codec = seen["codec"]
    assert codec["said"] == [""] * len(ipvs_agent_guest.COMMANDS)
    assert len(codec["before"]) == len(ipvs_agent_guest.COMMANDS)
    assert (codec["empty"], codec["refused"]) == ([], [])
    assert codec["after"] == codec["before"]
    assert codec["again"] == [17] * len(ipvs_agent_guest.COMMANDS)  # EEXIST
    assert codec["version"] == [1, 2, 1]


def test_daemons_and_timeouts_are_what_ipvsadm_shows(seen: dict[str, Any]) -> None:
    codec = seen["codec"]
    assert codec["daemons"][:2] == [
        "master sync daemon (mcast=d0, syncid=3, maxlen=1000, group=224.0.0.99, port=9999, ttl=7)",
        "backup sync daemon (mcast=d0, syncid=4, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)",
    ]
    assert codec["timeouts"] == "Timeout (tcp tcpfin udp): 100 120 50"


@pytest.mark.parametrize("case", ["killed_worker", "left_behind", "drift", "keep", "namespace", "sync_daemon"])
def test_case(seen: dict[str, Any], case: str) -> None:
    assert seen[case] == [], seen["log"]

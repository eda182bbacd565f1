"""What keepalived 2.2.7 and the agent make of the same configuration in the kernel, step by step: `ipvsadm -Sn` and
`-Ln` after the start, every failure, recovery and reload, and after the stop, and the lines of the FIFO.

The kernel is the running one where it has IPVS, else that of User Mode Linux, booted once for all scenarios.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import ipvs_guest, ipvs_scenarios, keepalived_peer, uml

FULL = bool(os.environ.get("KACTL_FULL"))
NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()
CHOSEN = ipvs_scenarios.SCENARIOS if FULL else ipvs_scenarios.SCENARIOS[::6]
CONFIGURATIONS = ipvs_scenarios.configurations() if FULL else ipvs_scenarios.configurations()[::6]

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(900),
    pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed"),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("ipvs")
    scenarios, found = folder / "scenarios.json", folder / "results.json"
    chain = ipvs_scenarios.chain(CONFIGURATIONS)
    scenarios.write_text(json.dumps([chain, *(ipvs_scenarios.prepared(each) for each in CHOSEN)]))
    command = [sys.executable, ipvs_guest.__file__, str(scenarios), str(found)]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if NATIVE:
        done = subprocess.run(
            ["unshare", "-n", *command], capture_output=True, text=True, check=False, env={**os.environ, **environment}
        )
    else:
        done = uml.run(command, timeout=850, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    read: dict[str, Any] = json.loads(Path(found).read_text())
    return read


@pytest.mark.parametrize("scenario", CHOSEN, ids=lambda scenario: scenario["name"])
def test_the_kernel_is_as_with_keepalived(scenario: dict[str, Any], results: dict[str, Any]) -> None:
    result = results[scenario["name"]]
    wanted, found = result["keepalived"]["seen"], result["agent"]["seen"]
    logs = f"keepalived:\n{result['keepalived']['log']}\nagent:\n{result['agent']['log']}"
    assert wanted["start"]["rules"], f"keepalived has made nothing of it\n{logs}"
    for label, expected in wanted.items():
        for part in ("rules", "listing", "daemons", "timeouts", "lines"):
            assert found[label][part] == expected[part], f"{label}: {part}\n{logs}"


@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)), ids=lambda n: "-".join(CONFIGURATIONS[n].parts[-2:]))
def test_a_reload_leads_to_what_keepalived_starts_with(number: int, results: dict[str, Any]) -> None:
    """The golden configurations and Debian's samples, one after the other by reload."""
    result = results["configurations"]
    label = f"step {number}: reload" if number else "start"
    expected, found = result["keepalived"]["seen"][label], result["agent"]["seen"][label]
    for part in ("rules", "listing"):
        assert found[part] == expected[part], f"{part}\n{result['agent']['log']}"

"""What keepalived 2.2.7 and the agent tell others about virtual and real servers: scripts, FIFO lines and mails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import keepalived_peer, server_events_guest, uml

NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(400),
    pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed"),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("events")
    source, converted, found = folder / "keepalived.conf", folder / "agent.yaml", folder / "results.json"
    source.write_text(server_events_guest.text())
    code = "from kactl.__main__ import main; import sys; sys.exit(main())"
    subprocess.run(
        [sys.executable, "-c", code, "convert", str(source), "-o", str(converted)], check=True, capture_output=True
    )
    command = [sys.executable, server_events_guest.__file__, str(converted), str(found)]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if NATIVE:
        done = subprocess.run(
            ["unshare", "-n", *command], capture_output=True, text=True, check=False, env={**os.environ, **environment}
        )
    else:
        done = uml.run(command, timeout=350, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    read: dict[str, Any] = json.loads(Path(found).read_text())
    return read


@pytest.mark.parametrize("part", ["lines", "calls", "mails"])
def test_what_is_told_about_servers_is_equal(part: str, results: dict[str, Any]) -> None:
    theirs, ours = results["keepalived"], results["kactl"]
    assert len(theirs[part]) >= 7, theirs["log"]
    assert ours[part] == theirs[part], f"keepalived:\n{theirs['log']}\nkactl:\n{ours['log']}"

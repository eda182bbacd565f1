"""BFD_CHECK takes a real server out of the kernel's service, and puts it back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import bfd_check_guest, keepalived_peer, uml

NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()

pytestmark = [
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(300),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


def test_a_lost_session_takes_its_real_server_out(tmp_path: Path) -> None:
    found = tmp_path / "results.json"
    command = [sys.executable, bfd_check_guest.__file__, str(found)]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if NATIVE:
        done = subprocess.run(
            ["unshare", "-n", *command], capture_output=True, text=True, check=False, env={**os.environ, **environment}
        )
    else:
        done = uml.run(command, timeout=250, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(found.read_text()) == ["up", "out", "BFD_CHECK False", "up again"]

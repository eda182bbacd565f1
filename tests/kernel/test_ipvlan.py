"""The tests of ipvlans in a kernel that has them: the running one runs them in the netns lane, else this does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support import uml


def _has_ipvlan() -> bool:
    script = "ip link add d type dummy && ip link add i link d type ipvlan || ip link add i link lo type ipvlan"
    return subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, check=False).returncode == 0


@pytest.mark.timeout(400)
@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
@pytest.mark.skipif(_has_ipvlan(), reason="the running kernel has ipvlan: the netns lane tests it")
@pytest.mark.skipif(uml.why_not() is not None, reason=f"no User Mode Linux: {uml.why_not()}")
def test_ipvlan_inside_user_mode_linux() -> None:
    path = "tests/netns/test_ipvlan.py::test_master_on_an_ipvlan"
    done = uml.run([sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", path], timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout, done.stdout

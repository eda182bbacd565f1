"""The tests of ipvlans, and of VMACs in a VRF, in a kernel that has both: the running one runs them in the netns lane,
else this does."""

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
def test_inside_user_mode_linux() -> None:
    paths = [
        "tests/netns/test_ipvlan.py::test_master_on_an_ipvlan",
        "tests/netns/test_vmac.py::test_the_parents_vrf_is_the_vmacs",
        "tests/netns/test_bfd.py::test_sessions_in_a_vrf",
    ]
    done = uml.run([sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *paths], timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout, done.stdout

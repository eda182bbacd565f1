"""The clock of a machine is set only where the machine is ours: in User Mode Linux."""

from __future__ import annotations

import sys

import pytest

from support import uml


@pytest.mark.timeout(400)
@pytest.mark.skipif(uml.why_not() is not None, reason=f"no User Mode Linux: {uml.why_not()}")
def test_inside_user_mode_linux() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/netns/test_clock_steps.py"]
    done = uml.run(command, timeout=300, environment={"KACTL_OWN_CLOCK": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout, done.stdout

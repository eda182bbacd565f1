"""Processes that outlive their test are found, and no others."""

from __future__ import annotations

import os
import subprocess
import time
import uuid

import pytest

from support.leftovers import VARIABLE, end, leftovers


@pytest.fixture
def module() -> str:
    return uuid.uuid4().hex


def test_what_still_runs_is_found_and_ended(module: str) -> None:
    environment = os.environ | {VARIABLE: f"{module} a_test"}
    with subprocess.Popen(["sleep", "60"], env=environment) as ours, subprocess.Popen(["sleep", "60"]) as another:
        deadline = time.monotonic() + 20
        while not leftovers(module) and time.monotonic() < deadline:  # until it is `sleep`
            time.sleep(0.01)
        found = leftovers(module)
        assert list(found) == [ours.pid]
        assert f"of {module} a_test" in found[ours.pid]
        end(found)
        assert ours.wait(20) == -9
        assert leftovers(module) == {}
        assert another.poll() is None
        another.kill()


def test_what_has_ended_and_was_not_waited_for_is_none(module: str) -> None:
    with subprocess.Popen(["true"], env=os.environ | {VARIABLE: module}) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert leftovers(module) == {}

"""Hypothesis profiles: a gate that gives the same examples every time, and a hunt for new ones in the full lanes.

A shell has SIGINT ignored in what it runs in the background, and that is inherited: tests that interrupt a process want
it as it is in the foreground.

No process may outlive the module of the test that started it: an agent that does is a MASTER nobody knows of.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from support.leftovers import VARIABLE, end, leftovers

# A loaded machine is no fault of what is tested.
settings.register_profile(
    "gate", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("hunt", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hunt" if os.environ.get("KACTL_FULL") else "gate")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ENDING_SECONDS = 20.0  # what is hung up on may wait for its scripts and mails


@pytest.fixture(scope="module", autouse=True)
def _nothing_stays() -> Iterator[str]:
    module = uuid.uuid4().hex
    yield module
    deadline = time.monotonic() + ENDING_SECONDS
    while (left := leftovers(module)) and time.monotonic() < deadline:
        time.sleep(0.1)
    end(left)
    assert not left, "still running:\n" + "\n".join(f"{pid}: {said}" for pid, said in left.items())


@pytest.fixture(autouse=True)
def _named(_nothing_stays: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{_nothing_stays} {request.node.nodeid}")

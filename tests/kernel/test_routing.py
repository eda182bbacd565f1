"""Routes that need more than the running kernel may have: MPLS and ILA encapsulation, and VRFs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from support import routing_guest, uml

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(uml.why_not() is not None, reason=f"no User Mode Linux: {uml.why_not()}"),
]


@pytest.fixture(scope="module")
def guest() -> dict[str, Any]:
    """What the guest says of every case."""
    program = Path(routing_guest.__file__)
    path = os.pathsep.join([str(program.parents[1]), *filter(None, sys.path)])
    done = uml.run([sys.executable, str(program)], environment={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_guest_is_prepared(guest: dict[str, Any]) -> None:
    assert guest["setup"] == []


@pytest.mark.parametrize("words", routing_guest.CASES)
def test_a_route_is_what_iproute2_makes_of_its_words(guest: dict[str, Any], words: str) -> None:
    assert guest[words] == []

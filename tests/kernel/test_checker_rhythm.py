"""Checks come when those of keepalived 2.2.7 come: intervals, retries, passes over urls, fast recovery."""

from __future__ import annotations

import os

import pytest

from support import keepalived_peer, uml
from support.checker_rhythm import (
    RHYTHMS,
    SECONDS,
    SLACK,
    gaps,
    keepalived_in_uml,
    observe_keepalived,
    settings_of_all,
    simulate,
)

NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(300),
    pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed"),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


def difference(name: str, times: list[float]) -> str:
    """What is wrong about the times of keepalived's checks, empty when ours would have come then, too."""
    rhythm = RHYTHMS[name]
    seen = times[: rhythm.until]
    ours, _changes = simulate(rhythm, settings_of_all()[name], SECONDS)
    expected = gaps(ours)[: len(seen) - 1]
    if len(seen) < min(4, rhythm.until):
        return f"keepalived has hardly checked: {seen}"
    if len(expected) < len(seen) - 2:
        return f"keepalived checks more often: {seen}, not {ours}"
    if gaps(seen)[: len(expected)] != pytest.approx(expected, abs=SLACK):
        return f"keepalived checks at {seen}, kactl at {ours}"
    return ""


@pytest.fixture(scope="module")
def differences() -> dict[str, str]:
    """Of what does not agree a second look is taken: a guest on a busy machine is late."""

    def observed() -> dict[str, str]:
        times = observe_keepalived() if NATIVE else keepalived_in_uml()
        return {name: difference(name, times[name]) for name in RHYTHMS}

    first = observed()
    if not any(first.values()):
        return first
    second = observed()
    return {name: first[name] and second[name] for name in RHYTHMS}


@pytest.mark.parametrize("name", RHYTHMS)
def test_same_rhythm(name: str, differences: dict[str, str]) -> None:
    assert differences[name] == ""

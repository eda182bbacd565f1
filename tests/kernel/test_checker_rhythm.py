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


@pytest.fixture(scope="module")
def theirs() -> dict[str, list[float]]:
    return observe_keepalived() if NATIVE else keepalived_in_uml()


@pytest.mark.parametrize("name", RHYTHMS)
def test_same_rhythm(name: str, theirs: dict[str, list[float]]) -> None:
    rhythm, seen = RHYTHMS[name], theirs[name][: RHYTHMS[name].until]
    ours, _changes = simulate(rhythm, settings_of_all()[name], SECONDS)
    assert len(seen) >= min(4, rhythm.until), "keepalived has hardly checked"
    expected = gaps(ours)[: len(seen) - 1]
    assert len(expected) >= len(seen) - 1 - 1, f"keepalived checks more often: {seen}, not {ours}"
    assert [round(gap, 1) for gap in expected] == pytest.approx(gaps(seen)[: len(expected)], abs=SLACK)

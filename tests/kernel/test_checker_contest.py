"""Checks of keepalived 2.2.7 and of kactl against the same servers: the same requests, byte for byte, and the same
verdicts, but for the differences that each case gives a reason for."""

from __future__ import annotations

import os
import shutil

import pytest

from support import keepalived_peer, uml
from support.checker_contest import CASES, Seen, keepalived_in_uml, observe_kactl, observe_keepalived

NATIVE = os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(400),
    pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


def agree(name: str, theirs: Seen, ours: Seen) -> bool:
    return (theirs.up == ours.up) is not bool(CASES[name].differs)


@pytest.fixture(scope="module")
def ours() -> dict[str, tuple[Seen, str]]:
    return observe_kactl(CASES)


@pytest.fixture(scope="module")
def theirs(ours: dict[str, tuple[Seen, str]]) -> dict[str, Seen]:
    """What comes out otherwise than expected is looked at a second time, among few: a slow guest times out."""

    def observed(names: list[str]) -> dict[str, Seen]:
        return observe_keepalived({name: CASES[name] for name in names}) if NATIVE else keepalived_in_uml(names)

    found = observed(list(CASES))
    doubtful = [name for name in CASES if not agree(name, found[name], ours[name][0])]
    return found | (observed(doubtful) if doubtful else {})


@pytest.mark.parametrize("name", CASES)
def test_same_verdict(name: str, theirs: dict[str, Seen], ours: dict[str, tuple[Seen, str]]) -> None:
    seen, detail = ours[name]
    assert agree(name, theirs[name], seen), f"keepalived: {theirs[name].up}, kactl: {seen.up}: {detail}"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.differs])
def test_same_requests(name: str, theirs: dict[str, Seen], ours: dict[str, tuple[Seen, str]]) -> None:
    seen, _ = ours[name]
    assert seen.requests == theirs[name].requests
    assert seen.names == theirs[name].names

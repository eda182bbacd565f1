"""Virtual servers, checkers and the sync daemon mean the same to keepalived after a conversion there and back.

The daemon runs with all its processes, so the kernel must have IPVS: the running one, or one of User Mode Linux, which
is booted once for all the configurations.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import golden, keepalived_peer, uml
from support.same_meaning import Comparison, Pair, compare

FULL = bool(os.environ.get("KACTL_FULL"))
NATIVE = keepalived_peer.why_not() is None and keepalived_peer.kernel_has_ipvs()
MISSING = None if NATIVE else uml.why_not()
SAMPLES = Path("/usr/share/doc/keepalived/samples")
NEEDS_IPVS = ("virtual_server", "lvs_sync_daemon")
NEVER_STARTS = {"ssl"}
"""Cases whose daemon stops at once, for want of the certificate they name: only `-t` can be compared."""

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.kernel_ipvs,
    pytest.mark.timeout(900),
    pytest.mark.skipif(keepalived_peer.keepalived_path() is None, reason="keepalived is not installed"),
    pytest.mark.skipif(MISSING is not None, reason=f"no IPVS in this kernel, and no User Mode Linux: {MISSING}"),
]


def _configurations() -> list[Path]:
    cases = [c / "keepalived.conf" for c in golden.cases("convert") if not c.name.endswith(golden.SINCE_2_4)]
    found = [conf for conf in [*cases, *sorted(SAMPLES.glob("keepalived.conf.*[!z]"))] if _needs_ipvs(conf)]
    return found if FULL else found[::4]


def _needs_ipvs(conf: Path) -> bool:
    return any(word in conf.read_text(errors="replace") for word in NEEDS_IPVS)


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Comparison]:
    folder = tmp_path_factory.mktemp("regenerated")
    pairs = []
    for number, conf in enumerate(_configurations()):
        golden.there_and_back(conf, folder / f"{number}.conf")
        pairs.append(Pair(conf, folder / f"{number}.conf", golden.CONFIG_ID))
    seen = compare(pairs, inside_uml=not NATIVE, timeout=850)
    return dict(zip((pair.first for pair in pairs), seen, strict=True))


@pytest.mark.parametrize("conf", _configurations(), ids=lambda conf: f"{conf.parent.name}-{conf.name}")
def test_configuration_with_ipvs_means_the_same(conf: Path, comparisons: dict[Path, Comparison]) -> None:
    comparison = comparisons[conf]
    assert comparison.difference is None, str(comparison.difference)
    assert comparison.dumped or conf.parent.name in NEVER_STARTS, comparison.first.log

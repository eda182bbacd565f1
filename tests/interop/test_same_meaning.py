"""keepalived.conf -> YAML -> keepalived.conf means the same to the real keepalived.

Over the packaged samples and every golden configuration, by `keepalived -t` and by the state dumps of the running
daemon. Where the kernel has no IPVS the checker process cannot run: then it is left out here (-P), and tests/kernel
does the rest. A few cases, one for each mechanism, run in the quick lane; KACTL_FULL=1 runs them all.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import golden, keepalived_peer
from support.same_meaning import Comparison, Pair, compare

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.root,
    pytest.mark.skipif(keepalived_peer.why_not() is not None, reason=str(keepalived_peer.why_not())),
]

FULL = bool(os.environ.get("KACTL_FULL"))
SAMPLES = Path("/usr/share/doc/keepalived/samples")
QUICK = {
    "addresses",
    "bfd",
    "comments-everywhere",
    "global-defs",
    "global-defs-deprecated",
    "includes",
    "preprocessor",
    "static-items",
    "trackers",
    "virtual-routes-words",
    "virtual-rules-words",
    "check-auth-pass-of-11-characters",
    "check-unknown-keyword",
    "quirk-5-escaped-comment-character",
}
NEED_IPVS = {"lvs-sync-daemon", "lvs-sync-daemon-old-form", "vrrp-sync-daemon-deprecated"}
NEVER_STARTS = {
    "check-interface-lo",  # refused
    "check-missing-interface",
    "check-no-vip",
    "vrrp-sync-group",  # 2.2.7 crashes when it is asked for the state of a group with a track_file
} | (set() if keepalived_peer.kernel_has_ipvs() else NEED_IPVS)
"""Cases whose daemon stops at once: only what -t says of them is compared."""
OPTIONS = () if keepalived_peer.kernel_has_ipvs() else ("-P",)


def _golden_cases() -> list[Path]:
    """The cases that 2.2.7 understands."""
    known = [c for c in golden.cases("convert") if not c.name.endswith(golden.SINCE_2_4)]
    return [c for c in known if FULL or c.name in QUICK]


def _samples() -> list[Path]:
    return sorted(SAMPLES.glob("keepalived.conf.*[!z]"))


def _compared(conf: Path, tmp_path: Path) -> Comparison:
    regenerated = tmp_path / "regenerated.conf"
    golden.there_and_back(conf, regenerated)
    (comparison,) = compare([Pair(conf, regenerated, golden.CONFIG_ID, OPTIONS)])
    return comparison


@pytest.mark.parametrize("conf", _samples(), ids=lambda conf: conf.name)
def test_packaged_sample_means_the_same(conf: Path, tmp_path: Path) -> None:
    comparison = _compared(conf, tmp_path)
    assert comparison.difference is None, str(comparison.difference)


@pytest.mark.parametrize("case", _golden_cases(), ids=lambda case: case.name)
def test_golden_configuration_means_the_same(case: Path, tmp_path: Path) -> None:
    comparison = _compared(case / "keepalived.conf", tmp_path)
    assert comparison.difference is None, str(comparison.difference)
    assert comparison.dumped or case.name in NEVER_STARTS, comparison.first.log


def test_most_samples_are_compared_by_their_dumps(tmp_path: Path) -> None:
    """The comparison of dumps is not silently left out: only what needs IPVS to start at all may be without."""
    pairs = [Pair(conf, conf, golden.CONFIG_ID, OPTIONS) for conf in _samples()]
    silent = [pair.first.name for pair, seen in zip(pairs, compare(pairs), strict=True) if not seen.dumped]
    assert set(silent) <= {"keepalived.conf.vrrp.lvs_syncd"}


_BASE = """
vrrp_script chk {
    script /bin/true
}
vrrp_instance VI {
    interface eth0
    virtual_router_id 51
    priority 150
    virtual_ipaddress {
        192.0.2.1/24
    }
    track_script {
        chk weight 10
    }
}
"""


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("priority 150", "priority 151", "Priority = 151"),
        ("192.0.2.1/24", "192.0.2.1/25", "192.0.2.1/25"),
        ("weight 10", "weight 11", "weight 11"),
        ("eth0", "eth1", "Interface = eth1"),
        ("/bin/true", "/bin/false", "/usr/bin/false"),
        ("priority 150", "priority 150\n    prioritty 3", "Unknown keyword 'prioritty'"),
        ("priority 150", "priority 150\n    priority 256", "keepalived -t exits"),
    ],
)
def test_a_different_meaning_is_found(tmp_path: Path, old: str, new: str, seen: str) -> None:
    first, second = tmp_path / "first.conf", tmp_path / "second.conf"
    base = "global_defs {\n    script_user root\n    enable_script_security\n}" + _BASE
    first.write_text(base)
    second.write_text(base.replace(old, new, 1))
    (comparison,) = compare([Pair(first, second, options=OPTIONS)])
    assert comparison.dumped
    assert seen in str(comparison.difference)


def test_places_comments_and_spelling_are_no_difference(tmp_path: Path) -> None:
    first, second = tmp_path / "first.conf", tmp_path / "second.conf"
    first.write_text(_BASE.replace("priority 150", "priority 150\n    vmac_garp_intvl 60 # old"))
    second.write_text("# rewritten\n" + _BASE.replace("priority 150", "priority 150\n    garp_extra_if 60"))
    (comparison,) = compare([Pair(first, second, options=OPTIONS)])
    assert comparison.dumped
    assert comparison.difference is None, str(comparison.difference)

"""What `keepalived -t` (Debian's 2.2.7) says about every golden configuration stands beside it, in keepalived-t.txt.

So each case is what it claims to be: clean, or wrong in just the way it is about. KACTL_UPDATE_GOLDEN=1 writes the
files anew. A configuration with keywords that came later is full of unknown keywords to 2.2.7 and has no such file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import golden, keepalived_peer
from support.keepalived_peer import Observation

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.root,
    pytest.mark.skipif(keepalived_peer.why_not() is not None, reason=str(keepalived_peer.why_not())),
]

CASES = [case for case in golden.cases("convert") if not case.name.endswith(golden.SINCE_2_4)]
CLEAN = 0
COMPLAINS = 5
INSECURE = 6


@pytest.fixture(scope="module")
def outcomes() -> dict[Path, Observation]:
    jobs = [
        job
        for case in CASES
        for job in keepalived_peer.jobs_of([case / "keepalived.conf"], config_id=golden.CONFIG_ID, starts=False)
    ]
    return dict(zip(CASES, keepalived_peer.observe(jobs), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_keepalived_says_of_a_golden_configuration_what_is_kept(case: Path, outcomes: dict[Path, Observation]) -> None:
    seen = outcomes[case]
    text = "\n".join([f"exit {seen.test_status}", *seen.test_messages, ""]).replace(f"{case.resolve()}/", "")
    if golden.UPDATE:
        (case / "keepalived-t.txt").write_text(text)
    assert text == (case / "keepalived-t.txt").read_text()


def test_the_check_s_exit_status_tells_clean_from_complaint(outcomes: dict[Path, Observation]) -> None:
    """0 is silent; anything said, a mere notice too, is 5, or 6 where a script could be abused (quirk 6)."""
    for case, seen in outcomes.items():
        assert (seen.test_status == CLEAN) == (not seen.test_messages), case.name
        assert seen.test_status in (CLEAN, COMPLAINS, INSECURE), case.name


def test_a_missing_file_is_no_error_to_keepalived_s_check(tmp_path: Path) -> None:
    """Quirk 6, the other half: mended, `kactl convert` and `kactl check` refuse it."""
    missing = tmp_path / "nothing.conf"
    job = keepalived_peer.Job(str(missing), starts=False)
    (seen,) = keepalived_peer.observe([job])
    assert (seen.test_status, seen.started) == (CLEAN, False)
    assert golden.kactl("convert", str(missing)).status == 3
    assert golden.kactl("check", str(missing)).status == 3

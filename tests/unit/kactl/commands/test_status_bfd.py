"""kactl status shows BFD sessions, and what keeps them from working."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kactl.commands.status import render

NOW = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)


def document(**session: Any) -> dict[str, Any]:
    fields = {
        "state": "Down", "since": "2026-01-01T00:00:00.000Z", "neighbor": "192.0.2.2", "remote_state": "AdminDown",
        "transmit_interval_ms": 1000.0, "detect_mult": 3, "detection_time_ms": 150.0, "problem": None,
        "detail": "nothing was received for 150 ms", "discarded": {"ttl": 7},
    }  # fmt: skip
    return {
        "schema_version": 1,
        "as_of": "2026-01-01T00:00:10.000Z",
        "agent": {
            "version": "1", "pid": 1, "uptime_s": 1.0, "config_revision": "r", "config_file": "f",
        },
        "vrrp": {"instances": {}, "sync_groups": {}},
        "ipvs": {"virtual_servers": []},
        "bfd": {"instances": {"b1": fields | session}},
    }  # fmt: skip


def test_a_session_with_its_reason() -> None:
    lines = render(document(), NOW)
    [row] = [line.split() for line in lines if line.startswith("b1 ")]
    assert row == ["b1", "Down", "10", "s", "ago", "192.0.2.2", "AdminDown", "1000", "ms", "x", "3", "150", "ms"]
    assert "b1: Down because nothing was received for 150 ms" in lines
    assert "b1: discarded 7 (ttl)" in lines


def test_a_problem_and_a_session_of_which_nothing_is_known() -> None:
    assert "b1: no route" in render(document(problem="no route"), NOW)
    unknown = {"since": None, "detail": "", "discarded": {}}
    [row] = [line for line in render(document(**unknown), NOW) if line.startswith("b1 ")]
    assert row.split() == ["b1", "Down", "-", "192.0.2.2", "-", "-", "-"]

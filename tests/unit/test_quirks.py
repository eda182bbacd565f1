"""docs/quirks.md decides every quirk and every outcome of `keepalived -t`, and names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TABLE = TESTS.parent / "docs" / "quirks.md"
ROWS = re.findall(r"^\| ([PR]\d+) \|(.*)\| ([^|]+) \|$", TABLE.read_text(encoding="utf-8"), re.M)


def test_every_row_stands_in_the_tables_once() -> None:
    assert [row for row, _, _ in ROWS] == [f"P{n}" for n in range(1, 12)] + [f"R{n}" for n in range(1, 17)]


@pytest.mark.parametrize(("row", "decision", "tests"), ROWS, ids=[row for row, _, _ in ROWS])
def test_row_is_decided_and_tested(row: str, decision: str, tests: str) -> None:
    assert re.search(r"\b(copied|mended)\b", decision)
    for test in tests.split(", "):
        path = TESTS / test
        assert path.is_file() or (path / "keepalived.conf").is_file(), f"{row}: {test}"

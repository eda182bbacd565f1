"""docs/seed-rows.md names a proof for every seeded behaviour, and each proof exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "seed-rows.md"
LAST_ROW = 45


def rows() -> dict[str, str]:
    found = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\| (S\d\d(?:-S\d\d)?) \| ([^|]+) \|", line)
        if match:
            found[match[1]] = match[2].strip()
    return found


def test_every_row_stands_in_the_table_once() -> None:
    numbers: list[int] = []
    for row in rows():
        ends = [int(n) for n in re.findall(r"\d\d", row)]
        numbers += range(ends[0], ends[-1] + 1)
    assert numbers == list(range(1, LAST_ROW + 1))


@pytest.mark.parametrize(("row", "proof"), [(r, p) for r, p in rows().items() if p not in ("n/a", "open")])
def test_proof_exists(row: str, proof: str) -> None:
    if proof.startswith("molecule/"):
        assert (ROOT / proof).is_dir()
        return
    for one in proof.split(", "):
        path, _, name = one.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in names, f"{row}: {path} has no {name}"


def test_no_row_is_open() -> None:
    assert "open" not in rows().values()

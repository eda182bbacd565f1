from __future__ import annotations

import sys
from pathlib import Path

import pytest

from corpus import run_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "good.conf").write_text("global_defs {\n  router_id x # y\n}\n")
    (folder / "odd.conf").write_text("global_defs {\n  router_id x\n  bogus\n}\n")
    (folder / "bad.conf").write_text("global_defs {\n  router_id x\n")
    return folder


def test_outcomes(folder: Path):
    good, odd, bad = (run_corpus.convert(folder / f"{name}.conf") for name in ("good", "odd", "bad"))
    assert (good.outcome, good.codes, good.lines) == ("lossless", [], 3)
    assert (odd.outcome, odd.codes) == ("lossless", ["unknown-keyword"])
    assert bad.outcome == "refused"
    assert "1:13 missing-brace" in bad.reason


def test_table_by_stratum(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    index = tmp_path / "index.tsv"
    index.write_text("file\tstratum\tquality\ngood.conf\tfield\tclean\nodd.conf\tdoc\tdirty\nbad.conf\tfield\tdirty\n")
    arguments = ["run_corpus.py", str(folder), "--index", str(index), "--jobs", "1", "--list", "refused"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert run_corpus.main() == 0
    out = capsys.readouterr().out
    assert "refused: bad.conf [field/dirty] 1:13 missing-brace" in out
    rows = {line.split()[0]: [int(n) for n in line.split()[1:]] for line in out.split("\n\n")[0].splitlines()[2:]}
    assert rows["field/clean"] == [1, 1, 0, 0, 0]
    assert rows["doc/dirty"] == [1, 0, 1, 0, 0]
    assert rows["total"] == [3, 1, 1, 1, 0]

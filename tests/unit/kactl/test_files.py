from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from kactl.files import replace_file


def test_the_old_content_stays_when_the_new_cannot_be_encoded(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(ValueError, match="surrogates"):
        replace_file(str(path), "\udc80")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_readers_see_the_old_or_the_new_file(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("old")
    with path.open() as reader:
        replace_file(str(path), "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    replace_file(str(path), "text")
    reader.join(10)
    assert read == ["text"]
    assert path.is_fifo()

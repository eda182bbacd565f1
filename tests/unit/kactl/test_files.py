from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from kactl.files import keep_beside, replace_file


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


def test_nothing_is_put_in_the_place_of_what_is_kept_already(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("of another moment")
    names = [keep_beside(str(path), data) for data in (b"one", b"two", b"three")]
    assert [Path(name).read_bytes() for name in names] == [b"one", b"two", b"three"]
    assert all(name.startswith(f"{path}.") and name.endswith("~") for name in names)


def test_what_is_kept_has_mode_and_owner_of_the_file(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("x")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 7)
    kept = Path(keep_beside(str(path), b"x")).stat()
    there = path.stat()
    assert (kept.st_mode, kept.st_uid, kept.st_gid) == (there.st_mode, there.st_uid, there.st_gid)


def test_nobody_can_read_what_is_kept_before_it_has_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "f"
    path.write_text("x")
    path.chmod(0o600)
    modes: list[int] = []
    change = os.fchmod

    def look(descriptor: int, mode: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        change(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", look)
    before = os.umask(0)
    try:
        keep_beside(str(path), b"secret")
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_what_cannot_be_kept_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "f"
    path.write_text("x")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep_beside(str(path), b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


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

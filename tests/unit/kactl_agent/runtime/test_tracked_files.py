"""Tracked files on a real filesystem: every way a file can come to another content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kactl_agent.kernel.inotify import Inotify
from kactl_agent.runtime.tracked_files import TrackedFiles, read
from kactl_agent.tracking.actions import FileContent


def no_inotify() -> Inotify:
    raise OSError(24, "Too many open files")


class Bench:
    def __init__(self, open_inotify: Callable[[], Inotify] = Inotify) -> None:
        self.heard: list[tuple[str, bytes | None]] = []
        self.reports: list[str] = []
        self.readers: dict[int, Callable[[], None]] = {}
        self.files = TrackedFiles(
            self, open_inotify,
            lambda path, content: self.heard.append((path, content.data)),
            lambda report: self.reports.append(report.detail),
        )  # fmt: skip

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None:
        self.readers[descriptor] = callback

    def remove_reader(self, descriptor: int) -> None:
        del self.readers[descriptor]

    def drain(self) -> None:
        for callback in list(self.readers.values()):
            callback()

    def newest(self, path: Path) -> bytes | None:
        """What is known of the file after everything that was reported is read."""
        self.drain()
        return [data for name, data in self.heard if name == str(path)][-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.files.track([])
    assert made.readers == {}


def test_a_file_through_its_life(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "prio"
    bench.files.track([str(path)])
    assert bench.newest(path) is None
    path.write_text("5\n")
    assert bench.newest(path) == b"5\n"
    (tmp_path / "new").write_text("7\n")
    (tmp_path / "new").replace(path)
    assert bench.newest(path) == b"7\n"
    path.rename(tmp_path / "away")
    assert bench.newest(path) is None
    (tmp_path / "away").rename(path)
    assert bench.newest(path) == b"7\n"
    path.unlink()
    assert bench.newest(path) is None


def test_other_files_of_the_directory_change_nothing_but_are_harmless(bench: Bench, tmp_path: Path) -> None:
    path, other = tmp_path / "prio", tmp_path / "other"
    path.write_text("5")
    bench.files.track([str(path), str(other)])
    other.write_text("6")
    assert (bench.newest(path), bench.newest(other)) == (b"5", b"6")


def test_a_directory_that_comes_and_goes(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "later" / "prio"
    bench.files.track([str(path)])
    assert bench.newest(path) is None
    path.parent.mkdir()
    path.write_text("5")
    bench.files.retry()
    assert bench.newest(path) == b"5"
    path.write_text("6")
    assert bench.newest(path) == b"6"
    path.unlink()
    path.parent.rmdir()
    assert bench.newest(path) is None
    path.parent.mkdir()
    path.write_text("8")
    bench.files.retry()
    assert bench.newest(path) == b"8"


def test_a_link_to_a_file_elsewhere(bench: Bench, tmp_path: Path) -> None:
    """As configuration maps of Kubernetes are changed: the link is moved over."""
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "prio").write_text(number)
    path = tmp_path / "prio"
    path.symlink_to("1/prio")
    bench.files.track([str(path)])
    assert bench.newest(path) == b"1"
    (tmp_path / "1" / "prio").write_text("9")
    assert bench.newest(path) == b"9"
    (tmp_path / "new").symlink_to("2/prio")
    (tmp_path / "new").replace(path)
    assert bench.newest(path) == b"2"
    (tmp_path / "2" / "prio").write_text("3")
    assert bench.newest(path) == b"3"


def test_what_is_tracked_no_more_is_not_told(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "prio"
    bench.files.track([str(path)])
    bench.files.track([])
    bench.heard.clear()
    path.write_text("5")
    bench.drain()
    assert bench.heard == []
    bench.files.track([str(path)])
    assert bench.newest(path) == b"5"


def test_what_is_no_file_to_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    assert read(str(tmp_path / "pipe")) == FileContent(None, "it is no regular file")
    assert read(str(tmp_path)) == FileContent(None, "it is no regular file")
    assert read(str(tmp_path / "missing")) == FileContent(None, "No such file or directory")
    assert read(str(tmp_path / "loop")).data is None
    (tmp_path / "large").write_bytes(b"1" * 100_000)
    assert len(read(str(tmp_path / "large")).data or b"") == 4096


def test_a_loop_of_links_is_a_missing_file(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "loop"
    path.symlink_to("loop")
    bench.files.track([str(path)])
    assert bench.newest(path) is None
    path.unlink()
    path.write_text("4")
    assert bench.newest(path) == b"4"


def test_without_inotify_files_are_read_every_second(tmp_path: Path) -> None:
    bench = Bench(no_inotify)
    path = tmp_path / "prio"
    bench.files.track([str(path)])
    assert bench.reports == ["tracked files are read every second: inotify does not serve us (Too many open files)"]
    path.write_text("5")
    bench.files.retry()
    assert bench.newest(path) == b"5"
    bench.files.track([])
    bench.heard.clear()
    bench.files.retry()
    assert bench.heard == []

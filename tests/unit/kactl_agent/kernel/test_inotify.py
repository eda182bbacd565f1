"""inotify, as the kernel of this machine does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.kernel.inotify import IN_CLOSE_WRITE, IN_DELETE, IN_DELETE_SELF, IN_IGNORED, IN_MOVED_TO, Inotify


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    made = Inotify()
    yield made
    made.close()


def test_changes_of_entries(inotify: Inotify, tmp_path: Path) -> None:
    watch = inotify.watch(str(tmp_path))
    assert list(inotify.events()) == []
    (tmp_path / "a").write_text("1")
    (tmp_path / "a").rename(tmp_path / "longer name than the header")
    (tmp_path / "longer name than the header").unlink()
    found = list(inotify.events())
    assert {event.watch for event in found} == {watch}
    assert any(event.mask & IN_CLOSE_WRITE and event.name == b"a" for event in found)
    assert any(event.mask & IN_MOVED_TO and event.name == b"longer name than the header" for event in found)
    assert any(event.mask & IN_DELETE for event in found)


def test_a_directory_that_goes_says_so_and_its_watch_is_gone(inotify: Inotify, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    watch = inotify.watch(str(tmp_path / "d"))
    (tmp_path / "d").rmdir()
    assert [event.mask for event in inotify.events()] == [IN_DELETE_SELF, IN_IGNORED]
    inotify.unwatch(watch)


def test_what_is_no_directory_cannot_be_watched(inotify: Inotify, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        inotify.watch(str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError):
        inotify.watch(str(tmp_path / "missing"))

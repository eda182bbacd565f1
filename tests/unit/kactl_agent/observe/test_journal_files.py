"""The journal on disk, over real files."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.observe.journal import Journal
from kactl_agent.observe.journal_files import NAMES, JournalFiles


class Disk:
    """A directory as the supervisor has it; every `open` is another life of the observer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: list[JournalFiles] = []

    def open(self, size: int = 1 << 20) -> JournalFiles:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        files = JournalFiles([os.open(self.path / name, flags, 0o600) for name in NAMES], size)
        self._opened.append(files)
        return files

    def journal(self, size: int = 1 << 20) -> Journal:
        return Journal(files=self.open(size))

    def text(self) -> str:
        return "".join((self.path / name).read_text() for name in NAMES)

    def close(self) -> None:
        for files in self._opened:
            files.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.close()


def numbers(journal: Journal) -> list[int]:
    return [event["number"] for event in journal.newest()]


def test_another_life_finds_what_the_one_before_said_and_cursors_stay_valid(disk: Disk) -> None:
    first = disk.journal()
    event = first.append("x", 0, number=1, detail="naïve ünïcode\n")
    cursor = first.cursor
    second = disk.journal()
    assert second.newest() == [event]
    assert second.cursor == cursor
    after = second.append("x", 0, number=2)
    assert second.since(cursor, 10) == ([after], False)
    assert numbers(disk.journal()) == [1, 2]


def test_it_is_bounded_and_the_newest_stay(disk: Disk) -> None:
    journal = disk.journal(size=2000)
    for number in range(1000):
        journal.append("x", 0, number=number)
    assert sum((disk.path / name).stat().st_size for name in NAMES) <= 4000
    kept = numbers(disk.journal(size=2000))
    assert kept == list(range(kept[0], 1000))
    assert len(kept) > 15
    assert disk.journal(size=2000).since(f"{journal.cursor.rpartition('-')[0]}-1", 5)[1] is True  # a gap


def test_a_line_that_was_cut_off_costs_that_line(disk: Disk) -> None:
    journal = disk.journal()
    for number in range(3):
        journal.append("x", 0, number=number)
    path = disk.path / NAMES[0]
    os.truncate(path, path.stat().st_size - 7)
    again = disk.journal()
    assert numbers(again) == [0, 1]
    again.append("x", 0, number=9)
    assert numbers(disk.journal()) == [0, 1, 9]


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 4096,
        b"garbage\nmore\n",
        b"[" * 100_000 + b"\n",
        b'{"format":"kactl-journal","version":99,"journal":"j"}\n{"cursor":"j-1","time":"","type":"x"}\n',
        b'{"format":"kactl-journal","version":1,"journal":7}\n',
        b'{"format":"kactl-journal","version":1,"journal":"j"}\n{"cursor":"other-1","time":"","type":"x"}\n{}\n7\n\xff\n',
    ],
)
def test_what_is_no_journal_is_passed_over_and_written_anew(disk: Disk, content: bytes) -> None:
    (disk.path / NAMES[0]).write_bytes(content)
    journal = disk.journal()
    assert journal.newest() == []
    journal.append("x", 0, number=1)
    assert numbers(disk.journal()) == [1]


def test_a_file_of_another_journal_does_not_mix_with_it(disk: Disk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    one, two = disk, Disk(other)
    for journal, count in ((one.journal(), 3), (two.journal(), 1)):
        for number in range(count):
            journal.append("x", 0, number=number)
    (disk.path / NAMES[1]).write_bytes((other / NAMES[0]).read_bytes())
    two.close()
    assert numbers(disk.journal()) == [0, 1, 2]


def test_without_room_events_wait_in_memory_and_are_written_when_there_is_some(disk: Disk) -> None:
    said: list[str] = []
    journal = Journal(files=disk.open(), complain=said.append)
    journal.append("x", 0, number=1)
    length = (disk.path / NAMES[0]).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length + 10, before[1]))  # a disk with room for a part of a line
    try:
        journal.append("x", 0, number=2)
        journal.append("x", 0, number=3)
        assert journal.trouble
        assert len(said) == 1, "said once"
        assert (disk.path / NAMES[0]).stat().st_size == length
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert numbers(journal) == [1, 2, 3]
    journal.append("x", 0, number=4)
    assert not journal.trouble
    assert said[1:] == [""]
    assert numbers(disk.journal()) == [1, 2, 3, 4]


def test_numbers_that_were_lost_on_a_full_disk_are_not_given_to_other_events(disk: Disk) -> None:
    """Or who has seen the lost ones would take the next ones for those, and never show them."""
    first = disk.journal()
    first.append("x", 0, number=1)
    on_disk = first.cursor
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((disk.path / NAMES[0]).stat().st_size, before[1]))
    try:
        first.append("x", 0, number=2)
        lost = first.cursor
        second = disk.journal()  # nothing of this run ever comes to the disk
        second.append("x", 0, number=3)
        lost_too = second.cursor
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    third = disk.journal()
    assert third.since(lost, 10) == ([], True)
    event = third.append("x", 0, number=4)
    assert len({lost, lost_too, event["cursor"]}) == 3
    assert third.since(on_disk, 10) == ([event], False)
    assert third.since(lost, 10) == ([event], True), "what came behind it is not known any more"
    assert [each["number"] for each in third.since(lost_too, 10)[0]] == [1, 4]
    assert third.since(lost_too, 10)[1]
    assert third.since(event["cursor"], 10) == ([], False)
    fourth = disk.journal()
    assert fourth.cursor == event["cursor"]
    assert fourth.since(event["cursor"], 10) == ([], False)
    assert [fourth.since(cursor, 10) for cursor in (on_disk, lost)] == [([event], False), ([event], True)]


def test_files_that_cannot_be_used_cost_the_disk_and_nothing_else(tmp_path: Path) -> None:
    descriptors = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in NAMES]
    journal = Journal(files=JournalFiles(descriptors))
    journal.append("x", 0, number=1)
    for descriptor in descriptors:
        os.close(descriptor)
    journal.append("x", 0, number=2)
    assert journal.trouble
    assert numbers(journal) == [1, 2]

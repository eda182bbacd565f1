"""Lines into FIFOs: real pipes, and a loop whose time is ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kactl_agent.runtime.fifo_writer import WITHOUT_READER, FifoWriter, FifoWriters


class _Later:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    def __init__(self) -> None:
        self.writers: dict[int, Callable[[], None]] = {}
        self.later: list[_Later] = []

    def add_writer(self, descriptor: int, callback: Callable[[], None]) -> None:
        self.writers[descriptor] = callback

    def remove_writer(self, descriptor: int) -> None:
        del self.writers[descriptor]

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Later:
        assert seconds > 0
        self.later.append(_Later(callback))
        return self.later[-1]

    def turn(self) -> None:
        """Everything that waits for room, or for time, is called once."""
        for callback in list(self.writers.values()):
            callback()
        later, self.later = self.later, []
        for each in later:
            if each.callback is not None:
                each.callback()


class Bench:
    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.loop = Loop()
        self.warnings: list[str] = []
        self.writer = FifoWriter(self.loop, self.warnings.append, "notify_fifo")
        self.readers: list[int] = []

    def writing_end(self) -> int:
        both = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        try:
            return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        finally:
            os.close(both)

    def reader(self) -> int:
        self.readers.append(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        return self.readers[-1]

    def read(self, reader: int) -> list[str]:
        try:
            return os.read(reader, 1 << 20).decode().splitlines()
        except BlockingIOError:
            return []

    def read_all(self, reader: int) -> list[str]:
        lines: list[str] = []
        while found := self.read(reader):
            lines += found
            self.loop.turn()
        return lines


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "fifo")
    yield made
    made.writer.close()
    for reader in made.readers:
        os.close(reader)


def test_a_line_is_there_at_once(bench: Bench) -> None:
    reader = bench.reader()
    bench.writer.connect(bench.writing_end())
    bench.writer.write('INSTANCE "VI" MASTER 100')
    assert os.read(reader, 100) == b'INSTANCE "VI" MASTER 100\n'
    assert not bench.writer.pending
    assert bench.loop.writers == {}


def test_lines_wait_for_the_descriptor(bench: Bench) -> None:
    reader = bench.reader()
    bench.writer.write("one")
    bench.writer.write("two")
    bench.writer.connect(bench.writing_end())
    assert bench.read(reader) == ["one", "two"]


def test_a_slow_reader_loses_nothing(bench: Bench) -> None:
    reader = bench.reader()
    bench.writer.connect(bench.writing_end())
    lines = [f'INSTANCE "VI_{number}" MASTER 100' for number in range(20_000)]
    for line in lines:
        bench.writer.write(line)
    waits = bench.writer.pending
    assert bench.read_all(reader) == lines
    assert (waits, bench.writer.pending) == (True, False)
    assert bench.loop.writers == {}
    assert bench.warnings == []


def test_a_reader_that_comes_late_gets_what_a_pipe_would_hold(bench: Bench) -> None:
    """keepalived keeps both ends open itself: as much as the pipe holds waits, what comes then is lost."""
    bench.writer.connect(bench.writing_end())
    line = "x" * 63
    for _ in range(2000):
        bench.writer.write(line)
    assert not bench.writer.pending  # nobody is there to wait for
    assert bench.warnings == ["notify_fifo: nobody reads it: lines are lost from now on"]
    assert bench.writer.dropped == 2000 - WITHOUT_READER // 64
    reader = bench.reader()
    bench.loop.turn()
    found = bench.read_all(reader)
    assert found == [line] * (WITHOUT_READER // 64)
    assert bench.warnings[1:] == [f"notify_fifo: it is read again; {2000 - WITHOUT_READER // 64} lines were lost"]
    bench.writer.write("next")
    assert bench.read(reader) == ["next"]


def test_a_reader_that_goes_leaves_the_rest_to_the_next_one(bench: Bench) -> None:
    first = bench.reader()
    bench.writer.connect(bench.writing_end())
    bench.writer.write("one")
    assert bench.read(first) == ["one"]
    os.close(bench.readers.pop())
    bench.writer.write("two")
    assert bench.loop.writers == {}  # a pipe without readers is writable, and would keep the loop busy
    second = bench.reader()
    bench.loop.turn()
    assert bench.read(second) == ["two"]


def test_another_descriptor_goes_on_where_the_last_one_was(bench: Bench) -> None:
    reader = bench.reader()
    bench.writer.connect(bench.writing_end())
    lines = [f"{number:063d}" for number in range(3000)]
    for line in lines:
        bench.writer.write(line)
    bench.writer.connect(bench.writing_end())
    assert bench.read_all(reader) == lines


def test_lines_are_written_whole(bench: Bench) -> None:
    """Two writers into one pipe that is full most of the time."""
    reader = bench.reader()
    other = FifoWriter(bench.loop, bench.warnings.append, "other")
    bench.writer.connect(bench.writing_end())
    other.connect(bench.writing_end())
    for number in range(3000):
        bench.writer.write(f"a{number:0200d}")
        other.write(f"b{number:0300d}")
    found = bench.read_all(reader)
    assert sorted(found) == sorted([f"a{n:0200d}" for n in range(3000)] + [f"b{n:0300d}" for n in range(3000)])
    other.close()


def test_every_fifo_gets_every_line(tmp_path: Path) -> None:
    loop = Loop()
    writers = FifoWriters(loop, print)
    writers.want(("notify_fifo", "vrrp_notify_fifo"))
    ends = {keyword: os.pipe() for keyword in ("notify_fifo", "vrrp_notify_fifo", "lvs_notify_fifo")}
    writers.connect({keyword: write for keyword, (_read, write) in ends.items()})
    writers.write("line")
    assert os.read(ends["notify_fifo"][0], 100) == os.read(ends["vrrp_notify_fifo"][0], 100) == b"line\n"
    writers.want(("notify_fifo",))
    assert os.read(ends["lvs_notify_fifo"][0], 100) == b""  # nobody wants it: closed
    assert os.read(ends["vrrp_notify_fifo"][0], 100) == b""
    writers.close()
    for read, _write in ends.values():
        os.close(read)


def test_a_fifo_that_could_not_be_opened_keeps_no_line() -> None:
    writers = FifoWriters(Loop(), print)
    writers.want(("notify_fifo", "vrrp_notify_fifo"))
    read, write = os.pipe()
    writers.connect({"notify_fifo": write})
    writers.write("line")
    assert os.read(read, 100) == b"line\n"
    assert not writers.pending
    writers.close()
    os.close(read)


def test_a_descriptor_may_come_before_the_settings_that_want_it() -> None:
    """At a reload it does."""
    writers = FifoWriters(Loop(), print)
    read, write = os.pipe()
    writers.connect({"notify_fifo": write})
    writers.want(("notify_fifo",))
    writers.write("line")
    assert os.read(read, 100) == b"line\n"
    writers.close()
    os.close(read)

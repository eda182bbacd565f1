"""The processes of a machine made of files, with events as a kernel would report them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kactl_agent.kernel.proc_events import COMM, EXEC, EXIT, FORK, LOST, ProcEvent
from kactl_agent.runtime.processes import Processes
from kactl_agent.tracking.actions import ProcessEnded, ProcessesListed, ProcessForked, ProcessSeen
from kactl_agent.vrrp.actions import Input, Report
from kactl_agent.vrrp.network_settings import NetlinkBuffer


class FakeEvents:
    def __init__(self) -> None:
        self.waiting: list[ProcEvent] = []
        self.closed = False
        self.buffers: list[NetlinkBuffer] = []

    def resize(self, buffer: NetlinkBuffer) -> None:
        self.buffers.append(buffer)

    def fileno(self) -> int:
        return 99

    def events(self, limit: int) -> Iterator[ProcEvent]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        yield from taken

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, directory: Path, events: FakeEvents | None) -> None:
        self.directory = directory
        self.events = events
        self.told: list[Input] = []
        self.reports: list[Report] = []
        self.soon: list[Callable[[], None]] = []
        self.readers: dict[int, Callable[[], None]] = {}
        self.processes = Processes(self, self._open, self.told.append, self.reports.append, directory)

    def _open(self) -> FakeEvents:
        if self.events is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return self.events

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None:
        self.readers[descriptor] = callback

    def remove_reader(self, descriptor: int) -> None:
        del self.readers[descriptor]

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def process(self, pid: int, name: str = "nginx", state: str = "S", command: bytes = b"nginx\0-g\0x y\0") -> None:
        place = self.directory / str(pid)
        place.mkdir(exist_ok=True)
        (place / "stat").write_text(f"{pid} ({name}) {state} 1 1 1 0 -1")
        (place / "cmdline").write_bytes(command)

    def end(self, pid: int) -> None:
        for file in (self.directory / str(pid)).iterdir():
            file.unlink()
        (self.directory / str(pid)).rmdir()

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def heard(self) -> list[Input]:
        while self.soon:
            self.turn()
        told, self.told[:] = list(self.told), []
        return told

    def happens(self, *events: ProcEvent) -> list[Input]:
        assert self.events is not None
        self.events.waiting += events
        while self.events.waiting:
            self.readers[99]()
        return self.heard()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, FakeEvents())


def test_the_first_list(bench: Bench) -> None:
    bench.process(1, "a) (b")
    bench.process(2, state="Z")
    bench.process(3, command=b"")
    (bench.directory / "self").mkdir()
    (bench.directory / "4").mkdir()
    bench.processes.follow(wanted=True, with_commands=True)
    *seen, listed = bench.heard()
    assert sorted(seen, key=lambda each: each.pid) == [
        ProcessSeen(1, b"a) (b", (b"nginx", b"-g", b"x y")), ProcessSeen(3, b"nginx", ()),
    ]  # fmt: skip
    assert listed == ProcessesListed(frozenset({1, 3})), "zombies do not run, and some end while one looks"


def test_command_lines_are_read_when_somebody_compares_them(bench: Bench) -> None:
    bench.process(1)
    bench.processes.follow(wanted=True, with_commands=False)
    assert bench.heard()[0] == ProcessSeen(1, b"nginx", ())


def test_a_list_is_gone_through_in_slices(bench: Bench) -> None:
    for pid in range(1, 81):
        bench.process(pid)
    bench.processes.follow(wanted=True, with_commands=False)
    counts = []
    while bench.soon:
        bench.turn()
        counts.append(len(bench.told))
    assert counts == [32, 64, 81]


def test_events(bench: Bench) -> None:
    bench.process(1)
    bench.processes.follow(wanted=True, with_commands=False)
    bench.heard()
    assert bench.happens(ProcEvent(FORK, 2, 1)) == [ProcessForked(1, 2)]
    bench.process(2, "sh")
    assert bench.happens(ProcEvent(EXEC, 2)) == [ProcessSeen(2, b"sh", ())]
    bench.process(2, "other")
    assert bench.happens(ProcEvent(COMM, 2)) == [ProcessSeen(2, b"other", ())]
    assert bench.happens(ProcEvent(EXIT, 2)) == [ProcessEnded(2)]
    assert bench.happens(ProcEvent(EXEC, 77)) == [], "it has ended since"


def test_what_happens_while_listing_is_in_the_list(bench: Bench) -> None:
    for pid in range(1, 41):
        bench.process(pid)
    bench.processes.follow(wanted=True, with_commands=False)
    bench.turn()
    bench.process(100)
    gone = next(each.pid for each in bench.told if isinstance(each, ProcessSeen))
    told = bench.happens(ProcEvent(FORK, 100, 40), ProcEvent(EXIT, gone))
    assert ProcessSeen(100, b"nginx", ()) in told, "its parent may not have been looked at"
    assert isinstance(told[-1], ProcessesListed)
    assert 100 in told[-1].pids
    assert gone not in told[-1].pids


def test_lost_events_are_made_up_for_by_a_list(bench: Bench) -> None:
    bench.process(1)
    bench.processes.follow(wanted=True, with_commands=False)
    bench.heard()
    bench.end(1)
    bench.process(2)
    told = bench.happens(ProcEvent(LOST))
    assert told == [ProcessSeen(2, b"nginx", ()), ProcessesListed(frozenset({2}))]
    bench.processes.retry()
    assert bench.heard() == [], "nothing is listed for nothing"


def test_without_events_it_is_listed_every_second(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None)
    bench.processes.follow(wanted=True, with_commands=False)
    assert bench.heard() == [ProcessesListed(frozenset())]
    assert "processes are listed every second" in bench.reports[0].detail
    bench.process(5)
    bench.processes.retry()
    assert bench.heard() == [ProcessSeen(5, b"nginx", ()), ProcessesListed(frozenset({5}))]


def test_nobody_follows_any_more(bench: Bench) -> None:
    bench.process(1)
    bench.processes.follow(wanted=True, with_commands=False)
    bench.processes.follow(wanted=False, with_commands=False)
    assert bench.heard() == []
    assert bench.events is not None
    assert bench.events.closed
    assert bench.readers == {}
    bench.processes.retry()
    assert bench.heard() == []


def test_the_buffer_of_events_is_as_configured_now_and_whenever_they_are_opened(tmp_path: Path) -> None:
    events = FakeEvents()
    bench = Bench(tmp_path, events)
    large, larger = NetlinkBuffer(100_000), NetlinkBuffer(9_000_000, force=True)
    bench.processes.resize_buffer(large)
    assert events.buffers == [], "there is none yet"
    bench.processes.follow(wanted=True, with_commands=False)
    assert events.buffers == [large]
    bench.processes.resize_buffer(large)
    bench.processes.resize_buffer(larger)
    bench.processes.resize_buffer(NetlinkBuffer())
    assert events.buffers == [large, larger, NetlinkBuffer()]
    bench.processes.follow(wanted=False, with_commands=False)
    bench.processes.follow(wanted=True, with_commands=False)
    assert len(events.buffers) == 3, "the default needs no word"

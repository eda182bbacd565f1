"""The processes of the machine: listed once in slices, then followed by the kernel's events.

Where the kernel does not tell (in containers and other network namespaces), and when it had to drop events, they are
listed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from kactl_agent.kernel.proc_events import COMM, EXEC, EXIT, FORK, LOST, ProcEvent
from kactl_agent.tracking.actions import ProcessEnded, ProcessesListed, ProcessForked, ProcessSeen
from kactl_agent.vrrp.actions import Input, Report
from kactl_agent.vrrp.network_settings import NetlinkBuffer

_SLICE = 32  # processes looked at, and events taken, before the timers have their turn
_LARGEST_COMMAND = 1 << 14


class EventSource(Protocol):
    """`kactl_agent.kernel.proc_events.ProcEvents`."""

    def fileno(self) -> int: ...

    def events(self, limit: int) -> Iterator[ProcEvent]: ...

    def resize(self, buffer: NetlinkBuffer) -> None: ...

    def close(self) -> None: ...


class Loop(Protocol):
    """What is needed of an asyncio loop."""

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> object: ...

    def remove_reader(self, descriptor: int) -> object: ...

    def call_soon(self, callback: Callable[[], None]) -> object: ...


class Processes:
    """`tell` is given inputs of `kactl_agent.tracking.process`; `open_events` raises OSError where there are none."""

    def __init__(
        self,
        loop: Loop,
        open_events: Callable[[], EventSource],
        tell: Callable[[Input], None],
        report: Callable[[Report], None],
        directory: Path = Path("/proc"),
    ) -> None:
        self._loop = loop
        self._open_events = open_events
        self._events: EventSource | None = None
        self._tell = tell
        self._report = report
        self._directory = directory
        self._with_commands = False
        self._active = False
        self._pending: list[int] = []  # of the list that is being gone through
        self._listing = False
        self._seen: set[int] = set()
        self._buffer = NetlinkBuffer()

    def resize_buffer(self, buffer: NetlinkBuffer) -> None:
        """Of the events (process_monitor_rcv_bufs), now and whenever they are opened. Raises OSError."""
        changed, self._buffer = buffer != self._buffer, buffer
        if changed and self._events is not None:
            self._events.resize(buffer)

    def follow(self, *, wanted: bool, with_commands: bool) -> None:
        """Follow the processes, or stop it. With their command lines, where somebody compares those."""
        self._active = wanted
        self._with_commands = with_commands
        self._pending, self._listing = [], False
        if wanted:
            self._open()
            self._list()
        else:
            self.close()

    def close(self) -> None:
        if self._events is not None:
            self._loop.remove_reader(self._events.fileno())
            self._events.close()
            self._events = None

    def _open(self) -> None:
        if self._events is not None:
            return
        try:
            self._events = self._open_events()
            if self._buffer.size:
                self._events.resize(self._buffer)
        except OSError as error:
            text = f"processes are listed every second: the kernel does not tell of them here ({error.strerror})"
            self._report(Report("process_events", text))
        else:
            self._loop.add_reader(self._events.fileno(), self._drain)

    def _drain(self) -> None:
        for event in self._events.events(_SLICE) if self._events is not None else ():
            self._take(event)

    def retry(self) -> None:
        """To be called every second: without events, this is how changes are noticed."""
        if self._active and self._events is None and not self._listing:
            self._list()

    def _list(self) -> None:
        """Look at every process, a slice at a time."""
        self._pending = [int(entry.name) for entry in self._directory.iterdir() if entry.name.isdigit()]
        self._seen = set()
        if not self._listing:
            self._listing = True
            self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        if not self._listing:
            return
        pids, self._pending = self._pending[:_SLICE], self._pending[_SLICE:]
        for pid in pids:
            self._look(pid)
        if self._pending:
            self._loop.call_soon(self._slice)
            return
        self._listing = False
        self._tell(ProcessesListed(frozenset(self._seen)))

    def _take(self, event: ProcEvent) -> None:
        if event.what == LOST:
            self._list()
        elif event.what == EXIT:
            self._seen.discard(event.pid)
            self._tell(ProcessEnded(event.pid))
        elif event.what == FORK and not self._listing:
            self._tell(ProcessForked(event.parent, event.pid))
        elif event.what in (FORK, EXEC, COMM):  # while listing, what its parent is may not be known yet
            self._look(event.pid)

    def _look(self, pid: int) -> None:
        """One that has just ended is none; one that nobody waits for (a zombie) does not run."""
        try:
            stat = (self._directory / str(pid) / "stat").read_bytes()
            state = stat[stat.rindex(b")") + 2 :][:1]
            name = stat[stat.index(b"(") + 1 : stat.rindex(b")")]
            command = self._command(pid) if self._with_commands else ()
        except (OSError, ValueError):
            return
        if state in (b"Z", b"X"):
            return
        self._seen.add(pid)
        self._tell(ProcessSeen(pid, name, command))

    def _command(self, pid: int) -> tuple[bytes, ...]:
        with (self._directory / str(pid) / "cmdline").open("rb") as file:
            data = file.read(_LARGEST_COMMAND)
        return tuple(data.removesuffix(b"\0").split(b"\0")) if data else ()

"""Machines for BFD sessions in memory: sockets that remember, interfaces that come and go, a clock and one timer; and
two of them with a link between."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count

from kactl_agent.bfd.actions import PacketMeta, Report, StateChanged
from kactl_agent.bfd.packet import State
from kactl_agent.bfd.settings import SessionSettings
from kactl_agent.kernel.bfd_sockets import Place, Receiver, Sender
from kactl_agent.runtime.bfd_machine import BfdMachine
from kactl_agent.runtime.loop import HasFileno


class FakeReceiver:
    def __init__(self, place: Place, index: int) -> None:
        self.place = place
        self.interface_index = index
        self.waiting: deque[tuple[bytes, PacketMeta]] = deque()
        self.open = True

    def fileno(self) -> int:
        return 0

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        return self.waiting.popleft() if self.waiting else None

    def close(self) -> None:
        self.open = False


class FakeSender:
    def __init__(self, ports: FakePorts, settings: SessionSettings, source_port: int, index: int) -> None:
        self._ports = ports
        self.settings = settings
        self.source = settings.source or ports.source
        self.source_port = source_port
        self.interface_index = index
        self.open = True

    def send(self, data: bytes) -> None:
        assert self.open
        if self._ports.send_error is not None:
            raise self._ports.send_error
        self._ports.sent.append((self.settings.name, self.source_port, data))
        self._ports.flying.append((self, data))

    def configure(self, settings: SessionSettings) -> None:
        self.settings = settings

    def close(self) -> None:
        self.open = False


class FakePorts:
    """`kactl_agent.kernel.bfd_sockets.BfdPorts`"""

    def __init__(self, source: bytes = b"\x0a\0\0\1") -> None:
        self.source = source  # what the kernel would choose
        self.flying: deque[tuple[FakeSender, bytes]] = deque()
        self.interfaces = {"eth0": 2}
        self.receivers: list[FakeReceiver] = []
        self.senders: list[FakeSender] = []
        self.sent: list[tuple[str, int, bytes]] = []
        self.open_error: OSError | None = None
        self.send_error: OSError | None = None
        self._port = count(50000)

    def interface_index(self, name: str) -> int:
        return self.interfaces.get(name, 0)

    def _index(self, name: str) -> int:
        if self.open_error is not None:
            raise self.open_error
        if name and name not in self.interfaces:
            raise OSError(errno.ENODEV, f"there is no interface {name}")
        return self.interface_index(name)

    def open_receiver(self, place: Place, others: Iterable[Receiver]) -> Receiver:
        receiver = FakeReceiver(place, self._index(place.interface))
        self.receivers.append(receiver)
        return receiver

    def open_sender(self, settings: SessionSettings, source_port: int) -> Sender:
        sender = FakeSender(self, settings, source_port or next(self._port), self._index(settings.interface))
        self.senders.append(sender)
        return sender


class FakeMachine:
    """`kactl_agent.runtime.bfd_machine.Watcher` and `Listener`, and all that a machine needs."""

    def __init__(self, source: bytes = b"\x0a\0\0\1") -> None:
        self.ports = FakePorts(source)
        self.now = 0
        self.armed: int | None = None
        self.watched: dict[int, Callable[[], None]] = {}
        self.changes: list[tuple[str, StateChanged]] = []
        self.settled_names: list[str] = []
        self.reports: list[tuple[str, Report]] = []
        self._random = count(1)
        self.machine = BfdMachine(self.ports, self, self, lambda: self.now, self._arm, self._bytes)

    def _arm(self, deadline: int | None) -> None:
        self.armed = deadline

    def _bytes(self, size: int) -> bytes:
        return next(self._random).to_bytes(size, "big")

    def watch(self, sock: HasFileno, readable: Callable[[], None]) -> None:
        self.watched[id(sock)] = readable

    def unwatch(self, sock: HasFileno) -> None:
        del self.watched[id(sock)]

    def state_changed(self, name: str, change: StateChanged, now: int) -> None:
        self.changes.append((name, change))

    def settled(self, name: str) -> None:
        self.settled_names.append(name)

    def report(self, name: str, report: Report) -> None:
        self.reports.append((name, report))

    def arrive(self, data: bytes, meta: PacketMeta, receiver: int = 0) -> None:
        """A datagram, and the loop's call that follows it."""
        sock = self.ports.receivers[receiver]
        sock.waiting.append((data, meta))
        self.watched[id(sock)]()

    def run(self, until: int) -> None:
        while self.armed is not None and self.armed <= until:
            self.now = max(self.now, self.armed)
            self.armed = None
            self.machine.run_due()
        self.now = until

    def hear(self, data: bytes, meta: PacketMeta, interface: str) -> None:
        """As `arrive`, by the receiving socket that a kernel would choose: that of an interface or address first."""
        sockets = [sock for sock in self.ports.receivers if sock.open and _takes(sock.place, meta, interface)]
        if sockets:
            sock = max(sockets, key=lambda each: (bool(each.place.interface), bool(each.place.source)))
            place = PacketMeta(meta.source, meta.port, meta.ttl, meta.destination, sock.place.interface)
            self.arrive(data, place, self.ports.receivers.index(sock))


def _takes(place: Place, meta: PacketMeta, interface: str) -> bool:
    return place.port == meta.port and place.interface in ("", interface) and place.source in (b"", meta.destination)


class FakePair:
    """Two machines that reach each other by any interface, and every second what a worker does then. Times are ns."""

    def __init__(self, left: bytes, right: bytes) -> None:
        self.left, self.right = FakeMachine(left), FakeMachine(right)
        self.interface = "eth0"  # by which packets come in whose sender is bound to none
        self.now = 0
        self._tick = 0

    @property
    def both_up(self) -> bool:
        return all(
            end.machine.sessions[name].state is State.UP for end in self._ends for name in end.machine.names
        )  # fmt: skip

    @property
    def _ends(self) -> tuple[FakeMachine, FakeMachine]:
        return self.left, self.right

    def run(self, until: int) -> None:
        while True:
            self._deliver()
            moments = [self._tick, *(end.armed for end in self._ends if end.armed is not None)]
            if min(moments) > until:
                break
            self._at(max(self.now, min(moments)))
            for end in self._ends:
                if end.armed is not None and end.armed <= self.now:
                    end.armed = None
                    end.machine.run_due()
            if self._tick <= self.now:
                self._tick += 1_000_000_000
                self.left.machine.retry()
                self.right.machine.retry()
        self._at(until)

    def _at(self, now: int) -> None:
        self.now = self.left.now = self.right.now = now

    def _deliver(self) -> None:
        while self.left.ports.flying or self.right.ports.flying:
            for here, there in (self._ends, self._ends[::-1]):
                while here.ports.flying:
                    sender, data = here.ports.flying.popleft()
                    sent = sender.settings
                    meta = PacketMeta(sender.source, sent.mode.port, 255, sent.neighbor)
                    there.hear(data, meta, sent.interface or self.interface)

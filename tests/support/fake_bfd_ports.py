"""A machine for BFD sessions in memory: sockets that remember, interfaces that come and go, a clock and one timer."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count

from kactl_agent.bfd.actions import PacketMeta, Report, StateChanged
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
        self.source = settings.source or b"\x0a\0\0\1"
        self.source_port = source_port
        self.interface_index = index
        self.open = True

    def send(self, data: bytes) -> None:
        assert self.open
        if self._ports.send_error is not None:
            raise self._ports.send_error
        self._ports.sent.append((self.settings.name, self.source_port, data))

    def configure(self, settings: SessionSettings) -> None:
        self.settings = settings

    def close(self) -> None:
        self.open = False


class FakePorts:
    """`kactl_agent.kernel.bfd_sockets.BfdPorts`"""

    def __init__(self) -> None:
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

    def __init__(self) -> None:
        self.ports = FakePorts()
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

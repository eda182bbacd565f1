"""A cable that delays, doubles and reorders what passes it, where the kernel has no netem: two nodes are taken off
their bridge, and a thread carries their frames to each other."""

from __future__ import annotations

import contextlib
import heapq
import random
import select
import socket
import threading
import time
from collections.abc import Iterator

from support.netns import Network

_PACKET_OUTGOING = 4


class Relay(threading.Thread):
    """`delay` is in seconds: each frame is late by a random time up to it, so that they overtake each other."""

    def __init__(self, ends: tuple[socket.socket, socket.socket], seed: int) -> None:
        super().__init__(daemon=True)
        self._ends = ends
        self._random = random.Random(seed)
        self._ending = threading.Event()
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self.delay = 0.0
        self.double = 0.0  # how many of the frames
        self.carried = self.doubled = self.overtaken = 0
        self._last = [0, 0]

    def run(self) -> None:
        while not self._ending.is_set():
            now = time.monotonic()
            timeout = max(0.0, self._waiting[0][0] - now) if self._waiting else 0.05
            readable, _, _ = select.select(self._ends, (), (), min(timeout, 0.05))
            for end in readable:
                self._take(self._ends.index(end))
            self._give()

    def _take(self, end: int) -> None:
        frame, address = self._ends[end].recvfrom(65536)
        if address[2] == _PACKET_OUTGOING:
            return
        copies = 1 + (self._random.random() < self.double)
        self.doubled += copies - 1
        for _ in range(copies):
            self._count += 1
            due = time.monotonic() + self._random.random() * self.delay
            heapq.heappush(self._waiting, (due, self._count, 1 - end, frame))

    def _give(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _due, number, end, frame = heapq.heappop(self._waiting)
            self.overtaken += number < self._last[end]
            self._last[end] = number
            self.carried += 1
            with contextlib.suppress(OSError):  # an interface that is down loses frames
                self._ends[end].send(frame)

    def end(self) -> None:
        self._ending.set()
        self.join(5)


@contextlib.contextmanager
def relay(net: Network, seed: int) -> Iterator[Relay]:
    """Between the first two nodes, which hear nobody else meanwhile."""
    ends = (net.port_socket(1), net.port_socket(2))
    for number in (1, 2):
        net.cut(number)
    made = Relay(ends, seed)
    made.start()
    try:
        yield made
    finally:
        made.end()
        for sock in ends:
            sock.close()
        for number in (1, 2):
            net.mend(number)

"""A cable between two nodes of `support.netns` that loses, delays and reorders frames, without the kernel's netem."""

from __future__ import annotations

import heapq
import itertools
import random
import select
import socket
import threading
import time
from types import TracebackType

from support.netns import Network, inside

_ALL_PROTOCOLS = 3
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23


class BadLink:
    """Takes the place of the bridge between nodes 1 and 2 while it is entered. A frame takes between `least` and `most`
    seconds, so that frames overtake each other."""

    def __init__(self, net: Network, seed: int, loss: float = 0.0, least: float = 0.0, most: float = 0.0) -> None:
        self._net = net
        self._random = random.Random(seed)
        self._loss, self._least, self._most = loss, least, most
        self._wake, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.lost = self.overtaken = 0

    def __enter__(self) -> BadLink:
        self._sockets = []
        with inside(self._net._bridge):
            for number in (1, 2):
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
                sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
                sock.bind((f"port{number}", _ALL_PROTOCOLS))
                self._sockets.append(sock)
        for number in (1, 2):
            self._net.cut(number)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.send(b"x")
        self._thread.join(10)
        for sock in (*self._sockets, self._wake, self._stop):
            sock.close()
        for number in (1, 2):
            self._net.mend(number)

    def _run(self) -> None:
        flying: list[tuple[float, int, int, bytes]] = []
        serial = itertools.count()
        last = [0.0, 0.0]
        while True:
            now = time.monotonic()
            while flying and flying[0][0] <= now:
                _due, _number, end, frame = heapq.heappop(flying)
                self._sockets[end].send(frame)
            wait = max(0.0, flying[0][0] - now) if flying else None
            ready, _, _ = select.select([self._wake, *self._sockets], [], [], wait)
            if self._wake in ready:
                return
            for end, sock in enumerate(self._sockets):
                if sock not in ready:
                    continue
                frame = sock.recv(1 << 16)
                if self._random.random() < self._loss:
                    self.lost += 1
                    continue
                due = time.monotonic() + self._random.uniform(self._least, self._most)
                self.overtaken += due < last[end]
                last[end] = due
                heapq.heappush(flying, (due, next(serial), 1 - end, _without_checksum(frame)))


def _without_checksum(frame: bytes) -> bytes:
    """The sender leaves UDP's checksum to hardware that is not there; over IPv4 it may be left out."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return frame
    place = 14 + (frame[14] & 0x0F) * 4 + 6
    return frame[:place] + b"\0\0" + frame[place + 2 :]

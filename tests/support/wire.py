"""A witness on the LAN: what passes an interface, with the kernel's own time of arrival."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from kactl_agent.kernel.buffers import set_receive_buffer
from support.netns import inside

_ETH_P_ALL = 0x0003
_ETH_P_IP = 0x0800
_ETH_P_ARP = 0x0806
_SO_TIMESTAMPNS = 35
_BUFFER = 64 << 20
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_STATISTICS = struct.Struct("=II")
_TIMESPEC = struct.Struct("=qq")
_VRRP = 112
_NAP = 0.05  # seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A VRRP advert over IPv4 or a gratuitous ARP."""

    at: int  # ns since 1970, as the kernel noted it
    kind: str  # advert, garp
    source: str  # of an advert the IP source, of a gratuitous ARP the address announced
    virtual_router_id: int = 0
    priority: int = 0


def parse(frame: bytes, at: int) -> Sighting | None:
    """None for anything else."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == _ETH_P_IP and len(frame) >= 42 and frame[23] == _VRRP:
        start = 14 + (frame[14] & 0x0F) * 4
        return Sighting(at, "advert", socket.inet_ntoa(frame[26:30]), frame[start + 1], frame[start + 2])
    if ethertype == _ETH_P_ARP and len(frame) >= 42 and frame[28:32] == frame[38:42]:
        return Sighting(at, "garp", socket.inet_ntoa(frame[28:32]))
    return None


class Witness:
    """Everything seen since the start, or since `forget`, is in `seen`."""

    def __init__(self, namespace: str, interface: str = "eth0") -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        set_receive_buffer(self._socket, _BUFFER)
        with inside(namespace):
            self._socket.bind((interface, _ETH_P_ALL))
        self._socket.setblocking(False)
        self.seen: list[Sighting] = []

    def close(self) -> None:
        self._socket.close()

    def read(self) -> list[Sighting]:
        """Take in what has come, and return what was new."""
        new = []
        while True:
            try:
                frame, ancillary, _flags, _address = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                break
            seconds, fraction = _TIMESPEC.unpack(ancillary[0][2])
            sighting = parse(frame, seconds * 1_000_000_000 + fraction)
            if sighting is not None:
                new.append(sighting)
        _packets, dropped = _STATISTICS.unpack(self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        assert not dropped, f"{dropped} frames were not seen: the buffer was full"
        self.seen += new
        return new

    def forget(self) -> None:
        self.read()
        self.seen.clear()

    def wait(self, find: Callable[[list[Sighting]], T | None], seconds: float, what: str) -> T:
        """What `find` makes of everything seen, once that is something. It wakes seldom: who is watched needs the
        processor, and when something came is the kernel's to say."""
        deadline = time.monotonic() + seconds
        while True:
            self.read()
            if found := find(self.seen):
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"not seen within {seconds:.1f} s: {what}")
            time.sleep(_NAP)

    def wait_quiet(self, seconds: float, limit: float, kind: str) -> None:
        """Until nothing of the kind has come for so long."""
        deadline = time.monotonic() + limit
        last = time.monotonic()
        while time.monotonic() - last < seconds:
            if any(sighting.kind == kind for sighting in self.read()):
                last = time.monotonic()
            if time.monotonic() > deadline:
                raise AssertionError(f"no {seconds} s without {kind} in {limit} s")
            time.sleep(_NAP)

    def watch(self, seconds: float) -> None:
        """Take in what comes during a stretch of time, waking seldom: the watched ones need the processor."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self.read()


@contextlib.contextmanager
def witness(namespace: str, interface: str = "eth0") -> Iterator[Witness]:
    made = Witness(namespace, interface)
    try:
        yield made
    finally:
        made.close()

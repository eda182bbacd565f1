"""Sockets that are read together, in a real loop."""

from __future__ import annotations

import asyncio
import socket
import time

from kactl_agent.runtime.batched_reading import BatchedReading


class Reader:
    def __init__(self) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.setblocking(False)
        self.got: list[bytes] = []

    def fileno(self) -> int:
        return self.near.fileno()

    def readable(self) -> None:
        self.got.append(self.near.recv(100))


def test_every_packet_is_read_whether_they_come_one_by_one_or_by_the_hundred() -> None:
    async def scenario() -> list[bytes]:
        loop = asyncio.get_running_loop()
        reading, one, other = BatchedReading(loop), Reader(), Reader()
        for reader in (one, other):
            reading.watch(reader, reader.readable)
        for number in range(300):
            (one if number % 2 else other).far.send(b"%d" % number)
            await asyncio.sleep(0.0001)
        deadline = time.monotonic() + 10
        while len(one.got) + len(other.got) < 300 and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        one.far.send(b"last")
        while b"last" not in one.got and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        reading.unwatch(other)
        other.far.send(b"unheard")
        await asyncio.sleep(0.02)
        reading.close()
        for sock in (one.near, one.far, other.near, other.far):
            sock.close()
        return [*one.got, *other.got]

    got = asyncio.run(scenario())
    assert len(got) == 301
    assert b"last" in got
    assert b"unheard" not in got

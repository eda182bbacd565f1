"""A checkers worker under load, over IPVS in memory: a program that prints what it cost, as JSON.

`python checker_load.py KIND COUNT SECONDS_BETWEEN SECONDS PORT...`: COUNT real servers, each with one checker (tcp or
http) of 127.0.0.1 on one of the ports; measured for SECONDS, after a round of checks has been made.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import os
import re
import select
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec

from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    CheckTiming,
    ConnectTarget,
    HttpCheckSettings,
    TcpCheckSettings,
    UrlSettings,
)
from kactl_agent.ipvs.model import AF_INET
from kactl_agent.ipvs.settings import CheckersSettings, Members, RealServerSettings, VirtualServerSettings
from kactl_agent.kernel.fake_ipvs import FakeIpvs
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.runtime.loop import worker_loop
from kactl_agent.workers.checkers import CheckersWorker, CheckersWorkerStart

SECOND = 1_000_000_000
SERVERS_A_SERVICE = 4
TICK = 0.005


def settings(kind: str, count: int, between: float, ports: list[int]) -> CheckersSettings:
    interval = int(between * SECOND)
    timing = CheckTiming(delay_loop=interval, delay_while_down=interval, warmup=interval)

    def checker(number: int) -> AnyCheckerSettings:
        target = ConnectTarget(address="127.0.0.1", port=ports[number % len(ports)])
        if kind == "tcp":
            return TcpCheckSettings(timing=timing, target=target)
        return HttpCheckSettings(timing=timing, target=target, urls=(UrlSettings(path="/", host="127.0.0.1"),))

    def real(number: int) -> RealServerSettings:
        return RealServerSettings(ip_address(0x0A000000 + number).packed, 80, checkers=(checker(number),))

    services = []
    for first in range(0, count, SERVERS_A_SERVICE):
        address = ip_address(0xC6120000 + first // SERVERS_A_SERVICE).packed  # 198.18.0.0/15
        services.append(
            VirtualServerSettings(
                name=f"[{ip_address(address)}]:tcp:80",
                protocol=6,
                members=(Members(AF_INET, 6, address, 1, 80),),
                real_servers=tuple(real(first + n) for n in range(SERVERS_A_SERVICE)),
            )
        )
    return CheckersSettings(virtual_servers=tuple(services))


def listener(sockets: list[Any]) -> None:
    """Reads, in a process of its own, what the worker says to supervisor and observer."""
    with contextlib.suppress(OSError):
        while sockets:
            for sock in select.select(sockets, [], [])[0]:
                if not sock.recv(1 << 20):
                    sockets.remove(sock)
    os._exit(0)


def proportional_set_size() -> float:
    """MiB of this process."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.M)
    return int(found[1]) / 1024 if found else 0.0


def measure(kind: str, count: int, between: float, seconds: float, ports: list[int]) -> dict[str, float]:
    ends = [socket_pair(), socket_pair()]
    if os.fork() == 0:
        for _theirs, ours in ends:
            ours.close()
        listener([theirs for theirs, _ours in ends])
    for theirs, _ours in ends:
        theirs.close()
    configuration = AgentConfiguration(
        revision="x", file="x", checkers=msgspec.msgpack.encode(settings(kind, count, between, ports))
    )
    start = CheckersWorkerStart(configuration=configuration, capabilities=frozenset(), keep_ipvs=False)
    lags: list[float] = []
    figures: dict[str, float] = {}
    with worker_loop() as loop:
        supervisor, observer = (Edge(ours) for _theirs, ours in ends)
        kernel = FakeIpvs()
        worker = CheckersWorker(loop, start, supervisor, observer, lambda _name: kernel)
        del configuration, start

        def totals() -> tuple[int, int]:
            runs = failed = 0
            for balanced in worker._balancer:
                for each in itertools.chain.from_iterable(worker._balancer.snapshots(balanced)):
                    runs += each.runs
                    failed += each.failed_runs
            return runs, failed

        def tick(due: float) -> None:
            now = time.monotonic()
            lags.append(now - due)
            loop.call_later(TICK, tick, now + TICK)

        async def run() -> None:
            worker.begin()
            gc.freeze()
            await asyncio.sleep(2 + 2 * between)
            before, _ = totals()
            figures["mebibytes"] = proportional_set_size()
            began, cpu = time.monotonic(), time.process_time()
            tick(time.monotonic())
            await asyncio.sleep(seconds)
            took, cpu = time.monotonic() - began, time.process_time() - cpu
            after, failed = totals()
            lags.sort()
            figures.update(
                a_second=(after - before) / took,
                failed=failed,
                percent=100 * cpu / took,
                microseconds=1e6 * cpu / max(1, after - before),
                lag_p99=1000 * lags[int(len(lags) * 0.99)],
                lag_most=1000 * lags[-1],
            )

        loop.run_until_complete(run())
    return figures


def main() -> None:
    kind, count, between, seconds, *ports = sys.argv[1:]
    figures = measure(kind, int(count), float(between), float(seconds), [int(port) for port in ports])
    json.dump(figures, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

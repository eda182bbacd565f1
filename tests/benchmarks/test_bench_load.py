"""A master with many instances: what it costs, how punctual it is, how long it takes to start and to reload."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from support.contest import (
    Contender,
    Router,
    available,
    configuration,
    processor_time,
    proportional_set_size,
    running,
)
from support.figures import Figure, add, median, percentile
from support.netns import Network, Node, ip, network
from support.wire import Sighting, Witness, witness

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

FULL = bool(os.environ.get("KACTL_FULL", "1"))
ROUNDS = 3 if FULL else 1
WINDOW = 20.0 if FULL else 5.0  # seconds
WAIT = 60.0
MS = 1_000_000
INTERVAL_FAST = "0.1"
VERSION3 = 3


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def routers(
    count: int,
    *,
    interface: str = "eth0",
    number: int = 0,
    advert_int: str = "1",
    version: int = 2,
    priority: int = 254,
    lines: Sequence[str] = (),
) -> list[Router]:
    """Virtual routers 1, 2, ... on an interface; `number` tells the interfaces apart. They announce themselves once."""
    return [
        Router(
            f"VI_{number}_{vrid}", vrid, [f"10.{20 + number}.0.{vrid}/32"], interface=interface, priority=priority,
            advert_int=advert_int, version=version, lines=("garp_master_delay 0", *lines),
        )
        for vrid in range(1, count + 1)
    ]  # fmt: skip


def more_interfaces(net: Network, node: Node, count: int) -> list[str]:
    """Interfaces of the node beside eth0, on the same LAN, each with an address."""
    bridge = node.namespace[:-2] + "br"
    names = []
    for number in range(1, count + 1):
        name, port = f"eth{number}", f"more{number}"
        ip("link", "add", name, "type", "veth", "peer", "name", port, "netns", bridge, namespace=node.namespace)
        ip("link", "set", port, "master", "br0", "up", namespace=bridge)
        ip("link", "set", name, "up", namespace=node.namespace)
        ip("addr", "add", f"198.51.10{number}.1/24", "dev", name, namespace=node.namespace)
        names.append(name)
    return names


def virtual_routers(seen: Sequence[Sighting]) -> set[tuple[str, int]]:
    """Who advertises: source address and virtual router."""
    return {(s.source, s.virtual_router_id) for s in seen if s.kind == "advert" and s.priority}


def all_masters(count: int) -> Callable[[list[Sighting]], int | None]:
    """When (ns since 1970) the last of so many virtual routers was first heard of; None until then."""
    known: set[tuple[str, int]] = set()
    position = 0

    def find(seen: list[Sighting]) -> int | None:
        nonlocal position
        for sighting in seen[position:]:
            position += 1
            if sighting.kind == "advert" and sighting.priority:
                known.add((sighting.source, sighting.virtual_router_id))
                if len(known) == count:
                    return sighting.at
        return None

    return find


def settle(eye: Witness, count: int, kind: type[Contender], daemon: Contender) -> None:
    """All are masters, and the announcements of the start are over."""
    eye.wait(all_masters(count), WAIT, f"{count} masters of {kind.label}\n{daemon.log[-2000:]}")
    eye.wait_quiet(1.0, WAIT, "garp")
    eye.forget()


FAST_FROM = "198.51.101.1"  # the address of eth1


def masters(kind: type[Contender], net: Network, folder: Path, text: str, count: int) -> dict[str, float]:
    """Of a master at work: share of a processor in %, and the lateness of adverts."""
    node = net.nodes[0]
    with witness(net.nodes[1].namespace) as eye, running(kind, node, folder, text) as daemon:
        settle(eye, count, kind, daemon)
        pids = daemon.processes()
        started, before = time.monotonic(), processor_time(pids)
        eye.watch(WINDOW)
        busy, elapsed = processor_time(pids) - before, time.monotonic() - started
        memory = proportional_set_size(pids)
        adverts = sum(s.kind == "advert" for s in eye.seen)
        late = lateness(eye.seen, FAST_FROM)
        eye.forget()
    assert adverts > 0.5 * count * WINDOW, "most adverts are sent"
    return {
        "share": busy / elapsed / 1e7,
        "advert": busy / adverts / 1e3,
        "memory": memory / 1024,
        "late": percentile(late, 0.999) / MS,
        "worst": max(late) / MS,
    }


def lateness(seen: Sequence[Sighting], fast: str = "") -> list[int]:
    """ns by which the time between two adverts of a virtual router exceeds its interval: what a backup has to bear.

    The interval is 100 ms of those that the address `fast` sends, 1 s of the others.
    """
    last: dict[tuple[str, int], int] = {}
    late = []
    for sighting in seen:
        if sighting.kind != "advert":
            continue
        key = (sighting.source, sighting.virtual_router_id)
        interval = 100 * MS if sighting.source == fast else 1000 * MS
        if key in last:
            late.append(max(0, sighting.at - last[key] - interval))
        last[key] = sighting.at
    return late


def interleaved(
    net: Network, folder: Path, text: str, count: int, measure: Callable[..., dict[str, float]] = masters
) -> dict[str, dict[str, float]]:
    """The medians of each contender's rounds, which take turns."""
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(ROUNDS):
        for kind in available():
            found[kind.label].append(measure(kind, net, folder / f"{kind.label}{number}", text, count))
    return {
        label: {name: median([each[name] for each in rounds]) for name in rounds[0]} for label, rounds in found.items()
    }


def row(found: dict[str, dict[str, float]], name: str, what: str, unit: str, must: str = "", aim: str = "") -> None:
    theirs = found.get("keepalived")
    add(Figure(what, unit, found["kactl"][name], theirs[name] if theirs else None, must, aim))


def test_processor_time_of_250_masters(net: Network, tmp_path: Path) -> None:
    text = configuration(routers(250))
    found = interleaved(net, tmp_path, text, 250)
    row(found, "share", "250 instances at 1 s: share of a processor", "%", "<= 4", "2")
    row(found, "advert", "250 instances at 1 s: processor time an advert", "us")
    row(found, "memory", "250 instances: memory (PSS of all processes)", "MiB", "< 60 MiB", "35 MiB")


def test_punctuality_of_250_masters_at_1_s_and_64_at_100_ms(net: Network, tmp_path: Path) -> None:
    (fast,) = more_interfaces(net, net.nodes[0], 1)
    slow = routers(250)
    text = configuration([*slow, *routers(64, interface=fast, number=1, advert_int=INTERVAL_FAST, version=VERSION3)])
    found = interleaved(net, tmp_path, text, 314)
    row(found, "late", "250 at 1 s, 64 at 100 ms: advert lateness p99.9", "ms", "<= +2 ms", "< 1.0")
    row(found, "worst", "250 at 1 s, 64 at 100 ms: worst advert lateness", "ms")
    row(found, "share", "250 at 1 s, 64 at 100 ms: share of a processor", "%")


def test_memory_of_one_instance(net: Network, tmp_path: Path) -> None:
    found = {}
    for kind in available():
        text = configuration(routers(1, priority=255, lines=("state MASTER",)))
        with (
            witness(net.nodes[1].namespace) as eye,
            running(kind, net.nodes[0], tmp_path / kind.label, text) as daemon,
        ):
            eye.wait(all_masters(1), WAIT, f"a master\n{daemon.log}")
            eye.wait_quiet(0.5, WAIT, "garp")
            found[kind.label] = {"memory": proportional_set_size(daemon.processes()) / 1024}
    row(found, "memory", "1 instance: memory (PSS of all processes)", "MiB", "< 60 MiB", "35 MiB")
    assert found["kactl"]["memory"] < 200, "something is very wrong"


def starting(kind: type[Contender], net: Network, folder: Path, text: str, count: int) -> dict[str, float]:
    """ms from the start of the process to the first advert of the last instance, and of a reload to its effect."""
    node = net.nodes[0]
    with witness(net.nodes[1].namespace) as eye, running(kind, node, folder, text) as daemon:
        at = eye.wait(all_masters(count), WAIT, f"{count} masters of {kind.label}\n{daemon.log[-2000:]}")
        started = (at - daemon.started) / MS
        eye.wait_quiet(1.0, WAIT, "garp")
        new = "10.99.0.1"
        daemon.configure(text.replace("10.20.0.1/32", f"10.20.0.1/32\n    {new}/32", 1))
        eye.forget()
        since = time.time_ns()
        daemon.reload()
        at = eye.wait(lambda seen: announced(seen, new), WAIT, f"{new} is announced\n{daemon.log[-2000:]}")
        reloaded = (at - since) / MS
        eye.watch(2.5)
        assert len(virtual_routers(eye.seen)) == count, "all are still masters"
        late = max(lateness(eye.seen)) / MS
        eye.forget()
    return {"started": started, "reloaded": reloaded, "late": late}


def announced(seen: Sequence[Sighting], address: str) -> int | None:
    return next((s.at for s in seen if s.kind == "garp" and s.source == address), None)


def test_start_of_1000_instances_and_a_reload(net: Network, tmp_path: Path) -> None:
    names = ["eth0", *more_interfaces(net, net.nodes[0], 3)]
    made = [
        router
        for number, name in enumerate(names)
        for router in routers(250, interface=name, number=number, priority=255, lines=("state MASTER",))
    ]
    found = interleaved(net, tmp_path, configuration(made), 1000, starting)
    row(found, "started", "1,000 instances: start to all MASTER (owners)", "ms", "reported", "< 1.0")
    row(found, "reloaded", "1,000 instances: reload with one new address, to its GARP", "ms", "reported", "< 1.0")
    row(found, "late", "1,000 instances: worst advert lateness over that reload", "ms", "reported", "< 1.0")


def test_start_of_one_instance(net: Network, tmp_path: Path) -> None:
    text = configuration(routers(1, priority=255, lines=("state MASTER",)))
    found = interleaved(net, tmp_path, text, 1, starting)
    row(found, "started", "1 instance: start of the daemon to its first advert (owner)", "ms")

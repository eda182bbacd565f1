"""Where checks go from: interfaces, marks, link-local addresses; and pings without the kernel's leave for datagrams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.exchanges import NetworkCheckSettings
from kactl_agent.checkers.settings import (
    CheckTiming,
    ConnectTarget,
    PingCheckSettings,
    TcpCheckSettings,
    UdpCheckSettings,
)
from kactl_agent.runtime.probe import Outcome, ProbeShell
from support.check_servers import Do, stream_server
from support.netns import Network, Node, inside, ip, network

pytestmark = pytest.mark.root
TIMING = CheckTiming()
SECOND = 1_000_000_000
PATIENCE = 20  # seconds until an answer, which comes at once, is missed on a machine that has much to do


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def checked(node: Node, *checks: NetworkCheckSettings) -> list[CheckEnded]:
    """Outcomes of checks made in a node, all at once."""

    async def run() -> list[Outcome]:
        loop = asyncio.get_running_loop()
        shell = ProbeShell(loop)
        futures = []
        for settings in checks:
            future: asyncio.Future[Outcome] = loop.create_future()
            shell.start(settings, 0, future.set_result)
            futures.append(future)
        try:
            return list(await asyncio.gather(*futures))
        finally:
            shell.close()

    with inside(node.namespace):
        found = asyncio.run(run())
    assert all(isinstance(each, CheckEnded) for each in found)
    return [each for each in found if isinstance(each, CheckEnded)]


def target(address: str, port: int = 0, seconds: int = PATIENCE, **said: Any) -> ConnectTarget:
    return ConnectTarget(address=address, port=port, timeout=seconds * SECOND, **said)


def tcp(address: str, port: int, **said: Any) -> TcpCheckSettings:
    return TcpCheckSettings(timing=TIMING, target=target(address, port, **said))


def ping(address: str, **said: Any) -> PingCheckSettings:
    return PingCheckSettings(timing=TIMING, target=target(address, **said))


def test_link_local_addresses_need_the_interface(net: Network) -> None:
    here, there = net.nodes
    with inside(there.namespace), stream_server(Do.HOLD, address="::") as server:
        with_it, without, from_link_local = checked(
            here,
            tcp(there.link_local, server.port, bind_interface="eth0"),
            tcp(there.link_local, server.port),
            tcp(there.link_local, server.port, bind_interface="eth0", bind_address=here.link_local),
        )
    assert with_it.success, with_it
    assert not without.success
    assert from_link_local.success, from_link_local


def test_the_interface_is_the_one_that_is_said(net: Network) -> None:
    here, there = net.nodes
    with inside(there.namespace), stream_server(Do.HOLD, address="0.0.0.0") as server:
        right, wrong = checked(
            here,
            tcp(there.ipv4, server.port, bind_interface="eth0"),
            tcp(there.ipv4, server.port, seconds=2, bind_interface="lo"),
        )
    assert right.success, right
    assert not wrong.success


def test_the_mark_is_on_the_packets(net: Network) -> None:
    """A rule leads marked packets to nowhere."""
    here, there = net.nodes
    ip("rule", "add", "fwmark", "7", "prohibit", namespace=here.namespace)
    with inside(there.namespace), stream_server(Do.HOLD, address="0.0.0.0") as server:
        plain, marked, other = checked(
            here,
            tcp(there.ipv4, server.port),
            tcp(there.ipv4, server.port, fwmark=7),
            tcp(there.ipv4, server.port, fwmark=8),
        )
    assert plain.success, plain
    assert not marked.success
    assert other.success, other


@pytest.mark.parametrize("datagrams", [True, False])
def test_pings_with_and_without_ping_group_range(net: Network, datagrams: bool) -> None:
    """Without it over raw sockets: a hundred at once, each hears its own reply."""
    here, there = net.nodes
    with inside(here.namespace):
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647" if datagrams else "1 0")
    outcomes = checked(
        here,
        *[ping(there.ipv4) for _ in range(100)],
        ping(there.link_local, bind_interface="eth0"),
        ping("198.51.100.77", seconds=2),
    )
    *good, nobody = outcomes
    assert all(each.success for each in good), [each for each in good if not each.success]
    assert not nobody.success


def test_a_datagram_to_nobody_ends_in_an_error(net: Network) -> None:
    """Neighbour discovery fails after three seconds, which is an error of the datagram."""
    here, _ = net.nodes
    settings = UdpCheckSettings(
        timing=TIMING, target=ConnectTarget(address="198.51.100.77", port=53, timeout=PATIENCE * SECOND)
    )
    (found,) = checked(here, settings)
    assert found == CheckEnded(False, "No route to host")

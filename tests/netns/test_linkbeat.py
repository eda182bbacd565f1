"""Asking the kernel's interfaces for their link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pytest

from kactl_agent.kernel.linkbeat import LinkProbe
from support.netns import Network, Node, inside, ip, network, wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


def test_every_way_knows_whether_there_is_a_link(net: Network) -> None:
    """veth has no transceiver: who wants MII is asked by ethtool."""
    node = net.nodes[0]
    wait_for(partial(_operates, node), 5, "the kernel, which sets the flag behind the carrier, has seen the cable")
    with inside(node.namespace):
        probe = LinkProbe()
    try:
        ways = {"": "ETHTOOL", "MII": "ETHTOOL", "ETHTOOL": "ETHTOOL", "IOCTL": "IOCTL"}
        assert {wanted: probe.link("eth0", wanted) for wanted in ways} == dict.fromkeys(ways, True)
        assert {wanted: probe.way("eth0", wanted) for wanted in ways} == ways
        ip("link", "set", "port1", "down", namespace=f"{node.namespace[:-2]}br")
        for wanted in ways:
            wait_for(partial(_unlinked, probe, wanted), 5, f"no link by {wanted}")
        with pytest.raises(OSError, match="No such device"):
            probe.link("gone0", "")
    finally:
        probe.close()


def _operates(node: Node) -> bool:
    (link,) = json.loads(ip("-j", "link", "show", "dev", "eth0", namespace=node.namespace))
    return bool(link["operstate"] == "UP")


def _unlinked(probe: LinkProbe, wanted: str) -> bool:
    return not probe.link("eth0", wanted)

"""use_ipvlan on a kernel that has it, and what is said on one that has not (S44).

`tests/kernel/test_ipvlan.py` runs this inside User Mode Linux where the running kernel has no ipvlan.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, Agent, agents, instance, master_down
from support.netns import Network, Node, inside, ip, network, wait_for

pytestmark = pytest.mark.root

IPVLAN, PLAIN = "198.51.100.77/24", "198.51.100.78/24"


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def has_ipvlan(node: Node) -> bool:
    add = ["ip", "-n", node.namespace, "link", "add", "Kprobe", "link", "eth0", "type", "ipvlan", "mode", "l2"]
    if subprocess.run(add, capture_output=True, check=False).returncode:
        return False
    ip("link", "del", "Kprobe", namespace=node.namespace)
    return True


def configuration() -> dict[str, Any]:
    own = {"name": "iv77", "address": "198.51.100.5/24", "mode": "private"}
    config = instance(
        "IPVLAN", virtual_router_id=77, version=3, priority=200, advert_int=0.1, use_ipvlan=own,
        virtual_ipaddress=[IPVLAN],
    )  # fmt: skip
    plain = instance("PLAIN", version=3, priority=200, advert_int=0.1, virtual_ipaddress=[PLAIN])
    config["vrrp_instance"] |= plain["vrrp_instance"]
    return config


def ipvlan(node: Node) -> dict[str, Any] | None:
    links = json.loads(ip("-j", "-d", "link", "show", namespace=node.namespace))
    return next((link for link in links if link["ifname"] == "iv77"), None)


def test_master_on_an_ipvlan(net: Network, tmp_path: Path) -> None:
    node, witness = net.nodes
    if not has_ipvlan(node):
        pytest.skip("this kernel has no ipvlan")
    with inside(witness.namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        sock.bind(("eth0", 0x0800))
    sock.settimeout(10)
    one = Agent(node, tmp_path / "one", configuration())
    with sock, agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK, "IPVLAN")
        found = ipvlan(node)
        assert found is not None
        assert found["link"] == "eth0"
        assert found["linkinfo"]["info_kind"] == "ipvlan"
        assert found["linkinfo"]["info_data"]["mode"] == "l2"
        wait_for(lambda: node.has(IPVLAN), SLACK, "the address on the parent, as keepalived has it")
        assert node.has("198.51.100.5/24", "iv77")
        frame = sock.recv(2048)
        while frame[23] != 112 or frame[35] != 77:
            frame = sock.recv(2048)
        assert frame[26:30] == socket.inet_aton("198.51.100.5")
        assert one.stop() == 0
    assert ipvlan(node) is None


def test_a_kernel_without_ipvlan_is_told_of_and_everything_else_works(net: Network, tmp_path: Path) -> None:
    """S44."""
    node = net.nodes[0]
    if has_ipvlan(node):
        pytest.skip("this kernel has ipvlan")
    one = Agent(node, tmp_path / "one", configuration())
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK, "PLAIN")
        assert node.has(PLAIN)
        one.wait_state("FAULT", SLACK, "IPVLAN")
        assert "iv77: this kernel has no ipvlan interfaces (module ipvlan)" in one.log
        status = one.status()
        assert status is not None
        assert status["vrrp"]["instances"]["IPVLAN"]["faults"]
        assert one.stop() == 0

"""keepalived 2.2.7 on one node and the agent on the other, from one keepalived.conf: the same VMACs, addresses on them
and kernel parameters. The nodes stand on LANs of their own, so that both are master."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.agents import SLACK, Agent, agents
from support.keepalived_peer import keepalived_path
from support.netns import Network, Node, ip, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(keepalived_path() is None, reason="keepalived is not installed"),
]

CONF = """
vrrp_instance A { interface eth0
 virtual_router_id 77
 version 2
 priority 200
 use_vmac
 virtual_ipaddress { 198.51.100.77/24
 198.51.100.78/24 dev eth1 use_vmac }
 virtual_ipaddress_excluded { 2001:db8:1::77/64 }
}
vrrp_instance B { interface eth0
 virtual_router_id 77
 priority 200
 use_vmac
 virtual_ipaddress { 2001:db8::77/64 }
 virtual_ipaddress_excluded { 198.51.100.79/24 }
}
vrrp_instance C { interface eth1
 virtual_router_id 78
 version 2
 priority 200
 use_vmac 02:11:22:33:44
 use_vmac_addr
 virtual_ipaddress { 203.0.113.77/24
 203.0.113.78/24 dev eth0 }
}
"""
ADDRESSES = 11
"""What a node has that is master of all, without its own on eth0."""
PARAMETERS = ("arp_ignore", "arp_filter", "accept_local", "rp_filter", "promote_secondaries")


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        made.cut(1)
        for node in made.nodes:
            ip("link", "add", "eth1", "type", "veth", "peer", "name", "peer1", namespace=node.namespace)
            for name in ("eth1", "peer1"):
                ip("link", "set", name, "addrgenmode", "none", "group", "5", "up", namespace=node.namespace)
            ip("addr", "add", "203.0.113.1/24", "dev", "eth1", namespace=node.namespace)
            write(node, "ipv4/conf/all/rp_filter", "1")
            write(node, "ipv4/conf/eth1/rp_filter", "2")
        yield made


def write(node: Node, key: str, value: str) -> None:
    command = ["ip", "netns", "exec", node.namespace, "sh", "-c", f"echo {value} > /proc/sys/net/{key}"]
    subprocess.run(command, check=True)


def parameters(node: Node, names: list[str]) -> dict[str, str]:
    paths = [f"/proc/sys/net/ipv4/conf/{name}/{key}" for name in names for key in PARAMETERS]
    paths += [f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6" for name in names if name not in ("all", "default")]
    shown = subprocess.run(
        ["ip", "netns", "exec", node.namespace, "grep", "-H", "", *paths], capture_output=True, text=True, check=True
    ).stdout
    return {key: value for key, _, value in (line.rpartition(":") for line in shown.splitlines())}


def macvlans(node: Node) -> dict[str, dict[str, Any]]:
    found = {}
    for link in json.loads(ip("-j", "-d", "addr", "show", namespace=node.namespace)):
        if link.get("linkinfo", {}).get("info_kind") == "macvlan":
            found[link["ifname"]] = {
                "parent": link["link"],
                "address": link["address"],
                "mode": link["linkinfo"]["info_data"]["mode"],
                "gen_mode": link.get("inet6_addr_gen_mode"),
                "up": "UP" in link["flags"],
            }
    return found


def addresses(node: Node) -> set[tuple[str, str, int, str, bool]]:
    return {
        (link["ifname"], each["local"], each["prefixlen"], each["scope"], bool(each.get("deprecated")))
        for link in json.loads(ip("-j", "addr", "show", namespace=node.namespace))
        for each in link["addr_info"]
        if each["local"] not in (node.ipv4, node.link_local) or link["ifname"] != "eth0"
    }


def wait_addresses(node: Node, count: int) -> None:
    """A master's, which come one after the other."""
    wait_for(lambda: len(addresses(node)) == count, 5 + SLACK, f"{count} addresses, not {addresses(node)}")


def test_the_same_interfaces_addresses_and_kernel_parameters(net: Network, tmp_path: Path) -> None:
    theirs, ours = net.nodes
    conf, converted = tmp_path / "keepalived.conf", tmp_path / "agent.yaml"
    conf.write_text(CONF)
    command = [sys.executable, "-m", "kactl", "convert", str(conf), "-o", str(converted)]
    subprocess.run(command, check=True, capture_output=True)
    daemon = theirs.run(
        "keepalived", "-n", "-l", "-P", "-f", str(conf), "-p", str(tmp_path / "pid"), "-r", str(tmp_path / "vrrp.pid"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        agent = Agent(ours, tmp_path / "one", yaml.safe_load(converted.read_text()))
        with agents(agent):
            for name in "ABC":
                agent.wait_state("MASTER", 4 + SLACK, name)
            wait_addresses(theirs, ADDRESSES)
            wait_addresses(ours, ADDRESSES)
            assert macvlans(ours) == macvlans(theirs)
            mirrored = {theirs.link_local: "mirrored", ours.link_local: "mirrored"}
            seen = [{(n, mirrored.get(a, a), *rest) for n, a, *rest in addresses(node)} for node in (ours, theirs)]
            assert seen[0] == seen[1]
            names = [*macvlans(ours), "eth0", "eth1", "all", "default", "lo"]
            assert parameters(ours, names) == parameters(theirs, names) | {
                # since 2.3.0, and as of 2.4.3, where IPv6 addresses of an IPv4 instance go to the interface below
                "/proc/sys/net/ipv4/conf/vrrp6.77/arp_ignore": "1",
                "/proc/sys/net/ipv6/conf/vrrp.77/disable_ipv6": "1",
            }
            assert agent.stop() == 0
            assert not macvlans(ours)
    finally:
        daemon.terminate()
        daemon.wait(10)


PEER = """
vrrp_instance A {{ interface eth0
 virtual_router_id 77
 version 3
 priority {priority}
 advert_int 0.2
 use_vmac
 virtual_ipaddress {{ {address} }}
}}
"""


@pytest.fixture
def lan() -> Iterator[Network]:
    with network(2) as made:
        yield made


@pytest.mark.parametrize("address", ["198.51.100.77/24", "2001:db8:1::77/64"])
@pytest.mark.parametrize("priority", [100, 200], ids=["keepalived-backup", "keepalived-master"])
def test_one_master_on_the_same_virtual_mac(lan: Network, tmp_path: Path, address: str, priority: int) -> None:
    """Both roles: one of the two has the address, on its VMAC, and the other takes it over."""
    theirs, ours = lan.nodes
    name = "vrrp.77"
    conf = tmp_path / "keepalived.conf"
    conf.write_text(PEER.format(priority=priority, address=address))
    own: dict[str, Any] = {
        "interface": "eth0", "virtual_router_id": 77, "version": 3, "priority": 150, "advert_int": 0.2,
        "use_vmac": True, "virtual_ipaddress": [address],
    }  # fmt: skip
    daemon = theirs.run(
        "keepalived", "-n", "-l", "-P", "-f", str(conf), "-p", str(tmp_path / "pid"), "-r", str(tmp_path / "vrrp.pid"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        agent = Agent(ours, tmp_path / "one", {"vrrp_instance": {"A": own}})
        with agents(agent):
            agent.wait_running()
            wait_for(lambda: name in macvlans(theirs) and name in macvlans(ours), SLACK, "both have their VMAC")
            leader, follower = (theirs, ours) if priority > own["priority"] else (ours, theirs)
            wait_for(
                lambda: leader.has(address, name) and not follower.has(address, name), 2 + SLACK, "one has the address"
            )
            if leader is theirs:
                daemon.terminate()
            else:
                assert agent.stop() == 0
            wait_for(lambda: follower.has(address, name), 2 + SLACK, f"the other takes over\n{agent.log}")
    finally:
        daemon.terminate()
        daemon.wait(10)


CLASHES = """
vrrp_instance A { interface eth0
 virtual_router_id 77
 version 3
 priority 200
 use_vmac
 virtual_ipaddress { 198.51.100.77/24 }
}
vrrp_instance B { interface eth0
 virtual_router_id 78
 priority 200
 use_vmac
 virtual_ipaddress { 2001:db8::78/64 }
}
vrrp_instance C { interface eth0
 virtual_router_id 79
 version 3
 priority 200
 use_vmac mine
 virtual_ipaddress { 198.51.100.79/24
 198.51.100.80/24 dev eth1 use_vmac }
}
"""
CLASHES_ADDRESSES = 8
TAKEN = ("vrrp.77", "vrrp1.77", "vrrp.78", "mine", "vrrp1.79")


def test_names_that_somebody_else_has(net: Network, tmp_path: Path) -> None:
    """Both take the next one, and leave what they find alone. `vrrp.79` is free for what was to be called `mine`."""
    theirs, ours = net.nodes
    for node in net.nodes:
        for name in TAKEN:
            ip("link", "add", name, "type", "bridge", namespace=node.namespace)
    conf, converted = tmp_path / "keepalived.conf", tmp_path / "agent.yaml"
    conf.write_text(CLASHES)
    command = [sys.executable, "-m", "kactl", "convert", str(conf), "-o", str(converted)]
    subprocess.run(command, check=True, capture_output=True)
    daemon = theirs.run(
        "keepalived", "-n", "-l", "-P", "-f", str(conf), "-p", str(tmp_path / "pid"), "-r", str(tmp_path / "vrrp.pid"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        agent = Agent(ours, tmp_path / "one", yaml.safe_load(converted.read_text()))
        with agents(agent):
            for name in "ABC":
                agent.wait_state("MASTER", 5 + SLACK, name)
            wait_addresses(theirs, CLASHES_ADDRESSES)
            wait_addresses(ours, CLASHES_ADDRESSES)
            assert macvlans(ours) == macvlans(theirs)
            assert {name for name, *_rest in addresses(ours)} == {name for name, *_rest in addresses(theirs)}
            assert "mine, which is no macvlan for eth0" in agent.log
            assert agent.stop() == 0
        assert macvlans(ours) == {}
        left = {link["ifname"] for link in json.loads(ip("-j", "link", "show", namespace=ours.namespace))}
        assert left >= set(TAKEN)
    finally:
        daemon.terminate()
        daemon.wait(10)

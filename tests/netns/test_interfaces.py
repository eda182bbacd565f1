"""Interfaces of running agents that come, go and flap."""

from __future__ import annotations

import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, inside, ip, network, wait_for
from support.wire import Sighting, witness

pytestmark = pytest.mark.root

ADDRESS = "198.51.100.100/24"


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def transitions(agent: Agent) -> int:
    return agent.log.count(" -> ")


def cable(net: Network, *, plugged: bool) -> None:
    """Of the first node: its interface gets or loses its carrier."""
    ip("link", "set", "port1", "up" if plugged else "down", namespace=f"{net.nodes[0].namespace[:-2]}br")


def carrier(agent: Agent) -> bool:
    return "NO-CARRIER" not in ip("link", "show", "eth0", namespace=agent.node.namespace)


def delayed(priority: int, **keywords: Any) -> dict[str, Any]:
    block = instance(version=3, advert_int=1, priority=priority, virtual_ipaddress=[ADDRESS], **keywords)
    return block | {"interface_up_down_delays": [{"interface": "eth0", "down": 1.5, "up": 0.5}]}


def test_a_short_flap_of_a_masters_interface_changes_no_state(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", delayed(200))
    two = Agent(net.nodes[1], tmp_path / "two", delayed(100))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200) + SLACK)
        two.wait_state("BACKUP", SLACK)
        before = transitions(one), transitions(two)
        cable(net, plugged=False)
        wait_for(lambda: not carrier(one), SLACK, "the carrier is lost")
        cable(net, plugged=True)
        wait_for(lambda: carrier(one), SLACK, "the carrier is back")
        deadline = time.monotonic() + 4
        wait_for(lambda: time.monotonic() > deadline, 5, "every delay and Master_Down_Interval is over")
        assert (transitions(one), transitions(two)) == before
        assert one.node.has(ADDRESS)
        unplugging = time.monotonic()
        cable(net, plugged=False)
        one.wait_state("FAULT", 1.5 + SLACK)
        assert time.monotonic() - unplugging >= 1.5
        assert "interface eth0 is down" in one.log
        two.wait_state("MASTER", master_down(3, 100) + SLACK)
        cable(net, plugged=True)
        one.wait_state("MASTER", 0.5 + master_down(3, 200) + SLACK)


def test_an_instance_that_does_not_track_its_interface_stays_master_without_it(net: Network, tmp_path: Path) -> None:
    block = instance(
        version=3, advert_int=0.1, dont_track_primary=True, virtual_ipaddress=[ADDRESS], track_interface=["mark0"]
    )
    ip("link", "add", "mark0", "type", "veth", "peer", "name", "mark1", namespace=net.nodes[0].namespace)
    for name in ("mark0", "mark1"):
        ip("link", "set", name, "up", namespace=net.nodes[0].namespace)
    one = Agent(net.nodes[0], tmp_path / "one", block)
    with agents(one):
        one.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        before = transitions(one)
        ip("link", "set", "eth0", "down", namespace=one.node.namespace)
        ip("link", "set", "eth0", "up", namespace=one.node.namespace)
        assert one.node.has(ADDRESS)
        # what the kernel told of eth0 has been heard when the next thing is
        ip("link", "set", "mark0", "down", namespace=one.node.namespace)
        one.wait_state("FAULT", SLACK)
        assert transitions(one) == before + 1


def test_unicast_without_a_source_address_takes_the_interfaces_whenever_it_comes(net: Network, tmp_path: Path) -> None:
    one, two = net.nodes
    ip("addr", "del", f"{one.ipv4}/24", "dev", "eth0", namespace=one.namespace)

    def unicast(priority: int, peer: str) -> dict[str, Any]:
        return instance(version=3, advert_int=0.1, priority=priority, virtual_ipaddress=[ADDRESS], unicast_peer=[peer])

    first = Agent(one, tmp_path / "one", unicast(200, two.ipv4))
    second = Agent(two, tmp_path / "two", unicast(100, one.ipv4))
    with agents(first, second):
        first.wait_state("FAULT", SLACK)
        assert "interface eth0 has no address to send adverts from" in first.log
        second.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        ip("addr", "add", f"{one.ipv4}/24", "dev", "eth0", namespace=one.namespace)
        first.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        second.wait_state("BACKUP", SLACK)
        status = second.status()
        assert status is not None
        assert status["vrrp"]["instances"]["VI_1"]["master"] == one.ipv4


def test_promote_secondaries_keeps_the_other_addresses_of_a_network(net: Network, tmp_path: Path) -> None:
    """Without it, the kernel takes the secondary addresses away together with the primary one of their network."""
    node = net.nodes[0]
    first, second = "203.0.113.1/24", "203.0.113.2/24"

    def promoted() -> str:
        return node.run(
            "sysctl", "-n", "net.ipv4.conf.eth0.promote_secondaries", stdout=subprocess.PIPE
        ).communicate()[0]  # fmt: skip

    before = promoted()
    block = instance("A", version=3, advert_int=0.1, virtual_ipaddress=[first], promote_secondaries=True)
    other = instance("B", version=3, advert_int=0.1, virtual_ipaddress=[second], virtual_router_id=52)
    block["vrrp_instance"] |= other["vrrp_instance"]
    one = Agent(node, tmp_path / "one", block)
    with agents(one):
        for name in "AB":
            one.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK, name)
        assert promoted() == "1\n"
        transitions_before = transitions(one)
        ip("addr", "del", first, "dev", "eth0", namespace=node.namespace)
        wait_for(lambda: transitions(one) >= transitions_before + 2, SLACK, "A notices and comes back")
        assert node.has(second)
        assert "B: MASTER ->" not in one.log
        assert one.stop() == 0
        assert promoted() == before == "0\n"


def test_gratuitous_arps_of_two_instances_on_an_interface_keep_their_gap(net: Network, tmp_path: Path) -> None:
    """vrrp_garp_interval, and with a garp_group its own interval."""
    block = instance("A", version=3, advert_int=0.1, virtual_ipaddress=[ADDRESS], garp_master_delay=0)
    other = instance(
        "B",
        version=3,
        advert_int=0.1,
        virtual_ipaddress=["198.51.100.101/24"],
        virtual_router_id=52,
        garp_master_delay=0,
    )
    block["vrrp_instance"] |= other["vrrp_instance"]
    block |= {"global_defs": {"vrrp_garp_interval": 5}, "garp_group": [{"garp_interval": 0.2, "interface": "eth0"}]}
    ours = ("198.51.100.100", "198.51.100.101")

    def announcements(seen: list[Sighting]) -> list[int]:
        """When the first ten came, as the kernel noted it: who reads them may be late."""
        times = [each.at for each in seen if each.kind == "garp" and each.source in ours][:10]
        return times if len(times) == 10 else []

    with witness(net.nodes[1].namespace) as watching:
        one = Agent(net.nodes[0], tmp_path / "one", block)
        with agents(one):
            times = watching.wait(announcements, START + SLACK, "ten gratuitous ARPs")
        gaps = [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(times)]
        assert min(gaps) > 0.15
        assert sum(gaps) >= 9 * 0.2 - 0.05


def test_unicast_instances_without_interface(net: Network, tmp_path: Path) -> None:
    """They are where their source addresses are; each address says where it goes."""

    def bare(priority: int, here: str, there: str) -> dict[str, Any]:
        block = instance(
            version=3, advert_int=0.1, priority=priority, unicast_src_ip=here, unicast_peer=[there],
            virtual_ipaddress=[{"address": ADDRESS, "dev": "eth0"}],
        )  # fmt: skip
        del block["vrrp_instance"]["VI_1"]["interface"]
        return block

    one, two = net.nodes
    first = Agent(one, tmp_path / "one", bare(200, one.ipv4, two.ipv4))
    second = Agent(two, tmp_path / "two", bare(100, two.ipv4, one.ipv4))
    with agents(first, second):
        first.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        second.wait_state("BACKUP", SLACK)
        assert first.node.has(ADDRESS)
        assert first.stop() == 0
        second.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        wait_for(lambda: second.node.has(ADDRESS), SLACK, "the address on the new master")
        ip("link", "set", "eth0", "down", namespace=two.namespace)
        second.wait_state("FAULT", SLACK)
        assert "track_interface eth0" in second.log, "the interface of its address"


@pytest.mark.parametrize("family", [4, 6])
def test_a_source_address_that_the_machine_does_not_have_yet_can_be_sent_from(
    net: Network, tmp_path: Path, family: int
) -> None:
    """IP_FREEBIND: a balancer of the provider may have it, or it may come later."""
    one, two = net.nodes
    if family == 4:
        source, peer, address = "198.51.100.77", two.ipv4, ADDRESS
    else:
        source, peer, address = "fe80::77", two.link_local, "2001:db8::100/64"
    agent = Agent(
        one, tmp_path / "one",
        instance(version=3, advert_int=0.1, unicast_src_ip=source, unicast_peer=[peer], virtual_ipaddress=[address]),
    )  # fmt: skip
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with inside(two.namespace):
        listener = socket.socket(kind, socket.SOCK_RAW, 112)
    listener.settimeout(10)
    with listener, agents(agent):
        agent.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        _data, sender = listener.recvfrom(2048)
        assert sender[0].partition("%")[0] == source


def test_an_interface_that_is_asked_for_its_link(net: Network, tmp_path: Path) -> None:
    block = instance(version=3, advert_int=0.1, virtual_ipaddress=[ADDRESS])
    one = Agent(
        net.nodes[0], tmp_path / "one", block | {"linkbeat_interfaces": [{"interface": "eth0", "method": "MII"}]}
    )
    with agents(one):
        one.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        cable(net, plugged=False)
        one.wait_state("FAULT", 2 + SLACK)
        cable(net, plugged=True)
        one.wait_state("MASTER", 2 + master_down(3, 100, 0.1) + SLACK)
        assert one.stop() == 0


def test_an_interface_that_is_renamed_and_one_of_another_kind_in_its_place(net: Network, tmp_path: Path) -> None:
    """Instances follow the name, as keepalived does with dynamic_interfaces allow_if_changes."""
    node = net.nodes[0]
    block = instance(version=3, advert_int=0.1, virtual_ipaddress=[ADDRESS])
    one = Agent(node, tmp_path / "one", block | {"global_defs": {"dynamic_interfaces": "allow_if_changes"}})
    with agents(one):
        one.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        assert "not served" not in one.log
        ip("link", "set", "eth0", "down", namespace=node.namespace)
        ip("link", "set", "eth0", "name", "old0", namespace=node.namespace)
        ip("link", "set", "old0", "up", namespace=node.namespace)
        one.wait_state("FAULT", SLACK)
        ip("link", "add", "eth0", "link", "old0", "type", "macvlan", "mode", "private", namespace=node.namespace)
        ip("addr", "add", "198.51.100.9/24", "dev", "eth0", namespace=node.namespace)
        ip("link", "set", "eth0", "up", namespace=node.namespace)
        one.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        assert node.has(ADDRESS)

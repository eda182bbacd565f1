"""VMACs on the real kernel (RFC 9568 7.3, keepalived's use_vmac)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, Node, inside, ip, network, wait_for

pytestmark = pytest.mark.root

ADDRESS, ADDRESS6 = "198.51.100.77/24", "2001:db8::77/64"
MAC, MAC6 = "00:00:5e:00:01:4d", "00:00:5e:00:02:4d"


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        subprocess.run(
            ["ip", "-n", made.nodes[0].namespace, "link", "add", "Kprobe", "link", "eth0", "type", "macvlan"],
            capture_output=True, check=False,
        )  # fmt: skip
        if link(made.nodes[0], "Kprobe") is None:
            pytest.skip("this kernel has no macvlan")
        ip("link", "del", "Kprobe", namespace=made.nodes[0].namespace)
        yield made


def link(node: Node, name: str) -> dict[str, Any] | None:
    links = json.loads(ip("-j", "-d", "link", "show", namespace=node.namespace))
    return next((each for each in links if each["ifname"] == name), None)


def sysctl(node: Node, key: str) -> int:
    command = ["ip", "netns", "exec", node.namespace, "cat", f"/proc/sys/net/{key}"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def vmac(address: str = ADDRESS, **more: Any) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "virtual_router_id": 77, "version": 3, "priority": 200, "advert_int": 0.1, "use_vmac": True,
        "virtual_ipaddress": [address],
    }  # fmt: skip
    return instance(**(keywords | more))


def frames(node: Node, ethertype: int) -> socket.socket:
    with inside(node.namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
        sock.bind(("eth0", ethertype))
    sock.settimeout(10)
    return sock


def forget(sock: socket.socket) -> None:
    """What has come until now is not meant."""
    patience = sock.gettimeout()
    sock.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(2048)
    sock.settimeout(patience)


def test_master_on_a_vmac(net: Network, tmp_path: Path) -> None:
    node, witness = net.nodes
    ip("link", "set", "eth0", "group", "7", namespace=node.namespace)
    before = {key: sysctl(node, f"ipv4/conf/{key}") for key in ("eth0/arp_ignore", "eth0/arp_filter", "all/rp_filter")}
    with frames(witness, 0x0800) as ipv4, frames(witness, 0x0806) as arp:
        one = Agent(node, tmp_path / "one", vmac())
        with agents(one):
            one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
            found = link(node, "vrrp.77")
            assert found is not None
            assert found["address"] == MAC
            assert found["link"] == "eth0"
            assert found["linkinfo"]["info_data"]["mode"] == "private"
            assert (found["group"], found["inet6_addr_gen_mode"]) == ("7", "none")
            wait_for(lambda: node.has(ADDRESS, "vrrp.77"), SLACK, "the address on the VMAC")
            assert not node.has(ADDRESS)
            advert = ipv4.recv(2048)
            while advert[23] != 112:
                advert = ipv4.recv(2048)
            assert advert[6:12].hex(":") == MAC
            assert advert[26:30] == socket.inet_aton(node.ipv4)
            announced = arp.recv(2048)
            assert announced[6:12].hex(":") == announced[22:28].hex(":") == MAC
            assert announced[28:32] == socket.inet_aton("198.51.100.77")
            assert sysctl(node, "ipv4/conf/vrrp.77/accept_local") == 1
            assert sysctl(node, "ipv6/conf/vrrp.77/disable_ipv6") == 1
            reached = witness.run("ping", "-c1", "-W3", "198.51.100.77", stdout=subprocess.DEVNULL)
            assert reached.wait() == 0
            answer = arp.recv(2048)
            while answer[20:22] != b"\0\2" or answer[28:32] != socket.inet_aton("198.51.100.77"):
                answer = arp.recv(2048)
            assert answer[22:28].hex(":") == MAC, "who has it is the VMAC"
            assert one.stop() == 0
    assert link(node, "vrrp.77") is None
    assert {key: sysctl(node, f"ipv4/conf/{key}") for key in before} == before


def test_fault_follows_the_parent_and_failover_between_vmacs(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", vmac())
    two = Agent(net.nodes[1], tmp_path / "two", vmac(priority=100))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        two.wait_state("BACKUP", SLACK)
        ip("link", "set", "eth0", "down", namespace=one.node.namespace)
        one.wait_state("FAULT", SLACK)
        assert not one.node.has(ADDRESS, "vrrp.77")
        two.wait_state("MASTER", master_down(3, 100, 0.1) + SLACK)
        ip("link", "set", "eth0", "up", namespace=one.node.namespace)
        ip("addr", "replace", f"{one.node.ipv4}/24", "dev", "eth0", namespace=one.node.namespace)
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        two.wait_state("BACKUP", SLACK)
        wait_for(lambda: one.node.has(ADDRESS, "vrrp.77"), SLACK, "the address back on the VMAC")


def test_ipv6_vmac_sends_from_the_parents_link_local_address_and_follows_it(net: Network, tmp_path: Path) -> None:
    """S16."""
    node, witness = net.nodes
    one = Agent(node, tmp_path / "one", vmac(ADDRESS6))
    with agents(one), frames(witness, 0x86DD) as sent:
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        assert node.has(f"{node.link_local}/64", "vrrp.77")

        def source() -> tuple[str, str]:
            while True:
                frame = sent.recv(2048)
                if frame[20] == 112:
                    return frame[6:12].hex(":"), socket.inet_ntop(socket.AF_INET6, frame[22:38])

        assert source() == (MAC6, node.link_local)
        ip("addr", "add", "fe80::aa/64", "dev", "eth0", "nodad", namespace=node.namespace)
        ip("addr", "del", f"{node.link_local}/64", "dev", "eth0", namespace=node.namespace)
        wait_for(lambda: source() == (MAC6, "fe80::aa"), SLACK, "adverts from the new address")
        assert not node.has(f"{node.link_local}/64", "vrrp.77")
        assert node.has("fe80::aa/64", "vrrp.77")
        ip("addr", "del", "fe80::aa/64", "dev", "eth0", namespace=node.namespace)
        wait_for(lambda: source()[1].startswith("fe80::") and source()[1] != "fe80::aa", SLACK, "a generated address")
        assert one.state() == "MASTER"


def test_xmit_base_sends_from_the_parent(net: Network, tmp_path: Path) -> None:
    node, witness = net.nodes
    one = Agent(node, tmp_path / "one", vmac(vmac_xmit_base=True))
    with agents(one), frames(witness, 0x0800) as sent:
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        frame = sent.recv(2048)
        while frame[23] != 112:
            frame = sent.recv(2048)
        parent = link(node, "eth0")
        assert parent is not None
        assert frame[6:12].hex(":") == parent["address"]
        wait_for(lambda: node.has(ADDRESS, "vrrp.77"), SLACK, "the address on the VMAC")


def test_a_killed_agent_leaves_a_vmac_that_the_next_takes_over(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    one = Agent(node, tmp_path / "one", vmac())
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        worker = one.kill("vrrp", signal.SIGSTOP)  # so that it cannot tidy up when its supervisor is gone
        one.process.kill()
        one.process.wait(10)
        os.kill(worker, signal.SIGKILL)
    assert link(node, "vrrp.77") is not None
    one.log_path.unlink()  # what is read from now on is the successor's
    again = Agent(node, tmp_path / "one", vmac(virtual_router_id=78))
    with agents(again):
        again.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        assert link(node, "vrrp.77") is None, "of another configuration: deleted"
        assert again.stop() == 0
    assert link(node, "vrrp.78") is None
    assert sysctl(node, "ipv4/conf/eth0/arp_filter") == 0, "as it was before the agent that was killed"


def test_one_that_was_there_is_used_and_stays(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    ip("link", "add", "vrrp.77", "link", "eth0", "type", "macvlan", "mode", "private", namespace=node.namespace)
    one = Agent(node, tmp_path / "one", vmac())
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        found = link(node, "vrrp.77")
        assert found is not None
        assert found["address"] == MAC
        assert one.stop() == 0
    assert link(node, "vrrp.77") is not None


def test_one_on_a_macvlan_is_made_once(net: Network, tmp_path: Path) -> None:
    """The kernel puts it on the device beneath, here one of another namespace, as in a container on a macvlan."""
    node, witness = net.nodes
    for name, mode in (("eth1", "bridge"), ("lan0", "bridge")):
        ip("link", "add", "link", "eth0", "name", name, "type", "macvlan", "mode", mode, namespace=node.namespace)
    with network(1) as inner:
        inside_of = inner.nodes[0]
        ip("link", "set", "eth1", "netns", inside_of.namespace, "up", namespace=node.namespace)
        ip("addr", "add", "192.0.2.200/24", "dev", "eth1", namespace=inside_of.namespace)
        ip("link", "set", "lan0", "up", namespace=node.namespace)
        ip("addr", "add", "192.0.2.201/24", "dev", "lan0", namespace=node.namespace)
        for number, (place, parent) in enumerate(((inside_of, "eth1"), (node, "lan0"))):
            one = Agent(place, tmp_path / f"{number}", vmac(interface=parent))
            with agents(one), frames(witness, 0x0800) as ipv4:
                one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
                made = link(place, "vrrp.77")
                assert made is not None
                for mtu in ("1400", "1500"):
                    ip("link", "set", parent, "mtu", mtu, namespace=place.namespace)
                    forget(ipv4)
                    for _ in range(3):
                        advert = ipv4.recv(2048)
                        while advert[23] != 112:
                            advert = ipv4.recv(2048)
                        assert advert[6:12].hex(":") == MAC
                now = link(place, "vrrp.77")
                assert now is not None
                assert now["ifindex"] == made["ifindex"]
                assert one.state() == "MASTER"
                assert one.stop() == 0
            assert link(place, "vrrp.77") is None
            assert sysctl(place, f"ipv4/conf/{parent}/arp_filter") == 0


def test_reload_changes_vmacs_by_difference(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    config = vmac()
    config["vrrp_instance"]["VI_2"] = config["vrrp_instance"]["VI_1"] | {
        "virtual_router_id": 78, "virtual_ipaddress": ["198.51.100.78/24"],
    }  # fmt: skip
    one = Agent(node, tmp_path / "one", config)
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        one.wait_state("MASTER", SLACK, "VI_2")
        kept = link(node, "vrrp.77")
        del config["vrrp_instance"]["VI_2"]["use_vmac"]
        one.configure(config)
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: link(node, "vrrp.78") is None, SLACK, "the VMAC gone")
        wait_for(lambda: node.has("198.51.100.78/24"), SLACK, "the address on the interface")
        now = link(node, "vrrp.77")
        assert kept is not None
        assert now is not None
        assert kept["ifindex"] == now["ifindex"]
        assert one.state() == "MASTER"


def test_kept_addresses_keep_their_vmac(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    one = Agent(node, tmp_path / "one", vmac(), "--keep-vips")
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: node.has(ADDRESS, "vrrp.77"), SLACK, "the address")
        assert one.stop() == 0
    assert node.has(ADDRESS, "vrrp.77")
    again = Agent(node, tmp_path / "two", vmac())
    with agents(again):
        again.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        assert again.stop() == 0
    assert link(node, "vrrp.77") is not None, "another agent's"


def test_a_killed_worker_leaves_no_vmac_and_the_next_makes_it(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    one = Agent(node, tmp_path / "one", vmac())
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        before = link(node, "vrrp.77")
        one.kill("vrrp")
        assert before is not None
        old = before["ifindex"]  # for how long there is none is nobody's to say
        made = START + SLACK
        wait_for(lambda: (link(node, "vrrp.77") or before)["ifindex"] != old, made, "taken away and made anew")
        wait_for(lambda: node.has(ADDRESS, "vrrp.77"), master_down(3, 200, 0.1) + SLACK, "master again")
        assert one.stop() == 0
    assert link(node, "vrrp.77") is None


def test_the_parents_vrf_is_the_vmacs(net: Network, tmp_path: Path) -> None:
    """`tests/kernel/test_ipvlan.py` runs this where the running kernel has no VRFs."""
    node = net.nodes[0]
    add = ["ip", "-n", node.namespace, "link", "add", "red", "type", "vrf", "table", "100"]
    if subprocess.run(add, capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no VRFs")
    ip("link", "set", "red", "up", namespace=node.namespace)
    ip("link", "set", "eth0", "master", "red", namespace=node.namespace)
    one = Agent(node, tmp_path / "one", vmac())
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        found = link(node, "vrrp.77")
        assert found is not None
        assert found["master"] == "red"
        wait_for(lambda: node.has(ADDRESS, "vrrp.77"), SLACK, "the address")
        ip("link", "set", "eth0", "nomaster", namespace=node.namespace)
        wait_for(lambda: "master" not in (link(node, "vrrp.77") or {"master": ""}), SLACK, "it leaves with its parent")
        assert one.stop() == 0

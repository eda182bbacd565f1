"""no_accept and VMACs with iptables and ipset, on the real kernel: what the commands of users show of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyroute2.nftables.main import NFTables

from kactl_agent.kernel.iptables import IptablesFirewall
from kactl_agent.kernel.xtables import Table
from kactl_agent.kernel.xtables_socket import KernelTable
from kactl_agent.vrrp.firewall import (
    Blocked,
    FirewallEntry,
    FirewallSettings,
    IpsetNames,
    IptablesSettings,
    VmacTraffic,
)
from kactl_agent.vrrp.settings import Family
from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, Node, inside, network, wait_for
from support.vrrp import packed

pytestmark = pytest.mark.root

COMMANDS = {
    name: shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    for name in ("iptables-legacy", "ip6tables-legacy", "iptables-legacy-save", "ip6tables-legacy-save", "ipset")
}
OURS = ' -m comment --comment "kactl keepalived"'


def run(node: Node, name: str, *arguments: str) -> str:
    command = ["ip", "netns", "exec", node.namespace, str(COMMANDS[name]), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def rules(node: Node, family: str = "iptables") -> list[str]:
    """What users see, without what nothing has been asked for."""
    shown = run(node, f"{family}-legacy-save", "-t", "filter").splitlines()
    return [line.replace(OURS, "") for line in shown if line.startswith("-A")]


def members(node: Node, name: str) -> set[str]:
    shown = run(node, "ipset", "save", name).splitlines()
    return {line.split(" ", 2)[2] for line in shown if line.startswith("add")}


@pytest.fixture
def net() -> Iterator[Network]:
    missing = [name for name, path in COMMANDS.items() if path is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with network(2) as made:
        with inside(made.nodes[0].namespace):
            try:
                KernelTable(Family.IPV4).read()
                KernelTable(Family.IPV6).read()
            except OSError as error:
                pytest.skip(f"this kernel has no iptables: {error}")
        yield made


def settings(chains: Sequence[str] = ("INPUT", "OUTPUT"), *, sets: bool = True) -> FirewallSettings:
    inside_chain, outside_chain = (*chains, "")[:2]
    names = IpsetNames() if sets else None
    tables = IptablesSettings(input_chain=inside_chain, output_chain=outside_chain, sets=names)
    return FirewallSettings(families=(Family.IPV4, Family.IPV6), iptables=tables)


V4, V6, LOCAL = Blocked(packed("192.0.2.1")), Blocked(packed("2001:db8::1")), Blocked(packed("fe80::1"), "eth0")
VMACS: tuple[FirewallEntry, ...] = (
    VmacTraffic(Family.IPV4, 7, 2, interface="vrrp.51"),
    VmacTraffic(Family.IPV6, 8, 2, packed("fe80::9"), interface="vrrp6.51"),
)


def test_with_sets(net: Network) -> None:
    node = net.nodes[0]
    run(node, "iptables-legacy", "-A", "INPUT", "-p", "tcp", "-j", "ACCEPT")
    with inside(node.namespace):
        port = IptablesFirewall()
        assert port.install(settings(), (V4, V6, LOCAL, *VMACS)) == ""
        assert rules(node) == [
            "-A INPUT -p tcp -j ACCEPT",
            "-A INPUT -m set --match-set keepalived dst -j DROP",
            "-A OUTPUT -m set --match-set keepalived src -j DROP",
            "-A OUTPUT -p igmp -m set --match-set keepalived_igmp dst,dst -j DROP",
        ]
        icmpv6 = "-p ipv6-icmp -m icmp6 --icmpv6-type"
        assert rules(node, "ip6tables") == [
            f"-A INPUT {icmpv6} 135 -m set --match-set keepalived6 dst -j ACCEPT",
            f"-A INPUT {icmpv6} 136 -m set --match-set keepalived6 dst -j ACCEPT",
            "-A INPUT -m set --match-set keepalived6 dst -j DROP",
            f"-A INPUT {icmpv6} 135 -m set --match-set keepalived_if6 dst,src -j ACCEPT",
            f"-A INPUT {icmpv6} 136 -m set --match-set keepalived_if6 dst,src -j ACCEPT",
            "-A INPUT -m set --match-set keepalived_if6 dst,src -j DROP",
            f"-A OUTPUT {icmpv6} 131 -m set --match-set keepalived_mld dst,dst -j DROP",
            f"-A OUTPUT {icmpv6} 143 -m set --match-set keepalived_mld dst,dst -j DROP",
            f"-A OUTPUT {icmpv6} 133 -m set --match-set keepalived_mld dst,dst -j DROP",
            f"-A OUTPUT {icmpv6} 136 -m set --match-set keepalived_nd src,dst -j DROP",
            f"-A OUTPUT {icmpv6} 135 -m set --match-set keepalived6 src -j ACCEPT",
            f"-A OUTPUT {icmpv6} 136 -m set --match-set keepalived6 src -j ACCEPT",
            "-A OUTPUT -m set --match-set keepalived6 src -j DROP",
            f"-A OUTPUT {icmpv6} 135 -m set --match-set keepalived_if6 src,dst -j ACCEPT",
            f"-A OUTPUT {icmpv6} 136 -m set --match-set keepalived_if6 src,dst -j ACCEPT",
            "-A OUTPUT -m set --match-set keepalived_if6 src,dst -j DROP",
        ]
        assert members(node, "keepalived") == {"192.0.2.1"}
        assert members(node, "keepalived6") == {"2001:db8::1"}
        assert members(node, "keepalived_if6") == {"fe80::1,eth0"}
        assert members(node, "keepalived_igmp") == {"0.0.0.0/0,vrrp.51"}
        assert members(node, "keepalived_mld") == {"::/0,vrrp6.51"}
        assert members(node, "keepalived_nd") == {"fe80::9,vrrp6.51"}
        port.apply([V4], [Blocked(packed("192.0.2.2"))])
        assert members(node, "keepalived") == {"192.0.2.2"}
        port.uninstall()
        port.close()
    assert rules(node) == ["-A INPUT -p tcp -j ACCEPT"]
    assert rules(node, "ip6tables") == []
    assert run(node, "ipset", "list", "-n") == ""


def test_without_sets_in_chains_of_their_own(net: Network) -> None:
    """Addresses before what is in the chains, VMACs behind; other chains, jumps and counts stay as they are."""
    node = net.nodes[0]
    for command in ("iptables-legacy", "ip6tables-legacy"):
        lo = "::1" if command == "ip6tables-legacy" else "127.0.0.1"
        for words in ("-N mine_in", "-N mine_out", "-N zz", "-A INPUT -j mine_in", "-A OUTPUT -j mine_out",
                      "-A mine_in -p tcp -j ACCEPT", "-A INPUT -g zz", "-A zz -p udp -j RETURN",
                      f"-A zz -s {lo} -j mine_out", "-A zz -p sctp", "-A OUTPUT -p udp --dport 9 -j DROP"):  # fmt: skip
            run(node, command, *words.split())
    before = {family: rules(node, family) for family in ("iptables", "ip6tables")}
    with inside(node.namespace):
        port = IptablesFirewall()
        assert port.install(settings(("mine_in", "mine_out"), sets=False), (V4, V6, LOCAL, *VMACS)) == ""
        shown = rules(node)
        added = [line for line in shown if line not in before["iptables"]]
        assert added == [
            "-A mine_in -d 192.0.2.1/32 -j DROP",
            "-A mine_out -s 192.0.2.1/32 -j DROP",
            "-A mine_out -o vrrp.51 -p igmp -j DROP",
        ]
        assert shown.index(added[0]) < shown.index("-A mine_in -p tcp -j ACCEPT")
        added = [line for line in rules(node, "ip6tables") if line not in before["ip6tables"]]
        icmpv6 = "-p ipv6-icmp -m icmp6 --icmpv6-type"
        assert added == [
            f"-A mine_in -d 2001:db8::1/128 {icmpv6} 135 -j ACCEPT",
            f"-A mine_in -d 2001:db8::1/128 {icmpv6} 136 -j ACCEPT",
            "-A mine_in -d 2001:db8::1/128 -j DROP",
            f"-A mine_in -d fe80::1/128 -i eth0 {icmpv6} 135 -j ACCEPT",
            f"-A mine_in -d fe80::1/128 -i eth0 {icmpv6} 136 -j ACCEPT",
            "-A mine_in -d fe80::1/128 -i eth0 -j DROP",
            f"-A mine_out -s 2001:db8::1/128 {icmpv6} 135 -j ACCEPT",
            f"-A mine_out -s 2001:db8::1/128 {icmpv6} 136 -j ACCEPT",
            "-A mine_out -s 2001:db8::1/128 -j DROP",
            f"-A mine_out -s fe80::1/128 -o eth0 {icmpv6} 135 -j ACCEPT",
            f"-A mine_out -s fe80::1/128 -o eth0 {icmpv6} 136 -j ACCEPT",
            "-A mine_out -s fe80::1/128 -o eth0 -j DROP",
            f"-A mine_out -o vrrp6.51 {icmpv6} 131 -j DROP",
            f"-A mine_out -o vrrp6.51 {icmpv6} 143 -j DROP",
            f"-A mine_out -o vrrp6.51 {icmpv6} 133 -j DROP",
            f"-A mine_out -s fe80::9/128 -o vrrp6.51 {icmpv6} 136 -j DROP",
        ]
        port.apply([V4], [])
        assert "-A mine_in -d 192.0.2.1/32 -j DROP" not in rules(node)
        port.uninstall()
        port.close()
    assert {family: rules(node, family) for family in before} == before


def test_counts_of_others_survive(net: Network) -> None:
    node, client = net.nodes
    run(node, "iptables-legacy", "-A", "INPUT", "-p", "icmp", "-j", "ACCEPT")
    for _ in range(2):
        subprocess.run(
            ["ip", "netns", "exec", client.namespace, "ping", "-c1", node.ipv4], check=True, capture_output=True
        )

    def counts() -> list[str]:
        return re.findall(r"\[(\d+):\d+\] -A INPUT -p icmp", run(node, "iptables-legacy-save", "-c"))

    assert counts() == ["2"]
    with inside(node.namespace):
        port = IptablesFirewall()
        port.install(settings(sets=False), (V4,))
        assert counts() == ["2"]
        port.uninstall()
        port.close()
    assert counts() == ["2"]


def test_what_a_predecessor_left_is_taken_over(net: Network) -> None:
    node = net.nodes[0]
    with inside(node.namespace):
        for left in (settings(), (V4,)), (settings(sets=False), (Blocked(packed("192.0.2.7")),)):
            killed = IptablesFirewall()
            killed.install(*left)
            killed.close()
        assert rules(node) == ["-A INPUT -d 192.0.2.7/32 -j DROP", "-A OUTPUT -s 192.0.2.7/32 -j DROP"]
        port = IptablesFirewall()
        port.install(settings(), (V6,))
        assert len(rules(node)) == 3
        assert members(node, "keepalived") == set(), "what was in the set is not blocked any more"
        port.discard(settings())
        port.close()
    assert (rules(node), rules(node, "ip6tables"), run(node, "ipset", "list", "-n")) == ([], [], "")


def test_rules_that_somebody_flushed_come_back_with_the_next_change(net: Network) -> None:
    node = net.nodes[0]
    with inside(node.namespace):
        port = IptablesFirewall()
        port.install(settings(), (V4,))
        run(node, "iptables-legacy", "-F")
        port.apply([], [V6])
        assert len(rules(node)) == 3
        port.uninstall()
        port.close()


def test_nobody_changes_the_table_between_its_reading_and_its_writing(net: Network) -> None:
    """Who replaces a rule by another leaves the table as long as it was: the kernel would take what we made before."""
    node = net.nodes[0]
    run(node, "iptables-legacy", "-A", "INPUT", "-s", "192.0.2.200", "-j", "ACCEPT")
    command = [str(COMMANDS["iptables-legacy"]), "-R", "INPUT", "1", "-s", "192.0.2.201", "-j", "ACCEPT"]
    said: list[str] = []

    class Contended(KernelTable):
        def read(self) -> Table:
            found = super().read()
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1)
            except subprocess.TimeoutExpired:
                said.append("it waits for the xtables lock")  # as newer ones do
            else:
                said.append(done.stderr)
            return found

    with inside(node.namespace):
        port = IptablesFirewall(Contended)
        port.install(settings(sets=False), (V4,))
        assert "xtables lock" in said[0]
        run(node, "iptables-legacy", *command[1:])
        assert "-A INPUT -s 192.0.2.201/32 -j ACCEPT" in rules(node)
        port.discard(settings(sets=False))
        port.close()


def test_a_chain_that_is_missing(net: Network) -> None:
    with inside(net.nodes[0].namespace):
        port = IptablesFirewall()
        with pytest.raises(OSError, match="iptables: there is no chain nowhere"):
            port.install(settings(("nowhere",)), (V4,))
        port.close()


def agent(node: Node, directory: Path, configuration: dict[str, Any], *, legacy: bool = True) -> Agent:
    """`iptables` is the one of old for it, or the one that makes rules of nftables."""
    commands = directory / "bin"
    commands.mkdir(parents=True)
    (commands / "iptables").symlink_to(os.path.realpath(str(COMMANDS["iptables-legacy"])))
    if not legacy:
        (commands / "xtables-nft-multi").write_text("#!/bin/sh\n")
        (commands / "xtables-nft-multi").chmod(0o755)
        (commands / "iptables").unlink()
        (commands / "iptables").symlink_to("xtables-nft-multi")
    path = f"{commands}:{os.environ.get('PATH', '')}"
    return Agent(node, directory, configuration, environment={"PATH": path})


def configuration(address: str, global_defs: dict[str, Any], **more: Any) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "version": 3, "priority": 200, "advert_int": 0.1, "virtual_ipaddress": [address], "no_accept": True,
    }  # fmt: skip
    return instance(**(keywords | more)) | {"global_defs": global_defs}


def reaches(node: Node, address: str) -> bool:
    command = ["ip", "netns", "exec", node.namespace, "ping", "-c1", "-W1", address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("sets", [True, False], ids=["ipsets", "rules"])
@pytest.mark.parametrize("address", ["198.51.100.77/24", "fe80::77/64"])
def test_packets_for_the_address_are_dropped_and_it_can_be_found(
    net: Network, tmp_path: Path, address: str, sets: bool
) -> None:
    node, client = net.nodes
    host = address.partition("/")[0]
    target = f"{host}%eth0" if host.startswith("fe80") else host
    words = {"vrrp_iptables": True} | ({} if sets else {"vrrp_ipsets": False})
    one = agent(node, tmp_path / "one", configuration(address, words))
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: node.has(address), SLACK, "the address")
        assert not reaches(client, target)
        found = subprocess.run(
            ["ip", "-n", client.namespace, "neigh", "show", host], capture_output=True, text=True, check=True
        ).stdout
        assert "lladdr" in found, "ARP and neighbour discovery are answered"
        assert reaches(client, f"{node.link_local}%eth0"), "other addresses are"
        assert "vips" not in one.log
        one.configure(configuration(address, words, no_accept=False))
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: reaches(client, target), START, f"accepted after the reload\n{one.log}")
        assert one.stop() == 0
    assert (rules(node), rules(node, "ip6tables"), run(node, "ipset", "list", "-n")) == ([], [], "")


def test_reports_of_a_vmac_are_dropped(net: Network, tmp_path: Path) -> None:
    """A kernel that cannot be asked to move them, as nftables can, is asked to drop them."""
    node, _client = net.nodes
    config = configuration("198.51.100.77/24", {"vrrp_iptables": True}, use_vmac=True)
    one = agent(node, tmp_path / "one", config)

    def dropped() -> bool:
        shown = run(node, "iptables-legacy-save", "-c", "-t", "filter")
        return bool(re.search(r"\[[1-9]\d*:\d+\] -A OUTPUT -p igmp .*keepalived_igmp dst,dst", shown))

    with agents(one):
        one.wait_running()
        wait_for(dropped, START, f"reports are dropped; {run(node, 'iptables-legacy-save', '-c')}\n{one.log}")
        assert members(node, "keepalived_igmp") == {"0.0.0.0/0,vrrp.51"}
        assert one.stop() == 0


def test_where_iptables_makes_rules_of_nftables_that_is_used(net: Network, tmp_path: Path) -> None:
    node = net.nodes[0]
    config = configuration("198.51.100.77/24", {"vrrp_iptables": True})
    one = agent(node, tmp_path / "one", config, legacy=False)
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        with inside(node.namespace), NFTables() as tables:
            wait_for(lambda: list(tables.get_tables()), SLACK, "a table")
        assert "nftables is used in place of iptables" in one.log
        assert rules(node) == []
        assert one.stop() == 0

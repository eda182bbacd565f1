"""no_accept and the traffic of VMACs in nftables, on the real kernel."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2.nftables.main import NFTables

from kactl_agent.kernel import nfnetlink as nft
from kactl_agent.kernel.nftables import NftablesFirewall, probe
from kactl_agent.vrrp.firewall import Blocked, FirewallSettings, VmacTraffic
from kactl_agent.vrrp.settings import Family
from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, Node, inside, network, wait_for
from support.vrrp import packed

pytestmark = pytest.mark.root

BOTH = FirewallSettings(families=(Family.IPV4, Family.IPV6))


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        with inside(made.nodes[0].namespace):
            port = NftablesFirewall()
            try:
                port.install(BOTH, ())
                port.uninstall()
            except OSError as error:
                pytest.skip(f"this kernel has no nftables: {error}")
            finally:
                port.close()
        yield made


def reaches(node: Node, address: str) -> bool:
    command = ["ip", "netns", "exec", node.namespace, "ping", "-c1", "-W1", address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def configuration(address: str, **more: Any) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "version": 3, "priority": 200, "advert_int": 0.1, "virtual_ipaddress": [address], "no_accept": True,
    }  # fmt: skip
    return instance(**(keywords | more))


@pytest.mark.parametrize("address", ["198.51.100.77/24", "2001:db8:1::77/64", "fe80::77/64"])
@pytest.mark.parametrize("vmac", [False, True], ids=["interface", "vmac"])
def test_packets_for_the_address_are_dropped_and_it_can_be_found(
    net: Network, tmp_path: Path, address: str, vmac: bool
) -> None:
    node, client = net.nodes
    host = address.partition("/")[0]
    target = f"{host}%eth0" if host.startswith("fe80") else host
    if host.startswith("2001"):
        subprocess.run(
            ["ip", "-n", client.namespace, "addr", "add", "2001:db8:1::1/64", "dev", "eth0", "nodad"], check=True
        )
    kind = {"use_vmac": True} if vmac else {}
    one = Agent(node, tmp_path / "one", configuration(address, **kind))
    on = "vrrp.51" if vmac else "eth0"
    with agents(one):
        one.wait_state("MASTER", master_down(3, 200, 0.1) + SLACK)
        wait_for(lambda: node.has(address, on), SLACK, "the address")
        assert not reaches(client, target)
        found = subprocess.run(
            ["ip", "-n", client.namespace, "neigh", "show", host], capture_output=True, text=True, check=True
        ).stdout
        assert "lladdr" in found, "ARP and neighbour discovery are answered"
        assert reaches(client, f"{node.link_local}%eth0"), "other addresses are"
        one.configure(configuration(address, **kind, no_accept=False))
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: reaches(client, target), SLACK + 5, f"accepted after the reload\n{one.log}")
        assert one.stop() == 0
    with inside(node.namespace), NFTables() as tables:
        assert list(tables.get_tables()) == []


REPORTING = 60  # adverts of two instances: the three seconds in which a member reports itself again


def test_reports_of_a_vmac_leave_by_its_parent(net: Network, tmp_path: Path) -> None:
    """Switches must not learn from IGMP and MLD where the virtual MAC address is."""
    node, client = net.nodes
    with inside(client.namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.bind(("eth0", 3))
    sock.settimeout(0.2)
    config = configuration("198.51.100.77/24", use_vmac=True, no_accept=False)
    config["vrrp_instance"]["VI_2"] = config["vrrp_instance"]["VI_1"] | {"virtual_ipaddress": ["2001:db8:1::77/64"]}
    one = Agent(node, tmp_path / "one", config)
    seen: dict[str, set[str]] = {"igmp": set(), "mld": set(), "vrrp": set()}
    with sock, agents(one):
        one.wait_running()
        deadline = time.monotonic() + SLACK + START
        adverts = 0
        while time.monotonic() < deadline and adverts < REPORTING:
            try:
                frame, (_interface, _protocol, direction, *_) = sock.recvfrom(2048)
            except TimeoutError:
                continue
            if direction == socket.PACKET_OUTGOING:  # what the witness itself sends
                continue
            source, kind = frame[6:12].hex(":"), frame[12:14].hex()
            if kind == "0800" and frame[23] == 2:
                seen["igmp"].add(source)
            elif kind == "86dd" and frame[20] == 0 and frame[62:63] in (b"\x8f", b"\x83"):
                seen["mld"].add(source)
            elif kind in ("0800", "86dd") and 112 in (frame[23], frame[20]):
                seen["vrrp"].add(source)
                adverts += all(seen.values())
    assert adverts == REPORTING, "nobody listened long enough"
    assert seen["vrrp"] & {"00:00:5e:00:01:33", "00:00:5e:00:02:33"}
    assert seen["igmp"]
    assert seen["mld"]
    assert not {mac for what in ("igmp", "mld") for mac in seen[what] if mac.startswith("00:00:5e")}


ENTRIES = (
    Blocked(packed("192.0.2.1")),
    Blocked(packed("2001:db8::1")),
    Blocked(packed("fe80::1"), "lo"),
    Blocked(packed("fe80::2"), "lo", 1),
    VmacTraffic(Family.IPV4, 1, 1),
    VmacTraffic(Family.IPV6, 1, 1, packed("fe80::9")),
)


def test_a_batch_is_all_or_nothing(net: Network) -> None:
    with inside(net.nodes[0].namespace):
        port = NftablesFirewall()
        assert port.install(BOTH, ENTRIES) == ""
        port.apply(ENTRIES[:1], [Blocked(packed("192.0.2.9"))])
        with pytest.raises(OSError, match="No such file"):
            port.apply(ENTRIES[:1], [Blocked(packed("192.0.2.10"))])
        port.apply([Blocked(packed("192.0.2.9"))], [])
        with pytest.raises(OSError, match="No such file"):
            port.apply([Blocked(packed("192.0.2.10"))], [])
        assert port.install(FirewallSettings(families=(Family.IPV4,), counters=True), ()) == ""
        port.uninstall()
        port.close()


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_ten_thousand_addresses_come_and_go(net: Network) -> None:
    many = [Blocked(bytes((10, 9, *divmod(n, 256)))) for n in range(10_000)]
    many += [Blocked(packed("2001:db8:0:9::")[:14] + n.to_bytes(2, "big")) for n in range(10_000)]

    def counts() -> tuple[int, int]:
        shown = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        return shown.count("10.9."), shown.count("2001:db8:0:9:")

    with inside(net.nodes[0].namespace):
        port = NftablesFirewall()
        port.install(BOTH, ENTRIES)
        port.apply([], many)
        assert counts() == (10_000, 10_000)
        port.install(BOTH, [*ENTRIES, *many])
        assert counts() == (10_000, 10_000)
        port.apply(many, [])
        assert counts() == (0, 0)
        with pytest.raises(OSError, match="No such file"):
            port.apply(many, [])
        port.apply([], many[:1])
        assert counts() == (1, 0), "nobody takes refusals of before for those of now"
        port.uninstall()
        port.close()


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_what_the_probe_finds_is_what_the_kernel_takes(net: Network) -> None:
    """S13."""

    def nft_takes(*command: str) -> bool:
        return subprocess.run(["nft", *command], capture_output=True, check=False).returncode == 0

    with inside(net.nodes[0].namespace):
        found = probe()
        shown = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        assert shown == "", "the probe leaves nothing"
        assert found.tables == ""
        assert nft_takes("add", "table", "ip", "t")
        ranges = nft_takes("add", "set", "ip", "t", "s", "{ type ipv4_addr . inet_service; flags interval; }")
        assert ranges == (found.concatenated_ranges == "")
        assert nft_takes("add", "chain", "ip", "t", "c")
        assert nft_takes("add", "rule", "ip", "t", "c", "dup", "to", "10.0.0.1") == (found.duplication == "")
        if ranges:
            first, last = packed("192.0.2.1") + b"\0\x50\0\0", packed("192.0.2.9") + b"\0\x5a\0\0"
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nft.NETLINK_NETFILTER) as sock:
                sock.send(nft.batch(nft.new_ranges(nft.IPV4, "t", "s", [(first, last, b"")]), 1))
                sock.recv(1 << 16)
            shown = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
            assert "192.0.2.1-192.0.2.9 . 80-90" in shown


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_nft_shows_the_table_as_it_shows_keepalived_s(net: Network) -> None:
    """The rules of keepalived 2.2.7, and those that 2.3 added for VMACs."""
    with inside(net.nodes[0].namespace):
        port = NftablesFirewall()
        port.install(BOTH, ENTRIES)
        shown = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        port.uninstall()
        port.close()
    for line in (
        "type filter hook input priority filter - 1; policy accept;",
        "ip protocol igmp dup to ip daddr device oif map @vmac_map drop",
        "ip daddr @vips drop",
        "ip saddr @vips drop",
        "icmpv6 type @mld-report dup to ip6 daddr device oif map @vmac_map drop",
        "icmpv6 type nd-router-solicit oif @vmac_set drop",
        "icmpv6 type @neighbor-discovery accept",
        "ip6 daddr fe80::/10 goto in_link_local",
        "ip6 saddr fe80::/10 goto out_link_local",
        "ip6 daddr @vips drop",
        "ip6 saddr @vips drop",
        "ip6 daddr . iif @vips_link_local drop",
        "ip6 saddr . oifname @vips_link_local_name drop",
        'elements = { "lo" : "lo" }',
        'elements = { fe80::2 . "lo" }',
    ):
        assert line in shown, shown

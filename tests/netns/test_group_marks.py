"""nftables_ipvs on the real kernel: the tables as nft shows them, and the marks that packets get."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from kactl_agent.ipvs.marks import Marked
from kactl_agent.ipvs.model import AF_INET, AF_INET6
from kactl_agent.ipvs.settings import MarksSettings, Members
from kactl_agent.kernel.nft_marks import NftMarks
from kactl_agent.kernel.nftables import NftFeatures, probe
from support.netns import inside, ip, network
from support.vrrp import packed

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed"),
]

SETTINGS = MarksSettings(table="marks", priority=-5)
TCP = (
    Members(AF_INET, 6, packed("127.0.0.1"), 1, 80),
    Members(AF_INET, 6, packed("127.0.0.4"), 3, 81),
    Members(AF_INET, 6, packed("127.0.0.9"), 1, 0),
    Members(AF_INET6, 6, packed("fd00::1"), 16, 80),
)
MARKED = [Marked(2000, TCP), Marked(2001, (Members(AF_INET, 17, packed("127.0.0.1"), 1, 53),))]
WITHOUT_RANGES = NftFeatures(concatenated_ranges="not in this kernel")


@pytest.fixture
def namespace() -> Iterator[str]:
    with network(1) as made:
        name = made.nodes[0].namespace
        with inside(name):
            if reason := probe().tables:
                pytest.skip(f"this kernel has no nftables: {reason}")
            ip("link", "set", "lo", "up")
            yield name


def nft(command: str) -> str:
    done = subprocess.run(["nft", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def count(mark: int) -> int:
    words = nft(f"list chain ip counting m{mark}").split()
    return int(words[words.index("packets") + 1])


def connect(address: str, port: int) -> None:
    with socket.socket() as sock, contextlib.suppress(ConnectionRefusedError):
        sock.connect((address, port))


def test_packets_to_members_are_marked(namespace: str) -> None:
    if reason := probe().concatenated_ranges:
        pytest.skip(f"this kernel has no ranges in concatenations: {reason}")
    marks = NftMarks()
    assert marks.install(SETTINGS, MARKED) == ""
    table = nft("list table ip marks")
    assert "type filter hook input priority -5" in " ".join(table.split()).replace("filter - 5", "-5")
    assert "meta mark set ip daddr . tcp dport map @tcp_map" in table
    assert "127.0.0.4-127.0.0.6 . 81 : 0x000007d0" in table
    assert "127.0.0.1 . 53 : 0x000007d1" in table
    assert "fd00::1-fd00::10 . 80 : 0x000007d0" in nft("list table ip6 marks")
    nft("add table ip counting")
    nft("add chain ip counting m2000 { type filter hook input priority 10; }")
    nft("add rule ip counting m2000 meta mark 2000 tcp dport 1-65535 counter")
    for address, port, marked in (
        ("127.0.0.1", 80, True),
        ("127.0.0.1", 81, False),
        ("127.0.0.4", 81, True),
        ("127.0.0.6", 81, True),
        ("127.0.0.7", 81, False),
        ("127.0.0.9", 12345, True),
    ):
        before = count(2000)
        connect(address, port)
        assert (count(2000) > before) is marked, (address, port)
    marks.discard(SETTINGS)
    assert "marks" not in nft("list tables")
    marks.close()


def test_a_change_is_one_transaction_and_leaves_nothing_of_before(namespace: str) -> None:
    marks = NftMarks()
    marks.install(SETTINGS, [Marked(7, TCP[:1])])
    marks.install(SETTINGS, [Marked(8, TCP[1:2])])
    table = nft("list table ip marks")
    assert "127.0.0.1 " not in table
    assert table.count("chain in") == 1
    marks.discard(SETTINGS)
    marks.close()


def test_without_ranges_each_address_is_an_element(namespace: str) -> None:
    """S13: asked of the kernel, and a message where it cannot."""
    marks = NftMarks(features=lambda _connect: WITHOUT_RANGES)
    assert "every address of a group is an element" in marks.install(SETTINGS, [Marked(7, TCP[:2])])
    table = nft("list table ip marks")
    assert "flags interval" not in table
    for last in (4, 5, 6):
        assert f"127.0.0.{last} . 81 : 0x00000007" in table
    with pytest.raises(OSError, match="port 0"):
        marks.install(SETTINGS, [Marked(7, TCP)])
    marks.discard(SETTINGS)
    marks.close()


def test_marks_of_another_network_namespace(namespace: str) -> None:
    """net_namespace_ipvs: nftables marks what IPVS there sees."""
    with network(1) as other:
        marks = NftMarks(other.nodes[0].namespace)
        marks.install(SETTINGS, [Marked(7, TCP[:1])])
        assert "marks" not in nft("list tables")
        with inside(other.nodes[0].namespace):
            assert "127.0.0.1 . 80 : 0x00000007" in nft("list table ip marks")
        marks.discard(SETTINGS)
        with inside(other.nodes[0].namespace):
            assert "marks" not in nft("list tables")
        marks.close()

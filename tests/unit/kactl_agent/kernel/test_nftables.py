"""Batches of nftables messages: what is in them, and what becomes of the kernel's answers.

That the kernel takes them, and what they do there, is tested in tests/netns/test_no_accept.py.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Callable

import pytest

from kactl_agent.kernel import nfnetlink as nft
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.nftables import NftablesFirewall, NftFeatures, elements_of, probe, ruleset
from kactl_agent.vrrp.firewall import Blocked, FirewallSettings, VmacTraffic
from kactl_agent.vrrp.settings import Family
from support.vrrp import packed

BOTH = FirewallSettings(families=(Family.IPV4, Family.IPV6))
FE80, GLOBAL = packed("fe80::1"), packed("2001:db8::1")


class Kernel:
    """Answers batches like the kernel: `refuse` names an expression that it does not know."""

    def __init__(self, refuse: bytes = b"", *, absent: bool = False) -> None:
        self.refuse = refuse
        self.absent = absent
        self.batches: list[list[nl.Message]] = []
        self._answers: list[bytes] = []

    def close(self) -> None: ...

    def send(self, data: bytes, /) -> int:
        messages = list(nl.messages(data))
        self.batches.append(messages)
        if self.absent:
            self._answers.append(self._answer(messages[0], errno.EOPNOTSUPP))
            return len(data)
        for message in messages[1:-1]:
            error = errno.ENOENT if self.refuse and self.refuse in message.body else 0
            if error or message.flags & nl.NLM_F_ACK:
                self._answers.append(self._answer(message, error))
        return len(data)

    def _answer(self, message: nl.Message, error: int) -> bytes:
        request = nl.encode_message(message.type, message.flags, message.sequence, message.body)
        return nl.encode_message(nl.NLMSG_ERROR, 0, message.sequence, struct.pack("=i", -error) + request)

    def recv(self, size: int, /) -> bytes:
        return self._answers.pop(0)


def test_one_transaction_makes_the_table_anew() -> None:
    kernel = Kernel()
    assert NftablesFirewall(lambda: kernel).install(BOTH, ()) == ""
    (batch,) = kernel.batches
    assert (batch[0].type, batch[-1].type) == (0x10, 0x11)
    assert [message.type & 0xFF for message in batch[1:4]] == [0, 2, 0], "made, so that it can be deleted, and made"
    assert all(message.type >> 8 == 10 for message in batch[1:-1])
    assert [bool(m.flags & nl.NLM_F_ACK) for m in batch[1:-1]] == [False] * (len(batch) - 3) + [True]


def test_without_dup_reports_are_dropped_and_that_is_said() -> None:
    kernel = Kernel(refuse=b"dup\0")
    said = NftablesFirewall(lambda: kernel).install(BOTH, ())
    assert "dup" in said
    assert len(kernel.batches) == 2
    assert not any(b"dup\0" in message.body for message in kernel.batches[1])
    assert b"".join(ruleset(BOTH)).count(b"dup\0") == len(BOTH.families)


def test_another_refusal_is_raised() -> None:
    kernel = Kernel(refuse=b"lookup\0")
    with pytest.raises(OSError, match="ENOENT"):
        NftablesFirewall(lambda: kernel).install(BOTH, ())


def test_a_kernel_without_nftables_says_so() -> None:
    """S44."""
    with pytest.raises(OSError, match="Operation not supported"):
        NftablesFirewall(lambda: Kernel(absent=True)).install(BOTH, ())


def test_no_socket_before_it_is_needed() -> None:
    def connect() -> Kernel:
        raise AssertionError

    port = NftablesFirewall(connect)
    port.uninstall()
    port.close()


def test_families_that_are_no_longer_needed_go_in_the_same_transaction() -> None:
    kernel = Kernel()
    port = NftablesFirewall(lambda: kernel)
    port.install(BOTH, ())
    port.install(FirewallSettings(families=(Family.IPV4,)), ())
    deleted = [message.body[0] for message in kernel.batches[1] if message.type & 0xFF == 2]
    assert sorted(deleted) == [nft.IPV4, nft.IPV6]


def test_counters_and_priority() -> None:
    counted = b"".join(ruleset(FirewallSettings(families=BOTH.families, counters=True, priority=-7)))
    assert b"counter\0" in counted
    assert struct.pack("!i", -7) in counted
    assert b"counter\0" not in b"".join(ruleset(BOTH))


def test_elements_by_family_and_set() -> None:
    index = struct.pack("=I", 7)
    parent = struct.pack("=I", 2)
    found = elements_of(
        [
            Blocked(packed("192.0.2.1")),
            Blocked(packed("192.0.2.1")),
            Blocked(GLOBAL),
            Blocked(FE80, "eth0"),
            Blocked(FE80, "eth0", 7),
            VmacTraffic(Family.IPV4, 7, 2),
            VmacTraffic(Family.IPV6, 7, 2, FE80),
        ]
    )
    assert found == {
        (nft.IPV4, "vips"): [(packed("192.0.2.1"), b"")],
        (nft.IPV6, "vips"): [(GLOBAL, b"")],
        (nft.IPV6, "vips_link_local_name"): [(FE80 + b"eth0" + b"\0" * 12, b"")],
        (nft.IPV6, "vips_link_local"): [(FE80 + index, b"")],
        (nft.IPV4, "vmac_map"): [(index, parent)],
        (nft.IPV6, "vmac_map"): [(index, parent)],
        (nft.IPV6, "vmac_set"): [(index, b"")],
        (nft.IPV6, "parent_link_local"): [(FE80, b"")],
    }


class ProbedKernel(Kernel):
    """One that knows no table of the name that is deleted last, and nothing whose expression or name is refused."""

    def send(self, data: bytes, /) -> int:
        size = super().send(data)
        if not self.absent:
            last = self.batches[-1][-2]
            self._answers[-1] = self._answer(last, errno.ENOENT)
        return size


def test_a_probe_leaves_nothing_behind_and_finds_all_there_is() -> None:
    """S13."""
    kernel = ProbedKernel()
    assert probe(lambda: kernel) == NftFeatures()
    (batch,) = kernel.batches
    assert batch[-2].type & 0xFF == 2, "what is deleted last does not exist, so nothing of the transaction stays"
    assert all(message.flags & nl.NLM_F_ACK for message in batch[1:-1])


def test_what_a_kernel_cannot_do_is_found_one_by_one() -> None:
    """S13: ranges in concatenations came with Linux 5.6."""
    no_ranges = probe(lambda: ProbedKernel(refuse=b"ranges\0"))
    assert no_ranges.concatenated_ranges.startswith("ENOENT")
    assert (no_ranges.tables, no_ranges.duplication) == ("", "")
    no_copies = probe(lambda: ProbedKernel(refuse=b"dup\0"))
    assert no_copies.duplication.startswith("ENOENT")
    assert (no_copies.tables, no_copies.concatenated_ranges) == ("", "")


def test_a_kernel_that_cannot_be_asked_can_do_nothing() -> None:
    def refused() -> Kernel:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    assert all("Protocol not supported" in why for why in probe(refused))
    assert all("Operation not supported" in why for why in probe(lambda: ProbedKernel(absent=True)))


def test_ranges_have_a_first_and_a_last_key() -> None:
    key, last, value = b"\1" * 8, b"\2" * 8, b"\3" * 4
    [message] = nft.new_ranges(nft.IPV4, "t", "s", [(key, last, value)])
    element = nl.attributes(nl.attributes(nl.attributes(message, 20)[3], 0)[1], 0)
    assert nl.attributes(element[1], 0)[1] == key
    assert nl.attributes(element[2], 0)[1] == value
    assert nl.attributes(element[10], 0)[1] == last


@pytest.mark.parametrize("encode", [nft.new_elements, nft.delete_elements])
@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (256, [256]), (257, [256, 1]), (9_000, [256] * 35 + [40])]
)
def test_many_elements_are_several_messages(
    encode: Callable[[int, str, str, list[tuple[bytes, bytes]]], list[bytes]], count: int, sizes: list[int]
) -> None:
    elements = [(n.to_bytes(16, "big"), n.to_bytes(4, "big")) for n in range(count)]
    found = [attribute_list(nl.attributes(message, 20)[3]) for message in encode(nft.IPV6, "t", "s", elements)]
    assert [len(each) for each in found] == sizes
    keys = [nl.attributes(nl.attributes(element, 0)[1], 0)[1] for each in found for element in each]
    assert keys == [key for key, _value in elements]


def attribute_list(body: bytes) -> list[bytes]:
    found = []
    while body:
        length = int.from_bytes(body[:2], sys.byteorder)
        found.append(body[4:length])
        body = body[nl.align(length) :]
    return found


def test_answers_that_were_not_awaited_are_none_to_what_follows() -> None:
    kernels: list[Kernel] = []

    class Overrun(Kernel):
        def recv(self, size: int, /) -> bytes:
            raise OSError(errno.ENOBUFS, "No buffer space available")

    def connect() -> Kernel:
        kernels.append(Kernel() if kernels else Overrun())
        return kernels[-1]

    port = NftablesFirewall(connect)
    with pytest.raises(OSError, match="No buffer space"):
        port.install(BOTH, ())
    assert port.install(BOTH, ()) == ""
    assert len(kernels) == 2

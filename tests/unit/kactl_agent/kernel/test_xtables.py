"""Tables of iptables: what is put in and taken out, and what becomes of the places that rules refer to.

That the kernel takes them and the iptables command shows them is tested in tests/netns/test_iptables.py.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.kernel import xtables as xt
from kactl_agent.kernel.xtables import IPV4, IPV6, Layout, MatchSet, Rule, Table, TableInfo, decode_info, encode_rule
from support.vrrp import packed
from support.xtables import REPLACE_SIZE, end, table, written

COMMENT = "kactl test"


@pytest.mark.parametrize("layout", [IPV4, IPV6], ids=["ipv4", "ipv6"])
@given(st.integers(0, 6), st.sets(st.integers(0, 5)))
def test_what_nobody_changes_comes_out_as_it_went_in(layout: Layout, rules: int, jumps: set[int]) -> None:
    info, data = table(layout, rules, tuple(jump for jump in jumps if jump < rules))
    assert Table(layout, info, data).encode(0)[REPLACE_SIZE:] == data


@pytest.mark.parametrize("layout", [IPV4, IPV6], ids=["ipv4", "ipv6"])
@given(st.integers(0, 4), st.lists(st.tuples(st.sampled_from(["INPUT", "OUTPUT", "mine"]), st.booleans()), max_size=6))
def test_what_is_put_in_and_taken_out_again_leaves_no_trace(
    layout: Layout, rules: int, added: list[tuple[str, bool]]
) -> None:
    info, data = table(layout, rules, tuple(range(0, rules, 2)))
    first = Table(layout, info, data)
    first.replace(COMMENT, [Rule(chain=chain, first=before) for chain, before in added])
    second = Table(layout, *written(first))
    assert len(second.ours(COMMENT)) == len(added)
    second.replace(COMMENT, [])
    assert second.encode(0)[REPLACE_SIZE:] == data


def test_jumps_follow_their_chain() -> None:
    """A rule put before all others of a chain is the first that who jumps there comes to."""
    info, data = table(IPV4, 2, (1,))
    changed = Table(IPV4, info, data)
    changed.replace(COMMENT, [Rule(chain="mine", first=True), Rule(chain="INPUT", first=True)])
    after = changed.encode(0)[REPLACE_SIZE:]
    ours = encode_rule(IPV4, Rule(chain="INPUT"), COMMENT)
    at = after.index(ours, after.index(end(IPV4, "mine")))
    assert struct.pack("=i", at) in after[: len(ours) + 3 * (IPV4.entry_size + 40)]


def test_places_tell_which_counts_are_whose() -> None:
    info, data = table(IPV4, 1)
    changed = Table(IPV4, info, data)
    changed.replace(COMMENT, [Rule(chain="INPUT", first=True), Rule(chain="INPUT")])
    assert changed.places() == [-1, 0, -1, 1, 2, 3, 4, 5, 6]


def test_rules_of_others_and_other_comments_stay() -> None:
    info, data = table(IPV6, 1)
    changed = Table(IPV6, info, data)
    changed.replace("kactl other", [Rule(chain="INPUT")])
    changed = Table(IPV6, *written(changed))
    changed.replace(COMMENT, [Rule(chain="INPUT")])
    assert len(changed.ours("kactl other")) == 1
    assert len(changed.ours(COMMENT)) == 1


def test_a_chain_that_is_missing() -> None:
    info, data = table(IPV4, 1)
    with pytest.raises(ValueError, match="there is no chain nowhere"):
        Table(IPV4, info, data).replace(COMMENT, [Rule(chain="nowhere")])


def test_a_rule_as_the_kernel_lays_it_out() -> None:
    rule = Rule(chain="INPUT", destination=packed("192.0.2.1"), input_interface="eth0", protocol=xt.IGMP)
    data = encode_rule(IPV4, rule, COMMENT)
    assert data[:16] == b"\0\0\0\0" + packed("192.0.2.1") + b"\0\0\0\0" + b"\xff\xff\xff\xff"
    assert data[16:32] == b"eth0".ljust(16, b"\0")
    assert data[48:64] == b"\xff" * 5 + b"\0" * 11, "the name with its end, so that eth01 is another one"
    assert struct.unpack_from("=H", data, 80) == (xt.IGMP,)
    target_at, length = struct.unpack_from("=HH", data, IPV4.offsets_at)
    assert length == len(data)
    assert struct.unpack_from("=H29sBi", data, target_at) == (40, b"\0" * 29, 0, xt.DROP)


def test_ipv6_compares_the_protocol_only_where_it_is_told_to() -> None:
    plain = encode_rule(IPV6, Rule(chain="INPUT"), COMMENT)
    icmp = encode_rule(IPV6, Rule(chain="INPUT", protocol=xt.ICMPV6, icmpv6_type=135), COMMENT)
    assert (plain[131], icmp[131]) == (0, 1)
    assert b"icmp6" in icmp


def test_sources_of_a_set_are_bits_from_the_second() -> None:
    data = encode_rule(IPV4, Rule(chain="INPUT", match_set=MatchSet(7, (False, True))), COMMENT)
    at = data.index(b"set\0") - 2
    assert struct.unpack_from("=HBB", data, at + 32) == (7, 2, 1 << 2)


@pytest.mark.parametrize("cut", [1, 50, 100, 200, 700])
def test_what_is_no_table_is_refused(cut: int) -> None:
    info, data = table(IPV4, 2)
    with pytest.raises(ValueError, match=r"entry|end|read"):
        assert Table(IPV4, info, data[:-cut]).chains


def test_the_kernels_description() -> None:
    data = struct.pack("=32s13I", b"filter", 14, *range(1, 11), 9, 4000)
    assert decode_info(data) == TableInfo(14, (1, 2, 3, 4, 5), (6, 7, 8, 9, 10), 9, 4000)

"""The rule codec against golden bytes, pyroute2's decoder and keepalived's own messages; properties of the plan."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.rules import (
    FR_ACT_BLACKHOLE,
    FR_ACT_GOTO,
    FR_ACT_NOP,
    FR_ACT_PROHIBIT,
    FR_ACT_UNREACHABLE,
    RuleOperation,
    decode_rule,
    encode_delete_rule,
    encode_dump,
    encode_new_rule,
    plan,
)
from kactl_agent.vrrp.routing import VirtualRule, same_rule
from kactl_agent.vrrp.settings import Family
from support.routing import packed, rule

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(sys.byteorder != "little", reason="golden bytes of a little-endian machine"),
]

PLAIN = rule(2000, "198.51.100.0/25", table=200)


def pyroute2_decode(data: bytes) -> Any:
    from pyroute2.netlink.rtnl.fibmsg import fibmsg

    message = fibmsg(data)
    message.decode()
    return message


def test_new_rule_golden_bytes() -> None:
    """What keepalived 2.2.7 sends for `from 198.51.100.0/25 table 200 priority 2000`, without NLM_F_ACK."""
    parts = (
        "34000000",  # length
        "2000",  # RTM_NEWRULE
        "0106",  # NLM_F_REQUEST | NLM_F_EXCL | NLM_F_CREATE
        "0700000000000000",  # sequence, port
        "02001900c800000100000000",  # AF_INET, from /25, table 200, FR_ACT_TO_TBL
        "08000200c6336400",  # FRA_SRC
        "08000600d0070000",  # FRA_PRIORITY 2000
        "0500150012000000",  # FRA_PROTOCOL 18
    )
    assert encode_new_rule(PLAIN, 7).hex() == "".join(parts)


def test_delete_names_all_it_was_made_with() -> None:
    made, deleted = (pyroute2_decode(encode(PLAIN, 1)) for encode in (encode_new_rule, encode_delete_rule))
    assert deleted["header"]["type"] == 33
    assert deleted["header"]["flags"] == nl.NLM_F_REQUEST
    assert dict(deleted["attrs"]) == dict(made["attrs"])


SELECTORS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # what the rule has, and the attributes that say so
    "to": ({"destination": packed("203.0.113.0"), "destination_length": 24}, {"FRA_DST": "203.0.113.0"}),
    "large table": ({"table": 1000}, {"FRA_TABLE": 1000}),
    "fwmark": ({"mark": 10, "mark_mask": 255}, {"FRA_FWMARK": 10, "FRA_FWMASK": 255}),
    "iif and realms": (
        {"input_interface": "eth0", "realms": 3 << 16 | 4}, {"FRA_IIFNAME": "eth0", "FRA_FLOW": 196612},
    ),
    "oif and suppress_prefixlength": (
        {"output_interface": "eth1", "suppress_prefix_length": 8},
        {"FRA_OIFNAME": "eth1", "FRA_SUPPRESS_PREFIXLEN": 8},
    ),
    "suppress_ifgroup 0": ({"suppress_interface_group": 0}, {"FRA_SUPPRESS_IFGROUP": 0}),
    "tunnel and users": (
        {"tunnel_id": 42, "users": (1000, 1999)},
        {"FRA_TUN_ID": 42, "FRA_UID_RANGE": "1000:1999"},
    ),
    "l3mdev": ({"l3mdev": True, "table": 0}, {"FRA_L3MDEV": 1}),
    "ports": (
        {"ip_protocol": 6, "source_ports": (1024, 2048), "destination_ports": (80, 443)},
        {"FRA_IP_PROTO": 6, "FRA_SPORT_RANGE": "1024:2048", "FRA_DPORT_RANGE": "80:443"},
    ),
    "goto": ({"action": FR_ACT_GOTO, "goto": 3000, "table": 0}, {"FRA_GOTO": 3000}),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "attributes"), SELECTORS.values(), ids=SELECTORS)
def test_selectors_and_actions(fields: dict[str, Any], attributes: dict[str, Any]) -> None:
    item = rule(2100, **fields)
    message = pyroute2_decode(encode_new_rule(item))
    found = dict(message["attrs"])
    assert found.pop("FRA_PRIORITY") == 2100
    assert found.pop("FRA_PROTOCOL") == 18
    assert {name: str(value) for name, value in found.items()} == {
        name: str(value) for name, value in attributes.items()
    }
    assert message["action"] == item.action
    assert message["dst_len"] == item.destination_length
    assert message["table"] == (item.table if item.table < 256 else 0)


@pytest.mark.parametrize("action", [FR_ACT_NOP, FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT])
def test_actions_without_an_argument(action: int) -> None:
    message = pyroute2_decode(encode_new_rule(rule(1, "198.51.100.130/32", action=action, table=0)))
    assert (message["action"], message["table"], message["src_len"]) == (action, 0, 32)


def test_inverted_tos_and_no_protocol() -> None:
    message = pyroute2_decode(encode_new_rule(rule(1, inverted=True, tos=16, protocol=0)))
    assert (message["flags"], message["tos"]) == (2, 16)
    assert dict(message["attrs"]) == {"FRA_PRIORITY": 1}


def test_dump_asks_for_a_family() -> None:
    message = pyroute2_decode(encode_dump(Family.IPV6, 3))
    assert (message["header"]["type"], message["header"]["flags"]) == (34, nl.NLM_F_REQUEST | nl.NLM_F_DUMP)
    assert (message["family"], message["attrs"]) == (10, [])


@pytest.mark.parametrize("fields", [fields for fields, _ in SELECTORS.values()], ids=SELECTORS)
def test_a_rule_with_one_difference_is_another_one(fields: dict[str, Any]) -> None:
    def asked(item: VirtualRule) -> Any:
        return decode_rule(encode_new_rule(item)[16:])

    assert asked(rule(2100)) == asked(rule(2100, text="otherwise written"))
    assert asked(rule(2100, **fields)) != asked(rule(2100))


POOL = [rule(preference, f"198.51.100.{n}/32") for preference in (1, 2) for n in range(4)]
subsets = st.lists(st.sampled_from(POOL), unique=True)


@given(desired=subsets, managed=subsets, there=subsets)
def test_after_the_plan_managed_rules_are_exactly_the_desired_ones(
    desired: list[VirtualRule], managed: list[VirtualRule], there: list[VirtualRule]
) -> None:
    after = list(there)
    for operation in plan(desired, managed, there.__contains__):
        if operation.remove:
            after.remove(operation.rule)
        else:
            assert operation.rule not in after, "the kernel refuses what is there"
            after.append(operation.rule)
    ours = {*desired, *managed}
    assert {item for item in after if item in ours} == set(desired)
    assert [item for item in after if item not in ours] == [item for item in there if item not in ours]
    assert plan(desired, managed, after.__contains__) == ()


def test_new_rules_stand_before_the_old_ones_go() -> None:
    old, new = rule(5, "198.51.100.1/32"), rule(5, "198.51.100.2/32")
    assert plan([new], [old], [old].__contains__) == (RuleOperation(new), RuleOperation(old, remove=True))


def test_what_the_kernel_knows_nothing_of_changes_nothing() -> None:
    quiet = msgspec.structs.replace(PLAIN, tracked=False, text="as written now")
    assert same_rule(quiet) == same_rule(PLAIN)
    assert plan([quiet], [PLAIN], lambda _r: True) == ()

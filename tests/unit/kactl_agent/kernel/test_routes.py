"""The route codec against golden bytes, pyroute2's decoder and keepalived's own messages; properties of the plan."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.routes import (
    RTAX_ADVMSS,
    RTAX_HOPLIMIT,
    RTAX_MTU,
    RTAX_WINDOW,
    RouteOperation,
    decode_route,
    encode_delete_route,
    encode_dump,
    encode_new_route,
    is_present,
    plan,
)
from kactl_agent.vrrp.routing import (
    IlaEncapsulation,
    IpEncapsulation,
    MplsEncapsulation,
    RouteUpdate,
    VirtualRoute,
    same_route,
)
from kactl_agent.vrrp.settings import Family
from support.routing import hop, packed, route

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(sys.byteorder != "little", reason="golden bytes of a little-endian machine"),
]

ETH0 = {"eth0": 3, "eth1": 4}
PLAIN = route("203.0.113.0/28", hop("198.18.1.254", "eth0"))


def pyroute2_decode(data: bytes) -> Any:
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message = rtmsg(data)
    message.decode()
    return message


def attributes(item: VirtualRoute, table: int = 254) -> dict[str, Any]:
    return dict(pyroute2_decode(encode_new_route(item, ETH0, table))["attrs"])


def test_new_route_golden_bytes() -> None:
    """What keepalived 2.2.7 sends for `203.0.113.0/28 via 198.18.1.254 dev eth0`, without NLM_F_ACK."""
    parts = (
        "34000000",  # length
        "1800",  # RTM_NEWROUTE
        "0104",  # NLM_F_REQUEST | NLM_F_CREATE
        "0700000000000000",  # sequence, port
        "021c0000fe12000100000000",  # AF_INET, /28, main, keepalived, universe, unicast
        "08000100cb007100",  # RTA_DST
        "0800040003000000",  # RTA_OIF 3
        "08000500c61201fe",  # RTA_GATEWAY
    )
    assert encode_new_route(PLAIN, ETH0, 254, 7).hex() == "".join(parts)


def test_delete_names_all_it_was_made_with() -> None:
    made, deleted = (pyroute2_decode(encode(PLAIN, ETH0, 254, 1)) for encode in (encode_new_route, encode_delete_route))
    assert deleted["header"]["type"] == 25
    assert deleted["header"]["flags"] == nl.NLM_F_REQUEST
    assert dict(deleted["attrs"]) == dict(made["attrs"])
    assert [deleted[field] for field in ("proto", "type", "scope", "table")] == [18, 1, 0, 254]


def test_delete_leaves_out_ways_whose_interface_is_gone() -> None:
    item = route("203.0.113.0/28", hop("198.18.1.254", "eth0"), hop("198.18.2.254", "eth1"))
    message = pyroute2_decode(encode_delete_route(item, {"eth1": 4}, 254))
    assert dict(message["attrs"]) == {"RTA_DST": "203.0.113.0", "RTA_OIF": 4, "RTA_GATEWAY": "198.18.2.254"}


@pytest.mark.parametrize(
    ("update", "flags"),
    [
        (RouteUpdate.PREPEND, nl.NLM_F_CREATE),
        (RouteUpdate.ADD, nl.NLM_F_CREATE | nl.NLM_F_EXCL),
        (RouteUpdate.APPEND, nl.NLM_F_CREATE | 0x800),
    ],
)
def test_add_prepend_and_append(update: RouteUpdate, flags: int) -> None:
    message = pyroute2_decode(encode_new_route(msgspec.structs.replace(PLAIN, update=update), ETH0, 254))
    assert message["header"]["flags"] == flags | nl.NLM_F_REQUEST


def test_fields_of_a_route() -> None:
    item = route(
        "203.0.113.32/28", hop("198.18.1.254", "eth0", onlink=True, realms=4 << 16 | 5),
        tos=8, scope=253, type=1, metric=7, preferred_source=packed("198.18.1.1"), protocol=4,
    )  # fmt: skip
    message = pyroute2_decode(encode_new_route(item, ETH0, 1000))
    assert [message[field] for field in ("tos", "scope", "type", "proto", "flags", "table")] == [8, 253, 1, 4, 4, 0]
    assert dict(message["attrs"]) == {
        "RTA_DST": "203.0.113.32",
        "RTA_TABLE": 1000,
        "RTA_PREFSRC": "198.18.1.1",
        "RTA_PRIORITY": 7,
        "RTA_OIF": 3,
        "RTA_GATEWAY": "198.18.1.254",
        "RTA_FLOW": 262149,
    }


def test_metrics_and_their_locks() -> None:
    """mtu lock 1400 hoplimit 64 advmss lock 1300 window 65535: keepalived 2.2.7 sends RTAX_LOCK 260."""
    metrics = ((RTAX_MTU, 1400), (RTAX_WINDOW, 65535), (RTAX_ADVMSS, 1300), (RTAX_HOPLIMIT, 64))
    item = msgspec.structs.replace(
        PLAIN, metrics=metrics, locked=1 << RTAX_MTU | 1 << RTAX_ADVMSS, congestion_control="cubic"
    )
    assert dict(attributes(item)["RTA_METRICS"]["attrs"]) == {
        "RTAX_MTU": 1400,
        "RTAX_WINDOW": 65535,
        "RTAX_ADVMSS": 1300,
        "RTAX_HOPLIMIT": 64,
        "RTAX_CC_ALGO": "cubic",
        "RTAX_LOCK": 260,
    }


def test_ipv6_only_fields() -> None:
    item = route(
        "2001:db8:10::/48", hop("fe80::1", "eth0"),
        source=packed("2001:db8:11::"), source_length=48, preference=3, expires=3600, ttl_propagate=True,
    )  # fmt: skip
    message = pyroute2_decode(encode_new_route(item, ETH0, 254))
    assert (message["family"], message["dst_len"], message["src_len"]) == (10, 48, 48)
    found = dict(message["attrs"])
    assert {name: found[name] for name in ("RTA_DST", "RTA_SRC", "RTA_OIF", "RTA_GATEWAY", "RTA_PREF")} == {
        "RTA_DST": "2001:db8:10::",
        "RTA_SRC": "2001:db8:11::",
        "RTA_OIF": 3,
        "RTA_GATEWAY": "fe80::1",
        "RTA_PREF": 3,
    }
    encoded = encode_new_route(item, ETH0, 254)
    assert b"\x08\x00\x17\x00" + (3600).to_bytes(4, "little") in encoded, "RTA_EXPIRES"
    assert b"\x05\x00\x1a\x00\x01" in encoded, "RTA_TTL_PROPAGATE"


def test_ways_of_a_multipath_route() -> None:
    """The bytes keepalived 2.2.7 sends for two nexthops: weight 2 onlink realms 3 by eth0, weight 1 by eth1."""
    item = route(
        "203.0.113.112/28", hop("198.18.1.253", "eth0", weight=2, onlink=True, realms=3), hop("198.18.2.254", "eth1")
    )
    multipath = (
        "2c000900"  # RTA_MULTIPATH, 44 bytes
        "1800040103000000"  # 24 bytes, RTNH_F_ONLINK, one more share, interface 3
        "08000500c61201fd" "08000b0003000000"  # RTA_GATEWAY, RTA_FLOW
        "1000000004000000"  # 16 bytes, interface 4
        "08000500c61202fe"
    )  # fmt: skip
    assert multipath in encode_new_route(item, ETH0, 254).hex()


def test_gateway_of_the_other_family() -> None:
    item = route("203.0.113.0/28", hop("fe80::1", "eth0"))
    via = bytes((22, 0, 18, 0, 10, 0)) + packed("fe80::1")  # RTA_VIA: length, type, AF_INET6, address
    assert via in encode_new_route(item, ETH0, 254)
    assert attributes(item)["RTA_VIA"] == {"family": 10, "addr": "fe80::1"}


ENCAPSULATIONS: list[tuple[Any, int, str]] = [
    # the bytes behind RTA_ENCAP's header that keepalived 2.2.7 sends, and LWTUNNEL_ENCAP_*
    (MplsEncapsulation((100, 200)), 1, "0c00010000064000000c8100"),
    (
        IpEncapsulation(
            family=Family.IPV4, id=100, destination=packed("198.18.2.9"), source=packed("198.18.2.1"), tos=4, ttl=20
        ),
        2,
        "0c0001000000000000000064" "08000200c6120209" "08000300c6120201" "05000500040000 00".replace(" ", "")
        + "0500040014000000",
    ),
    (IlaEncapsulation(bytes.fromhex("0010002000300040")), 3, "0c0001000010002000300040"),
    (
        IpEncapsulation(family=Family.IPV6, id=7, destination=packed("2001:db8::1"), tos=3, ttl=9, flags=0x0102),
        4,
        "0c0001000000000000000007" "1400020020010db8000000000000000000000001" "0500050003000000" "0500040009000000"
        "0600060001020000",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("encapsulation", "kind", "value"), ENCAPSULATIONS)
def test_encapsulations(encapsulation: Any, kind: int, value: str) -> None:
    item = route("203.0.113.0/28", hop("198.18.1.254", "eth0", encapsulation=encapsulation))
    encoded = encode_new_route(item, ETH0, 254).hex()
    length = (len(value) // 2 + 4).to_bytes(2, "little").hex()
    assert f"{length}1600{value}" in encoded, "RTA_ENCAP"
    assert f"06001500{kind:02x}000000" in encoded, "RTA_ENCAP_TYPE"


def test_dump_asks_for_one_protocol() -> None:
    message = pyroute2_decode(encode_dump(Family.IPV6, 18, 3))
    assert (message["header"]["type"], message["header"]["flags"]) == (26, nl.NLM_F_REQUEST | nl.NLM_F_DUMP)
    assert (message["family"], message["proto"], message["attrs"]) == (10, 18, [])


# -- is it there ------------------------------------------------------------------------------------------------------


def asked(item: VirtualRoute) -> Any:
    found = decode_route(encode_new_route(item, ETH0, item.table)[16:])
    assert found is not None
    return found


def test_a_route_is_recognised_with_what_the_kernel_chose_for_it() -> None:
    without_interface = route("203.0.113.0/28", hop("198.18.1.254"))
    assert is_present(asked(without_interface), asked(PLAIN)), "the interface was found from the gateway"
    assert not is_present(asked(PLAIN), asked(without_interface))
    six = route("2001:db8::/32", hop("fe80::1", "eth0"))
    assert is_present(asked(six), asked(msgspec.structs.replace(six, metric=1024))), "no metric is 1024 over IPv6"
    blackhole = route("203.0.113.0/28", type=6)
    assert is_present(asked(blackhole), asked(route("203.0.113.0/28", hop("", "eth0"), type=6))), "IPv6 shows lo"


CHANGES: dict[str, dict[str, Any]] = {
    "scope": {"scope": 253},
    "type": {"type": 2},
    "gateway": {"nexthops": (hop("198.18.1.253", "eth0"),)},
    "interface": {"nexthops": (hop("198.18.1.254", "eth1"),)},
    "ways": {"nexthops": (hop("198.18.1.254", "eth0"), hop("198.18.2.254", "eth1"))},
    "realms": {"nexthops": (hop("198.18.1.254", "eth0", realms=1),)},
    "encapsulation": {"nexthops": (hop("198.18.1.254", "eth0", encapsulation=MplsEncapsulation((5,))),)},
    "metric": {"metric": 5},
    "tos": {"tos": 8},
    "table": {"table": 100},
    "protocol": {"protocol": 4},
    "metrics": {"metrics": ((RTAX_MTU, 1400),)},
    "congestion control": {"congestion_control": "cubic"},
    "source": {"preferred_source": packed("198.18.1.1")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_route_with_one_difference_is_another_one(change: dict[str, Any]) -> None:
    assert not is_present(asked(msgspec.structs.replace(PLAIN, **change)), asked(PLAIN))


# -- plan -------------------------------------------------------------------------------------------------------------

POOL = [
    route(f"203.0.113.{16 * n}/28", hop(f"198.18.1.{gateway}", "eth0"), metric=metric, update=update)
    for n in range(2)
    for gateway in (253, 254)
    for metric in (None, 5)
    for update in (RouteUpdate.PREPEND, RouteUpdate.ADD)
] + [
    route("2001:db8::/32", hop("fe80::1", "eth0"), metrics=metrics) for metrics in ((), ((RTAX_MTU, 1400),))
]  # fmt: skip
subsets = st.lists(st.sampled_from(POOL), unique_by=same_route)


class Table:
    """A kernel's table, with its refusals: what is there twice, and `add` beside another one."""

    def __init__(self, routes: list[VirtualRoute]) -> None:
        self.routes = [same_route(item) for item in routes]

    def has(self, item: VirtualRoute) -> bool:
        return same_route(item) in self.routes

    def carry_out(self, operation: RouteOperation) -> None:
        item = operation.route
        if operation.remove:
            self.routes.remove(same_route(item))
            return
        beside = [other for other in self.routes if place(other) == place(item)]
        assert same_route(item) not in self.routes, "there already"
        assert not (beside and (item.update is RouteUpdate.ADD or item.family is Family.IPV6)), "EEXIST"
        self.routes.append(same_route(item))


def place(item: VirtualRoute) -> tuple[object, ...]:
    return item.destination, item.prefix_length, item.metric, item.table


def one_to_a_place(routes: list[VirtualRoute]) -> list[VirtualRoute]:
    return list({place(item): item for item in routes}.values())


@given(desired=subsets.map(one_to_a_place), managed=subsets, there=subsets.map(one_to_a_place))
def test_after_the_plan_the_routes_are_exactly_the_desired_ones(
    desired: list[VirtualRoute], managed: list[VirtualRoute], there: list[VirtualRoute]
) -> None:
    managed = managed + there  # what is there and not ours is tested below
    table = Table(there)
    operations = plan(desired, managed, table.has)
    touched = {same_route(operation.route) for operation in operations}
    assert not touched & {same_route(item) for item in desired if item in there}, "an equal one is not touched"
    for operation in operations:
        table.carry_out(operation)
    assert sorted(table.routes, key=repr) == sorted(map(same_route, desired), key=repr)
    assert plan(desired, managed, table.has) == ()


@given(desired=subsets, managed=subsets, there=subsets)
def test_nobody_elses_route_is_touched(
    desired: list[VirtualRoute], managed: list[VirtualRoute], there: list[VirtualRoute]
) -> None:
    ours = {same_route(item) for item in (*desired, *managed)}
    for operation in plan(desired, managed, Table(there).has):
        assert same_route(operation.route) in ours
        assert operation.remove == (Table(there).has(operation.route))


def order(desired: list[VirtualRoute], managed: list[VirtualRoute]) -> list[tuple[str, bool]]:
    there: Callable[[VirtualRoute], bool] = lambda item: item in managed  # noqa: E731 - a predicate of one line
    return [(operation.route.text, operation.remove) for operation in plan(desired, managed, there)]


def test_a_new_route_stands_before_the_old_one_goes() -> None:
    old = msgspec.structs.replace(PLAIN, text="old")
    new = route("203.0.113.0/28", hop("198.18.1.253", "eth0"), text="new")
    assert order([new], [old]) == [("new", False), ("old", True)]


def test_add_waits_until_its_place_is_free() -> None:
    old = msgspec.structs.replace(PLAIN, text="old")
    new = route("203.0.113.0/28", hop("198.18.1.253", "eth0"), text="new", update=RouteUpdate.ADD)
    assert order([new], [old]) == [("old", True), ("new", False)]


def test_additions_in_order_and_removals_in_the_opposite_one() -> None:
    """A gateway may be reached by a route that stands before its own."""
    first = route("10.0.0.1/32", hop("", "eth0"))
    second = route("0.0.0.0/0", hop("10.0.0.1", "eth0"))
    assert [operation.route for operation in plan([first, second], [], lambda _r: False)] == [first, second]
    assert [operation.route for operation in plan([], [first, second], lambda _r: True)] == [second, first]


def test_what_the_kernel_knows_nothing_of_changes_nothing() -> None:
    quiet = msgspec.structs.replace(PLAIN, tracked=False, text="as written now", update=RouteUpdate.APPEND)
    assert plan([quiet], [PLAIN], lambda _r: True) == ()

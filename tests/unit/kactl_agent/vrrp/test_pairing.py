"""Which instances keep their state over a reload, and what becomes of their addresses."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import msgspec
import pytest

from kactl_agent.vrrp.pairing import address_changes, identity, pair
from kactl_agent.vrrp.settings import Family, VirtualAddress, VrrpSettings
from support.vrrp import PEER, PEER_LOW, VIP, make_settings, packed

OTHER = packed("192.0.2.77")


@pytest.mark.parametrize(
    "changes",
    [
        {"virtual_router_id": 52},
        {"interface": "eth1"},
        {"family": Family.IPV6},
        {"unicast_peers": (PEER,)},
        {"multicast_group": packed("224.0.0.19")},
    ],
)
def test_what_makes_another_router(changes: dict[str, Any]) -> None:
    assert identity(make_settings(**changes)) != identity(make_settings())
    assert pair([make_settings()], [make_settings(**changes)]) == {}


@pytest.mark.parametrize(
    "changes",
    [{"name": "VI_new"}, {"priority": 200}, {"version": 2}, {"addresses": ()}, {"source_address": OTHER}],
)
def test_what_does_not(changes: dict[str, Any]) -> None:
    new = make_settings(**changes)
    assert pair([make_settings()], [new]) == {new.name: "VI"}


def unicast(name: str, *peers: bytes) -> VrrpSettings:
    return make_settings(name=name, unicast_peers=peers)


def test_unicast_instances_of_one_vrid_are_told_apart_by_name_and_peers() -> None:
    old = [unicast("A", PEER), unicast("B", PEER_LOW)]
    assert pair(old, [unicast("A", PEER), unicast("B", PEER_LOW)]) == {"A": "A", "B": "B"}
    assert pair(old, [unicast("C", PEER_LOW), unicast("D", PEER)]) == {"C": "B", "D": "A"}
    assert pair(old, [unicast("C", PEER, PEER_LOW), unicast("A", OTHER)]) == {"A": "A", "C": "B"}
    assert pair(old, [unicast("C", OTHER)]) == {}


def test_no_old_instance_is_given_twice() -> None:
    assert pair([make_settings()], [make_settings(name="A"), make_settings(name="B")]) == {"A": "VI"}


def test_the_work_grows_with_the_instances_and_no_faster() -> None:
    """The timers of thousands that go on wait for it."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    instances = [make_settings(name=f"VI_{n}", interface=f"eth{n}") for n in range(500)]
    sys.setprofile(count)
    pairs = pair(instances, instances)
    sys.setprofile(None)
    assert len(pairs) == 500
    assert calls < 10 * 500


def test_address_changes() -> None:
    second = VirtualAddress(packed("192.0.2.101"), 24, "eth0")
    assert address_changes((VIP, second), (second,)) == ((VIP,), ())
    assert address_changes((VIP,), (second, VIP)) == ((), (second,))
    labelled = msgspec.structs.replace(VIP, label="eth0:1")
    assert address_changes((VIP,), (labelled,)) == ((VIP,), (labelled,))


@pytest.mark.parametrize("change", [{"advertised": False}, {"tracked": False}])
def test_what_concerns_only_us_does_not_touch_the_machine(change: dict[str, bool]) -> None:
    assert address_changes((VIP,), (msgspec.structs.replace(VIP, **change),)) == ((), ())

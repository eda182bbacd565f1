"""What a plan says of one difference at a time."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType, BfdSettings, SessionSettings
from kactl_agent.config.diff import Side, plan, worst
from kactl_agent.config.diff_instances import _ELSEWHERE, _IDENTITY, SETTINGS
from kactl_agent.config.impact import Change, Impact
from kactl_agent.ipvs.model import DIRECT_ROUTE, Forwarding
from kactl_agent.ipvs.settings import CheckersSettings, Members, RealServerSettings, VirtualServerSettings
from kactl_agent.tracking.settings import Command, ScriptSettings, TrackerKind, TrackerUse, TrackingSettings
from kactl_agent.vrrp.routing import VirtualRoute
from kactl_agent.vrrp.settings import (
    SECOND,
    Family,
    HmacKey,
    HmacMode,
    HmacSettings,
    SyncGroupSettings,
    VirtualAddress,
    VrrpSettings,
)
from kactl_agent.vrrp.static_items import StaticItems, StaticRoute


def packed(text: str) -> bytes:
    return ip_address(text).packed


def address(text: str = "192.0.2.10", prefix: int = 24, **more: Any) -> VirtualAddress:
    return VirtualAddress(packed(text), prefix, more.pop("interface", "eth0"), **more)


def instance(name: str = "VI_1", vrid: int = 51, **more: Any) -> VrrpSettings:
    values: dict[str, Any] = {
        "interface": "eth0", "version": 3, "family": Family.IPV4, "priority": 100, "addresses": (address(),),
        "multicast_group": packed("224.0.0.18"), "virtual_router_id": vrid,
    } | more  # fmt: skip
    return VrrpSettings(name=name, **values)


def changes(old: VrrpSettings | Side, new: VrrpSettings | Side) -> list[Change]:
    one, two = (Side(vrrp=(it,)) if isinstance(it, VrrpSettings) else it for it in (old, new))
    return plan(one, two)


def only(old: VrrpSettings | Side, new: VrrpSettings | Side) -> Change:
    (change,) = changes(old, new)
    return change


def test_the_same_is_no_change() -> None:
    assert changes(instance(), instance()) == []
    assert worst([]) is Impact.NO_OP


def test_every_setting_of_an_instance_is_decided() -> None:
    fields = set(VrrpSettings.__struct_fields__)
    assert fields == set(SETTINGS) | _ELSEWHERE | _IDENTITY
    assert not set(SETTINGS) & (_ELSEWHERE | _IDENTITY)


@pytest.mark.parametrize(
    ("more", "impact", "text", "peers"),
    [
        ({"name": "VI_2"}, "hitless", "was called VI_1", ""),
        ({"priority": 150}, "brief", "priority 100 -> 150; it takes over", ""),
        ({"priority": 50}, "brief", "priority 100 -> 50; a router with a higher one takes over", ""),
        ({"advert_interval": 2 * SECOND}, "hitless", "advert_int 1 s -> 2 s", ""),
        ({"version": 2}, "hitless", "version 3 -> 2", "another version"),
        ({"startup_delay": SECOND}, "no-op", "counts from the next start on", ""),
        ({"start_as_master": True}, "no-op", "state BACKUP -> MASTER", ""),
        ({"addresses": ()}, "disruptive", "192.0.2.10/24 removed", "keepalived before 2.3.3"),
        (
            {"addresses": (address(), address("192.0.2.11"))},
            "hitless",
            "192.0.2.11/24 added",
            "keepalived before 2.3.3",
        ),
        ({"addresses": (address(prefix=25),)}, "brief", "192.0.2.10/24 removed and added again", ""),
        ({"addresses": (address(label="eth0:1"),)}, "brief", "another label", ""),
        ({"addresses": (address(advertised=False),)}, "hitless", "what is advertised", "keepalived before 2.3.3"),
        ({"own_interface": "vrrp.51"}, "brief", "use_vmac or use_ipvlan none -> vrrp.51", ""),
        ({"virtual_router_id": 52}, "disruptive", "virtual_router_id 51 -> 52", "another virtual router"),
        ({"interface": "eth1"}, "disruptive", "interface eth0 -> eth1", "another virtual router"),
        ({"unicast_peers": (packed("192.0.2.2"),)}, "disruptive", "multicast -> unicast", "another virtual router"),
    ],
)
def test_settings_of_an_instance(more: dict[str, Any], impact: str, text: str, peers: str) -> None:
    change = only(instance(), instance(**more) if "name" not in more else instance(more["name"]))
    assert change.impact.value == impact
    assert text in change.text
    assert change.subject == f"vrrp_instance {more.get('name', 'VI_1')}"
    assert (peers in change.peers) if peers else not change.peers


def test_addresses_are_named() -> None:
    assert only(instance(), instance(addresses=())).addresses == ("192.0.2.10/24",)
    assert only(instance(), instance(virtual_router_id=9, addresses=(address("192.0.2.9"),))).addresses == (
        "192.0.2.10/24",
        "192.0.2.9/24",
    )


def test_a_priority_that_cannot_preempt_hurts_nobody() -> None:
    assert only(instance(preempt=False), instance(preempt=False, priority=200)).impact is Impact.HITLESS


def test_a_vrrpv2_interval_is_a_matter_for_peers() -> None:
    change = only(instance(version=2), instance(version=2, advert_interval=2 * SECOND))
    assert "another interval" in change.peers


def test_authentication_is_never_shown() -> None:
    old, new = instance(version=2, auth_password=b"oldhush"), instance(version=2, auth_password=b"newhush")
    change = only(old, new)
    assert "hush" not in repr(change)
    assert "another authentication" in change.peers


def hmac(active: int = 1, keys: tuple[int, ...] = (1,), mode: HmacMode = HmacMode.ENFORCE) -> HmacSettings:
    return HmacSettings(
        keys=tuple(HmacKey(key, bytes([key]) * 32) for key in keys), active_key=active, time_window=5, mode=mode
    )


@pytest.mark.parametrize(
    ("old", "new", "peers"),
    [
        (None, hmac(), "those without this key"),
        (None, hmac(mode=HmacMode.RECEIVE_ONLY), ""),
        (hmac(mode=HmacMode.RECEIVE_ONLY), hmac(), ""),
        (hmac(), hmac(keys=(1, 2)), ""),
        (hmac(keys=(1, 2)), hmac(2, keys=(1, 2)), ""),
        (hmac(), hmac(2, keys=(1, 2)), "those without this key"),
        (hmac(), None, "enforce auth_hmac"),
    ],
)
def test_keys_are_rolled_over_without_peers_dropping_anything_if_they_are_told_first(
    old: HmacSettings | None, new: HmacSettings | None, peers: str
) -> None:
    change = only(instance(auth_hmac=old), instance(auth_hmac=new))
    assert (peers in change.peers) if peers else not change.peers
    assert "\\x01" not in repr(change)


def test_unicast_peers_that_are_left_out_take_over() -> None:
    one, two = packed("192.0.2.2"), packed("192.0.2.3")
    change = only(instance(unicast_peers=(one, two)), instance(unicast_peers=(one,)))
    assert "192.0.2.3 hear no adverts any more" in change.peers
    assert not only(instance(unicast_peers=(one,)), instance(unicast_peers=(one, two))).peers


def test_an_address_that_moves_is_not_lost() -> None:
    a, b = instance("A", 1, addresses=(address(),)), instance("B", 2, addresses=(address("192.0.2.20"),))
    old = Side(vrrp=(a, b))
    new = Side(
        vrrp=(
            msgspec.structs.replace(a, addresses=()),
            msgspec.structs.replace(b, addresses=(address("192.0.2.20"), address())),
        )
    )
    gives, takes = plan(old, new)
    assert (gives.subject, gives.impact, takes.subject, takes.impact) == (
        "vrrp_instance A", Impact.BRIEF, "vrrp_instance B", Impact.BRIEF,
    )  # fmt: skip
    assert "given to B" in gives.text
    assert "taken over from A" in takes.text


def test_instances_that_begin_and_end() -> None:
    begins = only(Side(), Side(vrrp=(instance(),)))
    assert (begins.impact, begins.addresses) == (Impact.HITLESS, ("192.0.2.10/24",))
    ends = only(Side(vrrp=(instance(),)), Side())
    assert (ends.impact, ends.addresses) == (Impact.DISRUPTIVE, ("192.0.2.10/24",))
    heir = instance("B", 2, addresses=(address(),))
    left, taken = plan(Side(vrrp=(instance(),)), Side(vrrp=(heir,)))
    assert (left.impact, left.text) == (Impact.BRIEF, "ends; its addresses go to B")
    assert taken.subject == "vrrp_instance B"


def test_routes() -> None:
    def route(text: str) -> VirtualRoute:
        return VirtualRoute(family=Family.IPV4, destination=packed("10.0.0.0"), prefix_length=8, text=text)

    gone = only(instance(routes=(route("10.0.0.0/8"),)), instance())
    assert (gone.impact, gone.text) == (Impact.DISRUPTIVE, "virtual route removed: 10.0.0.0/8")
    assert only(instance(), instance(routes=(route("10.0.0.0/8"),))).impact is Impact.HITLESS
    static = StaticItems(routes=(StaticRoute(route("10.0.0.0/8")),))
    assert only(Side(static=static), Side()).impact is Impact.DISRUPTIVE
    assert only(Side(), Side(static=static)).text == "10.0.0.0/8 is added"


@pytest.mark.parametrize(
    ("running", "impact"),
    [(("VI_1",), Impact.HITLESS), (("VI_1", "VI_2"), Impact.BRIEF)],
)
def test_who_joins_a_group_follows_it_when_it_starts_and_may_take_it_along_when_it_runs(
    running: tuple[str, ...], impact: Impact
) -> None:
    both = (instance("VI_1", 51), instance("VI_2", 52))
    old = Side(
        vrrp=tuple(each for each in both if each.name in running),
        sync_groups=(SyncGroupSettings(name="G", members=("VI_1",)),),
    )
    new = Side(vrrp=both, sync_groups=(SyncGroupSettings(name="G", members=("VI_1", "VI_2")),))
    (change,) = [change for change in plan(old, new) if change.subject == "vrrp_sync_group G"]
    assert (change.text, change.impact) == ("members VI_1 -> VI_1, VI_2", impact)


def test_a_member_with_another_name_is_the_same_member() -> None:
    old = Side(vrrp=(instance("VI_1", 51),), sync_groups=(SyncGroupSettings(name="G", members=("VI_1",)),))
    new = Side(vrrp=(instance("VI_9", 51),), sync_groups=(SyncGroupSettings(name="G", members=("VI_9",)),))
    (change,) = [change for change in plan(old, new) if change.subject == "vrrp_sync_group G"]
    assert (change.text, change.impact) == ("members VI_1 -> VI_9", Impact.HITLESS)


def test_groups_and_trackers() -> None:
    group = SyncGroupSettings(name="G", members=("VI_1", "VI_2"))
    assert only(Side(), Side(sync_groups=(group,))).impact is Impact.BRIEF
    assert only(Side(sync_groups=(group,)), Side()).impact is Impact.HITLESS
    smaller = SyncGroupSettings(name="G", members=("VI_1",))
    change = only(Side(sync_groups=(group,)), Side(sync_groups=(smaller,)))
    assert (change.text, change.impact) == ("members VI_1, VI_2 -> VI_1", Impact.HITLESS)

    def tracking(argument: str, weight: int) -> TrackingSettings:
        script = ScriptSettings(name="chk", command=Command(("/bin/chk", argument)))
        return TrackingSettings(scripts=(script,), uses={"VI_1": (TrackerUse(TrackerKind.SCRIPT, "chk", weight),)})

    old = Side(vrrp=(instance(),), tracking=tracking("hush", -20))
    (script,) = plan(old, Side(vrrp=(instance(),), tracking=tracking("hushhush", -20)))
    assert (script.subject, script.impact) == ("vrrp_script chk", Impact.HITLESS)
    assert "hush" not in script.text, "a command line may hold a secret"
    (use,) = plan(old, Side(vrrp=(instance(),), tracking=tracking("hush", -30)))
    assert (use.subject, use.impact) == ("vrrp_instance VI_1", Impact.BRIEF)
    assert "track_script chk weight -30" in use.text


def session(**more: Any) -> BfdSettings:
    values: dict[str, Any] = {
        "neighbor": packed("10.0.0.2"), "desired_min_tx_interval": 10_000, "required_min_rx_interval": 10_000,
        "detect_mult": 3,
    } | more  # fmt: skip
    return BfdSettings(sessions=(SessionSettings(name="b1", **values),))


def test_sessions() -> None:
    old = Side(bfd=session())
    assert only(Side(), old).impact is Impact.HITLESS
    assert only(old, Side()).impact is Impact.DISRUPTIVE
    assert only(old, Side(bfd=session(neighbor=packed("10.0.0.3")))).impact is Impact.DISRUPTIVE
    moved = only(old, Side(bfd=session(source=packed("10.0.0.9"))))
    assert moved.impact is Impact.DISRUPTIVE
    assert "unless packets go that way already" in moved.text
    assert "address" in moved.peers
    bound = only(old, Side(bfd=session(interface="eth7")))
    assert (bound.impact, bound.peers) == (Impact.DISRUPTIVE, "")
    negotiated = only(old, Side(bfd=session(detect_mult=5)))
    assert (negotiated.impact, negotiated.peers) == (Impact.HITLESS, "")
    assert "detect_mult" in negotiated.text
    key = AuthSettings(AuthType.KEYED_SHA1, (AuthKey(1, b"hush"),), 1)
    signed = only(old, Side(bfd=session(authentication=key)))
    assert "new authentication" in signed.peers
    assert "hush" not in repr(signed)


def servers(*real: RealServerSettings, **more: Any) -> Side:
    values: dict[str, Any] = {"protocol": 6, "members": (Members(2, 6, packed("192.0.2.10"), 1, 80),)} | more
    server = VirtualServerSettings(name="[192.0.2.10]:tcp:80", real_servers=real, **values)
    return Side(checkers=CheckersSettings(virtual_servers=(server,)))


def real(last: int = 1, **more: Any) -> RealServerSettings:
    return RealServerSettings(packed(f"10.0.0.{last}"), 8080, **more)


def test_virtual_servers() -> None:
    one = servers(real())
    assert plan(one, one) == []
    begins = only(Side(), one)
    assert (begins.impact, begins.addresses) == (Impact.HITLESS, ("192.0.2.10",))
    assert begins.subject == "virtual_server [192.0.2.10]:tcp:80"
    assert only(one, Side()).impact is Impact.DISRUPTIVE
    assert only(one, servers(real(), scheduler="rr")).text == "scheduler wlc -> rr"
    assert only(one, servers(real(weight=3))).text == "real server 10.0.0.1:8080: weight 1 -> 3"
    assert only(one, servers(real(), real(2))).impact is Impact.HITLESS
    gone = only(servers(real(), real(2)), one)
    assert (gone.impact, "10.0.0.2:8080 is removed" in gone.text) == (Impact.BRIEF, True)
    assert only(one, servers(real(forwarding=Forwarding(DIRECT_ROUTE)))).impact is Impact.BRIEF
    command = only(one, servers(real(notify_up=Command(("/bin/x", "hush")))))
    assert "hush" not in repr(command)


def test_the_worst_of_all() -> None:
    side = Side(vrrp=(instance(), instance("B", 2, addresses=(address("192.0.2.20"),))))
    other = Side(vrrp=(instance(advert_interval=2 * SECOND),))
    assert worst(plan(side, other)) is Impact.DISRUPTIVE
    assert [impact.value for impact in sorted(Impact, key=lambda it: it.rank)] == [
        "no-op", "hitless", "brief", "disruptive",
    ]  # fmt: skip

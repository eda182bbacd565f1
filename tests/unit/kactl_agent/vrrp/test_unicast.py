"""Unicast: who may send, over how many hops, with which checksum, and what happens without a peer."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.vrrp.actions import PacketMeta, Report, SendAdvert, Startup, State
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.packet import IPV4_GROUP
from kactl_agent.vrrp.settings import SECOND, ChecksumForm, Family, OldUnicastChecksum
from support.vrrp import (
    LOCAL,
    PEER,
    PEER6,
    PEER_LOW,
    advert,
    due,
    interface,
    make_settings,
    master,
    of,
    packed,
    started,
    transition,
)

STRANGER = packed("192.0.2.77")
PEERS = (PEER, PEER_LOW)


def to_us(priority: int = 150, source: bytes = PEER, **changes: Any) -> tuple[bytes, PacketMeta]:
    return advert(priority, source, destination=LOCAL, **changes)


def old_form(priority: int = 150, source: bytes = PEER, group: bytes = IPV4_GROUP) -> tuple[bytes, PacketMeta]:
    """As keepalived up to 1.3.6 sends it: the pseudo-header says the group, the packet goes to the peer."""
    data, _ = advert(priority, source, destination=group)
    return data, to_us(priority, source)[1]


@pytest.mark.parametrize(("check", "master_of"), [(False, STRANGER), (True, b"")])
def test_check_unicast_src(check: bool, master_of: bytes) -> None:
    instance = started(unicast_peers=PEERS, check_unicast_source=check)
    instance.receive(*to_us(source=STRANGER), SECOND)
    assert instance.snapshot().master == master_of
    assert instance.snapshot().statistics["unicast_source"] == int(check)
    instance.receive(*to_us(source=PEER_LOW), SECOND)
    assert instance.snapshot().master == PEER_LOW


def test_check_unicast_src_means_nothing_in_multicast() -> None:
    instance = started(check_unicast_source=True)
    instance.receive(*advert(150), SECOND)
    assert instance.snapshot().master == PEER


@pytest.mark.parametrize(("ttl", "accepted"), [(252, False), (253, True), (254, True), (255, False)])
def test_ttl_limits_are_each_peer_s_own(ttl: int, accepted: bool) -> None:
    settings: dict[str, Any] = {
        "unicast_peers": PEERS,
        "unicast_ttl_limits": ((253, 254), (0, 255)),
        "check_unicast_source": True,
    }
    instance = started(**settings)
    instance.receive(*to_us(ttl=ttl), SECOND)
    assert (instance.snapshot().master == PEER) is accepted
    assert instance.snapshot().statistics["ttl"] == int(not accepted)
    instance.receive(*to_us(source=PEER_LOW, ttl=ttl), SECOND)
    assert instance.snapshot().master == PEER_LOW


def test_unicast_fault_no_peer() -> None:
    """keepalived 2.2.7, observed: `Cannot use unicast without any peers - going to fault state`."""
    instance = VrrpInstance(make_settings(unicast_fault_no_peer=True))
    instance.handle_event(interface(), 0)
    assert transition(instance.handle_event(Startup(), 0)).new is State.FAULT
    assert instance.snapshot().faults == ("unicast_fault_no_peer",)
    instance.handle_event(interface(up=False), 0)
    instance.handle_event(interface(), 0)
    assert instance.state is State.FAULT
    assert started(unicast_fault_no_peer=True, unicast_peers=PEERS).state is State.BACKUP


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("unicast", [False, True])
def test_the_old_checksum_is_unicast_version_3s_alone(version: int, unicast: bool) -> None:
    peers: dict[str, Any] = {"unicast_peers": PEERS if unicast else (), "version": version}
    instance, now = master(old_unicast_checksum=OldUnicastChecksum.ALWAYS, **peers)
    plain, _ = master(**peers)
    sent = [action.payload for action in of(SendAdvert, instance.handle_timer(now + SECOND))]
    modern = [action.payload for action in of(SendAdvert, plain.handle_timer(now + SECOND))]
    if version == 3 and unicast:
        assert sent == [advert(100, LOCAL)[0]]  # one image, summed for the group
        assert sent[0] not in modern
    else:
        assert sent == modern


def test_the_old_checksum_has_the_configured_group() -> None:
    """keepalived 2.2.7, observed: that of vrrp_mcast_group4."""
    group = packed("224.0.0.200")
    settings: dict[str, Any] = {"unicast_peers": PEERS, "multicast_group": group}
    instance, now = master(old_unicast_checksum=OldUnicastChecksum.ALWAYS, **settings)
    (found,) = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert found.payload == advert(100, LOCAL, destination=group)[0]
    other = started(**settings)
    other.receive(*old_form(group=group), SECOND)
    assert other.snapshot().master == PEER


@pytest.mark.parametrize("how", list(OldUnicastChecksum))
def test_the_first_advert_decides_what_is_sent(how: OldUnicastChecksum) -> None:
    """keepalived: `never` does not take the old form; without a word it is taken up when it is heard first."""
    instance = started(unicast_peers=PEERS, old_unicast_checksum=how)
    actions = instance.receive(*old_form(), SECOND)
    if how is OldUnicastChecksum.NEVER:
        assert instance.snapshot().statistics["checksum"] == 1
        assert instance.snapshot().master == b""
        return
    assert instance.snapshot().master == PEER
    assert [r.code for r in of(Report, actions)] == ["old_unicast_checksum"]
    sent = of(SendAdvert, instance.handle_timer(due(instance)))
    assert [action.payload for action in sent] == [advert(100, LOCAL)[0]]
    instance.receive(*to_us(200), due(instance))  # the modern form is taken all the same
    assert instance.state is State.BACKUP


def test_a_modern_advert_first_keeps_the_modern_form() -> None:
    instance = started(unicast_peers=(PEER,))
    instance.receive(*to_us(), SECOND)
    instance.receive(*old_form(), SECOND)  # still taken: to be deaf is worse
    assert instance.snapshot().statistics["old_unicast_checksum"] == 1
    (found,) = of(SendAdvert, instance.handle_timer(due(instance)))
    assert found.payload == advert(100, LOCAL, destination=PEER)[0]


def test_the_old_checksum_is_nothing_for_others() -> None:
    data, meta = old_form()
    broken = data[:6] + bytes((data[6] ^ 1,)) + data[7:]
    instance = started(unicast_peers=PEERS)
    instance.receive(broken, meta, SECOND)
    assert instance.snapshot().statistics["checksum"] == 1
    six = make_settings(family=Family.IPV6)
    data, meta = advert(150, PEER6, settings=six)  # summed for ff02::12 ...
    peer = started(family=Family.IPV6, unicast_peers=(PEER6,))
    peer.receive(
        data, advert(150, PEER6, settings=six, destination=packed("fe80::5"))[1], SECOND
    )  # ... sent to fe80::5
    assert peer.snapshot().statistics["checksum"] == 1


def test_the_old_checksum_goes_with_a_message_only_sender() -> None:
    """v3_checksum_as_v2 has no pseudo-header that could be wrong."""
    instance, now = master(
        unicast_peers=PEERS, checksum_form=ChecksumForm.MESSAGE_ONLY, old_unicast_checksum=OldUnicastChecksum.ALWAYS
    )
    (found,) = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert found.payload == advert(100, LOCAL, form=ChecksumForm.MESSAGE_ONLY)[0]

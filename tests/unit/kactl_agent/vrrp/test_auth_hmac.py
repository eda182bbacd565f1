"""auth_hmac: the published vectors, every check of the receiver, the sequences, and what an instance makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.vrrp.actions import ClockOffset, InterfaceState, PacketMeta, Report, SendAdvert, Startup, State
from kactl_agent.vrrp.auth_hmac import (
    TRAILER_LENGTH,
    Authenticator,
    Verified,
    ahead_seconds,
    is_after,
    sequence_of,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.packet import Reason, RemoteProtocolError
from kactl_agent.vrrp.settings import (
    SECOND,
    ChecksumForm,
    Family,
    HmacKey,
    HmacMode,
    HmacSettings,
    VirtualAddress,
    VrrpSettings,
    without_secrets,
)
from support.vrrp import (
    PEER,
    PEER_LOW,
    UNIX_TIME,
    advert,
    due,
    interface,
    make_settings,
    master,
    of,
    on_the_wire,
    packed,
    started,
    transition,
)

KEY = bytes(range(32))
HOUR = 3600 * SECOND
SEQUENCE = 0x6800000080000000
WALL = 0x68000000 * SECOND + SECOND // 2  # the moment of that sequence
FIELDS = bytes.fromhex("010100006800000080000000")
SOURCE4, SOURCE6 = packed("198.51.100.10"), packed("fe80::10")
IMAGE4 = bytes.fromhex("3133c80100644402c0000264") + FIELDS + bytes.fromhex("1b84bc4e8e43892dc6d98448f8ee2265")
IMAGE6 = (
    bytes.fromhex("3133c8010064a2e9fe800000000000000000000000000100")
    + FIELDS
    + bytes.fromhex("c8c56146ebfd66ee10ec4d8186461b78")
)
IMAGE_V2 = (
    bytes.fromhex("2133c80100015465c00002640000000000000000")
    + FIELDS
    + bytes.fromhex("d0b9391b8d008f779ef2e8cf66238947")
)
IPV6: dict[str, Any] = {"family": Family.IPV6, "addresses": (VirtualAddress(packed("fe80::100"), 64, "eth0"),)}


def hmac_settings(**changes: Any) -> HmacSettings:
    defaults: dict[str, Any] = {"keys": (HmacKey(1, KEY),), "active_key": 1, "time_window": 5}
    return HmacSettings(**(defaults | changes))


def with_hmac(changes: dict[str, Any] | None = None, **settings: Any) -> VrrpSettings:
    return make_settings(auth_hmac=hmac_settings(**(changes or {})), **settings)


def split(image: bytes) -> tuple[bytes, bytes]:
    return image[:-TRAILER_LENGTH], image[-TRAILER_LENGTH:]


def reason(authenticator: Authenticator, image: bytes, source: bytes, wall: int = WALL) -> Reason | None:
    try:
        authenticator.verify(*split(image), source, wall)
    except RemoteProtocolError as error:
        return error.reason
    return None


VECTORS = [(IMAGE4, SOURCE4, {}), (IMAGE6, SOURCE6, IPV6), (IMAGE_V2, SOURCE4, {"version": 2})]


@pytest.mark.parametrize(("image", "source", "settings"), VECTORS)
def test_vectors_are_signed(image: bytes, source: bytes, settings: dict[str, Any]) -> None:
    message, trailer = split(image)
    assert Authenticator(with_hmac(**settings)).trailer(message, source, WALL) == trailer
    blank = message[:6] + b"\0\0" + message[8:]  # the checksum does not count
    assert Authenticator(with_hmac(**settings)).trailer(blank, source, WALL) == trailer


@pytest.mark.parametrize(("image", "source", "settings"), VECTORS)
def test_vectors_are_verified_once_by_each_receiver(image: bytes, source: bytes, settings: dict[str, Any]) -> None:
    for monotonic in (False, True):
        receiver = Authenticator(with_hmac({"monotonic": monotonic}, **settings))
        assert receiver.verify(*split(image), source, WALL) == Verified(signed=True, skew_seconds=0)
        assert reason(receiver, image, source) is Reason.HMAC_REPLAY


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (2, Reason.HMAC_INVALID),  # priority
        (5, Reason.HMAC_INVALID),  # interval
        (23, Reason.HMAC_INVALID),  # last byte of the virtual address
        (24 + 7, Reason.HMAC_INVALID),  # seconds
        (24 + 11, Reason.HMAC_INVALID),  # counter
        (24 + 27, Reason.HMAC_INVALID),  # digest
        (6, None),  # checksum: the kernel writes it behind the signature
        (24, Reason.HMAC_MALFORMED),  # ext_type
        (24 + 2, Reason.HMAC_MALFORMED),  # reserved
        (24 + 3, Reason.HMAC_MALFORMED),
        (24 + 1, Reason.HMAC_UNKNOWN_KEY),
        (1, Reason.HMAC_INVALID),  # VRID 50
    ],
)
def test_published_mutations(offset: int, expected: Reason | None) -> None:
    changed = IMAGE6[:offset] + bytes((IMAGE6[offset] ^ 1,)) + IMAGE6[offset + 1 :]
    assert reason(Authenticator(with_hmac(**IPV6)), changed, SOURCE6) is expected


def test_another_source_is_invalid() -> None:
    assert reason(Authenticator(with_hmac(**IPV6)), IMAGE6, packed("fe80::11")) is Reason.HMAC_INVALID
    assert reason(Authenticator(with_hmac()), IMAGE4, PEER) is Reason.HMAC_INVALID


@pytest.mark.parametrize("seconds", [-100, -6, 6, 100])
def test_outside_the_window_is_stale(seconds: int) -> None:
    """Before the digest: a forged one is just as stale."""
    receiver = Authenticator(with_hmac())
    assert reason(receiver, IMAGE4, SOURCE4, WALL + seconds * SECOND) is Reason.HMAC_STALE
    assert reason(receiver, IMAGE4[:-1] + b"\0", SOURCE4, WALL + seconds * SECOND) is Reason.HMAC_STALE
    assert reason(Authenticator(with_hmac({"monotonic": True})), IMAGE4, SOURCE4, WALL + seconds * SECOND) is None


@pytest.mark.parametrize(("seconds", "skew"), [(0, 0), (2, 0), (-2, 0), (3, -3), (-3, 3), (5, -5), (-5, 5)])
def test_skew_of_more_than_half_a_window_is_said(seconds: int, skew: int) -> None:
    found = Authenticator(with_hmac()).verify(*split(IMAGE4), SOURCE4, WALL + seconds * SECOND)
    assert found.skew_seconds == skew


def test_the_time_of_a_sequence_wraps() -> None:
    """Unix seconds are taken modulo 2**32, differences are signed: 2106 is no event."""
    before, after = sequence_of((1 << 32) * SECOND - SECOND), sequence_of((1 << 32) * SECOND + SECOND)
    assert (before >> 32, after >> 32) == (0xFFFFFFFF, 1)
    assert (ahead_seconds(after, before), ahead_seconds(before, after)) == (2, -2)
    assert is_after(after, before)
    assert not is_after(before, after)


def test_subseconds_are_rounded_down() -> None:
    assert sequence_of(SECOND) == 1 << 32
    assert sequence_of(SECOND + SECOND // 2) == 1 << 32 | 0x8000 << 16
    assert sequence_of(SECOND - 1) == 0xFFFF << 16
    assert sequence_of(15_258) == 0
    assert sequence_of(15_259) == 1 << 16


def test_rfc1982_64_bit_order() -> None:
    top = (1 << 64) - 1
    assert is_after(1, 0)
    assert is_after(0, top)
    assert not is_after(top, 0)
    assert not is_after(7, 7)
    assert not is_after(1 << 63, 0)  # as far before as behind: not after


@pytest.mark.parametrize(("monotonic", "expected"), [(False, SEQUENCE), (True, SEQUENCE + (3600 << 32) + 1)])
def test_a_sender_whose_clock_was_an_hour_ahead(monotonic: bool, expected: int) -> None:
    sender = Authenticator(with_hmac({"monotonic": monotonic}))
    sender.next_sequence(WALL + HOUR)
    assert sender.next_sequence(WALL) == expected


def test_a_sender_counts_on_while_the_clock_does_not_move() -> None:
    sender = Authenticator(with_hmac())
    numbers = [sender.next_sequence(wall) for wall in (WALL, WALL, WALL - 2 * SECOND, WALL + 1)]
    assert numbers == [SEQUENCE, SEQUENCE + 1, SEQUENCE + 2, SEQUENCE + 3]
    assert sender.next_sequence(WALL + SECOND) == SEQUENCE + (1 << 32)


def test_the_first_sequence_is_the_clock_s_in_any_year() -> None:
    """In 2040 the seconds are beyond half of their range: not after a sequence of zero."""
    wall = 0x83AA7E80 * SECOND
    for monotonic in (False, True):
        assert Authenticator(with_hmac({"monotonic": monotonic})).next_sequence(wall) == sequence_of(wall)


def test_counting_on_carries_through_the_fields() -> None:
    sender = Authenticator(with_hmac())
    sender.next_sequence(WALL)
    sender._last = SEQUENCE | 0xFFFFFFFF
    assert sender.next_sequence(WALL) == SEQUENCE - 0x80000000 + (1 << 32)


@pytest.mark.parametrize(("monotonic", "expected"), [(False, None), (True, Reason.HMAC_REPLAY)])
def test_a_mark_of_a_receiver_whose_clock_was_an_hour_ahead(monotonic: bool, expected: Reason | None) -> None:
    settings = with_hmac({"monotonic": monotonic})
    sender, receiver = Authenticator(settings), Authenticator(settings)
    message = split(IMAGE4)[0]
    receiver.verify(message, sender.trailer(message, SOURCE4, WALL + HOUR), SOURCE4, WALL + HOUR)
    assert reason(receiver, IMAGE4, SOURCE4) is expected


def test_marks_are_kept_for_four_senders_of_a_group() -> None:
    settings = with_hmac({"monotonic": True})
    message = split(IMAGE4)[0]
    receiver = Authenticator(settings)
    senders = [packed(f"192.0.2.{index}") for index in range(5)]
    trailers = [Authenticator(settings).trailer(message, sender, WALL) for sender in senders]
    for sender, trailer in zip(senders[:4], trailers[:4], strict=True):
        receiver.verify(message, trailer, sender, WALL)
    receiver.verify(message, Authenticator(settings).trailer(message, senders[0], WALL + SECOND), senders[0], WALL)
    with pytest.raises(RemoteProtocolError):  # forged: pushes none out
        receiver.verify(message, trailers[4][:-1] + b"\0", senders[4], WALL)
    receiver.verify(message, trailers[4], senders[4], WALL)
    found = [reason(receiver, message + trailer, sender) for sender, trailer in zip(senders, trailers, strict=True)]
    # the second was not heard for longest: its mark went for the fifth, and then the third's for the second
    assert found[0] is Reason.HMAC_REPLAY
    assert found[1] is None
    assert found[4] is Reason.HMAC_REPLAY


def test_a_sender_heard_again_pushes_nobody_out() -> None:
    settings = with_hmac({"monotonic": True})
    message = split(IMAGE4)[0]
    receiver = Authenticator(settings)
    senders = [packed(f"192.0.2.{index}") for index in range(4)]
    trailers = [Authenticator(settings).trailer(message, sender, WALL) for sender in senders]
    for sender, trailer in zip(senders, trailers, strict=True):
        receiver.verify(message, trailer, sender, WALL)
    receiver.verify(message, Authenticator(settings).trailer(message, senders[1], WALL + SECOND), senders[1], WALL)
    for sender, trailer in zip(senders, trailers, strict=True):
        assert reason(receiver, message + trailer, sender) is Reason.HMAC_REPLAY


def test_every_unicast_peer_keeps_its_mark() -> None:
    peers = tuple(packed(f"192.0.2.{index}") for index in range(10))
    settings = with_hmac(unicast_peers=peers)
    message = split(IMAGE4)[0]
    receiver = Authenticator(settings)
    trailers = [Authenticator(settings).trailer(message, peer, WALL) for peer in peers]
    for expected in (None, Reason.HMAC_REPLAY):
        found = {reason(receiver, message + t, peer) for peer, t in zip(peers, trailers, strict=True)}
        assert found == {expected}


def test_unicast_takes_its_peers_alone() -> None:
    settings = with_hmac(unicast_peers=(PEER,))
    message = split(IMAGE4)[0]
    sender, receiver = Authenticator(settings), Authenticator(settings)
    trailer = sender.trailer(message, PEER, WALL)
    assert reason(receiver, message + trailer, PEER_LOW) is Reason.UNICAST_SOURCE
    assert reason(receiver, message + trailer, PEER) is None


def test_keys_are_changed_one_router_after_the_other() -> None:
    new = HmacKey(2, b"n" * 64)
    message = split(IMAGE4)[0]
    both_old = with_hmac({"keys": (HmacKey(1, KEY), new)})
    both_new = with_hmac({"keys": (HmacKey(1, KEY), new), "active_key": 2})
    one = with_hmac({"keys": (new,), "active_key": 2})
    sender, receiver = Authenticator(both_old), Authenticator(both_old)
    for step, (sends, receives) in enumerate(((both_old, both_new), (both_new, both_new), (both_new, one), (one, one))):
        sender.reconfigure(sends)
        receiver.reconfigure(receives)
        assert reason(receiver, message + sender.trailer(message, PEER, WALL + step), PEER) is None
    trailer = sender.trailer(message, PEER, WALL)
    assert reason(receiver, message + trailer, PEER) is None
    assert reason(receiver, message + trailer, PEER) is Reason.HMAC_REPLAY  # marks have survived all that
    sender.reconfigure(both_old)
    assert reason(receiver, message + sender.trailer(message, PEER, WALL), PEER) is Reason.HMAC_UNKNOWN_KEY


# -- in an instance ---------------------------------------------------------------------------------------------------

ENFORCE, PERMISSIVE, RECEIVE_ONLY = (hmac_settings(mode=mode) for mode in HmacMode)


def one_advert(instance: VrrpInstance, now: int) -> tuple[bytes, PacketMeta]:
    return on_the_wire(of(SendAdvert, instance.handle_timer(now))[0])


def test_the_vector_is_what_an_instance_sends() -> None:
    settings = with_hmac({}, priority=200, checksum_form=ChecksumForm.MESSAGE_ONLY)
    instance = VrrpInstance(settings)
    instance.handle_event(interface(SOURCE4), 0)
    instance.handle_event(ClockOffset(WALL), 0)
    instance.handle_event(Startup(), 0)
    now = due(instance)
    instance.handle_event(ClockOffset(WALL - now), now)
    (action,) = of(SendAdvert, instance.handle_timer(now))
    assert action.payload == IMAGE4


def test_the_checksum_over_ipv6_covers_the_trailer() -> None:
    settings = with_hmac({}, priority=200, unicast_peers=(packed("fe80::20"),), **IPV6)
    instance = VrrpInstance(settings)
    instance.handle_event(interface(SOURCE6), 0)
    instance.handle_event(ClockOffset(WALL), 0)
    instance.handle_event(Startup(), 0)
    now = due(instance)
    instance.handle_event(ClockOffset(WALL - now), now)
    (action,) = of(SendAdvert, instance.handle_timer(now))
    assert action.payload == IMAGE6
    receiver = started(address=packed("fe80::20"), auth_hmac=ENFORCE, unicast_peers=(SOURCE6,), **IPV6)
    receiver.handle_event(ClockOffset(WALL), 0)
    data, meta = on_the_wire(action)
    broken = data[:6] + b"\0\0" + data[8:]
    receiver.receive(broken, meta, 0)
    assert receiver.snapshot().statistics["checksum"] == 1
    receiver.handle_event(ClockOffset(WALL + 1), 0)


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("version", [2, 3])
def test_what_one_signs_the_other_takes(family: Family, version: int) -> None:
    if version == 2 and family is Family.IPV6:
        return
    changes: dict[str, Any] = {"family": family, "version": version, "auth_hmac": ENFORCE}
    first, now = master(priority=150, **changes)
    peer = PEER if family is Family.IPV4 else packed("fe80::77")
    second = started(address=peer, **changes)
    for step in range(1, 4):
        assert second.receive(*one_advert(first, now + step * SECOND), now + step * SECOND) == []
    assert second.snapshot().master == first.snapshot().source_address


def test_one_image_serves_all_unicast_peers() -> None:
    changes = {"checksum_form": ChecksumForm.MESSAGE_ONLY, "auth_hmac": ENFORCE}
    instance, now = master(unicast_peers=(PEER, PEER_LOW), **changes)
    (action,) = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert action.destinations == (PEER, PEER_LOW)
    instance, now = master(unicast_peers=(PEER, PEER_LOW), auth_hmac=ENFORCE)
    one, other = of(SendAdvert, instance.handle_timer(now + SECOND))
    assert one.payload[6:8] != other.payload[6:8]
    assert one.payload[8:] == other.payload[8:]  # the checksums differ, the signature does not


@pytest.mark.parametrize(
    ("mode", "signs", "takes_unsigned"), [(ENFORCE, True, False), (PERMISSIVE, True, True), (RECEIVE_ONLY, False, True)]
)
def test_modes(mode: HmacSettings, signs: bool, takes_unsigned: bool) -> None:
    instance, now = master(auth_hmac=mode)
    data, meta = one_advert(instance, now + SECOND)
    assert len(data) == 12 + (TRAILER_LENGTH if signs else 0)
    backup = started(address=PEER, auth_hmac=mode)
    actions = backup.receive(*advert(150, PEER_LOW), SECOND)
    statistics = backup.snapshot().statistics
    assert bool(backup.snapshot().master) is takes_unsigned
    assert statistics["auth_hmac_missing"] == (0 if takes_unsigned else 1)
    assert statistics["auth_hmac_unsigned"] == (1 if takes_unsigned else 0)
    assert [r.level for r in of(Report, actions)] == ["warning"]  # never silently
    # a wrong trailer is dropped whatever the mode
    signer, now = master(auth_hmac=ENFORCE, priority=200)
    data, meta = one_advert(signer, now + SECOND)
    backup.receive(data[:-1] + bytes((data[-1] ^ 1,)), meta, now + SECOND)
    assert backup.snapshot().statistics["auth_hmac_invalid"] == 1


def test_without_auth_hmac_a_signed_advert_is_too_long() -> None:
    instance, now = master(auth_hmac=ENFORCE)
    plain = started(address=PEER)
    plain.receive(*one_advert(instance, now + SECOND), SECOND)
    assert plain.snapshot().statistics["length"] == 1


def test_each_failure_has_its_counter_and_comes_before_the_checksum() -> None:
    signer, now = master(auth_hmac=ENFORCE)
    data, meta = one_advert(signer, now + SECOND)
    backup = started(address=PEER, auth_hmac=ENFORCE)
    cases = {
        "auth_hmac_malformed": data[:12] + b"\2" + data[13:],
        "auth_hmac_unknown_key": data[:13] + b"\2" + data[14:],
        "auth_hmac_stale": data[:16] + bytes(4) + data[20:],
        "auth_hmac_invalid": data[:2] + b"\xfe" + data[3:],
        "length": data[:-1],
        "version": b"\x21" + data[1:],
    }
    for counter, packet in cases.items():
        before = backup.snapshot().statistics[counter]
        backup.receive(packet, meta, now + SECOND)
        assert backup.snapshot().statistics[counter] == before + 1, counter
    assert backup.snapshot().master == b""
    other, now = master(auth_hmac=ENFORCE, virtual_router_id=52)  # another virtual router is none of our business
    assert backup.receive(*one_advert(other, now + SECOND), now + SECOND) == []
    assert backup.snapshot().statistics["virtual_router_id"] == 1


def test_a_clock_that_is_not_known_is_a_fault() -> None:
    """Neither signed nor verified by a clock that says 1970."""
    instance = VrrpInstance(with_hmac())
    instance.handle_event(interface(), 0)
    assert transition(instance.handle_event(Startup(), 0)).new is State.FAULT
    assert instance.snapshot().faults == ("clock_unknown",)
    assert transition(instance.handle_event(ClockOffset(UNIX_TIME), 1)).new is State.BACKUP
    assert instance.handle_event(ClockOffset(UNIX_TIME + 1), 2) == []


def test_a_stepped_clock_loses_the_master_until_it_is_right() -> None:
    first, now = master(auth_hmac=ENFORCE, priority=150)
    second = started(address=PEER, auth_hmac=ENFORCE)
    second.receive(*one_advert(first, now + SECOND), now + SECOND)
    first.handle_event(ClockOffset(UNIX_TIME + HOUR), now + SECOND)
    second.receive(*one_advert(first, now + 2 * SECOND), now + 2 * SECOND)
    assert second.snapshot().statistics["auth_hmac_stale"] == 1
    first.handle_event(ClockOffset(UNIX_TIME), now + 2 * SECOND)
    second.receive(*one_advert(first, now + 3 * SECOND), now + 3 * SECOND)
    assert due(second) == now + 3 * SECOND + 3_609_375_000


def test_skew_is_remarked() -> None:
    first, now = master(auth_hmac=ENFORCE)
    first.handle_event(ClockOffset(UNIX_TIME + 4 * SECOND), now)
    second = started(address=PEER, auth_hmac=ENFORCE)
    actions = second.receive(*one_advert(first, now + SECOND), now + SECOND)
    assert [r.code for r in of(Report, actions)] == ["auth_hmac_clock_skew"]
    assert "4 s ahead of ours" in of(Report, actions)[0].detail


def test_keys_are_in_no_report_and_not_for_those_who_look() -> None:
    settings = with_hmac({"keys": (HmacKey(1, b"geheimnis" * 4),)}, auth_password=b"geheim")
    assert b"geheim" not in repr(without_secrets(settings)).encode()
    assert without_secrets(settings).auth_hmac is not None


def test_interface_states_keep_the_fault_of_the_clock() -> None:
    instance = VrrpInstance(with_hmac())
    for state in (interface(up=False), interface()):
        assert isinstance(state, InterfaceState)
        instance.handle_event(state, 0)
    assert instance.snapshot().faults == ("clock_unknown",)

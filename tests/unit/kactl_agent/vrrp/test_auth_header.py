"""auth_type AH: the layout and check value of RFC 2402/2403 as keepalived computes it, and the sequence numbers."""

from __future__ import annotations

import msgspec
import pytest

from kactl_agent.vrrp.actions import PacketMeta, Report, SendAdvert, Shutdown, State
from kactl_agent.vrrp.auth_header import (
    EXHAUSTED,
    HEADER_LENGTH,
    PROTOCOL_AH,
    AuthenticationHeader,
    ipv4_header,
    virtual_router_id,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.packet import IPV4_GROUP, Reason, RemoteProtocolError
from kactl_agent.vrrp.settings import SECOND
from support.vrrp import (
    LOCAL,
    PEER,
    PEER_LOW,
    advert,
    due,
    make_settings,
    master,
    of,
    on_the_wire,
    packed,
    sent,
    started,
    transition,
)

SOURCE = packed("192.0.2.2")
# VRID 51, priority 100, 1 s, 192.0.2.100 with authentication type 2; password 1234, IP identification 1
MESSAGE = bytes.fromhex("213364010201b665c00002640000000000000000")
FIXED = bytes.fromhex("70040000c000020200000001")
ICV_MULTICAST = bytes.fromhex("8152c2e0a187d0962efdbc51")  # keepalived: TTL 255 counts
ICV_RFC2402 = bytes.fromhex("a6eab86dbc520cc19745dbb1")  # TTL is mutable
AH = {"version": 2, "auth_password": b"1234", "authentication_header": True}


def wrapped(message: bytes = MESSAGE, destination: bytes = IPV4_GROUP, count: int = 1) -> tuple[bytes, bytes]:
    sender = AuthenticationHeader(b"1234")
    for _ in range(count):
        sender.advance()
    data = sender.wrap(message, SOURCE, destination, 255)
    return data, ipv4_header(len(data), sender.identification, 255, SOURCE, destination)


def test_keepalived_vector_in_multicast() -> None:
    data, header = wrapped()
    assert data == FIXED + ICV_MULTICAST + MESSAGE
    assert header.hex() == "45c00040000100" + "00ff330000" + "c0000202" + "e0000012"
    AuthenticationHeader(b"1234").verify(data, header)
    with pytest.raises(RemoteProtocolError):
        AuthenticationHeader(b"1234").verify(FIXED + ICV_RFC2402 + MESSAGE, header)


def test_the_ttl_counts_in_multicast_only() -> None:
    """keepalived zeroes it for unicast, as RFC 2402 3.3.3.1.1 wants it: any number of hops is then fine."""
    for destination, accepted in ((IPV4_GROUP, False), (LOCAL, True)):
        data, header = wrapped(destination=destination)
        hopped = header[:8] + b"\xfd" + header[9:]
        if accepted:
            AuthenticationHeader(b"1234").verify(data, hopped)
        else:
            with pytest.raises(RemoteProtocolError):
                AuthenticationHeader(b"1234").verify(data, hopped)


@pytest.mark.parametrize("offset", [1, 6, 7, 10, 11])
def test_rfc2402_3_3_3_1_mutable_fields_do_not_count(offset: int) -> None:
    """TOS, flags and fragment offset, header checksum."""
    data, header = wrapped()
    changed = header[:offset] + bytes((header[offset] ^ 0x10,)) + header[offset + 1 :]
    AuthenticationHeader(b"1234").verify(data, changed)


@pytest.mark.parametrize("offset", [0, 2, 3, 4, 5, 9, 12, 15, 16, 19])
def test_rfc2402_3_3_3_1_everything_else_counts(offset: int) -> None:
    data, header = wrapped()
    changed = header[:offset] + bytes((header[offset] ^ 0x01,)) + header[offset + 1 :]
    with pytest.raises(RemoteProtocolError):
        AuthenticationHeader(b"1234").verify(data, changed)


def test_rfc2402_options_count_with_zeros() -> None:
    data, header = wrapped()
    assert bytes(4) != b"\x94\x04\0\0"
    for options in (b"\x94\x04\0\0", bytes(4)):  # router alert, end of options
        with pytest.raises(RemoteProtocolError):  # the image of a longer header is another one
            AuthenticationHeader(b"1234").verify(data, header + options)


def test_the_key_is_the_password_of_eight_bytes_filled_with_zeros() -> None:
    data, header = wrapped()
    for password in (b"1234\0\0\0\0", b"1234\0\0\0\0more"):
        AuthenticationHeader(password).verify(data, header)
    with pytest.raises(RemoteProtocolError) as caught:
        AuthenticationHeader(b"12345").verify(data, header)
    assert caught.value.reason is Reason.AUTH_FAILURE


def test_the_spi_is_the_sender() -> None:
    sender = AuthenticationHeader(b"1234")
    sender.advance()
    data, _ = wrapped()
    forged = ipv4_header(len(data), 1, 255, PEER, IPV4_GROUP)
    fixed = data[:12]
    icv = sender._integrity_check_value(forged, fixed, MESSAGE)
    with pytest.raises(RemoteProtocolError) as caught:
        AuthenticationHeader(b"1234").verify(fixed + icv + MESSAGE, forged)
    assert caught.value.reason is Reason.AUTH_SPI


def test_rfc2402_3_4_3_a_number_counts_once_and_only_behind_the_check_value() -> None:
    receiver = AuthenticationHeader(b"1234")
    forged, header = wrapped(count=900)
    with pytest.raises(RemoteProtocolError):
        receiver.verify(forged[:12] + bytes(12) + forged[HEADER_LENGTH:], header)
    assert receiver.last == 0
    for count in (5, 6, 9):
        receiver.verify(*wrapped(count=count))
        assert receiver.last == count
    for count in (9, 8, 1):
        with pytest.raises(RemoteProtocolError) as caught:
            receiver.verify(*wrapped(count=count))
        assert caught.value.reason is Reason.AUTH_SEQUENCE


def test_the_number_sent_last_is_taken_once_from_another() -> None:
    """keepalived drops it: two masters that count in step never hear each other."""
    receiver = AuthenticationHeader(b"1234")
    receiver.advance()
    receiver.verify(*wrapped())
    with pytest.raises(RemoteProtocolError):
        receiver.verify(*wrapped())


def test_a_number_behind_our_own_is_old_even_if_it_was_never_heard() -> None:
    receiver = AuthenticationHeader(b"1234")
    for _ in range(5):
        receiver.advance()
    with pytest.raises(RemoteProtocolError) as caught:
        receiver.verify(*wrapped(count=4))
    assert caught.value.reason is Reason.AUTH_SEQUENCE


def test_identification_is_never_zero() -> None:
    sender = AuthenticationHeader(b"1234")
    seen = set()
    for _ in range(70_000):
        sender.advance()
        seen.add(sender.identification)
    assert seen == set(range(1, 0x10000))


@pytest.mark.parametrize("length", [0, 1, 23])
def test_a_short_header_is_an_error(length: int) -> None:
    data, header = wrapped()
    with pytest.raises(RemoteProtocolError) as caught:
        AuthenticationHeader(b"1234").unwrap(data[:length], header)
    assert caught.value.reason is Reason.LENGTH
    with pytest.raises(RemoteProtocolError):
        AuthenticationHeader(b"1234").unwrap(data, header[:length][:19])


@pytest.mark.parametrize("offset", [0, 1])
def test_next_header_and_payload_length_are_fixed(offset: int) -> None:
    data, header = wrapped()
    changed = data[:offset] + b"\x05" + data[offset + 1 :]
    with pytest.raises(RemoteProtocolError) as caught:
        AuthenticationHeader(b"1234").unwrap(changed, header)
    assert caught.value.reason is Reason.AUTH_HEADER


def test_which_router_a_packet_is_for() -> None:
    data, _ = wrapped()
    assert virtual_router_id(data, PROTOCOL_AH) == 51
    assert virtual_router_id(MESSAGE, 112) == 51
    assert virtual_router_id(data[:25], PROTOCOL_AH) is None
    assert virtual_router_id(b"!", 112) is None


# -- in an instance ---------------------------------------------------------------------------------------------------


def one_advert(instance: VrrpInstance, now: int) -> tuple[bytes, PacketMeta]:
    (action,) = of(SendAdvert, instance.handle_timer(now))
    return on_the_wire(action)


def test_a_master_sends_with_header_and_a_backup_takes_it() -> None:
    first, now = master(**AH)
    second = started(address=PEER, **AH)
    packet = one_advert(first, now + SECOND)
    assert packet[1].protocol == PROTOCOL_AH
    assert packet[0][HEADER_LENGTH + 4] == 2  # the message says authentication type 2 ...
    assert packet[0][-8:] == bytes(8)  # ... and its authentication data is zero (RFC 2338 5.3.6.3)
    assert second.receive(*packet, now) == []
    assert second.snapshot().master == LOCAL
    assert [r.code for r in of(Report, second.receive(*packet, now))] == ["auth_sequence"]
    assert second.snapshot().statistics["auth_sequence"] == 1


def test_unicast_copies_share_the_number_but_not_the_check_value() -> None:
    first, now = master(unicast_peers=(PEER, PEER_LOW), **AH)
    one, other = of(SendAdvert, first.handle_timer(now + SECOND))
    assert (one.destinations, other.destinations) == ((PEER,), (PEER_LOW,))
    assert (one.payload[:12], one.identification) == (other.payload[:12], other.identification)
    assert one.payload[12:24] != other.payload[12:24]
    assert one.payload[24:] == other.payload[24:]
    for action, address in ((one, PEER), (other, PEER_LOW)):
        peer = started(address=address, unicast_peers=(LOCAL,), **AH)
        data, meta = on_the_wire(action)
        peer.receive(data, meta, now)
        assert peer.snapshot().master == LOCAL


def test_the_header_must_be_there_and_must_not() -> None:
    first, now = master(**AH)
    plain = started(version=2)
    assert plain.receive(*one_advert(first, now + SECOND), 0) != []
    assert plain.snapshot().statistics["auth_header"] == 1
    guarded = started(**AH)
    guarded.receive(*advert(150, settings=make_settings(version=2)), 0)
    guarded.receive(*advert(150, settings=make_settings(**AH), auth_type=2), 0)
    assert guarded.snapshot().statistics["auth_header"] == 2
    assert guarded.snapshot().master == b""


def test_the_message_must_say_type_2() -> None:
    first, now = master(**AH)
    data, meta = one_advert(first, now + SECOND)
    plain = advert(100, LOCAL, settings=make_settings(version=2))[0]
    guarded = started(**AH)
    guarded.receive(data[:HEADER_LENGTH] + plain, meta, 0)
    assert guarded.snapshot().statistics["auth_type_mismatch"] == 1


def test_whoever_becomes_master_counts_on() -> None:
    """A third router would drop anything that is not behind the last number it took."""
    first, now = master(**AH)
    second = started(address=PEER, **AH)
    for step in range(1, 6):
        second.receive(*one_advert(first, now + step * SECOND), now + step * SECOND)
    actions = second.handle_timer(due(second))
    (action,) = of(SendAdvert, actions)
    assert int.from_bytes(action.payload[8:12], "big") == 7  # the first router sent six


def test_a_master_that_is_behind_catches_up_with_the_first_lower_advert() -> None:
    """keepalived: the answer to a lower priority is already behind the other's number."""
    high, _ = master(**AH | {"priority": 200})
    low, now = master(address=PEER, **AH)
    for step in range(1, 50):
        packet = one_advert(low, now + step * SECOND)
    actions = high.receive(*packet, now + SECOND // 2)
    (answer,) = of(SendAdvert, actions)
    assert transition(low.receive(*on_the_wire(answer), now + 50 * SECOND)).new is State.BACKUP


def test_used_up_numbers_end_mastership_and_start_anew() -> None:
    first, now = master(**AH)
    second = started(address=PEER, **AH)
    assert first._header is not None
    first._header.last = EXHAUSTED - 1
    second.receive(*one_advert(first, now + SECOND), now + SECOND)
    actions = first.handle_timer(now + 2 * SECOND)
    assert (transition(actions).cause, first.state) == ("sequence_exhausted", State.BACKUP)
    assert sent(actions) == [0]
    assert first.deadline() == now + 2 * SECOND + 3_609_375_000
    # the other one takes over after the skew, has no number left either, and starts with 1
    second.receive(*on_the_wire(of(SendAdvert, actions)[0]), now + 2 * SECOND)
    assert due(second) < now + 3 * SECOND
    actions = second.handle_timer(due(second))
    assert second.state is State.MASTER
    (action,) = of(SendAdvert, actions)
    assert int.from_bytes(action.payload[8:12], "big") == 1
    assert first.receive(*on_the_wire(action), now + 3 * SECOND) == []
    assert first.snapshot().master == PEER


def test_answers_end_with_the_numbers_too() -> None:
    first, now = master(**AH)
    other, _ = master(address=PEER_LOW, **AH | {"priority": 50})
    assert first._header is not None
    assert other._header is not None
    first._header.last = EXHAUSTED
    other._header.last = EXHAUSTED
    actions = first.receive(*on_the_wire(of(SendAdvert, other.handle_event(Shutdown(), now))[0]), now + 1)
    assert sent(actions) == []
    assert first.state is State.MASTER


def test_own_fields_of_a_recording_default_to_a_plain_advert() -> None:
    """Recordings made before there was a header are read as what they were."""
    action = msgspec.json.decode(
        b'{"action":"SendAdvert","payload":"","source":"","destinations":[],"ttl":255,"priority":1}', type=SendAdvert
    )
    assert (action.protocol, action.identification) == (112, 0)

"""Authentication (RFC 5880 6.7 with errata 2530, 7082, 7083): published vectors, windows, keys."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.bfd.auth import Authenticator
from kactl_agent.bfd.packet import Reason, RemoteProtocolError, decode, encode
from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType
from support.bfd import packet

SIMPLE = "204403210000000100000000000f4240000f424000000000010902736563726574"
MD5 = "204403300000000100000000000f4240000f42400000000002180200000041db66a8f9255a8bcb7e4bec25a62c23da0f"
SHA1 = "204403340000000100000000000f4240000f424000000000041c0200000041b14620108103d7f4de87614c24611f3cc16a006923"
METICULOUS_MD5 = (
    "20c403301111111122222222000f4240000f4240000000000318010000"
    "00beef95c4935c5d40b3239279bd432511f50d"
)  # fmt: skip
METICULOUS_SHA1 = (
    "20c403341111111122222222000f4240000f424000000000051c010000"
    "00beefbe5caeca5a25357e615c129a0a446bdf34a83e22"
)  # fmt: skip
DIGESTS = [t for t in AuthType if t is not AuthType.SIMPLE_PASSWORD]
KEYED = [AuthType.KEYED_MD5, AuthType.KEYED_SHA1]
METICULOUS = [AuthType.METICULOUS_KEYED_MD5, AuthType.METICULOUS_KEYED_SHA1]


def authenticator(kind: AuthType, sequence: int = 100, active: int = 2, **keys: bytes) -> Authenticator:
    known = {int(name[1:]): secret for name, secret in keys.items()} or {2: b"secret", 1: b"secret"}
    entries = tuple(AuthKey(number, secret) for number, secret in known.items())
    return Authenticator(AuthSettings(kind, entries, active), sequence)


def verify(receiver: Authenticator, data: bytes) -> None:
    receiver.verify(decode(data), data)


def refused(receiver: Authenticator, data: bytes) -> Reason:
    with pytest.raises(RemoteProtocolError) as caught:
        verify(receiver, data)
    return caught.value.reason


def signed(sender: Authenticator, sequence: int | None = None, **fields: Any) -> bytes:
    if sequence is not None:
        sender.transmitted = (sequence - 1) & 0xFFFFFFFF
        sender._result = b""
    return sender.sign(encode(packet(**fields), sender.length))


@pytest.mark.parametrize(
    ("kind", "vector", "key_id", "sequence"),
    [
        (AuthType.SIMPLE_PASSWORD, SIMPLE, 2, 0),
        (AuthType.KEYED_MD5, MD5, 2, 0x41DB),
        (AuthType.KEYED_SHA1, SHA1, 2, 0x41B1),
        (AuthType.METICULOUS_KEYED_MD5, METICULOUS_MD5, 1, 0xBEEF),
        (AuthType.METICULOUS_KEYED_SHA1, METICULOUS_SHA1, 1, 0xBEEF),
    ],
)
def test_au3_rfc_5880_6_7_vectors(kind: AuthType, vector: str, key_id: int, sequence: int) -> None:
    data = bytes.fromhex(vector)
    verify(authenticator(kind), data)
    sender = authenticator(kind, sequence - 1, key_id)
    assert sender.sign(data[:24]) == data


def test_au4_rfc_5880_6_7_2_simple_password() -> None:
    kind, data = AuthType.SIMPLE_PASSWORD, bytes.fromhex(SIMPLE)
    assert refused(authenticator(AuthType.KEYED_MD5), data) is Reason.AUTH_TYPE
    assert refused(authenticator(kind, k3=b"secret", active=3), data) is Reason.AUTH_KEY
    assert refused(authenticator(kind, k2=b"secrets"), data) is Reason.AUTH_LENGTH
    assert refused(authenticator(kind, k2=b"Secret"), data) is Reason.AUTH_DIGEST


@pytest.mark.parametrize("kind", DIGESTS)
def test_au5_rfc_5880_6_7_3_checks_in_their_order(kind: AuthType) -> None:
    """Type, key, length, sequence, digest: each fault is put right, and the next one is found."""
    receiver, sender = authenticator(kind), authenticator(kind)
    verify(receiver, signed(sender, 500))
    data = bytearray(signed(sender, 500 + 100))
    right = bytes(data)
    data[24], data[25], data[26], data[-1] = 6, 20, 9, data[-1] ^ 1
    assert refused(receiver, bytes(data)) is Reason.AUTH_TYPE
    data[24] = kind
    assert refused(receiver, bytes(data)) is Reason.AUTH_KEY
    data[26] = 2
    assert refused(receiver, bytes(data)) is Reason.AUTH_LENGTH
    data[25] = right[25]
    assert refused(receiver, bytes(data)) is Reason.AUTH_SEQUENCE
    data[28:32] = (501).to_bytes(4, "big")
    assert refused(receiver, bytes(data)) is Reason.AUTH_DIGEST


@pytest.mark.parametrize("kind", DIGESTS)
@pytest.mark.parametrize("length", [26, 27, 40, 47])
def test_a_section_that_is_cut_short_is_refused(kind: AuthType, length: int) -> None:
    data = bytearray(signed(authenticator(kind))[:length])
    data[3] = length
    assert refused(authenticator(kind), bytes(data)) in (Reason.AUTH_LENGTH, Reason.AUTH_KEY)


@pytest.mark.parametrize("kind", DIGESTS)
def test_au6_rfc_5880_6_7_3_window(kind: AuthType) -> None:
    """Up to three times the Detect Mult of the packet; the number itself only where it need not be meticulous."""
    sender, receiver = authenticator(kind), authenticator(kind)
    verify(receiver, signed(sender, 1000, detect_mult=2))
    assert refused(receiver, signed(sender, 999, detect_mult=2)) is Reason.AUTH_SEQUENCE
    if kind in METICULOUS:
        assert refused(receiver, signed(sender, 1000, detect_mult=2)) is Reason.AUTH_SEQUENCE
    else:
        verify(receiver, signed(sender, 1000, detect_mult=2))
    assert refused(receiver, signed(sender, 1007, detect_mult=2)) is Reason.AUTH_SEQUENCE
    verify(receiver, signed(sender, 1007, detect_mult=3))
    verify(receiver, signed(sender, 1013, detect_mult=2))


@pytest.mark.parametrize("kind", DIGESTS)
def test_au6_sequence_numbers_go_round(kind: AuthType) -> None:
    sender, receiver = authenticator(kind, 0xFFFFFFFE), authenticator(kind)
    for number in (0xFFFFFFFF, 0, 1):
        verify(receiver, signed(sender, poll=number == 0))
        assert receiver.received == number
        sender._result = b""
    assert refused(receiver, signed(sender, 0xFFFFFFFF)) is Reason.AUTH_SEQUENCE


@pytest.mark.parametrize("kind", DIGESTS)
def test_au7_errata_7082_7083_a_forged_packet_moves_no_number(kind: AuthType) -> None:
    """Neither the first packet nor a later one counts before its digest was found right."""
    sender, receiver = authenticator(kind), authenticator(kind)
    forged = bytearray(signed(sender, 0x7000_0000))
    forged[-1] ^= 1
    assert refused(receiver, bytes(forged)) is Reason.AUTH_DIGEST
    assert not receiver.known
    verify(receiver, signed(sender, 10))
    forged[28:32] = (12).to_bytes(4, "big")
    assert refused(receiver, bytes(forged)) is Reason.AUTH_DIGEST
    assert receiver.received == 10
    verify(receiver, signed(sender, 11))


@pytest.mark.parametrize("kind", METICULOUS)
def test_au8_erratum_2530_meticulous_numbers_go_up_by_one_with_every_packet(kind: AuthType) -> None:
    sender = authenticator(kind, 0xFFFFFFFE)
    assert [int.from_bytes(signed(sender)[28:32], "big") for _ in range(3)] == [0xFFFFFFFF, 0, 1]


@pytest.mark.parametrize("kind", KEYED)
def test_au8_rfc_5880_6_7_3_keyed_numbers_go_up_when_the_contents_change(kind: AuthType) -> None:
    sender = authenticator(kind, 7)
    first = signed(sender)
    assert signed(sender) == first
    assert [int.from_bytes(signed(sender, **f)[28:32], "big") for f in ({"poll": True}, {})] == [9, 10]


@pytest.mark.parametrize("kind", DIGESTS)
def test_au9_rfc_5880_6_8_1_the_number_is_forgotten(kind: AuthType) -> None:
    sender, receiver = authenticator(kind), authenticator(kind)
    verify(receiver, signed(sender, 1000))
    receiver.forget()
    verify(receiver, signed(sender, 5))
    assert receiver.received == 5


@pytest.mark.parametrize("kind", AuthType)
def test_au2_keys_roll_over(kind: AuthType) -> None:
    """Both keys are taken while one after the other of the routers changes to the new one."""
    sender = authenticator(kind, k1=b"old", active=1)
    receiver = authenticator(kind, k1=b"old", k2=b"newer", active=1)
    verify(receiver, signed(sender))
    sender.reconfigure(AuthSettings(kind, (AuthKey(1, b"old"), AuthKey(2, b"newer")), 2))
    data = signed(sender)
    assert data[26] == 2
    verify(receiver, data)
    receiver.reconfigure(AuthSettings(kind, (AuthKey(2, b"newer"),), 2))
    verify(receiver, signed(sender))
    sender.reconfigure(AuthSettings(kind, (AuthKey(1, b"old"),), 1))
    assert refused(receiver, signed(sender)) is Reason.AUTH_KEY


@pytest.mark.parametrize("kind", DIGESTS)
def test_lp8_the_digest_does_not_cover_padding(kind: AuthType) -> None:
    data = signed(authenticator(kind)) + bytes(100)
    read = decode(data)
    authenticator(kind).verify(read, data[: 24 + len(read.auth)])


@pytest.mark.parametrize("kind", AuthType)
def test_every_bit_that_is_flipped_is_noticed(kind: AuthType) -> None:
    data = signed(authenticator(kind), my_discriminator=0x0F0F0F0F)
    first = 24 * 8 if kind is AuthType.SIMPLE_PASSWORD else 0
    for bit in range(first, len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        try:
            read = decode(bytes(flipped))
        except RemoteProtocolError:
            continue
        if read.auth:  # without, a session that is authenticated discards it
            assert refused(authenticator(kind), bytes(flipped)[: 24 + len(read.auth)])


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(AuthSettings(AuthType.KEYED_SHA1, (AuthKey(1, b"secret"),), 1))

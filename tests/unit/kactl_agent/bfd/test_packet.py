"""BFD Control packets (RFC 5880 4.1): published vectors, and the checks of 6.8.6 that need no session, in order."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.bfd.packet import (
    Diagnostic,
    Reason,
    RemoteProtocolError,
    State,
    decode,
    diagnostic_text,
    encode,
)
from support.bfd import packet

OS_KEN = bytes.fromhex("21c0031800000006000000070000ea600000ea6000000000")
HOLO = bytes.fromhex("20c003189fb205d64a2357dc000493e0000493e00000c350")


def refused(data: bytes) -> Reason:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    return caught.value.reason


def changed(data: bytes, **bytes_at: int) -> bytes:
    """With other bytes: `b1=0xC1`."""
    out = bytearray(data)
    for place, value in bytes_at.items():
        out[int(place[1:])] = value
    return bytes(out)


def test_golden_os_ken() -> None:
    read = decode(OS_KEN)
    assert read.diagnostic == Diagnostic.DETECTION_TIME_EXPIRED
    assert read.state is State.UP
    assert (read.detect_mult, read.my_discriminator, read.your_discriminator) == (3, 6, 7)
    assert (read.desired_min_tx_interval, read.required_min_rx_interval, read.required_min_echo_rx_interval) == (
        60_000, 60_000, 0,
    )  # fmt: skip
    assert not any((read.poll, read.final, read.control_plane_independent, read.demand, read.auth))
    assert encode(read) == OS_KEN


def test_golden_holo() -> None:
    read = decode(HOLO)
    assert (read.desired_min_tx_interval, read.required_min_echo_rx_interval) == (300_000, 50_000)
    assert encode(read) == HOLO


@pytest.mark.parametrize(
    ("flag", "mask"),
    [("poll", 0x20), ("final", 0x10), ("control_plane_independent", 0x08), ("demand", 0x02)],
)
def test_flags_stand_where_rfc_5880_4_1_puts_them(flag: str, mask: int) -> None:
    data = encode(packet(**{flag: True}))
    assert data[1] == 0xC0 | mask
    assert getattr(decode(data), flag)


@pytest.mark.parametrize("state", State)
def test_states_stand_in_the_first_two_bits(state: State) -> None:
    assert encode(packet(state=state))[1] >> 6 == state


def test_rfc_5880_6_5_poll_and_final_never_together() -> None:
    with pytest.raises(ValueError, match="Poll and Final"):
        encode(packet(poll=True, final=True))


@pytest.mark.parametrize("field", [{"detect_mult": 256}, {"my_discriminator": 1 << 32}, {"diagnostic": 32}])
def test_what_does_not_fit_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        encode(packet(**field))


@pytest.mark.parametrize(
    "data", [OS_KEN, bytes.fromhex("204403210000000100000000000f4240000f424000000000010902736563726574")]
)
def test_truncated_at_every_offset(data: bytes) -> None:
    assert decode(data)
    for end in range(len(data)):
        assert refused(data[:end]) in (Reason.LENGTH, Reason.LENGTH_BEYOND_PAYLOAD)


@pytest.mark.parametrize("version", [0, 2, 7])
def test_rx1_rfc_5880_6_8_6_version(version: int) -> None:
    assert refused(changed(OS_KEN, b0=version << 5)) is Reason.VERSION
    assert refused(bytes((version << 5,))) is Reason.VERSION


def test_rx2_rfc_5880_6_8_6_length_is_too_short() -> None:
    assert refused(changed(OS_KEN, b3=23)) is Reason.LENGTH
    assert refused(changed(OS_KEN + b"\1\2", b1=0xC4, b3=25)) is Reason.LENGTH
    assert decode(changed(OS_KEN + b"\1\2", b1=0xC4, b3=26)).auth == b"\1\2"


def test_rx3_rfc_5880_6_8_6_length_beyond_the_payload() -> None:
    assert refused(changed(OS_KEN, b3=25)) is Reason.LENGTH_BEYOND_PAYLOAD


def test_rx3_lp2_rfc_9764_a_payload_may_be_longer_than_its_length() -> None:
    assert decode(OS_KEN + bytes(1000)) == decode(OS_KEN)


def test_rx4_rfc_5880_6_8_6_detect_mult_zero() -> None:
    assert refused(changed(OS_KEN, b2=0)) is Reason.DETECT_MULT_ZERO


def test_rx5_rfc_5880_6_8_6_multipoint() -> None:
    assert refused(changed(OS_KEN, b1=0xC1)) is Reason.MULTIPOINT


def test_rx6_rfc_5880_6_8_6_my_discriminator_zero() -> None:
    assert refused(changed(OS_KEN, b7=0)) is Reason.MY_DISCRIMINATOR_ZERO


@pytest.mark.parametrize("state", State)
def test_rx8_rfc_5880_6_8_6_your_discriminator_zero(state: State) -> None:
    data = encode(packet(state=state, your_discriminator=0))
    if state in (State.ADMIN_DOWN, State.DOWN):
        assert decode(data).state is state
    else:
        assert refused(data) is Reason.YOUR_DISCRIMINATOR_ZERO


def test_checks_are_in_the_order_of_rfc_5880_6_8_6() -> None:
    """Each fault is put right, one after the other: the next is the one that is found."""
    data = bytearray(changed(OS_KEN, b0=0, b1=0xC1, b2=0, b3=23))
    data[4:8] = data[8:12] = bytes(4)
    found = [refused(bytes(data))]
    for at, value in ((0, 0x20), (3, 25), (3, 24), (2, 3), (1, 0xC0), (7, 1)):
        data[at] = value
        found.append(refused(bytes(data)))
    assert found == [
        Reason.VERSION,
        Reason.LENGTH,
        Reason.LENGTH_BEYOND_PAYLOAD,
        Reason.DETECT_MULT_ZERO,
        Reason.MULTIPOINT,
        Reason.MY_DISCRIMINATOR_ZERO,
        Reason.YOUR_DISCRIMINATOR_ZERO,
    ]


def test_diagnostics_have_the_names_of_rfc_5880_4_1() -> None:
    assert diagnostic_text(1) == "Control Detection Time Expired"
    assert diagnostic_text(8) == "Reverse Concatenated Path Down"
    assert diagnostic_text(31) == "reserved diagnostic 31"

"""VRRP messages: golden vectors from RFC arithmetic and other implementations, every check in its order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRP, VRRPv3

from kactl_agent.vrrp.packet import (
    IPV4_GROUP,
    IPV6_GROUP,
    Advert,
    Reason,
    RemoteProtocolError,
    decode,
    encode,
    internet_checksum,
    is_link_local,
    is_multicast,
    text_of,
)
from kactl_agent.vrrp.settings import CENTISECOND, SECOND, ChecksumForm, Family
from support.vrrp import PEER, PEER6, packed

SOURCE = packed("192.0.2.2")

# Messages of other implementations: holo (VRID 51) and FlexSNR (VRID 1), VRRPv2.
V2_VECTORS = [
    ("21331e010001b5c50a0001050000000000000000", 51, 30, "10.0.1.5"),
    ("210164010001ba52c0a800010000000000000000", 1, 100, "192.168.0.1"),
]


# What keepalived 2.2.7 sent from 192.0.2.1 and fe80::1, VRID 51, priority 200, and 0 when it was stopped.
KEEPALIVED = [
    (2, "2133c80100015465c00002640000000000000000", 200, ["192.0.2.100"], b""),
    (2, "2133000100011c66c00002640000000000000000", 0, ["192.0.2.100"], b""),
    (2, "2133c80201012c98c0000264c00002653132333400000000", 200, ["192.0.2.100", "192.0.2.101"], b"1234"),
    (3, "3133c8010032a1a3c0000264", 200, ["192.0.2.100"], b""),
    (3, "31330001003269a4c0000264", 0, ["192.0.2.100"], b""),
    (
        3,
        "3133c8020032da2efe80000000000000000000000000010020010db8000000000000000000000100",
        200,
        ["fe80::100", "2001:db8::100"],
        b"",
    ),
    (3, "3133c8010032d9c020010db8000000000000000000000100", 200, ["2001:db8::100"], b""),
]


def v2(data: bytes, **changes: Any) -> Advert:
    return decode(
        data, **({"version": 2, "family": Family.IPV4, "source": SOURCE, "destination": IPV4_GROUP} | changes)
    )


def v3(data: bytes, **changes: Any) -> Advert:
    return decode(
        data, **({"version": 3, "family": Family.IPV4, "source": SOURCE, "destination": IPV4_GROUP} | changes)
    )


def v6(data: bytes, **changes: Any) -> Advert:
    defaults: dict[str, Any] = {"version": 3, "family": Family.IPV6, "source": packed("fe80::2")}
    return decode(data, **(defaults | {"destination": IPV6_GROUP} | changes))


def resealed(data: bytes) -> bytes:
    """With the checksum of the message alone put right."""
    return data[:6] + internet_checksum(data[:6] + b"\0\0" + data[8:]).to_bytes(2, "big") + data[8:]


@pytest.mark.parametrize(("text", "vrid", "priority", "address"), V2_VECTORS)
def test_v2_messages_of_other_implementations(text: str, vrid: int, priority: int, address: str) -> None:
    expected = Advert(
        version=2, virtual_router_id=vrid, priority=priority, advert_interval=SECOND, addresses=(packed(address),)
    )
    assert v2(bytes.fromhex(text)) == expected
    assert encode(expected, SOURCE, IPV4_GROUP).hex() == text


@pytest.mark.parametrize(("version", "text", "priority", "addresses", "password"), KEEPALIVED)
def test_messages_of_keepalived(version: int, text: str, priority: int, addresses: list[str], password: bytes) -> None:
    ipv6 = ":" in addresses[0]
    source, destination = (packed("fe80::1"), IPV6_GROUP) if ipv6 else (packed("192.0.2.1"), IPV4_GROUP)
    data = bytes.fromhex(text)
    advert = decode(
        data,
        version=version,
        family=Family.IPV6 if ipv6 else Family.IPV4,
        source=source,
        destination=destination,
        virtual_router_id=51,
    )
    assert advert == Advert(
        version=version,
        virtual_router_id=51,
        priority=priority,
        advert_interval=SECOND if version == 2 else SECOND // 2,
        addresses=tuple(packed(address) for address in addresses),
        auth_type=1 if password else 0,
        auth_data=password.ljust(8, b"\0"),
        checksum_form=ChecksumForm.PSEUDO_HEADER if version == 3 and not ipv6 else None,
    )
    assert encode(advert, source, destination) == data


def test_v2_simple_password() -> None:
    data = bytes.fromhex("21336401010152ffc00002643132333400000000")
    advert = v2(data)
    assert (advert.auth_type, advert.auth_data) == (1, b"1234\0\0\0\0")
    assert encode(advert, SOURCE, IPV4_GROUP) == data


@pytest.mark.parametrize(
    ("checksum", "form"), [("a802", ChecksumForm.MESSAGE_ONLY), ("0571", ChecksumForm.PSEUDO_HEADER)]
)
def test_v3_over_ipv4_has_two_checksums(checksum: str, form: ChecksumForm) -> None:
    data = bytes.fromhex(f"313364010064{checksum}c0000264")
    advert = v3(data)
    assert advert.checksum_form is form
    assert (advert.virtual_router_id, advert.priority, advert.advert_interval) == (51, 100, SECOND)
    assert encode(advert, SOURCE, IPV4_GROUP, form) == data


def test_v3_message_of_another_implementation() -> None:
    advert = v3(bytes.fromhex("3133c80100644402c0000264"))
    assert (advert.priority, advert.checksum_form) == (200, ChecksumForm.MESSAGE_ONLY)


def test_v3_over_ipv6() -> None:
    data = bytes.fromhex("3133640100646cc6fe800000000000000000000000000100")
    advert = v6(data)
    assert advert.addresses == (packed("fe80::100"),)
    assert advert.checksum_form is None
    assert encode(advert, packed("fe80::2"), IPV6_GROUP) == data


def test_v3_over_ipv6_parses_without_the_checksum_that_the_kernel_has_verified() -> None:
    data = bytes.fromhex("310116010001b57f20010db8000000000000000003707334")
    with pytest.raises(RemoteProtocolError):
        v6(data)
    advert = v6(data, checksum_verified=True)
    assert (advert.virtual_router_id, advert.priority, advert.advert_interval) == (1, 22, CENTISECOND)
    assert text_of(advert.addresses[0]) == "2001:db8::370:7334"


def test_the_configured_form_is_meant_when_both_checksums_agree() -> None:
    """A pseudo-header that adds up to nothing leaves both forms the same."""
    length = 12
    source = packed("192.0.2.2")
    rest = -(int.from_bytes(source, "big") + 112 + length) % 0xFFFF
    destination = b"\xe0\x00" + ((rest - 0xE000) % 0xFFFF).to_bytes(2, "big")
    advert = Advert(
        version=3, virtual_router_id=1, priority=1, advert_interval=SECOND, addresses=(packed("192.0.2.9"),)
    )
    data = encode(advert, source, destination)
    assert data == encode(advert, source, destination, ChecksumForm.MESSAGE_ONLY)
    for form in ChecksumForm:
        assert v3(data, destination=destination, form=form).checksum_form is form


@pytest.mark.parametrize("length", range(20))
def test_v2_truncated(length: int) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v2(bytes.fromhex(V2_VECTORS[0][0])[:length])
    assert error.value.reason is Reason.LENGTH


@pytest.mark.parametrize("length", range(24))
def test_v3_truncated(length: int) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v6(bytes.fromhex("3133640100646cc6fe800000000000000000000000000100")[:length])
    assert error.value.reason is Reason.LENGTH


def test_rfc3768_7_1_v2_without_authentication_data_is_incomplete() -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v2(bytes.fromhex(V2_VECTORS[0][0])[:12])
    assert error.value.reason is Reason.LENGTH


def test_bytes_behind_the_message() -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v3(bytes.fromhex("3133640100640571c0000264") + b"\0\0")
    assert error.value.reason is Reason.LENGTH


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4133640100640571c0000264", Reason.VERSION),
        ("2133640100640571c0000264", Reason.VERSION),
        ("3233640100640571c0000264", Reason.TYPE),
        ("3033640100640571c0000264", Reason.TYPE),
        ("3133640200640571c0000264", Reason.LENGTH),
        ("3133640100640572c0000264", Reason.CHECKSUM),
        ("3133640100640000c0000264", Reason.CHECKSUM),
    ],
)
def test_rfc9568_7_1_checks(text: str, reason: Reason) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v3(bytes.fromhex(text))
    assert error.value.reason is reason


def test_rfc9568_7_1_another_virtual_router_id() -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v3(bytes.fromhex("3133640100640571c0000264"), virtual_router_id=52)
    assert error.value.reason is Reason.VIRTUAL_ROUTER_ID


def test_rfc9568_5_2_5_erratum_8299_address_count_zero() -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v3(resealed(bytes.fromhex("3133640000640000")))
    assert error.value.reason is Reason.ADDRESS_COUNT_ZERO


def test_v2_without_addresses_is_taken() -> None:
    """RFC 3768 sets no minimum, and keepalived sends it for an instance without addresses."""
    assert v2(resealed(bytes.fromhex("2133640000010000" + "00" * 8))).addresses == ()


def test_rfc9568_7_1_erratum_8301_interval_zero() -> None:
    with pytest.raises(RemoteProtocolError) as error:
        v3(resealed(bytes.fromhex("3133640100000000c0000264")))
    assert error.value.reason is Reason.ADVERT_INTERVAL_ZERO


def test_rfc9568_5_2_6_reserved_bits_are_ignored() -> None:
    assert v3(resealed(bytes.fromhex("31336401f0640000c0000264"))).advert_interval == SECOND


def test_the_order_of_checks() -> None:
    """RFC 9568 7.1: version, type, completeness, checksum, virtual router, count, interval."""
    data = bytearray.fromhex("4233640100000000c00002")
    order = []
    repairs: list[tuple[Reason, Any]] = [
        (Reason.VERSION, lambda: data.__setitem__(0, 0x32)),
        (Reason.TYPE, lambda: data.__setitem__(0, 0x31)),
        (Reason.LENGTH, lambda: data.__setitem__(slice(3, None), b"\0\0\0\0\0")),
        (Reason.CHECKSUM, lambda: data.__setitem__(slice(None), resealed(bytes(data)))),
        (Reason.VIRTUAL_ROUTER_ID, lambda: data.__setitem__(slice(None), resealed(b"\x31\x01" + bytes(data[2:])))),
        (Reason.ADDRESS_COUNT_ZERO, lambda: data.__setitem__(slice(None), resealed(b"\x31\x01\x64\x01" + bytes(8)))),
    ]
    for _, repair in repairs:
        with pytest.raises(RemoteProtocolError) as error:
            v3(bytes(data), virtual_router_id=1)
        order.append(error.value.reason)
        repair()
    assert order == [reason for reason, _ in repairs]
    with pytest.raises(RemoteProtocolError) as error:
        v3(bytes(data), virtual_router_id=1)
    assert error.value.reason is Reason.ADVERT_INTERVAL_ZERO


@pytest.mark.parametrize(
    ("version", "interval"),
    [(2, SECOND // 2), (2, 256 * SECOND), (3, 4096 * CENTISECOND), (3, CENTISECOND + 1), (3, -1)],
)
def test_an_interval_that_does_not_fit(version: int, interval: int) -> None:
    advert = Advert(version=version, virtual_router_id=1, priority=1, advert_interval=interval, addresses=(SOURCE,))
    with pytest.raises(ValueError, match="interval"):
        encode(advert, SOURCE, IPV4_GROUP)


def test_the_largest_interval_of_v3() -> None:
    advert = Advert(version=3, virtual_router_id=1, priority=1, advert_interval=4095 * CENTISECOND, addresses=(SOURCE,))
    assert v3(encode(advert, SOURCE, IPV4_GROUP)).advert_interval == 4095 * CENTISECOND


def test_v2_over_ipv6_and_256_addresses_cannot_be_encoded() -> None:
    advert = Advert(version=2, virtual_router_id=1, priority=1, advert_interval=SECOND, addresses=(PEER6,))
    with pytest.raises(ValueError, match="IPv6"):
        encode(advert, PEER6, IPV6_GROUP)
    advert = Advert(version=3, virtual_router_id=1, priority=1, advert_interval=SECOND, addresses=(PEER,) * 256)
    with pytest.raises(ValueError):
        encode(advert, PEER, IPV4_GROUP)


@given(st.binary(max_size=80))
def test_internet_checksum_is_the_textbook_sum(data: bytes) -> None:
    """RFC 1071: fold the carries of the sum of 16-bit words, then complement."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert internet_checksum(data) == ~total & 0xFFFF


PRIORITIES = st.integers(0, 255)
VRIDS = st.integers(1, 255)


@given(VRIDS, PRIORITIES, st.integers(1, 255), st.lists(st.binary(min_size=4, max_size=4), max_size=20))
def test_scapy_reads_v2_as_we_write_it(vrid: int, priority: int, seconds: int, addresses: list[bytes]) -> None:
    advert = Advert(
        version=2,
        virtual_router_id=vrid,
        priority=priority,
        advert_interval=seconds * SECOND,
        addresses=tuple(addresses),
    )
    data = encode(advert, SOURCE, IPV4_GROUP)
    read = VRRP(data)
    assert (read.version, read.type, read.vrid, read.priority, read.ipcount) == (2, 1, vrid, priority, len(addresses))
    assert (read.authtype, read.adv) == (0, seconds)
    assert [packed(a) for a in read.addrlist] == addresses
    rebuilt = VRRP(
        vrid=vrid, priority=priority, adv=seconds, addrlist=[text_of(a) for a in addresses], ipcount=len(addresses)
    )
    assert bytes(IP(src="192.0.2.2", dst="224.0.0.18") / rebuilt)[20:] == data


@given(VRIDS, PRIORITIES, st.integers(1, 4095), st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=9))
def test_scapy_writes_v3_over_ipv6_as_we_do(vrid: int, priority: int, interval: int, addresses: list[bytes]) -> None:
    advert = Advert(
        version=3,
        virtual_router_id=vrid,
        priority=priority,
        advert_interval=interval * CENTISECOND,
        addresses=tuple(addresses),
    )
    data = encode(advert, packed("fe80::2"), IPV6_GROUP)
    message = VRRPv3(vrid=vrid, priority=priority, adv=interval, ipcount=len(addresses))
    message.addrlist = [text_of(a) for a in addresses]
    assert bytes(IPv6(src="fe80::2", dst="ff02::12", nh=112) / message)[40:] == data


def test_multicast_and_link_local_addresses() -> None:
    assert is_multicast(IPV4_GROUP)
    assert is_multicast(IPV6_GROUP)
    assert not is_multicast(SOURCE)
    assert not is_multicast(packed("240.0.0.1"))
    assert not is_multicast(packed("fe80::1"))
    assert not is_multicast(b"")
    assert is_link_local(packed("fe80::1"))
    assert is_link_local(packed("febf::1"))
    assert not is_link_local(packed("fec0::1"))
    assert not is_link_local(SOURCE)

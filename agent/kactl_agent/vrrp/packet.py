"""VRRP messages on the wire: VRRPv2 (RFC 3768 5.1) over IPv4, VRRPv3 (RFC 9568 5.1) over IPv4 and IPv6.

A message is the payload of an IP packet of protocol 112, without the IP header. What a peer sends becomes an
`Advert` or raises `RemoteProtocolError`; nothing else can come of it.
"""

from __future__ import annotations

import struct
from enum import Enum
from ipaddress import ip_address

import msgspec

from kactl_agent.vrrp.settings import CENTISECOND, SECOND, ChecksumForm, Family

PROTOCOL = 112  # RFC 9568 5.1.1.4, 5.1.2.4
TYPE_ADVERTISEMENT = 1  # RFC 9568 5.2.2
TTL = 255  # RFC 9568 5.1.1.3, 5.1.2.3
IPV4_GROUP = bytes((224, 0, 0, 18))  # RFC 9568 5.1.1.2
IPV6_GROUP = bytes.fromhex("ff020000000000000000000000000012")  # RFC 9568 5.1.2.2

AUTH_NONE = 0  # RFC 2338 5.3.6
AUTH_SIMPLE_PASSWORD = 1
AUTH_IP_AH = 2
AUTH_DATA_LENGTH = 8  # present in every VRRPv2 message, whatever its authentication type

_HEADER = struct.Struct("!BBBBHH")
_HEADER_LENGTH = 8
_ADDRESS_LENGTH = {Family.IPV4: 4, Family.IPV6: 16}


class Reason(Enum):
    """Why a received message was discarded. The value is the name of a counter and a log field: it never changes."""

    TTL = "ttl"  # RFC 9568 7.1: TTL or hop limit is not 255
    VERSION = "version"
    TYPE = "type"
    LENGTH = "length"  # truncated, or with bytes behind the message
    CHECKSUM = "checksum"
    VIRTUAL_ROUTER_ID = "virtual_router_id"
    ADDRESS_COUNT_ZERO = "address_count_zero"  # RFC 9568 5.2.5, erratum 8299
    FIRST_ADDRESS_NOT_LINK_LOCAL = "first_address_not_link_local"  # erratum 8300
    ADVERT_INTERVAL_ZERO = "advert_interval_zero"  # erratum 8301
    ADVERT_INTERVAL = "advert_interval"  # RFC 3768 7.1: VRRPv2 routers must agree on it
    AUTH_TYPE_UNKNOWN = "auth_type_unknown"  # RFC 2338 5.3.6
    AUTH_TYPE_MISMATCH = "auth_type_mismatch"
    AUTH_FAILURE = "auth_failure"
    AUTH_HEADER = "auth_header"  # an authentication header is missing, unexpected or malformed (RFC 2338 5.3.6.3)
    AUTH_SPI = "auth_spi"  # keepalived: the SPI is the address of the sender
    AUTH_SEQUENCE = "auth_sequence"  # RFC 2402 3.4.3
    HMAC_MISSING = "auth_hmac_missing"
    HMAC_MALFORMED = "auth_hmac_malformed"
    HMAC_UNKNOWN_KEY = "auth_hmac_unknown_key"
    HMAC_INVALID = "auth_hmac_invalid"
    HMAC_STALE = "auth_hmac_stale"
    HMAC_REPLAY = "auth_hmac_replay"
    UNICAST_SOURCE = "unicast_source"  # the sender is no unicast_peer
    ADDRESS_LIST = "address_list"  # RFC 3768 7.1
    DESTINATION = "destination"  # multicast to a unicast instance, or the other way round


class RemoteProtocolError(Exception):
    """A peer's message that has to be discarded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Advert(msgspec.Struct, frozen=True, kw_only=True):
    """A VRRP advertisement.

    `advert_interval` is in nanoseconds. `auth_type` and `auth_data` are VRRPv2's. `checksum_form` says which checksum a
    received VRRPv3 message over IPv4 carries; it is None where there is one form only.
    """

    version: int
    virtual_router_id: int
    priority: int
    advert_interval: int
    addresses: tuple[bytes, ...]
    auth_type: int = AUTH_NONE
    auth_data: bytes = bytes(AUTH_DATA_LENGTH)
    checksum_form: ChecksumForm | None = None


def internet_checksum(data: bytes, pseudo_header: int = 0) -> int:
    """The one's complement of the one's complement sum of 16-bit words (RFC 1071).

    `pseudo_header` is added to the sum: the pseudo-header read as one number (`pseudo_header_sum`).
    """
    if len(data) % 2:
        data += b"\0"
    # 2**16 is 1 modulo 2**16 - 1, so the number that the whole message is has the sum of its words as residue.
    total = int.from_bytes(data, "big") + pseudo_header
    if not total:
        return 0xFFFF
    residue = total % 0xFFFF
    return 0xFFFF - residue if residue else 0


def pseudo_header_sum(source: bytes, destination: bytes, length: int) -> int:
    """A pseudo-header as a term of the checksum: addresses, upper-layer length and protocol.

    The 12 bytes of IPv4 (RFC 793 3.1) and the 40 bytes of IPv6 (RFC 8200 8.1) add up to the same expression.
    """
    return int.from_bytes(source, "big") + int.from_bytes(destination, "big") + length + PROTOCOL


def encode(
    advert: Advert,
    source: bytes,
    destination: bytes,
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER,
    trailer: bytes = b"",
) -> bytes:
    """The message, with its checksum (RFC 3768 5.3.8, RFC 9568 5.2.8).

    `form` matters for VRRPv3 over IPv4 alone; where the checksum covers a pseudo-header it depends on `source` and
    `destination`. `trailer` is what is going to stand behind the message, a multiple of two bytes: the checksum over
    IPv6 covers it, as that of every upper-layer packet covers all of it. Raises ValueError when a field does not fit.
    """
    addresses = b"".join(advert.addresses)
    ipv6 = len(source) == 16
    if advert.version == 2:
        if ipv6:
            raise ValueError("VRRPv2 has no form for IPv6")
        interval = _field(advert.advert_interval, SECOND, 0xFF)
        word, auth_data = advert.auth_type << 8 | interval, advert.auth_data
    else:
        word, auth_data = _field(advert.advert_interval, CENTISECOND, 0xFFF), b""
    try:
        header = _HEADER.pack(
            advert.version << 4 | TYPE_ADVERTISEMENT,
            advert.virtual_router_id,
            advert.priority,
            len(advert.addresses),
            word,
            0,
        )
    except struct.error as error:
        raise ValueError(str(error)) from None
    message = header + addresses + auth_data
    with_pseudo_header = advert.version == 3 and (ipv6 or form is ChecksumForm.PSEUDO_HEADER)
    covered = message + trailer if ipv6 else message
    pseudo_header = pseudo_header_sum(source, destination, len(covered)) if with_pseudo_header else 0
    checksum = internet_checksum(covered, pseudo_header)
    return message[:6] + checksum.to_bytes(2, "big") + message[8:]


def _field(interval: int, unit: int, limit: int) -> int:
    value, rest = divmod(interval, unit)
    if rest or not 0 <= value <= limit:
        raise ValueError(f"an advertisement interval of {interval} ns does not fit its field")
    return value


def decode(
    data: bytes,
    *,
    version: int,
    family: Family,
    source: bytes,
    destination: bytes,
    virtual_router_id: int | None = None,
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER,
    checksum_verified: bool = False,
    trailer: bytes = b"",
) -> Advert:
    """A received message as an `Advert`, checked in the order of RFC 9568 7.1 (RFC 3768 7.1 for VRRPv2).

    `virtual_router_id` None takes any. For VRRPv3 over IPv4 both checksum forms are tried, `form` first, and the result
    tells which one fits. `checksum_verified` skips the checksum where the kernel has checked it; `trailer` is what
    stood behind the message, which IPv6's checksum covers. An address count of zero is an error in VRRPv3 only: VRRPv2
    has no such rule, and keepalived sends it for an instance without addresses.
    Raises RemoteProtocolError, and nothing else, whatever the bytes are.
    """
    _check_start(data, version)
    _, vrid, priority, count, word, _ = _HEADER.unpack_from(data)
    size = _ADDRESS_LENGTH[family]
    end = _HEADER_LENGTH + count * size
    expected = end + AUTH_DATA_LENGTH if version == 2 else end
    if len(data) != expected:
        raise RemoteProtocolError(Reason.LENGTH, f"{len(data)} bytes where {count} addresses make {expected}")
    covered = data + trailer if family is Family.IPV6 else data
    matched = None if checksum_verified else _check_checksum(covered, version, family, source, destination, form)
    if virtual_router_id is not None and vrid != virtual_router_id:
        raise RemoteProtocolError(Reason.VIRTUAL_ROUTER_ID, f"virtual_router_id {vrid}, not {virtual_router_id}")
    addresses = tuple([data[offset : offset + size] for offset in range(_HEADER_LENGTH, end, size)])
    if version == 2:
        return Advert(
            version=2,
            virtual_router_id=vrid,
            priority=priority,
            advert_interval=(word & 0xFF) * SECOND,
            addresses=addresses,
            auth_type=word >> 8,
            auth_data=data[end:],
        )
    if not count:
        raise RemoteProtocolError(Reason.ADDRESS_COUNT_ZERO, "the message carries no address")
    interval = word & 0x0FFF  # the four reserved bits are ignored (RFC 9568 5.2.6)
    if not interval:
        raise RemoteProtocolError(Reason.ADVERT_INTERVAL_ZERO, "the advertisement interval is zero")
    return Advert(
        version=version,
        virtual_router_id=vrid,
        priority=priority,
        advert_interval=interval * CENTISECOND,
        addresses=addresses,
        checksum_form=matched,
    )


def _check_start(data: bytes, version: int) -> None:
    """Version, type and the least length, in the order of RFC 9568 7.1. Raises RemoteProtocolError."""
    if not data:
        raise RemoteProtocolError(Reason.LENGTH, "the message is empty")
    first = data[0]
    if first >> 4 != version:
        raise RemoteProtocolError(Reason.VERSION, f"VRRP version {first >> 4}, not {version}")
    if first & 0xF != TYPE_ADVERTISEMENT:
        raise RemoteProtocolError(Reason.TYPE, f"message type {first & 0xF} is not ADVERTISEMENT")
    if len(data) < _HEADER_LENGTH:
        raise RemoteProtocolError(Reason.LENGTH, f"{len(data)} bytes are less than a VRRP header")


def message_length(data: bytes, version: int, family: Family) -> int | None:
    """How long the message at the beginning of `data` says it is; None when that cannot be said."""
    if len(data) < _HEADER_LENGTH:
        return None
    end = _HEADER_LENGTH + data[3] * _ADDRESS_LENGTH[family]
    return end + AUTH_DATA_LENGTH if version == 2 else end


def _check_checksum(
    data: bytes, version: int, family: Family, source: bytes, destination: bytes, form: ChecksumForm
) -> ChecksumForm | None:
    residue = int.from_bytes(data, "big") % 0xFFFF
    if version == 2:
        if not residue:
            return None
    else:
        with_pseudo_header = not (residue + pseudo_header_sum(source, destination, len(data))) % 0xFFFF
        if family is Family.IPV6:
            if with_pseudo_header:
                return None
        elif with_pseudo_header and (residue or form is ChecksumForm.PSEUDO_HEADER):
            return ChecksumForm.PSEUDO_HEADER
        elif not residue:
            return ChecksumForm.MESSAGE_ONLY
    raise RemoteProtocolError(Reason.CHECKSUM, f"checksum {data[6:8].hex()} is wrong")


def is_multicast(address: bytes) -> bool:
    """Whether a packed IPv4 or IPv6 address is a multicast group."""
    return address[:1] == b"\xff" if len(address) == 16 else 0xE0 <= (address[0] if address else 0) < 0xF0


def is_link_local(address: bytes) -> bool:
    """Whether a packed IPv6 address is in fe80::/10."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def text_of(address: bytes) -> str:
    """A packed address for people."""
    return str(ip_address(address)) if len(address) in (4, 16) else address.hex()

"""VRRPv2 authentication type 2: the IP authentication header with HMAC-MD5-96 (RFC 2338 5.3.6.3, RFC 2402, RFC 2403).

The header stands between the IPv4 header and the VRRP message. Its integrity check value covers the IPv4 header too, so
whoever sends must use just the header that `ipv4_header` describes: IP protocol 51, the identification given (not 0,
which the kernel would replace), TOS 0xc0, no fragment flags, no options.

This is what keepalived speaks, which differs from RFC 2402 in one thing: the TTL is set to zero for the computation in
unicast only; in multicast it counts as the 255 it has to be. The SPI is the source address of the sender, and the
sequence number is one counter of the virtual router: whoever becomes master goes on from the last one it accepted.
"""

from __future__ import annotations

import hmac
import struct

from kactl_agent.vrrp.packet import PROTOCOL, Reason, RemoteProtocolError, is_multicast, text_of

PROTOCOL_AH = 51
HEADER_LENGTH = 24
EXHAUSTED = 0xFFFFFFFD  # keepalived: no advert is sent behind this number
_LAST_NUMBER = 0xFFFFFFFF
_TRAFFIC_CLASS = 0xC0
_ICV_LENGTH = 12
_PAYLOAD_LENGTH = HEADER_LENGTH // 4 - 2  # RFC 2402 2.2: in 32-bit words, less two
_FIXED = struct.Struct("!BBH4sI")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")


def ipv4_header(length: int, identification: int, ttl: int, source: bytes, destination: bytes) -> bytes:
    """The IPv4 header of a packet with an authentication header and `length` bytes behind the IPv4 header.

    The header checksum is 0: the kernel fills it in, and it does not count for the authentication.
    """
    return _IPV4.pack(0x45, _TRAFFIC_CLASS, 20 + length, identification, 0, ttl, PROTOCOL_AH, 0, source, destination)


class AuthenticationHeader:
    """Key and sequence number of one instance. `last` is the last number sent or accepted.

    Unlike keepalived it accepts the very number it has sent last, once: two masters that count and send in step would
    never hear each other otherwise.
    """

    def __init__(self, password: bytes) -> None:
        """The first eight bytes of `password` are the key; shorter ones are filled up with zeros (RFC 2338 5.3.6.2)."""
        self.set_password(password)
        self.last = 0
        self._accepted = 0
        self._identification = 0

    def set_password(self, password: bytes) -> None:
        self._key = password[:8].ljust(8, b"\0")

    @property
    def exhausted(self) -> bool:
        """No number is left to send with: the instance cannot stay MASTER."""
        return self.last >= EXHAUSTED

    def cycle(self) -> None:
        """Start the numbers anew: the next advert has number 1, and any number of a peer is newer than ours."""
        self.last = self._accepted = 0

    def advance(self) -> None:
        """Take the next number, for one advert to all its destinations."""
        self.last = min(self.last + 1, _LAST_NUMBER)
        self._identification = self._identification % 0xFFFF + 1

    @property
    def identification(self) -> int:
        """The IP identification of the advert, 1..65535."""
        return self._identification

    def wrap(self, message: bytes, source: bytes, destination: bytes, ttl: int) -> bytes:
        """`message` behind its authentication header, with the number of the last `advance`."""
        fixed = _FIXED.pack(PROTOCOL, _PAYLOAD_LENGTH, 0, source, self.last)
        length = HEADER_LENGTH + len(message)
        ip = ipv4_header(length, self._identification, ttl, source, destination)
        return fixed + self._integrity_check_value(ip, fixed, message) + message

    def unwrap(self, data: bytes, header: bytes) -> bytes:
        """The VRRP message in a received packet; `verify` says whether it is to be believed.

        `header` is the IPv4 header as received, `data` what stands behind it. Raises RemoteProtocolError.
        """
        if len(header) < 20 or len(data) < HEADER_LENGTH:
            raise RemoteProtocolError(Reason.LENGTH, f"{len(data)} bytes are less than an authentication header")
        following, payload_length = data[0], data[1]
        if following != PROTOCOL or payload_length != _PAYLOAD_LENGTH:
            raise RemoteProtocolError(
                Reason.AUTH_HEADER,
                f"the authentication header has next header {following} and payload length {payload_length},"
                f" not {PROTOCOL} and {_PAYLOAD_LENGTH}",
            )
        return data[HEADER_LENGTH:]

    def verify(self, data: bytes, header: bytes) -> None:
        """Check value, SPI and sequence number, in this order; the number counts from now on (RFC 2402 3.4).

        The arguments are those of `unwrap`, which comes first. Raises RemoteProtocolError.
        """
        fixed, icv, message = data[:12], data[12:HEADER_LENGTH], data[HEADER_LENGTH:]
        if not hmac.compare_digest(icv, self._integrity_check_value(header, fixed, message)):
            raise RemoteProtocolError(Reason.AUTH_FAILURE, "the integrity check value differs")
        spi, number = fixed[4:8], int.from_bytes(fixed[8:12], "big")
        if spi != header[12:16]:
            raise RemoteProtocolError(Reason.AUTH_SPI, f"the SPI, {text_of(spi)}, is not the address of the sender")
        if number < self.last or number <= self._accepted:
            raise RemoteProtocolError(
                Reason.AUTH_SEQUENCE, f"sequence number {number} is not behind the last one, {self.last}"
            )
        self.last = self._accepted = number

    def _integrity_check_value(self, header: bytes, fixed: bytes, message: bytes) -> bytes:
        return hmac.digest(self._key, _immutable(header) + fixed + bytes(_ICV_LENGTH) + message, "md5")[:_ICV_LENGTH]


def _immutable(header: bytes) -> bytes:
    """An IPv4 header as the integrity check value covers it: mutable fields are zero (RFC 2402 3.3.3.1.1).

    Options are covered as zeros. That the TTL counts in multicast is keepalived's.
    """
    ttl = header[8] if is_multicast(header[16:20]) else 0
    return (
        header[:1]
        + b"\0"
        + header[2:6]
        + b"\0\0"
        + bytes((ttl, header[9]))
        + b"\0\0"
        + header[12:20]
        + bytes(len(header) - 20)
    )


def virtual_router_id(data: bytes, protocol: int) -> int | None:
    """Which virtual router a received packet is for, without judging it; None when it is too short to say.

    `data` is what stands behind the IP header, `protocol` is VRRP's, 112, or 51 for an authentication header.
    """
    offset = 1 if protocol == PROTOCOL else HEADER_LENGTH + 1
    return data[offset] if len(data) > offset else None

"""Authentication of BFD Control packets (RFC 5880 4.2-4.4, 6.7, errata 2530, 7082, 7083).

The digest is no HMAC: the key, padded with zeros, stands in the place of the digest while the whole packet is hashed.
As errata 7082 and 7083 say, a packet moves the sequence number only once its digest has been found right.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from kactl_agent.bfd.packet import HEADER_LENGTH, ControlPacket, Reason, RemoteProtocolError
from kactl_agent.bfd.settings import AuthSettings, AuthType

_PREFIX = struct.Struct("!BBBBI")  # type, length, key id, reserved, sequence
_DIGEST_AT = HEADER_LENGTH + _PREFIX.size
_MODULUS = 1 << 32

DIGEST_LENGTHS = {
    AuthType.KEYED_MD5: 16,
    AuthType.METICULOUS_KEYED_MD5: 16,
    AuthType.KEYED_SHA1: 20,
    AuthType.METICULOUS_KEYED_SHA1: 20,
}
LONGEST_SECRET = {AuthType.SIMPLE_PASSWORD: 16, **DIGEST_LENGTHS}
_METICULOUS = (AuthType.METICULOUS_KEYED_MD5, AuthType.METICULOUS_KEYED_SHA1)


def digest_of(kind: AuthType, packet: bytes, key: bytes) -> bytes:
    """The digest of a packet of exactly its Length, whatever stands in its digest field (RFC 5880 6.7.3, 6.7.4)."""
    size = DIGEST_LENGTHS[kind]
    covered = packet[:_DIGEST_AT] + key.ljust(size, b"\0")
    if size == 16:
        return hashlib.md5(covered, usedforsecurity=False).digest()
    return hashlib.sha1(covered, usedforsecurity=False).digest()


class Authenticator:
    """Signs and verifies for one session, and holds bfd.XmitAuthSeq, bfd.RcvAuthSeq and bfd.AuthSeqKnown."""

    def __init__(self, settings: AuthSettings, sequence: int) -> None:
        """`sequence`: a random number of 32 bits (RFC 5880 6.8.1)."""
        self.transmitted = sequence % _MODULUS
        self.received = 0
        self.known = False
        self._signed = b""  # the header that was signed last
        self.reconfigure(settings)

    def reconfigure(self, settings: AuthSettings) -> None:
        """Other keys from now on; sequence numbers go on."""
        self.settings = settings
        self._keys = {key.id: key.secret for key in settings.keys}
        self._active = self._keys[settings.active]
        self._result = b""

    @property
    def length(self) -> int:
        """Of the authentication section."""
        if self.settings.type is AuthType.SIMPLE_PASSWORD:
            return 3 + len(self._active)
        return _PREFIX.size + DIGEST_LENGTHS[self.settings.type]

    @property
    def meticulous(self) -> bool:
        return self.settings.type in _METICULOUS

    def forget(self) -> None:
        """Nothing was received for twice the Detection Time (RFC 5880 6.8.1): the next sequence number is taken."""
        self.known = False

    # -- sending -------------------------------------------------------------------------------------------------------

    def sign(self, header: bytes) -> bytes:
        """The whole packet, of a header with the A bit and the length of both. The number goes up by one with every
        packet (erratum 2530), or, where that is not asked for, with every one that differs from the one before."""
        if self._result and header == self._signed and not self.meticulous:
            return self._result
        kind, key_id = self.settings.type, self.settings.active
        if kind is AuthType.SIMPLE_PASSWORD:
            packet = header + bytes((kind, self.length, key_id)) + self._active
        else:
            self.transmitted = (self.transmitted + 1) % _MODULUS
            packet = header + _PREFIX.pack(kind, self.length, key_id, 0, self.transmitted)
            packet += digest_of(kind, packet, self._active)
        self._signed, self._result = header, packet
        return packet

    # -- receiving -----------------------------------------------------------------------------------------------------

    def verify(self, packet: ControlPacket, data: bytes) -> None:
        """Raises RemoteProtocolError when the packet, whose bytes are `data` up to its Length, is to be discarded."""
        section, kind = packet.auth, self.settings.type
        if section[0] != kind:
            raise RemoteProtocolError(Reason.AUTH_TYPE, f"authentication type {section[0]}, not {int(kind)}")
        key_id = section[2] if len(section) > 2 else 0
        key = self._keys.get(key_id)
        if len(section) < 3 or key is None:
            raise RemoteProtocolError(Reason.AUTH_KEY, f"no key has the number {key_id}")
        if kind is AuthType.SIMPLE_PASSWORD:
            self._verify_password(section, key)
        else:
            self._verify_digest(packet, data, key)

    def _verify_password(self, section: bytes, password: bytes) -> None:
        expected = 3 + len(password)
        if section[1] != expected or len(section) < expected:
            raise RemoteProtocolError(Reason.AUTH_LENGTH, "the password is of another length")
        if not hmac.compare_digest(section[3:expected], password):
            raise RemoteProtocolError(Reason.AUTH_DIGEST, "the password is another one")

    def _verify_digest(self, packet: ControlPacket, data: bytes, key: bytes) -> None:
        section, kind = packet.auth, self.settings.type
        expected = _PREFIX.size + DIGEST_LENGTHS[kind]
        if section[1] != expected or len(section) != expected:
            raise RemoteProtocolError(Reason.AUTH_LENGTH, f"an authentication section of {section[1]}, not {expected}")
        sequence = int.from_bytes(section[4:8], "big")
        least = 1 if self.meticulous else 0
        if self.known and not least <= (sequence - self.received) % _MODULUS <= 3 * packet.detect_mult:
            detail = f"sequence {sequence} after {self.received}"
            raise RemoteProtocolError(Reason.AUTH_SEQUENCE, detail)
        covered = data[: HEADER_LENGTH + expected]
        if not hmac.compare_digest(digest_of(kind, covered, key), section[_PREFIX.size :]):
            raise RemoteProtocolError(Reason.AUTH_DIGEST, "the digest is wrong")
        self.known, self.received = True, sequence

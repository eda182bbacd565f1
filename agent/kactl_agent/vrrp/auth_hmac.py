"""auth_hmac: adverts signed with HMAC-SHA256 in a trailer of 28 bytes (draft-cassen-vrrp-auth-hmac, keepalived 2.4.2).

The trailer stands behind the complete VRRP message. The digest covers a pseudo-header, the message with its checksum
field as zero, and the trailer with its digest as zero. The IPv4 checksum of VRRP leaves the trailer out, IPv6's covers
it. One signed image serves all unicast peers.

Wall-clock times are Unix times in ns: arguments, as everything that comes from a clock.
"""

from __future__ import annotations

import hmac
import struct
from typing import NamedTuple

from kactl_agent.vrrp.packet import Reason, RemoteProtocolError, text_of
from kactl_agent.vrrp.settings import SECOND, HmacMode, HmacSettings, VrrpSettings

TRAILER_LENGTH = 28
EXT_TYPE_HMAC_SHA256_128 = 1
MULTICAST_SENDERS = 4  # senders whose last sequence is kept; the one not heard for longest goes first
_DIGEST_LENGTH = 16
_FIELDS = struct.Struct("!BBHQ")  # ext_type, key_id, reserved, sequence
_MODULUS = 1 << 64


class Verified(NamedTuple):
    """What is said about an advert that may be taken."""

    signed: bool
    skew_seconds: int  # how far the sender's clock is ahead of ours, when that is worth a warning; else 0


def sequence_of(wall: int) -> int:
    """The sequence of a moment: seconds, 1/65536 seconds and a counter of zero, in 32, 16 and 16 bits."""
    seconds, rest = divmod(wall, SECOND)
    return (seconds & 0xFFFFFFFF) << 32 | (rest * 0x10000 // SECOND) << 16


def is_after(one: int, other: int) -> bool:
    """RFC 1982 serial number arithmetic in 64 bits."""
    return 0 < (one - other) % _MODULUS < _MODULUS // 2


def ahead_seconds(one: int, other: int) -> int:
    """How many seconds sequence `one` is ahead of `other`: the 32-bit difference of their seconds, signed."""
    difference = ((one >> 32) - (other >> 32)) & 0xFFFFFFFF
    return difference - (1 << 32) if difference & 0x80000000 else difference


class Authenticator:
    """Signs and verifies for one instance. It holds what must not be forgotten: the sequences sent and received."""

    def __init__(self, settings: VrrpSettings) -> None:
        self._last = 0
        self._marks: dict[bytes, int] = {}  # the sequence last accepted from each sender, least recently heard first
        self.reconfigure(settings)

    def reconfigure(self, settings: VrrpSettings) -> None:
        """Other keys, window or mode from now on; sequences stay, those of unicast peers that are gone do not."""
        if settings.auth_hmac is None:
            raise ValueError("the instance has no auth_hmac")
        self._hmac: HmacSettings = settings.auth_hmac
        self._keys = {entry.id: entry.key for entry in self._hmac.keys}
        self._family = 4 if settings.family.value == "ipv4" else 6
        self._peers = settings.unicast_peers
        if self._peers:
            self._marks = {sender: mark for sender, mark in self._marks.items() if sender in self._peers}

    @property
    def signs(self) -> bool:
        return self._hmac.mode is not HmacMode.RECEIVE_ONLY

    # -- sending -------------------------------------------------------------------------------------------------------

    def next_sequence(self, wall: int) -> int:
        """The sequence of the next advert: the clock's, or the one behind the last where the clock is not past that.

        With `anti_replay time`, a last sequence that is ahead of the clock by more than the window is given up: the
        clock was wrong when it was taken.
        """
        clock, last = sequence_of(wall), self._last
        stale = not self._hmac.monotonic and ahead_seconds(last, clock) > self._hmac.time_window
        if not last or stale or is_after(clock, last):
            self._last = clock
        else:
            self._last = (last + 1) % _MODULUS
        return self._last

    def trailer(self, message: bytes, source: bytes, wall: int) -> bytes:
        """The trailer of the next advert, the same for all its destinations. `message` may have any checksum."""
        fields = _FIELDS.pack(EXT_TYPE_HMAC_SHA256_128, self._hmac.active_key, 0, self.next_sequence(wall))
        return fields + self._digest(self._keys[self._hmac.active_key], message, source, fields)

    def _digest(self, key: bytes, message: bytes, source: bytes, fields: bytes) -> bytes:
        pseudo_header = bytes((self._family, message[0] >> 4, message[1], 0)) + source.ljust(16, b"\0")
        covered = pseudo_header + message[:6] + b"\0\0" + message[8:] + fields + bytes(_DIGEST_LENGTH)
        return hmac.digest(key, covered, "sha256")[:_DIGEST_LENGTH]

    # -- receiving -----------------------------------------------------------------------------------------------------

    def verify(self, message: bytes, trailer: bytes, source: bytes, wall: int) -> Verified:
        """Whether an advert from `source` may be taken. `trailer` is b"" when it has none.

        The order is keepalived's, which turns stale ones away before it computes anything. Raises RemoteProtocolError.
        """
        if not trailer:
            if self._hmac.mode is HmacMode.ENFORCE:
                raise RemoteProtocolError(Reason.HMAC_MISSING, "it is not signed")
            return Verified(signed=False, skew_seconds=0)
        if self._peers and source not in self._peers:
            raise RemoteProtocolError(Reason.UNICAST_SOURCE, f"{text_of(source)} is no unicast_peer")
        fields, digest = trailer[: _FIELDS.size], trailer[_FIELDS.size :]
        ext_type, key_id, reserved, sequence = _FIELDS.unpack(fields)
        if ext_type != EXT_TYPE_HMAC_SHA256_128 or reserved:
            raise RemoteProtocolError(
                Reason.HMAC_MALFORMED, f"the trailer has type {ext_type} and {reserved} in its reserved field"
            )
        skew = 0 if self._hmac.monotonic else self._check_time(sequence, wall)
        key = self._keys.get(key_id)
        if key is None:
            raise RemoteProtocolError(Reason.HMAC_UNKNOWN_KEY, f"key {key_id} is not configured here")
        if not hmac.compare_digest(digest, self._digest(key, message, source, fields)):
            raise RemoteProtocolError(Reason.HMAC_INVALID, f"the digest with key {key_id} differs")
        self._check_replay(source, sequence, wall)
        return Verified(signed=True, skew_seconds=skew if abs(skew) > self._hmac.time_window // 2 else 0)

    def _check_time(self, sequence: int, wall: int) -> int:
        skew, window = ahead_seconds(sequence, sequence_of(wall)), self._hmac.time_window
        if abs(skew) > window:
            side = "ahead of" if skew > 0 else "behind"
            raise RemoteProtocolError(
                Reason.HMAC_STALE, f"its time is {abs(skew)} s {side} the clock here; time_window is {window} s"
            )
        return skew

    def _check_replay(self, source: bytes, sequence: int, wall: int) -> None:
        """Only behind the digest: who has no key cannot move a mark or push one out."""
        mark = self._marks.get(source)
        # With `anti_replay time`, a mark that is outside the window comes from before a step of a clock
        counts = mark is not None and (
            self._hmac.monotonic or abs(ahead_seconds(mark, sequence_of(wall))) <= self._hmac.time_window
        )
        if mark is not None and counts and not is_after(sequence, mark):
            raise RemoteProtocolError(Reason.HMAC_REPLAY, "it was received before, or is older than what was")
        self._marks.pop(source, None)
        if not self._peers and len(self._marks) >= MULTICAST_SENDERS:
            del self._marks[next(iter(self._marks))]
        self._marks[source] = sequence

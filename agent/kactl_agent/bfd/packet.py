"""BFD Control packets on the wire (RFC 5880 4.1), as the payload of a UDP datagram.

What a peer sends becomes a `ControlPacket` or raises `RemoteProtocolError`; nothing else can come of it. `decode`
carries out those steps of the reception (RFC 5880 6.8.6) that need no session, in their order.
"""

from __future__ import annotations

import struct
from enum import Enum, IntEnum

import msgspec

VERSION = 1
HEADER_LENGTH = 24
_SHORTEST_WITH_AUTH = 26
_HEADER = struct.Struct("!BBBBIIIII")

_POLL, _FINAL, _INDEPENDENT, _AUTH, _DEMAND, _MULTIPOINT = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01


class State(IntEnum):
    """bfd.SessionState (RFC 5880 4.1, Sta)."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3

    @property
    def text(self) -> str:
        """As RFC 5880 writes it: AdminDown, Down, Init, Up."""
        return _STATE_TEXTS[self]


_STATE_TEXTS = {State.ADMIN_DOWN: "AdminDown", State.DOWN: "Down", State.INIT: "Init", State.UP: "Up"}


class Diagnostic(IntEnum):
    """bfd.LocalDiag (RFC 5880 4.1, Diag); 9 to 31 are reserved."""

    NONE = 0
    DETECTION_TIME_EXPIRED = 1
    ECHO_FAILED = 2
    NEIGHBOR_SIGNALED_DOWN = 3
    FORWARDING_PLANE_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8


_DIAGNOSTIC_TEXTS = {
    Diagnostic.NONE: "No Diagnostic",
    Diagnostic.DETECTION_TIME_EXPIRED: "Control Detection Time Expired",
    Diagnostic.ECHO_FAILED: "Echo Function Failed",
    Diagnostic.NEIGHBOR_SIGNALED_DOWN: "Neighbor Signaled Session Down",
    Diagnostic.FORWARDING_PLANE_RESET: "Forwarding Plane Reset",
    Diagnostic.PATH_DOWN: "Path Down",
    Diagnostic.CONCATENATED_PATH_DOWN: "Concatenated Path Down",
    Diagnostic.ADMINISTRATIVELY_DOWN: "Administratively Down",
    Diagnostic.REVERSE_CONCATENATED_PATH_DOWN: "Reverse Concatenated Path Down",
}


def diagnostic_text(diagnostic: int) -> str:
    """The name RFC 5880 gives it; a peer may send one that is reserved."""
    try:
        return _DIAGNOSTIC_TEXTS[Diagnostic(diagnostic)]
    except ValueError:
        return f"reserved diagnostic {diagnostic}"


class Reason(Enum):
    """Why a received packet was discarded. The value is the name of a counter and a log field: it never changes."""

    VERSION = "version"
    LENGTH = "length"  # too short for its header, or its Length field is
    LENGTH_BEYOND_PAYLOAD = "length_beyond_payload"
    DETECT_MULT_ZERO = "detect_mult_zero"
    MULTIPOINT = "multipoint"
    MY_DISCRIMINATOR_ZERO = "my_discriminator_zero"
    YOUR_DISCRIMINATOR_ZERO = "your_discriminator_zero"  # in a state that knows it
    NO_SESSION = "no_session"  # Your Discriminator is none of ours
    UNKNOWN_NEIGHBOR = "unknown_neighbor"
    PORT = "port"  # of another kind of session: 3784 is for one hop, 4784 for several
    INTERFACE = "interface"
    TTL = "ttl"  # RFC 5881 5
    AUTH_UNEXPECTED = "auth_unexpected"
    AUTH_MISSING = "auth_missing"
    AUTH_TYPE = "auth_type"
    AUTH_KEY = "auth_key"
    AUTH_LENGTH = "auth_length"
    AUTH_SEQUENCE = "auth_sequence"
    AUTH_DIGEST = "auth_digest"
    ADMIN_DOWN = "admin_down"  # the session is administratively down here
    NOT_LOOPED = "not_looped"  # an unaffiliated echo session hears its own packets alone (RFC 9747)


class RemoteProtocolError(Exception):
    """A peer's packet that has to be discarded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ControlPacket(msgspec.Struct, frozen=True, kw_only=True):
    """A BFD Control packet. Intervals are microseconds; `auth` is the authentication section, b"" without the A bit."""

    state: State
    detect_mult: int
    my_discriminator: int
    your_discriminator: int = 0
    desired_min_tx_interval: int = 1_000_000
    required_min_rx_interval: int = 1_000_000
    required_min_echo_rx_interval: int = 0
    diagnostic: int = 0
    poll: bool = False
    final: bool = False
    control_plane_independent: bool = False
    demand: bool = False
    auth: bytes = b""


def encode(packet: ControlPacket, auth_length: int = 0) -> bytes:
    """The packet, its authentication section included; with `auth_length`, the header of one whose section, of that
    many bytes, is put behind it later. Raises ValueError when a field does not fit."""
    if packet.poll and packet.final:
        raise ValueError("no packet carries both Poll and Final (RFC 5880 6.5)")
    auth_length = auth_length or len(packet.auth)
    flags = packet.state << 6
    flags |= _POLL * packet.poll | _FINAL * packet.final | _INDEPENDENT * packet.control_plane_independent
    flags |= _AUTH * bool(auth_length) | _DEMAND * packet.demand
    if not 0 <= packet.diagnostic < 32:
        raise ValueError(f"diagnostic {packet.diagnostic} does not fit in five bits")
    try:
        header = _HEADER.pack(
            VERSION << 5 | packet.diagnostic,
            flags,
            packet.detect_mult,
            HEADER_LENGTH + auth_length,
            packet.my_discriminator,
            packet.your_discriminator,
            packet.desired_min_tx_interval,
            packet.required_min_rx_interval,
            packet.required_min_echo_rx_interval,
        )
    except struct.error as error:
        raise ValueError(str(error)) from None
    return header + packet.auth


def decode(data: bytes) -> ControlPacket:
    """A received packet, checked as far as that needs no session (RFC 5880 6.8.6). Bytes behind its Length are ignored
    (RFC 9764 3). Raises RemoteProtocolError, and nothing else, whatever the bytes are."""
    if not data:
        raise RemoteProtocolError(Reason.LENGTH, "the packet is empty")
    if data[0] >> 5 != VERSION:
        raise RemoteProtocolError(Reason.VERSION, f"BFD version {data[0] >> 5}, not {VERSION}")
    if len(data) < HEADER_LENGTH:
        raise RemoteProtocolError(Reason.LENGTH, f"{len(data)} bytes are less than a BFD header")
    first, flags, detect_mult, length, my, your, tx, rx, echo = _HEADER.unpack_from(data)
    shortest = _SHORTEST_WITH_AUTH if flags & _AUTH else HEADER_LENGTH
    if length < shortest:
        raise RemoteProtocolError(Reason.LENGTH, f"a length of {length} is less than {shortest}")
    if length > len(data):
        raise RemoteProtocolError(Reason.LENGTH_BEYOND_PAYLOAD, f"a length of {length} in {len(data)} bytes")
    if not detect_mult:
        raise RemoteProtocolError(Reason.DETECT_MULT_ZERO, "the detection multiplier is zero")
    if flags & _MULTIPOINT:
        raise RemoteProtocolError(Reason.MULTIPOINT, "the multipoint bit is set")
    if not my:
        raise RemoteProtocolError(Reason.MY_DISCRIMINATOR_ZERO, "My Discriminator is zero")
    state = State(flags >> 6)
    if not your and state > State.DOWN:
        raise RemoteProtocolError(Reason.YOUR_DISCRIMINATOR_ZERO, f"Your Discriminator is zero in state {state.text}")
    return ControlPacket(
        state=state,
        detect_mult=detect_mult,
        my_discriminator=my,
        your_discriminator=your,
        desired_min_tx_interval=tx,
        required_min_rx_interval=rx,
        required_min_echo_rx_interval=echo,
        diagnostic=first & 0x1F,
        poll=bool(flags & _POLL),
        final=bool(flags & _FINAL),
        control_plane_independent=bool(flags & _INDEPENDENT),
        demand=bool(flags & _DEMAND),
        auth=data[HEADER_LENGTH:length] if flags & _AUTH else b"",
    )

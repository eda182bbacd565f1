"""What a BFD session is told: intervals in microseconds as in its packets, addresses as packed bytes."""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

MICROSECOND = 1_000  # in the ns of an engine's clock
SLOWEST_ALLOWED = 1_000_000  # us: no session that is not Up sends faster than once a second (RFC 5880 6.8.3)


class Mode(Enum):
    """What kind of path a session watches, which is also the UDP port its packets come to."""

    SINGLE_HOP = "single-hop"  # RFC 5881
    MULTIHOP = "multihop"  # RFC 5883
    UNAFFILIATED_ECHO = "unaffiliated-echo"  # RFC 9747

    @property
    def port(self) -> int:
        return _PORTS[self]


_PORTS = {Mode.SINGLE_HOP: 3784, Mode.MULTIHOP: 4784, Mode.UNAFFILIATED_ECHO: 3785}


class AuthType(IntEnum):
    """RFC 5880 4.1."""

    SIMPLE_PASSWORD = 1
    KEYED_MD5 = 2
    METICULOUS_KEYED_MD5 = 3
    KEYED_SHA1 = 4
    METICULOUS_KEYED_SHA1 = 5


class AuthKey(msgspec.Struct, frozen=True):
    """A password (1..16 bytes) or key (MD5: 1..16, SHA1: 1..20 bytes) and the number packets name it by."""

    id: int
    secret: bytes

    def __repr__(self) -> str:
        return f"AuthKey(id={self.id})"


class AuthSettings(msgspec.Struct, frozen=True):
    """Packets signed with any of the keys are taken; those that are sent are signed with the key `active`."""

    type: AuthType
    keys: tuple[AuthKey, ...]
    active: int  # id


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """bfd_instance."""

    name: str
    neighbor: bytes
    source: bytes = b""  # b"": the kernel chooses
    interface: str = ""  # where packets leave and come in: an interface, or a VRF; "" is any
    mode: Mode = Mode.SINGLE_HOP
    desired_min_tx_interval: int  # while Up
    required_min_rx_interval: int
    idle_tx_interval: int = SLOWEST_ALLOWED  # while not Up
    detect_mult: int
    passive: bool = False
    ttl: int = 255
    minimum_ttl: int = 255  # 0: whatever the TTL of a received packet is
    authentication: AuthSettings | None = None
    padded_pdu_size: int = 0  # bytes of UDP payload (RFC 9764); 0 is no padding
    tell_vrrp: bool = True
    tell_checkers: bool = True

    @property
    def identity(self) -> tuple[object, ...]:
        """What no two sessions have in common: the neighbour, and the way to it."""
        return self.neighbor, self.source, self.interface, self.mode

    @property
    def peer(self) -> tuple[object, ...]:
        """Whom the session is with: a link-local address is somebody else on every link. The neighbour may have one
        session for all of ours that have this in common."""
        link_local = self.neighbor[:1] == b"\xfe" and self.neighbor[1] & 0xC0 == 0x80
        return self.neighbor, self.interface if link_local else "", self.mode


class BfdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the bfd worker takes of one revision of the configuration."""

    sessions: tuple[SessionSettings, ...] = ()


def without_secrets(settings: BfdSettings) -> BfdSettings:
    """The same for processes that only look: types of authentication and numbers of keys, and no keys."""
    return BfdSettings(sessions=tuple(_without_keys(session) for session in settings.sessions))


def _without_keys(session: SessionSettings) -> SessionSettings:
    if session.authentication is None:
        return session
    keys = tuple(AuthKey(key.id, b"") for key in session.authentication.keys)
    return msgspec.structs.replace(session, authentication=msgspec.structs.replace(session.authentication, keys=keys))

"""bfd_instance: one BFD session (RFC 5880, 5881, 5883)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BOOL, FLAG, BlockKeywords, Keyword, Keywords
from kactl_agent.config.schema.network import InterfaceName, IpAddress
from kactl_agent.config.schema.shapes import (
    Block,
    Choice,
    Duration,
    Integer,
    Line,
    Maybe,
    Repeated,
    SecretSource,
    Text,
    ValueFault,
)
from kactl_agent.config.schema.track import ScriptWeight

_LONGEST = 4_294_967_000
_LONGEST_KEY = 20  # bytes, of SHA1 (RFC 5880 6.7.4)
_HEX = "hex:"


def key_bytes(text: str) -> bytes:
    """The bytes of a key: `hex:` and its digits, or the text itself."""
    return bytes.fromhex(text.removeprefix(_HEX)) if text.startswith(_HEX) else text.encode()


@dataclass(frozen=True)
class BfdKey(Text):
    """A password or key of at most 20 bytes: the text itself, or `hex:` and its bytes in hexadecimal (RFC 5880 6.7)."""

    what: str = "key"
    secret: bool = True

    def parse(self, text: str) -> str:
        key = super().parse(text)
        if key.startswith(_HEX) and not re.fullmatch("(?:[0-9a-fA-F]{2})*", key.removeprefix(_HEX)):
            raise ValueFault("the key is not hexadecimal, two digits a byte")
        if not 1 <= len(key_bytes(key)) <= _LONGEST_KEY:
            text = f"the key has {len(key_bytes(key))} bytes"
            raise ValueFault(text, "1 to 20 bytes for SHA1, 1 to 16 for MD5 and simple passwords")
        return key


class BfdKeyEntry(Keywords, frozen=True, kw_only=True):
    """A key of `authentication`, and its number."""

    id: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 255),
            "Number of the key, the same on both ends",
            position=0,
            required=True,
            extension=True,
            process="bfd",
        ),
    ] = UNSET
    key: Annotated[
        Maybe[str | SecretSource],
        Keyword(
            BfdKey(),
            "The password or key: text, or `hex:` with hexadecimal digits",
            position=1,
            required=True,
            extension=True,
            process="bfd",
        ),
    ] = UNSET


AUTH_TYPES = ("simple", "keyed_md5", "meticulous_keyed_md5", "keyed_sha1", "meticulous_keyed_sha1")


class BfdAuthentication(BlockKeywords, frozen=True, kw_only=True):
    """authentication: what is not signed with one of the keys is discarded (RFC 5880, 6.7)."""

    auth_type: Annotated[
        Maybe[str],
        Keyword(
            Choice(AUTH_TYPES),
            "How packets are signed. `meticulous_keyed_sha1` lets nobody replay them; `simple` has the password in clear",
            default="meticulous_keyed_sha1",
            extension=True,
            process="bfd",
        ),
    ] = UNSET
    key: Annotated[
        Maybe[tuple[BfdKeyEntry, ...]],
        Keyword(
            Repeated(Line(BfdKeyEntry)),
            "A key. Packets signed with any of them are taken, so that keys can be changed one router after the other",
            required=True,
            extension=True,
            process="bfd",
        ),
    ] = UNSET
    active_key: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 255),
            "Number of the key that signs what is sent",
            default="the first key",
            extension=True,
            process="bfd",
        ),
    ] = UNSET


class BfdInstance(BlockKeywords, frozen=True, kw_only=True):
    """bfd_instance: a session with one neighbour, whose state moves priorities (track_bfd) and real servers (BFD_CHECK)."""

    neighbor_ip: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(),
            "Address of the neighbour",
            synonyms=("neighbour_ip",),
            required=True,
            process="bfd",
        ),
    ] = UNSET
    source_ip: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(),
            "Address packets are sent from. Give it: only with it is the source port one that RFC 5881 allows",
            default="chosen by the kernel",
            process="bfd",
        ),
    ] = UNSET
    min_rx: Annotated[
        Maybe[int],
        Keyword(
            Duration("ms", 3, minimum=1_000, maximum=_LONGEST),
            "Shortest interval at which packets can be received (bfd.RequiredMinRxInterval), in milliseconds",
            default="10",
            process="bfd",
        ),
    ] = UNSET
    min_tx: Annotated[
        Maybe[int],
        Keyword(
            Duration("ms", 3, minimum=1_000, maximum=_LONGEST),
            "Interval at which packets are sent while Up (bfd.DesiredMinTxInterval), in milliseconds",
            default="10",
            process="bfd",
        ),
    ] = UNSET
    idle_tx: Annotated[
        Maybe[int],
        Keyword(
            Duration("ms", 3, minimum=1_000_000, maximum=_LONGEST),
            "Interval at which packets are sent while not Up, in milliseconds; at least a second (RFC 5880, 6.8.3)",
            default="1000",
            process="bfd",
        ),
    ] = UNSET
    multiplier: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255),
            "Packets that may be missing before the neighbour declares the session Down (bfd.DetectMult)",
            default="5",
            process="bfd",
        ),
    ] = UNSET
    passive: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Send nothing until the neighbour does (RFC 5880, 6.1)", default="off", process="bfd"),
    ] = UNSET
    ttl: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255),
            "TTL or hop limit of the packets that are sent",
            default="255 for IPv4, 64 for IPv6",
            synonyms=("hoplimit",),
            process="bfd",
        ),
    ] = UNSET
    max_hops: Annotated[
        Maybe[int],
        Keyword(
            Integer(-1, 255),
            "Routers a received packet may have crossed: its TTL must be at least ttl less this; -1 turns the check off",
            default="0",
            process="bfd",
        ),
    ] = UNSET
    weight: Annotated[
        Maybe[ScriptWeight],
        Keyword(
            Line(ScriptWeight),
            "Priority change, for instances that track the session, while Up (positive) or not (negative); 0 makes not Up a FAULT",
            default="0",
            process="bfd",
        ),
    ] = UNSET
    vrrp: Annotated[
        Maybe[bool],
        Keyword(
            FLAG, "Tell VRRP of state changes; alone, it means nobody else", default="both are told", process="bfd"
        ),
    ] = UNSET
    checker: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Tell the checkers of state changes; alone, it means nobody else",
            default="both are told",
            process="bfd",
        ),
    ] = UNSET
    multihop: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "The neighbour may be more than one hop away: UDP port 4784 (RFC 5883) instead of 3784",
            default="off",
            since="2.2.8",
            process="bfd",
        ),
    ] = UNSET
    interface: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(),
            "Interface, or VRF, that packets leave and come in by. A link-local neighbor_ip and unaffiliated_echo need one",
            default="any",
            extension=True,
            process="bfd",
        ),
    ] = UNSET
    authentication: Annotated[
        Maybe[BfdAuthentication],
        Keyword(
            Block(BfdAuthentication),
            "Sign packets, and discard what is not signed (RFC 5880, 6.7)",
            default="none",
            extension=True,
            process="bfd",
        ),
    ] = UNSET
    unaffiliated_echo: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "The neighbour runs no BFD: it is sent packets that it forwards back (RFC 9747). It must be a router",
            default="off",
            extension=True,
            process="bfd",
        ),
    ] = UNSET
    padded_pdu_size: Annotated[
        Maybe[int],
        Keyword(
            Integer(24, 65_507),
            "Bytes of UDP payload that packets are padded to, and not to be fragmented: the session is Up only while the "
            "path takes packets of this size (RFC 9764)",
            default="no padding",
            extension=True,
            process="bfd",
        ),
    ] = UNSET

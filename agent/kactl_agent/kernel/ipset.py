"""The part of ipset's netlink protocol (linux/netfilter/ipset/ip_set.h) that goes with iptables: sets of addresses, and
of networks with interfaces.

What is there already is taken as it is, and what is gone is no failure: messages lack NLM_F_EXCL.
"""

from __future__ import annotations

import errno
import struct
from enum import Enum

import msgspec

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.nfnetlink import attribute, nested, text

_SUBSYSTEM = 6  # NFNL_SUBSYS_IPSET
_CREATE, _DESTROY, _FLUSH, _ADD, _DELETE, _BY_NAME = (_SUBSYSTEM << 8 | number for number in (2, 3, 4, 9, 10, 14))
_PROTOCOL = b"\x07"  # of Linux 4.20, the first that tells the index of a set
_NFGENMSG = struct.Struct("!BBH")
_BIG_ENDIAN = 0x4000  # NLA_F_NET_BYTEORDER
_NAME, _TYPE, _REVISION, _FAMILY, _DATA, _INDEX = 2, 3, 4, 5, 7, 11
_ADDRESS, _PREFIX_LENGTH, _INTERFACE = 1, 3, 23
_NO_SUCH_SET = frozenset({errno.ENOENT})
NAME_LENGTH = 31


class SetType(Enum):
    """hash:ip has addresses, hash:net,iface networks with the interface that packets come or go by."""

    ADDRESSES = "hash:ip"
    NETWORKS_AND_INTERFACES = "hash:net,iface"


class Set(msgspec.Struct, frozen=True):
    name: str
    type: SetType
    family: int  # AF_*


class Element(msgspec.Struct, frozen=True):
    """An address, or, with an interface, a network: b"" is every address."""

    address: bytes
    interface: str = ""


def create(wanted: Set) -> bytes:
    """Also one that exists already, if it is of the same type."""
    body = text(_TYPE, wanted.type.value) + attribute(_REVISION, b"\0") + attribute(_FAMILY, bytes((wanted.family,)))
    return _message(_CREATE, wanted, body + nested(_DATA), nl.NLM_F_CREATE)


def destroy(wanted: Set) -> bytes:
    return _message(_DESTROY, wanted)


def flush(wanted: Set) -> bytes:
    return _message(_FLUSH, wanted)


def add(wanted: Set, element: Element) -> bytes:
    return _message(_ADD, wanted, _element(wanted, element))


def delete(wanted: Set, element: Element) -> bytes:
    return _message(_DELETE, wanted, _element(wanted, element))


def by_name(wanted: Set) -> bytes:
    """Asks for the set's index."""
    return _message(_BY_NAME, wanted)


def decode_index(body: bytes) -> int | None:
    """The answer to `by_name`: what the rules of iptables call the set."""
    value = nl.attributes(body, _NFGENMSG.size).get(_INDEX, b"")
    return int.from_bytes(value, "big") if len(value) == 2 else None


def is_missing(error: int) -> bool:
    """Whether a refusal says that there is no set of this name."""
    return error in _NO_SUCH_SET


def reason(error: int) -> str:
    """ipset's own errors are no errno of the system."""
    return _ERRORS.get(error) or nl.reason(error)


_ERRORS = {
    4097: "the kernel speaks another ipset protocol",
    4098: "the kernel does not know this type of set",
    4099: "there are too many sets",
    4100: "the set is in use",
    4103: "the element is there, or is not",
}


def _element(wanted: Set, element: Element) -> bytes:
    kind, length = (1, 4) if wanted.family == nl.AF_INET else (2, 16)
    address = element.address or b"\0" * length
    data = nested(_ADDRESS, attribute(kind | _BIG_ENDIAN, address))
    if wanted.type is SetType.NETWORKS_AND_INTERFACES:
        data += attribute(_PREFIX_LENGTH, bytes((len(element.address) * 8,)))
        data += text(_INTERFACE, element.interface)
    return nested(_DATA, data)


def _message(kind: int, wanted: Set, body: bytes = b"", flags: int = 0) -> bytes:
    head = _NFGENMSG.pack(wanted.family, 0, 0) + attribute(1, _PROTOCOL) + text(_NAME, wanted.name)
    return nl.align_message(nl.encode_message(kind, nl.NLM_F_REQUEST | flags, 0, head + body))

"""The part of rtnetlink (rtnetlink(7), linux/rtnetlink.h, linux/if_addr.h) the VRRP worker speaks.

Written here because a message has to cost microseconds and its import nothing: 500 addresses are one buffer and one
system call. Tests hold it against pyroute2's decoder and against iproute2.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from kactl_agent.kernel.ports import InterfaceAddress, Link
from kactl_agent.vrrp.settings import VirtualAddress

NLMSG_ERROR = 2
NLMSG_DONE = 3

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTM_NEWNETCONF = 80
RTM_DELNETCONF = 81
RTM_GETNETCONF = 82

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

RTNLGRP_LINK = 1
RTNLGRP_IPV4_IFADDR = 5
RTNLGRP_IPV6_IFADDR = 9
RTNLGRP_IPV6_NETCONF = 25

AF_UNSPEC = 0
AF_INET = 2
AF_INET6 = 10

IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_LINKINFO = 18
IFLA_IFALIAS = 20
IFLA_GROUP = 27
IFLA_LINK_NETNSID = 37
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_VRF_TABLE = 1
IFLA_MACVLAN_MODE = 1
MACVLAN_MODE_PRIVATE = 1

IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_LABEL = 3
IFA_BROADCAST = 4
IFA_CACHEINFO = 6
IFA_FLAGS = 8
IFA_PROTO = 11

IFA_F_SECONDARY = 0x01
IFA_F_NODAD = 0x02
IFA_F_DADFAILED = 0x08
IFA_F_TENTATIVE = 0x40

NETCONFA_IFINDEX = 1
NETCONFA_FORWARDING = 2

RTPROT_KEEPALIVED = 18
FOREVER = 0xFFFF_FFFF

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")
_ATTRIBUTE_TYPE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
HEADER_SIZE = _HEADER.size
_I32 = struct.Struct("=i")
_U32 = struct.Struct("=I")


class Message(NamedTuple):
    """A netlink message without its header."""

    type: int
    flags: int
    sequence: int
    body: bytes


class Failure(NamedTuple):
    """An NLMSG_ERROR: `error` is an errno (0 is an acknowledgement), `request` the message it answers."""

    error: int
    request: Message


def align(length: int) -> int:
    """Netlink messages and attributes start on multiples of four."""
    return (length + 3) & ~3


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram. A truncated tail ends the iteration."""
    offset = 0
    while offset + HEADER_SIZE <= len(data):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(data, offset)
        if length < HEADER_SIZE or offset + length > len(data):
            return
        yield Message(kind, flags, sequence, data[offset + HEADER_SIZE : offset + length])
        offset += align(length)


def attributes(body: bytes, offset: int) -> dict[int, bytes]:
    """The attributes behind a message's fixed part, by type; of a repeated type the last one."""
    found: dict[int, bytes] = {}
    while offset + 4 <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4 or offset + length > len(body):
            break
        found[kind & _ATTRIBUTE_TYPE] = body[offset + 4 : offset + length]
        offset += align(length)
    return found


def encode_attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (align(length) - length)


def encode_message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(HEADER_SIZE + len(body), kind, flags, sequence, 0) + body


def encode_dump(kind: int, sequence: int, family: int = AF_UNSPEC) -> bytes:
    """RTM_GETLINK, RTM_GETADDR or RTM_GETNETCONF for all there is; the fixed part is all zeros but the family."""
    size = {RTM_GETLINK: _IFINFOMSG.size, RTM_GETADDR: _IFADDRMSG.size, RTM_GETNETCONF: 4}[kind]
    return encode_message(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, bytes((family,)) + b"\0" * (size - 1))


def encode_new_address(address: VirtualAddress, index: int, sequence: int) -> bytes:
    """RTM_NEWADDR. IFA_PROTO marks the address as ours where the kernel knows it (5.18); older ones skip it."""
    parts = [_address_part(address, index, address.flags & 0xFF)]
    if address.broadcast:
        parts.append(encode_attribute(IFA_BROADCAST, address.broadcast))
    if address.label:
        parts.append(encode_attribute(IFA_LABEL, address.label.encode() + b"\0"))
    if address.preferred_lifetime is not None:
        cache_info = struct.pack("=IIII", address.preferred_lifetime, FOREVER, 0, 0)
        parts.append(encode_attribute(IFA_CACHEINFO, cache_info))
    if address.flags:
        parts.append(encode_attribute(IFA_FLAGS, _U32.pack(address.flags)))
    parts.append(encode_attribute(IFA_PROTO, bytes((RTPROT_KEEPALIVED,))))
    return encode_message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, sequence, b"".join(parts))


def encode_delete_address(address: VirtualAddress, index: int, sequence: int) -> bytes:
    """RTM_DELADDR, by address, prefix length and peer."""
    return encode_message(RTM_DELADDR, NLM_F_REQUEST, sequence, _address_part(address, index, 0))


def _address_part(address: VirtualAddress, index: int, flags: int) -> bytes:
    family = AF_INET if len(address.address) == 4 else AF_INET6
    return (
        _IFADDRMSG.pack(family, address.prefix_length, flags, address.scope, index)
        + encode_attribute(IFA_LOCAL, address.address)
        + encode_attribute(IFA_ADDRESS, address.peer or address.address)
    )


def align_message(message: bytes) -> bytes:
    """A message with the padding that another one can follow."""
    return message + b"\0" * (align(len(message)) - len(message))


def acknowledged(message: bytes, sequence: int) -> bytes:
    """The message with this sequence number and NLM_F_ACK: errors are always answered, success only then."""
    length, kind, flags, _sequence, port = _HEADER.unpack_from(message)
    return _HEADER.pack(length, kind, flags | NLM_F_ACK, sequence, port) + message[HEADER_SIZE:]


def decode_failure(body: bytes) -> Failure:
    """The body of an NLMSG_ERROR."""
    (negative,) = _I32.unpack_from(body)
    _length, kind, flags, sequence, _port = _HEADER.unpack_from(body, 4)
    return Failure(-negative, Message(kind, flags, sequence, body[4 + HEADER_SIZE :]))


def decode_link(body: bytes) -> Link | None:
    """RTM_NEWLINK, RTM_DELLINK; None for one that belongs to another family (bridge ports, AF_INET6 states)."""
    family, hardware_type, index, flags, _change = _IFINFOMSG.unpack_from(body)
    found = attributes(body, _IFINFOMSG.size)
    if family != AF_UNSPEC or IFLA_IFNAME not in found:
        return None
    info = attributes(found.get(IFLA_LINKINFO, b""), 0)
    kind = info.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode("utf-8", "replace")
    data = attributes(info.get(IFLA_INFO_DATA, b""), 0)
    return Link(
        index=index,
        name=found[IFLA_IFNAME].rstrip(b"\0").decode("utf-8", "replace"),
        flags=flags,
        mtu=_number(found, IFLA_MTU),
        hardware_address=found.get(IFLA_ADDRESS, b""),
        hardware_type=hardware_type,
        vrf_table=_number(data, IFLA_VRF_TABLE) if kind == "vrf" else 0,
        kind=kind,
        parent=0 if IFLA_LINK_NETNSID in found else _number(found, IFLA_LINK),
        master=_number(found, IFLA_MASTER),
        group=_number(found, IFLA_GROUP),
        alias=found.get(IFLA_IFALIAS, b"").rstrip(b"\0").decode("utf-8", "replace"),
        private=kind == "macvlan" and _number(data, IFLA_MACVLAN_MODE) == MACVLAN_MODE_PRIVATE,
    )


def _number(found: dict[int, bytes], kind: int) -> int:
    """A u32 attribute, 0 where it is missing."""
    value = found.get(kind, b"")
    return int(_U32.unpack(value)[0]) if len(value) == 4 else 0


def decode_address(body: bytes) -> InterfaceAddress | None:
    """RTM_NEWADDR, RTM_DELADDR; None for families other than IPv4 and IPv6."""
    family, prefix_length, flags, scope, index = _IFADDRMSG.unpack_from(body)
    found = attributes(body, _IFADDRMSG.size)
    value = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS, b"")
    if family not in (AF_INET, AF_INET6) or len(value) not in (4, 16):
        return None
    if len(found.get(IFA_FLAGS, b"")) == 4:
        (flags,) = _U32.unpack(found[IFA_FLAGS])
    protocol = found.get(IFA_PROTO, b"\0")[0]
    return InterfaceAddress(index, value, prefix_length, flags, scope, protocol)


def decode_forwarding(body: bytes) -> tuple[int, bool] | None:
    """RTM_NEWNETCONF of AF_INET6: interface index and whether it forwards; None when it says nothing of that."""
    if body[:1] != bytes((AF_INET6,)):
        return None
    found = attributes(body, 4)
    if len(found.get(NETCONFA_IFINDEX, b"")) != 4 or len(found.get(NETCONFA_FORWARDING, b"")) != 4:
        return None
    return _I32.unpack(found[NETCONFA_IFINDEX])[0], _I32.unpack(found[NETCONFA_FORWARDING])[0] != 0


def reason(error: int) -> str:
    """An errno as an operator reads it: `EPERM: Operation not permitted`."""
    return f"{errno.errorcode.get(error, error)}: {os.strerror(error)}"

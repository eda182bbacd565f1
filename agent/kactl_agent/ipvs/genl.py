"""IPVS over generic netlink: every command and attribute of linux/ip_vs.h (IPVS_GENL_VERSION 1), as bytes.

A request is a netlink message of the family's number with a genlmsghdr and attributes. Numbers are in host order but
for ports, IPv4 netmasks and multicast addresses, which are in network order; addresses are the 16 bytes of union
nf_inet_addr. Tests hold this against what ipvsadm sends and what the kernel answers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from kactl_agent.ipvs.model import (
    AF_INET,
    AF_INET6,
    BYPASS,
    NO_MASK,
    ConnectionCounts,
    Counters,
    Destination,
    DestinationKey,
    Forwarding,
    Service,
    ServiceKey,
    SyncDaemon,
    Timeouts,
)

FAMILY_NAME = "IPVS"
CONTROLLER = 0x10  # GENL_ID_CTRL
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300

(
    NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST, NEW_DAEMON, DEL_DAEMON,
    GET_DAEMON, SET_CONFIG, GET_CONFIG, SET_INFO, GET_INFO, ZERO, FLUSH,
) = range(1, 18)  # fmt: skip
COMMANDS = {
    NEW_SERVICE: "add service", SET_SERVICE: "edit service", DEL_SERVICE: "delete service", NEW_DEST: "add destination",
    SET_DEST: "edit destination", DEL_DEST: "delete destination", NEW_DAEMON: "start sync daemon",
    DEL_DAEMON: "stop sync daemon", SET_CONFIG: "set timeouts", ZERO: "zero counters", FLUSH: "flush",
}  # fmt: skip

# IPVS_CMD_ATTR_*
_SERVICE, _DEST, _DAEMON, _TIMEOUT_TCP, _TIMEOUT_TCP_FIN, _TIMEOUT_UDP = range(1, 7)
# IPVS_SVC_ATTR_*
(
    _SVC_AF, _SVC_PROTOCOL, _SVC_ADDR, _SVC_PORT, _SVC_FWMARK, _SVC_SCHED_NAME, _SVC_FLAGS, _SVC_TIMEOUT, _SVC_NETMASK,
    _SVC_STATS, _SVC_PE_NAME, _SVC_STATS64,
) = range(1, 13)  # fmt: skip
# IPVS_DEST_ATTR_*
(
    _DEST_ADDR, _DEST_PORT, _DEST_FWD_METHOD, _DEST_WEIGHT, _DEST_U_THRESH, _DEST_L_THRESH, _DEST_ACTIVE,
    _DEST_INACTIVE, _DEST_PERSISTENT, _DEST_STATS, _DEST_FAMILY, _DEST_STATS64, _DEST_TUN_TYPE, _DEST_TUN_PORT,
    _DEST_TUN_FLAGS,
) = range(1, 16)  # fmt: skip
# IPVS_DAEMON_ATTR_*
(
    _DAEMON_STATE, _DAEMON_MCAST_IFN, _DAEMON_SYNC_ID, _DAEMON_SYNC_MAXLEN, _DAEMON_MCAST_GROUP, _DAEMON_MCAST_GROUP6,
    _DAEMON_MCAST_PORT, _DAEMON_MCAST_TTL,
) = range(1, 9)  # fmt: skip
_INFO_VERSION, _INFO_CONN_TAB_SIZE = 1, 2
_CTRL_GETFAMILY, _CTRL_FAMILY_ID, _CTRL_FAMILY_NAME = 3, 1, 2

_METHOD_MASK = 0x7  # IP_VS_CONN_F_FWD_MASK
_STATE_MASTER, _STATE_BACKUP = 1, 2

_NLMSGHDR = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_GENLMSGHDR = struct.Struct("=BBH")  # command, version, reserved
_NLATTR = struct.Struct("=HH")
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_U16, _U32, _I32, _U64, _BE16, _BE32 = (struct.Struct(form) for form in ("=H", "=I", "=i", "=Q", "!H", "!I"))
_DESTINATION_KEY = struct.Struct("=HH16s HH2s2x HHH2x")  # three attributes at once: there are thousands of these
_FLAGS = struct.Struct("=II")  # flags, mask
HEADER = _NLMSGHDR.size


class MalformedMessage(ValueError):
    """Bytes that are no message of IPVS. The text says which part."""


class Reply(NamedTuple):
    """A netlink message: `type` is NLMSG_ERROR, NLMSG_DONE, or the family's number."""

    type: int
    sequence: int
    body: bytes


class Info(NamedTuple):
    """What IPVS says of itself."""

    version: tuple[int, int, int]
    connection_table_size: int


class SeenService(NamedTuple):
    service: Service
    counters: Counters


class SeenDestination(NamedTuple):
    destination: Destination
    connections: ConnectionCounts
    counters: Counters


# -- messages ----------------------------------------------------------------------------------------------------------


def message(family: int, request: bytes, sequence: int, flags: int = 0) -> bytes:
    """A netlink message; `family` is the number the kernel gave IPVS. Its length is a multiple of four."""
    return _NLMSGHDR.pack(HEADER + len(request), family, NLM_F_REQUEST | flags, sequence, 0) + request


def replies(data: bytes) -> Iterator[Reply]:
    """The messages of one datagram. Raises MalformedMessage for a truncated one."""
    offset = 0
    while offset < len(data):
        if len(data) - offset < HEADER:
            raise MalformedMessage("a netlink header is cut off")
        length, kind, _flags, sequence, _port = _NLMSGHDR.unpack_from(data, offset)
        if length < HEADER or offset + length > len(data):
            raise MalformedMessage("a netlink message is longer than its datagram")
        yield Reply(kind, sequence, data[offset + HEADER : offset + length])
        offset += length + 3 & ~3


def error_of(body: bytes) -> int:
    """The errno of an NLMSG_ERROR; 0 is an acknowledgement."""
    if len(body) < _I32.size:
        raise MalformedMessage("an error message is cut off")
    return -int(_I32.unpack_from(body)[0])


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return _NLATTR.pack(length, kind) + value + b"\0" * (-length & 3)


def _nested(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(parts))


def _u32(kind: int, value: int) -> bytes:
    return _attribute(kind, _U32.pack(value))


def _u16(kind: int, value: int) -> bytes:
    return _attribute(kind, _U16.pack(value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _request(command: int, *parts: bytes) -> bytes:
    return _GENLMSGHDR.pack(command, 1, 0) + b"".join(parts)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        if len(data) - offset < 4:
            raise MalformedMessage("an attribute's header is cut off")
        length, kind = _NLATTR.unpack_from(data, offset)
        if length < 4 or offset + length > len(data):
            raise MalformedMessage(f"attribute {kind & _TYPE_MASK} is cut off")
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


def _number(found: dict[int, bytes], kind: int, form: struct.Struct, default: int = 0) -> int:
    value = found.get(kind)
    if value is None:
        return default
    if len(value) != form.size:
        raise MalformedMessage(f"attribute {kind} has {len(value)} bytes, not {form.size}")
    return int(form.unpack(value)[0])


def _string(found: dict[int, bytes], kind: int) -> str:
    return found.get(kind, b"").split(b"\0", 1)[0].decode("utf-8", "replace")


def command_of(request: bytes) -> int:
    """The command of a request, or of a reply's body."""
    if len(request) < _GENLMSGHDR.size:
        raise MalformedMessage("the header of generic netlink is cut off")
    return int(_GENLMSGHDR.unpack_from(request)[0])


def _body(data: bytes) -> dict[int, bytes]:
    command_of(data)
    return _attributes(data[_GENLMSGHDR.size :])


def _part(data: bytes, kind: int, name: str) -> dict[int, bytes]:
    found = _body(data)
    if kind not in found:
        raise MalformedMessage(f"no {name} in the message")
    return _attributes(found[kind])


# -- the family --------------------------------------------------------------------------------------------------------


def encode_get_family(name: str = FAMILY_NAME) -> bytes:
    """The request to the controller (CONTROLLER) for a family's number."""
    return _request(_CTRL_GETFAMILY, _text(_CTRL_FAMILY_NAME, name))


def decode_family(body: bytes) -> int:
    number = _number(_body(body), _CTRL_FAMILY_ID, _U16)
    if not number:
        raise MalformedMessage("no number of a family in the message")
    return number


# -- services ----------------------------------------------------------------------------------------------------------


def encode_owner(key: ServiceKey) -> bytes:
    """Whose a destination is, as one attribute that all destinations of a service share."""
    return _nested(_SERVICE, encode_key(key))


def encode_key(key: ServiceKey) -> bytes:
    """The attributes that name a service."""
    family = _u16(_SVC_AF, key.family)
    if not key.address:
        return family + _u32(_SVC_FWMARK, key.fwmark)
    return (
        family
        + _u16(_SVC_PROTOCOL, key.protocol)
        + _attribute(_SVC_ADDR, key.address.ljust(16, b"\0"))
        + _attribute(_SVC_PORT, _BE16.pack(key.port))
    )


def _whole_service(service: Service) -> bytes:
    mask = (_BE32 if service.key.family == AF_INET else _U32).pack(service.netmask)
    parts = [
        encode_key(service.key),
        _text(_SVC_SCHED_NAME, service.scheduler),
        _attribute(_SVC_FLAGS, _FLAGS.pack(service.flags, 0xFFFF_FFFF)),
        _u32(_SVC_TIMEOUT, service.timeout),
        _attribute(_SVC_NETMASK, mask),
    ]
    if service.engine:
        parts.append(_text(_SVC_PE_NAME, service.engine))
    return _nested(_SERVICE, *parts)


def encode_new_service(service: Service) -> bytes:
    return _request(NEW_SERVICE, _whole_service(service))


def encode_set_service(service: Service) -> bytes:
    return _request(SET_SERVICE, _whole_service(service))


def encode_delete_service(key: ServiceKey) -> bytes:
    """With its destinations."""
    return _request(DEL_SERVICE, _nested(_SERVICE, encode_key(key)))


def encode_get_services() -> bytes:
    """To be sent with NLM_F_DUMP: every service."""
    return _request(GET_SERVICE)


def encode_get_service(key: ServiceKey) -> bytes:
    return _request(GET_SERVICE, _nested(_SERVICE, encode_key(key)))


def decode_service(body: bytes) -> SeenService:
    """The service in a request or a reply."""
    found = _part(body, _SERVICE, "service")
    key = _decode_key(found)
    flags = found.get(_SVC_FLAGS, bytes(_FLAGS.size))
    if len(flags) != _FLAGS.size:
        raise MalformedMessage("the flags of a service are cut off")
    mask = _number(found, _SVC_NETMASK, _BE32 if key.family == AF_INET else _U32, NO_MASK[key.family])
    service = Service(
        key=key,
        scheduler=_string(found, _SVC_SCHED_NAME),
        flags=_FLAGS.unpack(flags)[0],
        timeout=_number(found, _SVC_TIMEOUT, _U32),
        netmask=mask,
        engine=_string(found, _SVC_PE_NAME),
    )
    return SeenService(service, _decode_counters(found, _SVC_STATS, _SVC_STATS64))


def _decode_key(found: dict[int, bytes]) -> ServiceKey:
    family = _number(found, _SVC_AF, _U16)
    if family not in NO_MASK:
        raise MalformedMessage(f"a service of address family {family}")
    if _SVC_FWMARK in found:
        return ServiceKey(family, fwmark=_number(found, _SVC_FWMARK, _U32))
    return ServiceKey(
        family,
        _number(found, _SVC_PROTOCOL, _U16),
        _address(found, _SVC_ADDR, family),
        _number(found, _SVC_PORT, _BE16),
    )


def _address(found: dict[int, bytes], kind: int, family: int) -> bytes:
    length = 4 if family == AF_INET else 16
    value = found.get(kind, b"")
    if len(value) < length:
        raise MalformedMessage(f"an address of {len(value)} bytes")
    return value[:length]


# -- destinations ------------------------------------------------------------------------------------------------------


def _encode_destination_key(key: DestinationKey) -> bytes:
    family = AF_INET if len(key.address) == 4 else AF_INET6
    address, port = (20, _DEST_ADDR, key.address), (6, _DEST_PORT, _BE16.pack(key.port))
    return _DESTINATION_KEY.pack(*address, *port, 6, _DEST_FAMILY, family)


def encode_destination(destination: Destination) -> bytes:
    """All that is said of a destination; services that share one share it."""
    key, weight, forwarding, upper, lower = destination
    return _nested(_DEST, _encode_destination_key(key), _encode_handling(weight, forwarding, upper, lower))


@lru_cache(maxsize=1024)
def _encode_handling(weight: int, forwarding: Forwarding, upper_threshold: int, lower_threshold: int) -> bytes:
    """What thousands of destinations have alike."""
    parts = [
        _u32(_DEST_FWD_METHOD, forwarding.method),
        _attribute(_DEST_WEIGHT, _I32.pack(weight)),
        _u32(_DEST_U_THRESH, upper_threshold),
        _u32(_DEST_L_THRESH, lower_threshold),
    ]
    if forwarding.tunnel_type:
        parts.append(_attribute(_DEST_TUN_TYPE, bytes((forwarding.tunnel_type,))))
        parts.append(_attribute(_DEST_TUN_PORT, _BE16.pack(forwarding.tunnel_port)))
        parts.append(_u16(_DEST_TUN_FLAGS, forwarding.tunnel_flags))
    return b"".join(parts)


def encode_new_destination(owner: bytes, destination: bytes) -> bytes:
    """From what `encode_owner` and `encode_destination` made."""
    return _request(NEW_DEST, owner, destination)


def encode_set_destination(owner: bytes, destination: bytes) -> bytes:
    return _request(SET_DEST, owner, destination)


def encode_delete_destination(owner: bytes, key: DestinationKey) -> bytes:
    return _request(DEL_DEST, owner, _nested(_DEST, _encode_destination_key(key)))


def encode_get_destinations(key: ServiceKey) -> bytes:
    """To be sent with NLM_F_DUMP: the destinations of one service."""
    return _request(GET_DEST, _nested(_SERVICE, encode_key(key)))


def decode_destination(body: bytes, service_family: int = 0) -> SeenDestination:
    """The destination in a request or a reply. Kernels before 3.18 do not say its family: it is its service's."""
    found = _part(body, _DEST, "destination")
    family = _number(found, _DEST_FAMILY, _U16, service_family)
    if family not in NO_MASK:
        raise MalformedMessage(f"a destination of address family {family}")
    method = _number(found, _DEST_FWD_METHOD, _U32) & _METHOD_MASK
    if method > BYPASS:
        raise MalformedMessage(f"forwarding method {method}")
    destination = Destination(
        key=DestinationKey(_address(found, _DEST_ADDR, family), _number(found, _DEST_PORT, _BE16)),
        weight=_number(found, _DEST_WEIGHT, _I32),
        forwarding=Forwarding(
            method,
            found.get(_DEST_TUN_TYPE, b"\0")[0] if found.get(_DEST_TUN_TYPE, b"\0") else 0,
            _number(found, _DEST_TUN_PORT, _BE16),
            _number(found, _DEST_TUN_FLAGS, _U16),
        ),
        upper_threshold=_number(found, _DEST_U_THRESH, _U32),
        lower_threshold=_number(found, _DEST_L_THRESH, _U32),
    )
    connections = ConnectionCounts(
        _number(found, _DEST_ACTIVE, _U32), _number(found, _DEST_INACTIVE, _U32), _number(found, _DEST_PERSISTENT, _U32)
    )
    return SeenDestination(destination, connections, _decode_counters(found, _DEST_STATS, _DEST_STATS64))


def _decode_counters(found: dict[int, bytes], small: int, large: int) -> Counters:
    """Of IPVS_*_ATTR_STATS64 (Linux 4.1), else of the older one with rates and counts of 32 bits."""
    if large in found:
        values = _attributes(found[large])
        return Counters(*(_number(values, kind, _U64) for kind in range(1, 11)))
    if small not in found:
        return Counters()
    values = _attributes(found[small])
    return Counters(*(_number(values, kind, _U64 if kind in (4, 5) else _U32) for kind in range(1, 11)))


# -- everything else ---------------------------------------------------------------------------------------------------


def encode_new_daemon(daemon: SyncDaemon) -> bytes:
    parts = [
        _u32(_DAEMON_STATE, _STATE_MASTER if daemon.master else _STATE_BACKUP),
        _text(_DAEMON_MCAST_IFN, daemon.interface),
        _u32(_DAEMON_SYNC_ID, daemon.sync_id),
    ]
    if daemon.max_length:
        parts.append(_u16(_DAEMON_SYNC_MAXLEN, daemon.max_length))
    if daemon.group:
        four = len(daemon.group) == 4
        parts.append(_attribute(_DAEMON_MCAST_GROUP if four else _DAEMON_MCAST_GROUP6, daemon.group))
    if daemon.port:
        parts.append(_u16(_DAEMON_MCAST_PORT, daemon.port))
    if daemon.ttl:
        parts.append(_attribute(_DAEMON_MCAST_TTL, bytes((daemon.ttl,))))
    return _request(NEW_DAEMON, _nested(_DAEMON, *parts))


def encode_delete_daemon(daemon: SyncDaemon) -> bytes:
    parts = (
        _u32(_DAEMON_STATE, _STATE_MASTER if daemon.master else _STATE_BACKUP),
        _text(_DAEMON_MCAST_IFN, daemon.interface),
        _u32(_DAEMON_SYNC_ID, daemon.sync_id),
    )
    return _request(DEL_DAEMON, _nested(_DAEMON, *parts))


def encode_get_daemons() -> bytes:
    """To be sent with NLM_F_DUMP."""
    return _request(GET_DAEMON)


def decode_daemon(body: bytes) -> SyncDaemon:
    found = _part(body, _DAEMON, "sync daemon")
    state = _number(found, _DAEMON_STATE, _U32)
    if state not in (_STATE_MASTER, _STATE_BACKUP):
        raise MalformedMessage(f"a sync daemon of state {state}")
    ttl = found.get(_DAEMON_MCAST_TTL, b"\0")
    return SyncDaemon(
        master=state == _STATE_MASTER,
        interface=_string(found, _DAEMON_MCAST_IFN),
        sync_id=_number(found, _DAEMON_SYNC_ID, _U32),
        max_length=_number(found, _DAEMON_SYNC_MAXLEN, _U16),
        group=found.get(_DAEMON_MCAST_GROUP) or found.get(_DAEMON_MCAST_GROUP6, b""),
        port=_number(found, _DAEMON_MCAST_PORT, _U16),
        ttl=ttl[0] if ttl else 0,
    )


def encode_set_timeouts(timeouts: Timeouts) -> bytes:
    """Those that are 0 stay as they are: the kernel takes 0 for nothing said."""
    return _request(
        SET_CONFIG,
        _u32(_TIMEOUT_TCP, timeouts.tcp),
        _u32(_TIMEOUT_TCP_FIN, timeouts.tcp_fin),
        _u32(_TIMEOUT_UDP, timeouts.udp),
    )


def encode_get_timeouts() -> bytes:
    return _request(GET_CONFIG)


def decode_timeouts(body: bytes) -> Timeouts:
    found = _body(body)
    return Timeouts(
        _number(found, _TIMEOUT_TCP, _U32), _number(found, _TIMEOUT_TCP_FIN, _U32), _number(found, _TIMEOUT_UDP, _U32)
    )


def encode_get_info() -> bytes:
    return _request(GET_INFO)


def decode_info(body: bytes) -> Info:
    found = _body(body)
    version = _number(found, _INFO_VERSION, _U32)
    size = _number(found, _INFO_CONN_TAB_SIZE, _U32)
    return Info((version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF), size)


def encode_zero(key: ServiceKey | None = None) -> bytes:
    """Zero the counters of one service, or of all."""
    return _request(ZERO) if key is None else _request(ZERO, _nested(_SERVICE, encode_key(key)))


def encode_flush() -> bytes:
    """Delete every service, whoever made it."""
    return _request(FLUSH)

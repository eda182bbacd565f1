"""Macvlans and ipvlans: a pure plan of what to make, change and delete, and rtnetlink to carry it out.

What this agent has made says so in its alias (IFLA_IFALIAS), so that it is known again after a crash; an interface
somebody else has made is used where it fits, and stays.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Collection, Sequence

import msgspec

from kactl_agent.kernel import ipvlan, macvlan
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.ports import Link, Links, VirtualLinkFailure
from kactl_agent.kernel.requests import RequestSocket
from kactl_agent.vrrp.network_settings import NetlinkBuffer
from kactl_agent.vrrp.virtual_interface import InterfaceKind, VirtualInterface

_IFLA_AF_SPEC = 26
_IFLA_INET6_ADDR_GEN_MODE = 8
_ADDR_GEN_MODE_NONE = 1
_IFF_UP = 0x1
NOTES = "; "  # stands between an alias and what is to be remembered
_IFINFOMSG = struct.Struct("=BxHiII")
_U32 = struct.Struct("=I")
# what the kernel takes as such an interface itself: a new one made on it stands on the same device beneath
_ALIKE = {InterfaceKind.MACVLAN: ("macvlan", "macvtap"), InterfaceKind.IPVLAN: ("ipvlan", "ipvtap")}
_ENCODE_DATA = {InterfaceKind.MACVLAN: macvlan.encode_data, InterfaceKind.IPVLAN: ipvlan.encode_data}


class CreateLink(msgspec.Struct, frozen=True):
    """Make an interface; it stays down."""

    interface: VirtualInterface
    parent: int  # interface index
    group: int
    master: int  # interface index of the VRF, 0 for none
    alias: str


class ChangeLink(msgspec.Struct, frozen=True):
    """Change an interface; None leaves a property as it is."""

    name: str
    hardware_address: bytes | None = None
    master: int | None = None
    up: bool | None = None
    alias: str | None = None


class DeleteLink(msgspec.Struct, frozen=True):
    """Delete an interface."""

    name: str


LinkOperation = CreateLink | ChangeLink | DeleteLink


class VirtualLinkPlan(msgspec.Struct, frozen=True):
    """What has to happen to the machine, in this order, and what cannot be."""

    operations: tuple[LinkOperation, ...] = ()
    obstacles: dict[str, str] = {}  # interface -> why it cannot be had


def plan(desired: Collection[VirtualInterface], links: Links, alias: str) -> VirtualLinkPlan:
    """What makes the machine hold exactly `desired` among the interfaces that bear `alias`.

    Interfaces come into being with their parent (the kernel takes them away with it), so one without a parent waits.
    """
    names = {interface.name for interface in desired}
    operations: list[LinkOperation] = [
        DeleteLink(link.name) for link in links.all() if is_ours(link, alias) and link.name not in names
    ]
    obstacles: dict[str, str] = {}
    for interface in desired:
        parent, link = links.link(interface.parent), links.link(interface.name)
        if parent is None:
            obstacles[interface.name] = f"interface {interface.parent} does not exist"
            continue
        vrf = _vrf_of(parent, links)
        if link is not None and not _is_compatible(link, interface, parent):
            if not is_ours(link, alias):
                obstacles[interface.name] = f"{interface.name} exists already and is {_other(link, interface)}"
                continue
            operations.append(DeleteLink(link.name))
            link = None
        if link is None:
            group = parent.group if interface.group is None else interface.group
            operations.append(CreateLink(interface, parent.index, group, vrf, alias))
            continue
        wrong_address = interface.kind is InterfaceKind.MACVLAN and link.hardware_address != interface.hardware_address
        if wrong_address or link.master != vrf:
            address = interface.hardware_address if wrong_address else None
            operations.append(ChangeLink(link.name, address, vrf if link.master != vrf else None))
    return VirtualLinkPlan(tuple(operations), obstacles)


def is_ours(link: Link, alias: str) -> bool:
    """Whether this agent has made it; what it has to remember may stand behind the alias."""
    return bool(alias) and (link.alias == alias or link.alias.startswith(alias + NOTES))


def fits(interface: VirtualInterface, links: Links, alias: str) -> bool:
    """Whether the interface can be made under its name, or is there already, in whatever state that is ours."""
    link = links.link(interface.name)
    if link is None or is_ours(link, alias):
        return True
    parent = links.link(interface.parent)
    return parent is None or _is_compatible(link, interface, parent)


def _vrf_of(parent: Link, links: Links) -> int:
    master = links.by_index(parent.master) if parent.master else None
    return master.index if master is not None and master.kind == "vrf" else 0


def stands_on(kind: InterfaceKind, parent: Link) -> int:
    """What `Link.parent` is of an interface made on this one."""
    return parent.parent if parent.kind in _ALIKE[kind] else parent.index


def _is_compatible(link: Link, interface: VirtualInterface, parent: Link) -> bool:
    if link.kind != interface.kind.value or link.parent != stands_on(interface.kind, parent):
        return False
    return interface.kind is InterfaceKind.IPVLAN or macvlan.is_compatible(link)


def _other(link: Link, interface: VirtualInterface) -> str:
    if link.kind != interface.kind.value:
        return f"no {interface.kind.value}"
    return f"another {interface.kind.value} than one of {interface.parent} can be: give it another name, or delete it"


class NetlinkVirtualLinks:
    """`kactl_agent.kernel.ports.VirtualLinks` on Linux."""

    def __init__(self) -> None:
        self._requests = RequestSocket()

    def resize_buffer(self, command: NetlinkBuffer) -> None:
        self._requests.resize_buffer(command)

    def close(self) -> None:
        self._requests.close()

    def apply(self, operations: Sequence[LinkOperation]) -> Sequence[VirtualLinkFailure]:
        failures = []
        requests = [(operation, nl.align_message(m)) for operation in operations for m in encode(operation)]
        for refusal in self._requests.send(requests):
            if isinstance(refusal.item, DeleteLink) and refusal.error == errno.ENODEV:
                continue
            failures.append(
                VirtualLinkFailure(_name(refusal.item), _reason(refusal.item, refusal.error, refusal.reason))
            )
        # what could not be made cannot be changed either: the first reason is the reason
        first: dict[str, VirtualLinkFailure] = {}
        for failure in failures:
            first.setdefault(failure.name, failure)
        return list(first.values())


def _name(operation: LinkOperation) -> str:
    return operation.interface.name if isinstance(operation, CreateLink) else operation.name


def _reason(operation: LinkOperation, error: int, reason: str) -> str:
    if isinstance(operation, CreateLink):
        kind = operation.interface.kind.value
        if error == errno.EOPNOTSUPP:
            return f"this kernel has no {kind} interfaces (module {kind}): {reason}"
        return f"the {kind} cannot be made: {reason}"
    return reason


def encode(operation: LinkOperation) -> list[bytes]:
    """The rtnetlink messages of an operation, of sequence number 0."""
    match operation:
        case CreateLink():
            return [_encode_create(operation), _encode_properties(operation)]
        case ChangeLink():
            return [_encode_change(operation)]
        case DeleteLink(name):
            return [nl.encode_message(nl.RTM_DELLINK, nl.NLM_F_REQUEST, 0, _header(0, 0) + _name_attribute(name))]


def _header(flags: int, change: int) -> bytes:
    return _IFINFOMSG.pack(nl.AF_UNSPEC, 0, 0, flags, change)


def _name_attribute(name: str) -> bytes:
    return nl.encode_attribute(nl.IFLA_IFNAME, name.encode() + b"\0")


def _encode_create(operation: CreateLink) -> bytes:
    interface = operation.interface
    info = nl.encode_attribute(nl.IFLA_INFO_KIND, interface.kind.value.encode())
    info += nl.encode_attribute(nl.IFLA_INFO_DATA, _ENCODE_DATA[interface.kind](interface))
    parts = [
        _header(0, 0),
        _name_attribute(interface.name),
        nl.encode_attribute(nl.IFLA_LINK, _U32.pack(operation.parent)),
        nl.encode_attribute(nl.IFLA_GROUP, _U32.pack(operation.group)),
        nl.encode_attribute(nl.IFLA_LINKINFO, info),
    ]
    if interface.kind is InterfaceKind.MACVLAN:
        parts.append(nl.encode_attribute(nl.IFLA_ADDRESS, interface.hardware_address))
    if operation.master:
        parts.append(nl.encode_attribute(nl.IFLA_MASTER, _U32.pack(operation.master)))
    flags = nl.NLM_F_REQUEST | nl.NLM_F_CREATE | nl.NLM_F_EXCL
    return nl.encode_message(nl.RTM_NEWLINK, flags, 0, b"".join(parts))


def _encode_properties(operation: CreateLink) -> bytes:
    """What the kernel takes for an existing interface alone: the alias, and that a macvlan makes up no address."""
    body = _header(0, 0) + _name_attribute(operation.interface.name)
    body += nl.encode_attribute(nl.IFLA_IFALIAS, operation.alias.encode())
    if operation.interface.kind is InterfaceKind.MACVLAN:
        mode = nl.encode_attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes((_ADDR_GEN_MODE_NONE,)))
        body += nl.encode_attribute(_IFLA_AF_SPEC, nl.encode_attribute(nl.AF_INET6, mode))
    return nl.encode_message(nl.RTM_NEWLINK, nl.NLM_F_REQUEST, 0, body)


def _encode_change(operation: ChangeLink) -> bytes:
    up = operation.up
    body = _header(_IFF_UP if up else 0, 0 if up is None else _IFF_UP) + _name_attribute(operation.name)
    if operation.hardware_address is not None:
        body += nl.encode_attribute(nl.IFLA_ADDRESS, operation.hardware_address)
    if operation.alias is not None:
        body += nl.encode_attribute(nl.IFLA_IFALIAS, operation.alias.encode())
    if operation.master is not None:
        body += nl.encode_attribute(nl.IFLA_MASTER, _U32.pack(operation.master))
    return nl.encode_message(nl.RTM_NEWLINK, nl.NLM_F_REQUEST, 0, body)

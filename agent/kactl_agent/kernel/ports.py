"""What the runtime needs of the machine, as protocols; one module beside this one carries each of them out on Linux.

`kactl_agent.kernel.fake.FakeKernel` keeps the same promises in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from kactl_agent.vrrp.actions import PacketMeta
from kactl_agent.vrrp.firewall import FirewallEntry, FirewallSettings
from kactl_agent.vrrp.network_settings import NetlinkBuffer
from kactl_agent.vrrp.routing import VirtualRoute, VirtualRule
from kactl_agent.vrrp.settings import Family, VirtualAddress

if TYPE_CHECKING:
    from kactl_agent.kernel.routes import RouteOperation
    from kactl_agent.kernel.rules import RuleOperation
    from kactl_agent.kernel.virtual_links import LinkOperation


class Link(msgspec.Struct, frozen=True):
    """A network interface as the kernel last described it."""

    index: int
    name: str
    flags: int  # IFF_* bits
    mtu: int
    hardware_address: bytes
    hardware_type: int  # ARPHRD_*: 1 is Ethernet
    vrf_table: int = 0  # routing table of a VRF interface
    kind: str = ""  # macvlan, vrf, ...; "" for hardware
    parent: int = 0  # index of the interface it stands on, 0 when that is in another network namespace
    master: int = 0  # index of the bridge, bond or VRF it belongs to
    group: int = 0
    alias: str = ""  # IFLA_IFALIAS
    private: bool = False  # a macvlan of mode private

    @property
    def enabled(self) -> bool:
        """IFF_UP, whether there is a carrier or not."""
        return self.flags & 0x1 == 0x1

    @property
    def up(self) -> bool:
        """IFF_UP and IFF_RUNNING: enabled, and with a carrier."""
        return self.flags & 0x41 == 0x41


class InterfaceAddress(msgspec.Struct, frozen=True):
    """An address on an interface as the kernel last described it."""

    index: int
    address: bytes  # the local one of a point-to-point pair
    prefix_length: int
    flags: int = 0  # IFA_F_* bits
    scope: int = 0
    protocol: int = 0  # IFA_PROTO: who put it there, 0 where nobody said or the kernel is older than 5.18

    @property
    def family(self) -> Family:
        return Family.IPV4 if len(self.address) == 4 else Family.IPV6


class AddressFailure(msgspec.Struct, frozen=True):
    """The kernel refused one operation."""

    address: VirtualAddress
    reason: str


class RoutingFailure(msgspec.Struct, frozen=True):
    """The kernel refused one route or rule."""

    item: VirtualRoute | VirtualRule
    reason: str

    @property
    def text(self) -> str:
        """For an operator: the item as the configuration says it."""
        return f"{'route' if isinstance(self.item, VirtualRoute) else 'rule'} `{self.item.text}`: {self.reason}"


class Links(Protocol):
    """Interfaces and addresses of the machine, kept current by the kernel's own notifications."""

    def fileno(self) -> int:
        """Readable when `drain` has something to take in."""

    def drain(self) -> bool:
        """Take in, without blocking, all the kernel has reported so far. Returns whether anything came."""

    def link(self, name: str) -> Link | None: ...

    def by_index(self, index: int) -> Link | None: ...

    def all(self) -> Sequence[Link]:
        """Every interface there is."""

    def addresses(self, name: str) -> Sequence[InterfaceAddress]:
        """Addresses of an interface, the kernel's order kept (the primary one of a subnet stands first)."""

    def has(self, address: VirtualAddress) -> bool:
        """Whether the address, with its prefix length, is on its interface."""

    def has_host(self, address: bytes) -> bool:
        """Whether the address is on any interface of the machine, with whatever prefix length."""

    def forwarding(self, name: str) -> bool:
        """Whether the interface routes IPv6 (net.ipv6.conf.IF.forwarding): the router flag of an advertisement."""

    def close(self) -> None: ...


class Addresses(Protocol):
    """Puts addresses on interfaces and takes them off, all of a call in one go."""

    def apply(
        self, remove: Collection[VirtualAddress], add: Collection[VirtualAddress], links: Links
    ) -> Sequence[AddressFailure]:
        """Remove, then add. What is already as wanted is no failure."""

    def prepare(self, addresses: Collection[VirtualAddress], links: Links) -> None:
        """Make ready what `apply` will need for these addresses, so that a transition does not wait for it."""

    def close(self) -> None: ...


class Routing(Protocol):
    """Routes and policy rules: what is there of ours, and changes, all of a call in one go."""

    def fileno(self) -> int:
        """Readable when `drain` has something to take in."""

    def drain(self) -> bool:
        """Take in, without blocking, what the kernel has reported. Returns whether any of ours came or may be gone."""

    def has_route(self, route: VirtualRoute, links: Links) -> bool:
        """Whether the very route is there."""

    def has_rule(self, rule: VirtualRule) -> bool:
        """Whether the very rule is there."""

    def apply(self, operations: Sequence[RouteOperation | RuleOperation], links: Links) -> Sequence[RoutingFailure]:
        """Carry the operations out in their order. What is already as wanted is no failure."""

    def prepare(self, items: Collection[VirtualRoute | VirtualRule], links: Links) -> None:
        """Make ready what `apply` will need for these, and watch over them from now on."""

    def close(self) -> None: ...


class VirtualLinkFailure(msgspec.Struct, frozen=True):
    """The kernel refused to make, change or delete one interface."""

    name: str
    reason: str


class VirtualLinks(Protocol):
    """Makes, changes and deletes macvlans and ipvlans, all of a call in one go."""

    def apply(self, operations: Sequence[LinkOperation]) -> Sequence[VirtualLinkFailure]:
        """Carry the operations out in their order. To delete what is gone is no failure."""

    def close(self) -> None: ...


class Sysctls(Protocol):
    """Kernel parameters that are numbers, named by their path below /proc/sys: net/ipv4/conf/eth0/arp_ignore."""

    def read(self, key: str) -> int | None:
        """None where there is none of this name."""

    def write(self, key: str, value: int) -> None:
        """Raises OSError."""


class FirewallPort(Protocol):
    """The agent's table of rules. Every call is one transaction, and raises OSError with nothing changed."""

    def install(self, settings: FirewallSettings, entries: Collection[FirewallEntry]) -> str:
        """Make the table anew, with these entries. Returns what of it the machine cannot do, "" for all is well."""

    def apply(self, remove: Collection[FirewallEntry], add: Collection[FirewallEntry]) -> None:
        """Take entries out and put others in."""

    def uninstall(self) -> None:
        """Delete what `install` made."""

    def discard(self, settings: FirewallSettings) -> None:
        """Delete what somebody else, before, may have made with these settings."""

    def close(self) -> None: ...


class VrrpSocket(Protocol):
    """Sends and receives VRRP messages of one family on one interface."""

    def fileno(self) -> int: ...

    def send(self, payload: bytes, source: bytes, destination: bytes, ttl: int, identification: int = 0) -> None:
        """Send one VRRP message behind an IP header of this source and TTL. Raises OSError.

        The identification is the kernel's choice when it is 0.
        """

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        """The next VRRP message, without its IP header; None when none is waiting. Raises OSError."""

    def close(self) -> None: ...


class VrrpSockets(Protocol):
    def open(
        self, link: Link | None, family: Family, groups: Collection[bytes], protocol: int, receive_buffer: int = 0
    ) -> VrrpSocket:
        """A socket bound to the interface, or to none, and a member of the multicast groups. Raises OSError.

        `receive_buffer` is in bytes, 0 is the default.
        `protocol` is VRRP's, 112, or 51 for VRRP behind an authentication header (IPv4 only).
        """


class FrameSocket(Protocol):
    """Sends whole link-layer frames: gratuitous ARP, unsolicited neighbour advertisements."""

    def send(self, interface: str, frames: Sequence[bytes]) -> int:
        """Send the frames in one burst. Returns how many could not be sent because the device's queue was full.
        Raises OSError when the interface is gone or down."""

    def close(self) -> None: ...


class Kernel(Protocol):
    """All ports of the VRRP worker."""

    @property
    def links(self) -> Links: ...

    @property
    def addresses(self) -> Addresses: ...

    @property
    def routing(self) -> Routing: ...

    @property
    def virtual_links(self) -> VirtualLinks: ...

    @property
    def sysctls(self) -> Sysctls: ...

    @property
    def firewall(self) -> FirewallPort: ...

    @property
    def vrrp_sockets(self) -> VrrpSockets: ...

    @property
    def frames(self) -> FrameSocket: ...

    def resize_buffers(self, command: NetlinkBuffer, monitor: NetlinkBuffer) -> None:
        """How much the netlink sockets take in before they are read. Raises OSError."""

    def close(self) -> None: ...

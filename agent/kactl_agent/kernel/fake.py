"""A machine in memory with the same promises as the real one: for tests and for the simulator.

A `FakeLan` joins the interfaces of several `FakeKernel`s: what one sends, the others' sockets receive.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from kactl_agent.kernel.fake_parts import FakeFirewall, FakeSysctls, FakeVirtualLinks
from kactl_agent.kernel.ports import (
    AddressFailure,
    InterfaceAddress,
    Link,
    Links,
    RoutingFailure,
)
from kactl_agent.kernel.routes import RouteOperation
from kactl_agent.kernel.rules import RuleOperation
from kactl_agent.vrrp.actions import PacketMeta
from kactl_agent.vrrp.auth_header import PROTOCOL_AH, ipv4_header
from kactl_agent.vrrp.network_settings import NetlinkBuffer
from kactl_agent.vrrp.routing import VirtualRoute, VirtualRule, same_route, same_rule
from kactl_agent.vrrp.settings import Family, VirtualAddress

_UP = 0x1 | 0x40  # IFF_UP, IFF_RUNNING


class FakeLan:
    """A broadcast segment. `connected` may be emptied and refilled to make partitions."""

    def __init__(self) -> None:
        self.connected: set[FakeVrrpSocket] = set()

    def deliver(self, sender: FakeVrrpSocket, payload: bytes, meta: PacketMeta) -> None:
        for sock in self.connected:
            if sock is sender or sock.kind != sender.kind or not sock.link_up():
                continue
            if meta.destination in sock.groups or sock.has_address(meta.destination):
                verified = sock.family is Family.IPV6
                received = msgspec.structs.replace(meta, interface=sock.interface, checksum_verified=verified)
                sock.push(payload, received)


class _Readiness:
    """Something to wait for in an event loop: readable from `set` to `clear`."""

    def __init__(self) -> None:
        self._descriptor = -1

    def fileno(self) -> int:
        if self._descriptor < 0:
            self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._descriptor

    def set(self) -> None:
        if self._descriptor >= 0:
            os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FakeVrrpSocket:
    """A socket of a `FakeKernel`; `sent` keeps (payload, source, destination, ttl) of all that went out."""

    def __init__(
        self,
        kernel: FakeKernel,
        interface: str,
        family: Family,
        groups: Collection[bytes],
        protocol: int = 112,
        receive_buffer: int = 0,
    ) -> None:
        self.kernel = kernel
        self.interface = interface  # "" is any
        self.receive_buffer = receive_buffer
        self.family = family
        self.protocol = protocol
        self.groups = frozenset(groups)
        self.queue: deque[tuple[bytes, PacketMeta]] = deque()
        self.sent: list[tuple[bytes, bytes, bytes, int]] = []
        self.closed = False
        self._readiness = _Readiness()

    def fileno(self) -> int:
        return self._readiness.fileno()

    def push(self, payload: bytes, meta: PacketMeta) -> None:
        """A message arrives."""
        self.queue.append((payload, meta))
        self._readiness.set()

    @property
    def kind(self) -> tuple[Family, int]:
        return self.family, self.protocol

    def link_up(self) -> bool:
        links = self.kernel.links
        found = [links.link(self.interface)] if self.interface else list(links.table.values())
        return any(link is not None and link.up for link in found)

    def has_address(self, address: bytes) -> bool:
        if not self.interface:
            return self.kernel.links.has_host(address)
        return any(entry.address == address for entry in self.kernel.links.addresses(self.interface))

    def send(self, payload: bytes, source: bytes, destination: bytes, ttl: int, identification: int = 0) -> None:
        self.kernel.fail_if_told("send")
        if not self.link_up():
            raise OSError(100, "Network is down")
        self.sent.append((payload, source, destination, ttl))
        self.kernel.log.append(("send", self.interface, payload))
        if self.kernel.lan is not None:
            header = b""
            if self.protocol == PROTOCOL_AH:
                header = ipv4_header(len(payload), identification, ttl, source, destination)
            meta = PacketMeta(source, destination, ttl, self.interface, protocol=self.protocol, header=header)
            self.kernel.lan.deliver(self, payload, meta)

    def receive(self) -> tuple[bytes, PacketMeta] | None:
        if self.queue:
            return self.queue.popleft()
        self._readiness.clear()
        return None

    def close(self) -> None:
        self.closed = True
        self._readiness.close()
        if self.kernel.lan is not None:
            self.kernel.lan.connected.discard(self)


class FakeLinks:
    """Interfaces and addresses; every change, by the test or by `FakeAddresses`, is a notification to drain."""

    def __init__(self) -> None:
        self.table: dict[str, Link] = {}
        self.on_link: dict[str, list[InterfaceAddress]] = {}
        self.routers: set[str] = set()
        self._last_index = 0
        self._changed = False
        self._readiness = _Readiness()

    def fileno(self) -> int:
        return self._readiness.fileno()

    def close(self) -> None:
        self._readiness.close()

    def drain(self) -> bool:
        changed, self._changed = self._changed, False
        self._readiness.clear()
        return changed

    def _notify(self) -> None:
        self._changed = True
        self._readiness.set()

    def link(self, name: str) -> Link | None:
        return self.table.get(name)

    def by_index(self, index: int) -> Link | None:
        return next((link for link in self.table.values() if link.index == index), None)

    def all(self) -> Sequence[Link]:
        return list(self.table.values())

    def addresses(self, name: str) -> Sequence[InterfaceAddress]:
        return tuple(self.on_link.get(name, ()))

    def has(self, address: VirtualAddress) -> bool:
        entries = self.on_link.get(address.interface, ())
        return any(e.address == address.address and e.prefix_length == address.prefix_length for e in entries)

    def has_host(self, address: bytes) -> bool:
        return any(entry.address == address for entries in self.on_link.values() for entry in entries)

    def forwarding(self, name: str) -> bool:
        return name in self.routers

    # -- what happens to the machine

    def add_link(self, name: str, hardware_address: bytes = b"\x02\0\0\0\0\x01", *, up: bool = True) -> Link:
        self._last_index += 1
        link = Link(self._last_index, name, _UP if up else 0, 1500, hardware_address, 1)
        self.table[name] = link
        self._notify()
        return link

    def change(self, name: str, **changes: Any) -> None:
        self.table[name] = msgspec.structs.replace(self.table[name], **changes)
        self._notify()

    def set_up(self, name: str, up: bool) -> None:
        self.change(name, flags=_UP if up else 0)

    def rename_link(self, name: str, new: str) -> None:
        self.table[new] = msgspec.structs.replace(self.table.pop(name), name=new)
        self.on_link[new] = self.on_link.pop(name, [])
        self._notify()

    def remove_link(self, name: str) -> None:
        index = self.table.pop(name).index
        self.on_link.pop(name, None)
        for other in [link.name for link in self.table.values() if link.parent == index]:
            self.remove_link(other)
        self._notify()

    def add_address(self, name: str, address: bytes, prefix_length: int, flags: int = 0) -> None:
        entry = InterfaceAddress(self.table[name].index, address, prefix_length, flags)
        self.on_link.setdefault(name, []).append(entry)
        self._notify()

    def remove_address(self, name: str, address: bytes) -> None:
        self.on_link[name] = [entry for entry in self.on_link[name] if entry.address != address]
        self._notify()


class FakeAddresses:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.slow = False  # what is added is told of, and there for all to see, when `arrive` is called
        self.coming: list[VirtualAddress] = []

    def arrive(self) -> None:
        for address in self.coming:
            self._kernel.links.add_address(address.interface, address.address, address.prefix_length, address.flags)
        self.coming.clear()

    def close(self) -> None: ...

    def apply(
        self, remove: Collection[VirtualAddress], add: Collection[VirtualAddress], links: Links
    ) -> Sequence[AddressFailure]:
        failures = []
        table = self._kernel.links
        for address in remove:
            if table.has(address):
                table.remove_address(address.interface, address.address)
            self._kernel.log.append(("remove", address.interface, address.address))
        for address in add:
            try:
                self._kernel.fail_if_told("add")
            except OSError as error:
                failures.append(AddressFailure(address, str(error)))
                continue
            if links.link(address.interface) is None:
                failures.append(AddressFailure(address, f"there is no interface {address.interface}"))
            elif self.slow:
                self.coming.append(address)
            elif not table.has(address):
                table.add_address(address.interface, address.address, address.prefix_length, address.flags)
            self._kernel.log.append(("add", address.interface, address.address))
        return failures

    def prepare(self, addresses: Collection[VirtualAddress], links: Links) -> None: ...


class FakeRouting:
    """Routes and rules, in the order they were added. `lose_route` and `lose_rule` are what somebody else does."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.routes: list[VirtualRoute] = []
        self.rules: list[VirtualRule] = []
        self._changed = False
        self._readiness = _Readiness()

    def fileno(self) -> int:
        return self._readiness.fileno()

    def close(self) -> None:
        self._readiness.close()

    def drain(self) -> bool:
        changed, self._changed = self._changed, False
        self._readiness.clear()
        return changed

    def _notify(self) -> None:
        self._changed = True
        self._readiness.set()

    def lose_route(self, route: VirtualRoute) -> None:
        self.routes.remove(same_route(route))
        self._notify()

    def lose_rule(self, rule: VirtualRule) -> None:
        self.rules.remove(same_rule(rule))
        self._notify()

    def has_route(self, route: VirtualRoute, links: Links) -> bool:
        del links
        return same_route(route) in self.routes

    def has_rule(self, rule: VirtualRule) -> bool:
        return same_rule(rule) in self.rules

    def prepare(self, items: Collection[VirtualRoute | VirtualRule], links: Links) -> None: ...

    def apply(self, operations: Sequence[RouteOperation | RuleOperation], links: Links) -> Sequence[RoutingFailure]:
        failures = []
        self._notify()
        for operation in operations:
            what = "route" if isinstance(operation, RouteOperation) else "rule"
            item = operation.route if isinstance(operation, RouteOperation) else operation.rule
            self._kernel.log.append((f"remove {what}" if operation.remove else f"add {what}", "", item.destination))
            if operation.remove:
                self._remove(operation)
                continue
            missing = [name for name in item.interfaces if what == "route" and links.link(name) is None]
            try:
                self._kernel.fail_if_told(what)
            except OSError as error:
                failures.append(RoutingFailure(item, str(error)))
                continue
            if missing:
                failures.append(RoutingFailure(item, f"there is no interface {missing[0]}"))
            else:
                self._add(operation)
        return failures

    def _add(self, operation: RouteOperation | RuleOperation) -> None:
        if isinstance(operation, RouteOperation):
            if same_route(operation.route) not in self.routes:
                self.routes.append(same_route(operation.route))
        elif same_rule(operation.rule) not in self.rules:
            self.rules.append(same_rule(operation.rule))

    def _remove(self, operation: RouteOperation | RuleOperation) -> None:
        with contextlib.suppress(ValueError):
            if isinstance(operation, RouteOperation):
                self.routes.remove(same_route(operation.route))
            else:
                self.rules.remove(same_rule(operation.rule))


class FakeFrameSocket:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def close(self) -> None: ...

    def send(self, interface: str, frames: Sequence[bytes]) -> int:
        self._kernel.fail_if_told("frames")
        self._kernel.log += [("frame", interface, frame) for frame in frames]
        return 0


class FakeVrrpSockets:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.opened: list[FakeVrrpSocket] = []

    def open(
        self,
        link: Link | None,
        family: Family,
        groups: Collection[bytes],
        protocol: int = 112,
        receive_buffer: int = 0,
    ) -> FakeVrrpSocket:
        self._kernel.fail_if_told("open")
        sock = FakeVrrpSocket(
            self._kernel, link.name if link is not None else "", family, groups, protocol, receive_buffer
        )
        self.opened.append(sock)
        if self._kernel.lan is not None:
            self._kernel.lan.connected.add(sock)
        return sock


class FakeKernel:
    """One machine. `log` has everything done to it, in order: (what, interface, bytes). `failing` names operations
    (open, send, add, route, rule, frames, link, sysctl, firewall) that raise OSError until they are taken out again."""

    def __init__(self, lan: FakeLan | None = None) -> None:
        self.lan = lan
        self.log: list[tuple[str, str, bytes]] = []
        self.failing: set[str] = set()
        self.buffers = NetlinkBuffer(), NetlinkBuffer()  # of commands and of the monitor
        self.links = FakeLinks()
        self.addresses = FakeAddresses(self)
        self.routing = FakeRouting(self)
        self.virtual_links = FakeVirtualLinks(self)
        self.sysctls = FakeSysctls(self)
        self.firewall = FakeFirewall(self)
        self.vrrp_sockets = FakeVrrpSockets(self)
        self.frames = FakeFrameSocket(self)

    def fail_if_told(self, operation: str) -> None:
        if operation in self.failing:
            raise OSError(1, f"Operation not permitted ({operation})")

    def resize_buffers(self, command: NetlinkBuffer, monitor: NetlinkBuffer) -> None:
        self.buffers = command, monitor

    def close(self) -> None:
        self.links.close()
        self.routing.close()

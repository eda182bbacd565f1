"""Interfaces and addresses of the machine, by rtnetlink: one dump, then the kernel's notifications."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Container, Iterable, Sequence

from kactl_agent.kernel import dumps
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.buffers import resize_receive_buffer, set_receive_buffer
from kactl_agent.kernel.ports import InterfaceAddress, Link
from kactl_agent.vrrp.network_settings import NetlinkBuffer
from kactl_agent.vrrp.settings import VirtualAddress

_GROUPS = (nl.RTNLGRP_LINK, nl.RTNLGRP_IPV4_IFADDR, nl.RTNLGRP_IPV6_IFADDR, nl.RTNLGRP_IPV6_NETCONF)
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_RECEIVE_BUFFER = 4 << 20  # a burst of 10,000 address notifications
_DATAGRAM = 1 << 18
_DUMP_TIMEOUT = 5.0
_ABSENT = frozenset({errno.EOPNOTSUPP})
_ANY_ERROR = range(1, 4096)
_CONFIRMING = (4, 5)  # sequence numbers of the lists that are read where one lacks what was there
Reader = Callable[[dumps.DumpSocket, bytes, Container[int]], dumps.Dump]


def open_netlink(timeout: float | None = 0.0) -> socket.socket:
    """An rtnetlink socket with room for bursts. `timeout` 0 is non-blocking. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    set_receive_buffer(sock, _RECEIVE_BUFFER)
    sock.bind((0, 0))
    sock.settimeout(timeout)
    return sock


def _listed(dump: dumps.Dump) -> set[tuple[int, bytes, int]]:
    found = (nl.decode_address(message.body) for message in dump.messages)
    return {(each.index, each.address, each.prefix_length) for each in found if each is not None}


class NetlinkLinks:
    """`kactl_agent.kernel.ports.Links` on Linux."""

    def __init__(self, read: Reader = dumps.read) -> None:
        self._read = read
        self._datagram = memoryview(bytearray(_DATAGRAM))
        self._monitor = open_netlink()
        for group in _GROUPS:
            self._monitor.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        self._links: dict[int, Link] = {}
        self._names: dict[str, int] = {}
        self._addresses: dict[int, dict[tuple[bytes, int], InterfaceAddress]] = {}
        self._forwarding: dict[int, bool] = {}
        self.on_address: Callable[[str, InterfaceAddress, bool], None] | None = None
        """Hears of each address that comes (True) or goes; not of those found when everything is read anew."""
        self._whole = True  # what was read last had not changed meanwhile
        self._resynchronise()

    def fileno(self) -> int:
        return self._monitor.fileno()

    def resize_buffer(self, monitor: NetlinkBuffer) -> None:
        resize_receive_buffer(self._monitor, monitor)

    def close(self) -> None:
        self._monitor.close()

    def link(self, name: str) -> Link | None:
        index = self._names.get(name)
        return None if index is None else self._links[index]

    def by_index(self, index: int) -> Link | None:
        return self._links.get(index)

    def all(self) -> Sequence[Link]:
        return list(self._links.values())

    def addresses(self, name: str) -> Sequence[InterfaceAddress]:
        index = self._names.get(name)
        return () if index is None else tuple(self._addresses.get(index, {}).values())

    def has(self, address: VirtualAddress) -> bool:
        index = self._names.get(address.interface)
        return index is not None and (address.address, address.prefix_length) in self._addresses.get(index, ())

    def has_host(self, address: bytes) -> bool:
        return any(host == address for table in self._addresses.values() for host, _prefix_length in table)

    def forwarding(self, name: str) -> bool:
        index = self._names.get(name)
        return index is not None and self._forwarding.get(index, False)

    def drain(self) -> bool:
        changed, lost = False, not self._whole
        while True:
            try:
                size = self._monitor.recv_into(self._datagram)
            except BlockingIOError:
                if lost:
                    # only now: until its queue is empty the socket drops more without telling so again
                    self._resynchronise()
                return changed or lost
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            changed = True
            if not lost:
                for message in nl.messages(self._datagram[:size].tobytes()):
                    self._take(message)

    def _resynchronise(self) -> None:
        """Read everything anew. The monitor is subscribed before, so that nothing falls between the two."""
        listener, self.on_address = self.on_address, None
        before = [(index, key) for index, table in self._addresses.items() for key in table]
        self._links, self._names, self._addresses, self._forwarding = {}, {}, {}, {}
        with open_netlink(_DUMP_TIMEOUT) as sock:
            found = (
                self._read(sock, nl.encode_dump(nl.RTM_GETLINK, 1), _ABSENT),
                self._read(sock, nl.encode_dump(nl.RTM_GETADDR, 2), _ABSENT),
                # a kernel without IPv6 has no such configuration
                self._read(sock, nl.encode_dump(nl.RTM_GETNETCONF, 3, nl.AF_INET6), _ANY_ERROR),
            )
            self._take_all(found)
            # where it had changed each time, what has changed is still to be drained: then this is done again
            self._whole = all(dump.whole for dump in found)
            if any(key not in self._addresses.get(index, ()) for index, key in before):
                self._whole = self._confirm(sock, found[1]) and self._whole
        self.on_address = listener

    def _confirm(self, sock: socket.socket, last: dumps.Dump) -> bool:
        """Whether it is believed that what was there is on a list of addresses no more: when the next one is the same.

        The kernel takes an address off its list a moment before it marks lists as torn. One that is torn by that lacks
        an address that is there; but it has the one that has gone, and so no list that follows is the same.
        """
        for sequence in _CONFIRMING:
            dump = self._read(sock, nl.encode_dump(nl.RTM_GETADDR, sequence), _ABSENT)
            self._take_all((dump,))  # what has gone meanwhile is still to be drained
            if dump.whole and _listed(dump) == _listed(last):
                return True
            last = dump
        return False

    def _take_all(self, found: Iterable[dumps.Dump]) -> None:
        for dump in found:
            for message in dump.messages:
                self._take(message)

    def _take(self, message: nl.Message) -> None:
        if message.type in (nl.RTM_NEWLINK, nl.RTM_DELLINK):
            link = nl.decode_link(message.body)
            if link is not None:
                self._take_link(link, gone=message.type == nl.RTM_DELLINK)
        elif message.type in (nl.RTM_NEWADDR, nl.RTM_DELADDR):
            address = nl.decode_address(message.body)
            if address is None:
                return
            table = self._addresses.setdefault(address.index, {})
            added, key = message.type == nl.RTM_NEWADDR, (address.address, address.prefix_length)
            if self.on_address is not None and added is not (key in table):
                link = self._links.get(address.index)
                self.on_address(link.name if link else f"interface {address.index}", address, added)
            if added:
                table[key] = address
            else:
                table.pop(key, None)
        elif message.type == nl.RTM_NEWNETCONF:
            forwarding = nl.decode_forwarding(message.body)
            if forwarding is not None:
                self._forwarding[forwarding[0]] = forwarding[1]

    def _take_link(self, link: Link, *, gone: bool) -> None:
        old = self._links.pop(link.index, None)
        if old is not None and self._names.get(old.name) == link.index:
            del self._names[old.name]
        if gone:
            self._addresses.pop(link.index, None)
            self._forwarding.pop(link.index, None)
            return
        self._links[link.index] = link
        self._names[link.name] = link.index

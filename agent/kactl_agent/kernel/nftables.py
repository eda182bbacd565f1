"""The firewall's table in nftables, laid out as keepalived's, one for each family that needs it.

Rules are made once and name sets; what is blocked, and which interfaces are VMACs, are elements of the sets.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from kactl_agent.kernel import nfnetlink as nft
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.buffers import set_receive_buffer, set_send_buffer
from kactl_agent.vrrp.family import Family
from kactl_agent.vrrp.firewall import Blocked, FirewallEntry, FirewallSettings, VmacTraffic, is_link_local

_REPLY_TIMEOUT = 2.0
_SEND_BUFFER = 64 << 20  # a transaction goes out in one piece: tens of thousands of addresses
_RECEIVE_BUFFER = 4 << 20  # each message of one may be refused
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10
_NAME_LENGTH = 16
_FAMILIES = {Family.IPV4: nft.IPV4, Family.IPV6: nft.IPV6}
_IGMP, _ICMPV6 = b"\x02", b"\x3a"
_ROUTER_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = b"\x85", b"\x88"
_NEIGHBOUR_DISCOVERY = (b"\x87", b"\x88")
_REPORTS = (b"\x83", b"\x8f")  # of multicast listeners: versions 1 and 2
_LINK_LOCAL, _LINK_LOCAL_MASK = b"\xfe\x80".ljust(16, b"\0"), b"\xff\xc0".ljust(16, b"\0")
_NO_DUPLICATION = frozenset({errno.ENOENT, errno.EOPNOTSUPP})

Key = tuple[int, str]  # family, set
_PROBE = "kactl-probe"
Elements = dict[Key, list[tuple[bytes, bytes]]]


def ruleset(settings: FirewallSettings, *, duplicating: bool = True) -> list[bytes]:
    """Messages that make the tables anew, empty but for their rules. Without `duplicating` reports of VMACs are lost,
    not sent by their parents."""
    messages: list[bytes] = []
    for family in settings.families:
        number = _FAMILIES[family]
        messages += [nft.new_table(number, settings.table), nft.delete_table(number, settings.table)]
        messages += _Table(number, settings, duplicating).messages()
    return messages


class _Table:
    def __init__(self, family: int, settings: FirewallSettings, duplicating: bool) -> None:
        self._family = family
        self._name = settings.table
        self._priority = settings.priority
        self._counters = settings.counters
        self._by_index = settings.by_index
        self._duplicating = duplicating

    def messages(self) -> list[bytes]:
        return self._ipv4() if self._family == nft.IPV4 else self._ipv6()

    def _ipv4(self) -> list[bytes]:
        return [
            nft.new_table(self._family, self._name),
            *self._base_chains(),
            self._vmac_map(),
            self._set("vips", nft.TYPE_IPV4, 4),
            self._rule("out", nft.load_payload(nft.NETWORK_HEADER, 9, 1), nft.equals(_IGMP), *self._move(16, 4)),
            self._rule("in", nft.load_payload(nft.NETWORK_HEADER, 16, 4), nft.is_in("vips"), *self._drop()),
            self._rule("out", nft.load_payload(nft.NETWORK_HEADER, 12, 4), nft.is_in("vips"), *self._drop()),
        ]

    def _ipv6(self) -> list[bytes]:
        by_index = nft.TYPE_IPV6 << 6 | nft.TYPE_INTERFACE_INDEX
        by_name = nft.TYPE_IPV6 << 6 | nft.TYPE_INTERFACE_NAME
        return [
            nft.new_table(self._family, self._name),
            *self._base_chains(),
            *(nft.new_chain(self._family, self._name, chain) for chain in ("in_link_local", "out_link_local")),
            self._vmac_map(),
            self._set("vmac_set", nft.TYPE_INTERFACE_INDEX, 4),
            self._set("parent_link_local", nft.TYPE_IPV6, 16),
            self._set("vips", nft.TYPE_IPV6, 16),
            self._set("vips_link_local", by_index, 20),
            self._set("vips_link_local_name", by_name, 32),
            *self._constants("neighbor-discovery", _NEIGHBOUR_DISCOVERY),
            *self._constants("mld-report", _REPORTS),
            self._rule("out", *_icmpv6(), nft.is_in("mld-report"), *self._move(24, 16)),
            self._rule("out", *_icmpv6(), nft.equals(_ROUTER_SOLICITATION), *self._from_vmac(), *self._drop()),
            self._rule("out", *_icmpv6(), nft.equals(_NEIGHBOUR_ADVERTISEMENT), *self._from_vmac(),
                       nft.load_payload(nft.TRANSPORT_HEADER, 8, 16), nft.is_in("parent_link_local"), *self._drop()),
            *self._filter("in", 24, nft.META_INPUT_INTERFACE, nft.META_INPUT_NAME),
            *self._filter("out", 8, nft.META_OUTPUT_INTERFACE, nft.META_OUTPUT_NAME),
        ]  # fmt: skip

    def _filter(self, chain: str, offset: int, index: int, name: int) -> list[bytes]:
        """Neighbour discovery passes: without it nobody could find the router. Link-local addresses are of a link."""
        address = nft.load_payload(nft.NETWORK_HEADER, offset, 16)
        link_local = f"{chain}_link_local"
        return [
            self._rule(chain, *_icmpv6(), nft.is_in("neighbor-discovery"), *self._end(nft.ACCEPT)),
            self._rule(
                chain,
                address,
                nft.mask(16, _LINK_LOCAL_MASK),
                nft.equals(_LINK_LOCAL),
                nft.verdict(nft.GOTO, link_local),
            ),
            self._rule(chain, address, nft.is_in("vips"), *self._drop()),
            self._rule(link_local, address, nft.load_meta(index, nft.REGISTER_2), nft.is_in("vips_link_local"),
                       *self._drop()),
            self._rule(link_local, address, nft.load_meta(name, nft.REGISTER_2),
                       nft.is_in("vips_link_local_name"), *self._drop()),
        ]  # fmt: skip

    def _move(self, offset: int, length: int) -> list[bytes]:
        """What a VMAC sends leaves by its parent in its place, so that switches see the MAC address that belongs there.
        An interface that is no VMAC is not in the map: the rule ends there."""
        map_of_vmacs = [
            nft.load_meta(nft.META_OUTPUT_INTERFACE, nft.REGISTER_2),
            nft.look_up("vmac_map", nft.REGISTER_2),
        ]
        if not self._duplicating:
            return [*map_of_vmacs, *self._drop()]
        address = nft.load_payload(nft.NETWORK_HEADER, offset, length)
        return [address, *map_of_vmacs, nft.duplicate(nft.REGISTER_1, nft.REGISTER_2), *self._drop()]

    def _from_vmac(self) -> list[bytes]:
        return [nft.load_meta(nft.META_OUTPUT_INTERFACE, nft.REGISTER_2), nft.is_in("vmac_set", nft.REGISTER_2)]

    def _drop(self) -> list[bytes]:
        return self._end(nft.DROP)

    def _end(self, code: int) -> list[bytes]:
        return [nft.count(), nft.verdict(code)] if self._counters else [nft.verdict(code)]

    def _rule(self, chain: str, *expressions: bytes) -> bytes:
        return nft.new_rule(self._family, self._name, chain, expressions)

    def _set(self, name: str, key_type: int, length: int, flags: int = 0) -> bytes:
        return nft.new_set(self._family, self._name, name, key_type, length, flags=flags)

    def _constants(self, name: str, values: Iterable[bytes]) -> list[bytes]:
        elements = nft.new_elements(self._family, self._name, name, [(value, b"") for value in values])
        return [self._set(name, nft.TYPE_ICMPV6, 1), *elements]

    def _vmac_map(self) -> bytes:
        index = nft.TYPE_INTERFACE_INDEX
        return nft.new_set(self._family, self._name, "vmac_map", index, 4, data=(index, 4))

    def _base_chains(self) -> list[bytes]:
        return [
            nft.new_chain(self._family, self._name, "in", nft.HOOK_INPUT, self._priority),
            nft.new_chain(self._family, self._name, "out", nft.HOOK_OUTPUT, self._priority),
        ]


def _icmpv6() -> list[bytes]:
    """Its type in the first register. The protocol is that behind extension headers."""
    return [nft.load_meta(nft.META_PROTOCOL), nft.equals(_ICMPV6), nft.load_payload(nft.TRANSPORT_HEADER, 0, 1)]


def elements_of(entries: Iterable[FirewallEntry]) -> Elements:
    """What stands for the entries, by family and set."""
    found: dict[Key, dict[tuple[bytes, bytes], None]] = {}
    for entry in entries:
        for key, element in _elements_of(entry):
            found.setdefault(key, {})[element] = None
    return {key: list(elements) for key, elements in found.items()}


def _elements_of(entry: FirewallEntry) -> list[tuple[Key, tuple[bytes, bytes]]]:
    if isinstance(entry, VmacTraffic):
        family, index = _FAMILIES[entry.family], _host(entry.index)
        elements = [((family, "vmac_map"), (index, _host(entry.parent)))]
        if entry.family is Family.IPV6:
            elements.append(((family, "vmac_set"), (index, b"")))
            if entry.parent_link_local:
                elements.append(((family, "parent_link_local"), (entry.parent_link_local, b"")))
        return elements
    return [_blocked_element(entry)]


def _blocked_element(entry: Blocked) -> tuple[Key, tuple[bytes, bytes]]:
    family = nft.IPV4 if len(entry.address) == 4 else nft.IPV6
    if not is_link_local(entry.address):
        return (family, "vips"), (entry.address, b"")
    if entry.index:
        return (family, "vips_link_local"), (entry.address + _host(entry.index), b"")
    name = entry.interface.encode().ljust(_NAME_LENGTH, b"\0")
    return (family, "vips_link_local_name"), (entry.address + name, b"")


def _host(index: int) -> bytes:
    """Interface indexes stand in registers in the machine's own byte order."""
    return struct.pack("=I", index)


class BatchSocket(Protocol):
    """A netlink socket, or what a test has in its place."""

    def send(self, data: bytes, /) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class NftablesFirewall:
    """`kactl_agent.kernel.ports.FirewallPort` on Linux."""

    def __init__(self, connect: Callable[[], BatchSocket] | None = None) -> None:
        """`connect` opens the socket when it is first needed: a kernel without nftables is no matter before."""
        self._connect = connect or open_socket
        self._socket: BatchSocket | None = None
        self._sequence = 0
        self._settings: FirewallSettings | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def install(self, settings: FirewallSettings, entries: Collection[FirewallEntry]) -> str:
        """One transaction: there is no moment without the rules of before."""
        old = self._settings
        gone = () if old is None else [family for family in old.families if family not in settings.families]
        table = settings.table
        deletions: list[bytes] = []
        for family in gone:
            number = _FAMILIES[family]
            deletions += [nft.new_table(number, table), nft.delete_table(number, table)]
        added = _element_messages(nft.new_elements, table, elements_of(entries))
        self._settings = None
        said = ""
        try:
            self.send([*deletions, *ruleset(settings), *added])
        except OSError as error:
            if error.errno not in _NO_DUPLICATION or not settings.families:
                raise
            self.send([*deletions, *ruleset(settings, duplicating=False), *added])
            said = "nftables here cannot duplicate packets (nft_dup): IGMP and MLD reports of VMACs are dropped"
        self._settings = settings
        return said

    def apply(self, remove: Collection[FirewallEntry], add: Collection[FirewallEntry]) -> None:
        if self._settings is None:
            raise OSError(errno.ENOENT, "there is no table")
        table = self._settings.table
        messages = _element_messages(nft.delete_elements, table, elements_of(remove))
        self.send([*messages, *_element_messages(nft.new_elements, table, elements_of(add))])

    def uninstall(self) -> None:
        settings, self._settings = self._settings, None
        if settings is not None:
            self.discard(settings)

    def discard(self, settings: FirewallSettings) -> None:
        messages: list[bytes] = []
        for family in settings.families:
            number = _FAMILIES[family]
            messages += [nft.new_table(number, settings.table), nft.delete_table(number, settings.table)]
        self.send(messages)

    def send(self, messages: Sequence[bytes]) -> None:
        """One transaction."""
        if not messages:
            return
        if self._socket is None:
            self._socket = self._connect()
        self._sequence += 2
        try:
            self._socket.send(nft.batch(messages, self._sequence))
            first = self._first_failure(self._socket)
        except OSError:
            self.close()  # answers that come later are not those to the next transaction
            raise
        if first is not None:
            raise OSError(first.error, nl.reason(first.error))

    def _first_failure(self, sock: BatchSocket) -> nl.Failure | None:
        """All answers to the transaction are read."""
        first: nl.Failure | None = None
        while True:
            for message in nl.messages(sock.recv(1 << 17)):
                if message.type != nl.NLMSG_ERROR:
                    continue
                failure = nl.decode_failure(message.body)
                if failure.error and first is None:
                    first = failure
                whole = failure.request.type == nft.BATCH_BEGIN and failure.request.sequence == self._sequence
                if whole or failure.request.sequence == self._sequence + 1:
                    return first


class NftFeatures(NamedTuple):
    """What the nftables of a kernel can do; the reasons are for an operator, "" where it can."""

    tables: str = ""  # anything at all
    concatenated_ranges: str = ""  # ranges in the parts of concatenated keys (Linux 5.6)
    duplication: str = ""  # copies of packets out of another interface (nft_dup)


def probe(connect: Callable[[], BatchSocket] | None = None) -> NftFeatures:
    """Ask the kernel, without leaving anything behind: the transaction ends in a message that is refused, so that the
    kernel takes all of it back. Never raises OSError: what cannot be asked cannot be used."""
    device = [nft.load_payload(nft.NETWORK_HEADER, 16, 4), nft.load_meta(nft.META_OUTPUT_INTERFACE, nft.REGISTER_2)]
    questions = [
        nft.new_table(nft.IPV4, _PROBE),
        nft.new_chain(nft.IPV4, _PROBE, "chain"),
        nft.new_set(
            nft.IPV4, _PROBE, "ranges", nft.TYPE_IPV4 << 6 | nft.TYPE_SERVICE, 8,
            flags=nft.SET_CONCAT | nft.SET_INTERVAL, fields=(4, 2),
        ),
        *nft.new_ranges(nft.IPV4, _PROBE, "ranges", [(b"\x01\0\0\0\0\1\0\0", b"\x01\0\0\7\0\7\0\0", b"")]),
        nft.new_rule(nft.IPV4, _PROBE, "chain", [*device, nft.duplicate(nft.REGISTER_1, nft.REGISTER_2)]),
        nft.delete_table(nft.IPV4, f"{_PROBE}-none"),
    ]  # fmt: skip
    try:
        sock = (connect or open_socket)()
    except OSError as error:
        return NftFeatures(*(f"the kernel has no nftables: {error.strerror or error}",) * 3)
    try:
        refused = _refusals(sock, questions)
    except OSError as error:
        return NftFeatures(*(f"nftables cannot be used: {error.strerror or error}",) * 3)
    finally:
        sock.close()
    return NftFeatures(refused.get(0, ""), refused.get(2, "") or refused.get(3, ""), refused.get(4, ""))


def _refusals(sock: BatchSocket, messages: Sequence[bytes]) -> dict[int, str]:
    """Which messages of a transaction the kernel refuses, by position, and why. The last one is to be refused."""
    sock.send(nft.batch(messages, 1, each=True))
    refused: dict[int, str] = {}
    while len(messages) - 1 not in refused:
        for message in nl.messages(sock.recv(1 << 17)):
            if message.type != nl.NLMSG_ERROR:
                continue
            failure = nl.decode_failure(message.body)
            if failure.request.type == nft.BATCH_BEGIN and failure.error:
                raise OSError(failure.error, nl.reason(failure.error))
            if failure.error:
                refused.setdefault(failure.request.sequence - 2, nl.reason(failure.error))
    return refused


def _element_messages(
    encode: Callable[[int, str, str, Iterable[tuple[bytes, bytes]]], list[bytes]], table: str, elements: Elements
) -> list[bytes]:
    return [message for (family, name), each in elements.items() for message in encode(family, table, name, each)]


def open_socket() -> socket.socket:
    """Of the network namespace one is in. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, nft.NETLINK_NETFILTER)
    set_send_buffer(sock, _SEND_BUFFER)
    set_receive_buffer(sock, _RECEIVE_BUFFER)
    sock.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)  # refusals without what is refused
    sock.bind((0, 0))
    sock.settimeout(_REPLY_TIMEOUT)
    return sock

"""nftables_ipvs: firewall marks on packets for the members of a virtual_server_group, in a table of our own.

A map for each protocol has an address and a port as key, and the mark as value. Where the kernel knows ranges in
concatenations (Linux 5.6), an entry of a group is one element whatever it stands for; else each address is one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from kactl_agent.ipvs.marks import Marked
from kactl_agent.ipvs.model import AF_INET, PROTOCOLS
from kactl_agent.ipvs.settings import MarksSettings, Members
from kactl_agent.kernel import nfnetlink as nft
from kactl_agent.kernel.namespaces import inside
from kactl_agent.kernel.nftables import BatchSocket, NftablesFirewall, NftFeatures, open_socket, probe

_FAMILIES = {AF_INET: nft.IPV4, 10: nft.IPV6}
_DESTINATION = {nft.IPV4: (16, 4, nft.TYPE_IPV4), nft.IPV6: (24, 16, nft.TYPE_IPV6)}  # offset, length, type
_PORT_REGISTER = {nft.IPV4: 9, nft.IPV6: nft.REGISTER_2}  # behind the address: NFT_REG32_01, and 16 bytes further
_PORT = struct.Struct("!Hxx")
_MARK = struct.Struct("=I")
_ANY_PORT = 0xFFFF
Range = tuple[bytes, bytes, bytes]  # first key, last key, mark


class MarksPort(Protocol):
    """Puts marks on packets. Methods raise OSError."""

    def install(self, settings: MarksSettings, marked: Sequence[Marked]) -> str:
        """These and no others, in one transaction. Gives what there is to say about how."""

    def discard(self, settings: MarksSettings) -> None: ...

    def close(self) -> None: ...


class NftMarks:
    """`MarksPort` on Linux."""

    def __init__(
        self,
        namespace: str | None = None,
        connect: Callable[[str | None], BatchSocket] | None = None,
        features: Callable[[Callable[[], BatchSocket]], NftFeatures] = probe,
    ) -> None:
        """`namespace` is where IPVS is (`kernel.namespaces`): a mark does not go from one to the other."""
        opened = partial(connect or _open_inside, namespace)
        self._tables = NftablesFirewall(opened)
        self._features = partial(features, opened)

    def close(self) -> None:
        self._tables.close()

    def install(self, settings: MarksSettings, marked: Sequence[Marked]) -> str:
        lacking = self._features().concatenated_ranges
        said = ""
        if lacking and any(_is_range(member) for each in marked for member in each.members):
            said = (
                f"nftables here knows no ranges in concatenations ({lacking}): every address of a group is an element"
            )
        self._tables.send(ruleset(settings, marked, ranges=not lacking))
        return said

    def discard(self, settings: MarksSettings) -> None:
        self._tables.send(ruleset(settings, (), ranges=False))


def _open_inside(namespace: str | None) -> BatchSocket:
    with inside(namespace):
        return open_socket()


def ruleset(settings: MarksSettings, marked: Sequence[Marked], *, ranges: bool) -> list[bytes]:
    """The whole of both tables, in place of what was there."""
    messages: list[bytes] = []
    for family in (nft.IPV4, nft.IPV6):
        messages += [nft.new_table(family, settings.table), nft.delete_table(family, settings.table)]
        found = {
            protocol: list(_elements(marked, family, protocol, ranges=ranges)) for protocol in PROTOCOLS if protocol
        }
        if any(found.values()):
            messages += [
                nft.new_table(family, settings.table),
                nft.new_chain(family, settings.table, "in", nft.HOOK_INPUT, settings.priority),
            ]
        for protocol, elements in found.items():
            if elements:
                messages += _map(family, settings.table, protocol, elements, ranges=ranges)
    return messages


def _map(family: int, table: str, protocol: int, elements: Sequence[Range], *, ranges: bool) -> Iterator[bytes]:
    offset, length, kind = _DESTINATION[family]
    name = f"{PROTOCOLS[protocol]}_map"
    yield nft.new_set(
        family, table, name, kind << 6 | nft.TYPE_SERVICE, length + 4, data=(nft.TYPE_MARK, 4),
        flags=nft.SET_CONCAT | nft.SET_INTERVAL if ranges else nft.SET_CONCAT, fields=(length, 2),
    )  # fmt: skip
    if ranges:
        yield from nft.new_ranges(family, table, name, elements)
    else:
        yield from nft.new_elements(family, table, name, [(first, mark) for first, _last, mark in elements])
    yield nft.new_rule(
        family,
        table,
        "in",
        (
            nft.load_meta(nft.META_PROTOCOL),
            nft.equals(bytes((protocol,))),
            nft.load_payload(nft.NETWORK_HEADER, offset, length),
            nft.load_payload(nft.TRANSPORT_HEADER, 2, 2, _PORT_REGISTER[family]),
            nft.look_up(name, nft.REGISTER_1),
            nft.store_meta(nft.META_MARK),
        ),
    )


def _elements(marked: Iterable[Marked], family: int, protocol: int, *, ranges: bool) -> Iterator[Range]:
    for each in marked:
        mark = _MARK.pack(each.mark)
        for member in each.members:
            if _FAMILIES[member.family] != family or member.protocol != protocol:
                continue
            if ranges:
                last = _plus(member.first, member.count - 1)
                port = member.port or _ANY_PORT
                yield member.first + _PORT.pack(member.port), last + _PORT.pack(port), mark
                continue
            if not member.port:
                raise OSError(95, "port 0 of a group needs ranges in concatenations, which this kernel lacks")
            for number in range(member.count):
                key = _plus(member.first, number) + _PORT.pack(member.port)
                yield key, key, mark


def _plus(address: bytes, count: int) -> bytes:
    return (int.from_bytes(address, "big") + count).to_bytes(len(address), "big")


def _is_range(member: Members) -> bool:
    return member.count > 1 or not member.port

"""Virtual addresses on the machine: a pure plan of what to change, and rtnetlink to carry it out in one go."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Sequence

import msgspec

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.ports import AddressFailure, Links
from kactl_agent.kernel.requests import RequestSocket
from kactl_agent.vrrp.network_settings import NetlinkBuffer
from kactl_agent.vrrp.settings import VirtualAddress

_MOST_ENCODED = 1 << 16
_SATISFIED = {
    nl.RTM_NEWADDR: frozenset({errno.EEXIST}),
    nl.RTM_DELADDR: frozenset({errno.EADDRNOTAVAIL, errno.ENODEV}),
}


class AddressPlan(msgspec.Struct, frozen=True):
    """What has to happen to the machine: removals first, then additions."""

    remove: tuple[VirtualAddress, ...] = ()
    add: tuple[VirtualAddress, ...] = ()


def plan(
    desired: Collection[VirtualAddress],
    managed: Collection[VirtualAddress],
    present: Callable[[VirtualAddress], bool],
) -> AddressPlan:
    """What makes the machine hold exactly `desired` among the addresses that are ours to decide on (`managed`).

    Removals go in the opposite order of additions, so that where a subnet has no other address its primary, whose end
    takes the secondaries with it, goes last. Addresses in neither collection are nobody's business here.
    """
    wanted = set(desired)
    remove = [address for address in dict.fromkeys(managed) if address not in wanted and present(address)]
    add = [address for address in dict.fromkeys(desired) if not present(address)]
    return AddressPlan(tuple(reversed(remove)), tuple(add))


class NetlinkAddresses:
    """`kactl_agent.kernel.ports.Addresses` on Linux.

    Messages are encoded once for an address and interface index: a transition joins ready bytes and makes one system
    call, during which the kernel does all the work.
    """

    def __init__(self) -> None:
        self._requests = RequestSocket()
        self._encoded: dict[tuple[VirtualAddress, int, int], bytes] = {}

    def resize_buffer(self, command: NetlinkBuffer) -> None:
        self._requests.resize_buffer(command)

    def close(self) -> None:
        self._requests.close()

    def apply(
        self, remove: Collection[VirtualAddress], add: Collection[VirtualAddress], links: Links
    ) -> Sequence[AddressFailure]:
        failures: list[AddressFailure] = []
        requests: list[tuple[VirtualAddress, bytes]] = []
        for kind, addresses in ((nl.RTM_DELADDR, remove), (nl.RTM_NEWADDR, add)):
            for address in addresses:
                link = links.link(address.interface)
                if link is not None:
                    requests.append((address, self._request(kind, address, link.index)))
                elif kind == nl.RTM_NEWADDR:
                    failures.append(AddressFailure(address, f"there is no interface {address.interface}"))
        refused = (r for r in self._requests.send(requests) if r.error not in _SATISFIED[r.type])
        return [*failures, *(AddressFailure(refusal.item, refusal.reason) for refusal in refused)]

    def prepare(self, addresses: Collection[VirtualAddress], links: Links) -> None:
        if len(self._encoded) > _MOST_ENCODED:  # reloads and recreated interfaces leave some behind
            self._encoded.clear()
        for address in addresses:
            link = links.link(address.interface)
            if link is not None:
                self._request(nl.RTM_NEWADDR, address, link.index)
                self._request(nl.RTM_DELADDR, address, link.index)

    def _request(self, kind: int, address: VirtualAddress, index: int) -> bytes:
        key = (address, index, kind)
        encoded = self._encoded.get(key)
        if encoded is None:
            encode = nl.encode_new_address if kind == nl.RTM_NEWADDR else nl.encode_delete_address
            encoded = self._encoded[key] = nl.align_message(encode(address, index, 0))
        return encoded

"""Virtual addresses on the machine: a pure plan of what to change, and rtnetlink to carry it out in one go."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Sequence

import msgspec

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.links import open_netlink
from kactl_agent.kernel.ports import AddressFailure, Links
from kactl_agent.vrrp.settings import VirtualAddress

_REPLY_TIMEOUT = 2.0
_LARGEST_BUFFER = 1 << 16  # bytes a send carries: some 1,000 addresses, far below any socket's send buffer
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
        self._socket = open_netlink(_REPLY_TIMEOUT)
        self._encoded: dict[tuple[VirtualAddress, int, int], bytes] = {}
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

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
        while requests:
            size = 0
            count = 0
            while count < len(requests) and (count == 0 or size + len(requests[count][1]) <= _LARGEST_BUFFER):
                size += len(requests[count][1])
                count += 1
            failures += self._send(requests[:count])
            requests = requests[count:]
        return failures

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

    def _send(self, requests: Sequence[tuple[VirtualAddress, bytes]]) -> list[AddressFailure]:
        """One buffer. An error is answered with the request it belongs to; the end with an acknowledgement."""
        self._sequence += 1
        last = requests[-1]
        buffer = b"".join([encoded for _address, encoded in requests[:-1]])
        self._socket.send(buffer + nl.acknowledged(last[1], self._sequence))
        by_request = {encoded[16:]: address for address, encoded in requests}
        failures: list[AddressFailure] = []
        while True:
            for message in nl.messages(self._socket.recv(1 << 16)):
                if message.type != nl.NLMSG_ERROR:
                    continue
                error, request = nl.decode_failure(message.body)
                if error and error not in _SATISFIED.get(request.type, ()):
                    failures.append(AddressFailure(by_request.get(request.body, last[0]), nl.reason(error)))
                if request.sequence == self._sequence:
                    return failures

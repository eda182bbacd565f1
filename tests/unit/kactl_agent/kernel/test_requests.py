"""Requests in bulk, over a real netlink socket: requests that nobody's kernel carries out."""

from __future__ import annotations

import errno

import pytest

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.requests import RequestSocket
from kactl_agent.vrrp.settings import VirtualAddress

NO_INTERFACE = 0x7FFF_FFF0


@pytest.mark.parametrize("count", [1, 2, 3000])
def test_every_refusal_belongs_to_its_request(count: int) -> None:
    """3,000 requests are several buffers."""
    addresses = [VirtualAddress(bytes((10, 1, n // 250, n % 250)), 32, "nosuch0") for n in range(count)]
    requests = [(address, nl.encode_delete_address(address, NO_INTERFACE, 0)) for address in addresses]
    sock = RequestSocket()
    refusals = sock.send(requests)
    sock.close()
    assert [refusal.item for refusal in refusals] == addresses
    for refusal in refusals:
        assert refusal.type == nl.RTM_DELADDR
        assert refusal.error in (errno.ENODEV, errno.EADDRNOTAVAIL, errno.EPERM)
        assert refusal.reason.startswith(f"{errno.errorcode[refusal.error]}: ")


def test_nothing_is_sent_for_nothing() -> None:
    sock = RequestSocket()
    assert sock.send([]) == []
    sock.close()

"""The rtnetlink codec against golden bytes and against pyroute2's decoder."""

from __future__ import annotations

import errno
import socket
import struct
import sys

import pytest

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.vrrp.settings import VirtualAddress

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PLAIN = VirtualAddress(bytes((192, 0, 2, 10)), 24, "eth0")
FULL = VirtualAddress(
    bytes((192, 0, 2, 11)),
    32,
    "eth0",
    label="eth0:1",
    scope=253,
    broadcast=bytes((192, 0, 2, 255)),
    peer=bytes((192, 0, 2, 12)),
    preferred_lifetime=0,
)
SIX = VirtualAddress(
    socket.inet_pton(socket.AF_INET6, "2001:db8::10"), 128, "eth0", flags=nl.IFA_F_NODAD, preferred_lifetime=0
)


def pyroute2_decode(data: bytes) -> object:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

    message = ifaddrmsg(data)
    message.decode()
    return message


@pytest.mark.skipif(sys.byteorder != "little", reason="golden bytes of a little-endian machine")
def test_new_address_golden_bytes() -> None:
    parts = (
        "30000000",  # length
        "1400",  # RTM_NEWADDR
        "0106",  # NLM_F_REQUEST | NLM_F_EXCL | NLM_F_CREATE
        "0700000000000000",  # sequence, port
        "0218000003000000",  # AF_INET, /24, flags, scope, index 3
        "08000200c000020a",  # IFA_LOCAL
        "08000100c000020a",  # IFA_ADDRESS
        "05000b0012000000",  # IFA_PROTO 18
    )
    assert nl.encode_new_address(PLAIN, 3, 7).hex() == "".join(parts)


def test_new_address_as_pyroute2_reads_it() -> None:
    message = pyroute2_decode(nl.encode_new_address(FULL, 5, 1))
    assert message["header"]["type"] == 20
    assert message["header"]["length"] == len(nl.encode_new_address(FULL, 5, 1))
    assert (message["family"], message["prefixlen"], message["scope"], message["index"]) == (2, 32, 253, 5)
    assert message.get("IFA_LOCAL") == "192.0.2.11"
    assert message.get("IFA_ADDRESS") == "192.0.2.12"
    assert message.get("IFA_BROADCAST") == "192.0.2.255"
    assert message.get("IFA_LABEL") == "eth0:1"
    assert message.get("IFA_CACHEINFO")["ifa_preferred"] == 0
    assert message.get("IFA_CACHEINFO")["ifa_valid"] == 0xFFFFFFFF


def test_ipv6_address_as_pyroute2_reads_it() -> None:
    message = pyroute2_decode(nl.encode_new_address(SIX, 5, 1))
    assert (message["family"], message["prefixlen"]) == (10, 128)
    assert message.get("IFA_LOCAL") == "2001:db8::10"
    assert message.get("IFA_FLAGS") == nl.IFA_F_NODAD


def test_delete_names_address_and_peer_only() -> None:
    message = pyroute2_decode(nl.encode_delete_address(FULL, 5, 1))
    assert message["header"]["type"] == 21
    assert dict(message["attrs"]) == {"IFA_LOCAL": "192.0.2.11", "IFA_ADDRESS": "192.0.2.12"}


def test_acknowledged_sets_sequence_and_flag() -> None:
    (message,) = nl.messages(nl.acknowledged(nl.encode_delete_address(PLAIN, 5, 0), 99))
    assert message.sequence == 99
    assert message.flags == nl.NLM_F_REQUEST | nl.NLM_F_ACK


def test_messages_end_at_a_truncated_tail() -> None:
    one = nl.align_message(nl.encode_new_address(FULL, 5, 1))
    for cut in range(len(one)):
        assert len(list(nl.messages(one + one[:cut]))) == 1


def test_attributes_survive_nonsense() -> None:
    assert nl.attributes(struct.pack("=HH", 2, 1), 0) == {}
    assert nl.attributes(struct.pack("=HH", 200, 1), 0) == {}
    assert nl.attributes(struct.pack("=HH", 4, 0x8001), 0) == {1: b""}


def test_failure_carries_errno_and_request() -> None:
    request = nl.encode_delete_address(PLAIN, 5, 4)
    failure = nl.decode_failure(struct.pack("=i", -errno.EEXIST) + request)
    assert failure.error == errno.EEXIST
    assert failure.request.sequence == 4
    decoded = nl.decode_address(failure.request.body)
    assert decoded is not None
    assert (decoded.index, decoded.address, decoded.prefix_length) == (5, PLAIN.address, 24)
    assert nl.reason(errno.EEXIST).startswith("EEXIST: ")


def test_flags_of_ipv6_come_from_the_wide_attribute() -> None:
    address = VirtualAddress(SIX.address, 64, "eth0", flags=0x402)
    (message,) = nl.messages(nl.encode_new_address(address, 1, 1))
    decoded = nl.decode_address(message.body)
    assert decoded is not None
    assert decoded.flags == 0x402


def test_link_of_a_bridge_port_is_not_an_interface() -> None:
    body = struct.pack("=BxHiII", 7, 1, 4, 1, 0) + nl.encode_attribute(nl.IFLA_IFNAME, b"eth0\0")
    assert nl.decode_link(body) is None
    link = nl.decode_link(b"\0" + body[1:])
    assert link is not None
    assert (link.name, link.index, link.up) == ("eth0", 4, False)

"""The codec of IPVS: what a kernel sent, round trips, and messages that are cut off anywhere."""

from __future__ import annotations

import contextlib
import sys
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.model import (
    AF_INET,
    AF_INET6,
    Counters,
    Destination,
    DestinationKey,
    Forwarding,
    Service,
    ServiceKey,
    SyncDaemon,
    Timeouts,
)

# Linux 6.1 of GET_SERVICE after `ipvsadm -A --sctp-service 10.0.0.1:99 -s nq`
KERNEL_SERVICE = bytes.fromhex(
    "010100005401010006000100020000000600020084000000140003000a00000100000000000000000000000006000400006300000700060"
    "06e7100000c00070002000000ffffffff080008000000000008000900ffffffff60000a0008000100000000000800020000000000080003"
    "00000000000c000400000000000000000004000b000c00050000000000000000000800060000000000080007000000000008000800000000"
    "00080009000000000008000a0000000000a0000c000c000100000000000000000004000b000c000200000000000000000004000b000c0003"
    "00000000000000000004000b000c000400000000000000000004000b000c000500000000000000000004000b000c00060000000000000000"
    "0004000b000c000700000000000000000004000b000c000800000000000000000004000b000c000900000000000000000004000b000c000a"
    "000000000000000000"
)
SCTP = Service(ServiceKey(AF_INET, 132, ip_address("10.0.0.1").packed, 99), "nq", flags=2)

ipv4 = st.binary(min_size=4, max_size=4)
ipv6 = st.binary(min_size=16, max_size=16)
ports = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
names = st.from_regex(r"[a-z]{1,15}", fullmatch=True)
keys = st.one_of(
    st.builds(ServiceKey, st.just(AF_INET), st.sampled_from((6, 17, 132)), ipv4, ports, st.just(0)),
    st.builds(ServiceKey, st.just(AF_INET6), st.sampled_from((6, 17, 132)), ipv6, ports, st.just(0)),
    st.builds(lambda family, mark: ServiceKey(family, fwmark=mark), st.sampled_from((AF_INET, AF_INET6)), u32),
)
services = st.builds(Service, keys, names, u32, u32, u32, st.sampled_from(("", "sip")))
tunnels = st.one_of(
    st.builds(Forwarding, st.integers(0, 4), st.just(0), st.just(0), st.just(0)),
    st.builds(Forwarding, st.just(2), st.integers(1, 2), ports, st.integers(0, 2)),
)
destinations = st.builds(
    Destination, st.builds(DestinationKey, ipv4 | ipv6, ports), st.integers(0, 2**31 - 1), tunnels, u32, u32
)
daemons = st.builds(
    SyncDaemon,
    st.booleans(),
    names,
    st.integers(0, 255),
    ports,
    st.sampled_from((b"",)) | ipv4.filter(any) | ipv6.filter(any),
    ports,
    st.integers(0, 255),
)


def test_a_service_as_the_kernel_says_it() -> None:
    assert genl.decode_service(KERNEL_SERVICE) == (SCTP, Counters())


@given(services)
def test_services_round_trip(service: Service) -> None:
    for encoded, command in (
        (genl.encode_new_service(service), genl.NEW_SERVICE),
        (genl.encode_set_service(service), genl.SET_SERVICE),
    ):
        assert genl.command_of(encoded) == command
        assert genl.decode_service(encoded).service == service


@given(keys)
def test_keys_round_trip(key: ServiceKey) -> None:
    for encoded in (genl.encode_delete_service(key), genl.encode_get_service(key), genl.encode_get_destinations(key)):
        assert genl.decode_service(encoded).service.key == key


@given(keys, destinations)
def test_destinations_round_trip(key: ServiceKey, destination: Destination) -> None:
    owner, encoded = genl.encode_owner(key), genl.encode_destination(destination)
    for request in (genl.encode_new_destination(owner, encoded), genl.encode_set_destination(owner, encoded)):
        assert genl.decode_destination(request).destination == destination
        assert genl.decode_service(request).service.key == key
    request = genl.encode_delete_destination(owner, destination.key)
    assert genl.decode_destination(request).destination.key == destination.key


@given(daemons)
def test_daemons_round_trip(daemon: SyncDaemon) -> None:
    assert genl.decode_daemon(genl.encode_new_daemon(daemon)) == daemon
    deleted = genl.decode_daemon(genl.encode_delete_daemon(daemon))
    assert (deleted.master, deleted.interface, deleted.sync_id) == daemon[:3]


@given(st.builds(Timeouts, u32, u32, u32))
def test_timeouts_round_trip(timeouts: Timeouts) -> None:
    assert genl.decode_timeouts(genl.encode_set_timeouts(timeouts)) == timeouts


@given(services, st.data())
def test_a_message_cut_off_anywhere_is_malformed_or_another_message(service: Service, data: st.DataObject) -> None:
    encoded = genl.encode_new_service(service)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    with pytest.raises(genl.MalformedMessage):
        genl.decode_service(cut)


def test_the_kernels_message_cut_off_at_every_offset() -> None:
    for end in range(len(KERNEL_SERVICE)):
        with pytest.raises(genl.MalformedMessage):
            genl.decode_service(KERNEL_SERVICE[:end])


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_malformed(noise: bytes) -> None:
    decoders = (
        genl.decode_service, genl.decode_destination, genl.decode_daemon, genl.decode_timeouts, genl.decode_info,
        genl.decode_family, genl.error_of, lambda data: list(genl.replies(data)),
    )  # fmt: skip
    for decode in decoders:
        for data in (noise, b"\x01\x01\x00\x00" + noise):
            with contextlib.suppress(genl.MalformedMessage):
                decode(data)


def test_a_datagram_of_several_messages() -> None:
    request = genl.encode_get_info()
    datagram = genl.message(25, request, 7) + genl.message(25, request, 8, genl.NLM_F_ACK)
    assert [(reply.type, reply.sequence, reply.body) for reply in genl.replies(datagram)] == [
        (25, 7, request),
        (25, 8, request),
    ]
    for end in range(1, len(datagram)):
        if end != len(datagram) // 2:
            with pytest.raises(genl.MalformedMessage):
                list(genl.replies(datagram[:end]))


def test_statistics_of_32_bits_where_there_are_no_others() -> None:
    """Kernels before 4.1; bytes are counted in 64 bits there too."""
    attributes = b""
    for kind in range(1, 11):
        size = 8 if kind in (4, 5) else 4
        attributes += (4 + size).to_bytes(2, sys.byteorder) + kind.to_bytes(2, sys.byteorder)
        attributes += kind.to_bytes(size, sys.byteorder)
    key = genl.encode_key(SCTP.key)
    parts = key + (4 + len(attributes)).to_bytes(2, sys.byteorder) + (10).to_bytes(2, sys.byteorder) + attributes
    body = bytes((1, 1, 0, 0)) + (4 + len(parts)).to_bytes(2, sys.byteorder) + b"\x01\x00" + parts
    assert genl.decode_service(body).counters == Counters(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)

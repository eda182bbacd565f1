"""Sockets of BFD on the loopback interface, and packets for the echo function byte by byte."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from kactl_agent.bfd.settings import Mode
from kactl_agent.kernel.bfd_echo import decode_datagram, encode_datagram
from kactl_agent.kernel.bfd_sockets import Place, UdpPorts, place_of
from support.bfd import settings

HERE, THERE = ip_address("127.0.13.1").packed, ip_address("127.0.13.2").packed
ECHO = {4: ip_address("192.0.2.1").packed, 6: ip_address("2001:db8::1").packed}


def test_sh2_sh5_rfc_5881_source_port_and_ttl() -> None:
    ports = UdpPorts()
    own = settings(source=HERE, neighbor=THERE)
    receiver = ports.open_receiver(place_of(settings(source=THERE, neighbor=HERE)), [])
    sender = ports.open_sender(own, 0)
    sender.send(b"hello")
    received = receiver.receive()
    assert received is not None
    data, meta = received
    assert (data, meta.source, meta.destination, meta.port, meta.ttl) == (b"hello", HERE, THERE, 3784, 255)
    assert 49152 <= sender.source_port <= 65535
    assert sender.source == HERE
    assert receiver.receive() is None
    sender.close()
    again = ports.open_sender(own, sender.source_port)
    assert again.source_port == sender.source_port
    again.close()
    receiver.close()


def test_ipv6_with_hop_limit() -> None:
    ports = UdpPorts()
    loopback = ip_address("::1").packed
    one = settings(source=loopback, neighbor=loopback, ttl=77, mode=Mode.MULTIHOP)
    receiver, sender = ports.open_receiver(place_of(one), []), ports.open_sender(one, 0)
    sender.send(b"x")
    received = receiver.receive()
    assert received is not None
    assert (received[1].ttl, received[1].port, received[1].source) == (77, 4784, loopback)
    sender.close()
    receiver.close()


def test_sockets_of_one_port_stand_beside_each_other_and_beside_nobody_elses() -> None:
    ports = UdpPorts()
    first = ports.open_receiver(Place(HERE, False, 4784, ""), [])
    anywhere = ports.open_receiver(Place(b"", False, 4784, ""), [first])
    sender = ports.open_sender(settings(source=THERE, neighbor=HERE, mode=Mode.MULTIHOP), 0)
    sender.send(b"to one address")
    assert anywhere.receive() is None
    assert first.receive() is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError) as refused:
            thief.bind(("127.0.13.1", 4784))
        assert refused.value.errno == errno.EADDRINUSE
    for each in (first, anywhere, sender):
        each.close()


def test_a_refusal_of_an_earlier_packet_does_not_cost_the_next() -> None:
    """Nobody listens: each packet is answered with an ICMP message, which the next call must not report."""
    ports = UdpPorts()
    sender = ports.open_sender(settings(source=HERE, neighbor=THERE), 0)
    for _ in range(5):
        sender.send(b"x")
    sender.close()


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(OSError, match="kactl-none"):
        UdpPorts().open_sender(settings(interface="kactl-none"), 0)


@given(st.sampled_from(sorted(ECHO)), st.integers(49152, 65535), st.binary(max_size=1500))
def test_echo_datagrams_are_what_scapy_builds_and_are_read_back(family: int, port: int, data: bytes) -> None:
    address = ECHO[family]
    text = str(ip_address(address))
    packet = encode_datagram(address, port, data)
    udp = UDP(sport=port, dport=3785) / data
    if family == 4:
        built = IP(src=text, dst=text, ttl=255, tos=0xC0, flags="DF", id=0) / udp
    else:
        built = IPv6(src=text, dst=text, hlim=255, tc=0xC0) / udp
    assert packet == bytes(built)
    received = decode_datagram(packet, "eth0")
    assert received is not None
    assert received[0] == data
    assert (received[1].source, received[1].destination, received[1].ttl) == (address, address, 255)


@given(st.binary(max_size=80))
def test_any_bytes_off_the_link_are_a_datagram_or_nothing(data: bytes) -> None:
    decode_datagram(data, "eth0")


def test_damaged_and_truncated_datagrams_are_nothing() -> None:
    packet = encode_datagram(ECHO[4], 50000, bytes(24))
    for end in range(len(packet)):
        assert decode_datagram(packet[:end], "eth0") is None
    for place in range(20, len(packet)):
        if place not in (26, 27):
            damaged = packet[:place] + bytes((packet[place] ^ 1,)) + packet[place + 1 :]
            assert decode_datagram(damaged, "eth0") is None

"""What IPVS holds: services, and the destinations of each. The words are the kernel's (linux/ip_vs.h, ipvsadm(8))."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

AF_INET, AF_INET6 = 2, 10
PROTOCOLS = {0: "none", 6: "tcp", 17: "udp", 132: "sctp"}

# IP_VS_SVC_F_*
PERSISTENT, HASHED, ONE_PACKET, SCHEDULER_1, SCHEDULER_2, SCHEDULER_3 = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
SETTABLE_FLAGS = PERSISTENT | ONE_PACKET | SCHEDULER_1 | SCHEDULER_2 | SCHEDULER_3
"""The flags of a service that mean something to compare: HASHED the kernel sets by itself."""

# IP_VS_CONN_F_*: how packets reach a destination
MASQUERADE, LOCAL_NODE, TUNNEL, DIRECT_ROUTE, BYPASS = 0, 1, 2, 3, 4
METHODS = {MASQUERADE: "NAT", LOCAL_NODE: "local", TUNNEL: "TUN", DIRECT_ROUTE: "DR", BYPASS: "bypass"}

# IP_VS_CONN_F_TUNNEL_TYPE_* and IP_VS_TUNNEL_ENCAP_FLAG_*
IPIP, GUE, GRE = 0, 1, 2
NO_CHECKSUM, CHECKSUM, REMOTE_CHECKSUM = 0, 1, 2

NO_MASK = {AF_INET: 0xFFFF_FFFF, AF_INET6: 128}
"""Each client address by itself: an IPv4 netmask, an IPv6 prefix length."""


class ServiceKey(NamedTuple):
    """Which packets a service balances: address, port and protocol, or a firewall mark."""

    family: int  # AF_INET or AF_INET6
    protocol: int = 0  # IPPROTO_*; 0 for a firewall mark
    address: bytes = b""
    port: int = 0
    fwmark: int = 0

    @property
    def text(self) -> str:
        """`[192.0.2.1]:tcp:80`, `FWM 7`: the form of keepalived's log and FIFO lines."""
        if not self.address:
            return f"FWM {self.fwmark}"
        return server_text(self.address, self.protocol, self.port)


class Service(NamedTuple):
    """A service as it is to be, or as the kernel says it is."""

    key: ServiceKey
    scheduler: str
    flags: int = 0
    timeout: int = 0  # of persistence, in seconds
    netmask: int = 0xFFFF_FFFF  # of persistence: an IPv4 netmask, or an IPv6 prefix length
    engine: str = ""  # of persistence


class DestinationKey(NamedTuple):
    """What tells destinations of one service apart; the family is that of the address."""

    address: bytes
    port: int


class Forwarding(NamedTuple):
    """How packets reach a destination."""

    method: int = MASQUERADE
    tunnel_type: int = IPIP
    tunnel_port: int = 0  # UDP port of a gue tunnel
    tunnel_flags: int = NO_CHECKSUM


class Destination(NamedTuple):
    """A destination as it is to be, or as the kernel says it is."""

    key: DestinationKey
    weight: int = 1
    forwarding: Forwarding = Forwarding()
    upper_threshold: int = 0
    lower_threshold: int = 0


class Counters(NamedTuple):
    """Statistics of a service or destination; rates are a second's."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connection_rate: int = 0
    packet_rate_in: int = 0
    packet_rate_out: int = 0
    byte_rate_in: int = 0
    byte_rate_out: int = 0


class ConnectionCounts(NamedTuple):
    """Connections of a destination now."""

    active: int = 0
    inactive: int = 0
    persistent: int = 0


class SyncDaemon(NamedTuple):
    """One of the two daemons that send and receive what is known of connections."""

    master: bool  # sends, else it receives
    interface: str
    sync_id: int
    max_length: int = 0  # of a message, 0: the kernel's choice
    group: bytes = b""  # multicast address, empty: the kernel's
    port: int = 0
    ttl: int = 0


class Timeouts(NamedTuple):
    """Seconds an idle connection is kept; 0 says nothing (the kernel keeps what it has)."""

    tcp: int = 0
    tcp_fin: int = 0
    udp: int = 0


def server_text(address: bytes, protocol: int, port: int) -> str:
    """`[192.0.2.1]:tcp:80`"""
    return f"[{ip_address(address)}]:{PROTOCOLS.get(protocol, str(protocol))}:{port}"

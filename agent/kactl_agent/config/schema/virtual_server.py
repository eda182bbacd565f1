"""virtual_server, real_server and virtual_server_group: IPVS services, their pools, and sets of addresses that share one."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from msgspec import UNSET, UnsetType

from kactl_agent.config.schema.checkers import (
    ALPHA,
    CONNECT_TIMEOUT,
    DELAY_BEFORE_RETRY,
    DELAY_LOOP,
    MAX_SIGNED,
    MAX_UNSIGNED,
    RETRY,
    WARMUP,
    AnyWordBool,
    BfdCheck,
    CheckTiming,
    DnsCheck,
    FileCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from kactl_agent.config.schema.http_check import HttpGet, SslGet
from kactl_agent.config.schema.keyword import BOOL, FLAG, Keyword, Keywords, Legacy
from kactl_agent.config.schema.network import IpAddress, Port
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.shapes import (
    Block,
    Choice,
    Integer,
    Json,
    Line,
    Maybe,
    Optional,
    Scalar,
    Text,
    ValueFault,
    WholeSeconds,
)

# -- scalars ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddressRange(Scalar[str]):
    """One address, all addresses of a network (`10.1.0.8/29`), or a range: `10.1.0.1-9`, `2001:db8::1-ff`, `10.1.0.1-10.1.1.9`.

    Both ends are included; the short end of a range is its last byte in decimal for IPv4, its last 16 bits in hexadecimal
    for IPv6. Value: canonical text.
    """

    def parse(self, text: str) -> str:
        try:
            return self._canonical(text)
        except ValueError:
            raise ValueFault(
                f"`{text}` is no address, network or range of addresses", f"expected {self.describe()}"
            ) from None

    def _canonical(self, text: str) -> str:
        first, dash, last = text.partition("-")
        if not dash:
            address, slash, length = first.partition("/")
            if slash and not re.fullmatch("[0-9]+", length):
                raise ValueError(text)
            ipaddress.ip_network(first, strict=False)
            return str(ipaddress.ip_address(address)) + (f"/{int(length)}" if slash else "")
        start = ipaddress.ip_address(first)
        four = isinstance(start, ipaddress.IPv4Address)
        if re.fullmatch("[0-9]{1,3}" if four else "[0-9a-fA-F]{1,4}", last):
            bits, base = (8, 10) if four else (16, 16)
            end = int(last, base)
            if end >> bits or end <= int(start) & (1 << bits) - 1:
                raise ValueFault(f"the end of `{text}` is not behind its start within the last {bits} bits")
            return f"{start}-{end if four else format(end, 'x')}"
        stop = ipaddress.ip_address(last)
        if stop.version != start.version or int(stop) < int(start):
            raise ValueFault(f"the end of `{text}` is before its start")
        return f"{start}-{stop}"

    def describe(self) -> str:
        return "<ip>[/<length>]|<ip>-<last part>|<ip>-<ip>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "string"}


@dataclass(frozen=True)
class Granularity(Scalar[str]):
    """An IPv4 netmask in dotted form, or the length of an IPv6 prefix. Value: canonical text.

    Fewer than four parts are read as inet_aton(3) does, and keepalived: 255.255.65280 is 255.255.255.0. It takes a
    single number too.
    """

    def parse(self, text: str) -> str:
        if re.fullmatch(r"[0-9]{1,3}", text) and 1 <= int(text) <= 128:
            return str(int(text))
        if "." in text and (mask := self._loose(text)) is not UNSET:
            return mask
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueFault(
                f"`{text}` is no netmask or prefix length", f"expected {self.describe()}", taken=self._loose(text)
            ) from None

    def _loose(self, text: str) -> str | UnsetType:
        """A mask in parts that are decimal."""
        try:
            return socket.inet_ntoa(socket.inet_aton(text)) if re.fullmatch(r"[0-9.]+", text) else UNSET
        except OSError:
            return UNSET

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if value.isdigit() else value

    def describe(self) -> str:
        return "<netmask>|<1..128>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 128}, {"type": "string"}]}


# -- lines ------------------------------------------------------------------------------------------------------------


class LvsMethod(Keywords, frozen=True, kw_only=True):
    """How packets reach a real server: `NAT`, `DR`, or `TUN` with its kind of tunnel."""

    method: Annotated[
        Maybe[str],
        Keyword(
            Choice(("NAT", "DR", "TUN")),
            "NAT rewrites addresses both ways; DR (direct routing) hands the packet on within the link; TUN sends it through a tunnel",
            position=0,
            required=True,
            process="checker",
        ),
    ] = UNSET
    type: Annotated[
        Maybe[str],
        Keyword(
            Choice(("ipip", "gue", "gre")),
            "Kind of tunnel: IP in IP, generic UDP encapsulation (Linux 5.2), GRE (Linux 5.3)",
            default="ipip",
            process="checker",
        ),
    ] = UNSET
    port: Annotated[
        Maybe[int],
        Keyword(Port(), "UDP port of a gue tunnel, which must have one", default="none", process="checker"),
    ] = UNSET
    checksum: Annotated[
        Maybe[str],
        Keyword(
            Choice(("nocsum", "csum", "remcsum")),
            "Checksum of the tunnel: none, full, or remote checksum offload. gue, and but for remcsum gre (Linux 5.3)",
            default="nocsum",
            bare_word=True,
            process="checker",
        ),
    ] = UNSET


class SorryServer(Keywords, frozen=True, kw_only=True):
    """`ADDRESS [PORT]` of the sorry server."""

    address: Annotated[
        Maybe[str], Keyword(IpAddress(), "Its address", position=0, required=True, process="checker")
    ] = UNSET
    port: Annotated[
        Maybe[int],
        Keyword(Port(zero=True), "Its port", default="the virtual server's", position=1, process="checker"),
    ] = UNSET


class GroupMember(Keywords, frozen=True, kw_only=True):
    """An entry of virtual_server_group: addresses with a port, or a firewall mark."""

    address: Annotated[
        Maybe[str],
        Keyword(
            AddressRange(),
            "An address, a network (a service for each of its addresses) or a range of addresses",
            position=0,
            process="checker",
        ),
    ] = UNSET
    port: Annotated[
        Maybe[int],
        Keyword(
            Port(zero=True),
            "Port of the services; 0 is every port, which needs persistence_timeout",
            default="0",
            position=1,
            process="checker",
        ),
    ] = UNSET
    fwmark: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED),
            "Firewall mark of the packets that are balanced",
            default="none: an address says which packets",
            drops_line=True,
            process="checker",
        ),
    ] = UNSET
    family: Annotated[
        Maybe[str],
        Keyword(
            Choice(("inet", "inet6")),
            "Family of the packets with that mark; needed only when all real servers are tunnelled",
            default="that of the real servers",
            bare_word=True,
            process="checker",
        ),
    ] = UNSET


# -- servers ------------------------------------------------------------------------------------------------------------


class Server(CheckTiming, frozen=True, kw_only=True):
    """What virtual and real servers share."""

    address: Annotated[
        Maybe[str],
        Keyword(IpAddress(), "Address of the server", position=0, process="checker"),
    ] = UNSET
    port: Annotated[
        Maybe[int],
        Keyword(Port(zero=True), "Port of the server", position=1, process="checker"),
    ] = UNSET
    snmp_name: Annotated[
        Maybe[str],
        Keyword(Text("name"), "Name of the server in SNMP", default="none", process="checker"),
    ] = UNSET
    virtualhost: Annotated[
        Maybe[str],
        Keyword(
            Text("host"),
            "Host header of its HTTP_GET and SSL_GET checkers",
            default="the virtual server's, then address and port",
            process="checker",
        ),
    ] = UNSET
    connect_timeout: Annotated[Maybe[int], CONNECT_TIMEOUT] = UNSET
    inhibit_on_failure: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Set the weight of a failed real server to 0 rather than taking it out: its connections go on",
            default="the virtual server's; off",
            process="checker",
        ),
    ] = UNSET


_RETRY = replace(RETRY, shape=Integer(1, MAX_UNSIGNED))
"""keepalived takes 0 in checkers alone."""

_SERVER_LEGACY: Mapping[str, Legacy] = {
    "nat_mask": Legacy("Netmask of a NAT service; the kernel has had none since Linux 2.4"),
    "nb_get_retry": Legacy("Number of tries of a check, in the words of HTTP_GET up to version 1.2", "retry"),
}

_REAL_SERVER_LEGACY: Mapping[str, Legacy] = {
    **_SERVER_LEGACY,
    "persistence_timeout": Legacy(
        "Persistence of clients; it belongs to the virtual server", "persistence_timeout of virtual_server"
    ),
    "protocol": Legacy("Protocol of the service; it belongs to the virtual server", "protocol of virtual_server"),
    "lb_algo": Legacy("Scheduler; it belongs to the virtual server", "lb_algo of virtual_server"),
    "lb_kind": Legacy("How packets reach the server; in a real server it has one name only", "lvs_method"),
    "quorum_weight": Legacy("Part of a real server in the quorum; its weight is what counts", "weight"),
    "status_code": Legacy("Status codes that are success; they belong into a url block of HTTP_GET", "url"),
    "connect_port": Legacy("Port to check; it belongs into a checker", "connect_port of the checker"),
    "misc_path": Legacy("Program that checks; it belongs into a checker", "MISC_CHECK"),
}

_VIRTUAL_SERVER_LEGACY: Mapping[str, Legacy] = {
    **_SERVER_LEGACY,
    "timeout": Legacy("Time a connection may take", "connect_timeout"),
    "syn_proxy": Legacy("SYN proxy of the Alibaba LVS kernel; no other kernel has it"),
    "laddr_group_name": Legacy("Local addresses of full NAT, of the Alibaba LVS kernel; no other kernel has it"),
    "establish_timeout": Legacy(
        "Time an idle connection is kept, of the Alibaba LVS kernel", "lvs_timeouts in global_defs"
    ),
}


class RealServer(Server, frozen=True, kw_only=True):
    """real_server: a member of the pool. `real_server ADDRESS [PORT] { ... }`"""

    legacy: ClassVar[Mapping[str, Legacy]] = _REAL_SERVER_LEGACY

    address: Annotated[
        Maybe[str],
        Keyword(IpAddress(), "Address of the real server", position=0, required=True, process="checker"),
    ] = UNSET
    port: Annotated[
        Maybe[int],
        Keyword(
            Port(zero=True),
            "Port of the real server; only NAT and gue tunnels can change the port",
            default="the virtual server's",
            position=1,
            process="checker",
        ),
    ] = UNSET
    alpha: Annotated[Maybe[bool], replace(ALPHA, default="the virtual server's; off")] = UNSET
    delay_loop: Annotated[Maybe[int], replace(DELAY_LOOP, default="the virtual server's; 60")] = UNSET
    retry: Annotated[
        Maybe[int], replace(_RETRY, default="the virtual server's; 1, for DNS_CHECK 3, for MISC_CHECK 0")
    ] = UNSET
    delay_before_retry: Annotated[
        Maybe[int],
        replace(
            DELAY_BEFORE_RETRY,
            default="the virtual server's; 1, for HTTP_GET and SSL_GET 3, for DNS_CHECK its delay_loop",
        ),
    ] = UNSET
    warmup: Annotated[Maybe[int], replace(WARMUP, default="the virtual server's; the delay_loop")] = UNSET
    connect_timeout: Annotated[Maybe[int], replace(CONNECT_TIMEOUT, default="the virtual server's; 5")] = UNSET
    weight: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_SIGNED),
            "Share of the connections it gets, relative to the others; 0: no new ones",
            default="the virtual server's weight",
            process="checker",
        ),
    ] = UNSET
    lvs_method: Annotated[
        Maybe[LvsMethod],
        Keyword(
            Line(LvsMethod), "How packets reach this server", default="the virtual server's lb_kind", process="checker"
        ),
    ] = UNSET
    uthreshold: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED, unit="connections"),
            "Connections at which it gets no new ones; 0: no limit",
            default="0",
            process="checker",
        ),
    ] = UNSET
    lthreshold: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED, unit="connections"),
            "Connections below which it gets new ones again after uthreshold was reached",
            default="0: three quarters of uthreshold",
            process="checker",
        ),
    ] = UNSET
    smtp_alert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Send mail when it goes up or down",
            default="smtp_alert_checker, then smtp_alert of global_defs; on",
            process="checker",
        ),
    ] = UNSET
    notify_up: Annotated[
        Maybe[Script],
        Keyword(Line(Script), "Command to run when it goes up", default="none", again="ignored", process="checker"),
    ] = UNSET
    notify_down: Annotated[
        Maybe[Script],
        Keyword(Line(Script), "Command to run when it goes down", default="none", again="ignored", process="checker"),
    ] = UNSET
    http_get: Annotated[
        Maybe[tuple[HttpGet, ...]],
        Keyword(
            Block(HttpGet, many=True, single_form=True),
            "Ask a web server",
            name="HTTP_GET",
            default="none",
            process="checker",
        ),
    ] = UNSET
    ssl_get: Annotated[
        Maybe[tuple[SslGet, ...]],
        Keyword(
            Block(SslGet, many=True, single_form=True),
            "Ask a web server over TLS",
            name="SSL_GET",
            default="none",
            process="checker",
        ),
    ] = UNSET
    tcp_check: Annotated[
        Maybe[tuple[TcpCheck, ...]],
        Keyword(
            Block(TcpCheck, many=True, single_form=True),
            "Make a TCP connection",
            name="TCP_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET
    smtp_check: Annotated[
        Maybe[tuple[SmtpCheck, ...]],
        Keyword(
            Block(SmtpCheck, many=True, single_form=True),
            "Talk to a mail server",
            name="SMTP_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET
    dns_check: Annotated[
        Maybe[tuple[DnsCheck, ...]],
        Keyword(
            Block(DnsCheck, many=True, single_form=True),
            "Ask a DNS server",
            name="DNS_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET
    udp_check: Annotated[
        Maybe[tuple[UdpCheck, ...]],
        Keyword(
            Block(UdpCheck, many=True, single_form=True),
            "Send a UDP datagram",
            name="UDP_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET
    ping_check: Annotated[
        Maybe[tuple[PingCheck, ...]],
        Keyword(
            Block(PingCheck, many=True, single_form=True),
            "Send an ICMP echo request",
            name="PING_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET
    misc_check: Annotated[
        Maybe[tuple[MiscCheck, ...]],
        Keyword(
            Block(MiscCheck, many=True, single_form=True),
            "Run a program",
            name="MISC_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET
    file_check: Annotated[
        Maybe[tuple[FileCheck, ...]],
        Keyword(
            Block(FileCheck, many=True, single_form=True),
            "Follow the value in a file",
            name="FILE_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET
    bfd_check: Annotated[
        Maybe[tuple[BfdCheck, ...]],
        Keyword(
            Block(BfdCheck, many=True, single_form=True),
            "Follow a BFD session",
            name="BFD_CHECK",
            default="none",
            process="checker",
        ),
    ] = UNSET


class VirtualServer(Server, frozen=True, kw_only=True):
    """virtual_server: an IPVS service, or those of a group.

    `virtual_server ADDRESS [PORT] { ... }`, `virtual_server fwmark MARK { ... }` or `virtual_server group NAME { ... }`.
    """

    legacy: ClassVar[Mapping[str, Legacy]] = _VIRTUAL_SERVER_LEGACY

    address: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(), "Address of the service. It has an address, a fwmark or a group", position=0, process="checker"
        ),
    ] = UNSET
    port: Annotated[
        Maybe[int],
        Keyword(
            Port(zero=True),
            "Port of the service; 0 is every port, which needs persistence_timeout",
            default="0",
            position=1,
            process="checker",
        ),
    ] = UNSET
    fwmark: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED),
            "Firewall mark of the packets that are balanced, whatever their address",
            default="none",
            header=True,
            process="checker",
        ),
    ] = UNSET
    group: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "The virtual_server_group whose members are the services",
            default="none",
            header=True,
            process="checker",
        ),
    ] = UNSET
    alpha: Annotated[
        Maybe[bool],
        Keyword(
            AnyWordBool(),
            "Take real servers for down at the start, until their checks have succeeded once. keepalived 2.2 takes `off` for on",
            default="off",
            process="checker",
        ),
    ] = UNSET
    delay_loop: Annotated[Maybe[int], replace(DELAY_LOOP, default="60")] = UNSET
    retry: Annotated[Maybe[int], replace(_RETRY, default="1, for DNS_CHECK 3, for MISC_CHECK 0")] = UNSET
    delay_before_retry: Annotated[
        Maybe[int],
        replace(DELAY_BEFORE_RETRY, default="1, for HTTP_GET and SSL_GET 3, for DNS_CHECK its delay_loop"),
    ] = UNSET
    warmup: Annotated[Maybe[int], replace(WARMUP, default="the delay_loop")] = UNSET
    connect_timeout: Annotated[Maybe[int], replace(CONNECT_TIMEOUT, default="5")] = UNSET
    virtualhost: Annotated[
        Maybe[str],
        Keyword(
            Text("host"),
            "Host header of its HTTP_GET and SSL_GET checkers",
            default="address and port",
            process="checker",
        ),
    ] = UNSET
    inhibit_on_failure: Annotated[
        Maybe[bool],
        Keyword(
            AnyWordBool(),
            "Set the weight of failed real servers to 0 rather than taking them out: their connections go on. keepalived 2.2 "
            "takes `off` for on",
            default="off",
            process="checker",
        ),
    ] = UNSET
    protocol: Annotated[
        Maybe[str],
        Keyword(
            Choice(("TCP", "UDP", "SCTP"), any_case=True),
            "Protocol of the service. A fwmark service has none",
            default="TCP, or UDP with a message where the checkers do not tell",
            process="checker",
        ),
    ] = UNSET
    ip_family: Annotated[
        Maybe[str],
        Keyword(
            Choice(("inet", "inet6")),
            "Family of a fwmark service; needed only when all real servers are tunnelled",
            default="that of the real servers; inet",
            process="checker",
        ),
    ] = UNSET
    lb_algo: Annotated[
        Maybe[str],
        Keyword(
            Choice(("rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos")),
            "Scheduler that chooses the real server, by its name in ipvsadm(8); twos since 2.2.7",
            default="wlc",
            synonyms=("lvs_sched",),
            process="checker",
        ),
    ] = UNSET
    flag_1: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "First flag of the scheduler (`-b flag-1` of ipvsadm)",
            name="flag-1",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    flag_2: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Second flag of the scheduler (`-b flag-2` of ipvsadm)",
            name="flag-2",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    flag_3: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Third flag of the scheduler (`-b flag-3` of ipvsadm)",
            name="flag-3",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    sh_port: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Scheduler sh: hash the source port too",
            name="sh-port",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    sh_fallback: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Scheduler sh: choose another server where the hashed one is not available",
            name="sh-fallback",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    mh_port: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Scheduler mh: hash the source port too",
            name="mh-port",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    mh_fallback: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Scheduler mh: choose another server where the hashed one is not available",
            name="mh-fallback",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    hashed: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Scheduler sh: mark the service as hashed (IP_VS_SVC_F_HASHED)",
            default="off",
            after="lb_algo",
            process="checker",
        ),
    ] = UNSET
    ops: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Schedule every packet by itself (one-packet scheduling). UDP only",
            default="off",
            process="checker",
        ),
    ] = UNSET
    lb_kind: Annotated[
        Maybe[LvsMethod],
        Keyword(
            Line(LvsMethod),
            "How packets reach the real servers",
            default="NAT",
            synonyms=("lvs_method",),
            process="checker",
        ),
    ] = UNSET
    persistence_timeout: Annotated[
        Maybe[bool | int],
        Keyword(
            Optional(WholeSeconds(minimum=1_000_000, maximum=2_678_400_000_000)),
            "Keep a client at its real server until it has been silent for so many seconds; without a value, 360",
            default="off",
            process="checker",
        ),
    ] = UNSET
    persistence_granularity: Annotated[
        Maybe[str],
        Keyword(
            Granularity(),
            "Clients that count as one for persistence: an IPv4 netmask, or an IPv6 prefix length",
            default="each address by itself",
            process="checker",
        ),
    ] = UNSET
    persistence_engine: Annotated[
        Maybe[str],
        Keyword(Text("name"), "Persistence engine of the kernel; there is one: sip", default="none", process="checker"),
    ] = UNSET
    ha_suspend: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Run no checks while the address of the service is not on this machine. Without effect for groups",
            default="off",
            process="checker",
        ),
    ] = UNSET
    smtp_alert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Send mail when the quorum is gained or lost",
            default="smtp_alert_checker, then smtp_alert of global_defs; off",
            process="checker",
        ),
    ] = UNSET
    omega: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Run notify_down and quorum_down commands, and send their mail, when the agent stops",
            default="off",
            process="checker",
        ),
    ] = UNSET
    quorum: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, MAX_UNSIGNED, otherwise=1),
            "Total weight of the live real servers below which the service counts as down",
            default="1",
            process="checker",
        ),
    ] = UNSET
    hysteresis: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED),
            "Weight by which the total must be over the quorum to gain it, and under it to lose it: dampens flapping",
            default="0",
            process="checker",
        ),
    ] = UNSET
    quorum_up: Annotated[
        Maybe[Script],
        Keyword(
            Line(Script), "Command to run when the quorum is gained", default="none", again="ignored", process="checker"
        ),
    ] = UNSET
    quorum_down: Annotated[
        Maybe[Script],
        Keyword(
            Line(Script), "Command to run when the quorum is lost", default="none", again="ignored", process="checker"
        ),
    ] = UNSET
    weight: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, MAX_SIGNED), "Weight of real servers that do not say their own", default="1", process="checker"
        ),
    ] = UNSET
    sorry_server: Annotated[
        Maybe[SorryServer],
        Keyword(
            Line(SorryServer),
            "Server that takes the place of the pool while the quorum is lost",
            default="none",
            process="checker",
        ),
    ] = UNSET
    sorry_server_inhibit: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Leave the sorry server in the pool with weight 0 while it is not needed",
            default="off",
            after="sorry_server",
            process="checker",
        ),
    ] = UNSET
    sorry_server_lvs_method: Annotated[
        Maybe[LvsMethod],
        Keyword(Line(LvsMethod), "How packets reach the sorry server", default="as lb_kind", process="checker"),
    ] = UNSET
    real_server: Annotated[
        Maybe[tuple[RealServer, ...]],
        Keyword(
            Block(RealServer, many=True),
            "A member of the pool. `real_server ADDRESS [PORT] { ... }`",
            default="none: without a real or sorry server the virtual server is dropped",
            process="checker",
        ),
    ] = UNSET

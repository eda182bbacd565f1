"""Which virtual or real server an operator means by a text."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import TypeVar

from kactl_agent.ipvs.model import PROTOCOLS
from kactl_agent.ipvs.settings import RealServerSettings, VirtualServerSettings

T = TypeVar("T")
_MOST_SHOWN = 20


class NotFound(Exception):
    """None, or more than one; the message says what there is."""


class Ambiguous(NotFound):
    """More than one."""


def find_virtual_server(servers: Sequence[VirtualServerSettings], text: str) -> VirtualServerSettings:
    """By its name (`[192.0.2.1]:tcp:80`), `192.0.2.1:80`, `[2001:db8::1]:80/udp`, its address alone, its firewall mark
    (`FWM 7`, `fwmark 7`), its group or its snmp_name. Raises NotFound."""
    found = [server for server in servers if text in virtual_server_names(server)]
    return _only(found, text, "virtual server", [server.name for server in servers])


def find_real_server(server: VirtualServerSettings, text: str) -> int:
    """Its place, by `10.0.0.1:8080`, `[2001:db8::1]:80` or the address alone. Raises NotFound."""
    known = [real_server_name(real) for real in server.real_servers]
    found = [
        place
        for place, real in enumerate(server.real_servers)
        if text in (known[place], str(ip_address(real.address)), real.snmp_name or known[place])
    ]
    return _only(found, text, f"real server of {server.name}", known)


def virtual_server_names(server: VirtualServerSettings) -> set[str]:
    """All that it answers to."""
    names = {server.name} | ({server.snmp_name} if server.snmp_name else set())
    if server.group:
        return names | {server.group}
    member = server.members[0]
    if not member.first:
        return names | {f"fwmark {member.fwmark}"}
    where = _where(member.first, member.port)
    return names | {where, f"{where}/{PROTOCOLS.get(server.protocol, '')}", str(ip_address(member.first))}


def real_server_name(real: RealServerSettings) -> str:
    """`10.0.0.1:8080`, `[2001:db8::1]:80`"""
    return _where(real.address, real.port)


def _where(address: bytes, port: int) -> str:
    text = str(ip_address(address))
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def _only(found: Sequence[T], text: str, what: str, known: Sequence[str]) -> T:
    if len(found) == 1:
        return found[0]
    shown = ", ".join(known[:_MOST_SHOWN]) + (", ..." if len(known) > _MOST_SHOWN else "")
    known_as = f"`{text}`; there are: {shown or 'none'}"
    if found:
        raise Ambiguous(f"more than one {what} is {known_as}")
    raise NotFound(f"there is no {what} {known_as}")

"""What a reload does to virtual servers and their real servers."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from kactl_agent.config.impact import Change, Impact
from kactl_agent.ipvs.settings import CheckersSettings, RealServerSettings, VirtualServerSettings

_ENDED = "connections through it break"


def virtual_server_changes(old: CheckersSettings, new: CheckersSettings) -> Iterator[Change]:
    """Virtual servers are the same ones when name, protocol and family are; real servers when address and port are."""
    before = {server.identity: server for server in old.virtual_servers}
    after = {server.identity: server for server in new.virtual_servers}
    for identity, server in before.items():
        if identity not in after:
            yield Change(_subject(server), Impact.DISRUPTIVE, f"ends: {_ENDED}", _addresses(server))
    for identity, server in after.items():
        known = before.get(identity)
        if known is None:
            count = len(server.real_servers)
            text = f"begins with {count} real server{'' if count == 1 else 's'}"
            yield Change(_subject(server), Impact.HITLESS, text, _addresses(server))
        elif known != server:
            yield from _server(known, server)
    fields = [
        field
        for field in new.__struct_fields__
        if field not in ("virtual_servers", "given_marks") and getattr(old, field) != getattr(new, field)
    ]
    if fields:
        text = f"other settings for all of it ({', '.join(fields)})"
        yield Change("load balancing", Impact.HITLESS, text)


def _subject(server: VirtualServerSettings) -> str:
    return f"virtual_server {server.name}"


def _addresses(server: VirtualServerSettings) -> tuple[str, ...]:
    return tuple(str(ip_address(members.first)) for members in server.members if members.first)


def _server(old: VirtualServerSettings, new: VirtualServerSettings) -> Iterator[Change]:
    subject, addresses = _subject(new), _addresses(new)
    for members in old.members:
        if members not in new.members:
            text = f"{_member_text(members)} is no longer a member: {_ENDED}"
            yield Change(subject, Impact.DISRUPTIVE, text, addresses)
    for members in new.members:
        if members not in old.members:
            yield Change(subject, Impact.HITLESS, f"{_member_text(members)} is a member now", addresses)
    fields = [
        field
        for field in new.__struct_fields__
        if field not in ("name", "members", "real_servers") and getattr(old, field) != getattr(new, field)
    ]
    if fields:
        said = ", ".join(_field_text(field, getattr(old, field), getattr(new, field)) for field in fields)
        yield Change(subject, Impact.HITLESS, said, addresses)
    yield from _real_servers(subject, addresses, old, new)


def _real_servers(
    subject: str, addresses: tuple[str, ...], old: VirtualServerSettings, new: VirtualServerSettings
) -> Iterator[Change]:
    before = {(server.address, server.port): server for server in old.real_servers}
    after = {(server.address, server.port): server for server in new.real_servers}
    for key, server in before.items():
        if key not in after:
            yield Change(subject, Impact.BRIEF, f"real server {_name(server)} is removed: {_ENDED}", addresses)
    for key, server in after.items():
        known = before.get(key)
        if known is None:
            yield Change(subject, Impact.HITLESS, f"real server {_name(server)} is added", addresses)
        elif known.forwarding != server.forwarding:
            text = f"packets reach real server {_name(server)} another way: {_ENDED}"
            yield Change(subject, Impact.BRIEF, text, addresses)
        elif known != server:
            yield Change(subject, Impact.HITLESS, f"real server {_name(server)}: {_what(known, server)}", addresses)


def _what(old: RealServerSettings, new: RealServerSettings) -> str:
    fields = [field for field in new.__struct_fields__ if getattr(old, field) != getattr(new, field)]
    parts = [_field_text(field, getattr(old, field), getattr(new, field)) for field in fields if field != "checkers"]
    if "checkers" in fields:
        parts.append("checkers that changed begin anew")
    return ", ".join(parts)


_SHOWN = (bool, int, str)


def _field_text(field: str, old: Any, new: Any) -> str:
    """Commands are not shown: there may be secrets among their arguments."""
    if isinstance(old, _SHOWN) and isinstance(new, _SHOWN):
        return f"{field} {old} -> {new}"
    return f"{field} changes"


def _name(server: RealServerSettings) -> str:
    host = str(ip_address(server.address))
    return f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"


def _member_text(members: Any) -> str:
    if not members.first:
        return f"fwmark {members.fwmark}"
    more = f" and {members.count - 1} more" if members.count > 1 else ""
    return f"{ip_address(members.first)} port {members.port}{more}"

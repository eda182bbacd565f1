"""virtual_server: what keepalived leaves out, defaults with a message, or reduces."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet, carried
from kactl_agent.config.schema.shapes import or_default


def check(sheet: Sheet) -> None:
    seen: dict[tuple[Any, ...], int] = {}
    for index, server in enumerate(or_default(sheet.document.config.virtual_server, ())):
        path: Path = ("virtual_server", index)
        name = _name(server)
        _defaults(sheet, path, name, server)
        _real_servers(sheet, path, name, server)
        _quorum(sheet, path, name, server)
        _tunnels(sheet, path, server)
        known_by = _inet6(server) if server.fwmark is not UNSET else or_default(server.protocol, "")
        key = (server.address, server.port, server.fwmark, server.group, known_by)
        if key in seen:
            first = sheet.document.place(("virtual_server", seen[key]))
            sheet.warning(
                path,
                "duplicate-virtual-server",
                f"virtual server {name} stands here twice",
                f"first at {first.file}:{first.line}",
            )
        else:
            seen[key] = index


def _inet6(server: Any) -> bool:
    """Of a firewall mark: it has a service for each address family, that of real servers which are not tunnelled."""
    for real in or_default(server.real_server, ()):
        said = server.lb_kind if real.lvs_method is UNSET else real.lvs_method
        if said is UNSET or said.method != "TUN":
            return ":" in or_default(real.address, "")
    return bool(or_default(server.ip_family, "inet") == "inet6")


def _name(server: Any) -> str:
    if server.fwmark is not UNSET:
        return f"fwmark {server.fwmark}"
    if server.group is not UNSET:
        return f"group {server.group}"
    address, port = or_default(server.address, "?"), or_default(server.port, 0)
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def _defaults(sheet: Sheet, path: Path, name: str, server: Any) -> None:
    if server.fwmark is UNSET and server.group is UNSET and server.protocol is UNSET:
        sheet.warning(
            path,
            "no-protocol",
            f"virtual server {name} says no {'valid ' * bool(carried(server, 'protocol'))}protocol: UDP is taken, "
            "as keepalived does",
            "say TCP, UDP or SCTP",
        )
    if server.fwmark is not UNSET and server.protocol is not UNSET:
        sheet.warning(
            (*path, "protocol"),
            "fwmark-protocol",
            f"virtual server {name}: a firewall mark has no protocol; it is ignored",
        )
    if server.lb_algo is UNSET and not (carried(server, "lb_algo") or carried(server, "lvs_sched")):
        sheet.note(path, "no-lb-algo", f"virtual server {name} says no lb_algo: wlc is taken")
    if server.lb_kind is UNSET and not (carried(server, "lb_kind") or carried(server, "lvs_method")):
        sheet.note(path, "no-lb-kind", f"virtual server {name} says no lb_kind: NAT is taken")


def _real_servers(sheet: Sheet, path: Path, name: str, server: Any) -> None:
    real_servers = or_default(server.real_server, ())
    if not real_servers and server.sorry_server is UNSET:
        sheet.warning(path, "no-real-servers", f"virtual server {name} has no real servers and is left out")
    seen: dict[tuple[Any, Any], int] = {}
    for index, real in enumerate(real_servers):
        key = _identity(server, real)
        if key in seen:
            sheet.error(
                (*path, "real_server", index),
                "duplicate-real-server",
                f"real server {key[0]} port {key[1]} stands in virtual server {name} twice",
                "leave one of them out",
                ignored=True,
            )
        seen.setdefault(key, index)


def _identity(server: Any, real: Any) -> tuple[Any, Any]:
    """Address and port; a real server without a port has its virtual server's."""
    return real.address, or_default(real.port, or_default(server.port, 0))


def _quorum(sheet: Sheet, path: Path, name: str, server: Any) -> None:
    quorum = or_default(server.quorum, 1)
    default_weight = or_default(server.weight, 1)
    weights: dict[tuple[Any, Any], int] = {}
    for real in or_default(server.real_server, ()):
        weights.setdefault(_identity(server, real), or_default(real.weight, default_weight))
    total = sum(weights.values())
    if server.quorum is not UNSET and total and quorum > total:
        sheet.warning(
            (*path, "quorum"),
            "quorum-too-high",
            f"quorum {quorum} of {name} exceeds the weight of its real servers: reduced to {total}",
        )
        quorum = total
    if server.hysteresis is not UNSET and server.hysteresis >= quorum:
        sheet.warning(
            (*path, "hysteresis"),
            "hysteresis-too-high",
            f"hysteresis {server.hysteresis} of {name} is not below quorum {quorum}: {quorum - 1} is taken",
        )


def _tunnels(sheet: Sheet, path: Path, server: Any) -> None:
    said = [((*path, "lb_kind"), server.lb_kind), ((*path, "sorry_server_lvs_method"), server.sorry_server_lvs_method)]
    for index, real in enumerate(or_default(server.real_server, ())):
        said.append(((*path, "real_server", index, "lvs_method"), real.lvs_method))
    for place, method in said:
        if fault := tunnel_fault(method):
            text = f"{fault}: it is one of type ipip, without a port or a checksum"
            sheet.warning(place, "tunnel-options", text, "gue has a port and any checksum, gre csum or nocsum")


def tunnel_fault(said: Any) -> str:
    """What is wrong with the words behind TUN; empty when nothing is. keepalived 2.2.7 takes none of them then."""
    if said is UNSET or said.method != "TUN":
        return ""
    kind, checksum = or_default(said.type, "ipip"), or_default(said.checksum, "nocsum")
    port = bool(or_default(said.port, 0))
    if kind == "gue":
        return "" if port else "a tunnel of type gue needs a port"
    if port:
        return f"a tunnel of type {kind} has no port"
    if checksum == "remcsum" or (checksum == "csum" and kind == "ipip"):
        return f"a tunnel of type {kind} has no {checksum}"
    return ""

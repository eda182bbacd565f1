"""kactl decode: what is in captured packets, and whether the agent would take them."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from kactl.capture.files import RAW, CaptureFault, Frame, frames
from kactl.capture.layers import Packet, packet_of
from kactl.capture.verdicts import Onlooker, Verdict
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.config.document import Document
from kactl_agent.config.load import load_file
from kactl_agent.config.resolve import resolve
from kactl_agent.config.schema.global_defs import LvsSyncDaemon
from kactl_agent.config.schema.shapes import or_default

_EVERYTHING = 3  # ETH_P_ALL
_IP = (0x0800, 0x86DD)  # ETH_P_*
_WORDS = {True: "taken", False: "discarded", None: "depends"}


class ListeningFault(Exception):
    """An interface cannot be listened on. The text says why."""


@click.command(epilog="\b\nExample: kactl decode --config /etc/kactl/agent.yaml capture.pcap")
@click.argument("source", metavar="FILE|-|INTERFACE")
@click.option("--config", metavar="FILE", default="", help="Judge by this configuration of an agent, keys included.")
@click.option("--live", is_flag=True, help="SOURCE is an interface to listen on (needs CAP_NET_RAW).")
@click.option("--count", type=click.IntRange(1), default=None, help="Stop after so many packets.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="One JSON object a line, or text.")
@click.pass_obj
def decode(environment: Environment, source: str, config: str, live: bool, count: int | None, output: str) -> int:
    """Decode VRRP, BFD and IPVS sync messages, and say of each whether an agent would take or discard it, and why.

    FILE is a pcap or pcapng file, or text with packets in hexadecimal (from the IP or Ethernet header on, one a line,
    or as tcpdump -x prints them). The checks are those of the agent; without --config those that need no configuration.
    """
    onlooker = _onlooker(environment, config)
    if onlooker is None:
        return ExitCode.INVALID
    seen = 0
    try:
        for number, frame in enumerate(_frames(environment, source, live), 1):
            packet = packet_of(frame)
            known = None if packet is None else packet._replace(at=packet.at or time.time_ns())
            verdict = None if known is None else onlooker.judge(known)
            if packet is None or verdict is None:
                continue
            environment.write(_as_json(number, packet, verdict) if output == "json" else _text(number, packet, verdict))
            environment.stdout.flush()
            seen += 1
            if seen == count:
                break
    except CaptureFault as fault:
        environment.say(f"{source}: {fault}")
        return ExitCode.INVALID
    except ListeningFault as fault:
        environment.say(f"{source}: {fault}")
        return ExitCode.FAILED
    if not seen:
        environment.say(f"{source}: no packets of VRRP, BFD or IPVS synchronisation")
    return ExitCode.FINE


def _onlooker(environment: Environment, config: str) -> Onlooker | None:
    """None, and what is wrong is said, when the configuration cannot be used."""
    if not config:
        return Onlooker()
    document = load_file(config)
    found = list(document.diagnostics)
    if not document.errors:
        resolution = resolve(document)
        found += resolution.diagnostics
        if not any(each.severity.value == "error" for each in resolution.diagnostics):
            settings = resolution.settings
            return Onlooker(settings.vrrp, settings.bfd.sessions, _sync_ids(document))
    for each in found:
        if each.severity.value == "error":
            environment.say(f"{each.place.file}:{each.place.line}:{each.place.column}: {each.message}")
    return None


def _sync_ids(document: Document) -> dict[int, str]:
    """The sync_id of lvs_sync_daemon -> what it is called."""
    daemon = getattr(document.config.global_defs, "lvs_sync_daemon", None)
    if not isinstance(daemon, LvsSyncDaemon):
        return {}
    instance = or_default(document.config.vrrp_instance, {}).get(or_default(daemon.inst, ""))
    default = 0 if instance is None else or_default(instance.virtual_router_id, 0)
    return {or_default(daemon.id_, default): "lvs_sync_daemon"}


def _frames(environment: Environment, source: str, live: bool) -> Iterator[Frame]:
    if live:
        return _listen(source)
    return frames(environment.stdin.read() if source == "-" else Path(source).read_bytes())


def _listen(interface: str) -> Iterator[Frame]:
    """IP packets of an interface, of whatever kind that is, until it is gone. Raises ListeningFault."""
    with _open(interface) as sock:
        while True:
            try:
                data, (_interface, protocol, *_rest) = sock.recvfrom(1 << 16)
            except OSError as fault:
                if fault.errno == errno.ENETDOWN:
                    continue  # it is told once; what comes when the interface is up again is seen
                raise ListeningFault(fault.strerror) from fault
            if protocol in _IP:
                yield Frame(time.time_ns(), RAW, data)


def _open(interface: str) -> socket.socket:
    """For no protocol until it is bound: of other interfaces nothing is to be seen. Raises ListeningFault."""
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            sock.bind((interface, _EVERYTHING))
        except OSError:
            sock.close()
            raise
    except PermissionError as fault:
        raise ListeningFault(f"{fault.strerror}; listening needs CAP_NET_RAW") from fault
    except OSError as fault:
        raise ListeningFault(fault.strerror) from fault
    return sock


def _as_json(number: int, packet: Packet, verdict: Verdict) -> str:
    return json.dumps(
        {
            "number": number,
            "time": _time(packet.at) or None,
            "source": str(ip_address(packet.source)),
            "destination": str(ip_address(packet.destination)),
            "ttl": packet.ttl,
            "kind": verdict.kind,
            "subject": verdict.subject or None,
            "accepted": verdict.accepted,
            "reason": verdict.reason or None,
            "detail": verdict.detail or None,
            **verdict.fields,
        },
        ensure_ascii=False,
    )


def _text(number: int, packet: Packet, verdict: Verdict) -> str:
    at = f"{_time(packet.at)} " if packet.at else ""
    head = (
        f"#{number} {at}{ip_address(packet.source)} > {ip_address(packet.destination)} TTL {packet.ttl} {verdict.kind}"
    )
    lines = [head]
    lines += [f"  {label}: {value}" for label, value in _lines(verdict.fields)]
    why = f" ({verdict.reason})" if verdict.reason else ""
    by = f" by {verdict.subject}" if verdict.subject and verdict.accepted is not False else ""
    about = f" for {verdict.subject}" if verdict.subject and verdict.accepted is False else ""
    detail = f": {verdict.detail}" if verdict.detail else ""
    lines.append(f"  -> {_WORDS[verdict.accepted]}{by}{about}{why}{detail}")
    return "\n".join(lines)


def _lines(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if name == "checksum":
            forms = ", ".join(
                f"{form.replace('_', ' ')} {each['value']} {'(right)' if each['right'] else '(wrong)'}"
                for form, each in value.items()
                if form != "carried"
            )
            yield "checksum", f"{value['carried']}; {forms}"
        elif name == "connections":
            for connection in value:
                ends = f"{connection['client']} -> {connection['virtual']} -> {connection['destination']}"
                yield "connection", f"{ends} protocol {connection['protocol']} state {connection['state']}"
        elif isinstance(value, dict):
            yield name, ", ".join(f"{key} {each}" for key, each in value.items())
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value)) or "none"
        else:
            yield name, f"{value:g}" if isinstance(value, float) else str(value)


def _time(at: int) -> str:
    if not at:
        return ""
    moment = datetime.fromtimestamp(at // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1_000_000_000 // 1000:06d}Z"

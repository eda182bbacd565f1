"""Virtual servers as the checkers worker reports them: the `ipvs` part of the status."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.ipvs.model import AF_INET, PROTOCOLS
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime.checker_frames import (
    CheckersHeartbeat,
    MemberFacts,
    RealServerFacts,
    VirtualServerFacts,
    VirtualServerGone,
    VirtualServerStatus,
)

_FAMILIES = {AF_INET: "ipv4"}


class _Known:
    """What came of one virtual server, in parts of some real servers each."""

    def __init__(self) -> None:
        self.facts: dict[int, VirtualServerFacts] = {}
        self.status: dict[int, VirtualServerStatus] = {}

    @property
    def head(self) -> VirtualServerFacts:
        return self.facts[0]

    def take(self, facts: VirtualServerFacts) -> None:
        self.facts[facts.first] = facts
        for parts in (self.facts, self.status):
            for first in [first for first in parts if first and first >= facts.total]:
                del parts[first]  # there are fewer real servers than before


class CheckersState:
    """`status` is what clients see."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._beat: CheckersHeartbeat | None = None

    def register(self, handlers: Handlers) -> None:
        handlers.on(VirtualServerFacts, self.take_facts)
        handlers.on(VirtualServerStatus, self.take_status)
        handlers.on(VirtualServerGone, self.forget)
        handlers.on(CheckersHeartbeat, self.take_beat)
        handlers.on_loss("checkers", self.lost)

    def take_facts(self, frame: VirtualServerFacts) -> None:
        self._known.setdefault(frame.key, _Known()).take(frame)

    def take_status(self, frame: VirtualServerStatus) -> None:
        self._known.setdefault(frame.key, _Known()).status[frame.first] = frame

    def forget(self, frame: VirtualServerGone) -> None:
        self._known.pop(frame.key, None)

    def take_beat(self, frame: CheckersHeartbeat) -> None:
        self._beat = frame

    def lost(self) -> None:
        """Nothing is known of servers until there is a worker again: nothing is made up."""
        self._known.clear()
        self._beat = None

    @property
    def beat(self) -> CheckersHeartbeat | None:
        return self._beat

    def status(self) -> dict[str, Any]:
        servers = [known for known in self._known.values() if 0 in known.facts and 0 in known.status]
        servers.sort(key=lambda known: known.head.order)
        found: dict[str, Any] = {"virtual_servers": [_virtual_server(known) for known in servers]}
        if self._beat is not None:
            found["operations"] = self._beat.operations
            found["drifts"] = self._beat.drifts
            found["problems"] = list(self._beat.problems)
        return found


def _virtual_server(known: _Known) -> dict[str, Any]:
    facts, status = known.head, known.status[0]
    return {
        "name": facts.name,
        **_where(facts),
        "protocol": PROTOCOLS.get(facts.protocol, str(facts.protocol)).upper() if facts.protocol else None,
        "lb_algo": facts.scheduler,
        "lb_kind": facts.method,
        "persistence_timeout": facts.persistence_timeout or None,
        "snmp_name": facts.snmp_name or None,
        "quorum": facts.quorum,
        "hysteresis": facts.hysteresis,
        "quorum_up": status.quorum_up,
        "weight": status.weight,
        "sorry_server": facts.sorry_server or None,
        "sorry_server_active": status.sorry_active,
        "suspended": status.suspended,
        "real_servers": list(_real_servers(known)),
        "as_of": timestamp(status.at),
    }


def _where(facts: VirtualServerFacts) -> dict[str, Any]:
    """Of a virtual server of its own `address` and `port`, or `fwmark`; of a group its members."""
    if facts.group:
        return {
            "address": None, "port": None, "group": facts.group,
            "members": [_member(member) for member in facts.members],
        }  # fmt: skip
    member = facts.members[0]
    if not member.address:
        return {"address": None, "port": None, "fwmark": member.fwmark, "family": _family(member)}
    return {"address": str(ip_address(member.address)), "port": member.port}


def _member(member: MemberFacts) -> dict[str, Any]:
    if not member.address:
        return {"fwmark": member.fwmark, "family": _family(member)}
    first = ip_address(member.address)
    last = {"last_address": str(first + member.count - 1)} if member.count > 1 else {}
    return {"address": str(first), **last, "port": member.port}


def _family(member: MemberFacts) -> str:
    return _FAMILIES.get(member.family, "ipv6")


def _real_servers(known: _Known) -> Iterator[dict[str, Any]]:
    for first, facts in sorted(known.facts.items()):
        status = known.status.get(first)
        for place, real in enumerate(facts.real_servers):
            if status is None or place >= len(status.servers):
                continue
            server = status.servers[place]
            checkers = status.checkers[place] if place < len(status.checkers) else ()
            yield {
                **_real_server(real),
                "alive": server.alive,
                "weight": server.weight,
                "effective_weight": server.effective_weight,
                "ordered": _ordered(server.ordered),
                "checkers": [
                    _checker(checker, where, status) for checker, where in zip(checkers, real.checkers, strict=False)
                ],
            }


def _ordered(weight: int | None) -> dict[str, Any] | None:
    """What an operator has for it in place of its weight."""
    return None if weight is None else {"weight": weight, "drained": weight == 0}


def _real_server(real: RealServerFacts) -> dict[str, Any]:
    return {
        "address": str(ip_address(real.address)),
        "port": real.port,
        "lb_kind": real.method,
        "snmp_name": real.snmp_name or None,
        "inhibit_on_failure": real.inhibit,
    }


def _checker(checker: CheckerSnapshot, where: str, status: VirtualServerStatus) -> dict[str, Any]:
    def moment(at: int | None) -> str | None:
        return None if at is None else timestamp(status.at - (status.now - at))

    return {
        "type": checker.checker,
        "target": where or None,
        "up": checker.up,
        "last_result": checker.last_result or None,
        "last_success": checker.last_success,
        "last_run": moment(checker.last_run),
        "last_duration_ms": checker.last_duration / 1e6 if checker.last_run is not None else None,
        "since": moment(checker.since),
        "failures": checker.failures,
        "runs": checker.runs,
        "failed_runs": checker.failed_runs,
        "suspended": checker.suspended,
    }

"""What the checkers worker has to say: to the log, to the journal with causes, and its state to the observer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from ipaddress import ip_address
from itertools import islice

from kactl_agent.checkers.actions import CheckFailed
from kactl_agent.checkers.settings import AnyCheckerSettings, BfdCheckSettings, ConnectTarget, keyword_of
from kactl_agent.ipvs.actions import (
    QuorumChanged,
    ResumeCheckers,
    ServerChanged,
    ServerRemoved,
    SorryServerChanged,
    SuspendCheckers,
    WeightChanged,
)
from kactl_agent.ipvs.model import METHODS, server_text
from kactl_agent.ipvs.settings import RealServerSettings, VirtualServerSettings
from kactl_agent.ipvs.telling import server_name
from kactl_agent.runtime.checker_frames import (
    SERVERS_A_FRAME,
    MemberFacts,
    RealServerFacts,
    VirtualServerFacts,
    VirtualServerGone,
    VirtualServerStatus,
)
from kactl_agent.runtime.journal_frames import Fact, Happening
from kactl_agent.runtime.load_balancer import Balanced, Identity, LoadBalancer
from kactl_agent.runtime.worker_shell import WorkerShell
from kactl_agent.vrrp.actions import Action, Report

_SECONDS = 0.5  # between two reports of the same virtual server
_FIRST_SECONDS = 0.1  # what has to be done for them comes first
_A_TURN = 16  # of the loop, virtual servers that are reported


def key_of(identity: Identity) -> str:
    return " ".join(map(str, identity))


def subject_of_server(settings: VirtualServerSettings, server: int) -> str:
    """`real_server [10.0.0.1]:tcp:80 of [192.0.2.1]:tcp:80`"""
    return f"real_server {server_name(settings, server)} of {settings.name}"


class CheckerReports:
    """`balancer` is set once it is made."""

    balancer: LoadBalancer

    def __init__(self, loop: asyncio.AbstractEventLoop, shell: WorkerShell) -> None:
        self._loop = loop
        self._shell = shell
        self._dirty: dict[Identity, None] = {}
        self._facts: dict[Identity, int] = {}  # whose facts are to be sent -> place in the configuration
        self._scheduled = False
        self._reason: tuple[str, str] = ("", "")  # virtual server, and what was told of its real servers last

    # -- state ---------------------------------------------------------------------------------------------------------

    def changed(self, identity: Identity) -> None:
        self._dirty[identity] = None
        self._soon(_SECONDS)

    def configured(self, servers: Iterable[VirtualServerSettings]) -> None:
        """These are the virtual servers now, which somebody may not know: the observer, or a new one."""
        self._facts = {settings.identity: order for order, settings in enumerate(servers)}
        self._dirty.update(dict.fromkeys(self._facts))
        self._soon(_FIRST_SECONDS)

    def _soon(self, delay: float) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(delay, self.flush)

    def flush(self, most: int | None = _A_TURN) -> None:
        """Send up to so many; the rest in later turns."""
        self._scheduled = False
        if self._shell.observer is None:
            self._dirty.clear()
            return
        for identity in list(islice(self._dirty, most)):
            self._send(identity)
        if self._dirty:
            self._soon(0 if most is None or len(self._dirty) >= most else _SECONDS)

    def send_now(self, identity: Identity) -> None:
        """Before an answer about it, after which nobody is to see how it was."""
        if self._shell.observer is not None and identity in self._dirty:
            self._send(identity)

    def _send(self, identity: Identity) -> None:
        del self._dirty[identity]
        balanced = self.balancer.get(identity)
        key = key_of(identity)
        if balanced is None:
            self._shell.state(("gone", key), VirtualServerGone(key))
            return
        order = self._facts.pop(identity, None)
        if order is not None:
            self._send_facts(balanced.settings, key, order)
        self._send_status(balanced, key)

    def _send_facts(self, settings: VirtualServerSettings, key: str, order: int) -> None:
        sorry = settings.sorry_server
        members = tuple(MemberFacts(m.family, m.first, m.count, m.port, m.fwmark) for m in settings.members)
        real_servers = [_real_server_facts(real) for real in settings.real_servers]
        method = real_servers[0].method if real_servers else METHODS[sorry.forwarding.method] if sorry else ""
        for first in range(0, max(1, len(real_servers)), SERVERS_A_FRAME):
            frame = VirtualServerFacts(
                key=key, first=first, total=len(real_servers), order=order, name=settings.name,
                protocol=settings.protocol, group=settings.group, scheduler=settings.scheduler, method=method,
                persistence_timeout=settings.persistence_timeout, quorum=settings.quorum,
                hysteresis=settings.hysteresis, snmp_name=settings.snmp_name,
                sorry_server="" if sorry is None else server_text(sorry.address, settings.protocol, sorry.port),
                members=members, real_servers=tuple(real_servers[first : first + SERVERS_A_FRAME]),
            )  # fmt: skip
            self._shell.state(("facts", key, first), frame)

    def _send_status(self, balanced: Balanced, key: str) -> None:
        now, at = time.monotonic_ns(), time.time_ns()
        snapshot = balanced.engine.snapshot()
        checkers = self.balancer.snapshots(balanced)
        for first in range(0, max(1, len(snapshot.servers)), SERVERS_A_FRAME):
            part = slice(first, first + SERVERS_A_FRAME)
            frame = VirtualServerStatus(
                key=key, first=first, now=now, at=at, quorum_up=snapshot.quorum_up, weight=snapshot.weight,
                sorry_active=snapshot.sorry_active, suspended=snapshot.suspended, servers=snapshot.servers[part],
                checkers=tuple(tuple(each) for each in checkers[part]),
            )  # fmt: skip
            self._shell.state(("status", key, first), frame)

    # -- events --------------------------------------------------------------------------------------------------------

    def told(self, settings: VirtualServerSettings, action: Action) -> None:
        subject = f"virtual_server {settings.name}"
        match action:
            case ServerChanged() if not action.starting:
                self._server(settings, action.server, action.up, _cause(action), _detail(action), action.keyword)
            case ServerRemoved():
                self._server(settings, action.server, False, "removed", action.detail, "")
            case QuorumChanged() if not (action.starting and action.up):  # as is to be expected, of thousands maybe
                self._quorum(settings, action)
            case SorryServerChanged():
                sorry = settings.sorry_server
                name = "" if sorry is None else server_text(sorry.address, settings.protocol, sorry.port)
                word = "stands in for the pool" if action.active else "is not needed any more"
                self._shell.log("warning" if action.active else "info", f"{settings.name}: sorry server {name} {word}")
                self._happened(
                    "sorry_server", subject, *_states(action.active), "quorum", f"sorry server {name} {word}"
                )
            case WeightChanged():
                server = subject_of_server(settings, action.server)
                text = f"its weight is {action.new} instead of {action.old}"
                cause = "checker"
                if action.ordered:
                    cause, text = "order", f"{text}: {action.ordered}"
                self._shell.log("info", f"{server}: {text}")
                self._happened("weight", server, str(action.old), str(action.new), cause, text)
            case SuspendCheckers() | ResumeCheckers():
                text = "its address is not on this machine: checks are suspended"
                if isinstance(action, ResumeCheckers):
                    text = "its address is on this machine: checks go on"
                self._shell.log("info", f"{settings.name}: {text}")

    def _server(
        self, settings: VirtualServerSettings, server: int, up: bool, cause: str, detail: str, keyword: str
    ) -> None:
        subject = subject_of_server(settings, server)
        self._reason = (settings.name, subject)
        self._shell.log("info" if up else "warning", f"{subject} is {'up' if up else 'down'}: {detail}", cause=cause)
        real = settings.real_servers[server]
        because = [f"bfd_instance {each.name}" for each in real.checkers if isinstance(each, BfdCheckSettings)]
        self._happened("real_server", subject, *_states(up), cause, detail, because if keyword == "BFD_CHECK" else ())

    def _quorum(self, settings: VirtualServerSettings, change: QuorumChanged) -> None:
        sign, limit = "+", settings.quorum + settings.hysteresis
        if not change.up:
            sign, limit = "-", settings.quorum - settings.hysteresis
        verb = "starts without" if change.starting else "gained" if change.up else "lost"
        text = (
            f"{verb} the quorum: a weight of {change.weight} for {settings.quorum}{sign}{settings.hysteresis}={limit}"
        )
        if change.detail and not change.up and not change.weight and not change.starting:
            text += f" ({change.detail})"
        self._shell.log("info" if change.up else "warning", f"{settings.name}: {text}")
        name, reason = self._reason
        cause = "start" if change.starting else "quorum_gained" if change.up else "quorum_lost"
        because = [reason] if name == settings.name and not change.starting else []
        facts: dict[str, Fact] = {"weight": change.weight, "quorum": settings.quorum, "hysteresis": settings.hysteresis}
        old, new = _states(change.up)
        self._happened(
            "virtual_server", f"virtual_server {settings.name}", "" if change.starting else old, new, cause, text,
            because, facts,
        )  # fmt: skip

    def check_failed(self, balanced: Balanced, server: int, checker: int, action: CheckFailed) -> None:
        settings = balanced.settings.real_servers[server].checkers[checker]
        level = "info" if settings.timing.log_all_failures else "debug"
        left = f", {action.retries_left} more tries" if action.retries_left else ""
        subject = subject_of_server(balanced.settings, server)
        self._shell.log(level, f"{subject}: {keyword_of(settings)} failed: {action.detail}{left}")

    def reported(self, balanced: Balanced, server: int, checker: int, report: Report) -> None:
        settings = balanced.settings.real_servers[server].checkers[checker]
        subject = subject_of_server(balanced.settings, server)
        self._shell.log(report.level, f"{subject}: {keyword_of(settings)}: {report.detail}", code=report.code)

    def drifted(self, owner: str, text: str) -> None:
        self._shell.log("warning", f"IPVS was changed by somebody else, which is undone: {text}")
        self._happened("ipvs_drift", f"virtual_server {owner}", "", "", "changed_by_others", text)

    def _happened(
        self, kind: str, subject: str, old: str, new: str, cause: str, detail: str, because: Iterable[str] = (),
        facts: dict[str, Fact] | None = None,
    ) -> None:  # fmt: skip
        self._shell.event(
            Happening(
                at=time.time_ns(), kind=kind, subject=subject, old=old, new=new, cause=cause, detail=detail,
                because=tuple(because), facts=facts or {},
            )
        )  # fmt: skip


def _states(up: bool) -> tuple[str, str]:
    return ("down", "up") if up else ("up", "down")


def _cause(action: ServerChanged) -> str:
    if not action.keyword:
        return "reload"
    return "check_succeeded" if action.up else "check_failed"


def _detail(action: ServerChanged) -> str:
    return f"{action.keyword}: {action.detail}" if action.keyword else action.detail


def _real_server_facts(real: RealServerSettings) -> RealServerFacts:
    return RealServerFacts(
        real.address,
        real.port,
        real.weight,
        METHODS[real.forwarding.method],
        real.inhibit,
        real.snmp_name,
        tuple(_where(checker) for checker in real.checkers),
    )


def _where(checker: AnyCheckerSettings) -> str:
    """`10.0.0.1 port 80`, the name of a file or of a BFD session; nothing of command lines, which may hold secrets."""
    target = getattr(checker, "target", None)
    if isinstance(target, ConnectTarget):
        address = str(ip_address(target.address))
        return f"{address} port {target.port}" if target.port else address
    file = getattr(checker, "file", None)
    return str(file.name if file is not None else getattr(checker, "name", ""))

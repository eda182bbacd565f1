"""kactl status: who is master, since when, with what priority, and what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json
from kactl.ui.tables import table

STALE_AFTER = 10.0
"""Seconds without word from the VRRP worker after which its state is not to be trusted."""


@click.command(epilog="\b\nExample: kactl status --output json | jq .vrrp.instances.VI_1.state")
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def status(environment: Environment, run_dir: str, output: str) -> int:
    """Show what the agent does: virtual routers, virtual servers and BFD sessions, and how fresh that is."""
    document = ask(run_dir, "status")
    if output == "json":
        environment.write(as_json(document))
        return ExitCode.FINE
    for line in render(document, datetime.now(UTC)):
        environment.write(line)
    return ExitCode.FINE


def render(document: dict[str, Any], now: datetime) -> list[str]:
    """The status as lines of text; `now` is compared with the times in it."""
    agent = document["agent"]
    age = (now - _time(document["as_of"])).total_seconds()
    lines = [
        f"agent {agent['version']}, pid {agent['pid']}, up {_span(agent['uptime_s'])}, {agent['config_file']} "
        f"(revision {agent['config_revision'][:12]})"
    ]
    if age > STALE_AFTER:
        lines.append(f"STALE: the VRRP worker was last heard of {_span(age)} ago; what follows may be wrong")
    waits = agent.get("pending_confirmation")
    if waits:
        left = _span((_time(waits["until"]) - now).total_seconds())
        lines.append(
            f"ON TRIAL: unless `kactl confirm` comes within {left} the agent goes back to revision "
            f"{waits['previous_revision'][:12]}"
        )
    instances = document["vrrp"]["instances"]
    if not instances:
        balanced = bool(document.get("ipvs", {}).get("virtual_servers"))
        lines += [] if balanced else ["no virtual router is configured"]
        return [*lines, *_virtual_servers(document), *_sessions(document, now)]
    rows = [("INSTANCE", "STATE", "SINCE", "PRIORITY", "MASTER", "INTERFACE", "VRID", "ADDRESSES")]
    for name, instance in instances.items():
        since = "-" if instance["since"] is None else f"{_span((now - _time(instance['since'])).total_seconds())} ago"
        rows.append(
            (
                name,
                instance["state"],
                since,
                _priority(instance["priority"]),
                instance["master"] or "-",
                instance["interface"],
                f"{instance['virtual_router_id']} v{instance['version']}",
                _few(instance["virtual_ipaddress"]),
            )
        )
    lines += ["", *table(rows)]
    for name, instance in instances.items():
        if instance.get("detail"):
            lines.append(f"{name}: {instance['state']} because {instance['detail']}")
        lines += [f"{name}: fault: {fault}" for fault in instance["faults"]]
        lines += _drained(name, instance.get("drained"))
        lines += [f"{name}: waits for {tracker}" for tracker in instance.get("waiting_for", ())]
    for name, group in document["vrrp"]["sync_groups"].items():
        reason = f" because {group['detail']}" if group.get("detail") else ""
        lines.append(f"sync group {name} ({', '.join(group['members'])}): {group['state']}{reason}")
    return [*lines, *_virtual_servers(document), *_sessions(document, now)]


def _virtual_servers(document: dict[str, Any]) -> list[str]:
    """The virtual servers, and of each real server that is not as configured why."""
    ipvs = document.get("ipvs", {})
    servers = ipvs.get("virtual_servers", ())
    if not servers:
        return []
    rows = [("VIRTUAL SERVER", "QUORUM", "ALIVE", "WEIGHT", "LB_ALGO", "LB_KIND", "SORRY SERVER")]
    notes = [f"IPVS: {problem}" for problem in ipvs.get("problems", ())]
    for server in servers:
        name, reals = server["name"], server["real_servers"]
        quorum = f"{'up' if server['quorum_up'] else 'DOWN'} ({server['quorum']})"
        alive = f"{sum(real['alive'] for real in reals)} of {len(reals)}"
        sorry = (
            "-"
            if server["sorry_server"] is None
            else f"{server['sorry_server']}{' ACTIVE' * server['sorry_server_active']}"
        )
        rows.append((name, quorum, alive, str(server["weight"]), server["lb_algo"], server["lb_kind"], sorry))
        if server["suspended"]:
            notes.append(f"{name}: no checks, its address is not on this machine")
        notes += [f"{name}: {note}" for real in reals for note in _real_server(real)]
    return ["", *table(rows), *notes]


def _real_server(real: dict[str, Any]) -> list[str]:
    name = f"[{real['address']}]:{real['port']}" if ":" in real["address"] else f"{real['address']}:{real['port']}"
    if not real["alive"]:
        why = [f"{c['type']}: {c['last_result'] or 'not checked yet'}" for c in real["checkers"] if not c["up"]]
        return [f"{name} is down: {'; '.join(why)}"]
    if real["effective_weight"] != real["weight"]:
        return [f"{name} has weight {real['effective_weight']} instead of {real['weight']}"]
    return []


def _sessions(document: dict[str, Any], now: datetime) -> list[str]:
    """The BFD sessions, what keeps any of them from working, and why it is in the state it is in."""
    sessions = document.get("bfd", {}).get("instances", {})
    if not sessions:
        return []
    rows = [("BFD SESSION", "STATE", "SINCE", "NEIGHBOR", "REMOTE", "INTERVALS", "DETECTION")]
    notes = []
    for name, session in sessions.items():
        since = "-" if session["since"] is None else f"{_span((now - _time(session['since'])).total_seconds())} ago"
        known = session["since"] is not None
        intervals = f"{session['transmit_interval_ms']:g} ms x {session['detect_mult']}" if known else "-"
        detection = f"{session['detection_time_ms']:g} ms" if known and session["detection_time_ms"] else "-"
        remote = session["remote_state"] if known else "-"
        rows.append((name, session["state"], since, session["neighbor"], remote, intervals, detection))
        if session["problem"]:
            notes.append(f"{name}: {session['problem']}")
        if session["detail"]:
            notes.append(f"{name}: {session['state']} because {session['detail']}")
        discarded = session.get("discarded")
        if discarded:
            notes.append(f"{name}: discarded " + ", ".join(f"{count} ({why})" for why, count in discarded.items()))
    return ["", *table(rows), *notes]


def _drained(name: str, drained: dict[str, Any] | None) -> list[str]:
    if not drained:
        return []
    reason = f": {drained['reason']}" if drained["reason"] else ""
    since = f" since {drained['since']}" if drained["since"] else ""
    until = f" until {drained['until']}" if drained["until"] else ""
    by = "" if drained["by"] == name else f" by drain {drained['by']}"
    return [f"{name}: drained{by}{since}{until}{reason}"]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _span(seconds: float) -> str:
    """A length of time in the two largest units that matter."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.1f} s" if seconds < 10 else f"{whole} s"
    for size, unit, below, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {part}"
    return f"{whole} s"


def _priority(priority: dict[str, Any]) -> str:
    if priority["effective"] == priority["configured"]:
        return str(priority["effective"])
    parts = "".join(f" {part['weight']:+d} {part['name']}" for part in priority["contributions"])
    return f"{priority['effective']} ({priority['configured']}{parts})"


def _few(addresses: list[str]) -> str:
    shown = " ".join(addresses[:3])
    return f"{shown} +{len(addresses) - 3} more" if len(addresses) > 3 else shown

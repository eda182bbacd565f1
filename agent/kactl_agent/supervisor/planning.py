"""The plan of a reload, made in the process that reads the new configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from kactl_agent.config.diff import Side, plan, worst
from kactl_agent.config.impact import Change
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.grants import granted
from kactl_agent.supervisor.loading import LoadOutcome, PlanSummary
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.worker_kinds import refusal

SCHEMA_VERSION = 1
_MOST_LINES = 20
_MOST_CHANGES = 20_000


def side_of(configuration: AgentConfiguration, checkers: CheckersSettings | None = None) -> Side:
    """What of a configuration is compared. `checkers` are its settings of load balancing, if they are at hand."""
    if not configuration.checkers:
        checkers = CheckersSettings()
    elif checkers is None:
        checkers = msgspec.msgpack.decode(configuration.checkers, type=CheckersSettings)
    return Side(
        vrrp=configuration.vrrp,
        sync_groups=configuration.sync_groups,
        static=configuration.static,
        firewall=configuration.firewall,
        network=configuration.network,
        tracking=configuration.tracking,
        bfd=configuration.bfd,
        checkers=checkers,
        process=configuration.process,
        vrrp_notify=configuration.vrrp_notify,
        own_notify=configuration.own_notify,
        mail=configuration.mail,
        others={
            "router_id": configuration.router_id,
            "scripts": configuration.track_scripts,
            "reloads": configuration.reload,
        },
    )


def summary(
    current: AgentConfiguration,
    outcome: LoadOutcome,
    options: Options,
    *,
    with_document: bool,
    balancing: CheckersSettings | None = None,
) -> PlanSummary:
    """`with_document`: as JSON too, for who asks for the plan alone. `balancing` as the new configuration has it, if it
    is at hand. To be called with the supervisor's privileges."""
    new = outcome.configuration
    changes: list[Change] = []
    if new is not None and new.revision != current.revision:
        changes = plan(side_of(current), side_of(new, balancing))
    impact = worst(changes).value if new is not None else ""
    document = b""
    if with_document:
        document = json.dumps(_document(current, outcome, options, changes), ensure_ascii=False).encode()
    lines = [f"{change.impact.value}: {change.subject}: {change.text}" for change in changes[:_MOST_LINES]]
    if len(changes) > _MOST_LINES:
        lines.append(f"and {len(changes) - _MOST_LINES} changes more")
    return PlanSummary(impact, tuple(lines), document)


def _document(
    current: AgentConfiguration, outcome: LoadOutcome, options: Options, changes: list[Change]
) -> dict[str, Any]:
    new = outcome.configuration
    return {
        "schema_version": SCHEMA_VERSION,
        "valid": new is not None,
        "revision": {"current": current.revision, "new": new.revision if new is not None else None},
        "class": worst(changes).value if new is not None else None,
        "peer_incompatible": any(change.peers for change in changes),
        "refused": refusal(new) if new is not None else "",
        "capabilities": granted(new, options) if new is not None else [],
        "changes": [change.as_json() for change in changes[:_MOST_CHANGES]],
        "left_out": max(0, len(changes) - _MOST_CHANGES),
        "report": list(outcome.report[:200]),
        "errors": outcome.errors,
        "warnings": outcome.warnings,
    }


def write_check_log(path: str, options: Options, report: tuple[str, ...], *, valid: bool) -> None:
    """reload_check_config: the findings about a new configuration, in a file of their own. One that cannot be written
    is no reason not to reload."""
    if not path:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    verdict = f"{options.config}: {'valid' if valid else 'invalid'}"
    try:
        descriptor = os.open(Path(options.run_dir, path), flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in (*report, verdict)))
    except OSError:
        return

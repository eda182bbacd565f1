"""kactl why: what an instance or a sync group knew when it changed its state, and what led to that."""

from __future__ import annotations

from typing import Any

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json


@click.command(epilog="\b\nExample: kactl why VI_1")
@click.argument("subject", required=False, default="", metavar="[INSTANCE]")
@run_dir_option
@output_option
@click.option("--event", "cursor", default="", metavar="CURSOR", help="Explain this event of `kactl events` instead.")
@click.pass_obj
@reaches_agent
def why(environment: Environment, subject: str, run_dir: str, output: str, cursor: str) -> int:
    """Say why an instance, a sync group or anything else in the journal is in the state it is in.

    Without a name: all instances and groups, the newest change first. Times are the agent's, in UTC.
    """
    if subject and cursor:
        raise click.UsageError("an event says itself what it is about: give INSTANCE or --event")
    document = ask(run_dir, "why", {"subject": subject, "event": cursor})
    if output == "json":
        environment.write(as_json(document))
        return ExitCode.FINE
    if document.get("message"):
        environment.write(document["message"])
    for number, explanation in enumerate(document["explanations"]):
        if number:
            environment.write("")
        for line in render(explanation):
            environment.write(line)
    if not document["explanations"] and not document.get("message"):
        environment.write("the journal knows of no change yet")
    return ExitCode.FINE


def render(explanation: dict[str, Any]) -> list[str]:
    """The change, its reasons, the events that led to it, and what was before, as lines of text."""
    event = explanation["event"]
    lines = [f"{explanation['subject']}: {headline(event)}", f"  at {event['time']}"]
    lines += [f"  - {reason}" for reason in explanation["reasons"]]
    if explanation["chain"]:
        lines.append("  what led to it, and when:")
        for link in explanation["chain"]:
            before = link["ms_before"]
            when = (
                f"{abs(before) / 1000:9.3f} s {'before' if before > 0 else 'after'}" if before else "  at the same time"
            )
            lines.append(f"  {when}  {one_line(link['event'])}")
    if explanation["earlier"]:
        lines.append("  before that:")
        lines += [f"    {each['time']}  {headline(each)}: {each.get('detail', '')}" for each in explanation["earlier"]]
    return lines


def headline(event: dict[str, Any]) -> str:
    if event.get("old") and event.get("new"):
        return f"{event['old']} -> {event['new']}"
    return str(event.get("new") or event.get("type", "changed")).replace("_", " ")


def one_line(event: dict[str, Any]) -> str:
    """An event of the chain: whose, what, and why."""
    whose = event.get("subject") or next(
        (f"{kind} {event[key]}" for key, kind in _KINDS.items() if key in event), "the agent"
    )
    if "old" not in event and event.get("subject"):
        return f"{whose}: {event.get('detail') or headline(event)}"
    detail = event.get("detail") or event.get("message") or ""
    if "ended" in event:
        return f"{whose}: {event['ended']}"
    if event.get("type") == "priority":
        return f"{whose}: {detail}"
    return f"{whose}: {headline(event)}{f': {detail}' if detail else ''}"


_KINDS = {"instance": "vrrp_instance", "group": "vrrp_sync_group", "process": "process"}

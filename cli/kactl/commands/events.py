"""kactl events: the agent's journal: transitions with their causes, reloads, restarted processes."""

from __future__ import annotations

import json
from typing import Any

import click

from kactl.agent_connection import output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.client import ControlClient


@click.command(epilog="\b\nExample: kactl events --follow")
@run_dir_option
@output_option
@click.option("--follow", is_flag=True, help="Go on with new events as they happen, until interrupted.")
@click.option("--since", "--cursor", "cursor", default="", metavar="CURSOR", help="Only what came behind this event.")
@click.pass_obj
@reaches_agent
def events(environment: Environment, run_dir: str, output: str, follow: bool, cursor: str) -> int:
    """Show what happened and why, oldest first. As JSON it is one event a line."""
    with ControlClient(run_dir) as client:
        while True:
            answer = client.call("events", {"cursor": cursor})
            if answer["gap"]:
                environment.say("kactl: events before these are no longer kept")
            for event in answer["events"]:
                _show(environment, event, output)
            cursor = answer["cursor"]
            if not answer["events"]:
                break
        if follow:
            environment.stdout.flush()
            for event in client.events(cursor):
                _show(environment, event, output)
                environment.stdout.flush()
    return ExitCode.FINE


def _show(environment: Environment, event: dict[str, Any], output: str) -> None:
    environment.write(json.dumps(event, ensure_ascii=False) if output == "json" else render(event))


def render(event: dict[str, Any]) -> str:
    """One line: time, what, and everything the event says."""
    if event["type"] == "transition":
        return f"{event['time']}  {event['instance']}: {event['old']} -> {event['new']}: {event['detail']}"
    if event["type"] == "group_transition":
        return f"{event['time']}  sync group {event['group']}: {event['old']} -> {event['new']}: {event['detail']}"
    if event["type"] == "priority":
        return f"{event['time']}  {event['instance']} ({event['state']}): {event['detail']}"
    if "subject" in event:
        states = f"{event['old']} -> {event['new']}: " if event.get("old") and event.get("new") else ""
        detail = event.get("detail") or ", ".join(f"{key} {value}" for key, value in event.get("facts", {}).items())
        return f"{event['time']}  {event['subject']}: {event['type'].replace('_', ' ')}: {states}{detail}"
    known = {"cursor", "time", "type"}
    facts = ", ".join(f"{key} {value}" for key, value in event.items() if key not in known and value not in ("", None))
    return f"{event['time']}  {event['type']}: {facts}"

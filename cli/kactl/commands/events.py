"""kactl events: the agent's journal: transitions with their causes, reloads, restarted processes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import click

from kactl.agent_connection import output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.client import AgentNotReachable, ControlClient

_PATIENCE = 30.0  # seconds for the agent to serve again
_BETWEEN = 0.2  # seconds


@click.command(epilog="\b\nExample: kactl events --follow")
@run_dir_option
@output_option
@click.option("--follow", is_flag=True, help="Go on with new events as they happen, until interrupted.")
@click.option("--since", "--cursor", "cursor", default="", metavar="CURSOR", help="Only what came behind this event.")
@click.pass_obj
@reaches_agent
def events(environment: Environment, run_dir: str, output: str, follow: bool, cursor: str) -> int:
    """Show what happened and why, oldest first. As JSON it is one event a line.

    With --follow it outlives a restart of what serves it, and misses nothing.
    """
    with ControlClient(run_dir) as client:
        for event in _kept(environment, client, cursor):
            _show(environment, event, output)
            cursor = event["cursor"]
        if follow:
            cursor = _follow(environment, client, cursor, output)
    while follow:
        with _again(environment, run_dir) as client:
            for event in _kept(environment, client, cursor):
                _show(environment, event, output)
                cursor = event["cursor"]
            cursor = _follow(environment, client, cursor, output)
    return ExitCode.FINE


def _kept(environment: Environment, client: ControlClient, cursor: str) -> Iterator[dict[str, Any]]:
    """What the agent has behind the cursor."""
    while True:
        answer = client.call("events", {"cursor": cursor})
        if answer["gap"]:
            environment.say("kactl: events before these are no longer kept")
        if not answer["events"]:
            return
        yield from answer["events"]
        cursor = answer["cursor"]


def _follow(environment: Environment, client: ControlClient, cursor: str, output: str) -> str:
    """Show events as they happen until the connection ends; the cursor then."""
    environment.stdout.flush()
    with contextlib.suppress(AgentNotReachable):
        for event in client.events(cursor):
            _show(environment, event, output)
            environment.stdout.flush()
            cursor = event["cursor"]
    return cursor


def _again(environment: Environment, run_dir: str) -> ControlClient:
    """Another connection. Raises AgentNotReachable when there is none for long."""
    environment.say(f"kactl: the connection is lost, trying again for {_PATIENCE:.0f} s")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            client = ControlClient(run_dir)
        except AgentNotReachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_BETWEEN)
        else:
            return client


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
    if event["type"] == "reload" and "ok" in event:
        impact = f" ({event['class']})" if event.get("class") else ""
        first = (event["message"].splitlines() or [""])[0]
        outcome = f"configuration {event['revision']}{impact}" if event["ok"] else "failed"
        return f"{event['time']}  reload: {outcome}: {first}"
    if "subject" in event:
        states = f"{event['old']} -> {event['new']}: " if event.get("old") and event.get("new") else ""
        detail = event.get("detail") or ", ".join(f"{key} {value}" for key, value in event.get("facts", {}).items())
        return f"{event['time']}  {event['subject']}: {event['type'].replace('_', ' ')}: {states}{detail}"
    known = {"cursor", "time", "type"}
    facts = ", ".join(f"{key} {value}" for key, value in event.items() if key not in known and value not in ("", None))
    return f"{event['time']}  {event['type']}: {facts}"

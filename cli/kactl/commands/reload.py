"""kactl reload, confirm, rollback: another configuration for a running agent; whatever is wrong leaves the old one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.commands.drain import Span
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json
from kactl_agent.control.protocol import CONFIGURATION_INVALID, ControlError

_revision_option = click.option("--revision", metavar="REVISION", default="", help="Only if that one is in force.")


@click.command(name="reload", epilog="\b\nExample: kactl reload /root/new.yaml --confirm 60s")
@click.argument("file", metavar="[NEW.yaml]", required=False)
@click.option(
    "--confirm",
    metavar="TIME",
    type=Span(),
    default=None,
    help="Roll back unless `kactl confirm` comes within this time: 60s, 5min.",
)
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def reload_command(environment: Environment, file: str | None, confirm: int | None, run_dir: str, output: str) -> int:
    """Make the agent read its configuration file again, or take NEW.yaml in its place.

    NEW.yaml is validated first, as if it stood where the agent's own file stands; when it is in force it becomes that
    file, and the one before is kept with `.previous` behind its name. A rollback restores both the file and what runs.

    Exits with 3 when the configuration is not valid and with 1 when something else kept it from being in force; the old
    one stays in force then.
    """
    parameters: dict[str, Any] = {"confirm_s": confirm} if confirm else {}
    if file is not None:
        parameters["file"] = str(Path(file).absolute())
    try:
        outcome = ask(run_dir, "reload", parameters)
    except ControlError as refusal:
        environment.say(f"kactl: {refusal.message}")
        return ExitCode.INVALID if refusal.code == CONFIGURATION_INVALID else ExitCode.FAILED
    return _show(environment, "reloaded", outcome, output)


@click.command(epilog="\b\nExample: kactl confirm --revision 3b1f0c5a9d2e")
@_revision_option
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def confirm(environment: Environment, revision: str, run_dir: str, output: str) -> int:
    """Keep the configuration that was loaded with --confirm. Exits with 1 when nothing waits for that.

    With --revision nothing else is confirmed: exits with 1 unless that revision is in force, on trial or not any more.
    """
    outcome = ask(run_dir, "confirm", _only(revision))
    if output == "json":
        environment.write(as_json(outcome))
    elif outcome["confirmed"]:
        environment.write(f"confirmed: revision {outcome['revision'][:12]}")
    else:
        environment.write(outcome["message"])
    return ExitCode.FINE


@click.command(epilog="\b\nExample: kactl rollback --revision 3b1f0c5a9d2e")
@_revision_option
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def rollback(environment: Environment, revision: str, run_dir: str, output: str) -> int:
    """Go back to the configuration before the one in force, and put its file back.

    The file that is replaced is kept with `.rejected` behind its name. Files that it includes are not restored, but
    what runs is: it needs no file. With --revision nothing else is rolled back: where that revision is not in force,
    it says so and exits with 0.
    """
    outcome = ask(run_dir, "rollback", _only(revision))
    if outcome["rolled_back"] or output == "json":
        return _show(environment, "rolled back", outcome, output)
    environment.write(outcome["message"])
    return ExitCode.FINE


def _only(revision: str) -> dict[str, Any]:
    return {"revision": revision} if revision else {}


def _show(environment: Environment, what: str, outcome: dict[str, Any], output: str) -> int:
    if output == "json":
        environment.write(as_json(outcome))
        return ExitCode.FINE
    impact = f" ({outcome['class']})" if outcome.get("class") else ""
    environment.write(f"{what}: revision {outcome['revision'][:12]}{impact}")
    sets = {"": outcome["changes"] or {}, **(outcome.get("workers") or {})}
    for worker, changes in sets.items():
        for kind in ("removed", "changed", "added"):
            if changes.get(kind):
                environment.write(f"{f'{worker} ' if worker else ''}{kind}: {', '.join(changes[kind])}")
    for note in outcome.get("notes", ()):
        environment.write(note)
    return ExitCode.FINE

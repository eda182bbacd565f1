"""kactl reload: the agent reads its configuration again; whatever is wrong with it leaves the old one in force."""

from __future__ import annotations

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json


@click.command(name="reload", epilog="\b\nExample: kactl reload --run-dir /run/kactl")
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def reload_command(environment: Environment, run_dir: str, output: str) -> int:
    """Make the agent read its configuration file again.

    Exits with 1 when the file is not valid, and says why; the old configuration stays in force then.
    """
    outcome = ask(run_dir, "reload", timeout=60.0)
    if output == "json":
        environment.write(as_json(outcome))
        return ExitCode.FINE
    environment.write(f"reloaded: revision {outcome['revision'][:12]}")
    changes = outcome["changes"] or {}
    for what in ("removed", "changed", "added"):
        if changes.get(what):
            environment.write(f"{what}: {', '.join(changes[what])}")
    return ExitCode.FINE

"""kactl dump: the agent's state in keepalived's own layouts, here or in the files that its signals write."""

from __future__ import annotations

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json

KINDS = ("data", "check", "bfd", "parent", "stats", "json", "state")


@click.command(epilog="\b\nExample: kactl dump json | jq '.[].data.state'")
@click.argument("what", type=click.Choice(KINDS), default="data")
@click.option(
    "--files",
    is_flag=True,
    help="Have the agent write its files, as SIGUSR1 (data), SIGUSR2 (stats) or SIGRTMIN+2 (json) do.",
)
@click.option("--clear", is_flag=True, help="With stats and --files: count from here on, as SIGRTMAX-1 does.")
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def dump(environment: Environment, what: str, files: bool, clear: bool, run_dir: str, output: str) -> int:
    """Print the agent's state as keepalived dumps it.

    data, check, bfd and parent are the texts of each process, stats the statistics, json keepalived's JSON; state is
    the document of `kactl status`.
    """
    if clear and not (files and what == "stats"):
        raise click.UsageError("--clear goes with `stats --files`")
    answer = ask(run_dir, "dump", {"what": "stats_clear" if clear else what, "files": files})
    if output == "json":
        environment.write(as_json(answer))
    elif files:
        for path in answer["files"]:
            environment.write(path)
    else:
        environment.write(answer["text"].removesuffix("\n"))
    return ExitCode.FINE

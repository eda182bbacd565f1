"""kactl check-run: check a real server now, and show everything that was seen."""

from __future__ import annotations

from typing import Any

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json


@click.command(epilog="\b\nExample: kactl check-run 192.0.2.10:443 10.0.0.1:8443 --checker SSL_GET")
@click.argument("virtual_server")
@click.argument("real_server")
@click.option("--checker", default="", metavar="KEYWORD", help="Only checkers of this keyword, such as HTTP_GET.")
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def check_run(
    environment: Environment, virtual_server: str, real_server: str, checker: str, run_dir: str, output: str
) -> int:
    """Run the checkers of a real server once, now, and say what they saw. It changes nothing.

    A virtual server is an address, ADDRESS:PORT, ADDRESS:PORT/udp, `fwmark N` or the name of its group; a real server
    an address or ADDRESS:PORT. Exits with 1 when a check fails.
    """
    parameters = {"virtual_server": virtual_server, "real_server": real_server, "checker": checker}
    answer = ask(run_dir, "check_run", parameters)
    if output == "json":
        environment.write(as_json(answer))
    else:
        environment.write(f"real server {answer['real_server']} of {answer['virtual_server']}")
        for report in answer["checkers"]:
            _show(environment, report)
    return ExitCode.FINE if answer["success"] else ExitCode.FAILED


def _show(environment: Environment, report: dict[str, Any]) -> None:
    in_force = "up" if report["up"] else "down"
    environment.write(f"{report['type']} (its verdict is {in_force})")
    for line in report["trace"]:
        environment.write(f"  {line}")
    if report["success"] is None:
        environment.write(f"  it runs nothing by itself: {report['detail'] or 'nothing has been heard yet'}")
    else:
        outcome = "success" if report["success"] else "failure"
        environment.write(f"  {outcome} after {report['duration_ms']} ms: {report['detail']}")

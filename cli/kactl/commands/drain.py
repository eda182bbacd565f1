"""kactl drain and undrain: take instances out of service and back, without touching a priority."""

from __future__ import annotations

import re
from typing import Any

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json

_UNITS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = 10 * 365 * 86_400


class Span(click.ParamType[int]):
    """`90`, `90s`, `15min`, `2h`, `1d` to seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,9})\s*(s|min|m|h|d)?", str(value).strip())
        seconds = int(found[1]) * _UNITS[found[2] or ""] if found else 0
        if not 1 <= seconds <= _LONGEST:
            self.fail(f"{value!r} is no time: 90s, 15min, 2h, 1d", param, ctx)
        return seconds


_all_option = click.option("--all", "everything", is_flag=True, help="Every instance, those of a later reload as well.")


def _target(target: str, everything: bool) -> dict[str, Any]:
    if everything is bool(target):
        raise click.UsageError("give the name of an instance or a sync group, or --all")
    return {"all": True} if everything else {"target": target}


@click.command(epilog="\b\nExample: kactl drain VI_1 --reason 'kernel update' --ttl 2h --require-peer")
@click.argument("target", required=False, default="", metavar="[INSTANCE|GROUP]")
@_all_option
@click.option("--reason", default="", metavar="TEXT", help="Shown by status, why and events.")
@click.option("--ttl", type=Span(), default=None, metavar="TIME", help="Undrain after this time: 90s, 15min, 2h, 1d.")
@click.option(
    "--require-peer", is_flag=True, help="Only if another router takes over; if none does, master again, and exit 1."
)
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def drain(
    environment: Environment,
    target: str,
    everything: bool,
    reason: str,
    ttl: int | None,
    require_peer: bool,
    run_dir: str,
    output: str,
) -> int:
    """Hand over (priority 0) and stay backup until undrained, whatever happens to the others.

    A sync group is drained as one, also when one of its members is named. It survives reloads and restarts of the VRRP
    worker, not a restart of the agent.
    """
    params = _target(target, everything) | {"reason": reason, "ttl_s": ttl or 0, "require_peer": require_peer}
    return _show(environment, ask(run_dir, "drain", params), output)


@click.command(epilog="\b\nExample: kactl undrain VI_1")
@click.argument("target", required=False, default="", metavar="[INSTANCE|GROUP]")
@_all_option
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def undrain(environment: Environment, target: str, everything: bool, run_dir: str, output: str) -> int:
    """Let drained instances be master again: as after a fault, by their priority and the rules of preemption."""
    outcome = ask(run_dir, "undrain", _target(target, everything))
    return _show(environment, outcome, output)


def _show(environment: Environment, outcome: dict[str, Any], output: str) -> int:
    if output == "json":
        environment.write(as_json(outcome))
    else:
        environment.write(outcome["message"])
        names = outcome.get("drained") or outcome.get("undrained") or []
        if len(names) > 1 or (names and names[0] not in outcome["message"]):
            environment.write(f"instances: {', '.join(names)}")
    return ExitCode.FINE

"""How a command reaches an agent: the run directory, the control socket, and what is said when nothing answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click

from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.client import AgentNotReachable, ControlClient
from kactl_agent.control.protocol import ANSWER_SECONDS, ControlError

P = ParamSpec("P")

PATIENCE = ANSWER_SECONDS + 15.0  # seconds for what may take its time: the agent's own limit comes first, and says why
_AT_ONCE = 10.0  # seconds for what is only looked up
DEFAULT_RUN_DIR = "/run/kactl"

run_dir_option = click.option(
    "--run-dir",
    metavar="DIR",
    envvar="KACTL_RUN_DIR",
    default=DEFAULT_RUN_DIR,
    show_default=True,
    help="The agent's run directory, which holds its control socket. Also KACTL_RUN_DIR.",
)
output_option = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="Form of what is printed."
)


def reaches_agent(command: Callable[Concatenate[Environment, P], int]) -> Callable[..., int]:
    """A command whose agent may not answer (exit 4) or may refuse (exit 1): both are said in one line."""

    @wraps(command)
    def reached(environment: Environment, *args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return command(environment, *args, **kwargs)
        except AgentNotReachable as fault:
            environment.say(f"kactl: no agent answers: {fault}")
            environment.say("hint: is kactl-agent running? --run-dir says where, and the socket is root's alone")
            return ExitCode.UNREACHABLE
        except ControlError as refusal:
            environment.say(f"kactl: {refusal.message}")
            return ExitCode.FAILED

    return reached


def ask(run_dir: str, method: str, params: dict[str, Any] | None = None) -> Any:
    """The result of one method. Raises AgentNotReachable and ControlError."""
    timeout = _AT_ONCE if method == "status" else PATIENCE
    with ControlClient(run_dir, timeout=timeout) as client:
        return client.call(method, params)

"""The kactl command: a click group whose commands are imported when they are chosen."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import click

from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent import __version__

COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": ("kactl.commands.check:check", "Say what is wrong with configurations, YAML or keepalived.conf."),
    "check-run": ("kactl.commands.check_run:check_run", "Check a real server now, and show everything that was seen."),
    "config": ("kactl.commands.config:config", "Show a configuration as data, or change it and keep its comments."),
    "confirm": ("kactl.commands.reload:confirm", "Keep a configuration that was loaded with --confirm."),
    "convert": ("kactl.commands.convert:convert", "Convert keepalived.conf to YAML, and back, without loss."),
    "decode": ("kactl.commands.decode:decode", "Decode captured packets, and say whether an agent would take them."),
    "drain": ("kactl.commands.drain:drain", "Hand over to another router, and stay backup until undrained."),
    "dump": ("kactl.commands.dump:dump", "Print an agent's state in the layouts of keepalived."),
    "events": ("kactl.commands.events:events", "Show what happened to an agent's virtual routers, and why."),
    "genhash": ("kactl.commands.genhash:genhash", "Compute the digest of a page as HTTP_GET and SSL_GET do."),
    "plan": ("kactl.commands.plan:plan", "Say what a reload would change, and whom it would hurt."),
    "reload": ("kactl.commands.reload:reload_command", "Make an agent read its configuration again."),
    "rollback": ("kactl.commands.reload:rollback", "Go back to the configuration before the one in force."),
    "schema": ("kactl.commands.schema:schema", "Print the JSON Schema of the YAML configuration."),
    "status": ("kactl.commands.status:status", "Show who is master, since when, and with what priority."),
    "undrain": ("kactl.commands.drain:undrain", "Let drained instances be master again."),
    "why": ("kactl.commands.why:why", "Say why an instance is in the state it is in."),
}
"""Command -> its click command as `module:attribute`, and its line in `kactl --help`, which imports none of them."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {close[0]}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample: kactl convert /etc/keepalived/keepalived.conf -o agent.yaml",
)
@click.version_option(__version__, prog_name="kactl", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> int | None:
    """Migrate keepalived.conf to YAML, check configurations, and operate kactl agents."""
    if context.invoked_subcommand is not None:
        return None
    environment: Environment = context.obj
    environment.say(context.get_help())
    return ExitCode.USAGE


def run(arguments: Sequence[str], environment: Environment | None = None) -> int:
    """Run the command and return its exit code; nothing ends the process.

    Commands return an ExitCode (or None for FINE) and find their Environment as the context's object.
    """
    environment = environment or Environment()
    try:
        # click's own help and version go to the environment's streams too
        with redirect_stdout(environment.stdout), redirect_stderr(environment.stderr):
            outcome: Any = cli.main(list(arguments), prog_name="kactl", standalone_mode=False, obj=environment)
    except click.ClickException as fault:
        _show(fault, environment)
        return ExitCode.USAGE if isinstance(fault, click.UsageError) else ExitCode.FAILED
    except (click.Abort, KeyboardInterrupt):
        environment.say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.FAILED  # whoever read our output went away
    except OSError as fault:
        # Commands say what is wrong with their files; what is left is a stream without a name.
        environment.say(f"kactl: {fault.filename or 'standard output'}: {fault.strerror or fault}")
        return ExitCode.FAILED
    return outcome if isinstance(outcome, int) else ExitCode.FINE


def _show(fault: click.ClickException, environment: Environment) -> None:
    if isinstance(fault, click.UsageError) and fault.ctx is not None:
        environment.say(fault.ctx.get_usage())
        if fault.ctx.command.get_help_option(fault.ctx) is not None:
            environment.say(f"Try '{fault.ctx.command_path} --help'.")
    environment.say(f"kactl: {fault.format_message()}")

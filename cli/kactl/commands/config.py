"""kactl config: show a configuration as data, and change it without losing what stands around the change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.files import keep_beside, replace_file
from kactl.ui.diagnostics import Counts, as_json, json_diagnostics, say_diagnostics
from kactl_agent.config.load import MAX_BYTES, read_file

_STATES = ("merged", "replaced", "overridden", "deleted")


@click.group(epilog="\b\nExample: kactl config edit /etc/kactl/agent.yaml --state merged --changes new.json --write")
def config() -> None:
    """Show a configuration as data, or change it."""


@config.command(epilog="\b\nExample: kactl config show /etc/kactl/agent.yaml --output json")
@click.argument("file", metavar="FILE")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="YAML, or JSON.")
@click.pass_obj
def show(environment: Environment, file: str, output: str) -> int:
    """Show the configuration of FILE with what it includes, in one piece. `-` is standard input.

    Secrets are shown as they stand there: a password in the file, the name of the file that holds it.
    """
    from kactl.editing.edit import data_of
    from kactl_agent.config.emit import emit
    from kactl_agent.config.load import load_bytes

    data = _read(environment, file)
    if data is None:
        return ExitCode.INVALID
    document = load_bytes(data, "<stdin>" if file == "-" else file, environ=environment.variables, secrets=False)
    say_diagnostics(environment, document, "kactl check --output json has all of them")
    if document.errors:
        return ExitCode.INVALID
    if output == "json":
        environment.write(as_json({"schema_version": 1, "file": file, "config": data_of(document)}))
    else:
        environment.stdout.write(emit(document))
    return ExitCode.FINE


@config.command(epilog="\b\nExample: kactl config edit agent.yaml --state merged --changes new.json --output json")
@click.argument("file", metavar="FILE")
@click.option("--state", type=click.Choice(_STATES), required=True, help="What is to become of what the change names.")
@click.option("--changes", metavar="SRC", default="-", help="The change, as YAML or JSON; - is standard input.")
@click.option("--write", "write", is_flag=True, help="Write FILE; without it the result is only shown.")
@click.option("--backup", is_flag=True, help="Keep what was there beside it, under a name with the time.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="The new text, or a report.")
@click.pass_obj
def edit(environment: Environment, file: str, state: str, changes: str, write: bool, backup: bool, output: str) -> int:
    """Change the configuration of FILE, which need not exist yet.

    merged adds what the change says; replaced makes the items it names what it says; overridden makes the whole
    configuration what it says; deleted takes away what it names. Comments, order and layout of the rest stay, and a
    change that changes nothing leaves the file alone to the byte. A result that is invalid is never written: exit 3.
    """
    from kactl.editing.changes import State
    from kactl.editing.edit import edit as edited
    from kactl_agent.config.masking import mask_sources

    change = _change(environment, changes)
    if change is None or (state == "deleted" and not change):
        if change is not None:
            environment.say("kactl: the change names nothing to delete")
        return ExitCode.INVALID
    before: bytes | None = None
    if Path(file).exists():
        before = _read(environment, file)
        if before is None:
            return ExitCode.INVALID
    try:
        result = edited(before, file, change, State(state), environment.variables)
    except ValueError as fault:
        environment.say(f"kactl: {fault}")
        return ExitCode.FAILED
    document = result.document
    say_diagnostics(environment, document, "--output json has all of them")
    counts = Counts.of(document.diagnostics)
    written, kept, code = False, None, ExitCode.INVALID if counts.errors else ExitCode.FINE
    if write and result.changed and not counts.errors:
        try:
            kept = keep_beside(file, before) if backup and before is not None else None
            replace_file(file, result.after)
            written = True
        except OSError as fault:
            environment.say(f"{file}: error[unwritable]: cannot be written: {fault.strerror or fault}")
            code = ExitCode.FAILED
    if output == "json":
        masked = mask_sources({"before": result.before, "after": result.after})
        environment.write(
            as_json(
                {
                    "schema_version": 1,
                    "file": file,
                    "valid": not counts.errors,
                    "changed": result.changed and not counts.errors,
                    "written": written,
                    "backup": kept,
                    "before": masked["before"],
                    "after": masked["after"],
                    "diagnostics": json_diagnostics(document.diagnostics),
                }
            )
        )
    elif not counts.errors and not write:
        environment.stdout.write(result.after)
    return code


def _read(environment: Environment, file: str) -> bytes | None:
    try:
        data = environment.stdin.read(MAX_BYTES + 1) if file == "-" else read_file(file)
    except (OSError, ValueError) as fault:
        environment.say(f"{file}: error[unreadable]: cannot be read: {getattr(fault, 'strerror', None) or fault}")
        return None
    return data


def _change(environment: Environment, source: str) -> dict[str, Any] | None:
    """A map, from JSON or YAML; None when it is none, and why has been said."""
    data = _read(environment, source)
    if data is None:
        return None
    shown = "<stdin>" if source == "-" else source
    try:
        change: Any = json.loads(data)
    except ValueError:
        from ruamel.yaml.error import YAMLError

        from kactl.editing import text

        try:
            change = text.plain(text.load(data.decode("utf-8")))
        except (UnicodeDecodeError, YAMLError) as fault:
            line = str(fault).strip().splitlines()[0]
            environment.say(f"{shown}: error[syntax]: neither JSON nor YAML: {line}")
            return None
        except ValueError:
            change = None
    if not isinstance(change, dict):
        environment.say(f"{shown}: error[wrong-kind]: a change is a map of blocks, as a configuration is")
        return None
    return change

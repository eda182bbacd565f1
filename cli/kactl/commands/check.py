"""kactl check: all errors and warnings of all files at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.keepalived_conf.command_line import define_option, expand_options, id_option
from kactl.ui.diagnostics import Counts, annotate, as_json, json_diagnostics, say_diagnostics
from kactl_agent.config.diagnostics import Diagnostic, Place
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.load import MAX_BYTES, load_bytes, read_file
from kactl_agent.config.schema.root import Config

if TYPE_CHECKING:
    from kactl.keepalived_conf.preprocess import ExpandOptions


@click.command(epilog="\b\nExample: kactl check /etc/kactl/agent.yaml /etc/keepalived/keepalived.conf")
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option(
    "--fleet",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Check HOST.yaml, HOST.conf and HOST/agent.yaml in DIR each, and where hosts disagree.",
)
@click.option("--output", type=click.Choice(["text", "json", "github"]), default="text", help="Form of the findings.")
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option(
    "--secrets/--no-secrets", default=True, help="Fetch the secrets that YAML takes from files and variables."
)
@id_option
@define_option
@click.pass_obj
def check(
    environment: Environment,
    files: tuple[str, ...],
    fleet: Path | None,
    output: str,
    strict: bool,
    secrets: bool,
    config_id: str | None,
    defines: dict[str, str],
) -> int:
    """Say everything that is wrong with configurations.

    Each FILE is the YAML of an agent (*.yaml, *.yml, *.json) or, where its name does not say, what its content is: YAML
    or keepalived.conf; `-` is standard input. Findings show the line they are about. Exits with 3 when there is an
    error. With --fleet DIR it also says what only several hosts together show: one virtual_router_id for different
    addresses, equal priorities, addresses, intervals, versions or authentication that differ, unicast peers that do not
    know each other, halves of sync groups.
    """
    if not files and fleet is None:
        raise click.UsageError("Say which FILE to check, or a folder with --fleet.")
    options = expand_options(config_id, defines, environment.variables)
    documents = [(name, _load(environment, name, options, secrets=secrets)) for name in files]
    if fleet is not None:
        documents += _fleet(fleet, lambda file: _load(environment, file, options, secrets=secrets))
    diagnostics = list(dict.fromkeys(d for _, document in documents for d in document.diagnostics))
    counts = Counts.of(diagnostics)
    invalid = bool(counts.errors or (strict and counts.warnings))
    if output == "json":
        environment.write(
            as_json(
                {
                    "schema_version": 1,
                    "valid": not invalid,
                    "errors": counts.errors,
                    "warnings": counts.warnings,
                    "notes": counts.notes,
                    "diagnostics": json_diagnostics(diagnostics),
                }
            )
        )
    elif output == "github":
        annotate(environment, diagnostics)
    else:
        for name, document in documents:
            say_diagnostics(environment, document, "--output json has all of them")
            found = Counts.of(document.diagnostics)
            verdict = "invalid" if found.errors or (strict and found.warnings) else "valid"
            environment.say(f"{name}: {verdict}{f' ({found.text()})' if found.text() else ''}")
    return ExitCode.INVALID if invalid else ExitCode.FINE


def _fleet(folder: Path, load: Callable[[str], Document]) -> list[tuple[str, Document]]:
    """The documents of a fleet's hosts; what hosts disagree about is said with the one it stands in."""
    from kactl.fleet.checks import check_fleet
    from kactl.fleet.members import Host, files_of

    documents = {str(file): (host, load(str(file))) for host, file in files_of(folder)}
    if not documents:
        raise click.UsageError(f"There is no HOST.yaml, HOST.conf or HOST/agent.yaml in {folder}.")
    for finding in check_fleet(
        [Host.of(host, document) for host, document in documents.values() if not document.errors]
    ):
        documents.get(finding.place.file, next(iter(documents.values())))[1].diagnostics.append(finding)
    return [(file, document) for file, (_, document) in documents.items()]


def _load(environment: Environment, name: str, options: ExpandOptions, *, secrets: bool) -> Document:
    """The document of a file of either kind; what cannot be read is a diagnostic too.

    For the agent's own YAML, what this version of the agent does not act on is said as well.
    """
    shown = "<stdin>" if name == "-" else name
    try:
        data = environment.stdin.read(MAX_BYTES + 1) if name == "-" else read_file(name)
    except (OSError, ValueError) as fault:
        message = f"cannot be read: {getattr(fault, 'strerror', None) or fault}"
        return Document(Config(), Origin(shown), [Diagnostic("unreadable", message, Place(shown))])
    from kactl.keepalived_conf.detect import looks_like_keepalived

    called_yaml = PurePath(name).suffix in (".yaml", ".yml", ".json")
    if not called_yaml and len(data) <= MAX_BYTES and looks_like_keepalived(data.decode("utf-8", errors="replace")):
        from kactl.keepalived_conf.load import load

        return load(data, shown, options).document
    document = load_bytes(data, shown, environ=environment.variables, secrets=secrets)
    if not document.errors:
        from kactl_agent.config.resolve import resolve

        document.diagnostics = list(dict.fromkeys([*document.diagnostics, *resolve(document).diagnostics]))
    return document

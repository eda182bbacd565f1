"""kactl convert: keepalived.conf to YAML, and back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.files import replace_file
from kactl.keepalived_conf.account import Outcome
from kactl.keepalived_conf.command_line import define_option, expand_options, id_option
from kactl.keepalived_conf.detect import looks_like_keepalived
from kactl.keepalived_conf.report import report, summary
from kactl.ui.diagnostics import as_json, say_diagnostics
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.root import Config

MAX_BYTES = 32 * 1024 * 1024
"""Larger sources are refused."""


@dataclass
class _Conversion:
    """A document, and the text it became; without a text it was refused."""

    document: Document
    text: str | None = None
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    @property
    def findings(self) -> list[Diagnostic]:
        return self.document.diagnostics


@click.command(epilog="\b\nExample: kactl convert /etc/keepalived/keepalived.conf -o /etc/kactl/agent.yaml")
@click.argument("source", metavar="SRC")
@click.option("-o", "destination", metavar="DST", default="-", help="File to write; without it, or as -, stdout.")
@click.option(
    "--to", "target", type=click.Choice(["yaml", "keepalived"]), help="What to make; by default, the other of the two."
)
@click.option("--strict", is_flag=True, help="Write nothing when there is any finding (exit 3).")
@click.option("--report", "report_file", metavar="FILE", help="Write what became of everything as JSON.")
@id_option
@define_option
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="json: the report on stdout; needs -o DST."
)
@click.pass_obj
def convert(
    environment: Environment,
    source: str,
    destination: str,
    target: str | None,
    strict: bool,
    report_file: str | None,
    config_id: str | None,
    defines: dict[str, str],
    output: str,
) -> int:
    """Convert keepalived.conf to the YAML of kactl-agent, and back.

    SRC is either of the two, whichever its content is; `-` is standard input. Comments come along. What keepalived
    repairs or ignores, what is expanded and what changes its meaning is said on stderr with the line it is about.
    Invalid input leaves DST untouched and exits with 3.
    """
    if output == "json" and destination == "-":
        raise click.UsageError("--output json writes the report to stdout: say where the result goes with -o DST.")
    shown = "<stdin>" if source == "-" else source
    try:
        data = environment.stdin.read(MAX_BYTES + 1) if source == "-" else _read_file(source)
    except (OSError, ValueError) as fault:
        conversion = _unusable(shown, "unreadable", f"cannot be read: {_reason(fault)}")
        target = target or "yaml"
    else:
        if target is None:
            target = "yaml" if looks_like_keepalived(data.decode("utf-8", errors="replace")) else "keepalived"
        if len(data) > MAX_BYTES:
            conversion = _unusable(shown, "too-large", f"larger than {MAX_BYTES >> 20} MiB")
        elif target == "yaml":
            conversion = _to_yaml(environment, data, shown, config_id, defines)
        else:
            conversion = _to_keepalived(environment, data, shown)
    refused = conversion.text is None or (strict and bool(conversion.findings))
    say_diagnostics(environment, conversion.document, "--report FILE writes all of them")
    made = report(shown, destination, target, conversion.findings, conversion.outcomes, refused=refused)
    code = ExitCode.INVALID
    if not refused:
        assert conversion.text is not None
        code = _deliver(environment, destination, conversion.text)
    elif conversion.text is not None:
        environment.say("kactl: nothing is written, as there are findings (--strict)")
    if report_file is not None and not _write(environment, report_file, as_json(made) + "\n"):
        code = code or ExitCode.FAILED
    if output == "json":
        environment.write(as_json(made))
    else:
        environment.say(f"{shown}: {summary(conversion.findings, conversion.outcomes)}")
    return code


def _to_yaml(
    environment: Environment, data: bytes, name: str, config_id: str | None, defines: dict[str, str]
) -> _Conversion:
    from kactl.keepalived_conf.load import load
    from kactl_agent.config.emit import emit

    options = expand_options(config_id, defines, environment.variables)
    loaded = load(data, name, options)
    if loaded.document.errors:
        return _Conversion(loaded.document, outcomes=loaded.outcomes)
    return _Conversion(loaded.document, emit(loaded.document), loaded.outcomes)


def _to_keepalived(environment: Environment, data: bytes, name: str) -> _Conversion:
    # Imported here: the other direction needs no parser of YAML.
    from kactl.keepalived_conf.writer import write
    from kactl_agent.config.load import load_bytes

    document = load_bytes(data, name, environ=environment.variables, secrets=False)
    if document.errors:
        return _Conversion(document)
    written = write(document, _read_secret)
    document.diagnostics += written.findings
    return _Conversion(document, None if document.errors else written.text)


def _read_file(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _read_secret(path: str) -> str:
    with Path(path).open(encoding="utf-8") as file:
        return file.read(1 << 16).rstrip("\r\n")


def _unusable(name: str, code: str, message: str) -> _Conversion:
    fault = Diagnostic(code, message, Place(name), effect=Effect.REFUSED)
    return _Conversion(Document(Config(), Origin(name), [fault]))


def _deliver(environment: Environment, destination: str, text: str) -> ExitCode:
    if destination != "-":
        return ExitCode.FINE if _write(environment, destination, text) else ExitCode.FAILED
    environment.stdout.write(text)
    return ExitCode.FINE


def _write(environment: Environment, path: str, text: str) -> bool:
    try:
        replace_file(path, text)
    except (OSError, ValueError) as fault:
        environment.say(f"{path}: error[unwritable]: cannot be written: {_reason(fault)}")
        return False
    return True


def _reason(fault: Exception) -> Any:
    return fault.strerror if isinstance(fault, OSError) and fault.strerror else fault

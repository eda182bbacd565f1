"""kactl plan: what a reload would do, and whom it would hurt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kactl.agent_connection import ask, output_option, reaches_agent, run_dir_option
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl.ui.diagnostics import as_json
from kactl.ui.tables import table

CLASSES = ("no-op", "hitless", "brief", "disruptive")
_MOST_LINES = 500


@click.command(epilog="\b\nExample: kactl plan /root/new.yaml --fail-on disruptive")
@click.argument("file", metavar="NEW.yaml")
@click.option(
    "--against", metavar="FILE", help="Compare with this YAML file, without an agent, and not with what is in force."
)
@click.option(
    "--fail-on",
    type=click.Choice([*CLASSES[1:], "peer-incompatible"]),
    multiple=True,
    help="Exit with 1 for a change of this class or a worse one, or for one that peers would not go along with.",
)
@run_dir_option
@output_option
@click.pass_obj
@reaches_agent
def plan(
    environment: Environment, file: str, against: str | None, fail_on: tuple[str, ...], run_dir: str, output: str
) -> int:
    """Say what a reload with NEW.yaml would change, and change nothing.

    Each change is no-op, hitless, brief (an address is gone for a moment, or another router takes over) or disruptive
    (an address, a session or a service ends), and may be peer-incompatible: other routers would drop our adverts until
    they are changed too. Exits with 0 when NEW.yaml is valid, with 3 when it is not, and with 1 as --fail-on says.
    """
    if against is None:
        document = ask(run_dir, "plan", {"file": str(Path(file).absolute())})
    else:
        document = _compare(environment, against, file)
    if output == "json":
        environment.write(as_json(document))
    else:
        _show(environment, document, file)
    if not document["valid"]:
        return ExitCode.INVALID
    return ExitCode.FAILED if document.get("refused") or _fails(document, fail_on) else ExitCode.FINE


def _fails(document: dict[str, Any], fail_on: tuple[str, ...]) -> bool:
    ranks = [CLASSES.index(each) for each in fail_on if each in CLASSES]
    too_bad = bool(ranks) and CLASSES.index(document["class"]) >= min(ranks)
    return too_bad or ("peer-incompatible" in fail_on and document["peer_incompatible"])


def _show(environment: Environment, document: dict[str, Any], file: str) -> None:
    for finding in document["report"]:
        environment.say(finding)
    if not document["valid"]:
        environment.say(f"{file}: invalid: a reload would be refused")
        return
    if document.get("refused"):  # an agent that still runs an earlier version does not say
        environment.say(f"{file}: a reload would be refused: {document['refused']}")
    changes = document["changes"]
    if not changes:
        environment.write("no-op: the configuration means what is in force")
        return
    rows = [("CLASS", "WHAT", "CHANGE", "ADDRESSES")]
    rows += [(each["class"], each["subject"], each["text"], _few(each["addresses"])) for each in changes[:_MOST_LINES]]
    for line in table(rows):
        environment.write(line)
    more = len(changes) - _MOST_LINES + document["left_out"]
    if more > 0:
        environment.write(f"and {more} changes more: --output json has them")
    for each in changes[:_MOST_LINES]:
        if each["peer_incompatible"]:
            environment.write(f"peer-incompatible: {each['subject']}: {each['text']}: {each['peers']}")
    environment.write(f"altogether: {document['class']}")


def _few(addresses: list[str]) -> str:
    shown = " ".join(addresses[:3])
    return f"{shown} +{len(addresses) - 3} more" if len(addresses) > 3 else shown or "-"


def _compare(environment: Environment, old: str, new: str) -> dict[str, Any]:
    """Of two files. The one that is compared with has to be valid too."""
    from kactl_agent.config.diff import plan as changes_between
    from kactl_agent.config.diff import worst

    before, findings, _errors = _side(environment, old)
    if before is None:
        return _document([], findings, None)
    after, findings, errors = _side(environment, new)
    if after is None:
        return _document([], findings, None, errors)
    changes = changes_between(before, after)
    return _document([change.as_json() for change in changes], findings, worst(changes).value)


def _side(environment: Environment, file: str) -> tuple[Any, list[str], int]:
    """(what is compared, None when there are errors; findings as text; how many are errors)"""
    from kactl_agent.config.diagnostics import Severity, render_text
    from kactl_agent.config.load import load_file
    from kactl_agent.config.masking import mask_sources
    from kactl_agent.config.resolve import resolve
    from kactl_agent.config.side import side_of

    document = load_file(file, environ=environment.variables)
    diagnostics = list(document.diagnostics)
    side = None
    if not document.errors:
        resolution = resolve(document)
        diagnostics += [each for each in resolution.diagnostics if each not in diagnostics]
        side = side_of(resolution.settings)
    errors = sum(each.severity is Severity.ERROR for each in diagnostics)
    sources = mask_sources(document.sources) if diagnostics else {}
    findings = [render_text(each, sources) for each in diagnostics]
    return (None if errors else side), findings, errors


def _document(changes: list[Any], findings: list[str], impact: str | None, errors: int = 0) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "valid": impact is not None,
        "revision": {"current": None, "new": None},
        "class": impact,
        "refused": "",
        "capabilities": None,  # the agent's options decide too
        "peer_incompatible": any(change["peer_incompatible"] for change in changes),
        "changes": changes,
        "left_out": 0,
        "report": findings,
        "errors": errors,
        "warnings": len(findings) - errors,
    }

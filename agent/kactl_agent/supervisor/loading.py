"""From a configuration file to what the workers take.

It happens in a short-lived process: no parser, however it fares with what it is given, runs in the supervisor, and none
of its memory stays.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kactl_agent.bfd.settings import BfdSettings
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime import agent_signals
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.parts import read_parts, write_parts
from kactl_agent.supervisor.children import Child, exit_text, fork_child
from kactl_agent.supervisor.importing import import_late
from kactl_agent.supervisor.options import EXIT_CONFIGURATION, EXIT_FINE, Options
from kactl_agent.tracking.settings import Executable, TrackingSettings
from kactl_agent.vrrp.firewall import FirewallSettings
from kactl_agent.vrrp.static_items import StaticItems

if TYPE_CHECKING:
    from kactl_agent.config.checks.problem import Sheet
    from kactl_agent.config.resolve import Resolution

_KIND = re.compile(r": (error|warning|note)\[[a-z0-9-]+\]: ")
_NICE = 5  # more than that, and a large configuration is not read in time where much else runs
_MOST_FINDINGS = 30  # in a log


class LoadOutcome(msgspec.Struct, frozen=True):
    """A configuration, or why there is none. `report` is what there is to say about the file: a text for each finding,
    of several lines, without secrets."""

    configuration: AgentConfiguration | None
    report: tuple[str, ...]
    errors: int
    warnings: int
    text: bytes | None = None  # of the file itself, without what it includes; None from a pipe
    plan: PlanSummary | None = None  # compared with what is in force
    shown: tuple[str, ...] = ()  # the configuration without secrets (--dump-conf)


class PlanSummary(msgspec.Struct, frozen=True):
    """What changes: the worst class, lines for a log, and all of it as JSON."""

    impact: str
    lines: tuple[str, ...]
    document: bytes = b""


def load(options: Options, candidate: str = "", *, starting: bool = True, copy_for: int = 0) -> LoadOutcome:
    """Read, validate and resolve the configuration file, or another one as if it were that. Whatever is wrong with it
    is in the outcome. What matters to an agent that is `starting` alone is left out else. `copy_for` is the process
    whose copies are in config_save_dir, 0 for no copy."""
    return _load(options, candidate, starting, copy_for)[0]


def _load(
    options: Options, candidate: str, starting: bool, copy_for: int
) -> tuple[LoadOutcome, CheckersSettings | None]:
    """What is for the checkers worker, too, before it is encoded."""
    from kactl_agent.config.checks.problem import Sheet
    from kactl_agent.config.diagnostics import Severity, render_text
    from kactl_agent.config.load import load_bytes, load_file, read_file
    from kactl_agent.config.masking import mask_sources
    from kactl_agent.config.resolve import resolve

    file = candidate or str(options.config)
    text: bytes | None = None
    try:
        data = read_file(file)
    except (OSError, ValueError):
        document = load_file(file)  # and says why
    else:
        document = load_bytes(data, str(options.config), whole=False)
        text = data if is_regular(file) else None
    diagnostics = list(document.diagnostics)
    configuration = balancing = None
    if not document.errors:
        resolution = resolve(document)
        diagnostics += [d for d in resolution.diagnostics if d not in diagnostics]
        if not any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics):
            sheet = Sheet(document)
            configuration, balancing = _configuration(options, resolution, sheet, starting=starting)
            diagnostics += [problem.diagnostic for problem in sheet.problems]
    sources = mask_sources(document.sources) if diagnostics else {}
    report = [render_text(diagnostic, sources) for diagnostic in diagnostics]
    if copy_for and configuration is not None and (directory := configuration.process.dumps.save_directory):
        from kactl_agent.supervisor.configuration_copies import save_copy

        failure = save_copy(document, directory, options.config.name, copy_for)
        report += [failure] if failure else []
    if candidate:  # its relative names are those of the file it is to become; what is wrong is wrong in it
        known = f"{options.config}:"
        report = [candidate + line[len(known) - 1 :] if line.startswith(known) else line for line in report]
    errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
    warnings = sum(diagnostic.severity is Severity.WARNING for diagnostic in diagnostics)
    shown = _shown(mask_sources(document.sources)) if options.dump_conf and configuration is not None else ()
    return LoadOutcome(configuration, tuple(report), errors, warnings, text, shown=shown), balancing


def _shown(sources: Mapping[str, str]) -> tuple[str, ...]:
    """The lines of all files, as a log can have them."""
    return tuple(f"{file}: {line}" for file, text in sources.items() for line in text.splitlines())


def is_regular(file: str | Path) -> bool:
    """Not a pipe, which can be read but once."""
    try:
        return stat.S_ISREG(Path(file).stat().st_mode)
    except OSError:
        return True


def _configuration(
    options: Options, resolution: Resolution, sheet: Sheet, *, starting: bool
) -> tuple[AgentConfiguration, CheckersSettings]:
    from kactl_agent.supervisor import balancing_files
    from kactl_agent.supervisor.notify_files import prepare_notify, prepare_startup
    from kactl_agent.supervisor.script_files import ScriptPreparer, prepare_track_scripts
    from kactl_agent.supervisor.tracked_files import leave_out_unwatchable

    settings = resolution.settings
    bfd = settings.bfd if "bfd" in options.only else BfdSettings()
    vrrp, sync_groups, tracking = settings.vrrp, settings.sync_groups, settings.tracking
    executables: dict[str, Executable] = {}
    preparer = ScriptPreparer(sheet, settings.script_policy)
    if "vrrp" in options.only:
        tracking, executables = prepare_track_scripts(preparer, tracking)
        tracking = leave_out_unwatchable(sheet, tracking)
    else:
        vrrp, sync_groups, tracking = (), (), TrackingSettings()
    static = settings.static if "vrrp" in options.only else StaticItems()
    firewall = settings.firewall if "vrrp" in options.only else FirewallSettings()
    balancing = CheckersSettings()
    if "checkers" in options.only:
        balancing = balancing_files.prepare_balancing(sheet, preparer, *settings.balancing)
    notify = prepare_notify(sheet, preparer, settings.notify, vrrp=bool(vrrp), checkers=balancing.wanted)
    balancing = balancing_files.told(balancing, notify)
    startup = prepare_startup(preparer, settings.notify) if starting else None
    process = _as_the_command_line_says(options, settings.process)
    preparer.finish()
    configuration = AgentConfiguration(
        revision="",
        file="",
        router_id=settings.router_id,
        vrrp=vrrp,
        sync_groups=sync_groups,
        static=static,
        firewall=firewall,
        network=settings.network,
        tracking=tracking,
        track_scripts=executables,
        process=process,
        bfd=bfd,
        privileges=_privileges(bfd, balancing, process),
        checkers=balancing_files.encoded(balancing),
        reload=settings.reload,
        vrrp_notify=notify.vrrp,
        own_notify=notify.supervisor,
        mail=notify.mail,
    )
    configuration = msgspec.structs.replace(
        configuration,
        revision=_revision(configuration),
        file=str(options.config.absolute()),
        sources={instance.name: resolution.sources.get(instance.name, {}) for instance in vrrp},
        startup=startup,
    )
    return configuration, balancing


def _revision(configuration: AgentConfiguration) -> str:
    """What the processes take decides, so that a changed comment is no change."""
    import hashlib

    others = msgspec.structs.replace(configuration, checkers=b"")
    digest = hashlib.sha256(msgspec.msgpack.encode(others, order="deterministic"))
    digest.update(configuration.checkers)
    return digest.hexdigest()[:12]


def _privileges(bfd: BfdSettings, balancing: CheckersSettings, process: ProcessSettings) -> dict[str, tuple[str, ...]]:
    from kactl_agent.config.bfd import privileges_for
    from kactl_agent.supervisor import balancing_files

    names = {"bfd": privileges_for(bfd)} if bfd.sessions else {}
    return names | ({"checkers": balancing_files.privileges_for(process)} if balancing.wanted else {})


def _as_the_command_line_says(options: Options, process: ProcessSettings) -> ProcessSettings:
    """What both can say, the command line decides."""
    said: dict[str, Any] = {} if options.umask is None else {"umask": options.umask}
    if options.namespace:
        said["namespace"] = options.namespace
        if process.dumps.suffix:
            suffix = "_".join(filter(None, (options.namespace, process.instance)))
            said["dumps"] = msgspec.structs.replace(process.dumps, suffix=suffix)
    return msgspec.structs.replace(process, **said)


def report_lines(outcome: LoadOutcome, file: Path | str) -> list[tuple[str, str]]:
    """(level, line) for a log: the first findings in full, how many more there are, and where to see them."""
    level = "warning" if outcome.configuration is not None else "error"
    lines = [(_level(text), line) for text in outcome.report[:_MOST_FINDINGS] for line in text.splitlines()]
    more = len(outcome.report) - _MOST_FINDINGS
    lines += [(level, f"and {more} more: `kactl check {file}` shows all")] if more > 0 else []
    return lines + [("info", line) for line in outcome.shown]


def _level(text: str) -> str:
    """Of a finding that has been rendered: `FILE:1:2: note[code]: ...` is no more than an information."""
    kind = _KIND.search(text)
    return {"error": "error", "note": "info"}.get(kind[1], "warning") if kind else "warning"


def check(options: Options) -> int:
    """`--check`: the report on stderr, the exit code says the rest."""
    outcome = load(options)
    for line in outcome.report:
        sys.stderr.write(line + "\n")
    if outcome.configuration is None:
        sys.stderr.write(f"{options.config}: invalid: {outcome.errors} error(s), {outcome.warnings} warning(s)\n")
        return EXIT_CONFIGURATION
    sys.stderr.write(f"{options.config}: valid, {outcome.warnings} warning(s)\n")
    return EXIT_FINE


_NEEDED = (
    "kactl_agent.config.load",
    "kactl_agent.config.masking",
    "kactl_agent.config.resolve",
    "kactl_agent.supervisor.balancing_files",
    "kactl_agent.supervisor.notify_files",
    "kactl_agent.supervisor.planning",
    "kactl_agent.supervisor.reload_limits",
    "kactl_agent.supervisor.script_files",
    "kactl_agent.supervisor.tracked_files",
)


def warm() -> None:
    """Import what loading needs, so that processes which load do not: they are forked from this one. Nothing of it runs
    here."""
    for name in _NEEDED:
        try:
            import_late(name)
        except ImportError:  # an installation that is being replaced: the one who loads says so
            return
    gc.collect()
    gc.freeze()  # what a worker that is restarted shares with us stays shared


def _load_and_plan(
    options: Options, candidate: str, current: AgentConfiguration | None, plan_only: bool
) -> LoadOutcome:
    copy_for = 0 if plan_only else os.getppid()
    outcome, balancing = _load(options, candidate, current is None, copy_for)
    if current is None:
        return outcome
    from kactl_agent.supervisor.planning import summary, write_check_log

    read = outcome.configuration
    outcome = _within_reload(current, outcome, candidate or str(options.config))
    if read is not None and outcome.configuration is not None and outcome.configuration.checkers != read.checkers:
        balancing = None
    write_check_log(current.reload.check_log, options, outcome.report, valid=outcome.configuration is not None)
    plan = summary(current, outcome, options, with_document=plan_only, balancing=balancing)
    return msgspec.structs.replace(outcome, plan=plan, **({"configuration": None, "text": None} if plan_only else {}))


def _within_reload(current: AgentConfiguration, outcome: LoadOutcome, file: str) -> LoadOutcome:
    """Without what only a start can change."""
    if outcome.configuration is None:
        return outcome
    from kactl_agent.supervisor.reload_limits import fixed_lines, keep_fixed

    configuration, kept = keep_fixed(current, outcome.configuration)
    return msgspec.structs.replace(
        outcome,
        configuration=configuration,
        report=(*outcome.report, *fixed_lines(kept, file)),
        warnings=outcome.warnings + len(kept),
    )


def _be_nobodys_agent() -> None:
    """In the process that loads. It ends before a collection of garbage would be worth it."""
    gc.disable()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):  # meant for the agent, sent to all of it
        signal.signal(number, signal.SIG_IGN)
    agent_signals.ignore()


def _come_last() -> None:
    """In the process that loads for a reload or a plan: what runs, protocols among it, is more important."""
    _be_nobodys_agent()
    os.nice(_NICE)


_PARTS = 3


def _encode(outcome: LoadOutcome) -> tuple[bytes, bytes, bytes]:
    """All but the file's text and the settings of the checkers worker, and these: they are not copied."""
    checkers = b"" if outcome.configuration is None else outcome.configuration.checkers
    rest = None if outcome.configuration is None else msgspec.structs.replace(outcome.configuration, checkers=b"")
    marked = None if outcome.text is None else b""
    others = msgspec.msgpack.encode(msgspec.structs.replace(outcome, configuration=rest, text=marked))
    return others, outcome.text or b"", checkers


def _decode(others: bytes, text: bytes, checkers: bytes) -> LoadOutcome:
    rest = msgspec.msgpack.decode(others, type=LoadOutcome)
    configuration = rest.configuration
    if configuration is not None:
        configuration = msgspec.structs.replace(configuration, checkers=checkers)
    return msgspec.structs.replace(rest, configuration=configuration, text=None if rest.text is None else text)


class LoadingProcess:
    """`load` in a process of its own; readable when it has ended. Compared with `current` it makes a plan as well."""

    def __init__(
        self,
        options: Options,
        candidate: str = "",
        current: AgentConfiguration | None = None,
        *,
        plan_only: bool = False,
    ) -> None:
        """`plan_only`: the configuration itself is not wanted. Raises OSError when there is no room for another
        process."""
        self._memory = os.memfd_create("kactl-load", os.MFD_CLOEXEC)
        try:
            pid = fork_child(
                "load",
                lambda: self._write(_load_and_plan(options, candidate, current, plan_only)),
                [self._memory],
                _be_nobodys_agent if current is None else _come_last,
            )
            self._child = Child("load", pid)
        except OSError:
            os.close(self._memory)
            raise

    def _write(self, outcome: LoadOutcome) -> int:
        write_parts(self._memory, _encode(outcome))
        return EXIT_FINE

    def fileno(self) -> int:
        return self._child.fileno()

    def kill(self) -> None:
        self._child.kill()

    def outcome(self) -> LoadOutcome:
        """Wait for the end; what came of it. A loader that crashed is a configuration that cannot be used."""
        code = self._child.reap()
        try:
            if code == 0:
                return _decode(*read_parts(self._memory, _PARTS))
        finally:
            os.close(self._memory)
        text = f"reading the configuration failed: {exit_text(code)}"
        return LoadOutcome(None, (text,), 1, 0)

"""The start of the agent: namespace, lock, configuration, privileges, then the supervisor.

What the supervisor and its workers need is imported while another process reads the configuration: each takes about as
long as the other, and a router that comes back should not keep its network waiting.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from kactl_agent.runtime import agent_signals, privileges
from kactl_agent.runtime.privileges import Capability
from kactl_agent.runtime.sdnotify import Notifier
from kactl_agent.supervisor.core_dumps import CoreDumps
from kactl_agent.supervisor.loading import LoadingProcess, report_lines
from kactl_agent.supervisor.options import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_FINE,
    EXIT_PRIVILEGE,
    EXIT_RUNNING,
    SUBSYSTEMS,
    Options,
)
from kactl_agent.supervisor.run_dir import AlreadyRunning, RunDirectory
from kactl_agent.supervisor.spawning import SpawnerProcess
from kactl_agent.supervisor.trial_file import TrialFile

if TYPE_CHECKING:
    from kactl_agent.supervisor.log import Log


def run(options: Options, spawner: SpawnerProcess) -> int:
    """The life of the agent. Returns the exit code."""
    # until there are workers to tell: nothing to reload or dump, and nothing to stop orderly
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    agent_signals.ignore()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    notifier = Notifier.from_environment()
    if options.namespace and (code := _enter_namespace(options.namespace, options)):
        return code
    run_dir = RunDirectory(options.run_dir)
    try:
        run_dir.claim()
    except AlreadyRunning as error:
        _complain(options, str(error))
        return EXIT_RUNNING
    except OSError as error:
        _complain(options, f"run directory {options.run_dir}: {error.strerror or error}")
        return EXIT_FAILED
    if warning := run_dir.danger():
        _complain(options, warning, "warning")
    try:
        return _run_claimed(options, notifier, run_dir, spawner)
    finally:
        run_dir.release()


def _complain(options: Options, message: str, level: str = "error") -> None:
    from kactl_agent.supervisor.log import Log

    Log(options)(level, message)


def _end_interrupted_trial(options: Options) -> None:
    """Before the configuration is read."""
    from kactl_agent.supervisor.log import Log
    from kactl_agent.supervisor.versions import ConfigurationFile

    ConfigurationFile(options.config).end_interrupted_trial(Log(options))


def _run_claimed(options: Options, notifier: Notifier, run_dir: RunDirectory, spawner: SpawnerProcess) -> int:
    if TrialFile(options.config).exists:
        _end_interrupted_trial(options)
    loading = LoadingProcess(options)
    from kactl_agent.supervisor.log import Log
    from kactl_agent.supervisor.worker_kinds import import_module

    if "vrrp" in options.only:
        import_module("vrrp")  # wanted most of the time; what else is, the configuration will say

    log = Log(options)
    core_dumps = CoreDumps(options.core_dump_pattern)
    if (options.core_dump or options.core_dump_pattern) and (failure := core_dumps.allow()):
        log("warning", failure)
    try:
        return _run_loaded(options, notifier, run_dir, spawner, log, loading)
    finally:
        core_dumps.restore()


def _run_loaded(
    options: Options,
    notifier: Notifier,
    run_dir: RunDirectory,
    spawner: SpawnerProcess,
    log: Log,
    loading: LoadingProcess,
) -> int:
    from kactl_agent.supervisor.supervisor import Supervisor
    from kactl_agent.supervisor.worker_kinds import refusal

    outcome = loading.outcome()
    for level, line in report_lines(outcome, options.config):
        log(level, line)
    if outcome.configuration is None:
        log("error", f"{options.config} is invalid: {outcome.errors} error(s), {outcome.warnings} warning(s)")
        return EXIT_CONFIGURATION
    if text := refusal(outcome.configuration):
        log("error", text)
        return EXIT_PRIVILEGE
    process = outcome.configuration.process
    if process.namespace != options.namespace and (code := _enter_namespace(process.namespace, options)):
        return code
    spawner.settle(process.umask, process.namespace or options.namespace)
    _say_what_has_nothing_to_do(options, log)
    try:
        log.begin_files(process)
        supervisor = Supervisor(options, log, notifier, run_dir, outcome.configuration, spawner, outcome.text)
    except OSError as error:
        log("error", f"control socket in {options.run_dir}: {error.strerror or error}")
        return EXIT_FAILED
    return supervisor.run()


def _enter_namespace(name: str, options: Options) -> int:
    if privileges.missing_capabilities([Capability.CAP_SYS_ADMIN]):
        _complain(options, f"entering the network namespace {name} needs CAP_SYS_ADMIN")
        return EXIT_PRIVILEGE
    try:
        privileges.enter_network_namespace(name)
    except OSError as error:
        _complain(options, f"network namespace {name}: {error.strerror or error}")
        return EXIT_FAILED
    return EXIT_FINE


def _say_what_has_nothing_to_do(options: Options, log: Log) -> None:
    if options.only != frozenset(SUBSYSTEMS):
        log("info", f"--only {', '.join(sorted(options.only))}: whatever else is configured does not run")
    if options.config_id:
        log("info", f"--config-id {options.config_id}: nothing in a YAML configuration depends on it")

"""What a service manager has to grant the agent for a configuration: `kactl-agent --print-capabilities`."""

from __future__ import annotations

import sys

from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.privileges import Capability
from kactl_agent.runtime.scheduling import wants_priority
from kactl_agent.supervisor.loading import load
from kactl_agent.supervisor.options import EXIT_CONFIGURATION, EXIT_FINE, Options
from kactl_agent.supervisor.worker_kinds import capabilities, wanted

_SUPERVISOR = ("CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID")
"""To drop what workers do not need, to run the observer and scripts as other users, and to stop those."""


def granted(configuration: AgentConfiguration, options: Options) -> list[str]:
    """Names of the capabilities that all processes of the agent need together, sorted: the bounding set of a unit."""
    names = {*_SUPERVISOR}
    process: ProcessSettings = configuration.process
    for worker in wanted(configuration):
        names.update(each.name for each in capabilities(worker, configuration))
        if wants_priority(process, worker):
            names.add(Capability.CAP_SYS_NICE.name)
        if process.of(worker).no_swap:
            names.add(Capability.CAP_IPC_LOCK.name)
    if options.namespace or process.namespace or process.namespace_ipvs is not None:
        names.add(Capability.CAP_SYS_ADMIN.name)
    return sorted(names)


def print_capabilities(options: Options) -> int:
    """On one line, as CapabilityBoundingSet= takes them. Returns the exit code."""
    outcome = load(options)
    if outcome.configuration is None:
        for line in outcome.report:
            sys.stderr.write(line + "\n")
        return EXIT_CONFIGURATION
    sys.stdout.write(" ".join(granted(outcome.configuration, options)) + "\n")
    return EXIT_FINE

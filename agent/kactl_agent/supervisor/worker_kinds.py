"""The workers there may be: what each is made of, in which order they stop, and who talks to whom."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from kactl_agent.ipvs.model import Timeouts
from kactl_agent.runtime import privileges
from kactl_agent.runtime.configuration import AgentConfiguration, settings_for
from kactl_agent.runtime.drain_frames import DrainOrder
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.privileges import Capability
from kactl_agent.runtime.scheduling import Scheduling
from kactl_agent.supervisor.importing import import_late
from kactl_agent.supervisor.options import Options
from kactl_agent.tracking.settings import Executable

if TYPE_CHECKING:
    from types import ModuleType

Run = Callable[[Edge, Edge], int]
"""The life of a worker's process, given its edges to the supervisor and to the observer."""
Prepare = Callable[[str, Options, AgentConfiguration, tuple[DrainOrder, ...]], Run]
"""What the process of the named worker runs."""


class WorkerKind(NamedTuple):
    """One row of the table. `module` is imported when the worker is wanted for the first time."""

    name: str
    module: str
    always: tuple[Capability, ...]  # capabilities it has whatever the configuration says
    runs_scripts: bool
    reclaims: bool  # `reclaim` of its module takes back at once what a worker that died left on the machine
    hands_over: bool
    """Whether the next worker takes over what one that died left: `reclaim_replaced` of its module takes back what that
    one, with other settings, does not know of; `reclaim_at_end` everything when none follows."""


_GRANT = "run as root, or grant it (AmbientCapabilities= in a unit)"
_FOR_SCRIPTS = (Capability.CAP_SETUID, Capability.CAP_SETGID, Capability.CAP_KILL)  # of the spawner alone
_VRRP = (Capability.CAP_NET_ADMIN, Capability.CAP_NET_RAW)
_CHECKERS = (Capability.CAP_NET_ADMIN, Capability.CAP_NET_RAW, Capability.CAP_NET_BIND_SERVICE)
"""For IPVS, and for any check that a reload may bring: raw sockets of pings, interfaces and ports to check from.
Another process would know nothing of what this one has seen."""
WORKERS = {
    kind.name: kind
    for kind in (
        WorkerKind("checkers", "kactl_agent.workers.checkers", _CHECKERS, True, False, True),
        WorkerKind("bfd", "kactl_agent.workers.bfd", (), False, False, False),
        WorkerKind("vrrp", "kactl_agent.workers.vrrp", _VRRP, True, True, True),
    )
}
"""In the order they are stopped in; they start in the opposite one."""

PEERS = (("bfd", "vrrp"), ("bfd", "checkers"), ("vrrp", "checkers"))
"""Session states go to those who track them; states of instances go to the virtual servers that follow them."""


def wanted(configuration: AgentConfiguration) -> list[str]:
    """The workers this configuration has work for, in the order they start in."""
    return [name for name in reversed(WORKERS) if configuration.needs(name)]


def import_wanted(configuration: AgentConfiguration) -> None:
    """What is imported here all workers share, those that follow ones which died too. Raises ImportError."""
    for name in wanted(configuration):
        import_module(name)


def capabilities(name: str, configuration: AgentConfiguration) -> frozenset[Capability]:
    """What the worker may do on this machine and no more."""
    beyond = (Capability[each] for each in configuration.privileges.get(name, ()))
    return frozenset((*WORKERS[name].always, *beyond))


def refusal(configuration: AgentConfiguration) -> str:
    """Which capability a worker needs and this process lacks; empty when there is none."""
    for name in wanted(configuration):
        missing = privileges.missing_capabilities(sorted(capabilities(name, configuration)))
        if missing:
            names = " and ".join(capability.name for capability in missing)
            what = {"vrrp": "VRRP", "bfd": "BFD", "checkers": "load balancing"}[name]
            return f"{what} needs {names}: {_GRANT}"
    others = [name for name, script in _scripts(configuration) if script.uid != os.geteuid()]
    missing = privileges.missing_capabilities(_FOR_SCRIPTS) if others else []
    if missing:
        names = " and ".join(capability.name for capability in missing)
        return f"running {', '.join(others)} as another user needs {names}: {_GRANT}"
    return ""


def _scripts(configuration: AgentConfiguration) -> Iterator[tuple[str, Executable]]:
    """All that the spawner is asked for, with what it is called in messages."""
    for name, executable in configuration.track_scripts.items():
        yield f"vrrp_script {name}", executable
    for command, executable in configuration.vrrp_notify.executables:
        yield command.arguments[0], executable
    for keyword, fifo in configuration.own_notify.fifos.items():
        if fifo.script is not None:
            yield f"{keyword}_script", fifo.script
    for name, own in (
        ("startup_script", configuration.startup),
        ("shutdown_script", configuration.own_notify.shutdown),
    ):
        if own is not None:
            yield name, own.executable


def import_module(name: str) -> ModuleType:
    """The module of a worker. Raises ImportError."""
    return import_late(WORKERS[name].module)


def prepare(name: str, options: Options, configuration: AgentConfiguration, drains: tuple[DrainOrder, ...] = ()) -> Run:
    """What the new process runs. A worker's module has `start`, which makes what its `run` takes first."""
    module = import_module(name)
    mine = settings_for(name, configuration)
    start = module.start(mine, capabilities(name, configuration), **_from_command_line(name, options))
    if name == "vrrp":
        start = msgspec.structs.replace(start, drains=drains)
    return partial(_run, name, configuration, module, start)


def _run(name: str, configuration: AgentConfiguration, module: ModuleType, start: Any, *edges: Edge) -> int:
    """In the new process, while it still may do everything: see `kactl_agent.runtime.scheduling`."""
    kept = Scheduling(name, configuration.process).prepare()
    code: int = module.run(msgspec.structs.replace(start, capabilities=start.capabilities | kept), *edges)
    return code


def _from_command_line(name: str, options: Options) -> dict[str, bool]:
    if name == "vrrp":
        recording, monitoring = options.record is not None, options.address_monitoring
        return {"keep_addresses": options.keep_vips, "recording": recording, "monitor_addresses": monitoring}
    return {"keep_ipvs": options.keep_ipvs} if name == "checkers" else {}


def replacer(
    name: str, configurations: Iterable[AgentConfiguration], current: AgentConfiguration
) -> Callable[[], int] | None:
    """What a short-lived process takes back of earlier configurations that the current one has no more; None where
    they are the same."""
    mine = settings_for(name, current)
    others = [each for each in (settings_for(name, old) for old in configurations) if each != mine]
    return partial(import_module(name).reclaim_replaced, others, mine) if others else None


def reclaimer(
    name: str, configurations: Iterable[AgentConfiguration], *, at_end: bool, before: Timeouts | None = None
) -> Callable[[], int]:
    """What a short-lived process does about the leftovers of a worker, who may have told what there was `before` it.
    Returns an exit code."""
    module = import_module(name)
    function = module.reclaim_at_end if at_end else module.reclaim
    known = {} if before is None else {"before": before}
    return partial(function, [settings_for(name, each) for each in configurations], **known)

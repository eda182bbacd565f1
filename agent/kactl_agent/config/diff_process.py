"""What other settings of the agent's own processes mean to those that run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kactl_agent.config.impact import Change, Impact
from kactl_agent.process_settings import ProcessSettings

_PREFIXES = {"vrrp": "vrrp", "checkers": "checker", "bfd": "bfd"}
_OF_WORKERS = {
    "nice": "priority",
    "rt_priority": "rt_priority",
    "rt_time": "rlimit_rttime",
    "no_swap": "no_swap",
    "cpus": "cpu_affinity",
    "name": "process_name",
}
_AT_START = {
    "namespace": "net_namespace",
    "namespace_ipvs": "net_namespace_ipvs",
    "instance": "instance",
    "use_pid_dir": "use_pid_dir",
    "tmp_directory": "tmp_config_directory",
    "random_seed": "random_seed",
}
"""What counts from the next start of the agent."""
_AT_ONCE = {
    "name": "process_name",
    "max_auto_priority": "max_auto_priority",
    "late_after": "min_auto_priority_delay",
    "child_wait_time": "child_wait_time",
    "umask": "umask",
}
_OF_DUMPS = {
    "state": "state_dump_file",
    "statistics": "stats_dump_file",
    "json": "json_dump_file",
    "json_version": "json_version",
    "suffix": "data_use_instance",
    "save_directory": "config_save_dir",
}


def process_changes(old: ProcessSettings, new: ProcessSettings) -> Iterator[Change]:
    """By keyword. None of it disturbs what the workers do."""
    for worker, prefix in _PREFIXES.items():
        for keyword in _changed(_OF_WORKERS, old.of(worker), new.of(worker)):
            yield Change("global_defs", Impact.HITLESS, f"{prefix}_{keyword} changes")
    for keyword in (*_changed(_AT_ONCE, old, new), *_changed(_OF_DUMPS, old.dumps, new.dumps)):
        yield Change("global_defs", Impact.HITLESS, f"{keyword} changes")
    for keyword in _changed(_AT_START, old, new):
        yield Change("global_defs", Impact.NO_OP, f"{keyword} changes with the next start of the agent, not before")


def _changed(keywords: Mapping[str, str], old: Any, new: Any) -> list[str]:
    return [keyword for field, keyword in keywords.items() if getattr(old, field) != getattr(new, field)]

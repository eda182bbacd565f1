"""global_defs and the words outside of all blocks that are about the agent's processes -> `ProcessSettings`."""

from __future__ import annotations

import re
from typing import Any

from msgspec import UNSET

from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.process_settings import (
    DEFAULT_UMASK,
    JSON_FILE,
    STATE_FILE,
    STATISTICS_FILE,
    DumpSettings,
    ProcessSettings,
    WorkerScheduling,
)

SERVED_ROOT = frozenset(
    {"namespace_with_ipsets", "child_wait_time", "instance", "net_namespace", "net_namespace_ipvs", "use_pid_dir"}
)
_WORKERS = {"vrrp": "vrrp", "checkers": "checker", "bfd": "bfd"}  # name of a worker -> what its keywords begin with
SERVED_GLOBAL = frozenset(
    {f"{word}_{part}" for word in _WORKERS.values() for part in ("priority", "rt_priority", "rlimit_rttime")}
    | {f"{word}_{part}" for word in _WORKERS.values() for part in ("no_swap", "cpu_affinity", "process_name")}
    | {
        "process_name",
        "process_names",
        "max_auto_priority",
        "min_auto_priority_delay",
        "state_dump_file",
        "stats_dump_file",
        "json_dump_file",
        "json_version",
        "data_use_instance",
        "config_save_dir",
        "umask",
        "process_monitor_rcv_bufs",
        "process_monitor_rcv_bufs_force",
        "random_seed",
        "tmp_config_directory",
        "include_check",
    }
)
_WHO = {"USR": 6, "GRP": 3, "OTH": 0}
_PERMISSIONS = {
    f"I{mode}{who}": bit << shift for mode, bit in zip("RWX", (4, 2, 1), strict=True) for who, shift in _WHO.items()
}
_PERMISSIONS |= {f"IRWX{who[0]}": 0o7 << shift for who, shift in _WHO.items()}
_MICROSECOND = 1_000
_HIGHEST_PRIORITY = 99


def resolve_process(sheet: Sheet) -> ProcessSettings:
    """What is of no effect here, and why, goes to the sheet as a note."""
    config = sheet.document.config
    _say_what_is_of_no_effect(sheet)
    said = _Global(config)
    instance = or_default(config.instance, "")
    namespace = or_default(config.net_namespace, "")
    auto = said("max_auto_priority", 0)
    return ProcessSettings(
        workers={worker: _scheduling(said, prefix) for worker, prefix in _WORKERS.items()},
        name=_name(said("process_name", ""), ""),
        max_auto_priority=_HIGHEST_PRIORITY if auto is True else max(0, int(auto)),
        late_after=said("min_auto_priority_delay", 1_000_000) * _MICROSECOND,
        child_wait_time=or_default(config.child_wait_time, 5_000_000) * _MICROSECOND,
        use_pid_dir=or_default(config.use_pid_dir, False),
        instance=instance,
        namespace=namespace,
        namespace_ipvs=_namespace_ipvs(or_default(config.net_namespace_ipvs, None)),
        random_seed=said("random_seed", None),
        umask=umask_bits(said("umask", "")),
        dumps=DumpSettings(
            state=said("state_dump_file", STATE_FILE),
            statistics=said("stats_dump_file", STATISTICS_FILE),
            json=said("json_dump_file", JSON_FILE),
            json_version=said("json_version", 1),
            suffix="_".join(filter(None, (namespace, instance))) if said("data_use_instance", False) else "",
            save_directory=said("config_save_dir", ""),
        ),
        tmp_directory=said("tmp_config_directory", ""),
    )


class _Global:
    """Keywords of global_defs, with a default for those that are not set."""

    def __init__(self, config: Config) -> None:
        self._block = config.global_defs

    def __call__(self, keyword: str, default: Any) -> Any:
        return default if self._block is UNSET else or_default(getattr(self._block, keyword), default)


def _scheduling(said: _Global, prefix: str) -> WorkerScheduling:
    parent = _name(said("process_name", ""), "")
    inherited = "" if said("process_names", False) else parent
    return WorkerScheduling(
        nice=said(f"{prefix}_priority", None),
        rt_priority=said(f"{prefix}_rt_priority", 0),
        rt_time=said(f"{prefix}_rlimit_rttime", 10_000),
        no_swap=said(f"{prefix}_no_swap", False),
        cpus=tuple(sorted(set(said(f"{prefix}_cpu_affinity", ())))),
        name=_name(said(f"{prefix}_process_name", inherited), parent),
    )


def _name(said: bool | str, bare: str) -> str:
    """A name, or the keyword alone: what is inherited, or built in."""
    return bare if isinstance(said, bool) else said


def _namespace_ipvs(said: bool | str | None) -> str | None:
    if said is None or said is False:
        return None
    return "" if said is True else said


def umask_bits(text: str) -> int:
    """`0177`, `0x7f`, `127` or `IXUSR|IRWXG|IRWXO`; an empty text is the default."""
    if not text:
        return DEFAULT_UMASK
    if text[0].isdigit():
        return int(text, 8) if re.fullmatch(r"0[0-7]+", text) else int(text, 0)
    bits = 0
    for name in text.split("|"):
        bits |= _PERMISSIONS[name]
    return bits


def _say_what_is_of_no_effect(sheet: Sheet) -> None:
    """Keywords for what cannot be here: said once more where they stand, so that nobody counts on them."""
    config = sheet.document.config
    if or_default(config.namespace_with_ipsets, False):
        text = "namespace_with_ipsets has no effect: every kernel that the agent runs on has ipsets of each namespace"
        sheet.note(("namespace_with_ipsets",), "no-effect", text)
    if config.global_defs is not UNSET and config.global_defs.include_check is not UNSET:
        text = "include_check has no effect here: a missing file is always an error in YAML"
        sheet.note(("global_defs", "include_check"), "no-effect", text)

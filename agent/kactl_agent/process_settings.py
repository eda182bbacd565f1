"""What the processes of the agent need to know of the configuration about themselves: resolved, integers only.

`config/process.py` makes these from what the user wrote.
"""

from __future__ import annotations

import msgspec

DEFAULT_UMASK = 0o177  # keepalived's
STATE_FILE = "keepalived.data"
STATISTICS_FILE = "keepalived.stats"
JSON_FILE = "keepalived.json"


class WorkerScheduling(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker is scheduled and named: vrrp_*, checker_* and bfd_* of global_defs."""

    nice: int | None = None  # -20..19 (vrrp_priority); None leaves it as it is
    rt_priority: int = 0  # 1..99 with SCHED_RR (vrrp_rt_priority); 0 is off
    rt_time: int = 10_000  # microseconds of CPU without a pause while real-time (vrrp_rlimit_rttime)
    no_swap: bool = False  # all its memory is locked (vrrp_no_swap)
    cpus: tuple[int, ...] = ()  # it may run on (vrrp_cpu_affinity); () is all
    name: str = ""  # in process lists (vrrp_process_name); empty: kactl- and what it is


class DumpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how state is dumped. Paths that are not absolute are below the run directory."""

    state: str = STATE_FILE  # state_dump_file; those of other processes are named after it
    statistics: str = STATISTICS_FILE  # stats_dump_file
    json: str = JSON_FILE  # json_dump_file
    json_version: int = 1  # 2 has the tracked processes
    suffix: str = ""  # `NAMESPACE_INSTANCE`, before the extension (data_use_instance)
    save_directory: str = ""  # config_save_dir; empty: nothing is saved at a reload


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the agent as a whole."""

    workers: dict[str, WorkerScheduling] = {}  # by the worker's name; one that is not there has the defaults
    name: str = ""  # of the supervisor in process lists (process_name)
    max_auto_priority: int = 0  # up to which priority timers that run late raise it; 0: they do not
    late_after: int = 1_000_000_000  # ns by which a timer has to be late for that (min_auto_priority_delay)
    child_wait_time: int = 5_000_000_000  # ns from the order to stop until a worker is killed
    use_pid_dir: bool = False
    instance: str = ""
    namespace: str = ""  # network namespace to run in (net_namespace); empty: the one it is started in
    namespace_ipvs: str | None = None  # of IPVS services: None is as `namespace`, empty the one it is started in
    random_seed: int | None = None
    umask: int = DEFAULT_UMASK
    dumps: DumpSettings = DumpSettings()
    tmp_directory: str = ""  # where settings are handed over in place of memory (tmp_config_directory)

    def of(self, worker: str) -> WorkerScheduling:
        return self.workers.get(worker, WorkerScheduling())

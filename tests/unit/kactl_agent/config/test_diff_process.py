from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.config.diff import Side, plan, worst
from kactl_agent.config.diff_process import _AT_ONCE, _AT_START, _OF_DUMPS, _OF_WORKERS
from kactl_agent.config.impact import Impact
from kactl_agent.process_settings import DumpSettings, ProcessSettings, WorkerScheduling
from kactl_agent.supervisor.reload_limits import FIXED


def said(new: ProcessSettings) -> list[tuple[Impact, str]]:
    changes = plan(Side(), Side(process=new))
    assert {change.subject for change in changes} <= {"global_defs"}
    return [(change.impact, change.text) for change in changes]


def test_every_setting_is_decided() -> None:
    assert set(ProcessSettings.__struct_fields__) == {*_AT_ONCE, *_AT_START, "workers", "dumps"}
    assert set(WorkerScheduling.__struct_fields__) == set(_OF_WORKERS)
    assert set(DumpSettings.__struct_fields__) == set(_OF_DUMPS)
    assert FIXED.items() <= _AT_START.items(), "what a reload keeps is not said to change"


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({"workers": {"vrrp": WorkerScheduling(rt_priority=5)}}, "vrrp_rt_priority changes"),
        ({"workers": {"checkers": WorkerScheduling(nice=5)}}, "checker_priority changes"),
        ({"workers": {"bfd": WorkerScheduling(cpus=(1,))}}, "bfd_cpu_affinity changes"),
        ({"late_after": 7}, "min_auto_priority_delay changes"),
        ({"dumps": DumpSettings(json_version=2)}, "json_version changes"),
    ],
)
def test_by_keyword_and_hitless(new: dict[str, Any], text: str) -> None:
    assert said(ProcessSettings(**new)) == [(Impact.HITLESS, text)]


def test_what_counts_from_the_next_start_changes_nothing_now() -> None:
    text = "net_namespace changes with the next start of the agent, not before"
    assert said(ProcessSettings(namespace="blue")) == [(Impact.NO_OP, text)]
    assert worst(plan(Side(), Side(process=ProcessSettings(namespace="blue")))) is Impact.NO_OP
    defaults = {worker: WorkerScheduling() for worker in ("vrrp", "checkers", "bfd")}
    assert said(ProcessSettings(workers=defaults)) == [], "said or not, the defaults are the same"

"""What the kernel says of a process after its scheduling was set (sched(7), getrlimit(2), mlock(2))."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kactl_agent.process_settings import ProcessSettings, WorkerScheduling
from kactl_agent.runtime import privileges
from kactl_agent.runtime.privileges import Capability
from kactl_agent.runtime.scheduling import Scheduling

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
Result = dict[str, Any]
MAY_RAISE_LIMITS = not privileges.effective_capabilities().isdisjoint({24})  # CAP_SYS_RESOURCE
KEPT = 0 if MAY_RAISE_LIMITS else 1 << Capability.CAP_SYS_NICE | 1 << Capability.CAP_IPC_LOCK


def in_child(function: Callable[[], Result]) -> Result:
    """What the function returns in a process of its own."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(theirs, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as file:
        text = file.read()
    os.waitpid(pid, 0)
    assert text, "the process ended without a result"
    result: Result = json.loads(text)
    return result


def settings(auto: int = 0, late_after: int = 1_000_000_000, **own: Any) -> ProcessSettings:
    return ProcessSettings(workers={"vrrp": WorkerScheduling(**own)}, max_auto_priority=auto, late_after=late_after)


def now() -> Result:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "name": status["Name"],
        "locked": int(status["VmLck"].split()[0]) > 0,
        "capabilities": int(status["CapEff"], 16),
        "cpus": sorted(os.sched_getaffinity(0)),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "policy": os.sched_getscheduler(0),
        "priority": os.sched_getparam(0).sched_priority,
        "rt_time": resource.getrlimit(resource.RLIMIT_RTTIME)[0],
    }


class Life:
    """A worker's: prepared, without capabilities, its loop about to turn."""

    def __init__(self, first: ProcessSettings) -> None:
        self.said: list[tuple[str, str]] = []
        self.loop = asyncio.SelectorEventLoop()
        self.scheduling = Scheduling("vrrp", first)
        privileges.keep_only(self.scheduling.prepare())
        self.prepared = now()
        self.scheduling.begin(self.loop, lambda level, text: self.said.append((level, text)))

    def turn(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()


def test_everything_that_is_configured_is_in_force() -> None:
    def child() -> Result:
        cpu = max(os.sched_getaffinity(0))
        life = Life(settings(nice=-7, rt_priority=20, rt_time=50_000, no_swap=True, cpus=(cpu,), name="my-vrrp"))
        return {**now(), "said": life.said, "cpu": cpu, "before": life.prepared["policy"]}

    seen = in_child(child)
    assert seen.pop("before") == os.SCHED_OTHER, "not in real time before there is anything to be in time for"
    assert seen == {
        "name": "my-vrrp", "locked": True, "capabilities": KEPT, "cpus": [seen["cpu"]], "nice": -7,
        "policy": os.SCHED_RR, "priority": 20, "rt_time": 50_000, "said": [], "cpu": seen["cpu"],
    }  # fmt: skip


def test_nothing_configured_changes_nothing() -> None:
    def child() -> Result:
        before = now()
        life = Life(settings())
        return {"before": before, "after": now(), "said": life.said}

    seen = in_child(child)
    before, after = seen["before"], seen["after"]
    assert after.pop("name") == "kactl-vrrp"
    assert before.pop("capabilities")
    assert after.pop("capabilities") == 0
    assert before.pop("name")
    assert after == before
    assert seen["said"] == []


def test_a_reload_changes_all_of_it_and_back_again() -> None:
    def child() -> Result:
        first = now()
        life = Life(settings(nice=-1, rt_priority=1, no_swap=True))
        life.scheduling.change(settings(nice=-3, rt_priority=7, no_swap=True, cpus=(min(first["cpus"]),), name="x"))
        changed = now()
        life.scheduling.change(settings())
        back = now()
        life.scheduling.change(settings(no_swap=True))
        return {"first": first, "changed": changed, "back": back, "said": life.said, "again": now()}

    seen = in_child(child)
    changed, back, first = seen["changed"], seen["back"], seen["first"]
    assert (changed["nice"], changed["priority"], changed["locked"], changed["name"]) == (-3, 7, True, "x")
    assert changed["rt_time"] == 10_000, "keepalived's default"
    for each in ("nice", "policy", "priority", "locked", "cpus", "rt_time"):
        assert back[each] == first[each], each
    assert seen["again"]["locked"]
    assert seen["said"] == []


def test_a_reload_that_asks_for_more_than_the_start_did() -> None:
    def child() -> Result:
        life = Life(settings())
        life.scheduling.change(settings(rt_priority=7))
        return {"said": life.said, **now()}

    seen = in_child(child)
    if MAY_RAISE_LIMITS:
        assert (seen["priority"], seen["capabilities"], seen["said"]) == (7, 0, [])
    else:
        assert (seen["priority"], seen["capabilities"]) == (0, 0)
        assert "a restart of the agent may change it" in seen["said"][0][1]


def test_what_cannot_be_had_is_said_and_the_worker_goes_on() -> None:
    def child() -> Result:
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
        resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        privileges.become_nobody()
        life = Life(settings(nice=-7, rt_priority=20, no_swap=True, cpus=(4000,)))
        return {"said": life.said, **now()}

    seen = in_child(child)
    assert [level for level, _text in seen["said"]] == ["warning"] * 4
    text = "\n".join(text for _level, text in seen["said"])
    for what in ("nice value", "CPU affinity", "locking of memory", "real-time priority"):
        assert f"the {what} of the vrrp process stays as it is: " in text
    assert (seen["nice"], seen["policy"], seen["locked"]) == (os.nice(0), os.SCHED_OTHER, False)


def test_a_late_timer_raises_the_priority_step_by_step_up_to_the_limit() -> None:
    def child() -> Result:
        life = Life(settings(auto=2, late_after=1_000_000))
        priorities = []
        for late in (999_999, 1_000_000, 5_000_000, 5_000_000):
            life.scheduling.late(late)
            priorities.append(now()["priority"])
        life.scheduling.change(settings(auto=1))
        return {"priorities": [*priorities, now()["priority"]], "said": life.said, "policy": now()["policy"]}

    seen = in_child(child)
    assert seen["priorities"] == [0, 1, 2, 2, 1]
    assert seen["policy"] == os.SCHED_RR
    assert [text.partition(":")[0] for _level, text in seen["said"]] == [
        "a timer was 1 ms late",
        "a timer was 5 ms late",
    ]


@pytest.mark.parametrize(("auto", "rt_priority"), [(0, 0), (0, 5), (5, 5), (3, 5)])
def test_lateness_alone_changes_nothing(auto: int, rt_priority: int) -> None:
    def child() -> Result:
        life = Life(settings(auto=auto, late_after=1, rt_priority=rt_priority))
        life.scheduling.late(10_000_000_000)
        return {"said": life.said, **now()}

    seen = in_child(child)
    assert (seen["priority"], seen["said"]) == (rt_priority, [])


def test_who_uses_its_time_up_goes_on_as_everybody_else_until_the_loop_turns() -> None:
    def child() -> Result:
        life = Life(settings(rt_priority=3, rt_time=20_000))
        until = time.process_time() + 5
        while os.sched_getscheduler(0) == os.SCHED_RR and time.process_time() < until:
            pass
        paused = now()
        life.turn()
        return {"paused": paused, "after": now(), "said": life.said}

    seen = in_child(child)
    assert seen["paused"]["policy"] == os.SCHED_OTHER
    assert (seen["after"]["policy"], seen["after"]["priority"]) == (os.SCHED_RR, 3)
    assert len(seen["said"]) == 1
    assert "more than 20000 us of CPU time" in seen["said"][0][1]
    assert "vrrp_rlimit_rttime" in seen["said"][0][1]


def test_settings_survive_the_way_to_a_worker() -> None:
    said = settings(auto=99, nice=-20, cpus=(0, 3))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=ProcessSettings) == said
    assert said.of("bfd") == WorkerScheduling()

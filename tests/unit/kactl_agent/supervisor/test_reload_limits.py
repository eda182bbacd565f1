from __future__ import annotations

from kactl_agent.process_settings import DumpSettings, ProcessSettings
from kactl_agent.supervisor.reload_limits import FIXED, fixed_lines, keep_fixed

RUNNING = ProcessSettings(namespace="blue", instance="one", use_pid_dir=True)


def test_what_a_running_agent_cannot_change_stays_and_is_named() -> None:
    new = ProcessSettings(
        namespace="green", instance="two", namespace_ipvs="", tmp_directory="/tmp", name="other",
        dumps=DumpSettings(suffix="green_two", json_version=2),
    )  # fmt: skip
    process, kept = keep_fixed(RUNNING, new)
    assert sorted(kept) == sorted(FIXED.values())
    assert process == ProcessSettings(
        namespace="blue", instance="one", use_pid_dir=True, name="other",
        dumps=DumpSettings(suffix="blue_one", json_version=2),
    )  # fmt: skip
    lines = fixed_lines(["instance"], "/etc/kactl/agent.yaml")
    assert lines == [
        "/etc/kactl/agent.yaml: warning[reload-keeps]: instance is not changed by a reload: restart the agent"
    ]


def test_nothing_is_said_of_what_did_not_change() -> None:
    new = ProcessSettings(namespace="blue", instance="one", use_pid_dir=True, child_wait_time=1)
    assert keep_fixed(RUNNING, new) == (new, [])

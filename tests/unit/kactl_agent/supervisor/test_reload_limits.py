from __future__ import annotations

import msgspec
import pytest

from kactl_agent.checkers.settings import CheckTiming, ConnectTarget, PingCheckSettings
from kactl_agent.ipvs.model import AF_INET
from kactl_agent.ipvs.settings import (
    CheckersSettings,
    MarksSettings,
    Members,
    RealServerSettings,
    VirtualServerSettings,
)
from kactl_agent.process_settings import DumpSettings, ProcessSettings
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.balancing_files import encoded
from kactl_agent.supervisor.reload_limits import FIXED, fixed_lines, keep_fixed

RUNNING = ProcessSettings(namespace="blue", instance="one", use_pid_dir=True)


def of(process: ProcessSettings) -> AgentConfiguration:
    return AgentConfiguration(revision="1", file="f", process=process)


def test_what_a_running_agent_cannot_change_stays_and_is_named() -> None:
    new = ProcessSettings(
        namespace="green", instance="two", namespace_ipvs="", tmp_directory="/tmp", name="other",
        dumps=DumpSettings(suffix="green_two", json_version=2),
    )  # fmt: skip
    configuration, kept = keep_fixed(of(RUNNING), of(new))
    assert sorted(kept) == sorted(FIXED.values())
    assert configuration.process == ProcessSettings(
        namespace="blue", instance="one", use_pid_dir=True, name="other",
        dumps=DumpSettings(suffix="blue_one", json_version=2),
    )  # fmt: skip
    lines = fixed_lines(["instance"], "/etc/kactl/agent.yaml")
    assert lines == [
        "/etc/kactl/agent.yaml: warning[reload-keeps]: instance is not changed by a reload: restart the agent"
    ]


def test_nothing_is_said_of_what_did_not_change() -> None:
    new = ProcessSettings(namespace="blue", instance="one", use_pid_dir=True, child_wait_time=1)
    assert keep_fixed(of(RUNNING), of(new)) == (of(new), [])


@pytest.mark.parametrize(
    ("namespace", "other", "allowed"),
    [
        (None, "lvs", ()),
        (None, "", ()),
        ("lvs", None, ("CAP_SYS_ADMIN",)),
        ("lvs", "other", ("CAP_SYS_ADMIN",)),
    ],
)
def test_services_stay_in_their_network_namespace(
    namespace: str | None, other: str | None, allowed: tuple[str, ...]
) -> None:
    """And the worker may do what it needs there, so that it is not restarted for another one."""
    ping = PingCheckSettings(timing=CheckTiming(), target=ConnectTarget(address="10.0.0.1"))
    server = VirtualServerSettings(
        name="v",
        protocol=6,
        members=(Members(AF_INET, 6, b"\1\2\3\4"),),
        real_servers=(RealServerSettings(bytes((10, 0, 0, 1)), 80, checkers=(ping,)),),
    )
    running = of(ProcessSettings(namespace_ipvs=namespace))
    new = msgspec.structs.replace(
        of(ProcessSettings(namespace_ipvs=other)),
        checkers=encoded(CheckersSettings(virtual_servers=(server,))),
        privileges={"bfd": ("CAP_NET_RAW",), "checkers": ("CAP_SYS_ADMIN",)},
    )
    configuration, kept = keep_fixed(running, new)
    assert kept == ["net_namespace_ipvs"]
    assert configuration.process.namespace_ipvs == namespace
    assert configuration.privileges == {"bfd": ("CAP_NET_RAW",), "checkers": allowed}
    assert configuration.checkers == new.checkers


def test_groups_keep_their_marks() -> None:
    def balancing(*protocols: int) -> AgentConfiguration:
        servers = tuple(
            VirtualServerSettings(
                name=f"[g]:{n}", protocol=protocol, group="g", members=(Members(AF_INET, protocol, b"\1\2\3\4", 1, 80),)
            )
            for n, protocol in enumerate(protocols)
        )
        settings = CheckersSettings(virtual_servers=servers, marks=MarksSettings())
        return msgspec.structs.replace(of(RUNNING), checkers=encoded(settings))

    configuration, kept = keep_fixed(balancing(6, 17), balancing(17))
    assert kept == []
    settings = msgspec.msgpack.decode(configuration.checkers, type=CheckersSettings)
    assert dict(settings.given_marks)["group g", 17, 0] == 1001

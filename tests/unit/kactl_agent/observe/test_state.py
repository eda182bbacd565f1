from __future__ import annotations

import json

from kactl_agent.observe.dumps import render_json, render_text
from kactl_agent.observe.state import AgentState
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.frames import GroupState, Heartbeat, ProcessState, Snapshot
from kactl_agent.vrrp.actions import InterfaceState, Startup
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SECOND, Family, SyncGroupSettings, VirtualAddress, VrrpSettings
from support.routing import route, rule

SETTINGS = VrrpSettings(
    name="VI_1", interface="eth0", virtual_router_id=51, version=2, family=Family.IPV4, priority=150,
    addresses=(
        VirtualAddress(bytes((192, 0, 2, 10)), 24, "eth0"),
        VirtualAddress(bytes((192, 0, 2, 11)), 32, "eth0", advertised=False),
    ),
    auth_password=b"secret77",
    routes=(route("203.0.113.0/28", text="203.0.113.0/28 via 192.0.2.254 dev eth0"),),
    rules=(rule(2000, "203.0.113.0/28"),),
)  # fmt: skip
WALL = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
BOOT = 5_000 * SECOND  # the engine's clock at that moment


def snapshot(instance: VrrpInstance, seconds: int) -> Snapshot:
    return Snapshot(BOOT + seconds * SECOND, WALL + seconds * SECOND, instance.snapshot())


def master() -> VrrpInstance:
    instance = VrrpInstance(SETTINGS)
    up = InterfaceState(True, True, bytes((192, 0, 2, 1)), b"\2\0\0\0\0\1", 1500)
    instance.handle_event(up, BOOT)
    instance.handle_event(Startup(), BOOT)
    deadline = instance.deadline()
    assert deadline is not None
    instance.handle_timer(deadline)
    return instance


def state() -> AgentState:
    configuration = AgentConfiguration(revision="r7", file="/etc/kactl/agent.yaml", router_id="lb1", vrrp=(SETTINGS,))
    return AgentState(
        configuration, 4711, lambda: WALL + 60 * SECOND, lambda: BOOT + 60 * SECOND, started=BOOT - 2 * SECOND
    )


def test_the_document_of_a_master() -> None:
    known = state()
    known.take_snapshot(snapshot(master(), 10))
    known.take_process(ProcessState("vrrp", 99, 2, "killed by SIGKILL"))
    document = known.status()
    assert json.loads(json.dumps(document)) == document
    assert document["schema_version"] == 1
    assert document["agent"]["pid"] == 4711
    assert document["agent"]["uptime_s"] == 62.0
    assert document["agent"]["config_revision"] == "r7"
    assert document["agent"]["processes"]["vrrp"] == {"pid": 99, "restarts": 2, "last_exit": "killed by SIGKILL"}
    instance = document["vrrp"]["instances"]["VI_1"]
    assert instance["state"] == "MASTER"
    assert instance["since"] == "2026-01-01T00:00:03.414Z", "3 adverts and a skew of 106/256 s after the start"
    assert instance["priority"] == {"configured": 150, "effective": 150, "contributions": []}
    assert instance["master"] == "192.0.2.1"
    assert instance["virtual_ipaddress"] == ["192.0.2.10/24"]
    assert instance["virtual_ipaddress_excluded"] == ["192.0.2.11/32"]
    assert instance["virtual_routes"] == ["203.0.113.0/28 via 192.0.2.254 dev eth0"]
    assert instance["virtual_rules"] == ["from 203.0.113.0/28"]
    assert instance["statistics"]["became_master"] == 1
    assert "secret77" not in json.dumps(document)
    for key in ("ipvs", "bfd"):
        assert key in document


def test_as_of_is_when_the_worker_was_last_heard_of() -> None:
    known = state()
    known.take_snapshot(snapshot(master(), 10))
    assert known.status()["as_of"] == "2026-01-01T00:00:10.000Z"
    known.take_heartbeat(Heartbeat(BOOT + 12 * SECOND, WALL + 12 * SECOND, 5, 1_500_000, 1, 3))
    document = known.status()
    assert document["as_of"] == "2026-01-01T00:00:12.000Z"
    assert document["agent"]["timers"] == {"handled": 5, "latest_ms": 1.5, "later_than_10ms": 1}
    assert document["agent"]["dropped_records"] == 3


def test_since_does_not_move_when_the_clock_is_set() -> None:
    known = state()
    instance = master()
    known.take_snapshot(snapshot(instance, 10))
    before = known.status()["vrrp"]["instances"]["VI_1"]["since"]
    frame = snapshot(instance, 20)
    known.take_snapshot(Snapshot(frame.now, frame.at + 3600 * SECOND, frame.snapshot))
    assert known.status()["vrrp"]["instances"]["VI_1"]["since"] == before


def test_nothing_is_made_up_while_the_worker_is_away() -> None:
    known = state()
    known.take_snapshot(snapshot(master(), 10))
    known.forget_instances()
    instance = known.status()["vrrp"]["instances"]["VI_1"]
    assert (instance["state"], instance["since"], instance["master"]) == ("INIT", None, None)
    assert instance["virtual_ipaddress"] == ["192.0.2.10/24"]


def test_dumps() -> None:
    known = state()
    known.take_snapshot(snapshot(master(), 10))
    document = known.status()
    assert json.loads(render_json(document)) == document
    text = render_text(document)
    assert text.startswith("as of: 2026-01-01T00:00:10.000Z\nagent:\n  version: ")
    assert "\nvrrp_instance VI_1:\n  state: MASTER\n" in text
    assert "  priority:\n    configured: 150\n    effective: 150\n    contributions: none\n" in text
    assert "  virtual_ipaddress: 192.0.2.10/24\n" in text


def test_sync_groups() -> None:
    configuration = AgentConfiguration(
        revision="r", file="f", vrrp=(SETTINGS,), sync_groups=(SyncGroupSettings(name="G", members=("VI_1",)),)
    )
    known = AgentState(configuration, 1, lambda: WALL, lambda: BOOT)
    unknown = {"state": "INIT", "since": None, "members": ["VI_1"], "cause": "", "detail": ""}
    assert known.status()["vrrp"]["sync_groups"] == {"G": unknown}
    known.take_group(GroupState("G", "FAULT", WALL, "interface_down", "interface eth0 is down"))
    known.take_group(GroupState("other", "MASTER"))
    assert known.status()["vrrp"]["sync_groups"] == {
        "G": {
            "state": "FAULT", "since": "2026-01-01T00:00:00.000Z", "members": ["VI_1"],
            "cause": "interface_down", "detail": "interface eth0 is down",
        },
    }  # fmt: skip
    assert "vrrp_sync_group G:" in render_text(known.status())
    known.forget_instances()
    assert known.status()["vrrp"]["sync_groups"] == {"G": unknown}


def test_sources_of_the_values_in_force() -> None:
    sources = {"VI_1": {"priority": "vrrp_instance VI_1", "version": "default"}}
    configuration = AgentConfiguration(revision="r", file="f", vrrp=(SETTINGS,), sources=sources)
    document = AgentState(configuration, 1).status()
    assert document["vrrp"]["instances"]["VI_1"]["sources"] == sources["VI_1"]


def test_a_clock_that_was_set_back_does_not_make_a_hung_worker_look_alive() -> None:
    wall, steady = WALL, BOOT
    configuration = AgentConfiguration(revision="r", file="f", vrrp=(SETTINGS,))
    known = AgentState(configuration, 1, lambda: wall, lambda: steady)
    known.take_snapshot(Snapshot(BOOT, WALL, master().snapshot()))
    wall, steady = WALL - 3_600 * SECOND, BOOT + 30 * SECOND  # an hour back; nothing heard for half a minute
    assert known.status()["as_of"] == "2025-12-31T22:59:30.000Z"


def test_statistics_are_shown_since_they_were_cleared() -> None:
    known = state()
    instance = master()
    known.take_snapshot(snapshot(instance, 10))
    shown = known.status()["vrrp"]["instances"]["VI_1"]
    assert (shown["statistics"]["adverts_sent"], shown["statistics_since"]) == (1, None)
    known.clear_statistics()
    shown = known.status()["vrrp"]["instances"]["VI_1"]
    assert set(shown["statistics"].values()) == {0}
    assert shown["statistics_since"] == "2026-01-01T00:01:00.000Z"
    deadline = instance.deadline()
    assert deadline is not None
    instance.handle_timer(deadline)
    known.take_snapshot(snapshot(instance, 20))
    assert known.status()["vrrp"]["instances"]["VI_1"]["statistics"]["adverts_sent"] == 1
    assert known.view().instances[0].statistics["adverts_sent"] == 1
    known.take_snapshot(snapshot(VrrpInstance(SETTINGS), 30))  # another engine, which counts from nothing
    shown = known.status()["vrrp"]["instances"]["VI_1"]
    assert min(shown["statistics"].values()) == 0
    assert shown["statistics_since"] is None

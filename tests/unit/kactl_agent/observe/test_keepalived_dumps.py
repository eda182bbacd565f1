"""What the comparison with the installed keepalived cannot show: version 2 of the JSON (reference of 2.2.8), auth_hmac
(2.4), masked passwords, and instances of which nothing is known yet."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from kactl_agent.observe.keepalived_data import render_parent, render_section, render_vrrp
from kactl_agent.observe.keepalived_dumps import render_json, render_statistics
from kactl_agent.observe.views import AgentView, InstanceView
from kactl_agent.process_settings import DumpSettings, ProcessSettings
from kactl_agent.runtime.configuration import AgentConfiguration, without_secrets
from kactl_agent.runtime.dump_frames import TrackerState
from kactl_agent.tracking.settings import ProcessSettings as TrackedProcess
from kactl_agent.tracking.settings import TrackerKind, TrackerUse, TrackingSettings
from kactl_agent.vrrp.settings import Family, HmacKey, HmacSettings, VirtualAddress, VrrpSettings

SETTINGS = VrrpSettings(
    name="VI_1", interface="eth0", virtual_router_id=51, version=2, family=Family.IPV4, priority=150,
    addresses=(VirtualAddress(bytes((192, 0, 2, 10)), 24, "eth0"),), auth_password=b"secret77",
)  # fmt: skip


def view(settings: VrrpSettings = SETTINGS, trackers: tuple[TrackerState, ...] = (), **more: Any) -> AgentView:
    configuration = without_secrets(AgentConfiguration(revision="r", file="f", vrrp=(settings,), **more))
    unknown = InstanceView(configuration.vrrp[0], None, 0, {"adverts_sent": 3, "auth_hmac_stale": 4, "auth_spi": 5})
    return AgentView(configuration, [unknown], {}, trackers, {"vrrp": 12, "observer": 0}, 0)


def test_passwords_are_masked_and_an_instance_without_a_word_is_init() -> None:
    (one,) = json.loads(render_json(view()))
    assert (one["data"]["auth_type"], one["data"]["auth_data"]) == (1, "********")
    assert (one["data"]["state"], one["data"]["wantstate"], one["data"]["vipset"]) == (0, 0, False)
    assert one["data"]["vips"] == ["192.0.2.10/24 dev eth0 scope global"]
    header = msgspec.structs.replace(SETTINGS, authentication_header=True)
    (other,) = json.loads(render_json(view(header)))
    assert (other["data"]["auth_type"], other["data"]["auth_data"]) == (2, "********")
    for text in (render_json(view()), render_vrrp(view()), render_parent(view())):
        assert "secret77" not in text
    assert "   State = INIT\n" in render_vrrp(view())
    assert " Process = vrrp\n   PID = 12\n Process = observer\n   PID = none\n" in render_parent(view())


def test_counters_of_auth_hmac_are_there_where_it_is_configured() -> None:
    hmac = HmacSettings(keys=(HmacKey(1, b"k" * 32),), active_key=1, time_window=5)
    (plain,), (signed,) = (
        json.loads(render_json(view(each)))
        for each in (SETTINGS, msgspec.structs.replace(SETTINGS, version=3, auth_password=b"", auth_hmac=hmac))
    )
    assert [name for name in signed["stats"] if name not in plain["stats"]] == [
        "auth_ext_missing", "auth_ext_malformed", "auth_ext_unknown_key", "auth_ext_invalid_hmac", "auth_ext_stale",
        "auth_ext_replay",
    ]  # fmt: skip
    assert (signed["stats"]["auth_ext_stale"], signed["stats"]["auth_failure"], signed["stats"]["advert_sent"]) == (
        4,
        5,
        3,
    )
    text = render_statistics(view(msgspec.structs.replace(SETTINGS, auth_hmac=hmac)))
    assert "  Authentication Extension Errors:\n    Missing: 0\n" in text
    assert "    Stale: 4\n" in text
    assert "Extension" not in render_statistics(view())


def test_version_2_has_the_tracked_processes() -> None:
    tracking = TrackingSettings(
        processes=(TrackedProcess(name="p", process="nginx", quorum=2, quorum_max=4, fork_delay=1_500_000_000),),
        uses={"VI_1": (TrackerUse(TrackerKind.PROCESS, "p", -7),)},
    )
    state = TrackerState("track_process", "p", True, processes=3, timer="terminate")
    process = ProcessSettings(dumps=DumpSettings(json_version=2))
    document = json.loads(render_json(view(trackers=(state,), tracking=tracking, process=process)))
    assert list(document) == ["vrrp", "track_process"]
    assert document["vrrp"][0]["data"]["track_process"] == ["p"]
    assert document["track_process"] == [{
        "process": "nginx", "param_match": "none", "min_processes": 2, "max_processes": 4, "current_processes": 3,
        "have_quorum": True, "weight": -7, "terminate_delay": 0.0, "fork_delay": 1.5,
        "fork_delay_timer_running": False, "terminate_delay_timer_running": True, "full_command": False,
    }]  # fmt: skip


def test_a_part_of_the_status_is_labelled_lines() -> None:
    document = {"virtual_servers": [{"address": "192.0.2.1", "real_servers": [{"alive": True, "notes": []}]}]}
    assert render_section("LVS Topology", document) == (
        "------< LVS Topology >------\n Virtual servers:\n   1:\n     Address = 192.0.2.1\n     Real servers:\n"
        "       1:\n         Alive = True\n         Notes = none\n"
    )

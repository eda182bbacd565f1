"""Who tracks what, with which weight: keepalived's inheritance, and its rules for sync groups (seen with 2.2.7)."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.resolve import Resolution, resolve
from kactl_agent.config.trackers import ScriptPolicy
from kactl_agent.tracking.settings import (
    Command,
    FileSettings,
    ParamMatch,
    ProcessSettings,
    ScriptSettings,
    TrackerKind,
    TrackerUse,
    TrackingSettings,
)
from kactl_agent.vrrp.settings import SECOND

HEAD = "interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]"
SCRIPT, INTERFACE, FILE = TrackerKind.SCRIPT, TrackerKind.INTERFACE, TrackerKind.FILE


def resolution(text: str) -> Resolution:
    document = bind(text, "agent.yaml")
    assert document.diagnostics == []
    return resolve(document)


def tracking(instance: str, *blocks: str) -> TrackingSettings:
    return resolution("\n".join([*blocks, f"vrrp_instance:\n  VI: {{{HEAD}, {instance}}}\n"])).settings.tracking


def uses(instance: str, *blocks: str) -> tuple[TrackerUse, ...]:
    return tracking(instance, *blocks).uses.get("VI", ())


def script(body: str = "") -> str:
    return f"vrrp_script:\n  chk: {{script: /bin/chk, {body}}}"


def test_defaults_of_a_script_are_keepaliveds() -> None:
    made = tracking("track_script: [chk]", script())
    assert made.scripts == (
        ScriptSettings(name="chk", command=Command(("/bin/chk",)), interval=SECOND, timeout=SECOND, rise=1, fall=1),
    )
    assert made.uses == {"VI": (TrackerUse(SCRIPT, "chk", 0),)}


def test_all_of_a_script() -> None:
    body = "interval: 0.25, timeout: 4, rise: 2, fall: 3, init_fail: true, user: {user: joe, group: ops}"
    (found,) = tracking("track_script: [chk]", script(body)).scripts
    assert (found.interval, found.timeout, found.rise, found.fall) == (SECOND // 4, 4 * SECOND, 2, 3)
    assert found.init_fail
    assert (found.command.user, found.command.group) == ("joe", "ops")


def test_timeout_is_the_interval_unless_said() -> None:
    (found,) = tracking("track_script: [chk]", script("interval: 7")).scripts
    assert found.timeout == 7 * SECOND


def test_commands_are_split_as_keepalived_does() -> None:
    text = "vrrp_script:\n  chk: {script: \"/bin/chk extra 'two words'\"}"
    assert tracking("track_script: [chk]", text).scripts[0].command.arguments == ("/bin/chk", "extra", "two words")


@pytest.mark.parametrize(("command", "code"), [("/bin/x 'a", "unclosed-quote"), ("  ", "empty-command")])
def test_a_command_that_cannot_be_split_is_an_error(command: str, code: str) -> None:
    text = f'vrrp_script:\n  chk: {{script: "{command}"}}\nvrrp_instance:\n  VI: {{{HEAD}, track_script: [chk]}}\n'
    found = [d for d in resolution(text).diagnostics if d.code == code]
    assert [(d.severity.value, d.place.line) for d in found] == [("error", 2)]


def test_only_what_is_tracked_is_run() -> None:
    assert tracking("priority: 100", script()) == TrackingSettings()


@pytest.mark.parametrize(
    ("definition", "entry", "weight", "reverse"),
    [
        ("", "chk", 0, False),
        ("weight: -20", "chk", -20, False),
        ("weight: -20", "{name: chk, weight: 5}", 5, False),
        ("weight: -20", "{name: chk, weight: 0}", 0, False),
        ("weight: {weight: 10, reverse: true}", "chk", 10, True),
        ("weight: {weight: 10, reverse: true}", "{name: chk, weight: 3}", 3, True),
        ("weight: {weight: 10, reverse: true}", "{name: chk, weight: 3, noreverse: true}", 3, False),
        ("weight: 10", "{name: chk, weight: 3, reverse: true}", 3, True),
    ],
)
def test_an_entry_comes_before_what_it_names(definition: str, entry: str, weight: int, reverse: bool) -> None:
    assert uses(f"track_script: [{entry}]", script(definition)) == (TrackerUse(SCRIPT, "chk", weight, reverse),)


def test_interfaces() -> None:
    entries = "track_interface: [eth1, {name: eth2, weight: -30}, {name: eth3, weight: 4, reverse: true}]"
    assert uses(entries) == (
        TrackerUse(INTERFACE, "eth1"), TrackerUse(INTERFACE, "eth2", -30), TrackerUse(INTERFACE, "eth3", 4, True),
    )  # fmt: skip


def test_files() -> None:
    """A file counts once unless said otherwise; its init_file is 0 unless said otherwise."""
    blocks = [
        "track_file:",
        "  f: {file: /run/f}",
        "  g: {file: /run/g, weight: {weight: 2, reverse: true}, init_file: true}",
        "  h: {file: /run/h, init_file: {value: -7, overwrite: true}}",
    ]
    made = tracking("track_file: [f, {name: g, weight: 3}, {name: h, weight: 0}]", *blocks)
    assert made.files == (
        FileSettings(name="f", path="/run/f"),
        FileSettings(name="g", path="/run/g", initial=0),
        FileSettings(name="h", path="/run/h", initial=-7, overwrite=True),
    )
    assert made.uses["VI"] == (TrackerUse(FILE, "f", 1), TrackerUse(FILE, "g", 3, True), TrackerUse(FILE, "h", 0))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("process: nginx", {"process": "nginx"}),
        ("process: [a, -g, x y]", {"process": "a", "arguments": ("-g", "x y"), "param_match": ParamMatch.EXACT}),
        ("process: nginx, param_match: true", {"process": "nginx", "param_match": ParamMatch.EXACT}),
        ("process: [a, b], param_match: initial",
         {"process": "a", "arguments": ("b",), "param_match": ParamMatch.INITIAL}),
        ("process: a, param_match: partial, full_command: true",
         {"process": "a", "param_match": ParamMatch.PARTIAL, "full_command": True}),
        ("process: a, quorum: 2, quorum_max: 3", {"process": "a", "quorum": 2, "quorum_max": 3}),
        ("process: a, quorum_max: 0", {"process": "a", "quorum": 0, "quorum_max": 0}),
        ("process: a, delay: 2", {"process": "a", "fork_delay": 2 * SECOND, "terminate_delay": 2 * SECOND}),
        ("process: a, delay: 2, fork_delay: 0.5",
         {"process": "a", "fork_delay": SECOND // 2, "terminate_delay": 2 * SECOND}),
    ],
)  # fmt: skip
def test_processes(body: str, expected: dict[str, Any]) -> None:
    made = tracking("track_process: [p]", f"vrrp_track_process:\n  p: {{{body}}}")
    assert made.processes == (ProcessSettings(name="p", **expected),)
    assert made.uses["VI"] == (TrackerUse(TrackerKind.PROCESS, "p", 0),)


@pytest.mark.parametrize(
    ("body", "code"),
    [("process: a, quorum: 3, quorum_max: 2", "quorum-max"), ("process: sixteencharnames", "process-name")],
)
def test_processes_that_are_not_meant_so(body: str, code: str) -> None:
    text = f"vrrp_track_process:\n  p: {{{body}}}\nvrrp_instance:\n  VI: {{{HEAD}, track_process: [p]}}\n"
    assert code in [d.code for d in resolution(text).diagnostics]


def test_what_a_group_tracks_is_served() -> None:
    lists = "track_script: [chk], track_interface: [lo], track_file: [f], track_process: [p]"
    blocks = [script(), "track_file: {f: {file: /f}}", "vrrp_track_process: {p: {process: a}}", GROUP % lists]
    text = "\n".join([*blocks, f"vrrp_instance:\n  VI: {{{HEAD}}}\n"])
    document = bind(text, "a.yaml")
    found = resolve(document)
    assert [d.message for d in found.diagnostics if d.code == "not-served"] == []
    assert [use.tracker for use in found.settings.tracking.uses["VI"]] == ["lo", "chk", "f", "p"]


GROUP = "vrrp_sync_group:\n  VG: {group: [VI], %s}"


def in_group(instance: str, group: str, *blocks: str) -> tuple[TrackerUse, ...]:
    document = bind("\n".join([*blocks, GROUP % group, f"vrrp_instance:\n  VI: {{{HEAD}, {instance}}}\n"]), "a.yaml")
    assert document.errors == []
    return resolve(document).settings.tracking.uses.get("VI", ())


def test_what_a_group_tracks_counts_for_its_members_with_its_weight() -> None:
    """keepalived 2.2.7: members went from 100 to 110, without sync_group_tracking_weight as with it."""
    group_use = TrackerUse(SCRIPT, "chk", 10, False, "VG")
    group = "track_script: [{name: chk, weight: 10}], track_interface: [{name: lo, weight: 20}]"
    own = TrackerUse(INTERFACE, "eth1")
    found = in_group("track_interface: [eth1]", group, script())
    assert found == (own, TrackerUse(INTERFACE, "lo", 20, False, "VG"), group_use)


def test_what_instance_and_group_track_counts_once_and_as_the_group_says() -> None:
    """keepalived 2.2.7: 100 -> 137 with these, and `track_file f1 is configured on VRRP instance and sync group`."""
    own = "track_script: [chk], track_file: [{name: f, weight: 2}], track_interface: [{name: lo, weight: 4}]"
    group = "track_script: [chk], track_file: [f], track_interface: [{name: lo, weight: 20}]"
    for allowed in ("", ", sync_group_tracking_weight: true", ", global_tracking: true"):
        found = in_group(own, group + allowed, script("weight: 10"), "track_file: {f: {file: /x}}")
        assert [(use.tracker, use.weight, use.group) for use in found] == [
            ("lo", 20, "VG"), ("chk", 10, "VG"), ("f", 1, "VG"),
        ]  # fmt: skip


def test_weights_of_members_are_left_out_unless_the_group_allows_them() -> None:
    """keepalived: `ignoring tracked script bad with weights due to SYNC group`; interfaces become faults."""
    instance = "track_script: [chk], track_interface: [{name: lo, weight: 20}, eth1]"
    weighted = script("weight: -10")
    faults = (TrackerUse(INTERFACE, "lo"), TrackerUse(INTERFACE, "eth1"))
    assert in_group(instance, "track_interface: []", weighted) == faults
    all_of_them = (TrackerUse(INTERFACE, "lo", 20), TrackerUse(INTERFACE, "eth1"), TrackerUse(SCRIPT, "chk", -10))
    assert in_group(instance, "sync_group_tracking_weight: true", weighted) == all_of_them
    assert in_group(instance, "global_tracking: true", weighted) == all_of_them, "its older name"


@pytest.mark.parametrize(("weight", "left"), [(1, (0,)), (-1, (0,)), (2, ()), (0, (0,))])
def test_files_of_members(weight: int, left: tuple[int, ...]) -> None:
    """keepalived: weight 1 becomes 0, other weights are removed."""
    found = in_group(
        f"track_file: [{{name: f, weight: {weight}}}]", "track_interface: []", "track_file: {f: {file: /x}}"
    )
    assert found == tuple(TrackerUse(FILE, "f", each) for each in left)


def test_unweighted_scripts_of_members_stay() -> None:
    assert in_group("track_script: [chk]", "track_interface: []", script()) == (TrackerUse(SCRIPT, "chk"),)


def test_policy() -> None:
    text = "global_defs: {script_user: {user: joe, group: ops}, enable_script_security: true, use_symlink_paths: true}"
    assert resolution(text).settings.script_policy == ScriptPolicy("joe", "ops", security=True, keep_symlinks=True)
    assert resolution("{}").settings.script_policy == ScriptPolicy()


def test_nothing_of_it_is_called_not_served() -> None:
    text = f"{script('weight: -10')}\nvrrp_instance:\n  VI: {{{HEAD}, track_script: [chk], track_interface: [lo]}}\n"
    assert [d for d in resolution(text).diagnostics if d.code == "not-served"] == []

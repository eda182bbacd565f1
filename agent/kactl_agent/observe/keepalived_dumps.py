"""State as keepalived's own dumps have it, for programs that read those: statistics as text, and JSON.

Field names, their order and their types are those of keepalived 2.2.7 (seen); version 2 of the JSON is 2.2.8's. Two
things differ: passwords are masked, as from 2.4.0 on, and of commands there is the file alone, because arguments may
hold secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from kactl_agent.notify.settings import ItemNotify
from kactl_agent.observe.views import AgentView, InstanceView
from kactl_agent.runtime.dump_frames import TrackerState
from kactl_agent.tracking.settings import ParamMatch, ProcessSettings, TrackerKind
from kactl_agent.vrrp.actions import State
from kactl_agent.vrrp.settings import SECOND, VirtualAddress, VrrpSettings

MASKED = "********"
_STATES = {State.INIT: 0, State.BACKUP: 1, State.MASTER: 2, State.FAULT: 3}
_AUTH_NONE, _AUTH_PASS, _AUTH_AH = 0, 1, 2
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}

_SCRIPTS = {
    "notify_backup": "script_backup",
    "notify_master": "script_master",
    "notify_fault": "script_fault",
    "notify_stop": "script_stop",
    "notify_deleted": "script_deleted",
    "notify": "script",
    "notify_master_rx_lower_pri": "script_master_rx_lower_pri",
}
STATISTICS: dict[str, tuple[str, ...]] = {
    # keepalived's name -> counters of the engine that add up to it
    "advert_rcvd": ("adverts_received",),
    "advert_sent": ("adverts_sent",),
    "become_master": ("became_master",),
    "release_master": ("released_master",),
    "packet_len_err": ("length",),
    "advert_interval_err": ("advert_interval", "advert_interval_differs", "advert_interval_zero"),
    "ip_ttl_err": ("ttl",),
    "invalid_type_rcvd": ("type",),
    "addr_list_err": ("address_list", "address_count_differs", "address_list_differs"),
    "invalid_authtype": ("auth_type_unknown",),
    "authtype_mismatch": ("auth_type_mismatch",),
    "auth_failure": ("auth_failure", "auth_header", "auth_spi", "auth_sequence"),
    "pri_zero_rcvd": ("priority_zero_received",),
    "pri_zero_sent": ("priority_zero_sent",),
}
_HMAC_STATISTICS = {
    "auth_ext_missing": ("auth_hmac_missing",),
    "auth_ext_malformed": ("auth_hmac_malformed",),
    "auth_ext_unknown_key": ("auth_hmac_unknown_key",),
    "auth_ext_invalid_hmac": ("auth_hmac_invalid",),
    "auth_ext_stale": ("auth_hmac_stale",),
    "auth_ext_replay": ("auth_hmac_replay",),
}
_TEXT: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Packet Errors",
        (
            ("Length", "packet_len_err"),
            ("TTL", "ip_ttl_err"),
            ("Invalid Type", "invalid_type_rcvd"),
            ("Advertisement Interval", "advert_interval_err"),
            ("Address List", "addr_list_err"),
        ),
    ),
    (
        "Authentication Errors",
        (("Invalid Type", "invalid_authtype"), ("Type Mismatch", "authtype_mismatch"), ("Failure", "auth_failure")),
    ),
)
_HMAC_TEXT = (
    ("Missing", "auth_ext_missing"),
    ("Malformed", "auth_ext_malformed"),
    ("Unknown Key", "auth_ext_unknown_key"),
    ("Invalid HMAC", "auth_ext_invalid_hmac"),
    ("Stale", "auth_ext_stale"),
    ("Replay", "auth_ext_replay"),
)


def counters(view: InstanceView) -> dict[str, int]:
    """The counters of an instance under keepalived's names; those of auth_hmac where that is configured."""
    wanted = STATISTICS | (_HMAC_STATISTICS if view.settings.auth_hmac is not None else {})
    return {name: sum(view.statistics.get(each, 0) for each in parts) for name, parts in wanted.items()}


# -- keepalived.stats --------------------------------------------------------------------------------------------------


def render_statistics(view: AgentView) -> str:
    """The file that SIGUSR2 makes."""
    return "".join(_instance_statistics(each) for each in view.instances)


def _instance_statistics(view: InstanceView) -> str:
    count = counters(view)
    lines = [
        f"VRRP Instance: {view.settings.name}",
        "  Advertisements:",
        f"    Received: {count['advert_rcvd']}",
        f"    Sent: {count['advert_sent']}",
        f"  Became master: {count['become_master']}",
        f"  Released master: {count['release_master']}",
    ]
    hmac = (("Authentication Extension Errors", _HMAC_TEXT),) if view.settings.auth_hmac is not None else ()
    for heading, rows in (*_TEXT, *hmac):
        lines += [f"  {heading}:", *(f"    {label}: {count[name]}" for label, name in rows)]
    lines += [
        "  Priority Zero:",
        f"    Received: {count['pri_zero_rcvd']}",
        f"    Sent: {count['pri_zero_sent']}",
    ]
    return "\n".join(lines) + "\n"


# -- keepalived.json ---------------------------------------------------------------------------------------------------


def render_json(view: AgentView) -> str:
    """The file that signal SIGRTMIN+2 makes: one line."""
    instances = [{"data": _data(each, view), "stats": counters(each)} for each in view.instances]
    document: Any = instances
    if view.configuration.process.dumps.json_version == 2:
        states = {state.name: state for state in view.trackers if state.kind == TrackerKind.PROCESS.value}
        weights = _weights(view)
        document = {
            "vrrp": instances,
            "track_process": [
                _process(each, states.get(each.name), weights.get(each.name, 0))
                for each in view.configuration.tracking.processes
            ],
        }
    # json-c, which keepalived uses, escapes slashes
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/") + "\n"


def _data(view: InstanceView, agent: AgentView) -> dict[str, Any]:
    settings, snapshot = view.settings, view.snapshot
    garp = settings.gratuitous
    state = State.INIT if snapshot is None else snapshot.state
    wants = State.MASTER if snapshot is not None and snapshot.wants_master else state
    master = 0 if snapshot is None or state is State.MASTER else snapshot.master_priority
    learned = settings.advert_interval if snapshot is None else snapshot.master_adver_interval
    return {
        "iname": settings.name,
        "dont_track_primary": int(not settings.track_primary),
        "skip_check_adv_addr": int(settings.skip_check_adv_addr),
        "strict_mode": int(settings.strict_mode),
        "vmac_ifname": settings.own_interface,
        "ifp_ifname": settings.own_interface or settings.interface,
        "master_priority": master,
        "last_transition": view.since / 1e9,
        "garp_delay": garp.delay // SECOND,
        "garp_refresh": garp.refresh // SECOND,
        "garp_rep": garp.repeat,
        "garp_refresh_rep": garp.refresh_repeat,
        "garp_lower_prio_delay": garp.lower_priority_delay // SECOND,
        "garp_lower_prio_rep": garp.lower_priority_repeat,
        "lower_prio_no_advert": int(settings.lower_prio_no_advert),
        "higher_prio_send_advert": int(settings.higher_prio_send_advert),
        "vrid": settings.virtual_router_id,
        "base_priority": settings.priority,
        "effective_priority": settings.priority if snapshot is None else snapshot.effective_priority,
        "vipset": state is State.MASTER,
        "promote_secondaries": settings.promote_secondaries,
        "adver_int": _seconds(settings.advert_interval),
        "master_adver_int": _seconds(learned),
        "accept": int(all(address.accepted for address in settings.addresses)),
        "nopreempt": not settings.preempt,
        "preempt_delay": settings.preempt_delay // SECOND,
        "state": _STATES[state],
        "wantstate": _STATES[wants],
        "version": settings.version,
        **_notifications(settings, agent),
        **_lists(settings, agent, is_set=state is State.MASTER),
        **_authentication(settings),
    }


def _seconds(nanoseconds: int) -> int | float:
    return nanoseconds // SECOND if nanoseconds % SECOND == 0 else nanoseconds / SECOND


def _lists(settings: VrrpSettings, agent: AgentView, *, is_set: bool) -> dict[str, list[str]]:
    """What there is nothing of is left out."""
    uses = agent.configuration.tracking.uses.get(settings.name, ())
    own = [use for use in uses if not use.group]
    mark = " set" if is_set else ""
    scripts = {name: each.arguments[0] for name, each in agent.configuration.track_scripts.items()}
    lists = {
        "vips": [address_words(a, settings) + mark for a in settings.addresses if a.advertised],
        "evips": [address_words(a, settings) + mark for a in settings.addresses if not a.advertised],
        "vroutes": [route.text + mark for route in settings.routes],
        "vrules": [rule.text + mark for rule in settings.rules],
        "track_ifp": [use.tracker for use in own if use.kind is TrackerKind.INTERFACE],
        "track_script": [
            f"'{scripts[u.tracker]}'" for u in own if u.kind is TrackerKind.SCRIPT and u.tracker in scripts
        ],
        "track_process": [use.tracker for use in own if use.kind is TrackerKind.PROCESS],
    }
    return {name: entries for name, entries in lists.items() if entries}


def address_words(address: VirtualAddress, settings: VrrpSettings) -> str:
    """`192.0.2.10/24 dev eth0 scope global`, as keepalived writes addresses; a host has no length."""
    host = address.prefix_length == len(address.address) * 8
    text = str(ip_address(address.address)) + ("" if host else f"/{address.prefix_length}")
    if address.peer:
        text = f"{ip_address(address.address)} peer {ip_address(address.peer)}/{address.prefix_length}"
    if address.broadcast:
        text += f" brd {ip_address(address.broadcast)}"
    parents = {made.name: made.parent for made in settings.virtual_interfaces}
    parent = parents.get(address.interface, "")
    text += f" dev {address.interface}" + (f"@{parent}" if parent else "")
    text += f" scope {_SCOPES.get(address.scope, address.scope)}"
    if address.label:
        text += f" label {address.label}"
    if len(address.address) != 4:
        lifetime = address.preferred_lifetime
        text += f" preferred_lft {'forever' if lifetime is None else lifetime}"
    return text


def _authentication(settings: VrrpSettings) -> dict[str, Any]:
    if settings.authentication_header:
        return {"auth_type": _AUTH_AH, "auth_data": MASKED}
    if settings.auth_password:
        return {"auth_type": _AUTH_PASS, "auth_data": MASKED}
    return {"auth_type": _AUTH_NONE}


def _weights(view: AgentView) -> Mapping[str, int]:
    """Of each process: the weight it has for the first instance that tracks it."""
    found: dict[str, int] = {}
    for uses in view.configuration.tracking.uses.values():
        for use in uses:
            if use.kind is TrackerKind.PROCESS:
                found.setdefault(use.tracker, use.weight)
    return found


def _process(settings: ProcessSettings, state: TrackerState | None, weight: int) -> dict[str, Any]:
    most = {} if settings.quorum_max is None else {"max_processes": settings.quorum_max}
    return {
        "process": settings.process,
        "param_match": "none" if settings.param_match is ParamMatch.ANY else settings.param_match.value,
        "min_processes": settings.quorum,
        **most,
        "current_processes": 0 if state is None else state.processes,
        "have_quorum": state is not None and state.up is True,
        "weight": weight,
        "terminate_delay": settings.terminate_delay / SECOND,
        "fork_delay": settings.fork_delay / SECOND,
        "fork_delay_timer_running": state is not None and state.timer == "fork",
        "terminate_delay_timer_running": state is not None and state.timer == "terminate",
        "full_command": settings.full_command,
    }


def _notifications(settings: VrrpSettings, agent: AgentView) -> dict[str, Any]:
    """Scripts that there are none of are left out."""
    item = agent.configuration.vrrp_notify.instances.get(settings.name, ItemNotify())
    scripts = {
        field: f"'{item.scripts[keyword].arguments[0]}'"
        for keyword, field in _SCRIPTS.items()
        if keyword in item.scripts
    }
    return {"smtp_alert": item.mail, "notify_deleted": item.deleted, **scripts}

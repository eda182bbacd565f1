"""State as text for reading (SIGUSR1), in the sections and under the labels that keepalived 2.2.7 gives to the same.

keepalived's own layout is informal and changes between its releases; programs that read it look for the labels of
instances, scripts and virtual servers, and these are the same here.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from kactl_agent.observe.keepalived_dumps import address_words
from kactl_agent.observe.views import AgentView, InstanceView
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime.dump_frames import TrackerState
from kactl_agent.tracking.settings import TrackerKind, TrackerUse
from kactl_agent.vrrp.actions import State
from kactl_agent.vrrp.settings import SECOND, VrrpSettings

_TRACKED = {
    TrackerKind.INTERFACE: "Tracked interfaces",
    TrackerKind.SCRIPT: "Tracked scripts",
    TrackerKind.FILE: "Tracked files",
    TrackerKind.PROCESS: "Tracked processes",
    TrackerKind.BFD: "Tracked BFDs",
}
_PREFIXES = (("vrrp", "VRRP"), ("checkers", "Checker"), ("bfd", "BFD"))


def render_vrrp(view: AgentView) -> str:
    """keepalived.data"""
    lines = [*_global(view), "------< VRRP Topology >------"]
    for instance in view.instances:
        lines += _instance(instance, view)
    if view.groups:
        lines += ["------< VRRP Sync groups >------", *_groups(view)]
    lines += _trackers(view)
    return "\n".join(lines) + "\n"


def render_parent(view: AgentView) -> str:
    """keepalived_parent.data: what is the agent's as a whole."""
    lines = [*_global(view), "------< Processes >------"]
    for name, pid in view.processes.items():
        lines += [f" Process = {name}", f"   PID = {pid or 'none'}"]
    return "\n".join(lines) + "\n"


def render_section(heading: str, document: Any) -> str:
    """keepalived_check.data, keepalived_bfd.data: a part of the status, ` Label = value` indented by depth."""
    return "\n".join([f"------< {heading} >------", *_block(document, 1)]) + "\n"


def _block(value: Any, depth: int) -> Iterator[str]:
    indent = " " * (2 * depth - 1)
    items = value.items() if isinstance(value, dict) else ((str(at), each) for at, each in enumerate(value, 1))
    for key, each in items:
        label = str(key).replace("_", " ").capitalize() if isinstance(value, dict) else key
        if isinstance(each, dict) or (isinstance(each, list) and any(isinstance(part, dict | list) for part in each)):
            yield f"{indent}{label}:"
            yield from _block(each, depth + 1)
        else:
            text = ", ".join(map(str, each)) if isinstance(each, list) else each
            yield f"{indent}{label} = {'none' if text in (None, '') else text}"


def _global(view: AgentView) -> Iterator[str]:
    configuration, process = view.configuration, view.configuration.process
    yield "------< Global definitions >------"
    yield f" Time = {timestamp(view.now)}"
    yield f" Configuration file = {configuration.file}"
    yield f" Configuration revision = {configuration.revision}"
    yield f" Router ID = {configuration.router_id}"
    yield f" Network namespace = {process.namespace or '(default)'}"
    if process.namespace_ipvs is not None:
        yield f" Network namespace ipvs = {process.namespace_ipvs or '(main namespace)'}"
    if process.instance:
        yield f" Instance name = {process.instance}"
    if process.dumps.save_directory:
        yield f" Config save dir = {process.dumps.save_directory}"
    yield f" Max auto priority = {process.max_auto_priority}"
    yield f" Min auto priority delay = {process.late_after // 1000} usecs"
    yield from _scheduling(process)
    yield f" umask = {process.umask:04o}"


def _scheduling(process: ProcessSettings) -> Iterator[str]:
    for worker, prefix in _PREFIXES:
        own = process.of(worker)
        yield f" {prefix} process priority = {own.nice or 0}"
        yield f" {prefix} don't swap = {_truth(own.no_swap)}"
        yield f" {prefix} realtime priority = {own.rt_priority}"
        yield f" {prefix} realtime limit = {own.rt_time}"
        if own.cpus:
            yield f" {prefix} CPU affinity = {', '.join(map(str, own.cpus))}"


def _instance(view: InstanceView, agent: AgentView) -> Iterator[str]:
    settings, snapshot = view.settings, view.snapshot
    yield f" VRRP Instance = {settings.name}"
    yield f"   VRRP Version = {settings.version}"
    if settings.sync_group:
        yield f"   Sync group = {settings.sync_group}"
    state = State.INIT if snapshot is None else snapshot.state
    yield f"   State = {state.value}"
    if snapshot is not None:
        wants = State.MASTER if snapshot.wants_master else state
        yield f"   Wantstate = {wants.value}"
        yield f"   Last transition = {view.since / 1e9:.6f} ({timestamp(view.since)})"
        if snapshot.detail:
            yield f"   Reason = {snapshot.detail}"
        if snapshot.faults:
            yield f"   Faults = {', '.join(snapshot.faults)}"
        if snapshot.master and state is not State.MASTER:
            yield f"   Master router = {ip_address(snapshot.master)}"
            yield f"   Master priority = {snapshot.master_priority}"
    yield f"   Interface = {_interface(settings)}"
    if snapshot is not None and snapshot.source_address:
        yield f"   Using src_ip = {ip_address(snapshot.source_address)}"
    if settings.unicast_peers:
        yield f"   Unicast peers = {', '.join(str(ip_address(peer)) for peer in settings.unicast_peers)}"
    elif settings.multicast_group:
        yield f"   Multicast address {ip_address(settings.multicast_group)}"
    yield from _timing(settings)
    yield f"   Virtual Router ID = {settings.virtual_router_id}"
    yield f"   Priority = {settings.priority}"
    if snapshot is not None:
        yield f"   Effective priority = {snapshot.effective_priority}"
    yield f"   Advert interval = {_interval(settings)}"
    yield f"   Accept = {_enabled(all(address.accepted for address in settings.addresses))}"
    yield f"   Preempt = {_enabled(settings.preempt)}"
    if settings.preempt_delay:
        yield f"   Preempt delay = {settings.preempt_delay / SECOND:g} secs"
    yield f"   Promote_secondaries = {_enabled(settings.promote_secondaries)}"
    yield from _authentication(settings)
    yield from _items(settings, state is State.MASTER)
    yield from _uses(agent.configuration.tracking.uses.get(settings.name, ()))


def _interface(settings: VrrpSettings) -> str:
    own = settings.own_interface
    return f"{own}, vmac on {settings.interface}" if own else settings.interface


def _timing(settings: VrrpSettings) -> Iterator[str]:
    garp = settings.gratuitous
    yield f"   Gratuitous ARP delay = {garp.delay // SECOND}"
    yield f"   Gratuitous ARP repeat = {garp.repeat}"
    yield f"   Gratuitous ARP refresh = {garp.refresh // SECOND}"
    yield f"   Gratuitous ARP refresh repeat = {garp.refresh_repeat}"
    yield f"   Gratuitous ARP lower priority delay = {garp.lower_priority_delay // SECOND}"
    yield f"   Gratuitous ARP lower priority repeat = {garp.lower_priority_repeat}"
    yield f"   Down timer adverts = {settings.down_timer_adverts}"
    yield f"   Send advert after receive lower priority advert = {_truth(not settings.lower_prio_no_advert)}"
    yield f"   Send advert after receive higher priority advert = {_truth(settings.higher_prio_send_advert)}"


def _interval(settings: VrrpSettings) -> str:
    if settings.version == 2:
        return f"{settings.advert_interval // SECOND} sec"
    return f"{settings.advert_interval / 1e6:g} milli-sec"


def _authentication(settings: VrrpSettings) -> Iterator[str]:
    if settings.authentication_header:
        yield "   Authentication type = IPSEC_AH"
    elif settings.auth_password:
        yield "   Authentication type = SIMPLE_PASSWORD"
    elif settings.version == 2:
        yield "   Authentication type = none"
    if settings.auth_hmac is not None:
        yield f"   Authentication HMAC = {settings.auth_hmac.mode.value}, active key {settings.auth_hmac.active_key}"


def _items(settings: VrrpSettings, is_set: bool) -> Iterator[str]:
    mark = " set" if is_set else ""
    advertised = [address for address in settings.addresses if address.advertised]
    excluded = [address for address in settings.addresses if not address.advertised]
    yield f"   Virtual IP ({len(advertised)}):"
    yield from (f"     {address_words(address, settings)}{mark}" for address in advertised)
    for heading, texts in (
        ("Virtual IP Excluded", [address_words(address, settings) for address in excluded]),
        ("Virtual Routes", [route.text for route in settings.routes]),
        ("Virtual Rules", [rule.text for rule in settings.rules]),
    ):
        if texts:
            yield f"   {heading} :"
            yield from (f"     {text}{mark}" for text in texts)


def _uses(uses: tuple[TrackerUse, ...]) -> Iterator[str]:
    for kind, heading in _TRACKED.items():
        own = [use for use in uses if use.kind is kind]
        if own:
            yield f"   {heading} :"
        for use in own:
            reverse = " reverse" if use.reverse else ""
            group = f" of group {use.group}" if use.group else ""
            yield f"     {use.tracker} weight {use.weight}{reverse}{group}"


def _groups(view: AgentView) -> Iterator[str]:
    for group in view.configuration.sync_groups:
        yield f" VRRP Sync Group = {group.name}, {view.groups.get(group.name, State.INIT.value)}"
        yield "   VRRP member instances :"
        yield from (f"     {member}" for member in group.members)


def _trackers(view: AgentView) -> Iterator[str]:
    tracking = view.configuration.tracking
    states = {(state.kind, state.name): state for state in view.trackers}
    if tracking.scripts:
        yield "------< VRRP Scripts >------"
    for script in tracking.scripts:
        yield f" VRRP Script = {script.name}"
        executable = view.configuration.track_scripts.get(script.name)
        yield f"   Command = '{executable.arguments[0] if executable else script.command.arguments[0]}'"
        yield f"   Interval = {script.interval / SECOND:g} sec"
        yield f"   Timeout = {script.timeout / SECOND:g} sec"
        yield f"   Rise = {script.rise}"
        yield f"   Fall = {script.fall}"
        yield from _status(states.get((TrackerKind.SCRIPT.value, script.name)))
    if tracking.files:
        yield "------< VRRP Track files >------"
    for file in tracking.files:
        yield f" VRRP Track file = {file.name}"
        yield f"   File = {file.path}"
        state = states.get((TrackerKind.FILE.value, file.name))
        yield f"   Status = {0 if state is None else state.value}"
    if tracking.processes:
        yield "------< VRRP Track processes >------"
    for process in tracking.processes:
        yield f" VRRP Track process = {process.name}"
        yield f"   Process = {process.process}"
        yield f"   Min processes = {process.quorum}"
        if process.quorum_max is not None:
            yield f"   Max processes = {process.quorum_max}"
        state = states.get((TrackerKind.PROCESS.value, process.name))
        yield f"   Current processes = {0 if state is None else state.processes}"
        yield f"   Have quorum = {_truth(state is not None and state.up is True)}"


def _status(state: TrackerState | None) -> Iterator[str]:
    if state is None or state.up is None:
        yield "   Status = INIT"
        return
    yield f"   Status = {'GOOD' if state.up else 'BAD'}"
    if state.detail:
        yield f"   Result = {state.detail}"


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _enabled(value: bool) -> str:
    return "enabled" if value else "disabled"

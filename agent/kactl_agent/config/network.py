"""What VRRP instances share on a machine: how its interfaces are looked at (`kactl_agent.vrrp.network_settings`)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.in_force import InstanceInForce
from kactl_agent.config.item_interfaces import item_interfaces
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default, render_decimal
from kactl_agent.config.schema.static import GarpGroup
from kactl_agent.tracking.debounce import limited, longest_down_delay
from kactl_agent.vrrp.network_settings import LinkDelays, NetlinkBuffer, NetworkSettings, PaceGroup, PaceSettings
from kactl_agent.vrrp.settings import MICROSECOND


def resolve_network(config: Config, instances: dict[str, InstanceInForce]) -> NetworkSettings:
    return NetworkSettings(
        delays=tuple(delays for delays, _longest, _name in _delays(config, instances)),
        pace=_pace(config),
        log_unknown_vrids=_log_unknown(config),
        command_buffer=_buffer(config, "vrrp_netlink_cmd_rcv_bufs"),
        monitor_buffer=_buffer(config, "vrrp_netlink_monitor_rcv_bufs"),
        process_buffer=_buffer(config, "process_monitor_rcv_bufs"),
        linkbeat=_linkbeat(config, instances),
    )


def _buffer(config: Config, keyword: str) -> NetlinkBuffer:
    said = config.global_defs
    if said is UNSET:
        return NetlinkBuffer()
    return NetlinkBuffer(or_default(getattr(said, keyword), 0), or_default(getattr(said, f"{keyword}_force"), False))


def _linkbeat(config: Config, instances: dict[str, InstanceInForce]) -> dict[str, str]:
    """linkbeat_interfaces; of instances with linkbeat_use_polling their own; with the general one all that matter."""
    found: dict[str, str] = {}
    everywhere = or_default(config.linkbeat_use_polling, False)
    for name, it in instances.items():
        own = [it.interface.value] if it.interface.value else []
        if everywhere:
            tracked = [or_default(entry.name, "") for entry in or_default(it.said.track_interface, ())]
            found |= dict.fromkeys([*own, *item_interfaces(config, name), *tracked], "")
        elif or_default(it.said.linkbeat_use_polling, False):
            found |= dict.fromkeys(own, "")
    said = or_default(config.linkbeat_interfaces, ())
    return found | {or_default(entry.interface, ""): or_default(entry.method, "") for entry in said}


def _log_unknown(config: Config) -> bool:
    return config.global_defs is not UNSET and or_default(config.global_defs.log_unknown_vrids, False)


def receive_buffer(instance: InstanceInForce) -> tuple[int, int]:
    """What it adds to the buffer of its socket: bytes, and multiples of the MTU. keepalived: the instances on a socket
    add up; of a number the multiplier is left out."""
    own = or_default(instance.said.kernel_rx_buf_size, 0)
    if own:
        return own, 0
    policy = str(instance.global_value("vrrp_rx_bufs_policy", "").value)
    times = int(instance.global_value("vrrp_rx_bufs_multiplier", 3).value)
    if policy == "MTU":
        return 0, times
    return (_advert_size(instance) * times, 0) if policy == "ADVERT" else (int(policy or 0), 0)


def _advert_size(instance: InstanceInForce) -> int:
    """Bytes of an advert with its IP header."""
    ipv4 = instance.family.value == 4
    addresses = or_default(instance.said.virtual_ipaddress, ())
    count = sum(family_of(or_default(a.address, "")) == instance.family.value for a in addresses)
    size = (20 if ipv4 else 40) + 8 + (4 if ipv4 else 16) * min(count, instance.address_limit)
    size += 8 if instance.version.value == 2 else 0
    size += 24 if instance.authentication_header else 0
    return size + (28 if instance.said.auth_hmac is not UNSET else 0)


def _pace(config: Config) -> PaceSettings:
    """An interface counts in the first group that names it; its group's gaps replace those of global_defs, even by
    none, as keepalived has it."""
    of_all = config.global_defs
    groups = (
        PaceGroup(
            _interfaces(group),
            or_default(group.garp_interval, 0) * MICROSECOND,
            or_default(group.gna_interval, 0) * MICROSECOND,
        )
        for group in or_default(config.garp_group, ())
        if group.garp_interval is not UNSET or group.gna_interval is not UNSET
    )
    return PaceSettings(
        0 if of_all is UNSET else or_default(of_all.vrrp_garp_interval, 0) * MICROSECOND,
        0 if of_all is UNSET else or_default(of_all.vrrp_gna_interval, 0) * MICROSECOND,
        tuple(group for group in groups if group.interfaces),
    )


def _interfaces(group: GarpGroup) -> tuple[str, ...]:
    own = () if group.interface is UNSET else (group.interface,)
    return (*own, *or_default(group.interfaces, ()))


def _delays(config: Config, instances: dict[str, InstanceInForce]) -> Iterator[tuple[LinkDelays, int | None, str]]:
    """Each entry as far as it counts; the longest down delay that is possible, and the instance that says so."""
    for entry in or_default(config.interface_up_down_delays, ()):
        interface = or_default(entry.interface, "")
        delays = LinkDelays(interface, or_default(entry.down, 0) * MICROSECOND, or_default(entry.up, 0) * MICROSECOND)
        limits = [
            (longest_down_delay(it.down_timer_adverts.value, it.advert_interval.value * MICROSECOND), name)
            for name, it in instances.items()
            if it.interface.value == interface
        ]
        longest, name = min(limits, default=(None, ""))
        yield (delays if longest is None else limited(delays, longest)), longest, name


def check(sheet: Sheet) -> None:
    _check_delays(sheet)
    _check_groups(sheet)
    _check_tracked(sheet)


def _check_tracked(sheet: Sheet) -> None:
    """Entries of track_interface that count otherwise than they say, as 2.2.7 takes them."""
    config = sheet.document.config
    for name, instance in or_default(config.vrrp_instance, {}).items():
        own, items = InstanceInForce(config, name).interface.value, item_interfaces(config, name)
        for index, entry in enumerate(or_default(instance.track_interface, ())):
            path: Path = ("vrrp_instance", name, "track_interface", index)
            if entry.name == own:
                text = f"`{own}` is the interface of `{name}` itself: this entry is left out"
                sheet.warning(path, "own-interface", text, "dont_track_primary says whether it counts")
            elif entry.name in items and or_default(entry.weight, 0):
                text = f"`{entry.name}` has addresses, routes or rules of `{name}`: when it is down that is a fault"
                sheet.warning(path, "implicit-tracking", text, "leave the weight out, or say no_track there")


def _check_groups(sheet: Sheet) -> None:
    """What -t of keepalived 2.2.7 says of a garp_group."""
    seen: set[str] = set()
    for index, group in enumerate(or_default(sheet.document.config.garp_group, ())):
        path: Path = ("garp_group", index)
        if group.garp_interval is UNSET and group.gna_interval is UNSET:
            sheet.warning(path, "garp-group", "this garp_group has no interval and is left out", "set garp_interval")
            continue
        interfaces = _interfaces(group)
        if not interfaces:
            sheet.warning(path, "garp-group", "this garp_group has no interface and does nothing", "set interfaces")
        for name in interfaces:
            if name in seen:
                sheet.warning(path, "garp-group", f"`{name}` is in a garp_group already: it stays in that one")
            seen.add(name)


def _check_delays(sheet: Sheet) -> None:
    config = sheet.document.config
    instances = {name: InstanceInForce(config, name) for name in or_default(config.vrrp_instance, {})}
    seen: set[str] = set()
    for index, (delays, longest, name) in enumerate(_delays(config, instances)):
        path: Path = ("interface_up_down_delays", index)
        if delays.interface in seen:
            sheet.error(path, "duplicate-interface", f"`{delays.interface}` stands here twice", ignored=True)
        seen.add(delays.interface)
        said = or_default(config.interface_up_down_delays, ())[index].down
        if longest is None or said is UNSET or said * MICROSECOND <= longest:
            continue
        if not longest:
            text = f"`{name}` waits for one advert alone: `{delays.interface}` has no down delay"
            sheet.warning(path, "interface-delay", text, "set down_timer_adverts of 2 or more")
        else:
            most = render_decimal(longest // MICROSECOND, 6)
            text = f"the down delay of `{delays.interface}` becomes {most}: others would take over from `{name}` before"
            sheet.warning(path, "interface-delay", text, "(down_timer_adverts - 1) * advert_int, less a skew, at most")

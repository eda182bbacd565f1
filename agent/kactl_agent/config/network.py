"""What VRRP instances share on a machine: how its interfaces are looked at (`kactl_agent.vrrp.network_settings`)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.in_force import InstanceInForce
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default, render_decimal
from kactl_agent.tracking.debounce import limited, longest_down_delay
from kactl_agent.vrrp.network_settings import LinkDelays, NetworkSettings
from kactl_agent.vrrp.settings import MICROSECOND


def resolve_network(config: Config, instances: dict[str, InstanceInForce]) -> NetworkSettings:
    return NetworkSettings(delays=tuple(delays for delays, _longest, _name in _delays(config, instances)))


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

"""What a reload does to a virtual router that stays the same one: each setting of it, and what a change of it means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from kactl_agent.config.impact import Change, Impact
from kactl_agent.vrrp.pairing import place_of
from kactl_agent.vrrp.settings import HmacMode, HmacSettings, VirtualAddress, VrrpSettings

Show = Callable[[Any], str]


class Setting(NamedTuple):
    """What a change of one setting means. `show` None: its values are not shown."""

    keyword: str
    impact: Impact
    show: Show | None = str
    meaning: str = ""


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:g} s"


def _flag(value: bool) -> str:
    return "on" if value else "off"


def _host(packed: bytes) -> str:
    return str(ip_address(packed)) if packed else "the interface's own"


def _value(value: Any) -> str:
    return str(value.value)


_ELSEWHERE = frozenset(
    {"name", "addresses", "routes", "rules", "priority", "unicast_peers", "auth_hmac", "gratuitous", "sync_group"}
)
"""Told by a function of their own."""

_IDENTITY = frozenset({"interface", "virtual_router_id", "family", "multicast_group"})
"""With another one of these it is another virtual router."""

_AT_START = "counts from the next start on"
_SOCKET = "the socket is opened anew"
SETTINGS: Mapping[str, Setting] = {
    "version": Setting("version", Impact.HITLESS),
    "advert_interval": Setting("advert_int", Impact.HITLESS, _seconds),
    "down_timer_adverts": Setting("down_timer_adverts", Impact.HITLESS),
    "strict_mode": Setting("strict_mode", Impact.HITLESS, _flag),
    "preempt": Setting("preempt", Impact.HITLESS, _flag),
    "preempt_delay": Setting("preempt_delay", Impact.HITLESS, _seconds),
    "start_as_master": Setting("state", Impact.NO_OP, lambda on: "MASTER" if on else "BACKUP", _AT_START),
    "source_address": Setting("source address", Impact.HITLESS, _host),
    "unicast_ttl_limits": Setting("min_ttl, max_ttl", Impact.HITLESS, None),
    "check_unicast_source": Setting("check_unicast_src", Impact.HITLESS, _flag),
    "unicast_fault_no_peer": Setting("unicast_fault_no_peer", Impact.HITLESS, _flag),
    "old_unicast_checksum": Setting("old_unicast_checksum", Impact.HITLESS, _value),
    "ttl": Setting("unicast_ttl", Impact.HITLESS),
    "checksum_form": Setting("v3_checksum_as_v2", Impact.HITLESS, _value),
    "accept_either_checksum": Setting("accept_either_checksum", Impact.HITLESS, _flag),
    "lower_prio_no_advert": Setting("lower_prio_no_advert", Impact.HITLESS, _flag),
    "higher_prio_send_advert": Setting("higher_prio_send_advert", Impact.HITLESS, _flag),
    "owner_ignore_adverts": Setting("owner_ignore_adverts", Impact.HITLESS, _flag),
    "startup_delay": Setting("vrrp_startup_delay", Impact.NO_OP, _seconds, _AT_START),
    "delay_after_boot": Setting("vrrp_delay_after_boot", Impact.NO_OP, _seconds, _AT_START),
    "timer_expired_priority": Setting("timer_expired_backup", Impact.HITLESS),
    "vrf": Setting("vrf", Impact.BRIEF, str, _SOCKET),
    "receive_buffer": Setting("kernel_rx_buf_size", Impact.HITLESS, str, _SOCKET),
    "receive_buffer_mtus": Setting("vrrp_rx_bufs_policy", Impact.HITLESS, str, _SOCKET),
    "track_primary": Setting("dont_track_primary", Impact.HITLESS, lambda on: _flag(not on)),
    "promote_secondaries": Setting("promote_secondaries", Impact.HITLESS, _flag),
    "notify_priority_changes": Setting("notify_priority_changes", Impact.HITLESS, _flag),
    "foreign_removal": Setting("on_foreign_removal", Impact.HITLESS, _value),
    "track_source": Setting("track_src_ip", Impact.HITLESS, _flag),
    "rfc_discards": Setting("rfc_discards", Impact.HITLESS, _flag),
    "skip_check_adv_addr": Setting("skip_check_adv_addr", Impact.HITLESS, _flag),
    "auth_password": Setting("authentication", Impact.HITLESS, None),
    "authentication_header": Setting("auth_type", Impact.HITLESS, lambda on: "AH" if on else "PASS"),
    "virtual_interfaces": Setting(
        "virtual interfaces", Impact.BRIEF, None, "interfaces are made anew, addresses move, MAC addresses change"
    ),
    "own_interface": Setting("use_vmac or use_ipvlan", Impact.BRIEF, lambda name: name or "none"),
    "transmit_on_parent": Setting("vmac_xmit_base", Impact.HITLESS, _flag),
}
"""Every setting of an instance that is not told elsewhere; one that is not here is hitless, and its value not shown."""


def instance_changes(
    old: VrrpSettings,
    new: VrrpSettings,
    homes_before: Mapping[tuple[Any, ...], str],
    homes_after: Mapping[tuple[Any, ...], str],
) -> Iterator[Change]:
    """The homes say which instance an address belongs to, in the old configuration and in the new one."""
    subject = f"vrrp_instance {new.name}"
    if old.name != new.name:
        yield Change(subject, Impact.HITLESS, f"was called {old.name}, and goes on as it is")
    yield from _priority(subject, old, new)
    yield from _addresses(subject, old, new, homes_before, homes_after)
    for keyword, before, after in (("route", old.routes, new.routes), ("rule", old.rules, new.rules)):
        yield from _routing(subject, keyword, before, after)
    yield from _peers(subject, old, new)
    if old.gratuitous != new.gratuitous:
        yield Change(subject, Impact.HITLESS, "announcements (garp_*) change")
    if old.auth_hmac != new.auth_hmac:
        peers = _hmac_peers(old.auth_hmac, new.auth_hmac)
        yield Change(subject, Impact.HITLESS, "auth_hmac changes", (), peers)
    for field in new.__struct_fields__:
        if field in _ELSEWHERE or field in _IDENTITY or getattr(old, field) == getattr(new, field):
            continue
        yield _setting(subject, field, old, new)


def _setting(subject: str, field: str, old: VrrpSettings, new: VrrpSettings) -> Change:
    setting = SETTINGS.get(field, Setting(field, Impact.HITLESS, None))
    text = f"{setting.keyword} changes"
    if setting.show is not None:
        text = f"{setting.keyword} {setting.show(getattr(old, field))} -> {setting.show(getattr(new, field))}"
    if setting.meaning:
        text += f": {setting.meaning}"
    moved = _text(new.addresses) if setting.impact is Impact.BRIEF else ()
    return Change(subject, setting.impact, text, moved, _peers_of(field, old, new))


def _peers_of(field: str, old: VrrpSettings, new: VrrpSettings) -> str:
    """Why routers with the old settings drop what is sent with the new ones."""
    match field:
        case "version":
            return "they drop adverts of another version"
        case "advert_interval" if new.version == 2 and old.version == 2:
            return "VRRPv2 drops adverts with another interval"
        case "auth_password" | "authentication_header" if new.version == 2:
            return "they drop adverts with another authentication"
        case "checksum_form" if new.version == 3 and len(new.multicast_group or b"") == 4:
            return "those that know one form of the VRRPv3 checksum drop the other"
        case "old_unicast_checksum":
            return "those that know one form of the checksum drop the other"
        case "ttl" if new.ttl < old.ttl:
            return "those with a min_ttl above it drop the adverts"
        case "source_address" if new.unicast_peers:
            return "those with check_unicast_src drop adverts from another source"
        case _:
            return ""


def _priority(subject: str, old: VrrpSettings, new: VrrpSettings) -> Iterator[Change]:
    if old.priority == new.priority:
        return
    text = f"priority {old.priority} -> {new.priority}"
    if new.priority > old.priority and not new.preempt:
        yield Change(subject, Impact.HITLESS, f"{text}; it does not preempt")
    elif new.priority > old.priority:
        text += "; it takes over from a MASTER with a lower one"
        yield Change(subject, Impact.BRIEF, text, _text(new.addresses))
    else:
        text += "; a router with a higher one takes over"
        yield Change(subject, Impact.BRIEF, text, _text(new.addresses))


def _addresses(
    subject: str,
    old: VrrpSettings,
    new: VrrpSettings,
    homes_before: Mapping[tuple[Any, ...], str],
    homes_after: Mapping[tuple[Any, ...], str],
) -> Iterator[Change]:
    before = {place_of(address): address for address in old.addresses}
    after = {place_of(address): address for address in new.addresses}
    gone = [address for place, address in before.items() if place not in after]
    come = [address for place, address in after.items() if place not in before]
    other = [address for place, address in after.items() if place in before and before[place] != address]
    advertised = {a.address for a in old.addresses if a.advertised} != {
        a.address for a in new.addresses if a.advertised
    }
    peers = "keepalived before 2.3.3 drops adverts with other addresses than its own" if advertised else ""
    same_host = {address.address for address in come}
    moved = [address for address in gone if place_of(address) in homes_after]
    replaced = [address for address in gone if address not in moved and address.address in same_host]
    lost = [address for address in gone if address not in moved and address not in replaced]
    if lost:
        yield Change(subject, Impact.DISRUPTIVE, f"{_few(lost)} removed", _text(lost), peers)
        peers = ""  # once
    if replaced:
        text = f"{_few(replaced)} removed and added again with another prefix length, interface or peer"
        yield Change(subject, Impact.BRIEF, text, _text(replaced))
    if moved:
        heirs = ", ".join(dict.fromkeys(homes_after[place_of(address)] for address in moved))
        text = f"{_few(moved)} given to {heirs}: it stays on the machine where both are MASTER"
        yield Change(subject, Impact.BRIEF, text, _text(moved), peers)
        peers = ""
    replacing = {address.address for address in replaced}
    fresh = [a for a in come if place_of(a) not in homes_before and a.address not in replacing]
    taken = [a for a in come if place_of(a) in homes_before]
    if fresh:
        yield Change(subject, Impact.HITLESS, f"{_few(fresh)} added", _text(fresh), peers)
        peers = ""
    if taken:
        givers = ", ".join(dict.fromkeys(homes_before[place_of(a)] for a in taken))
        yield Change(subject, Impact.BRIEF, f"{_few(taken)} taken over from {givers}", _text(taken), peers)
        peers = ""
    kept = [a for a in other if _on_machine(before[place_of(a)]) == _on_machine(a)]
    again = [a for a in other if a not in kept]
    if again:
        text = f"{_few(again)} removed and added again with another label, scope or flags"
        yield Change(subject, Impact.BRIEF, text, _text(again))
    if kept:
        text = f"{_few(kept)}: what is advertised, tracked or accepted changes"
        yield Change(subject, Impact.HITLESS, text, _text(kept), peers)


def _on_machine(address: VirtualAddress) -> tuple[Any, ...]:
    return address.label, address.scope, address.broadcast, address.flags, address.preferred_lifetime


def _routing(subject: str, what: str, old: Iterable[Any], new: Iterable[Any]) -> Iterator[Change]:
    before, after = {item.text: item for item in old}, {item.text: item for item in new}
    gone = [text for text in before if text not in after]
    come = [text for text in after if text not in before]
    if gone:
        impact = Impact.BRIEF if come else Impact.DISRUPTIVE
        yield Change(subject, impact, f"virtual {what} removed: {'; '.join(gone)}")
    if come:
        yield Change(subject, Impact.HITLESS, f"virtual {what} added: {'; '.join(come)}")
    if any(before[text] != item for text, item in after.items() if text in before):
        yield Change(subject, Impact.HITLESS, f"virtual {what}s: other settings")


def _peers(subject: str, old: VrrpSettings, new: VrrpSettings) -> Iterator[Change]:
    gone = [str(ip_address(peer)) for peer in old.unicast_peers if peer not in new.unicast_peers]
    come = [str(ip_address(peer)) for peer in new.unicast_peers if peer not in old.unicast_peers]
    if gone:
        peers = f"{', '.join(gone)} hear no adverts any more, and take over unless they are told of it too"
        yield Change(subject, Impact.HITLESS, f"unicast_peer {', '.join(gone)} removed", (), peers)
    if come:
        yield Change(subject, Impact.HITLESS, f"unicast_peer {', '.join(come)} added")


def _signs_with(settings: HmacSettings | None) -> tuple[int, bytes] | None:
    """The key of what is sent; None: it is not signed."""
    if settings is None or settings.mode is HmacMode.RECEIVE_ONLY:
        return None
    return next(((key.id, key.key) for key in settings.keys if key.id == settings.active_key), None)


def _hmac_peers(old: HmacSettings | None, new: HmacSettings | None) -> str:
    before, after = _signs_with(old), _signs_with(new)
    if after == before:
        return ""
    if after is None:
        return "those that enforce auth_hmac drop adverts that are not signed"
    known = [(key.id, key.key) for key in old.keys] if old is not None else []
    if after in known:
        return ""  # those that are as we have been take it
    return "those without this key drop adverts signed with it"


def _text(addresses: Iterable[VirtualAddress]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{ip_address(a.address)}/{a.prefix_length}" for a in addresses))


def _few(addresses: list[VirtualAddress]) -> str:
    shown = list(_text(addresses))
    return f"{', '.join(shown[:3])} and {len(shown) - 3} more" if len(shown) > 4 else ", ".join(shown)

"""Two configurations, resolved -> what a reload from one to the other does, and whom it hurts.

Pure: it knows what the engines do with other settings, not in which state they are. What depends on that (an address is
on the machine of a MASTER alone) is said as for a MASTER. Values that may be secret are never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from kactl_agent.bfd.settings import BfdSettings
from kactl_agent.config.diff_instances import instance_changes
from kactl_agent.config.diff_notify import outlet_changes, vrrp_notify_changes
from kactl_agent.config.diff_process import process_changes
from kactl_agent.config.diff_servers import virtual_server_changes
from kactl_agent.config.impact import Change, Impact
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.notify.settings import MailSettings, SupervisorNotify, VrrpNotify
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.tracking.settings import TrackerUse, TrackingSettings
from kactl_agent.vrrp.firewall import FirewallSettings
from kactl_agent.vrrp.network_settings import NetworkSettings
from kactl_agent.vrrp.pairing import pair, place_of
from kactl_agent.vrrp.settings import SyncGroupSettings, VirtualAddress, VrrpSettings
from kactl_agent.vrrp.static_items import StaticItems


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two: everything that workers act on."""

    vrrp: tuple[VrrpSettings, ...] = ()
    sync_groups: tuple[SyncGroupSettings, ...] = ()
    static: StaticItems = StaticItems()
    firewall: FirewallSettings = FirewallSettings()
    network: NetworkSettings = NetworkSettings()
    tracking: TrackingSettings = TrackingSettings()
    bfd: BfdSettings = BfdSettings()
    checkers: CheckersSettings = CheckersSettings()
    process: ProcessSettings = ProcessSettings()
    vrrp_notify: VrrpNotify = VrrpNotify()
    own_notify: SupervisorNotify = SupervisorNotify()
    mail: MailSettings | None = None
    others: dict[str, Any] = {}  # what else there is, by what it is called: changes take nothing from anybody


def plan(old: Side, new: Side) -> list[Change]:
    """What a reload does, in the order of the new configuration. Nothing at all: the two mean the same."""
    return [
        *_instances(old, new),
        *_sync_groups(old, new),
        *_tracking(old, new),
        *_static(old.static, new.static),
        *_as_a_whole("firewall", old.firewall, new.firewall, "the rules for addresses and VMACs are made anew"),
        *_as_a_whole("interfaces", old.network, new.network, "delays, pace or buffers of interfaces change"),
        *_sessions(old.bfd, new.bfd),
        *virtual_server_changes(old.checkers, new.checkers),
        *process_changes(old.process, new.process),
        *_notifications(old, new),
        *_others(old.others, new.others),
    ]


def _notifications(old: Side, new: Side) -> Iterator[Change]:
    instances = {each.name for each in old.vrrp} & {each.name for each in new.vrrp}
    groups = {each.name for each in old.sync_groups} & {each.name for each in new.sync_groups}
    yield from vrrp_notify_changes(old.vrrp_notify, new.vrrp_notify, instances, groups)
    yield from outlet_changes(old.own_notify, new.own_notify, old.mail, new.mail)


def worst(changes: Iterable[Change]) -> Impact:
    return max((change.impact for change in changes), key=lambda impact: impact.rank, default=Impact.NO_OP)


# -- instances ---------------------------------------------------------------------------------------------------------


def _instances(old: Side, new: Side) -> Iterator[Change]:
    pairs = pair(old.vrrp, new.vrrp)
    before = {settings.name: settings for settings in old.vrrp}
    after = {settings.name: settings for settings in new.vrrp}
    homes_before, homes_after = _homes(old.vrrp), _homes(new.vrrp)
    for name, settings in before.items():
        if name not in pairs.values():
            successor = after.get(name)
            if successor is not None and name not in pairs:
                yield _another_router(settings, successor)
            else:
                yield _removed_instance(settings, homes_after)
    for name, settings in after.items():
        if name in pairs:
            yield from instance_changes(before[pairs[name]], settings, homes_before, homes_after)
        elif name not in before:
            text = f"starts as BACKUP, priority {settings.priority}"
            yield Change(_instance(name), Impact.HITLESS, text, _addresses(settings.addresses))


def _homes(instances: Iterable[VrrpSettings]) -> dict[tuple[Any, ...], str]:
    """Which instance has an address."""
    return {place_of(address): settings.name for settings in instances for address in settings.addresses}


def _removed_instance(settings: VrrpSettings, homes: Mapping[tuple[Any, ...], str]) -> Change:
    staying = [address for address in settings.addresses if place_of(address) in homes]
    gone = [address for address in settings.addresses if place_of(address) not in homes]
    subject = _instance(settings.name)
    if staying and not gone:
        heirs = ", ".join(dict.fromkeys(homes[place_of(address)] for address in staying))
        return Change(subject, Impact.BRIEF, f"ends; its addresses go to {heirs}", _addresses(staying))
    return Change(subject, Impact.DISRUPTIVE, "ends, and its addresses with it", _addresses(gone))


def _another_router(old: VrrpSettings, new: VrrpSettings) -> Change:
    """Under the same name."""
    parts: dict[str, tuple[Any, ...]] = {
        "virtual_router_id": (old.virtual_router_id, new.virtual_router_id),
        "interface": (old.interface, new.interface),
        "family": (old.family.value, new.family.value),
        "unicast_peer": tuple("unicast" if each.unicast_peers else "multicast" for each in (old, new)),
        "multicast group": (_host(old.multicast_group), _host(new.multicast_group)),
    }  # fmt: skip
    said = ", ".join(f"{what} {one} -> {two}" for what, (one, two) in parts.items() if one != two) or "other peers"
    text = f"ends and starts as another virtual router ({said}); until it is MASTER nobody here has its addresses"
    peers = "they are another virtual router until they are changed too"
    addresses = _addresses((*old.addresses, *new.addresses))
    return Change(_instance(new.name), Impact.DISRUPTIVE, text, addresses, peers)


def _instance(name: str) -> str:
    return f"vrrp_instance {name}"


def _addresses(addresses: Iterable[VirtualAddress]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{ip_address(a.address)}/{a.prefix_length}" for a in addresses))


def _host(packed: bytes) -> str:
    return str(ip_address(packed)) if packed else "none"


def _sync_groups(old: Side, new: Side) -> Iterator[Change]:
    before = {group.name: group for group in old.sync_groups}
    after = {group.name: group for group in new.sync_groups}
    names = pair(old.vrrp, new.vrrp)
    for name, group in before.items():
        if name not in after:
            text = f"ends; {', '.join(group.members)} go their own ways"
            yield Change(f"vrrp_sync_group {name}", Impact.HITLESS, text)
    for name, group in after.items():
        members = ", ".join(group.members)
        known = before.get(name)
        if known is None:
            text = f"{members} are MASTER together or not at all"
            yield Change(f"vrrp_sync_group {name}", Impact.BRIEF, text)
        elif known.members != group.members:
            # one that starts follows its group; one that runs is what it is, and may take the group along
            joins = any(each in names and names[each] not in known.members for each in group.members)
            text = f"members {', '.join(known.members)} -> {members}"
            yield Change(f"vrrp_sync_group {name}", Impact.BRIEF if joins else Impact.HITLESS, text)


# -- trackers ----------------------------------------------------------------------------------------------------------


def _tracking(old: Side, new: Side) -> Iterator[Change]:
    kinds: tuple[tuple[str, Callable[[TrackingSettings], Sequence[Any]]], ...] = (
        ("vrrp_script", lambda it: it.scripts),
        ("track_file", lambda it: it.files),
        ("vrrp_track_process", lambda it: it.processes),
    )
    for keyword, items in kinds:
        before = {item.name: item for item in items(old.tracking)}
        for item in items(new.tracking):
            known = before.get(item.name)
            if known is not None and known != item:
                text = f"other settings ({_names_of(known, item)}); what it says counts as before until it speaks again"
                yield Change(f"{keyword} {item.name}", Impact.HITLESS, text)
    for name, before_name in pair(old.vrrp, new.vrrp).items():
        one, two = old.tracking.uses.get(before_name, ()), new.tracking.uses.get(name, ())
        if one != two:
            gone, come = _difference(one, two), _difference(two, one)
            said = "; ".join(
                part for part in (f"no longer {gone}" if gone else "", f"tracks {come}" if come else "") if part
            )
            text = f"{said or 'trackers in another order'}: its priority, or a fault, may follow"
            yield Change(_instance(name), Impact.BRIEF, text)


def _difference(these: Sequence[TrackerUse], others: Sequence[TrackerUse]) -> str:
    return ", ".join(
        f"{use.name}{f' weight {use.weight:+d}' if use.weight else ''}" for use in these if use not in others
    )


def _names_of(old: msgspec.Struct, new: msgspec.Struct) -> str:
    """The fields that differ, without their values."""
    fields = (field.name for field in msgspec.structs.fields(type(new)))
    return ", ".join(name for name in fields if getattr(old, name) != getattr(new, name))


# -- static items, and what is one thing for the whole machine ---------------------------------------------------------


def _static(old: StaticItems, new: StaticItems) -> Iterator[Change]:
    kinds: tuple[tuple[str, Sequence[Any], Sequence[Any]], ...] = (
        ("static_ipaddress", old.addresses, new.addresses),
        ("static_routes", old.routes, new.routes),
        ("static_rules", old.rules, new.rules),
    )
    for keyword, one, two in kinds:
        before = {_item_text(each.item): each for each in one}
        after = {_item_text(each.item): each for each in two}
        for text, each in before.items():
            if text not in after:
                yield Change(keyword, Impact.DISRUPTIVE, f"{text} is removed")
            elif after[text] != each:
                yield Change(keyword, Impact.HITLESS, f"{text}: other settings")
        for text in after:
            if text not in before:
                yield Change(keyword, Impact.HITLESS, f"{text} is added")


def _item_text(item: Any) -> str:
    if isinstance(item, VirtualAddress):
        return f"{ip_address(item.address)}/{item.prefix_length} dev {item.interface}"
    return str(item.text)


def _as_a_whole(subject: str, old: msgspec.Struct, new: msgspec.Struct, text: str) -> Iterator[Change]:
    if old != new:
        yield Change(subject, Impact.HITLESS, f"{text} ({_names_of(old, new)})")


def _others(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for subject in dict.fromkeys((*old, *new)):
        before, after = old.get(subject), new.get(subject)
        if before == after:
            continue
        text = "other settings"
        if isinstance(after, msgspec.Struct) and isinstance(before, msgspec.Struct) and type(before) is type(after):
            text += f" ({_names_of(before, after)})"
        yield Change(subject, Impact.HITLESS, text)


# -- BFD ---------------------------------------------------------------------------------------------------------------


def _sessions(old: BfdSettings, new: BfdSettings) -> Iterator[Change]:
    before = {session.name: session for session in old.sessions}
    after = {session.name: session for session in new.sessions}
    for name, session in before.items():
        subject, known = f"bfd_instance {name}", after.get(name)
        neighbor = str(ip_address(session.neighbor))
        if known is None:
            yield Change(subject, Impact.DISRUPTIVE, f"the session with {neighbor} ends", (), "")
        elif known.peer == session.peer and known.identity != session.identity:
            text = (
                f"another way to {neighbor} ({_names_of(session, known)}): another session unless packets go that way "
                "already; what is known of it counts until the new one had its time to come up"
            )
            elsewhere = known.source and known.source != session.source
            peers = "a neighbour that is told our address has to be told the new one" if elsewhere else ""
            yield Change(subject, Impact.DISRUPTIVE, text, (), peers)
        elif known.identity != session.identity:
            text = f"another session: {neighbor} -> {ip_address(known.neighbor)}; it is Down until it is Up again"
            yield Change(subject, Impact.DISRUPTIVE, text)
        elif known != session:
            peers = ""
            if known.authentication != session.authentication:
                peers = "a neighbour that does not have the new authentication drops our packets"
            text = f"negotiated anew, without a flap ({_names_of(session, known)})"
            yield Change(subject, Impact.HITLESS, text, (), peers)
    for name, session in after.items():
        if name not in before:
            yield Change(
                f"bfd_instance {name}", Impact.HITLESS, f"a session with {ip_address(session.neighbor)} begins"
            )

"""vrrp_instance: identity, timers, addresses, authentication: what keepalived refuses or mends, and what RFCs say."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from kactl_agent.config.checks.problem import Sheet, carried
from kactl_agent.config.in_force import OWNER, SECOND, InstanceInForce
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.shapes import or_default, render_decimal


def check(sheet: Sheet) -> None:
    config = sheet.document.config
    instances = [InstanceInForce(config, name) for name in or_default(config.vrrp_instance, {})]
    for instance in instances:
        _identity(sheet, instance)
        _timers(sheet, instance)
        _election(sheet, instance)
        _addresses(sheet, instance)
        _authentication(sheet, instance)
        _auth_hmac(sheet, instance)
        _unicast(sheet, instance)
        _strict_mode(sheet, instance)
    _clashes(sheet, instances)


def _identity(sheet: Sheet, instance: InstanceInForce) -> None:
    said, path = instance.said, instance.path
    if said.virtual_router_id is UNSET:
        sheet.error(
            path,
            "missing-virtual-router-id",
            f"vrrp_instance `{instance.name}` has no virtual_router_id",
            "1..255, the same on all routers",
        )
    if not instance.interface.value and said.vrf is UNSET and said.unicast_src_ip is UNSET:
        line = carried(said, "interface")
        sheet.error(
            path,
            "missing-interface",
            f"vrrp_instance `{instance.name}` has no " + (f"usable interface (`{line}`)" if line else "interface"),
            "or set default_interface in global_defs",
        )
    elif not instance.interface.value:
        _without_interface(sheet, instance)
    elif said.vrf is not UNSET:
        sheet.warning((*path, "vrf"), "vrf", "vrf is for an instance without interface: it is cleared", "leave it out")
    if instance.interface.value == "lo":
        sheet.error(
            instance.interface.path,
            "loopback-interface",
            f"`{instance.name}` cannot use a loopback interface for VRRP",
            "adverts never leave it",
        )
    own = or_default(said.version, 0)
    if own == 2 and instance.family.value == 6:
        sheet.warning(
            (*path, "version"),
            "version-2-ipv6",
            "VRRPv2 has no IPv6: version 3 is used",
            "RFC 3768 is IPv4 only; say version 3",
        )


def _without_interface(sheet: Sheet, instance: InstanceInForce) -> None:
    """Its source address says where it is, and each of its addresses where that goes."""
    said, path = instance.said, instance.path
    if not instance.is_unicast or said.unicast_src_ip is UNSET:
        text = f"`{instance.name}` has no interface, and cannot do without one"
        sheet.error(path, "missing-interface", text, "only with unicast_peer and unicast_src_ip it can")
    for keyword in ("virtual_ipaddress", "virtual_ipaddress_excluded"):
        for index, entry in enumerate(or_default(getattr(said, keyword), ())):
            if entry.dev is UNSET:
                text = f"`{or_default(entry.address, '')}` has no dev, and `{instance.name}` no interface"
                sheet.error((*path, keyword, index), "missing-dev", text, "say dev")


def _timers(sheet: Sheet, instance: InstanceInForce) -> None:
    said = instance.said
    if said.advert_int is not UNSET:
        used = instance.advert_interval.value
        if used != said.advert_int:
            text, taken = render_decimal(said.advert_int, 6), render_decimal(used, 6)
            if instance.version.value == 2:
                why, hint = "VRRPv2 counts whole seconds", "use version 3 for shorter intervals, on all routers"
            elif said.advert_int > used:
                why, hint = "VRRPv3 can say at most 40.95 s", ""
            else:
                why, hint = "VRRPv3 counts in steps of 10 ms", ""
            sheet.warning(
                (*instance.path, "advert_int"), "advert-int", f"advert_int {text} becomes {taken}: {why}", hint
            )
        if instance.version.value == 2 and used > 255 * SECOND:
            sheet.error((*instance.path, "advert_int"), "advert-int", "VRRPv2 can say at most 255 s")
    if instance.down_timer_adverts.value != 3 and instance.down_timer_adverts.path[:1] == ("vrrp_instance",):
        sheet.note(
            (*instance.path, "down_timer_adverts"),
            "down-timer-adverts",
            f"{instance.down_timer_adverts.value} missed adverts instead of 3 is not what RFC 9568 says",
            "all routers of the virtual router should agree",
        )
    expired = said.timer_expired_backup
    if expired is not UNSET and expired is not False and instance.preempt.value:
        sheet.warning(
            (*instance.path, "timer_expired_backup"),
            "needs-nopreempt",
            "timer_expired_backup needs nopreempt: it is reset",
            "set nopreempt",
        )


def _election(sheet: Sheet, instance: InstanceInForce) -> None:
    said, path = instance.said, instance.path
    nopreempt = or_default(said.nopreempt, False)
    master = instance.state.value == "MASTER"
    if nopreempt and instance.priority.value == OWNER:
        sheet.warning(
            (*path, "nopreempt"), "nopreempt-owner", "nopreempt is incompatible with priority 255: it is reset"
        )
    elif nopreempt and master:
        sheet.warning(
            (*path, "nopreempt"),
            "nopreempt-master",
            "nopreempt has no effect with initial state MASTER: it is reset",
            "set state BACKUP",
        )
    if or_default(said.preempt_delay, 0):
        if master:
            sheet.warning(
                (*path, "preempt_delay"),
                "preempt-delay",
                "preempt_delay has no effect with initial state MASTER: it is cleared",
            )
        elif nopreempt:
            sheet.warning(
                (*path, "preempt_delay"), "preempt-delay", "preempt_delay is incompatible with nopreempt: it is reset"
            )
    if or_default(said.owner_ignore_adverts, True) is False and instance.priority.value == OWNER:
        sheet.warning(
            (*path, "owner_ignore_adverts"),
            "owner-ignore-adverts",
            "keepalived forces owner_ignore_adverts on for priority 255; kactl takes it as written",
            "leave it out for the default",
        )


def _addresses(sheet: Sheet, instance: InstanceInForce) -> None:
    said, path = instance.said, instance.path
    addresses = or_default(said.virtual_ipaddress, ())
    seen: set[tuple[str, str]] = set()
    for keyword, entries in (
        ("virtual_ipaddress", addresses),
        ("virtual_ipaddress_excluded", or_default(said.virtual_ipaddress_excluded, ())),
    ):
        for index, entry in enumerate(entries):
            place = (*path, keyword, index)
            address = or_default(entry.address, "")
            family = family_of(address)
            if keyword == "virtual_ipaddress" and family != instance.family.value:
                sheet.error(
                    place,
                    "address-family",
                    f"`{address}` is IPv{family} in an IPv{instance.family.value} instance",
                    "put it into virtual_ipaddress_excluded, or make an instance of its own for it",
                    ignored=True,
                )
                continue
            key = (address.partition("/")[0], or_default(entry.dev, instance.interface.value))
            if key in seen:
                sheet.warning(place, "duplicate-address", f"`{address}` stands here twice")
            seen.add(key)
            if family == 6 and (entry.scope is not UNSET or entry.label is not UNSET or entry.broadcast is not UNSET):
                sheet.warning(
                    place,
                    "ipv4-only-option",
                    f"scope, label and broadcast mean nothing for `{address}`",
                    "they are IPv4's",
                )
    none_meant = or_default(said.no_virtual_ipaddress, False) and not _strict(instance)
    if not addresses and not none_meant and not carried(said, "virtual_ipaddress"):
        needed = instance.version.value == 3 or _strict(instance)
        need = "at least one is required" if needed else "one would be sensible"
        text = f"`{instance.name}` has no virtual_ipaddress: {need}"
        sheet.warning(path, "no-virtual-ipaddress", text, "say no_virtual_ipaddress when that is meant")
    limit = instance.address_limit
    advertised = sum(family_of(or_default(a.address, "")) == instance.family.value for a in addresses)
    if advertised > limit:
        sheet.warning(
            (*path, "virtual_ipaddress", limit),
            "too-many-addresses",
            f"{advertised} addresses do not fit an advert: from here on they are treated as virtual_ipaddress_excluded",
            f"an IPv{instance.family.value} advert holds {limit} at most",
        )


def _strict(instance: InstanceInForce) -> bool:
    return bool(instance.strict_mode.value)


_STRICT_ON_OFF = {"lower_prio_no_advert": True, "higher_prio_send_advert": False}


def _strict_mode(sheet: Sheet, instance: InstanceInForce) -> None:
    """What strict mode mends, keyword by keyword (-t of 2.2.7); authentication has a rule of its own."""
    if not _strict(instance):
        return
    said, path = instance.said, instance.path
    mended = []
    if or_default(said.preempt_delay, 0):
        mended.append(("preempt_delay", "has no preempt_delay: it is cleared"))
    if or_default(said.down_timer_adverts, 3) != 3:
        mended.append(("down_timer_adverts", "has three missing adverts: down_timer_adverts is 3"))
    if or_default(said.garp_lower_prio_repeat, 0):
        mended.append(("garp_lower_prio_repeat", "answers no lower priority with gratuitous ARPs: it is 0"))
    for keyword, value in _STRICT_ON_OFF.items():
        if or_default(getattr(said, keyword), value) is not value:
            mended.append((keyword, f"needs {keyword} {'on' if value else 'off'}: it is switched"))
    if said.state is not UNSET and said.state != instance.state.value:
        mended.append(
            ("state", f"wants state MASTER with priority 255, and BACKUP otherwise: it is {instance.state.value}")
        )
    if said.vmac_xmit_base is not UNSET:
        mended.append(("vmac_xmit_base", "sends from the virtual MAC address: vmac_xmit_base is cleared"))
    for keyword, text in mended:
        sheet.warning((*path, keyword), "strict-mode", f"strict mode {text}", "leave it out, or leave strict mode")
    if instance.is_unicast:
        sheet.warning(
            (*path, "unicast_peer"),
            "strict-unicast",
            "VRRP is multicast: strict mode has no unicast where the interface can do multicast",
            "keepalived refuses it since 2.4.0; the agent sends unicast as it is told",
        )


def _authentication(sheet: Sheet, instance: InstanceInForce) -> None:
    auth = instance.said.authentication
    if auth is UNSET:
        return
    place = (*instance.path, "authentication")
    if instance.version.value == 3:
        sheet.warning(
            place,
            "authentication-v3",
            "VRRPv3 has no authentication: this block is ignored",
            "use auth_hmac, or version 2 on all routers",
        )
    elif _strict(instance):
        sheet.warning(
            place,
            "authentication-strict",
            "strict mode has no authentication: this block is ignored",
            "RFC 3768 removed it",
        )
    elif instance.said.auth_hmac is not UNSET:
        sheet.warning(place, "authentication-superseded", "auth_hmac supersedes authentication: this block is ignored")
    elif instance.authentication_header and instance.priority.value != OWNER and instance.said.state == "MASTER":
        sheet.warning(
            (*instance.path, "state"),
            "authentication-header-master",
            "state MASTER is incompatible with auth_type AH: it is BACKUP",
            "the sequence number has to be learnt first",
        )
    elif auth.auth_pass is UNSET and auth.auth_type is not UNSET:
        text = f"auth_type {auth.auth_type} without an auth_pass: this block is ignored, adverts are not authenticated"
        sheet.warning(place, "authentication-no-password", text, "set auth_pass, or leave the block out")
    elif auth.auth_type is UNSET and auth.auth_pass is not UNSET:
        text = "an auth_pass without an auth_type is not used: adverts are not authenticated"
        sheet.warning(place, "authentication-no-type", text, "set auth_type, to PASS or AH")


def _auth_hmac(sheet: Sheet, instance: InstanceInForce) -> None:
    said, path = instance.said.auth_hmac, (*instance.path, "auth_hmac")
    if said is UNSET:
        return
    seen: set[int] = set()
    for index, entry in enumerate(or_default(said.key, ())):
        number = or_default(entry.id, 0)
        if number in seen:
            sheet.error(
                (*path, "key", index), "auth-hmac-duplicate-key", f"auth_hmac has two keys {number}", ignored=True
            )
        seen.add(number)
    active = or_default(said.active_key, 0)
    if active not in seen:
        text = f"active_key {active} of auth_hmac is none of its keys" if active else "auth_hmac has no active_key"
        hint = "keepalived would run the instance without authentication"
        place = (*path, "active_key") if active else path
        sheet.error(place, "auth-hmac-active-key", text, hint, ignored=True)
    if _strict(instance) and or_default(said.mode, "enforce") != "enforce":
        text = f"strict mode has no auth_hmac mode {said.mode}: it is enforce"
        sheet.warning((*path, "mode"), "auth-hmac-strict", text, "adverts that are not signed are dropped")


def _unicast(sheet: Sheet, instance: InstanceInForce) -> None:
    said, path = instance.said, instance.path
    peers = or_default(said.unicast_peer, ())
    for index, peer in enumerate(peers):
        if family_of(or_default(peer.address, "")) != instance.family.value:
            sheet.error(
                (*path, "unicast_peer", index),
                "address-family",
                f"peer `{peer.address}` is not IPv{instance.family.value} as the instance is",
                ignored=True,
            )
    unicast_words = [k for k in ("unicast_peer", "unicast_ttl", "check_unicast_src") if getattr(said, k) is not UNSET]
    if unicast_words and not peers and not or_default(said.unicast_fault_no_peer, False):
        sheet.warning(
            (*path, unicast_words[0]),
            "unicast-without-peers",
            f"`{instance.name}` has unicast keywords but no peer: it sends to the multicast group",
            "list the peers, or set unicast_fault_no_peer",
        )
    for keyword in ("unicast_src_ip", "mcast_src_ip"):
        address = getattr(said, keyword)
        if address is not UNSET and family_of(address) != instance.family.value:
            sheet.error(
                (*path, keyword), "address-family", f"`{address}` is not IPv{instance.family.value} as the instance is"
            )


def _clashes(sheet: Sheet, instances: list[InstanceInForce]) -> None:
    """One virtual router is VRID, family and interface; unicast with disjoint peers and other groups stand apart."""
    alike: dict[tuple[object, ...], list[InstanceInForce]] = {}
    for one in instances:
        if one.said.virtual_router_id is UNSET:
            continue
        key = (one.said.virtual_router_id, one.family.value, one.interface.value, one.is_unicast)
        others = alike.setdefault(key, [])
        for other in others:
            if _meet(one, other):
                first = sheet.document.place((*other.path, "virtual_router_id"))
                sheet.error(
                    (*one.path, "virtual_router_id"),
                    "virtual-router-id-clash",
                    f"`{one.name}` and `{other.name}` both are IPv{one.family.value} virtual router "
                    f"{one.said.virtual_router_id} on {one.interface.value}",
                    f"`{other.name}` stands at {first.file}:{first.line}",
                )
                break
        others.append(one)


def _meet(one: InstanceInForce, other: InstanceInForce) -> bool:
    """Whether two instances of one virtual router, both unicast or both multicast, can hear each other."""
    if one.is_unicast:
        return bool(set(_peers(one)) & set(_peers(other)))
    return or_default(one.said.mcast_dst_ip, "") == or_default(other.said.mcast_dst_ip, "")


def _peers(instance: InstanceInForce) -> Iterator[str]:
    return (or_default(peer.address, "") for peer in or_default(instance.said.unicast_peer, ()))

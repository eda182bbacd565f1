"""What the user said -> what the engines take: defaulted, in integers, with where each value came from.

A document without errors resolves to `Settings`. What this version of the agent does not act on is said, keyword by
keyword: nothing is taken silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from kactl_agent.bfd.settings import BfdSettings
from kactl_agent.config.addresses import resolve_address
from kactl_agent.config.bfd import resolve_bfd
from kactl_agent.config.checkers import CheckerResolver
from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.diagnostics import Diagnostic
from kactl_agent.config.document import Document
from kactl_agent.config.firewall import accepts, resolve_firewall
from kactl_agent.config.in_force import OWNER, InstanceInForce, Sourced, packed
from kactl_agent.config.in_force import SECOND as US_SECOND
from kactl_agent.config.load_balancing import LoadBalancing, resolve_load_balancing
from kactl_agent.config.network import receive_buffer, resolve_network
from kactl_agent.config.notify import NotifyWishes, resolve_notify
from kactl_agent.config.process import resolve_process
from kactl_agent.config.reloading import resolve_reload
from kactl_agent.config.routing import RoutingResolver
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.config.schema.vrrp import GarpExtraIf
from kactl_agent.config.served import say_what_is_not_served
from kactl_agent.config.static_items import resolve_static_items
from kactl_agent.config.trackers import ScriptPolicy, resolve_script_policy, resolve_trackers
from kactl_agent.config.virtual_interfaces import InstanceInterfaces, InterfaceNames
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.reload_settings import ReloadSettings
from kactl_agent.tracking.settings import TrackingSettings
from kactl_agent.vrrp.firewall import FirewallSettings
from kactl_agent.vrrp.network_settings import NetworkSettings
from kactl_agent.vrrp.settings import (
    MICROSECOND,
    ChecksumForm,
    Family,
    ForeignRemoval,
    GratuitousSettings,
    HmacKey,
    HmacMode,
    HmacSettings,
    OldUnicastChecksum,
    SyncGroupSettings,
    VirtualAddress,
    VrrpSettings,
)
from kactl_agent.vrrp.static_items import StaticItems
from kactl_agent.vrrp.sync_group import joined
from kactl_agent.vrrp.virtual_interface import InterfaceKind

_OLD_CHECKSUM = {
    False: OldUnicastChecksum.AUTO,
    True: OldUnicastChecksum.ALWAYS,
    "never": OldUnicastChecksum.NEVER,
}
_GROUPS = {4: packed("224.0.0.18"), 6: packed("ff02::12")}


class Settings(msgspec.Struct, frozen=True):
    """Everything the workers take, in one immutable value."""

    vrrp: tuple[VrrpSettings, ...] = ()
    firewall: FirewallSettings = FirewallSettings()
    router_id: str = ""
    sync_groups: tuple[SyncGroupSettings, ...] = ()
    static: StaticItems = StaticItems()
    network: NetworkSettings = NetworkSettings()
    tracking: TrackingSettings = TrackingSettings()
    script_policy: ScriptPolicy = ScriptPolicy()
    process: ProcessSettings = ProcessSettings()
    bfd: BfdSettings = BfdSettings()
    reload: ReloadSettings = ReloadSettings()
    notify: NotifyWishes = NotifyWishes()
    balancing: LoadBalancing = LoadBalancing()


class Resolution(msgspec.Struct, frozen=True):
    """Settings, where the values in force for each instance came from, and what there is to say about it."""

    settings: Settings
    sources: dict[str, dict[str, str]]  # instance -> keyword -> `vrrp_instance VI_1`, `global_defs` or `default`
    diagnostics: list[Diagnostic]


def resolve(document: Document) -> Resolution:
    """Settings of a document that `check` found no error in; errors of its own are in `diagnostics`."""
    sheet = Sheet(document)
    say_what_is_not_served(sheet)
    instances = []
    sources: dict[str, dict[str, str]] = {}
    routing = RoutingResolver(sheet)
    static = resolve_static_items(sheet, routing)
    sync_groups = tuple(_sync_groups(document))
    in_force = {name: InstanceInForce(document.config, name) for name in or_default(document.config.vrrp_instance, {})}
    names = InterfaceNames(sheet)
    for name, instance in in_force.items():
        interfaces = InstanceInterfaces(instance, sheet, names, routing)
        resolver = _InstanceResolver(instance, sheet, routing, interfaces)
        instances.append(resolver.settings())
        sources[name] = resolver.sources
    global_defs = document.config.global_defs
    router_id = "" if global_defs is UNSET else or_default(global_defs.router_id, "")
    settings = Settings(
        vrrp=joined(instances, sync_groups),
        firewall=resolve_firewall(document.config, instances),
        router_id=router_id,
        sync_groups=sync_groups,
        static=static,
        network=resolve_network(document.config, in_force),
        tracking=resolve_trackers(sheet),
        script_policy=resolve_script_policy(document.config),
        process=resolve_process(sheet),
        bfd=resolve_bfd(sheet),
        reload=resolve_reload(document.config),
        notify=resolve_notify(sheet, sources),
        balancing=resolve_load_balancing(sheet, CheckerResolver(sheet)),
    )
    return Resolution(settings, sources, [p.diagnostic for p in sheet.problems])


def _sync_groups(document: Document) -> Iterator[SyncGroupSettings]:
    """Groups with their members, in the order they are named; a group without any is left out, as a rule has said."""
    for name, group in or_default(document.config.vrrp_sync_group, {}).items():
        members = tuple(or_default(group.group, ()))
        if members:
            yield SyncGroupSettings(name=name, members=members)


class _InstanceResolver:
    def __init__(
        self, instance: InstanceInForce, sheet: Sheet, routing: RoutingResolver, interfaces: InstanceInterfaces
    ) -> None:
        self.routing = routing
        self.interfaces = interfaces
        self.instance = instance
        self.sheet = sheet
        self.sources: dict[str, str] = {}

    def settings(self) -> VrrpSettings:
        it = self.instance
        family = it.family.value
        group = self._take("mcast_dst_ip", it.pick("mcast_dst_ip", f"vrrp_mcast_group{family}", ""))
        source = self._source_address()
        password, header = self._password()
        buffer, buffer_mtus = receive_buffer(it)
        addresses = tuple(self._addresses())  # some need interfaces of their own
        own_interface = self.interfaces.own
        checksum = self._take("v3_checksum_as_v2", it.pick("v3_checksum_as_v2", "v3_checksum_as_v2", False))
        return VrrpSettings(
            name=it.name,
            interface=self._take("interface", it.interface),
            virtual_router_id=self._take("virtual_router_id", it.pick("virtual_router_id", "", 0)),
            version=self._take("version", it.version),
            family=Family.IPV6 if family == 6 else Family.IPV4,
            priority=self._take("priority", it.priority),
            advert_interval=self._take("advert_int", it.advert_interval) * MICROSECOND,
            down_timer_adverts=self._take("down_timer_adverts", it.down_timer_adverts),
            preempt=self._take("preempt", it.preempt),
            preempt_delay=self._take("preempt_delay", it.preempt_delay) * MICROSECOND,
            start_as_master=self._take("state", it.state) == "MASTER",
            vrf="" if it.interface.value else self._take("vrf", it.pick("vrf", "", "")),
            receive_buffer=buffer,
            receive_buffer_mtus=buffer_mtus,
            notify_priority_changes=self._notifies_priority_changes(),
            track_primary=not self._take("dont_track_primary", it.pick("dont_track_primary", "", False)),
            addresses=addresses,
            virtual_interfaces=self.interfaces.all,
            own_interface="" if own_interface is None else own_interface.name,
            transmit_on_parent=self.interfaces.transmit_on_parent,
            foreign_removal=ForeignRemoval(
                self._take("on_foreign_removal", it.pick("on_foreign_removal", "vrrp_on_foreign_removal", "resign"))
            ),
            promote_secondaries=self._take("promote_secondaries", it.pick("promote_secondaries", "", False)),
            routes=tuple(self.routing.routes(or_default(it.said.virtual_routes, ()), (*it.path, "virtual_routes"))),
            rules=tuple(self.routing.rules(or_default(it.said.virtual_rules, ()), (*it.path, "virtual_rules"))),
            source_address=source,
            multicast_group=packed(group) if group else _GROUPS[family],
            **self._unicast(),
            ttl=self._take("unicast_ttl", it.pick("unicast_ttl", "", 255)) if it.is_unicast else 255,
            checksum_form=ChecksumForm.MESSAGE_ONLY if checksum else ChecksumForm.PSEUDO_HEADER,
            gratuitous=self._gratuitous(addresses),
            lower_prio_no_advert=self._flag("lower_prio_no_advert", strict=True),
            higher_prio_send_advert=self._flag("higher_prio_send_advert", strict=False),
            owner_ignore_adverts=self._owner_ignores_adverts(),
            rfc_discards=self._flag("rfc_discards"),
            accept_either_checksum=self._take(
                "accept_either_checksum", it.pick("accept_either_checksum", "vrrp_accept_either_checksum", True)
            ),
            skip_check_adv_addr=self._flag("skip_check_adv_addr"),
            startup_delay=self._take("startup_delay", it.global_value("vrrp_startup_delay", 0)) * MICROSECOND,
            delay_after_boot=self._take("delay_after_boot", it.global_value("vrrp_delay_after_boot", 0)) * MICROSECOND,
            timer_expired_priority=self._take("timer_expired_backup", it.timer_expired_priority),
            track_source=self._take("track_src_ip", it.pick("track_src_ip", "", False)),
            auth_password=password,
            authentication_header=header,
            auth_hmac=self._auth_hmac(),
            strict_mode=bool(it.strict_mode.value),
        )

    def _take(self, keyword: str, sourced: Sourced[Any]) -> Any:
        self.sources[keyword] = sourced.source
        return sourced.value

    def _flag(self, keyword: str, *, strict: bool | None = None) -> bool:
        """`strict` is what strict mode makes of it, whatever is said."""
        it = self.instance
        if strict is not None and it.strict_mode.value:
            return bool(self._take(keyword, Sourced(strict, it.strict_mode.path)))
        return bool(self._take(keyword, it.pick(keyword, f"vrrp_{keyword}", False)))

    def _notifies_priority_changes(self) -> bool:
        """As it says itself or the default says, and if its sync group says so."""
        keyword = "notify_priority_changes"
        said = self._flag(keyword)
        for name, group in or_default(self.instance.config.vrrp_sync_group, {}).items():
            if self.instance.name in or_default(group.group, ()) and or_default(group.notify_priority_changes, False):
                return bool(self._take(keyword, Sourced(True, ("vrrp_sync_group", name, keyword))))
        return said

    def _owner_ignores_adverts(self) -> bool:
        """In strict mode an owner does, unless it is told not to."""
        it = self.instance
        strict_owner = bool(it.strict_mode.value) and it.priority.value == OWNER
        return bool(
            self._take(
                "owner_ignore_adverts", it.pick("owner_ignore_adverts", "vrrp_owner_ignore_adverts", strict_owner)
            )
        )

    def _source_address(self) -> bytes:
        keyword = "unicast_src_ip" if self.instance.is_unicast else "mcast_src_ip"
        address = self._take(keyword, self.instance.pick(keyword, "", ""))
        return packed(address) if address else b""

    def _unicast(self) -> dict[str, Any]:
        """Peers and what is checked of them: a limit for one TTL makes every source be checked."""
        it = self.instance
        family = it.family.value
        said = [p for p in or_default(it.said.unicast_peer, ()) if family_of(or_default(p.address, "")) == family]
        limited = any(peer.min_ttl is not UNSET or peer.max_ttl is not UNSET for peer in said)
        limits = tuple((or_default(peer.min_ttl, 0), or_default(peer.max_ttl, 255)) for peer in said)
        old = self._take("old_unicast_checksum", it.pick("old_unicast_checksum", "", False))
        return {
            "unicast_peers": tuple(packed(or_default(peer.address, "")) for peer in said),
            "unicast_ttl_limits": limits if limited else (),
            "check_unicast_source": self._flag("check_unicast_src") or limited,
            "unicast_fault_no_peer": self._take("unicast_fault_no_peer", it.pick("unicast_fault_no_peer", "", False)),
            "old_unicast_checksum": _OLD_CHECKSUM[old],
        }

    def _extra(self, addresses: tuple[VirtualAddress, ...]) -> dict[str, Any]:
        """garp_extra_if: where addresses are, but no adverts go; without `all` macvlans alone."""
        said = self._take("garp_extra_if", self.instance.pick("garp_extra_if", "vrrp_garp_extra_if", None))
        if said is None or not or_default(said.interval, 0):
            return {}
        own, interfaces = self.interfaces.own, self.interfaces
        sends = own.name if own is not None and not interfaces.transmit_on_parent else self.instance.interface.value
        virtual = {each.name for each in interfaces.all if each.kind is InterfaceKind.MACVLAN}
        used = dict.fromkeys(address.interface for address in addresses)
        everywhere = or_default(said.all if isinstance(said, GarpExtraIf) else said.all_, False)
        return {
            "extra_interval": said.interval * MICROSECOND,
            "extra_interfaces": tuple(name for name in used if name != sends and (everywhere or name in virtual)),
        }

    def _gratuitous(self, addresses: tuple[VirtualAddress, ...]) -> GratuitousSettings:
        """garp_*: vrrp_min_garp means one copy, no second burst and no refresh where nothing is said explicitly."""
        it = self.instance
        least = bool(it.global_value("vrrp_min_garp", False).value)

        def value(keyword: str, default: int) -> int:
            return int(self._take(keyword, it.pick(keyword, f"vrrp_{keyword}", default)))

        repeat = value("garp_master_repeat", 1 if least else 5)
        delay = value("garp_master_delay", 0 if least else 5_000_000)
        return GratuitousSettings(
            repeat=max(1, repeat),
            delay=delay * MICROSECOND,
            refresh=value("garp_master_refresh", 0) * MICROSECOND,
            refresh_repeat=max(1, value("garp_master_refresh_repeat", 1)),
            lower_priority_repeat=0 if it.strict_mode.value else value("garp_lower_prio_repeat", repeat),
            lower_priority_delay=value("garp_lower_prio_delay", delay) * MICROSECOND,
            **self._extra(addresses),
        )

    def _addresses(self) -> Iterator[VirtualAddress]:
        it = self.instance
        family = it.family.value
        limit = it.address_limit
        advertised = 0
        for place, entry in enumerate(or_default(it.said.virtual_ipaddress, ())):
            if family_of(or_default(entry.address, "")) == family:
                advertised += 1
                path: Path = (*it.path, "virtual_ipaddress", place)
                yield self._address(entry, path, advertised=advertised <= limit)
        for place, entry in enumerate(or_default(it.said.virtual_ipaddress_excluded, ())):
            path = (*it.path, "virtual_ipaddress_excluded", place)
            yield self._address(entry, path, advertised=False)

    def _address(self, entry: Any, path: Path, *, advertised: bool) -> VirtualAddress:
        interface = self.interfaces.place(entry)
        address = resolve_address(entry, path, interface, self.routing, advertised=advertised, fixed=True)
        accepted = self._take("accept", accepts(self.instance))
        return address if accepted else msgspec.structs.replace(address, accepted=False)

    def _password(self) -> tuple[bytes, bool]:
        """VRRPv2's password, and whether it is the key of an authentication header. What drops it, a rule has said."""
        it = self.instance
        auth = it.authentication.value
        password = "" if auth is None else or_default(auth.auth_pass, "")
        if auth is None or not isinstance(password, str):
            return b"", False
        self.sources["authentication"] = it.authentication.source
        return password.encode()[:8], it.authentication_header

    def _auth_hmac(self) -> HmacSettings | None:
        """Whatever is wrong with it is an error: an instance never runs silently unauthenticated."""
        it = self.instance
        said = it.said.auth_hmac
        if said is UNSET:
            return None
        path: Path = (*it.path, "auth_hmac")
        entries = [e for e in or_default(said.key, ()) if e.id is not UNSET and isinstance(e.key, str)]
        keys = tuple(HmacKey(or_default(e.id, 0), hmac_key(str(e.key))) for e in entries)
        active = or_default(said.active_key, 0)
        if active not in {key.id for key in keys}:
            self.sheet.error(path, "auth-hmac-active-key", f"active_key {active} of auth_hmac is none of its keys")
            return None
        default = min(max(3 * (it.advert_interval.value // US_SECOND), 5), 300) * US_SECOND
        mode = HmacMode.ENFORCE if it.strict_mode.value else HmacMode(or_default(said.mode, "enforce"))
        self.sources["auth_hmac"] = Sourced(said, path).source
        return HmacSettings(
            keys=keys,
            active_key=active,
            time_window=or_default(said.time_window, default) // US_SECOND,
            monotonic=or_default(said.anti_replay, "time") == "monotonic",
            mode=mode,
        )


def hmac_key(text: str) -> bytes:
    """The bytes of a key: `hex:` and its digits, or the text itself."""
    return bytes.fromhex(text.removeprefix("hex:")) if text.startswith("hex:") else text.encode()

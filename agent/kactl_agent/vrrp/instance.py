"""One VRRP instance: what comes in, as events of its state machine, and what can be seen from outside.

Pure: packets, events and `now` (ns of any steady clock) go in, actions and one deadline come out. It never reads a
clock and never fails on what a peer sends.
"""

from __future__ import annotations

from kactl_agent.vrrp.actions import (
    Action,
    ActionFailed,
    AddAddresses,
    AddressLost,
    AddRoutes,
    AddRules,
    ClockOffset,
    Drain,
    Input,
    InterfaceState,
    PacketMeta,
    PriorityContribution,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
    ReplaceRoutes,
    ReplaceRules,
    Report,
    RouteLost,
    RuleLost,
    Shutdown,
    Stalled,
    Startup,
    State,
    SyncAnnounce,
    SyncTo,
    TrackerFault,
    TrackerPending,
    Undrain,
)
from kactl_agent.vrrp.faults import OWN_FAULTS, own_faults
from kactl_agent.vrrp.fsm import Event
from kactl_agent.vrrp.machine import Occasion
from kactl_agent.vrrp.packet import Reason, RemoteProtocolError, text_of
from kactl_agent.vrrp.pairing import address_changes, identity, place_of
from kactl_agent.vrrp.priority import effective_priority
from kactl_agent.vrrp.reception import REMARKS, Reception
from kactl_agent.vrrp.restraint import Restraint
from kactl_agent.vrrp.routing import same_route, same_rule
from kactl_agent.vrrp.settings import ForeignRemoval, OldUnicastChecksum, VrrpSettings
from kactl_agent.vrrp.snapshot import InstanceSnapshot
from kactl_agent.vrrp.timers import earliest

PRIORITY_CHANGED = "priority_changed"
"""The code of the report that says so."""


def _fault_text(event: TrackerFault) -> str:
    return f"{event.name}: {event.detail}" if event.detail else f"{event.name} has failed"


def _replacements(old: VrrpSettings, new: VrrpSettings) -> list[Action]:
    actions: list[Action] = []
    if new.routes != old.routes:
        actions.append(ReplaceRoutes(old.routes, new.routes))
    if new.rules != old.rules:
        actions.append(ReplaceRules(old.rules, new.rules))
    return actions


class VrrpInstance(Restraint):
    """The engine of one vrrp_instance. Times are ns of the caller's clock, which must not go backwards."""

    def __init__(self, settings: VrrpSettings) -> None:
        super().__init__(settings)
        self._configure_reception(settings)
        self._statistics |= dict.fromkeys(REMARKS, 0)
        self._faults = self._own_faults()
        self._pending: dict[str, None] = {}  # trackers that Startup waits for
        self._startup_waits = False

    def _configure_reception(self, settings: VrrpSettings) -> None:
        self._reception = Reception(settings, self._header, self._authenticator)
        self._checksum_decided = settings.old_unicast_checksum is not OldUnicastChecksum.AUTO

    # -- what the driver calls -----------------------------------------------------------------------------------------

    @property
    def settings(self) -> VrrpSettings:
        return self._settings

    @property
    def state(self) -> State:
        return self._state

    @property
    def wants_master(self) -> bool:
        """In BACKUP, and only its sync group keeps it there."""
        return self._wish is not None

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the reasons for FAULT."""
        return tuple(self._faults)

    def receive(self, data: bytes, meta: PacketMeta, now: int) -> list[Action]:
        """A VRRP message (the IP payload) came in (RFC 9568 7.1, 6.4)."""
        return self._notice_silence(now) + self._receive(data, meta, now)

    def _receive(self, data: bytes, meta: PacketMeta, now: int) -> list[Action]:
        statistics = self._statistics
        statistics["adverts_received"] += 1
        if self._owner and self._settings.owner_ignore_adverts:
            statistics["ignored_owner"] += 1
            return []
        if now < self._listening_from:
            statistics["ignored_startup_delay"] += 1
            return []
        try:
            advert, remarks, old_checksum = self._reception.check(
                data, meta, self._wall(now), compare_addresses=self._compares_addresses(meta.source)
            )
        except RemoteProtocolError as error:
            statistics[error.reason.value] += 1
            if error.reason is Reason.VIRTUAL_ROUTER_ID:
                return []  # another virtual router of the same LAN, not an error
            self._witness.discarded(meta.source, error.reason.value, now)
            return self._report(error.reason.value, f"advert from {text_of(meta.source)} discarded: {error.detail}")
        if meta.source == self._source:
            statistics["own_address"] += 1
            detail = (
                f"advert from {text_of(meta.source)}, which is our own address: looped back, or an address conflict"
            )
            return self._report("own_address", detail)
        if not self._checksum_decided:  # keepalived: what is heard first decides, until a reload
            self._checksum_decided = True
            if old_checksum:
                self._transmission.use_old_checksum()
        self._witness.heard(meta.source, advert.priority, now)
        actions = self._reclaim_ownership(advert, meta.source, now)
        actions += self._advance(self._classify(advert, meta.source, now), Occasion(now, advert, meta.source))
        for remark in remarks:  # after the transition or the new master that lets them be reported again
            statistics[remark.code] += 1
            actions += self._report(remark.code, remark.detail, remark.level)
        return actions

    def handle_timer(self, now: int) -> list[Action]:
        """`deadline()` has come. Early or superfluous calls do nothing."""
        self._timer_late = max(0, now - (self._down_timer or self._adver_timer or now))  # one of them runs at a time
        actions = self._notice_silence(now)
        if self._down_timer is not None and self._down_timer <= now:
            actions += self._master_down(now)
        if self._adver_timer is not None and self._adver_timer <= now:
            actions += self._advert_is_late(now)
            if self._listening:
                actions += self._listened(now)
            elif self._header is not None and self._header.exhausted:
                detail = "the sequence numbers of the authentication header are used up: they start anew"
                actions += self._advance(Event.SEQUENCE_EXHAUSTED, Occasion(now), "sequence_exhausted", detail)
            else:
                actions += self._advance(Event.ADVER_TIMER, Occasion(now))
        actions += self._gratuitous.due(now)
        self._timer_late = 0
        return actions

    def handle_event(self, event: Input, now: int) -> list[Action]:
        """Anything else that happens. Raises TypeError for an input that is not for a VRRP instance."""
        return self._notice_silence(now) + self._handle_event(event, now)

    def _handle_event(self, event: Input, now: int) -> list[Action]:
        match event:
            case InterfaceState():
                return self._interface_changed(event, now)
            case Startup():
                return self._startup(event, now)
            case Shutdown():
                self._startup_waits = False
                return self._advance(Event.SHUTDOWN, Occasion(now), "shutdown", "orderly stop")
            case ClockOffset():
                self._clock_offset = event.nanoseconds
                return self._reconsider_faults(now)
            case AddressLost():
                return self._address_lost(event, now)
            case RouteLost():
                return self._route_lost(event, now)
            case RuleLost():
                return self._rule_lost(event, now)
            case PriorityContribution():
                return self._contribution_changed(event, now)
            case TrackerFault():
                reason = {event.name: _fault_text(event)} if event.faulted else {}
                others = {name: text for name, text in self._faults.items() if name != event.name}
                return self._faults_changed(others | reason, now)
            case TrackerPending():
                return self._pending_changed(event, now)
            case SyncTo():
                return self._sync(event, now)
            case SyncAnnounce():
                return self._advance(Event.SYNC_ANNOUNCE, Occasion(now))
            case Drain():
                return self._drained_by(event, now)
            case Undrain():
                return self._undrained(now)
            case Stalled():
                return self._stalled(event, now)
            case ActionFailed():
                self._statistics["action_failed"] += 1
                return self._report(
                    f"action_failed_{event.action}", f"{event.action} could not be carried out: {event.reason}", "error"
                )
        raise TypeError(f"{type(event).__name__} is no input of a VRRP instance")

    def reconfigure(self, settings: VrrpSettings, now: int) -> list[Action]:
        """Go on with other settings of the same virtual router, after a reload.

        State, timers, statistics, the master and all sequence numbers stay. A MASTER advertises at once, and adds,
        removes and announces what differs. Trackers that are gone have to be taken back by their own inputs, and the
        time has to be known (ClockOffset) where auth_hmac is new. Raises ValueError for another virtual router's.
        """
        old = self._settings
        if identity(settings) != identity(old):
            raise ValueError(f"{settings.name} is another virtual router than {old.name}")
        actions = self._notice_silence(now)
        gone, added = address_changes(old.addresses, settings.addresses)
        was_master, priority, waited_for = self._state is State.MASTER, self._priority, self._master_timing()
        if was_master and gone:
            actions.append(RemoveAddresses(gone))
        self._adopt(settings, now)
        self._configure_reception(settings)
        if self._interface is not None:
            self._source = settings.source_address or self._interface.primary_address
        actions += self._reconsider_faults(now)
        if self._state is State.BACKUP and self._down_timer is not None:
            if self._master_timing() != waited_for:
                actions += self._advance(Event.RECONFIGURED, Occasion(now))
            elif self._priority != priority:
                actions += self._advance(Event.PRIORITY_CHANGED, Occasion(now, old_priority=priority))
        elif was_master and self._state is State.MASTER:
            if not self._listening:
                actions += self._advance(Event.RECONFIGURED, Occasion(now))
            if added:
                actions += [AddAddresses(added), *self._gratuitous.added(added, now)]
            actions += _replacements(old, settings)
        elif was_master:  # the step that gave up what there was knew the new settings only
            actions += [RemoveRules(old.rules)] if old.rules else []
            actions += [RemoveRoutes(old.routes)] if old.routes else []
        return actions

    def _master_timing(self) -> tuple[int, ...]:
        """What the wait for a master depends on, besides the priority."""
        settings = self._settings
        return settings.version, self._master_adver_interval, settings.down_timer_adverts

    def deadline(self) -> int | None:
        """When `handle_timer` is to be called next; None when no timer runs."""
        return earliest(self._down_timer, self._adver_timer, self._gratuitous.deadline())

    def count(self, counter: str) -> int:
        """Of one of its statistics."""
        return self._statistics[counter]

    def snapshot(self) -> InstanceSnapshot:
        """The state as it is now."""
        settings = self._settings
        return InstanceSnapshot(
            name=settings.name,
            state=self._state,
            since=self._since,
            cause=self._cause,
            detail=self._detail,
            interface=settings.interface,
            virtual_router_id=settings.virtual_router_id,
            family=settings.family,
            version=settings.version,
            configured_priority=settings.priority,
            effective_priority=self._priority,
            contributions=tuple(self._contributions.items()),
            master=self._source if self._state is State.MASTER else self._master,
            master_priority=self._priority if self._state is State.MASTER else self._master_priority,
            source_address=self._source,
            advert_interval=settings.advert_interval,
            master_adver_interval=self._master_adver_interval,
            addresses=settings.addresses,
            faults=tuple(self._faults),
            waiting_for=tuple(self._pending),
            statistics=dict(self._statistics),
            wants_master=self.wants_master,
            drained=self._drain.reason if self._drain is not None else None,
            handing_over=self._handing_over,
            listening=self._listening,
        )

    # -- inputs to events of the state machine -------------------------------------------------------------------------

    def _compares_addresses(self, source: bytes) -> bool:
        """skip_check_adv_addr: a backup need not compare what the master that it has accepted advertises."""
        return not self._settings.skip_check_adv_addr or self._state is not State.BACKUP or source != self._master

    @property
    def _goes_first(self) -> bool:
        """The owner of the addresses asks nobody, unless it is drained."""
        return self._owner and self._drain is None

    def _startup(self, event: Startup, now: int) -> list[Action]:
        if self._state is not State.INIT:
            return self._advance(Event.STARTUP, Occasion(now))
        delay = max(0, self._settings.startup_delay - event.running)
        if event.uptime is not None:
            delay = max(delay, self._settings.delay_after_boot - event.uptime)
        self._listening_from = now + delay if delay else 0
        return self._begin(now)

    def _begin(self, now: int) -> list[Action]:
        """The rest of Startup, once no tracker is in doubt."""
        self._startup_waits = bool(self._pending)
        if self._startup_waits:
            return []
        if self._faults:
            detail = "; ".join(self._faults.values())
            return self._advance(Event.STARTUP_FAULT, Occasion(now), next(iter(self._faults)), detail)
        if self._goes_first and not self._settings.sync_group and now >= self._listening_from:
            detail = "started as the owner of the addresses (priority 255)"
            return self._advance(Event.STARTUP_OWNER, Occasion(now), "startup", detail)
        return self._advance(Event.STARTUP, Occasion(now), "startup", "started")

    def _interface_changed(self, interface: InterfaceState, now: int) -> list[Action]:
        self._interface = interface
        self._source = self._settings.source_address or interface.primary_address
        return self._reconsider_faults(now)

    def _reconsider_faults(self, now: int) -> list[Action]:
        others = {name: text for name, text in self._faults.items() if name not in OWN_FAULTS}
        return self._faults_changed(self._own_faults() | others, now)

    def _own_faults(self) -> dict[str, str]:
        return own_faults(self._settings, self._interface, clock_known=self._clock_offset is not None)

    def _faults_changed(self, faults: dict[str, str], now: int) -> list[Action]:
        before, self._faults = self._faults, faults
        if faults and not before:
            name, detail = next(iter(faults.items()))
            return self._advance(Event.FAULT, Occasion(now), name, detail)
        if before and not faults:
            owner = self._goes_first and now >= self._listening_from
            detail = f"recovered; the last fault was: {'; '.join(before.values())}"
            event = Event.RECOVERY_OWNER if owner and not self._settings.sync_group else Event.RECOVERY
            actions = self._advance(event, Occasion(now), "fault_cleared", detail)
            if owner and self._state is State.BACKUP:  # an owner in a sync group wants MASTER at once
                self._set_down_timer(now, 0, "")
            return actions
        return []

    def _sync(self, event: SyncTo, now: int) -> list[Action]:
        if event.state is State.MASTER:
            if self._drain is not None:
                return []
            cause, reason = self._wish or ("sync_group", "its other members are")
            detail = (
                f"all members of sync group {event.group} want MASTER; this one: {reason}"
                if self._wish
                else (f"sync group {event.group} is MASTER")
            )
            return self._advance(Event.SYNC_MASTER, Occasion(now), cause, detail)
        detail = f"another member of sync group {event.group} has left MASTER"
        leaving = Event.ADDRESS_LOST if event.resign else Event.SYNC_BACKUP
        return self._advance(leaving, Occasion(now), "sync_group", detail)

    def _address_lost(self, event: AddressLost, now: int) -> list[Action]:
        place = place_of(event.address)
        address = next((a for a in self._settings.addresses if place_of(a) == place), None)
        if address is None or not address.tracked:
            return []
        detail = f"{text_of(address.address)} was removed from {address.interface} by something else"
        return self._lost("address_lost", detail, AddAddresses((address,)), now)

    def _route_lost(self, event: RouteLost, now: int) -> list[Action]:
        lost = same_route(event.route)
        route = next((r for r in self._settings.routes if same_route(r) == lost), None)
        if route is None or not route.tracked:
            return []
        detail = f"the route `{route.text}` was removed by something else"
        return self._lost("route_lost", detail, AddRoutes((route,)), now)

    def _rule_lost(self, event: RuleLost, now: int) -> list[Action]:
        lost = same_rule(event.rule)
        rule = next((r for r in self._settings.rules if same_rule(r) == lost), None)
        if rule is None or not rule.tracked:
            return []
        detail = f"the rule `{rule.text}` was removed by something else"
        return self._lost("rule_lost", detail, AddRules((rule,)), now)

    def _lost(self, cause: str, detail: str, remedy: AddAddresses | AddRoutes | AddRules, now: int) -> list[Action]:
        """on_foreign_removal. What cannot be put back stays away until the instance is MASTER anew."""
        removal = self._settings.foreign_removal
        if removal is ForeignRemoval.RESIGN:
            return self._advance(Event.ADDRESS_LOST, Occasion(now), cause, detail)
        if self._state is not State.MASTER:
            return []
        if removal is ForeignRemoval.IGNORE:
            return self._report(cause, f"{detail}: that is ignored, as on_foreign_removal says")
        actions = [*self._report(cause, f"{detail}: it is put back, as on_foreign_removal says"), remedy]
        if isinstance(remedy, AddAddresses):
            actions += self._gratuitous.added(remedy.addresses, now)
        return actions

    def _pending_changed(self, event: TrackerPending, now: int) -> list[Action]:
        if event.pending:
            self._pending[event.name] = None
        else:
            self._pending.pop(event.name, None)
        return self._begin(now) if self._startup_waits and not self._pending else []

    def _contribution_changed(self, event: PriorityContribution, now: int) -> list[Action]:
        if event.weight:
            self._contributions[event.name] = event.weight
        else:
            self._contributions.pop(event.name, None)
        if self._owner:
            return []
        before = self._priority
        self._priority = effective_priority(self._settings.priority, self._contributions.values())
        if self._priority == before:
            return []
        why = f", {event.detail}" if event.detail else ""
        detail = f"effective priority {before} -> {self._priority} ({event.name}: {event.weight:+d}{why})"
        report = Report(PRIORITY_CHANGED, detail)
        return [report, *self._advance(Event.PRIORITY_CHANGED, Occasion(now, old_priority=before))]

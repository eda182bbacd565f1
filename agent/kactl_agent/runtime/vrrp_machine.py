"""The VRRP instances of one machine: sockets, packets to their engine, and what the kernel says about interfaces."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Protocol

from kactl_agent.kernel.addresses import plan
from kactl_agent.kernel.ports import InterfaceAddress, Kernel, VrrpSocket
from kactl_agent.kernel.rtnetlink import IFA_F_DADFAILED, IFA_F_SECONDARY, IFA_F_TENTATIVE, RTPROT_KEEPALIVED
from kactl_agent.runtime.driver import Driver, Engine
from kactl_agent.runtime.link_states import LinkStates
from kactl_agent.runtime.promotion import SecondaryPromotion
from kactl_agent.runtime.slices import batches
from kactl_agent.runtime.virtual_interfaces import VirtualInterfaces, interfaces_of
from kactl_agent.runtime.vrrp_actions import Listener, VrrpActions
from kactl_agent.runtime.vrrp_places import Places, Watcher
from kactl_agent.runtime.vrrp_routing import reclaim as reclaim_routing
from kactl_agent.runtime.vrrp_routing import routing_of, same
from kactl_agent.vrrp.actions import (
    AddressLost,
    ClockOffset,
    Input,
    InterfaceState,
    PacketMeta,
    Report,
    RouteLost,
    RuleLost,
    Shutdown,
    Stalled,
    Startup,
    State,
)
from kactl_agent.vrrp.network_settings import PaceSettings
from kactl_agent.vrrp.pairing import place_of, same_on_the_machine
from kactl_agent.vrrp.routing import VirtualRoute
from kactl_agent.vrrp.settings import Family, SyncGroupSettings, VirtualAddress, VrrpSettings
from kactl_agent.vrrp.sync_group import Member, SyncGroup
from kactl_agent.vrrp.virtual_interface import VirtualInterface

_CLOCK_TOLERANCE = 5_000_000  # ns the wall clock may drift before instances are told
_LATE = 10_000_000  # ns a timer may be late before what has come in meanwhile is read first
_NOT_THERE = InterfaceState(up=False, exists=False, primary_address=b"", hardware_address=b"", mtu=0)


PRIORITY_ZERO_RECEIVED = "priority_zero_received"
"""The counter of an engine, and the code of what is reported of it."""


class VrrpEngine(Member, Engine, Protocol):
    """`kactl_agent.vrrp.instance.VrrpInstance`, or a recorder around one."""

    def count(self, counter: str) -> int: ...


class VrrpMachine:
    """Adds and removes instances and keeps them in touch with the machine through the ports of `kernel`."""

    def __init__(
        self,
        kernel: Kernel,
        watcher: Watcher,
        listener: Listener,
        clock: Callable[[], int],
        arm: Callable[[int | None], None],
        changed: Callable[[str, int], None],
        uptime: Callable[[], int],
        link_states: LinkStates | None = None,
        arm_announcements: Callable[[int | None], None] = lambda _deadline: None,
    ) -> None:
        """`uptime` tells the ns since the machine was booted; the other callables are the driver's.
        Without `link_states` every change of an interface counts at once."""
        self._kernel = kernel
        self._uptime = uptime
        self._clock = clock
        self._started: int | None = None  # when the first instances were taken in
        self._link_states = link_states or LinkStates(kernel.links, clock)
        self._promotion = SecondaryPromotion(kernel, lambda report: listener.report("", report))
        self._listener = listener
        self.interfaces = VirtualInterfaces(kernel, partial(listener.report, ""))
        self.actions = VrrpActions(kernel, self._socket_of, listener, arm_announcements)
        self.interfaces.follow = self.actions.firewall.follow
        self.driver = Driver(clock, self.actions.perform, arm, changed)
        self._settings: dict[str, VrrpSettings] = {}
        self._places = Places(kernel, watcher, self._receive, partial(listener.report, ""))
        self.before_work: Callable[[], None] = lambda: None  # called before packets are read and timers are served
        self._places.before_reading = lambda: self.before_work()
        self._engines: dict[str, VrrpEngine] = {}
        self._groups: dict[str, SyncGroup] = {}
        self._parted: dict[str, State] = {}  # what groups were that a reload in progress makes anew
        self._interface_states: dict[str, InterfaceState] = {}
        self._virtual: frozenset[bytes] = frozenset()
        self._clock_offset: int | None = None
        self._coming: dict[str, VirtualInterface] = {}  # those that a reload in progress will want

    def _receive(self, name: str, data: bytes, meta: PacketMeta) -> None:
        """keepalived: a master's resignation is worth a line where details are wanted."""
        engine = self._engines[name]
        before = engine.count(PRIORITY_ZERO_RECEIVED)
        self.driver.receive(name, data, meta)
        if engine.count(PRIORITY_ZERO_RECEIVED) != before:
            text = f"an advert of priority 0 came from {ip_address(meta.source)}"
            self._listener.report(name, Report(PRIORITY_ZERO_RECEIVED, text, "detail"))

    # -- instances -----------------------------------------------------------------------------------------------------

    def start(
        self,
        instances: Iterable[tuple[VrrpSettings, VrrpEngine]],
        told_first: Callable[[str], Iterable[Input]] = lambda _name: (),
        groups: Iterable[SyncGroupSettings] = (),
    ) -> None:
        """Take instances in: what an earlier run left behind goes first, then each gets its interface's state,
        what `told_first` has for it, and its Startup. `groups` are all there are to be; those that are new join their
        members, whether they run already or start now."""
        new = list(instances)
        self._started = self._started if self._started is not None else self._clock()
        for settings, _engine in new:
            self._settings[settings.name] = settings
        self._virtual = frozenset(a.address for settings in self._settings.values() for a in settings.addresses)
        self._kernel.links.drain()
        self._want_interfaces()
        held = {address for addresses in self.actions.held.values() for address in addresses}
        leftovers = [a for settings, _engine in new for a in settings.addresses if a not in held]
        held_routing = {*self.actions.routes.wanted(), *self.actions.rules.wanted()}
        routing = [item for item in routing_of(settings for settings, _ in new) if same(item) not in held_routing]
        for failure in (*reclaim_routing(self._kernel, routing), *reclaim(self._kernel, leftovers)):
            self._listener.report("", Report("reclaim_failed", f"what was left behind stays: {failure}", "error"))
        self._kernel.links.drain()
        self._kernel.addresses.prepare(addresses_of(settings for settings, _engine in new), self._kernel.links)
        self._kernel.routing.prepare(routing_of(settings for settings, _engine in new), self._kernel.links)
        for settings, engine in new:
            self._places.add(settings)
            self._engines[settings.name] = engine
            self.driver.add(settings.name, engine)
        joined = self._join(groups)
        self._promotion.settle(self._settings.values())
        self._places.open()
        for settings, _engine in new:
            self._tell_interface_state(settings)
            if settings.auth_hmac is not None and self._clock_offset is not None:
                self.driver.tell(settings.name, ClockOffset(self._clock_offset))
            for told in told_first(settings.name):
                self.driver.tell(settings.name, told)
            self.driver.tell(settings.name, Startup(self._uptime(), self._clock() - self._started))
        for group in joined:
            self.driver.align(group)
        self.settle()

    def stop(self, names: Iterable[str]) -> None:
        """Shut instances down (RFC 9568 6.4.2, 6.4.3) and forget them."""
        ending = list(names)
        for name in ending:  # all of them before any is forgotten: some may be in one sync group
            self.driver.tell(name, Shutdown())
        for name in ending:
            self.driver.remove(name)
            del self._engines[name]
            settings = self._settings.pop(name)
            self._interface_states.pop(name, None)
            self._places.remove(settings)
        self._promotion.settle(self._settings.values())
        self._forget_places()
        self._places.open()
        if self.actions.keep_addresses:
            self.interfaces.leave()
        else:
            self._kernel.links.drain()
            self._want_interfaces()

    def reconfigure(self, changes: Mapping[str, VrrpSettings]) -> None:
        """Instances, by the names they have had so far, go on with other settings of the same virtual router
        (`kactl_agent.vrrp.pairing`)."""
        self.adopt(changes)
        for _slice in self.reconfiguring(list(changes.values()), len(changes) or 1):
            pass

    def adopt(self, changes: Mapping[str, VrrpSettings]) -> None:
        """Instances, by the names they have had so far, have these names and places from now on. `reconfiguring`
        follows."""
        new = list(changes.values())
        old = [self._settings[name] for name in changes]
        for settings in old:
            self._places.remove(settings)
        self._rename({name: settings.name for name, settings in changes.items() if settings.name != name})
        for settings in new:
            self._settings[settings.name] = settings
            self._places.add(settings)
        before = self._virtual
        self._forget_places()
        # addresses that are on their way out are none to send adverts from
        self._virtual |= before
        self._kernel.links.drain()
        self._want_interfaces(old)
        self._kernel.addresses.prepare(addresses_of(new), self._kernel.links)
        self._kernel.routing.prepare(routing_of(new), self._kernel.links)
        self._places.open()

    def reconfiguring(self, adopted: Iterable[VrrpSettings], size: int) -> Iterator[None]:
        """Engines go on with what was adopted, in slices: what is between two of its steps may be anything but another
        change of instances."""
        for batch in batches(adopted, size):
            for settings in batch:
                if settings.auth_hmac is not None and self._clock_offset is not None:
                    self.driver.tell(settings.name, ClockOffset(self._clock_offset))
                self.driver.reconfigure(settings.name, settings)
            self.actions.refresh(batch)
            yield
        self._forget_places()
        self._kernel.links.drain()
        self._want_interfaces()
        yield
        self.settle()

    def spare(self, kept: Mapping[str, VrrpSettings], coming: Iterable[VrrpSettings]) -> None:
        """A reload begins: `kept` are the settings that instances will have, by the names they have now, `coming` those
        of instances that start. Addresses that a MASTER will have and another has now stay where they are meanwhile,
        and so do interfaces that are wanted before and after."""
        holders = {place_of(a): (name, a) for name, held in self.actions.held.items() for a in held}
        spared = []
        for name, settings in kept.items():
            if settings == self._settings[name]:
                continue
            for address in settings.addresses:
                holder, known = holders.get(place_of(address), ("", address))
                if holder not in ("", name) and same_on_the_machine(known, address) and self._is_master(name):
                    spared.append(place_of(address))
        self.actions.spare(spared)
        self._coming = interfaces_of([*kept.values(), *coming])

    def end_sparing(self) -> None:
        """The reload is over."""
        self._coming = {}
        failure = self.actions.end_sparing()
        if failure:
            self._listener.report("", Report("address_kept", f"an address of nobody is still here: {failure}", "error"))
        self._kernel.links.drain()
        self._want_interfaces()

    def _is_master(self, name: str) -> bool:
        return self._engines[name].state is State.MASTER

    def problems(self) -> list[str]:
        """What is not on the machine as the instances want it: to be looked at after a reload."""
        self._kernel.links.drain()
        self._kernel.routing.drain()
        missing = [f"{name}: {ip_address(a.address)}/{a.prefix_length} on {a.interface} is missing"
                   for name, a in self.actions.lost()]  # fmt: skip
        for what, held in (("route", self.actions.routes), ("rule", self.actions.rules)):
            missing += [f"{name}: virtual {what} {item.text} is missing" for name, item in held.missing()]
        return [*missing, *self._places.errors]

    def _want_interfaces(self, also: Iterable[VrrpSettings] = ()) -> None:
        """Those of the instances there are, and of others that have not let go of theirs yet."""
        current = interfaces_of(also) | interfaces_of(self._settings.values())
        had = self.interfaces.wanted
        kept = {name: it for name, it in self._coming.items() if had.get(name) == it}
        self.interfaces.want((kept | current).values(), self._virtual)

    def part(self, groups: Iterable[SyncGroupSettings], leaving: Container[str]) -> None:
        """End the groups that are not among these or have members that are `leaving` (or will have other names). To be
        called first of all: who is in no group of the same name afterwards is on its own from now on."""
        wanted = {settings.name: settings for settings in groups}
        self._parted = {}
        for name, group in list(self._groups.items()):
            settings = wanted.get(name)
            if settings != group.settings or any(member in leaving for member in group.members):
                del self._groups[name]
                self._parted[name] = group.told
                later = settings.members if settings is not None else ()
                self.driver.part(group, [member for member in later if member not in leaving])

    def _join(self, groups: Iterable[SyncGroupSettings]) -> list[SyncGroup]:
        joined = []
        for settings in groups:
            if settings.name not in self._groups:
                members = {name: self._engines[name] for name in settings.members}
                group = SyncGroup(settings, members, self._parted.get(settings.name, State.INIT))
                self._groups[settings.name] = group
                self.driver.join(group)
                joined.append(group)
        return joined

    def _rename(self, names: Mapping[str, str]) -> None:
        if names:
            self.driver.rename(names)
            self.actions.rename(names)
            self._engines = {names.get(name, name): engine for name, engine in self._engines.items()}
            self._settings = {names.get(name, name): settings for name, settings in self._settings.items()}
            self._interface_states = {names.get(name, name): it for name, it in self._interface_states.items()}

    def _forget_places(self) -> None:
        """Those that nobody is at any more."""
        self._virtual = frozenset(a.address for settings in self._settings.values() for a in settings.addresses)
        self._places.forget_empty()

    @property
    def names(self) -> list[str]:
        return list(self._settings)

    @property
    def groups(self) -> Sequence[SyncGroup]:
        return list(self._groups.values())

    def run_due(self) -> None:
        """The armed time has come. A process that was held up must not judge others by its own silence: what they have
        sent meanwhile is heard before a timer says that they have sent nothing."""
        self.before_work()
        if self.driver.overdue() > _LATE:
            self._places.read_all()
        self.driver.run_due()

    def stalled(self, duration: int) -> None:
        """This process, or the machine, has just stood still for so many ns. Engines know it before they hear what was
        sent meanwhile, and that before any timer is served."""
        for name in self.names:
            self.driver.tell(name, Stalled(duration))
        self._places.read_all()

    def pace(self, settings: PaceSettings) -> None:
        """Keep these gaps between announcements from now on."""
        self.actions.pace(settings, self._clock())

    def log_unknown_vrids(self, wanted: bool) -> None:
        """Whether adverts of virtual routers that nobody is on their interface are worth a line, one for each."""
        self._places.log_unknown = wanted

    def announce_due(self) -> None:
        """The time that `arm_announcements` was told has come."""
        for name, failed in self.actions.announce_due(self._clock()):
            if name in self._settings:
                self.driver.tell(name, failed)

    # -- what the kernel tells -----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring sockets and engines in line with the machine as it is now. Call when `kernel.links` or
        `kernel.routing` is readable."""
        self._kernel.links.drain()
        moved = self._kernel.routing.drain()
        while True:
            self._link_states.refresh()
            self.interfaces.settle(self._virtual)
            self._promotion.settle(self._settings.values())
            self._places.open()
            for settings in list(self._settings.values()):
                self._tell_interface_state(settings)
            self._tell_lost_addresses()
            if moved:
                self._tell_lost_routing()
            # what engines did to the machine on the way is news as well
            moved = self._kernel.routing.drain()
            if not self._kernel.links.drain() and not moved:
                return

    def set_clock_offset(self, nanoseconds: int) -> None:
        """The wall clock is the driver's clock and this: to be called at the start and now and then after."""
        known = self._clock_offset
        if known is not None and abs(nanoseconds - known) <= _CLOCK_TOLERANCE:
            return
        self._clock_offset = nanoseconds
        for settings in self._settings.values():
            if settings.auth_hmac is not None:
                self.driver.tell(settings.name, ClockOffset(nanoseconds))

    def retry(self) -> None:
        """To be called every second: what could not be done is tried again, what was expected is missed."""
        if self.actions.expect() or self._places.failing:
            self.settle()

    def _tell_lost_addresses(self) -> None:
        for name, address in self.actions.lost():
            held = self.actions.held.get(name, ())
            if address in held and not self._kernel.links.has(address):
                self.actions.held[name] = tuple(other for other in held if other != address)
                self.driver.tell(name, AddressLost(address))

    def _tell_lost_routing(self) -> None:
        for held in (self.actions.routes, self.actions.rules):
            for name, item in held.missing():
                if item in held.held.get(name, ()):  # an instance that lost one has given up the others
                    held.forget(name, item)
                    self.driver.tell(name, RouteLost(item) if isinstance(item, VirtualRoute) else RuleLost(item))

    def _tell_interface_state(self, settings: VrrpSettings) -> None:
        state = self._interface_state(settings)
        if self._interface_states.get(settings.name) != state:
            self._interface_states[settings.name] = state
            self.driver.tell(settings.name, state)

    def _interface_state(self, settings: VrrpSettings) -> InterfaceState:
        name = settings.interface or settings.vrf
        if not name:
            return self._without_interface(settings)
        link = self._kernel.links.link(name)
        if link is None:
            return _NOT_THERE
        # an interface nothing can be heard on counts as down: an instance that is deaf must not become MASTER
        listening = self._places.socket_of(settings) is not None
        obstacle = self.interfaces.obstacle(settings.own_interface)
        return InterfaceState(
            up=listening and not obstacle and (self._link_states.up(name) or not settings.track_primary),
            exists=True,
            primary_address=self._primary_address(settings),
            hardware_address=link.hardware_address,
            mtu=link.mtu,
            source_present=not settings.track_source or self._kernel.links.has_host(settings.source_address),
            obstacle=obstacle,
        )

    def _without_interface(self, settings: VrrpSettings) -> InterfaceState:
        """A unicast instance that needs its source address alone."""
        listening = self._places.socket_of(settings) is not None
        present = not settings.track_source or self._kernel.links.has_host(settings.source_address)
        return InterfaceState(
            up=listening, exists=True, primary_address=b"", hardware_address=b"", mtu=0, source_present=present
        )

    def _primary_address(self, settings: VrrpSettings) -> bytes:
        """The first primary IPv4 or usable link-local IPv6 address (RFC 9568 5.1.1.1, 5.1.2.1) that is not virtual."""
        address, interface = self.interfaces.source_of(settings)
        if address:
            return address
        for entry in self._kernel.links.addresses(interface):
            if entry.family is settings.family and entry.address not in self._virtual and _is_primary(entry):
                return entry.address
        return b""

    def _socket_of(self, name: str) -> VrrpSocket | None:
        return self._places.socket_of(self._settings[name])

    def close(self) -> None:
        self._places.close()


def addresses_of(instances: Iterable[VrrpSettings]) -> list[VirtualAddress]:
    return [address for settings in instances for address in settings.addresses]


def reclaim(kernel: Kernel, addresses: Iterable[VirtualAddress]) -> list[str]:
    """Take off the machine what an earlier run left there. Returns what could not be removed, with the reason."""
    kernel.links.drain()
    work = plan((), tuple(addresses), kernel.links.has)
    failures = kernel.addresses.apply(work.remove, work.add, kernel.links)
    return [f"{ip_address(f.address.address)} on {f.address.interface}: {f.reason}" for f in failures]


def _is_primary(entry: InterfaceAddress) -> bool:
    if entry.protocol == RTPROT_KEEPALIVED:  # a virtual address of another agent or daemon on this machine
        return False
    if entry.family is Family.IPV4:
        return not entry.flags & IFA_F_SECONDARY
    link_local = entry.address[0] == 0xFE and entry.address[1] & 0xC0 == 0x80
    return link_local and not entry.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)

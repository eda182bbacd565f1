"""Carries out what VRRP engines decide: adverts, addresses, announcements. Passes on what is no work for the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Protocol

import msgspec

from kactl_agent.kernel.addresses import plan
from kactl_agent.kernel.ports import Kernel, VrrpSocket
from kactl_agent.runtime.firewall import Firewall
from kactl_agent.runtime.vrrp_routing import HeldRouting, Item
from kactl_agent.vrrp.actions import (
    Action,
    ActionFailed,
    AddAddresses,
    AddRoutes,
    AddRules,
    Announce,
    GroupTransition,
    LowerPriorityReceived,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
    ReplaceRoutes,
    ReplaceRules,
    Report,
    SendAdvert,
    Transition,
)
from kactl_agent.vrrp.gratuitous import gratuitous_arp, neighbour_advertisement
from kactl_agent.vrrp.network_settings import PaceSettings
from kactl_agent.vrrp.pacing import Pacing
from kactl_agent.vrrp.pairing import Place, place_of
from kactl_agent.vrrp.priority import RESIGNING
from kactl_agent.vrrp.settings import VirtualAddress, VrrpSettings

_ETHERNET_ADDRESS = 6


class Listener(Protocol):
    """Hears of what is no work for the kernel."""

    def transition(self, name: str, transition: Transition, now: int) -> None: ...

    def group_transition(self, transition: GroupTransition, now: int) -> None: ...

    def lower_priority(self, name: str, received: LowerPriorityReceived) -> None: ...

    def report(self, name: str, report: Report) -> None: ...


class VrrpActions:
    """`perform` for `kactl_agent.runtime.driver.Driver`: every failure becomes an ActionFailed.

    `held`, `routes` and `rules` have, by instance, what it wants on the machine: the desired state that the machine is
    compared with.
    """

    def __init__(
        self,
        kernel: Kernel,
        socket_of: Callable[[str], VrrpSocket | None],
        listener: Listener,
        arm: Callable[[int | None], None] = lambda _deadline: None,
    ) -> None:
        """`arm` is told when `announce_due` has something to do next."""
        self._kernel = kernel
        self._socket_of = socket_of
        self._listener = listener
        self._frames: dict[tuple[VirtualAddress, bytes, bool], bytes] = {}
        self._arm = arm
        self._pacing = Pacing(PaceSettings())
        self.held: dict[str, tuple[VirtualAddress, ...]] = {}
        self._indexes: dict[Place, int] = {}  # of the interfaces that the addresses were put on
        self._unseen: dict[Place, bool] = {}  # put there, and not told of by the kernel yet; whether that is long ago
        self._spared: set[Place] = set()
        self._left: dict[Place, VirtualAddress] = {}
        self.routes = HeldRouting(kernel)
        self.rules = HeldRouting(kernel)
        self.firewall = Firewall(kernel, partial(listener.report, ""))
        self.keep_addresses = False  # leave all on the machine when an instance gives it up (--keep-vips)

    def rename(self, names: Mapping[str, str]) -> None:
        """Instances that are called something else from now on: old name -> new name."""
        self.held = {names.get(name, name): held for name, held in self.held.items()}
        self._pacing.rename(names)
        for routing in (self.routes, self.rules):
            routing.held = {names.get(name, name): held for name, held in routing.held.items()}

    def refresh(self, instances: Iterable[VrrpSettings]) -> None:
        """Addresses that are on the machine may have other settings than when they were put there."""
        for settings in instances:
            now = {place_of(address): address for address in settings.addresses}
            if settings.name in self.held:
                held = self.held[settings.name]
                self.held[settings.name] = tuple(now.get(place_of(address), address) for address in held)
        self.firewall.replace(self.held)

    def perform(self, name: str, action: Action, now: int) -> ActionFailed | None:
        try:
            match action:
                case SendAdvert():
                    failure = self._send(name, action)
                case AddAddresses():
                    failure = self._add(name, action.addresses)
                case RemoveAddresses():
                    failure = self._remove(name, action.addresses)
                case AddRoutes():
                    failure = self.routes.add(name, action.routes)
                case AddRules():
                    failure = self.rules.add(name, action.rules)
                case RemoveRoutes():
                    failure = self._release(self.routes, name, action.routes)
                case RemoveRules():
                    failure = self._release(self.rules, name, action.rules)
                case ReplaceRoutes():
                    failure = self.routes.replace_routes(name, action.old, action.new)
                case ReplaceRules():
                    failure = self.rules.replace_rules(name, action.old, action.new)
                case Announce():
                    failure = self._announce_paced(name, action, now)
                case Transition():
                    self._listener.transition(name, action, now)
                    return None
                case Report():
                    self._listener.report(name, action)
                    return None
                case GroupTransition():
                    self._listener.group_transition(action, now)
                    return None
                case LowerPriorityReceived():  # what the instance does about it are actions of their own
                    self._listener.lower_priority(name, action)
                    return None
                case _:
                    failure = "nothing carries this action out"
        except OSError as error:
            failure = error.strerror or str(error)
        return ActionFailed(type(action).__name__, failure) if failure else None

    def _send(self, name: str, action: SendAdvert) -> str:
        sock = self._socket_of(name)
        if sock is None:
            return "there is no socket on the interface"
        if action.priority == RESIGNING:
            self._listener.report(name, Report("priority_zero_sent", "an advert of priority 0 is sent", "detail"))
        failures = []
        for destination in action.destinations:
            try:
                sock.send(action.payload, action.source, destination, action.ttl, action.identification)
            except OSError as error:  # one unreachable peer must not keep the advert from the others
                failures.append(f"to {ip_address(destination)}: {error.strerror or error}")
        return "; ".join(failures)

    def _add(self, name: str, addresses: tuple[VirtualAddress, ...]) -> str:
        links = self._kernel.links
        links.drain()
        self.firewall.block(name, addresses)
        work = plan(addresses, addresses, links.has)
        failures = self._kernel.addresses.apply(work.remove, work.add, links)
        failed = {failure.address for failure in failures}
        kept = {place_of(address): address for address in addresses if address not in failed}
        # the kernel tells of an IPv6 address when it gets round to it, which may be after much else
        self._unseen.update((place, False) for place, address in kept.items() if not links.has(address))
        self.held[name] = tuple(({place_of(address): address for address in self.held.get(name, ())} | kept).values())
        for place, address in kept.items():
            link = links.link(address.interface)
            if link is not None:
                self._indexes[place] = link.index
        return "; ".join(f"{_text(failure.address)}: {failure.reason}" for failure in failures)

    def _remove(self, name: str, addresses: tuple[VirtualAddress, ...]) -> str:
        gone = {place_of(address) for address in addresses}
        unseen = {place for place in gone if self._unseen.pop(place, None) is not None}
        self._pacing.withdraw(name, addresses)
        self.held[name] = tuple(address for address in self.held.get(name, ()) if place_of(address) not in gone)
        if not self.held[name]:
            del self.held[name]
        if self.keep_addresses:
            return ""
        links = self._kernel.links
        links.drain()
        wanted_by_others = {place_of(address) for held in self.held.values() for address in held}
        unwanted = []
        for address in addresses:
            place = place_of(address)
            if place in self._spared:
                self._left[place] = address
            elif place not in wanted_by_others:
                unwanted.append(self._as_found(address))
        work = plan((), unwanted, lambda address: place_of(address) in unseen or links.has(address))
        failures = self._kernel.addresses.apply(work.remove, work.add, links)
        self.firewall.unblock(name, addresses)
        return "; ".join(f"{_text(failure.address)}: {failure.reason}" for failure in failures)

    def lost(self) -> list[tuple[str, VirtualAddress]]:
        """(holder, address) of all that was on the machine and is not any more."""
        has = self._kernel.links.has
        found = []
        for name, held in self.held.items():
            for address in held:
                if has(address):
                    self._unseen.pop(place_of(address), None)
                elif place_of(address) not in self._unseen:
                    found.append((name, address))
        return found

    def expect(self) -> bool:
        """To be called every second: what the kernel has not told of for a whole one is not there. Whether that is so
        of any."""
        late = [place for place, long_ago in self._unseen.items() if long_ago]
        for place in late:
            del self._unseen[place]
        self._unseen = dict.fromkeys(self._unseen, True)
        return bool(late)

    def spare(self, places: Iterable[Place]) -> None:
        """Leave these on the machine when who holds them lets go: another instance is about to take them over. Until
        `end_sparing`."""
        self._spared = set(places)

    def end_sparing(self) -> str:
        """Take those away that nobody has taken over after all; what cannot be removed."""
        held = {place_of(address) for addresses in self.held.values() for address in addresses}
        unwanted = [self._as_found(address) for place, address in self._left.items() if place not in held]
        self._spared, self._left = set(), {}
        if not unwanted or self.keep_addresses:
            return ""
        links = self._kernel.links
        links.drain()
        work = plan((), unwanted, links.has)
        failures = self._kernel.addresses.apply(work.remove, work.add, links)
        return "; ".join(f"{_text(failure.address)}: {failure.reason}" for failure in failures)

    def _as_found(self, address: VirtualAddress) -> VirtualAddress:
        """The address on the interface that it was put on, which may have been renamed meanwhile."""
        index = self._indexes.pop(place_of(address), None)
        link = None if index is None else self._kernel.links.by_index(index)
        if link is None or link.name == address.interface:
            return address
        return msgspec.structs.replace(address, interface=link.name)

    def _release(self, held: HeldRouting, name: str, items: Sequence[Item]) -> str:
        if self.keep_addresses:
            held.leave(name, items)
            return ""
        return held.remove(name, items)

    def pace(self, settings: PaceSettings, now: int) -> None:
        """Keep these gaps between announcements from now on."""
        self._pacing.reconfigure(settings, now)
        self._arm(self._pacing.deadline())

    def announce_due(self, now: int) -> list[tuple[str, ActionFailed]]:
        """The armed time has come: send what had to wait. Returns what could not be sent, by instance."""
        failed = []
        for name, announcement in self._pacing.due(now):
            failure = self._announce(announcement)
            if failure:
                failed.append((name, ActionFailed(Announce.__name__, failure)))
        self._arm(self._pacing.deadline())
        return failed

    def _announce_paced(self, name: str, action: Announce, now: int) -> str:
        failures = [self._announce(each) for each in self._pacing.offer(name, action, now)]
        self._arm(self._pacing.deadline())
        return "; ".join(dict.fromkeys(failure for failure in failures if failure))

    def _announce(self, action: Announce) -> str:
        by_interface: dict[str, list[bytes]] = {}
        known: dict[str, tuple[bytes, bool]] = {}  # hardware address, and whether it routes IPv6
        failures = []
        for address in action.addresses:
            interface = address.interface
            if interface not in known:
                known[interface] = self._hardware_of(interface)
                by_interface[interface] = []
            if known[interface][0]:
                by_interface[interface].append(self._frame(address, *known[interface]))
            else:
                failures.append(f"{interface} has no Ethernet address")
        for interface, frames in by_interface.items():
            if not frames:
                continue
            try:
                unsent = self._kernel.frames.send(interface, frames * action.repeat)
            except OSError as error:
                failures.append(f"{interface}: {error.strerror or error}")
                continue
            if unsent:
                failures.append(f"the queue of {interface} is full: {unsent} frames were not sent")
        return "; ".join(dict.fromkeys(failures))

    def _hardware_of(self, interface: str) -> tuple[bytes, bool]:
        link = self._kernel.links.link(interface)
        if link is None or len(link.hardware_address) != _ETHERNET_ADDRESS:
            return b"", False
        return link.hardware_address, self._kernel.links.forwarding(interface)

    def _frame(self, address: VirtualAddress, hardware_address: bytes, forwarding: bool) -> bytes:
        router = len(address.address) == 16 and forwarding
        key = (address, hardware_address, router)
        frame = self._frames.get(key)
        if frame is None:
            if len(address.address) == 4:
                frame = gratuitous_arp(address.address, hardware_address)
            else:
                frame = neighbour_advertisement(address.address, hardware_address, router)
            self._frames[key] = frame
        return frame


def _text(address: VirtualAddress) -> str:
    return f"{ip_address(address.address)}/{address.prefix_length} on {address.interface}"

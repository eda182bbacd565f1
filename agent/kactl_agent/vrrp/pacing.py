"""Announcements that keep a gap (vrrp_garp_interval, vrrp_gna_interval, garp_group).

The gap holds between all announcements of one address family on an interface, or on all interfaces of a garp_group,
whichever instances they come from. Pure: announcements and `now` (ns) go in, those whose turn it is and one deadline
come out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import NamedTuple

from kactl_agent.vrrp.actions import Announce
from kactl_agent.vrrp.network_settings import PaceSettings
from kactl_agent.vrrp.settings import VirtualAddress

_IPV4_LENGTH = 4


class Waiting(NamedTuple):
    """One frame that has not been sent yet."""

    instance: str
    address: VirtualAddress


class _Lane:
    """What shares one gap."""

    def __init__(self, gap: int) -> None:
        self.gap = gap
        self.waiting: deque[Waiting] = deque()
        self.next = 0  # when the next one may go

    def due(self, now: int) -> list[Waiting]:
        if not self.gap:
            gone, self.waiting = list(self.waiting), deque()
            return gone
        if not self.waiting or now < self.next:
            return []
        self.next = now + self.gap  # from when it really goes: a late timer does not bring two close together
        return [self.waiting.popleft()]


class Pacing:
    """The announcements of all instances of a machine."""

    def __init__(self, settings: PaceSettings) -> None:
        self._lanes: dict[tuple[str, bool], _Lane] = {}
        self.settings = settings
        self._has_gaps = _has_gaps(settings)

    def reconfigure(self, settings: PaceSettings, now: int) -> None:
        """Other gaps from now on. What waits goes on waiting, behind the gaps there are now."""
        if settings == self.settings:
            return
        waiting = [each for lane in self._lanes.values() for each in lane.waiting]
        self.settings = settings
        self._has_gaps = _has_gaps(settings)
        self._lanes = {}
        for each in waiting:
            lane = self._lane(each.address) or self._lanes.setdefault(("", True), _Lane(0))
            lane.next = now
            lane.waiting.append(each)

    def offer(self, instance: str, announcement: Announce, now: int) -> list[Announce]:
        """What may go at once; the rest waits. A new burst takes the place of what is left of an older one for the same
        addresses, so that little waits however often an instance announces."""
        if not self._has_gaps and not self._lanes:
            return [announcement] if announcement.addresses else []
        at_once: list[VirtualAddress] = []
        lanes: dict[int, tuple[_Lane, list[VirtualAddress]]] = {}
        for address in announcement.addresses:
            lane = self._lane(address)
            if lane is None:
                at_once.append(address)
            else:
                lanes.setdefault(id(lane), (lane, []))[1].append(address)
        allowed = [Announce(tuple(at_once), announcement.repeat)] if at_once else []
        for lane, addresses in lanes.values():
            burst = set(addresses)
            kept = [each for each in lane.waiting if each.instance != instance or each.address not in burst]
            lane.waiting = deque(kept + [Waiting(instance, each) for each in addresses] * announcement.repeat)
            lane.next = max(lane.next, now)
            # whoever's turn it is: others may have been waiting, and go with their own timer
            if lane.waiting[0].instance == instance:
                allowed += [Announce((each.address,), 1) for each in lane.due(now)]
        return allowed

    def due(self, now: int) -> list[tuple[str, Announce]]:
        """Whose turn it is by now."""
        return [
            (each.instance, Announce((each.address,), 1)) for lane in self._lanes.values() for each in lane.due(now)
        ]

    def withdraw(self, instance: str, addresses: Collection[VirtualAddress]) -> None:
        """The instance does not have these addresses any more: they are not to be announced."""
        gone = set(addresses)
        for lane in self._lanes.values():
            if lane.waiting:
                lane.waiting = deque(e for e in lane.waiting if e.instance != instance or e.address not in gone)

    def rename(self, names: Mapping[str, str]) -> None:
        """Instances that are called something else from now on: old name -> new name."""
        for lane in self._lanes.values():
            lane.waiting = deque(Waiting(names.get(e.instance, e.instance), e.address) for e in lane.waiting)

    def deadline(self) -> int | None:
        """When `due` has something next."""
        return min((lane.next for lane in self._lanes.values() if lane.waiting), default=None)

    def _lane(self, address: VirtualAddress) -> _Lane | None:
        """None where there is no gap to keep."""
        arp = len(address.address) == _IPV4_LENGTH
        settings = self.settings
        group = next((group for group in settings.groups if address.interface in group.interfaces), None)
        pace = group or settings
        gap = pace.arp_interval if arp else pace.advertisement_interval
        if not gap:
            return None
        key = (group.interfaces[0] if group is not None else address.interface, arp)
        return self._lanes.setdefault(key, _Lane(gap))


def _has_gaps(settings: PaceSettings) -> bool:
    own = settings.arp_interval or settings.advertisement_interval
    return bool(own) or any(group.arp_interval or group.advertisement_interval for group in settings.groups)

"""Telling the neighbours where a virtual address is: when, and the frames.

When: a burst on becoming MASTER, a second one after garp_master_delay, a refresh every garp_master_refresh, and bursts
in answer to a master of lower priority. What: gratuitous ARP for IPv4 (RFC 9568 6.4.1, 6.4.2), unsolicited neighbour
advertisements for IPv6 (RFC 4861 7.2.6).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from kactl_agent.vrrp.actions import Announce
from kactl_agent.vrrp.packet import TTL, internet_checksum
from kactl_agent.vrrp.settings import GratuitousSettings, VirtualAddress
from kactl_agent.vrrp.timers import earliest

_BROADCAST = b"\xff" * 6
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_ALL_NODES_HARDWARE = bytes.fromhex("333300000001")
_ETHERTYPE_ARP = 0x0806
_ETHERTYPE_IPV6 = 0x86DD
_ICMPV6 = 58
_NEIGHBOUR_ADVERTISEMENT = 136
_FLAG_ROUTER = 0x80000000
_FLAG_OVERRIDE = 0x20000000
_OPTION_TARGET_LINK_LAYER_ADDRESS = 2


def gratuitous_arp(address: bytes, hardware_address: bytes) -> bytes:
    """The Ethernet frame of a gratuitous ARP request for an IPv4 `address` at `hardware_address` (6 bytes).

    Sender and target address are `address`. The target hardware address, which an ARP request leaves open, is the
    broadcast address, as keepalived sends it.
    """
    return struct.pack(
        "!6s6sHHHBBH6s4s6s4s",
        _BROADCAST,
        hardware_address,
        _ETHERTYPE_ARP,
        1,  # hardware type Ethernet
        0x0800,
        6,
        4,
        1,  # request
        hardware_address,
        address,
        _BROADCAST,
        address,
    )


def neighbour_advertisement(address: bytes, hardware_address: bytes, router: bool) -> bytes:
    """The Ethernet frame of an unsolicited neighbour advertisement for an IPv6 `address` at `hardware_address`.

    It goes from the address itself to all nodes with hop limit 255. The override flag is set, the router flag when the
    interface forwards (`router`), the solicited flag never (RFC 4861 7.2.6; keepalived).
    """
    flags = _FLAG_OVERRIDE | (_FLAG_ROUTER if router else 0)
    option = struct.pack("!BB6s", _OPTION_TARGET_LINK_LAYER_ADDRESS, 1, hardware_address)
    message = struct.pack("!BBHI16s", _NEIGHBOUR_ADVERTISEMENT, 0, 0, flags, address) + option
    pseudo_header = int.from_bytes(address + _ALL_NODES, "big") + len(message) + _ICMPV6
    checksum = internet_checksum(message, pseudo_header)
    message = message[:2] + checksum.to_bytes(2, "big") + message[4:]
    ethernet = _ALL_NODES_HARDWARE + hardware_address + _ETHERTYPE_IPV6.to_bytes(2, "big")
    return ethernet + struct.pack("!IHBB16s16s", 6 << 28, len(message), _ICMPV6, TTL, address, _ALL_NODES) + message


class GratuitousSchedule:
    """When the addresses of one instance are announced. All times are ns of the same clock."""

    def __init__(self, settings: GratuitousSettings, addresses: Iterable[VirtualAddress]) -> None:
        self._configure(settings, addresses)
        self._started = False
        self._second: int | None = None
        self._refresh: int | None = None
        self._extra: int | None = None
        self._second_after_lower: int | None = None
        self._seconds_of_added: list[tuple[int, tuple[VirtualAddress, ...]]] = []  # in the order of their times

    def _configure(self, settings: GratuitousSettings, addresses: Iterable[VirtualAddress]) -> None:
        self._settings = settings
        self._addresses = tuple(addresses)

    def reconfigure(self, settings: GratuitousSettings, addresses: Iterable[VirtualAddress], now: int) -> None:
        """Other settings and addresses from now on. What is scheduled stays, but for a refresh of another period."""
        if settings.refresh != self._settings.refresh and self._started:
            self._refresh = now + settings.refresh if settings.refresh else None
        extra = settings.extra_interval if settings.extra_interfaces else 0
        if (
            settings.extra_interval != self._settings.extra_interval or not extra or self._extra is None
        ) and self._started:
            self._extra = now + extra if extra else None
        self._configure(settings, addresses)

    def added(self, addresses: tuple[VirtualAddress, ...], now: int) -> list[Announce]:
        """A MASTER has got these addresses on top: a burst for them, and a second one after the delay."""
        if self._settings.delay:
            self._seconds_of_added.append((now + self._settings.delay, addresses))
            self._seconds_of_added.sort(key=lambda second: second[0])  # a reload may have made the delay shorter
        return self._burst(self._settings.repeat, addresses)

    def start(self, now: int) -> list[Announce]:
        """The instance became MASTER: the first burst; the second one and the refresh are scheduled."""
        settings = self._settings
        self._started = True
        self._second = now + settings.delay if settings.delay else None
        self._refresh = now + settings.delay + settings.refresh if settings.refresh else None
        self._extra = now + settings.extra_interval if settings.extra_interval and settings.extra_interfaces else None
        return self._burst(settings.repeat)

    def lower_priority(self, now: int) -> list[Announce]:
        """A master of lower priority was heard and may have moved the addresses: announce them again."""
        settings = self._settings
        if not settings.lower_priority_repeat:
            return []
        if settings.lower_priority_delay:
            self._second_after_lower = now + settings.lower_priority_delay
        return self._burst(settings.lower_priority_repeat)

    def stop(self) -> None:
        """The instance is no longer MASTER."""
        self._started = False
        self._second = self._refresh = self._second_after_lower = self._extra = None
        self._seconds_of_added.clear()

    def deadline(self) -> int | None:
        """When `due` has something to say next, None when nothing is scheduled."""
        added = self._seconds_of_added[0][0] if self._seconds_of_added else None
        return earliest(self._second, self._refresh, self._second_after_lower, self._extra, added)

    def due(self, now: int) -> list[Announce]:
        """What is to be announced by now."""
        settings = self._settings
        actions: list[Announce] = []
        if self._second is not None and self._second <= now:
            self._second = None
            actions += self._burst(settings.repeat)
        if self._second_after_lower is not None and self._second_after_lower <= now:
            self._second_after_lower = None
            actions += self._burst(settings.lower_priority_repeat)
        while self._seconds_of_added and self._seconds_of_added[0][0] <= now:
            actions += self._burst(settings.repeat, self._seconds_of_added.pop(0)[1])
        if self._refresh is not None and self._refresh <= now:
            self._refresh = max(self._refresh, now - settings.refresh + 1) + settings.refresh
            actions += self._burst(settings.refresh_repeat)
        return actions + self._extra_due(now)

    def _extra_due(self, now: int) -> list[Announce]:
        """One address on each extra interface: switches shall not forget who is there, and one frame is enough."""
        settings = self._settings
        if self._extra is None or now < self._extra:
            return []
        self._extra = max(self._extra, now - settings.extra_interval + 1) + settings.extra_interval
        firsts: dict[str, VirtualAddress] = {}
        for address in self._addresses:
            firsts.setdefault(address.interface, address)
        chosen = tuple(firsts[name] for name in settings.extra_interfaces if name in firsts)
        return [Announce(chosen, 1)] if chosen else []

    def _burst(self, repeat: int, only: tuple[VirtualAddress, ...] = ()) -> list[Announce]:
        """A burst for all addresses, or for some."""
        addresses = tuple(each for each in self._addresses if each in only) if only else self._addresses
        return [Announce(addresses, repeat)] if addresses else []

"""Where VRRP messages come and go: a socket for each interface, family and IP protocol, shared by its instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from kactl_agent.kernel.ports import Kernel, Link, VrrpSocket
from kactl_agent.vrrp.actions import PacketMeta, Report
from kactl_agent.vrrp.auth_header import PROTOCOL_AH, virtual_router_id
from kactl_agent.vrrp.packet import IPV4_GROUP, IPV6_GROUP, PROTOCOL, text_of
from kactl_agent.vrrp.settings import Family, VrrpSettings

PlaceKey = tuple[str, Family, int]
PACKETS_A_WAKEUP = 64  # then the timers have their turn: a flood cannot starve them
_PACKETS_WHEN_LATE = 4096  # of all sockets


class Watcher(Protocol):
    """Calls back when a socket has something to read."""

    def watch(self, sock: VrrpSocket, readable: Callable[[], None]) -> None: ...

    def unwatch(self, sock: VrrpSocket) -> None: ...


class _Place:
    """One family and IP protocol on one interface (or on all, for instances without one), and the instances there."""

    def __init__(self, key: PlaceKey) -> None:
        self.key = key
        self.members: dict[int, list[VrrpSettings]] = {}  # by virtual_router_id
        self.opened_for: tuple[object, ...] = ()  # what the socket depends on
        self.socket: VrrpSocket | None = None
        self.error = ""
        self.unknown: set[int] = set()  # virtual_router_ids heard of which nobody here is

    @property
    def anywhere(self) -> bool:
        return not self.key[0]

    def all(self) -> Iterator[VrrpSettings]:
        return (settings for members in self.members.values() for settings in members)

    def receive_buffer(self, mtu: int) -> int:
        """Bytes, the sum of what the instances want; 0 is the default."""
        return sum(settings.receive_buffer + settings.receive_buffer_mtus * mtu for settings in self.all())


class Places:
    """`receive` is given each message for an instance; `report` what an operator has to know."""

    def __init__(
        self,
        kernel: Kernel,
        watcher: Watcher,
        receive: Callable[[str, bytes, PacketMeta], None],
        report: Callable[[Report], None],
    ) -> None:
        self._kernel = kernel
        self._watcher = watcher
        self._receive = receive
        self._report = report
        self._places: dict[PlaceKey, _Place] = {}
        self.log_unknown = False  # log_unknown_vrids
        self.before_reading: Callable[[], None] = lambda: None

    def add(self, settings: VrrpSettings) -> None:
        place = self._places.setdefault(_key(settings), _Place(_key(settings)))
        place.members.setdefault(settings.virtual_router_id, []).append(settings)

    def remove(self, settings: VrrpSettings) -> None:
        members = self._places[_key(settings)].members
        members[settings.virtual_router_id].remove(settings)
        if not members[settings.virtual_router_id]:
            del members[settings.virtual_router_id]

    def forget_empty(self) -> None:
        """Close what nobody needs any more."""
        for key in [key for key, place in self._places.items() if not place.members]:
            self._close(self._places.pop(key))

    def socket_of(self, settings: VrrpSettings) -> VrrpSocket | None:
        return self._places[_key(settings)].socket

    @property
    def failing(self) -> bool:
        """Whether a socket could not be opened."""
        return any(place.socket is None and place.error for place in self._places.values())

    @property
    def errors(self) -> list[str]:
        """Why sockets could not be opened."""
        failing = [place for place in self._places.values() if place.socket is None and place.error]
        return [f"no socket on {place.key[0] or 'any interface'}: {place.error}" for place in failing]

    def open(self) -> None:
        """A socket where there is none and an interface for it, another where it was opened for something else."""
        for place in self._places.values():
            interface, family, protocol = place.key
            link = self._kernel.links.link(interface) if interface else None
            if link is None and interface:
                self._close(place)
                continue
            groups = self._multicast_groups(place)
            buffer = place.receive_buffer(link.mtu if link is not None else 0)
            wanted = _same_interface(link), groups, buffer
            if place.socket is not None and wanted == place.opened_for:
                continue
            self._close(place)
            try:
                place.socket = self._kernel.vrrp_sockets.open(link, family, groups, protocol, buffer)
            except OSError as error:
                self._complain(place, error.strerror or str(error))
                continue
            place.opened_for, place.error = wanted, ""
            self._watcher.watch(place.socket, partial(self._readable, place))

    def read_all(self) -> None:
        """What waits on all sockets, within bounds."""
        if self._places:
            share = max(PACKETS_A_WAKEUP, _PACKETS_WHEN_LATE // len(self._places))
            for place in list(self._places.values()):
                self._read(place, share)

    def close(self) -> None:
        for place in self._places.values():
            self._close(place)

    def _multicast_groups(self, place: _Place) -> frozenset[bytes]:
        default = IPV4_GROUP if place.key[1] is Family.IPV4 else IPV6_GROUP
        return frozenset(s.multicast_group or default for s in place.all() if not s.unicast_peers)

    def _complain(self, place: _Place, error: str) -> None:
        if error != place.error:
            place.error = error
            where = "on any interface" if place.anywhere else f"on {place.key[0]}"
            self._report(Report("socket_failed", f"no VRRP over {place.key[1].value} {where}: {error}", "error"))

    def _close(self, place: _Place) -> None:
        if place.socket is not None:
            self._watcher.unwatch(place.socket)
            place.socket.close()
            place.socket = None

    def _readable(self, place: _Place) -> None:
        self.before_reading()
        self._read(place, PACKETS_A_WAKEUP)

    def _read(self, place: _Place, limit: int) -> None:
        for _ in range(limit):
            if place.socket is None:  # a packet may end what it came through
                return
            try:
                packet = place.socket.receive()
            except OSError as error:
                self._complain(place, error.strerror or str(error))
                return
            if packet is None:
                return
            data, meta = packet
            wanted = virtual_router_id(data, meta.protocol)
            if wanted is None:
                continue
            members = place.members.get(wanted)
            if members is None:
                self._unknown(place, wanted, meta)
                continue
            for settings in tuple(members):
                # what is heard on all interfaces is for whose address it was sent to
                if not place.anywhere or settings.source_address == meta.destination:
                    self._receive(settings.name, data, meta)

    def _unknown(self, place: _Place, wanted: int, meta: PacketMeta) -> None:
        if self.log_unknown and wanted not in place.unknown and not place.anywhere:
            place.unknown.add(wanted)
            who = text_of(meta.source)
            text = f"advert of virtual router {wanted}, which nobody here is, on {place.key[0]} from {who}"
            self._report(Report("unknown_vrid", text, "info"))


def _key(settings: VrrpSettings) -> PlaceKey:
    interface = settings.advert_interface or settings.vrf
    return interface, settings.family, PROTOCOL_AH if settings.authentication_header else PROTOCOL


def _same_interface(link: Link | None) -> tuple[int, str]:
    return (0, "") if link is None else (link.index, link.name)

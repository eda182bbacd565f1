"""The adverts of one instance as actions, encoded once and kept while nothing in them changes."""

from __future__ import annotations

from kactl_agent.vrrp.actions import Action, SendAdvert
from kactl_agent.vrrp.packet import (
    AUTH_DATA_LENGTH,
    AUTH_NONE,
    AUTH_SIMPLE_PASSWORD,
    IPV4_GROUP,
    IPV6_GROUP,
    Advert,
    encode,
)
from kactl_agent.vrrp.settings import Family, VrrpSettings


class Transmission:
    """Encodes the adverts of one instance."""

    def __init__(self, settings: VrrpSettings) -> None:
        self._settings = settings
        group = settings.multicast_group or (IPV4_GROUP if settings.family is Family.IPV4 else IPV6_GROUP)
        self._destinations = settings.unicast_peers or (group,)
        self._addresses = tuple(a.address for a in settings.addresses if a.advertised)
        self._source = b""
        self._encoded: dict[int, tuple[Action, ...]] = {}  # by priority, from this source

    def advert(self, priority: int, source: bytes) -> tuple[Action, ...]:
        """One advert of `priority` from `source` to all destinations.

        It is one action as far as the destinations get the same bytes: a checksum over a pseudo-header is different for
        each of them.
        """
        if source != self._source:
            self._source = source
            self._encoded.clear()
        actions = self._encoded.get(priority)
        if actions is None:
            actions = self._encoded[priority] = self._encode(priority, source)
        return actions

    def _encode(self, priority: int, source: bytes) -> tuple[Action, ...]:
        settings = self._settings
        advert = Advert(
            version=settings.version,
            virtual_router_id=settings.virtual_router_id,
            priority=priority,
            advert_interval=settings.advert_interval,
            addresses=self._addresses,
            auth_type=AUTH_SIMPLE_PASSWORD if settings.auth_password else AUTH_NONE,
            auth_data=settings.auth_password[:AUTH_DATA_LENGTH].ljust(AUTH_DATA_LENGTH, b"\0"),
        )
        destinations_of: dict[bytes, list[bytes]] = {}
        for destination in self._destinations:
            payload = encode(advert, source, destination, settings.checksum_form)
            destinations_of.setdefault(payload, []).append(destination)
        return tuple(
            SendAdvert(payload, source, tuple(destinations), settings.ttl, priority)
            for payload, destinations in destinations_of.items()
        )

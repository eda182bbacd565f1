"""The adverts of one instance as actions, encoded once and kept while nothing in them changes."""

from __future__ import annotations

from kactl_agent.vrrp.actions import Action, SendAdvert
from kactl_agent.vrrp.auth_header import PROTOCOL_AH, AuthenticationHeader
from kactl_agent.vrrp.auth_hmac import Authenticator
from kactl_agent.vrrp.packet import (
    AUTH_DATA_LENGTH,
    AUTH_SIMPLE_PASSWORD,
    Advert,
    encode,
)
from kactl_agent.vrrp.reception import auth_type_of, group_of
from kactl_agent.vrrp.settings import Family, OldUnicastChecksum, VrrpSettings


class Transmission:
    """Encodes the adverts of one instance, and authenticates them where that is configured."""

    def __init__(
        self,
        settings: VrrpSettings,
        header: AuthenticationHeader | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._settings = settings
        self._header = header
        self._authenticator = authenticator if authenticator is not None and authenticator.signs else None
        self._destinations = settings.unicast_peers or (group_of(settings),)
        self._old_checksum = settings.old_unicast_checksum is OldUnicastChecksum.ALWAYS
        self._addresses = tuple(a.address for a in settings.addresses if a.advertised)
        self._source = b""
        self._encoded: dict[int, tuple[SendAdvert, ...]] = {}  # by priority, from this source

    def advert(self, priority: int, source: bytes, wall: int = 0) -> tuple[Action, ...]:
        """One advert of `priority` from `source` to all destinations, at Unix time `wall` (ns).

        It is one action as far as the destinations get the same bytes: a checksum over a pseudo-header is different for
        each of them, and so is what an authentication header says.
        """
        if source != self._source:
            self._source = source
            self._encoded.clear()
        actions = self._encoded.get(priority)
        if actions is None:
            actions = self._encoded[priority] = self._encode(priority, source)
        if self._header is not None:
            return self._with_header(self._header, actions)
        if self._authenticator is not None:
            return self._signed(self._authenticator, actions, priority, wall)
        return actions

    def use_old_checksum(self) -> None:
        """From now on, send the checksum of keepalived up to 1.3.6 in unicast over IPv4."""
        self._old_checksum = True
        self._encoded.clear()

    def _encode(self, priority: int, source: bytes, trailer: bytes = b"") -> tuple[SendAdvert, ...]:
        settings = self._settings
        advert = self._advert(priority)
        destinations_of: dict[bytes, list[bytes]] = {}
        for destination in self._destinations:
            old_checksum = self._old_checksum and settings.family is Family.IPV4
            summed = group_of(settings) if old_checksum else destination  # what the pseudo-header says
            payload = encode(advert, source, summed, settings.checksum_form, trailer) + trailer
            destinations_of.setdefault(payload, []).append(destination)
        return tuple(
            SendAdvert(payload, source, tuple(destinations), settings.ttl, priority)
            for payload, destinations in destinations_of.items()
        )

    def _advert(self, priority: int) -> Advert:
        settings = self._settings
        auth_type = auth_type_of(settings)
        password = settings.auth_password if auth_type == AUTH_SIMPLE_PASSWORD else b""
        return Advert(
            version=settings.version,
            virtual_router_id=settings.virtual_router_id,
            priority=priority,
            advert_interval=settings.advert_interval,
            addresses=self._addresses,
            auth_type=auth_type,
            auth_data=password[:AUTH_DATA_LENGTH].ljust(AUTH_DATA_LENGTH, b"\0"),
        )

    def _with_header(self, header: AuthenticationHeader, actions: tuple[SendAdvert, ...]) -> tuple[Action, ...]:
        """One sequence number for the advert, one integrity check value for each destination."""
        header.advance()
        return tuple(
            SendAdvert(
                header.wrap(action.payload, action.source, destination, action.ttl),
                action.source,
                (destination,),
                action.ttl,
                action.priority,
                PROTOCOL_AH,
                header.identification,
            )
            for action in actions
            for destination in action.destinations
        )

    def _signed(
        self, authenticator: Authenticator, actions: tuple[SendAdvert, ...], priority: int, wall: int
    ) -> tuple[Action, ...]:
        trailer = authenticator.trailer(actions[0].payload, actions[0].source, wall)
        if self._settings.family is Family.IPV6:  # whose checksum covers the trailer
            return self._encode(priority, actions[0].source, trailer)
        return tuple(
            SendAdvert(action.payload + trailer, action.source, action.destinations, action.ttl, action.priority)
            for action in actions
        )

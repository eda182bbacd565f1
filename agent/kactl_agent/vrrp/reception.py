"""Which received adverts an instance takes: the checks that depend on its settings.

The order is that of RFC 9568 7.1 (RFC 3768 7.1 for VRRPv2). Where keepalived takes what the RFC discards, so do we and
say so in a remark, because a router that discards its master's adverts becomes a second master; `rfc_discards` follows
the RFC. Differences from keepalived: the order itself (it has the length first and the checksum late), and a VRRPv3
message without an address or with an interval of zero is discarded (errata 8299, 8301). An owner takes adverts as
erratum 8298 wants it, in version 2 as well, where RFC 3768 discards them.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from kactl_agent.vrrp.actions import PacketMeta
from kactl_agent.vrrp.auth_header import PROTOCOL_AH, AuthenticationHeader
from kactl_agent.vrrp.auth_hmac import TRAILER_LENGTH, Authenticator, Verified
from kactl_agent.vrrp.packet import (
    AUTH_IP_AH,
    AUTH_NONE,
    AUTH_SIMPLE_PASSWORD,
    IPV4_GROUP,
    IPV6_GROUP,
    TTL,
    Advert,
    Reason,
    RemoteProtocolError,
    decode,
    is_link_local,
    is_multicast,
    message_length,
    text_of,
)
from kactl_agent.vrrp.settings import SECOND, Family, OldUnicastChecksum, VrrpSettings

REMARKS = (
    "checksum_form",
    "address_count_differs",
    "address_list_differs",
    "advert_interval_differs",
    "first_address_global",
    "old_unicast_checksum",
    "two_owners",
    "auth_hmac_unsigned",
    "auth_hmac_clock_skew",
)


class Remark(NamedTuple):
    """Something odd about an advert that is taken all the same."""

    code: str  # one of REMARKS; also the name of a counter
    detail: str
    level: str


class Accepted(NamedTuple):
    """An advert and what is odd about it."""

    advert: Advert
    remarks: tuple[Remark, ...]
    old_checksum: bool  # its checksum is that of old_unicast_checksum


class Reception:
    """The receive checks of one instance."""

    def __init__(
        self,
        settings: VrrpSettings,
        header: AuthenticationHeader | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._settings = settings
        self._header = header
        self._authenticator = authenticator
        self._addresses = tuple(a.address for a in settings.addresses if a.advertised)
        self._auth_type = auth_type_of(settings)
        self._takes_old_checksum = (
            bool(settings.unicast_peers)
            and settings.version == 3
            and settings.family is Family.IPV4
            and settings.old_unicast_checksum is not OldUnicastChecksum.NEVER
        )
        self._auth_data = settings.auth_password[:8].ljust(8, b"\0")

    def check(self, data: bytes, meta: PacketMeta, wall: int = 0, *, compare_addresses: bool = True) -> Accepted:
        """The advert in `data` at Unix time `wall` (ns). Raises RemoteProtocolError when it has to be discarded.

        Without `compare_addresses` it may carry other addresses than ours, but not more or fewer, without a remark.
        """
        self._check_ttl(meta)
        if (meta.protocol == PROTOCOL_AH) is not (self._header is not None):
            text = "is missing" if self._header else "is there, but not configured here"
            raise RemoteProtocolError(Reason.AUTH_HEADER, f"an authentication header {text}")
        message = self._header.unwrap(data, meta.header) if self._header else data
        message, trailer = self._split(message)
        verified = self._verify(message, trailer, meta, wall)
        advert, old_checksum = self._decode(message, trailer, meta)
        if self._header:
            self._header.verify(data, meta.header)
        self._check_peer(meta)
        remarks = self._remarks(advert, meta, compare_addresses)
        if old_checksum:
            detail = f"{text_of(meta.source)} uses the unicast checksum of keepalived up to 1.3.6; it is accepted"
            remarks.append(Remark("old_unicast_checksum", detail, "info"))
        if verified is not None:
            remarks += _signature_remarks(verified, meta)
        return Accepted(advert, tuple(remarks), old_checksum)

    def _check_ttl(self, meta: PacketMeta) -> None:
        if meta.ttl != TTL and not self._settings.unicast_peers:
            # keepalived checks unicast only where min_ttl or max_ttl is set
            raise RemoteProtocolError(Reason.TTL, f"TTL {meta.ttl} is not {TTL}")

    def _check_peer(self, meta: PacketMeta) -> None:
        """keepalived's last check: who it comes from, and over how many hops."""
        settings = self._settings
        if not settings.check_unicast_source or not settings.unicast_peers:
            return
        if meta.source not in settings.unicast_peers:
            raise RemoteProtocolError(Reason.UNICAST_SOURCE, f"{text_of(meta.source)} is no unicast_peer")
        if settings.unicast_ttl_limits:
            low, high = settings.unicast_ttl_limits[settings.unicast_peers.index(meta.source)]
            if not low <= meta.ttl <= high:
                raise RemoteProtocolError(Reason.TTL, f"TTL {meta.ttl} is not within {low}..{high}")

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        """The message, and the trailer of auth_hmac where it is configured and the length says that there is one."""
        if self._authenticator is not None:
            length = message_length(data, self._settings.version, self._settings.family)
            if length is not None and len(data) == length + TRAILER_LENGTH:
                return data[:length], data[length:]
        return data, b""

    def _verify(self, message: bytes, trailer: bytes, meta: PacketMeta, wall: int) -> Verified | None:
        """None where auth_hmac is not configured, or `decode` is going to find something worse than a signature."""
        settings = self._settings
        if self._authenticator is None or len(message) != message_length(message, settings.version, settings.family):
            return None
        if message[0] >> 4 != settings.version or message[1] != settings.virtual_router_id:
            return None
        return self._authenticator.verify(message, trailer, meta.source, wall)

    def _decode(self, data: bytes, trailer: bytes, meta: PacketMeta) -> tuple[Advert, bool]:
        """The advert, and whether its checksum is that of old_unicast_checksum."""
        settings = self._settings
        unicast, old_checksum = bool(settings.unicast_peers), False
        try:
            advert = self._decode_for(meta.destination, data, trailer, meta)
        except RemoteProtocolError as error:
            if error.reason is not Reason.CHECKSUM or not self._takes_old_checksum:
                raise
            advert, old_checksum = self._decode_for(group_of(settings), data, trailer, meta), True
        if (
            advert.checksum_form not in (None, settings.checksum_form)
            and not settings.accept_either_checksum
            and advert.checksum_form is not None
        ):
            raise RemoteProtocolError(
                Reason.CHECKSUM, f"the checksum is of the form {advert.checksum_form.value}, which is not accepted here"
            )
        if settings.version == 2:
            self._check_v2(advert)
        elif (
            settings.rfc_discards and settings.family is Family.IPV6 and not is_link_local(advert.addresses[0])
        ):  # erratum 8300; keepalived has no such check
            raise RemoteProtocolError(
                Reason.FIRST_ADDRESS_NOT_LINK_LOCAL,
                f"the first address, {text_of(advert.addresses[0])}, is not link-local",
            )
        if is_multicast(meta.destination) is unicast:
            kind, expected = ("unicast", "multicast") if not unicast else ("multicast", "unicast")
            raise RemoteProtocolError(Reason.DESTINATION, f"a {kind} advert, but this instance uses {expected}")
        return advert, old_checksum

    def _decode_for(self, destination: bytes, data: bytes, trailer: bytes, meta: PacketMeta) -> Advert:
        settings = self._settings
        return decode(
            data,
            version=settings.version,
            family=settings.family,
            source=meta.source,
            destination=destination,
            virtual_router_id=settings.virtual_router_id,
            form=settings.checksum_form,
            checksum_verified=meta.checksum_verified,
            trailer=trailer,
        )

    def _check_v2(self, advert: Advert) -> None:
        """RFC 3768 7.1 with the authentication of RFC 2338 5.3.6, which keepalived and its peers still use."""
        settings = self._settings
        if advert.auth_type not in (AUTH_NONE, AUTH_SIMPLE_PASSWORD, AUTH_IP_AH):
            raise RemoteProtocolError(Reason.AUTH_TYPE_UNKNOWN, f"authentication type {advert.auth_type} is unknown")
        if advert.auth_type != self._auth_type:
            raise RemoteProtocolError(
                Reason.AUTH_TYPE_MISMATCH, f"authentication type {advert.auth_type}, not {self._auth_type}"
            )
        if self._auth_type == AUTH_SIMPLE_PASSWORD and not hmac.compare_digest(advert.auth_data, self._auth_data):
            raise RemoteProtocolError(Reason.AUTH_FAILURE, "the password differs")
        if settings.rfc_discards and advert.priority != 255 and not self._same_addresses(advert):
            raise RemoteProtocolError(Reason.ADDRESS_LIST, self._address_list_detail(advert))
        if advert.advert_interval != settings.advert_interval:
            raise RemoteProtocolError(
                Reason.ADVERT_INTERVAL,
                f"an advertisement interval of {advert.advert_interval // SECOND} s,"
                f" not {settings.advert_interval // SECOND} s as configured",
            )

    def _remarks(self, advert: Advert, meta: PacketMeta, compare_addresses: bool) -> list[Remark]:
        settings = self._settings
        remarks: list[Remark] = []
        if advert.checksum_form not in (None, settings.checksum_form):
            remarks.append(
                Remark(
                    "checksum_form",
                    f"{text_of(meta.source)} uses the other of the two VRRPv3 checksums over IPv4; it is accepted",
                    "info",
                )
            )
        if len(advert.addresses) != len(self._addresses):
            remarks.append(Remark("address_count_differs", self._address_list_detail(advert), "warning"))
        elif compare_addresses and not self._same_addresses(advert):
            remarks.append(Remark("address_list_differs", self._address_list_detail(advert), "warning"))
        if settings.version == 3:
            if advert.advert_interval != settings.advert_interval:
                remarks.append(
                    Remark(
                        "advert_interval_differs",
                        f"{text_of(meta.source)} advertises every {advert.advert_interval // 1_000_000} ms,"
                        f" {settings.advert_interval // 1_000_000} ms are configured here",
                        "info",
                    )
                )
            if settings.family is Family.IPV6 and not is_link_local(advert.addresses[0]):
                remarks.append(
                    Remark(
                        "first_address_global",
                        f"the first address that {text_of(meta.source)} advertises, {text_of(advert.addresses[0])},"
                        " is not link-local",
                        "info",
                    )
                )
        if advert.priority == 255 == settings.priority:  # erratum 8298
            remarks.append(
                Remark(
                    "two_owners",
                    f"configuration error: {text_of(meta.source)} also claims to own the addresses (priority 255)",
                    "error",
                )
            )
        return remarks

    def _same_addresses(self, advert: Advert) -> bool:
        return advert.addresses == self._addresses or set(advert.addresses) == set(self._addresses)

    def _address_list_detail(self, advert: Advert) -> str:
        theirs, ours = set(advert.addresses), set(self._addresses)
        missing = ", ".join(sorted(text_of(address) for address in ours - theirs))
        surplus = ", ".join(sorted(text_of(address) for address in theirs - ours))
        parts = [f"{len(advert.addresses)} addresses are advertised, {len(self._addresses)} are configured here"]
        if missing:
            parts.append(f"not advertised: {missing}")
        if surplus:
            parts.append(f"not configured: {surplus}")
        return "; ".join(parts)


def group_of(settings: VrrpSettings) -> bytes:
    """The multicast group of an instance."""
    return settings.multicast_group or (IPV4_GROUP if settings.family is Family.IPV4 else IPV6_GROUP)


def auth_type_of(settings: VrrpSettings) -> int:
    """The authentication type of RFC 2338 5.3.6 that an instance uses."""
    if settings.authentication_header:
        return AUTH_IP_AH
    return AUTH_SIMPLE_PASSWORD if settings.auth_password else AUTH_NONE


def _signature_remarks(verified: Verified, meta: PacketMeta) -> list[Remark]:
    source = text_of(meta.source)
    if not verified.signed:
        return [Remark("auth_hmac_unsigned", f"{source} does not sign its adverts; auth_hmac takes them", "warning")]
    if verified.skew_seconds:
        side = "ahead of" if verified.skew_seconds > 0 else "behind"
        detail = (
            f"the clock of {source} is {abs(verified.skew_seconds)} s {side} ours; beyond time_window it is not heard"
        )
        return [Remark("auth_hmac_clock_skew", detail, "warning")]
    return []

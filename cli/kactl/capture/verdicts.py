"""What the agent would make of a packet: decoded, and taken or discarded by the checks of its own engines."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from msgspec.structs import replace

from kactl.capture import ipvs_sync
from kactl.capture.layers import UDP, Packet
from kactl_agent.bfd.actions import PacketMeta as BfdMeta
from kactl_agent.bfd.echo import LOOPED_TTL, EchoSession
from kactl_agent.bfd.packet import ControlPacket, diagnostic_text
from kactl_agent.bfd.packet import RemoteProtocolError as BfdFault
from kactl_agent.bfd.packet import decode as decode_bfd
from kactl_agent.bfd.session import Session
from kactl_agent.bfd.settings import AuthType, Mode, SessionSettings
from kactl_agent.config.bfd import default_minimum_ttl
from kactl_agent.vrrp.actions import PacketMeta
from kactl_agent.vrrp.auth_header import PROTOCOL_AH, AuthenticationHeader
from kactl_agent.vrrp.auth_hmac import TRAILER_LENGTH, Authenticator
from kactl_agent.vrrp.packet import (
    PROTOCOL,
    Reason,
    RemoteProtocolError,
    internet_checksum,
    is_multicast,
    message_length,
    pseudo_header_sum,
)
from kactl_agent.vrrp.reception import Reception
from kactl_agent.vrrp.settings import Family, VrrpSettings

_SECOND = 1_000_000_000
_AH_LENGTH = 24
_BFD_PORTS = {mode.port: mode for mode in Mode}


class Verdict(NamedTuple):
    """One packet. `accepted` None: it depends on what is not known; `detail` then says on what."""

    kind: str  # VRRPv2, VRRPv3, BFD, IPVS sync
    subject: str  # the instance or session that would get it, "" when none is configured
    accepted: bool | None
    reason: str  # stable code of a discard, "" for none
    detail: str
    fields: dict[str, Any]


class Onlooker:
    """Remembers what engines do: sequence numbers make a verdict depend on the packets before."""

    def __init__(
        self,
        instances: tuple[VrrpSettings, ...] = (),
        sessions: tuple[SessionSettings, ...] = (),
        sync_ids: Mapping[int, str] | None = None,
    ) -> None:
        """`sync_ids`: those of lvs_sync_daemon; None when no configuration is known."""
        self._instances = instances
        self._sessions = sessions
        self._sync_ids = sync_ids
        self._receptions: dict[str, Reception] = {}
        self._engines: dict[str, Session] = {}

    def judge(self, packet: Packet) -> Verdict | None:
        """None for packets of other protocols."""
        if packet.protocol in (PROTOCOL, PROTOCOL_AH):
            return self._vrrp(packet)
        if packet.protocol == UDP and packet.port in _BFD_PORTS:
            return self._bfd(packet)
        if packet.protocol == UDP and packet.port == ipvs_sync.PORT:
            return self._sync(packet)
        return None

    # -- VRRP ----------------------------------------------------------------------------------------------------------

    def _vrrp(self, packet: Packet) -> Verdict | None:
        family = Family.IPV4 if len(packet.source) == 4 else Family.IPV6
        message = packet.payload
        if packet.protocol == PROTOCOL_AH:
            if len(message) < _AH_LENGTH or message[0] != PROTOCOL:
                return None
            message = message[_AH_LENGTH:]
        version = message[0] >> 4 if message else 0
        kind = f"VRRPv{version}" if version in (2, 3) else "VRRP"
        fields = _vrrp_fields(packet, message, version, family)
        settings = self._instance(packet, message, version, family)
        if settings is None:
            text = "no vrrp_instance of the configuration has this virtual_router_id and address family"
            return Verdict(kind, "", False, Reason.VIRTUAL_ROUTER_ID.value, text, fields)
        subject = f"vrrp_instance {settings.name}" if self._instances else ""
        meta = PacketMeta(
            packet.source, packet.destination, packet.ttl, settings.interface,
            protocol=packet.protocol, header=packet.header if packet.protocol == PROTOCOL_AH else b"",
        )  # fmt: skip
        try:
            taken = self._reception(settings).check(packet.payload, meta, packet.at)
        except RemoteProtocolError as fault:
            if self._instances or not fault.reason.value.startswith("auth_"):
                return Verdict(kind, subject, False, fault.reason.value, fault.detail, fields)
            text = f"{fields.get('authentication', 'authentication')}: --config says what is expected"
            return Verdict(kind, "", None, "", text, fields)
        said = "; ".join(remark.detail for remark in taken.remarks)
        if not self._instances and fields.get("authentication"):
            return Verdict(kind, "", None, "", f"{fields['authentication']}: --config says what is expected", fields)
        return Verdict(kind, subject, True, "", said, fields)

    def _instance(self, packet: Packet, message: bytes, version: int, family: Family) -> VrrpSettings | None:
        """The one that would hear it; without a configuration, one made for it that asks for no authentication."""
        vrid = message[1] if len(message) > 1 else 0
        for settings in self._instances:
            same = settings.virtual_router_id == vrid and settings.family is family
            if same and (not settings.unicast_peers or packet.source in settings.unicast_peers):
                return settings
        if self._instances:
            return None
        unicast = () if is_multicast(packet.destination) else (packet.source,)
        seconds = message[5] if version == 2 and len(message) > 5 else 1
        return VrrpSettings(
            name="",
            interface="",
            virtual_router_id=vrid,
            version=version if version in (2, 3) else 3,
            family=family,
            priority=100,
            advert_interval=max(seconds, 1) * _SECOND,
            addresses=(),
            unicast_peers=unicast,
        )

    def _reception(self, settings: VrrpSettings) -> Reception:
        if not self._instances:
            return Reception(settings)
        known = self._receptions.get(settings.name)
        if known is None:
            header = AuthenticationHeader(settings.auth_password) if settings.authentication_header else None
            hmac = Authenticator(settings) if settings.auth_hmac is not None else None
            known = self._receptions[settings.name] = Reception(settings, header, hmac)
        return known

    # -- BFD -----------------------------------------------------------------------------------------------------------

    def _bfd(self, packet: Packet) -> Verdict:
        mode = _BFD_PORTS[packet.port]
        try:
            read = decode_bfd(packet.payload)
        except BfdFault as fault:
            return Verdict("BFD", "", False, fault.reason.value, fault.detail, {"port": packet.port})
        fields = _bfd_fields(read, packet, mode)
        meta = BfdMeta(packet.source, packet.port, packet.ttl, packet.destination)
        session = self._session(packet, mode)
        if session is None:
            if self._sessions:
                text = "no bfd_instance of the configuration is with this neighbour"
                return Verdict("BFD", "", False, "unknown_neighbor", text, fields)
            return _bfd_without_configuration(read, packet, mode, fields)
        subject = f"bfd_instance {session.settings.name}"
        try:
            session.check(read, packet.payload, replace(meta, interface=session.settings.interface))
        except BfdFault as fault:
            return Verdict("BFD", subject, False, fault.reason.value, fault.detail, fields)
        return Verdict("BFD", subject, True, "", "", fields)

    def _session(self, packet: Packet, mode: Mode) -> Session | None:
        for settings in self._sessions:
            looped = mode is Mode.UNAFFILIATED_ECHO and packet.source == settings.source
            if settings.mode is mode and (settings.neighbor == packet.source or looped):
                engine = EchoSession if mode is Mode.UNAFFILIATED_ECHO else Session
                if settings.name not in self._engines:
                    self._engines[settings.name] = engine(settings, 1, 0, 0)
                return self._engines[settings.name]
        return None

    # -- IPVS ----------------------------------------------------------------------------------------------------------

    def _sync(self, packet: Packet) -> Verdict:
        try:
            message = ipvs_sync.decode(packet.payload)
        except ipvs_sync.SyncFault as fault:
            return Verdict("IPVS sync", "", False, "malformed", str(fault), {"port": packet.port})
        fields = {
            "version": message.version,
            "sync_id": message.sync_id,
            "connections": [connection._asdict() for connection in message.connections],
        }
        if self._sync_ids is None:
            return Verdict("IPVS sync", "", None, "", "the kernel takes it where its sync_id is the same, or 0", fields)
        if not self._sync_ids:
            return Verdict("IPVS sync", "", False, "no_sync_daemon", "there is no lvs_sync_daemon", fields)
        name = self._sync_ids.get(message.sync_id) or self._sync_ids.get(0)
        if name is None:
            ids = ", ".join(map(str, self._sync_ids))
            return Verdict("IPVS sync", "", False, "sync_id", f"sync_id {message.sync_id}, not {ids}", fields)
        return Verdict("IPVS sync", name, True, "", "", fields)


def _vrrp_fields(packet: Packet, message: bytes, version: int, family: Family) -> dict[str, Any]:
    """As far as the message goes: it may be any rubbish."""
    fields: dict[str, Any] = {}
    if len(message) < 8 or version not in (2, 3):
        return fields
    count, width = message[3], 4 if family is Family.IPV4 else 16
    interval = message[5] * 1000 if version == 2 else (int.from_bytes(message[4:6], "big") & 0xFFF) * 10
    end = message_length(message, version, family) or len(message)
    body, trailer = message[:end], message[end:]
    fields |= {
        "virtual_router_id": message[1],
        "priority": message[2],
        "advert_interval_ms": interval,
        "addresses": [
            str(ip_address(message[at : at + width]))
            for at in range(8, min(8 + count * width, len(message) - width + 1), width)
        ],
    }
    if version == 2 and message[4]:
        fields["authentication"] = {1: "a simple text password", 2: "an authentication header"}.get(
            message[4], "unknown"
        )
    if len(trailer) == TRAILER_LENGTH:
        fields["authentication"] = f"auth_hmac with key {trailer[1]}"
        fields["auth_hmac"] = {"key_id": trailer[1], "sequence": int.from_bytes(trailer[4:12], "big")}
    fields["checksum"] = _checksums(packet, body, trailer, version, family)
    return fields


def _checksums(packet: Packet, body: bytes, trailer: bytes, version: int, family: Family) -> dict[str, Any]:
    """What the message carries, and whether that is right: VRRPv3 over IPv4 has been sent with both."""
    zeroed = body[:6] + b"\0\0" + body[8:]
    carried = int.from_bytes(body[6:8], "big")
    covered = zeroed + trailer if family is Family.IPV6 else zeroed
    alone = internet_checksum(zeroed)
    with_header = internet_checksum(covered, pseudo_header_sum(packet.source, packet.destination, len(covered)))
    result: dict[str, Any] = {"carried": f"{carried:04x}"}
    if version == 2 or family is Family.IPV4:
        result["message_only"] = {"value": f"{alone:04x}", "right": carried == alone}
    if version == 3:
        result["pseudo_header"] = {"value": f"{with_header:04x}", "right": carried == with_header}
    return result


def _bfd_fields(read: ControlPacket, packet: Packet, mode: Mode) -> dict[str, Any]:
    names = ("poll", "final", "control_plane_independent", "demand")
    fields: dict[str, Any] = {
        "mode": mode.value,
        "state": read.state.text,
        "diagnostic": diagnostic_text(read.diagnostic),
        "flags": [name for name in names if getattr(read, name)],
        "detect_mult": read.detect_mult,
        "my_discriminator": read.my_discriminator,
        "your_discriminator": read.your_discriminator,
        "desired_min_tx_ms": read.desired_min_tx_interval / 1000,
        "required_min_rx_ms": read.required_min_rx_interval / 1000,
        "required_min_echo_rx_ms": read.required_min_echo_rx_interval / 1000,
    }
    padding = len(packet.payload) - 24 - len(read.auth)
    if padding:
        fields["padding"] = padding
    if read.auth:
        kind = read.auth[0]
        known = kind in {each.value for each in AuthType}
        fields["authentication"] = AuthType(kind).name.lower() if known else f"type {kind}"
        fields["key_id"] = read.auth[2] if len(read.auth) > 2 else None
        if known and kind != AuthType.SIMPLE_PASSWORD and len(read.auth) >= 8:
            fields["sequence"] = int.from_bytes(read.auth[4:8], "big")
    return fields


def _bfd_without_configuration(read: ControlPacket, packet: Packet, mode: Mode, fields: dict[str, Any]) -> Verdict:
    ipv6 = len(packet.source) == 16
    name, least = ("hop limit", default_minimum_ttl(6)) if ipv6 else ("TTL", default_minimum_ttl(4))
    if mode is Mode.UNAFFILIATED_ECHO and packet.ttl != LOOPED_TTL:
        text = f"{name} {packet.ttl} is not {LOOPED_TTL}: it was not sent back by one neighbour"
        return Verdict("BFD", "", False, "ttl", text, fields)
    if mode is Mode.SINGLE_HOP and packet.ttl < least:
        text = f"{name} {packet.ttl} is less than {least}: only with a smaller ttl, or with max_hops, would it be taken"
        return Verdict("BFD", "", False, "ttl", text, fields)
    if read.auth:
        text = f"{fields['authentication']} with key {fields['key_id']}: --config says what is expected"
        return Verdict("BFD", "", None, "", text, fields)
    text = "by a session with this neighbour that asks for no authentication"
    if mode is Mode.SINGLE_HOP and packet.ttl < 255:
        text += f" and does not say ttl: with 255 a hop limit of {packet.ttl} is not enough"
    return Verdict("BFD", "", True, "", text, fields)

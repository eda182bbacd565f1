"""Unaffiliated BFD Echo (RFC 9747): a neighbour that runs no BFD sends our own packets back, by forwarding them.

The state machine is that of RFC 5880, fed with what was looped. AdminDown is not used, nothing is negotiated, and a
session that has been Up and hears its packets no more is Down with diagnostic 2.
"""

from __future__ import annotations

from kactl_agent.bfd.actions import Action, Disable, Enable, Input, PacketMeta
from kactl_agent.bfd.fsm import RECEIVED, Event
from kactl_agent.bfd.packet import ControlPacket, Reason, RemoteProtocolError, State, encode
from kactl_agent.bfd.session import Session
from kactl_agent.bfd.settings import SLOWEST_ALLOWED

LOOPED_TTL = 254  # RFC 9747 3: sent with 255, forwarded once


class EchoSession(Session):
    """A session whose packets come back as they were sent."""

    def receive(self, packet: ControlPacket, data: bytes, meta: PacketMeta, now: int) -> list[Action]:
        try:
            self.check(packet, data, meta)
            if packet.my_discriminator != self.discriminator:
                raise RemoteProtocolError(Reason.NOT_LOOPED, "not a packet of this session's own")
        except RemoteProtocolError as error:
            return self.discarded(error)
        self.repeated = b""
        if self.remote_discriminator != self.discriminator:
            self.remote_discriminator = self.discriminator
            self._packet = b""
        self.remote_state = packet.state
        self.remote_detect_mult = packet.detect_mult
        self.refresh(now)
        if self.state is State.UP and packet.state is not State.UP:
            return []  # sent before it came Up, and overtaken on its way
        actions = self._happen(RECEIVED[packet.state], now)
        if self.repeats(packet):
            self.repeated = data
        return actions

    def repeats(self, packet: ControlPacket) -> bool:
        return self._authenticator is None and self.state is State.UP and packet.state is State.UP

    def handle_event(self, event: Input, now: int) -> list[Action]:
        return [] if isinstance(event, Disable | Enable) else super().handle_event(event, now)

    def admits(self, meta: PacketMeta) -> RemoteProtocolError | None:
        fault = super().admits(meta)
        if fault is None and meta.ttl != LOOPED_TTL:
            return RemoteProtocolError(Reason.TTL, f"TTL {meta.ttl}, not {LOOPED_TTL}")
        return fault

    @property
    def detection_time(self) -> int:
        return self.settings.detect_mult * self._tx_in_force

    @property
    def _failure(self) -> Event:
        return Event.ECHO_FAILED if self.state is State.UP else Event.DETECTION_TIME_EXPIRED

    def _said(self, event: Event) -> str:
        return "the neighbour sends back what it is sent" if event in RECEIVED.values() else super()._said(event)

    def _want_intervals(self) -> None:
        """Nobody has to be told (RFC 9747 3)."""
        self.desired_min_tx = self._tx_in_force = self._wanted_tx()

    def _encode(self, *, final: bool) -> bytes:
        del final  # no Poll is ever asked
        packet = ControlPacket(
            state=self.state,
            diagnostic=self.diagnostic,
            detect_mult=self.settings.detect_mult,
            my_discriminator=self.discriminator,
            your_discriminator=self.remote_discriminator,
            desired_min_tx_interval=SLOWEST_ALLOWED,
            required_min_rx_interval=SLOWEST_ALLOWED,
        )
        if self._authenticator is None:
            data = encode(packet)
        else:
            data = self._authenticator.sign(encode(packet, self._authenticator.length))
        return data.ljust(self.settings.padded_pdu_size, b"\0")

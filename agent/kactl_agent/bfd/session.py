"""One BFD session in asynchronous mode (RFC 5880 6.8), which serves a neighbour in demand mode too.

`now` is an argument, in ns. Where the RFC's text leaves two ways open:

- A Poll is answered in AdminDown as well (6.8.7 against 6.8.6): the neighbour's Poll Sequence would never end else.
- A Detection Time that expires in Down leaves the diagnostic alone (6.8.4 as published): it says why it went Down.
"""

from __future__ import annotations

from kactl_agent.bfd.actions import (
    Action,
    Cause,
    ConcatenatedPath,
    Disable,
    Enable,
    ForwardingPlaneReset,
    Input,
    PacketMeta,
    Repeat,
    Report,
    Send,
    Settled,
    StateChanged,
)
from kactl_agent.bfd.auth import Authenticator
from kactl_agent.bfd.congestion import Congestion
from kactl_agent.bfd.fsm import RECEIVED, TABLE, Event
from kactl_agent.bfd.intervals import Randomness, detection_time, jittered, transmit_interval
from kactl_agent.bfd.packet import (
    HEADER_LENGTH,
    ControlPacket,
    Diagnostic,
    Reason,
    RemoteProtocolError,
    State,
    diagnostic_text,
    encode,
)
from kactl_agent.bfd.settings import MICROSECOND, SLOWEST_ALLOWED, Mode, SessionSettings
from kactl_agent.bfd.snapshot import SessionSnapshot

_CAUSES = {
    Event.RECEIVED_ADMIN_DOWN: Cause.NEIGHBOR_ADMIN_DOWN,
    Event.RECEIVED_DOWN: Cause.NEIGHBOR_DOWN,
    Event.RECEIVED_INIT: Cause.NEIGHBOR_INIT,
    Event.RECEIVED_UP: Cause.NEIGHBOR_UP,
    Event.DETECTION_TIME_EXPIRED: Cause.DETECTION_TIME_EXPIRED,
    Event.ECHO_FAILED: Cause.ECHO_FAILED,
    Event.FORWARDING_PLANE_RESET: Cause.FORWARDING_PLANE_RESET,
    Event.DISABLE: Cause.DISABLED,
    Event.ENABLE: Cause.ENABLED,
}
_DELIBERATE = (Event.RECEIVED_ADMIN_DOWN, Event.DISABLE)  # no failure of the path (RFC 5882 4.2)


class Session:
    """`discriminator` is unique on the machine and not 0, `seed` a random number of 64 bits."""

    def __init__(self, settings: SessionSettings, discriminator: int, seed: int, now: int) -> None:
        self.settings = settings
        self.discriminator = discriminator
        self.state = State.DOWN
        self.diagnostic = 0
        self.remote_state = State.DOWN
        self.remote_discriminator = 0
        self.remote_diagnostic = 0
        self.remote_min_rx = 1
        self.remote_desired_min_tx = 0
        self.remote_detect_mult = 0
        self.remote_demand = False
        self.polling = False
        self.up = False  # as clients see it: AdminDown, here or there, is no failure and leaves it as it was
        self.settled = False
        self._congestion = Congestion()
        self.desired_min_tx = self._wanted_tx()
        self.required_min_rx = settings.required_min_rx_interval
        self._tx_in_force = self.desired_min_tx  # behind the one advertised while a Poll Sequence runs
        self._rx_in_force = self.required_min_rx
        self._poll_again = False
        self._randomness = Randomness(seed & 0xFFFFFFFF)
        self._auth_sequence = seed >> 32 & 0xFFFFFFFF
        self._authenticator = self._make_authenticator()
        self._packet = b""  # what is sent periodically; b"": it has changed
        self.repeated = b""  # a received packet that, when it comes again, changes nothing: see `repeats`
        self._since = now
        self._cause = ""
        self._detail = ""
        self._interval = 0
        self._last_sent: int | None = None
        self._next_tx: int | None = None
        self._last_received = 0
        self._detect_at: int | None = None
        self._forget_at: int | None = None
        self._settle_at: int | None = now + settings.detect_mult * self.desired_min_tx * MICROSECOND
        self.statistics: dict[str, int] = dict.fromkeys(("sent", "received", "up", "down", "detection_expired"), 0)
        self._pace(now)

    def _make_authenticator(self) -> Authenticator | None:
        authentication = self.settings.authentication
        return None if authentication is None else Authenticator(authentication, self._auth_sequence)

    def _wanted_tx(self) -> int:
        if self.state is State.UP:
            return self._congestion.slowed(self.settings.desired_min_tx_interval)
        return max(self.settings.idle_tx_interval, SLOWEST_ALLOWED)

    # -- inputs --------------------------------------------------------------------------------------------------------

    def receive(self, packet: ControlPacket, data: bytes, meta: PacketMeta, now: int) -> list[Action]:
        """A packet that was found to be this session's (RFC 5880 6.8.6, from the authentication on)."""
        try:
            self.check(packet, data, meta)
        except RemoteProtocolError as error:
            return self.discarded(error)
        self.repeated = b""
        if self.remote_discriminator != packet.my_discriminator:
            self.remote_discriminator = packet.my_discriminator
            self._packet = b""
        self.remote_state = packet.state
        self.remote_demand = packet.demand
        self.remote_min_rx = packet.required_min_rx_interval
        self.remote_desired_min_tx = packet.desired_min_tx_interval
        self.remote_detect_mult = packet.detect_mult
        self.remote_diagnostic = packet.diagnostic
        self._hear_poll(packet)
        self._pace(now)
        actions: list[Action] = []
        if self.state is State.ADMIN_DOWN:
            if packet.poll:
                actions.append(self._send(now, final=True))
            return [*actions, *self.discarded(RemoteProtocolError(Reason.ADMIN_DOWN, "administratively down here"))]
        self.refresh(now)
        actions += self._happen(RECEIVED[packet.state], now, answers=packet.poll)
        if packet.poll:
            actions.append(self._send(now, final=True))
        if self.repeats(packet):
            self.repeated = data
        return actions

    def repeats(self, packet: ControlPacket) -> bool:
        """Whether the same bytes, received again, would change nothing but when the session was last heard of."""
        return (
            self._authenticator is None
            and self.state is State.UP
            and packet.state is State.UP
            and not (packet.poll or packet.final or packet.demand or self._poll_again)
            and packet.my_discriminator == self.remote_discriminator
            and packet.required_min_rx_interval == self.remote_min_rx
        )

    def refresh(self, now: int) -> None:
        """A packet has been accepted (RFC 5880 6.8.4, 6.8.6)."""
        self.statistics["received"] += 1
        self._last_received = now
        expected = self.detection_time * MICROSECOND
        self._detect_at = now + expected
        if self._authenticator is not None:
            self._forget_at = now + 2 * expected

    def handle_timer(self, now: int) -> list[Action]:
        """Carry out what is due."""
        actions: list[Action] = []
        if self._detect_at is not None and now >= self._detect_at:
            actions += self._expire(now)
        if self._forget_at is not None and now >= self._forget_at:
            self._forget_at = None
            if self._authenticator is not None:
                self._authenticator.forget()
        if self._settle_at is not None and now >= self._settle_at:
            self._settle_at, self.settled = None, True
            actions.append(Settled())
        if self._congestion.deadline is not None and now >= self._congestion.deadline:
            self._congestion.recover(now)
            self._want_intervals()
            self._pace(now)
        if self._next_tx is not None and now >= self._next_tx:
            actions.append(self._send(now))
        return actions

    def handle_event(self, event: Input, now: int) -> list[Action]:
        match event:
            case Disable():
                return self._happen(Event.DISABLE, now)
            case Enable():
                return self._happen(Event.ENABLE, now)
            case Repeat():
                return [self._send(now)] if self._may_send else []
            case ForwardingPlaneReset():
                return self._happen(Event.FORWARDING_PLANE_RESET, now)
            case ConcatenatedPath():
                return self._concatenated(event, now)
        return []

    def reconfigure(self, settings: SessionSettings, now: int) -> list[Action]:
        """Other settings of the same session: a changed interval is a Poll Sequence, and no flap (RFC 5880 6.8.3)."""
        old, self.settings = self.settings, settings
        self._packet = self.repeated = b""
        if settings.authentication != old.authentication:
            self._change_authentication(settings)
        if settings.detect_mult != old.detect_mult and self._demanded:
            self._begin_poll()  # RFC 5880 6.6
        self._want_intervals()
        if self._detect_at is not None:
            self._detect_at = self._last_received + self.detection_time * MICROSECOND
        self._pace(now)
        # a neighbour that wants no periodic packets learns of it by one of its own
        return [self._send(now)] if self.polling and not self._interval and self._may_send else []

    def _change_authentication(self, settings: SessionSettings) -> None:
        new = settings.authentication
        known = self._authenticator
        if new is not None and known is not None and new.type is known.settings.type:
            known.reconfigure(new)
            return
        if known is not None:
            self._auth_sequence = known.transmitted
        self._authenticator = self._make_authenticator()

    # -- outputs -------------------------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """When `handle_timer` is to be called next."""
        earliest = self._next_tx
        for moment in (self._detect_at, self._settle_at, self._forget_at, self._congestion.deadline):
            if moment is not None and (earliest is None or moment < earliest):
                earliest = moment
        return earliest

    @property
    def detection_time(self) -> int:
        """Microseconds (RFC 5880 6.8.4)."""
        return detection_time(self.remote_detect_mult, self._rx_in_force, self.remote_desired_min_tx)

    @property
    def transmit_interval(self) -> int:
        """Microseconds between periodic packets, before jitter; 0: none are sent."""
        return self._interval

    def snapshot(self) -> SessionSnapshot:
        return SessionSnapshot(
            name=self.settings.name,
            state=self.state,
            remote_state=self.remote_state,
            since=self._since,
            cause=self._cause,
            detail=self._detail,
            up=self.up,
            settled=self.settled,
            mode=self.settings.mode,
            local_discriminator=self.discriminator,
            remote_discriminator=self.remote_discriminator,
            diagnostic=self.diagnostic,
            remote_diagnostic=self.remote_diagnostic,
            polling=self.polling,
            desired_min_tx_interval=self.desired_min_tx,
            required_min_rx_interval=self.required_min_rx,
            remote_desired_min_tx_interval=self.remote_desired_min_tx,
            remote_min_rx_interval=self.remote_min_rx,
            remote_detect_mult=self.remote_detect_mult,
            transmit_interval=self._interval,
            detection_time=self.detection_time,
            last_received=self._last_received,
            statistics=dict(self.statistics),
        )

    # -- reception -----------------------------------------------------------------------------------------------------

    def admits(self, meta: PacketMeta) -> RemoteProtocolError | None:
        """Why a packet that came like this is none of this session's, whatever its bytes are (RFC 5881 4, 5)."""
        settings = self.settings
        if meta.port != settings.mode.port:
            return RemoteProtocolError(Reason.PORT, f"to port {meta.port}, not {settings.mode.port}")
        if settings.interface and meta.interface != settings.interface:
            detail = f"through {meta.interface or 'another interface'}, not {settings.interface}"
            return RemoteProtocolError(Reason.INTERFACE, detail)
        if meta.ttl < settings.minimum_ttl:
            return RemoteProtocolError(Reason.TTL, f"TTL {meta.ttl}, and at least {settings.minimum_ttl} is wanted")
        return None

    def check(self, packet: ControlPacket, data: bytes, meta: PacketMeta) -> None:
        """Raises RemoteProtocolError."""
        fault = self.admits(meta)
        if fault is not None:
            raise fault
        if self._authenticator is None:
            if packet.auth:
                raise RemoteProtocolError(Reason.AUTH_UNEXPECTED, "authenticated, and no authentication is configured")
        elif not packet.auth:
            raise RemoteProtocolError(Reason.AUTH_MISSING, "not authenticated")
        else:
            self._authenticator.verify(packet, data[: HEADER_LENGTH + len(packet.auth)])

    def discarded(self, error: RemoteProtocolError) -> list[Action]:
        """Counted; the first of its reason is said."""
        counter = f"discarded_{error.reason.value}"
        self.statistics[counter] = count = self.statistics.get(counter, 0) + 1
        if count > 1 or error.reason is Reason.ADMIN_DOWN:
            return []
        return [Report("warning", counter, f"a packet of the neighbour is discarded: {error.detail}")]

    def _hear_poll(self, packet: ControlPacket) -> None:
        """Poll Sequences (RFC 5880 6.5). What changed during one is told in the next, which begins once the neighbour
        is seen to be through with the one before (6.8.3)."""
        if packet.final:
            if self.polling:
                self.polling, self._packet = False, b""
                if not self._poll_again:
                    self._tx_in_force, self._rx_in_force = self.desired_min_tx, self.required_min_rx
        elif self._poll_again and not self.polling:
            self._poll_again, self.polling, self._packet = False, True, b""

    def _expire(self, now: int) -> list[Action]:
        self._detect_at = None
        silent = (now - self._last_received) // 1_000_000
        self.remote_discriminator = 0
        self.remote_min_rx = 1
        self.remote_demand = False
        self._packet = self.repeated = b""
        if self.state in (State.INIT, State.UP):
            self.statistics["detection_expired"] += 1
        slower = self.state is State.UP and self.settings.mode is Mode.MULTIHOP and self._congestion.fail(now)
        detail = f"nothing was received for {silent} ms"
        actions = self._happen(self._failure, now, detail)
        self._pace(now)
        if slower:
            text = f"lost again within a minute: intervals are {self._congestion.factor} times as long for now"
            actions.append(Report("warning", "congestion", text))
        return actions

    @property
    def _failure(self) -> Event:
        """What it is that nothing was received for the Detection Time."""
        return Event.DETECTION_TIME_EXPIRED

    # -- state ---------------------------------------------------------------------------------------------------------

    def _happen(self, event: Event, now: int, detail: str = "", *, answers: bool = False) -> list[Action]:
        """Follow the table. `answers`: a packet is going to be sent in any case."""
        row, old = TABLE[self.state, event], self.state
        if row.next is old:
            self._pace(now)  # the neighbour may have begun or ended to ask for demand mode
            return []
        self.state = row.next
        if row.diagnostic is not None:
            self.diagnostic = row.diagnostic
        self._packet = self.repeated = b""
        self._since, self._cause = now, _CAUSES[event].value
        self._detail = detail or self._said(event)
        if row.next is State.UP:
            self.up = self.settled = True
            self._settle_at = None
            self._congestion.come_up(now)
            self.statistics["up"] += 1
        elif old is State.UP:
            self.statistics["down"] += 1
            if event not in _DELIBERATE:
                self.up = False
        self._want_intervals()
        self._pace(now)
        changed = StateChanged(
            old, row.next, _CAUSES[event], self._detail, self.diagnostic, self.remote_diagnostic, self.up
        )
        return [changed] if answers or not self._may_send else [self._send(now), changed]

    def _said(self, event: Event) -> str:
        if event in (Event.RECEIVED_DOWN, Event.RECEIVED_ADMIN_DOWN):
            return f"the neighbour is {self.remote_state.text}: {diagnostic_text(self.remote_diagnostic)}"
        if event in (Event.RECEIVED_INIT, Event.RECEIVED_UP):
            return f"the neighbour is {self.remote_state.text}"
        return _CAUSES[event].value.replace("_", " ")

    def _concatenated(self, event: ConcatenatedPath, now: int) -> list[Action]:
        kinds = (Diagnostic.CONCATENATED_PATH_DOWN, Diagnostic.REVERSE_CONCATENATED_PATH_DOWN)
        if event.down:
            diagnostic = int(kinds[event.reverse])
        elif self.diagnostic in kinds:
            diagnostic = 0
        else:
            return []
        if diagnostic == self.diagnostic:
            return []
        self.diagnostic, self._packet = diagnostic, b""
        if self._demanded:
            self._begin_poll()
            self._pace(now)
        return [self._send(now)] if self._may_send else []

    # -- intervals -----------------------------------------------------------------------------------------------------

    def _want_intervals(self) -> None:
        """RFC 5880 6.8.3: what changes is told by a Poll Sequence. While Up, sending slower, and expecting the
        neighbour to be faster, have to wait for its end."""
        desired, required = self._wanted_tx(), self._congestion.slowed(self.settings.required_min_rx_interval)
        if (desired, required) != (self.desired_min_tx, self.required_min_rx):
            self.desired_min_tx, self.required_min_rx = desired, required
            self._begin_poll()
        up = self.state is State.UP
        if not (up and self.polling and desired > self._tx_in_force):
            self._tx_in_force = desired
        if not (up and self.polling and required < self._rx_in_force):
            self._rx_in_force = required

    def _begin_poll(self) -> None:
        self._packet = b""
        if self.polling:
            self._poll_again = True
        else:
            self.polling = True

    @property
    def _demanded(self) -> bool:
        """The neighbour wants no periodic packets while both are Up (RFC 5880 6.6)."""
        return self.remote_demand and self.state is State.UP and self.remote_state is State.UP

    @property
    def _may_send(self) -> bool:
        return not self.settings.passive or self.remote_discriminator != 0

    def _pace(self, now: int) -> None:
        """When the next periodic packet is sent, if that has changed (RFC 5880 6.8.2, 6.8.3, 6.8.7)."""
        if not self._may_send or (self._demanded and not self.polling):
            interval = 0
        else:
            interval = transmit_interval(self._tx_in_force, self.remote_min_rx)
        if interval == self._interval:
            return
        self._interval = interval
        if not interval:
            self._next_tx = None
        elif self._last_sent is None:
            self._next_tx = now
        else:
            self._next_tx = max(now, self._last_sent + self._jittered(interval))

    def _jittered(self, interval: int) -> int:
        return jittered(interval, self._randomness.next()) * MICROSECOND

    def _send(self, now: int, *, final: bool = False) -> Send:
        """An answer to a Poll goes out whatever the timers say, and leaves them alone (RFC 5880 6.8.7)."""
        if final:
            data = self._encode(final=True)
        else:
            if self._authenticator is not None or not self._packet:
                self._packet = self._encode(final=False)
            data = self._packet
            if self._interval:
                self._last_sent = now
                self._next_tx = now + self._jittered(self._interval)
        self.statistics["sent"] += 1
        return Send(data)

    def _encode(self, *, final: bool) -> bytes:
        settings, authenticator = self.settings, self._authenticator
        packet = ControlPacket(
            state=self.state,
            diagnostic=self.diagnostic,
            poll=self.polling and not final,
            final=final,
            detect_mult=settings.detect_mult,
            my_discriminator=self.discriminator,
            your_discriminator=self.remote_discriminator,
            desired_min_tx_interval=self.desired_min_tx,
            required_min_rx_interval=self.required_min_rx,
        )
        if authenticator is None:
            data = encode(packet)
        else:
            data = authenticator.sign(encode(packet, authenticator.length))
        return data.ljust(settings.padded_pdu_size, b"\0")

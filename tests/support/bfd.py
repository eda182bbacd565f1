"""BFD sessions in virtual time: settings, packets of a made-up neighbour, and two machines with a link between them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from kactl_agent.bfd.actions import Action, PacketMeta, Send, StateChanged
from kactl_agent.bfd.packet import ControlPacket, State, decode, encode
from kactl_agent.bfd.session import Session
from kactl_agent.bfd.sessions import Sessions
from kactl_agent.bfd.settings import Mode, SessionSettings

MS = 1_000  # microseconds
SECOND = 1_000_000
NS = 1_000  # of a microsecond
NEIGHBOR = ip_address("192.0.2.2").packed
OWN = ip_address("192.0.2.1").packed
LOCAL_DISCRIMINATOR = 0x11111111
REMOTE_DISCRIMINATOR = 0x22222222


def settings(**changes: Any) -> SessionSettings:
    fields: dict[str, Any] = {
        "name": "b1",
        "neighbor": NEIGHBOR,
        "desired_min_tx_interval": 50 * MS,
        "required_min_rx_interval": 50 * MS,
        "detect_mult": 3,
    }
    return SessionSettings(**(fields | changes))


def meta(**changes: Any) -> PacketMeta:
    fields: dict[str, Any] = {"source": NEIGHBOR, "destination": OWN, "port": 3784, "ttl": 255}
    return PacketMeta(**(fields | changes))


def packet(**changes: Any) -> ControlPacket:
    """What a neighbour at 50 ms x 3 sends that knows us."""
    fields: dict[str, Any] = {
        "state": State.UP,
        "detect_mult": 3,
        "my_discriminator": REMOTE_DISCRIMINATOR,
        "your_discriminator": LOCAL_DISCRIMINATOR,
        "desired_min_tx_interval": 50 * MS,
        "required_min_rx_interval": 50 * MS,
    }
    return ControlPacket(**(fields | changes))


def sent(actions: Iterable[Action]) -> list[ControlPacket]:
    return [decode(action.data) for action in actions if isinstance(action, Send)]


def changes(actions: Iterable[Action]) -> list[StateChanged]:
    return [action for action in actions if isinstance(action, StateChanged)]


class Bench:
    """One session, hearing packets as `packet` makes them; `now` is microseconds here, ns in the engine."""

    def __init__(self, seed: int = 0x1234_5678_9ABC_DEF0, **said: Any) -> None:
        self.now = 0
        self.session = Session(settings(**said), LOCAL_DISCRIMINATOR, seed, 0)
        self.log: list[tuple[int, Action]] = []

    def _note(self, actions: list[Action]) -> list[Action]:
        self.log += [(self.now, action) for action in actions]
        return actions

    def hear(self, at: PacketMeta | None = None, **fields: Any) -> list[Action]:
        heard = packet(**fields)
        return self.hear_bytes(encode(heard), at)

    def hear_bytes(self, data: bytes, at: PacketMeta | None = None) -> list[Action]:
        return self._note(self.session.receive(decode(data), data, at or meta(), self.now * NS))

    def tell(self, event: Any) -> list[Action]:
        return self._note(self.session.handle_event(event, self.now * NS))

    def reconfigure(self, **said: Any) -> list[Action]:
        return self._note(self.session.reconfigure(settings(**said), self.now * NS))

    def run(self, until: int) -> list[Action]:
        """Let time pass, to `until`; all timers on the way are carried out on time."""
        done: list[Action] = []
        while (deadline := self.session.deadline()) is not None and deadline <= until * NS:
            self.now = max(self.now, -(-deadline // NS))
            done += self._note(self.session.handle_timer(max(deadline, self.now * NS)))
        self.now = until
        return done

    def pass_time(self, span: int) -> list[Action]:
        return self.run(self.now + span)

    def come_up(self, **fields: Any) -> None:
        """The three-way handshake, and the end of the Poll Sequence that follows it."""
        self.pass_time(1)
        self.hear(**({"state": State.DOWN, "your_discriminator": 0} | fields))
        self.hear(**({"state": State.INIT} | fields))
        self.hear(**({"final": True} | fields))
        assert self.session.state is State.UP
        assert not self.session.polling
        self.pass_time(1)

    def sent(self, since: int = 0) -> list[tuple[int, ControlPacket]]:
        return [(at, decode(a.data)) for at, a in self.log if isinstance(a, Send) and at >= since]


Fate = Callable[[bytes, int], list[int]]
"""What becomes of a datagram sent at a moment (ns): the delays (ns) of the copies that arrive."""


class Wire:
    """Two machines with a session each and a link between them. Times are ns."""

    DELAY = 200_000

    def __init__(self, left: SessionSettings, right: SessionSettings, seeds: tuple[int, int] = (1, 2)) -> None:
        self.now = 0
        self.ends = (Sessions(), Sessions())
        self.log: list[tuple[int, int, Action]] = []
        self.fates: list[Fate] = [lambda _d, _n: [self.DELAY], lambda _d, _n: [self.DELAY]]
        self._flying: list[tuple[int, int, int, bytes]] = []
        self._serial = 0
        self._settings = [left, right]
        for number, each in enumerate((left, right)):
            self.ends[number].add(each.name, each, 1000 + number, seeds[number] * 0x9E3779B97F4A7C15, 0)

    def session(self, end: int) -> Session:
        return self.ends[end][self._settings[end].name]

    def do(self, end: int, named: Iterable[tuple[str, Action]]) -> None:
        for _name, action in named:
            self.log.append((self.now, end, action))
            if isinstance(action, Send):
                for delay in self.fates[end](action.data, self.now):
                    self._serial += 1
                    heapq.heappush(self._flying, (self.now + delay, self._serial, 1 - end, action.data))

    def run(self, until: int, stop: Callable[[], bool] = lambda: False) -> None:
        while not stop():
            moments = [d for d in (e.deadline() for e in self.ends) if d is not None]
            if self._flying:
                moments.append(self._flying[0][0])
            if not moments or min(moments) > until:
                self.now = until
                return
            self.now = max(self.now, min(moments))
            while self._flying and self._flying[0][0] <= self.now:
                _at, _serial, end, data = heapq.heappop(self._flying)
                mode = self._settings[end].mode
                arrived = PacketMeta(
                    source=self._settings[end].neighbor,
                    destination=self._settings[end].source,
                    port=mode.port,
                    ttl=254 if mode is Mode.UNAFFILIATED_ECHO else 255,
                )
                self.do(end, self.ends[end].receive(data, arrived, self.now))
            for end, engine in enumerate(self.ends):
                self.do(end, engine.handle_timer(self.now))

    def both_up(self) -> bool:
        return all(self.session(end).state is State.UP for end in (0, 1))

    def sent(self, end: int, since: int = 0) -> list[tuple[int, ControlPacket]]:
        return [
            (at, decode(action.data))
            for at, who, action in self.log
            if who == end and at >= since and isinstance(action, Send)
        ]

    def changes(self, end: int, since: int = 0) -> list[StateChanged]:
        return [a for at, who, a in self.log if who == end and at >= since and isinstance(a, StateChanged)]

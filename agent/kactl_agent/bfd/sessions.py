"""All the sessions of a process as one engine: whose packet it is (RFC 5880 6.8.6, RFC 5881 3, RFC 5883 4), timers.

What every session does forty times a second is kept short: a packet that is byte for byte the one before only moves
the Detection Time, and is recognised without being decoded.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from kactl_agent.bfd.actions import Action, Input, PacketMeta, Report
from kactl_agent.bfd.echo import EchoSession
from kactl_agent.bfd.packet import ControlPacket, Reason, RemoteProtocolError, State, decode
from kactl_agent.bfd.session import Session
from kactl_agent.bfd.settings import MICROSECOND, Mode, SessionSettings

Named = tuple[str, Action]
_LATE_REPORTS = 10_000_000_000  # ns between two of them
_UNNAMED = ""  # the session of reports about packets that are nobody's


class Lateness:
    """How late timers were handled, in ns."""

    def __init__(self) -> None:
        self.timers = 0
        self.maximum = 0
        self.over_10ms = 0
        self.over_quarter = 0  # of a detection time

    def add(self, late: int) -> None:
        self.timers += 1
        if late > self.maximum:
            self.maximum = late
        if late > 10_000_000:
            self.over_10ms += 1


class Sessions:
    """Sessions by name. Every method that takes `now` returns what is to be done, with the name of the session."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._by_discriminator: dict[int, Session] = {}
        self._by_neighbor: dict[tuple[bytes, int], list[Session]] = {}
        self._repeated: dict[bytes, Session] = {}
        self._repeated_by: dict[str, bytes] = {}
        self._heap: list[tuple[int, str]] = []
        self._scheduled: dict[str, int] = {}
        self._late_reported: int | None = None
        self.lateness = Lateness()
        self.discarded: dict[str, int] = {}  # by reason: packets that are no session's

    def __contains__(self, name: str) -> bool:
        return name in self._sessions

    def __getitem__(self, name: str) -> Session:
        return self._sessions[name]

    @property
    def all(self) -> Mapping[str, Session]:
        return self._sessions

    # -- which sessions there are --------------------------------------------------------------------------------------

    def add(self, name: str, settings: SessionSettings, discriminator: int, seed: int, now: int) -> None:
        """Raises ValueError when the discriminator cannot be had: another has to be drawn."""
        if name in self._sessions:
            raise ValueError(f"there is already a session {name}")
        if not discriminator or discriminator in self._by_discriminator:
            raise ValueError(f"the discriminator {discriminator} is taken")
        kind = EchoSession if settings.mode is Mode.UNAFFILIATED_ECHO else Session
        session = self._sessions[name] = kind(settings, discriminator, seed, now)
        self._by_discriminator[discriminator] = session
        self._by_neighbor.setdefault(_address(settings), []).append(session)
        self._schedule(name, session)

    def remove(self, name: str) -> None:
        session = self._sessions.pop(name)
        del self._by_discriminator[session.discriminator]
        self._by_neighbor[_address(session.settings)].remove(session)
        self._scheduled.pop(name, None)
        self._forget_repeated(name)

    def rename(self, old: str, new: str) -> None:
        session = self._sessions.pop(old)
        self._sessions[new] = session
        self._scheduled.pop(old, None)
        self._forget_repeated(old)
        self._schedule(new, session)

    def reconfigure(self, name: str, settings: SessionSettings, now: int) -> list[Named]:
        """Other settings, for the same neighbour."""
        session = self._sessions[name]
        return self._done(name, session, session.reconfigure(settings, now))

    # -- inputs --------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, meta: PacketMeta, now: int) -> list[Named]:
        session = self._repeated.get(data)
        if session is not None and session.repeated == data and session.admits(meta) is None:
            session.refresh(now)
            return []
        try:
            packet = decode(data)
            name, session = self._select(packet, meta)
        except RemoteProtocolError as error:
            return self._discard(error)
        actions = session.receive(packet, data, meta, now)
        if session.repeated:
            self._forget_repeated(name)
            self._repeated[data], self._repeated_by[name] = session, data
        return self._done(name, session, actions)

    def handle_timer(self, now: int) -> list[Named]:
        """Carry out all that is due."""
        done: list[Named] = []
        heap, scheduled = self._heap, self._scheduled
        while heap and heap[0][0] <= now:
            moment, name = heapq.heappop(heap)
            if scheduled.get(name) != moment:
                continue  # overtaken
            del scheduled[name]
            session = self._sessions[name]
            due = session.deadline()
            if due is not None and due <= now:
                done += self._late(name, session, now - due, now)
                done += [(name, action) for action in session.handle_timer(now)]
            self._schedule(name, session)
        return done

    def tell(self, name: str, event: Input, now: int) -> list[Named]:
        session = self._sessions[name]
        return self._done(name, session, session.handle_event(event, now))

    def deadline(self) -> int | None:
        """When `handle_timer` is to be called; early for a session that was heard of meanwhile."""
        return self._heap[0][0] if self._heap else None

    # -- inside --------------------------------------------------------------------------------------------------------

    def _select(self, packet: ControlPacket, meta: PacketMeta) -> tuple[str, Session]:
        """The session a packet is for: by Your Discriminator alone where there is one, else by addresses, interface and
        kind of session. Raises RemoteProtocolError."""
        if packet.your_discriminator:
            session = self._by_discriminator.get(packet.your_discriminator)
            if session is None:
                detail = f"no session has the discriminator {packet.your_discriminator}"
                raise RemoteProtocolError(Reason.NO_SESSION, detail)
            return self._name_of(session), session
        if meta.port == Mode.UNAFFILIATED_ECHO.port:  # what comes back there is our own (RFC 9747 3)
            session = self._by_discriminator.get(packet.my_discriminator)
            if session is not None and session.settings.mode is Mode.UNAFFILIATED_ECHO:
                return self._name_of(session), session
            raise RemoteProtocolError(Reason.NOT_LOOPED, "not a packet of a session of ours")
        found = [s for s in self._by_neighbor.get((meta.source, meta.port), ()) if _is_by_this_way(s.settings, meta)]
        if not found:
            raise RemoteProtocolError(Reason.UNKNOWN_NEIGHBOR, "no session is with this sender")
        # one that is administratively down takes nothing away from another
        session = next((session for session in found if session.state is not State.ADMIN_DOWN), found[0])
        return self._name_of(session), session

    def _name_of(self, session: Session) -> str:
        name = session.settings.name
        return name if self._sessions.get(name) is session else self._find(session)

    def _find(self, session: Session) -> str:
        """Of one that is called something else here than in the configuration: it is being given up."""
        return next(name for name, each in self._sessions.items() if each is session)

    def _discard(self, error: RemoteProtocolError) -> list[Named]:
        reason = error.reason.value
        self.discarded[reason] = count = self.discarded.get(reason, 0) + 1
        if count > 1:
            return []
        return [(_UNNAMED, Report("warning", f"discarded_{reason}", f"a packet is discarded: {error.detail}"))]

    def _late(self, name: str, session: Session, late: int, now: int) -> Iterable[Named]:
        """Said when it is more than a quarter of the time in which the neighbour declares the session Down."""
        self.lateness.add(late)
        limit = session.settings.detect_mult * session.transmit_interval * MICROSECOND // 4
        if not limit or late <= limit:
            return ()
        self.lateness.over_quarter += 1
        if self._late_reported is not None and now - self._late_reported < _LATE_REPORTS:
            return ()
        self._late_reported = now
        detail = f"a timer was {late / 1e6:.1f} ms late, more than a quarter of the detection time"
        return [(name, Report("warning", "timer_late", detail))]

    def _done(self, name: str, session: Session, actions: list[Action]) -> list[Named]:
        self._schedule(name, session)
        return [(name, action) for action in actions]

    def _schedule(self, name: str, session: Session) -> None:
        """An entry of the heap is never later than the session's deadline; one that is earlier is put right when its
        time comes."""
        deadline = session.deadline()
        if deadline is not None and (name not in self._scheduled or deadline < self._scheduled[name]):
            self._scheduled[name] = deadline
            heapq.heappush(self._heap, (deadline, name))

    def _forget_repeated(self, name: str) -> None:
        data = self._repeated_by.pop(name, None)
        if data is not None:
            del self._repeated[data]


def _is_by_this_way(settings: SessionSettings, meta: PacketMeta) -> bool:
    if settings.interface not in ("", meta.interface):
        return False
    return settings.source in (b"", meta.destination) or not meta.destination


def _address(settings: SessionSettings) -> tuple[bytes, int]:
    return settings.neighbor, settings.mode.port

"""Sessions and the machine they run on: sockets, random numbers, one timer. Nothing of the protocol is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from kactl_agent.bfd.actions import Disable, Repeat, Report, Send, Settled, StateChanged
from kactl_agent.bfd.packet import State
from kactl_agent.bfd.session import Session
from kactl_agent.bfd.sessions import Named, Sessions
from kactl_agent.bfd.settings import MICROSECOND, SessionSettings
from kactl_agent.kernel.bfd_sockets import BfdPorts, Place, Receiver, Sender, place_of
from kactl_agent.runtime.configuration import ConfigurationChanges
from kactl_agent.runtime.loop import HasFileno

_AT_ONCE = 64  # datagrams read before timers have their turn
_AFTER_STANDSTILL = 8  # datagrams read for each session before anybody is declared silent
_FINEST, _COARSEST = 250_000, 2_000_000  # ns
_PARTS = 25  # of an interval
_OVERDUE = 5_000_000  # ns; after that what has arrived is heard before anybody is declared silent


class Watcher(Protocol):
    """Calls back when a socket is readable."""

    def watch(self, sock: HasFileno, readable: Callable[[], None]) -> None: ...

    def unwatch(self, sock: HasFileno) -> None: ...


class Listener(Protocol):
    """Hears what sessions say. A session that is being given up says nothing any more."""

    def state_changed(self, name: str, change: StateChanged, now: int) -> None: ...

    def settled(self, name: str) -> None: ...

    def report(self, name: str, report: Report) -> None: ...


class Path:
    """How packets of one session get out and in: its socket, and the receiving one it shares."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.sender: Sender | None = None
        self.source_port = 0  # the session's, whatever becomes of its socket (RFC 5881 4)
        self.problem = ""


class BfdMachine:
    """`random` gives so many random bytes; `arm` is told when `run_due` is to be called."""

    def __init__(
        self,
        ports: BfdPorts,
        watcher: Watcher,
        listener: Listener,
        clock: Callable[[], int],
        arm: Callable[[int | None], None],
        random: Callable[[int], bytes],
    ) -> None:
        self._ports = ports
        self._watcher = watcher
        self._listener = listener
        self._clock = clock
        self._arm = arm
        self._random = random
        self.sessions = Sessions()
        self._receivers: dict[Place, Receiver] = {}
        self._paths: dict[str, Path] = {}
        self._retired: dict[str, int] = {}  # session that is being given up -> until when it says so
        self._retired_count = 0
        self._armed: int | None = None

    # -- configuration -------------------------------------------------------------------------------------------------

    def apply(self, wanted: Iterable[SessionSettings]) -> ConfigurationChanges:
        """Sessions go on, under another name too, while neighbour, source, interface and kind stay the same; and with
        another source or interface where that is the way they go already."""
        now = self._clock()
        before = {name: self.sessions[name].settings for name in self.names}
        after = {settings.name: settings for settings in wanted}
        self._rename(before, after)
        running = {name: self.sessions[name].settings for name in self.names}
        for name, settings in running.items():
            if name not in after or not self._goes_on(name, settings, after[name]):
                self._retire(name, now)
        for name, settings in after.items():
            if name not in self.sessions:
                self._start(settings, now)
            elif self.sessions[name].settings != settings:
                self._reconfigure(name, settings, now)
        self._rearm()
        return ConfigurationChanges(
            removed=tuple(name for name in before if name not in after),
            changed=tuple(name for name in after if name in before and before[name] != after[name]),
            added=tuple(name for name in after if name not in before),
            unchanged=sum(before.get(name) == after[name] for name in after),
        )

    @property
    def granularity(self) -> int:
        """How many ns apart the process has to look at its sessions, so that it may do what is due together: a small
        part of the shortest interval."""
        shortest = min((self.sessions[name].settings.desired_min_tx_interval for name in self.names), default=0)
        return max(_FINEST, min(shortest * MICROSECOND // _PARTS, _COARSEST))

    @property
    def names(self) -> list[str]:
        """Sessions of the configuration in force."""
        return [name for name in self.sessions.all if name not in self._retired]

    def path(self, name: str) -> Path:
        return self._paths[name]

    def _rename(self, before: dict[str, SessionSettings], after: dict[str, SessionSettings]) -> None:
        gone = {settings.identity: name for name, settings in before.items() if name not in after}
        for name, settings in after.items():
            old = gone.pop(settings.identity, None) if name not in before else None
            if old is not None:
                self.sessions.rename(old, name)
                self._paths[name] = self._paths.pop(old)

    def _goes_on(self, name: str, old: SessionSettings, new: SessionSettings) -> bool:
        """Whether the running session is what is wanted: also where the configuration only says now, or says no more,
        which address and interface its packets have."""
        if old.identity == new.identity:
            return True
        sender = self._paths[name].sender
        if (
            sender is None
            or old.peer != new.peer
            or (old.interface != new.interface and old.interface and new.interface)
        ):
            return False
        try:
            attempt = self._ports.open_sender(new, 0)
        except OSError:
            return False
        attempt.close()
        return attempt.source == sender.source

    def _start(self, settings: SessionSettings, now: int) -> None:
        """The neighbour may take a session that is being given up for the same one as its successor: it has said so
        once, and saying it again would end both."""
        for name in [name for name in self._retired if self.sessions[name].settings.peer == settings.peer]:
            self._remove(name)
        name = settings.name
        while True:
            seed = int.from_bytes(self._random(8), "big")
            try:
                self.sessions.add(name, settings, int.from_bytes(self._random(4), "big"), seed, now)
            except ValueError:
                continue  # the discriminator is taken, or 0
            break
        self._paths[name] = Path(place_of(settings))
        self._open(name)

    def _reconfigure(self, name: str, settings: SessionSettings, now: int) -> None:
        path, place = self._paths[name], place_of(settings)
        moved = path.place != place
        if moved and path.place in self._receivers:
            self._read(self._receivers[path.place], _AT_ONCE)  # what waits there is not bound to the new interface
        named = self.sessions.reconfigure(name, settings, now)
        if moved:
            path.place = place
            self._close_sender(path)
            self._open(name)
        elif path.sender is not None:
            try:
                path.sender.configure(settings)
            except OSError as error:
                self._broken(name, error)
        self._carry_out(named, now)

    def _retire(self, name: str, now: int) -> None:
        """RFC 5882 8: say AdminDown for a while, so that the neighbour does not take it for a failure."""
        self._retired_count += 1
        retired = f"{name} (given up {self._retired_count})"
        session = self.sessions[name]
        self.sessions.rename(name, retired)
        self._paths[retired] = self._paths.pop(name)
        self._retired[retired] = now  # nobody is told of it any more
        self._carry_out(self.sessions.tell(retired, Disable(), now), now)
        self._retired[retired] = now + session.settings.detect_mult * session.desired_min_tx * MICROSECOND

    def _remove(self, name: str) -> None:
        self.sessions.remove(name)
        self._close_sender(self._paths.pop(name))
        self._retired.pop(name, None)

    def stop(self) -> None:
        """Say AdminDown to all neighbours, again to those that have been told: `close` follows."""
        now = self._clock()
        for name, session in list(self.sessions.all.items()):
            self._retired.setdefault(name, now)
            event = Repeat() if session.state is State.ADMIN_DOWN else Disable()
            self._carry_out(self.sessions.tell(name, event, now), now)
        self._arm(None)

    def close(self) -> None:
        for path in self._paths.values():
            self._close_sender(path)
        for place in list(self._receivers):
            self._close_receiver(place)

    # -- sockets -------------------------------------------------------------------------------------------------------

    def retry(self) -> None:
        """To be called every second: what could not be opened, interfaces that are others now, sessions given up."""
        now = self._clock()
        for name in [name for name, until in self._retired.items() if until <= now]:
            self._remove(name)
        used = {path.place for path in self._paths.values()}
        for place, receiver in list(self._receivers.items()):
            moved = place.interface and self._ports.interface_index(place.interface) != receiver.interface_index
            if place not in used or moved:
                self._close_receiver(place)
        for name, path in self._paths.items():
            sender, interface = path.sender, path.place.interface
            moved = (
                sender is not None and interface and self._ports.interface_index(interface) != sender.interface_index
            )
            if moved or path.problem or path.sender is None or path.place not in self._receivers:
                self._close_sender(path)
                self._open(name)

    def _open(self, name: str) -> None:
        path = self._paths[name]
        try:
            if path.place not in self._receivers:
                receiver = self._ports.open_receiver(path.place, self._receivers.values())
                self._receivers[path.place] = receiver
                self._watcher.watch(receiver, lambda: self._readable(receiver))
            path.sender = self._ports.open_sender(self.sessions[name].settings, path.source_port)
            path.source_port = path.sender.source_port
        except OSError as error:
            self._broken(name, error)
            return
        if path.problem:
            path.problem = ""
            self._listener.report(name, Report("info", "path_open", "packets can be sent again"))

    def _broken(self, name: str, error: OSError) -> None:
        """Said when it is another reason than before."""
        path = self._paths[name]
        reason = error.strerror or str(error)
        if path.problem != reason:
            path.problem = reason
            if name not in self._retired:
                text = f"packets cannot be sent: {reason}; this is tried again every second"
                self._listener.report(name, Report("warning", "path_broken", text))

    def _close_sender(self, path: Path) -> None:
        if path.sender is not None:
            path.sender.close()
            path.sender = None

    def _close_receiver(self, place: Place) -> None:
        receiver = self._receivers.pop(place)
        self._watcher.unwatch(receiver)
        receiver.close()

    # -- what happens --------------------------------------------------------------------------------------------------

    def run_due(self) -> None:
        """The armed time has come. After a standstill, what has arrived is heard before anybody is silent."""
        now = self._clock()
        if self._armed is not None and now - self._armed > _OVERDUE:
            most = max(_AT_ONCE, _AFTER_STANDSTILL * len(self.sessions.all))
            for receiver in list(self._receivers.values()):
                self._read(receiver, most)
            now = self._clock()
        self._armed = None
        self._carry_out(self.sessions.handle_timer(now), now)
        self._rearm()

    def _readable(self, receiver: Receiver) -> None:
        self._read(receiver, _AT_ONCE)
        self._rearm()

    def _read(self, receiver: Receiver, most: int) -> None:
        for _ in range(most):
            try:
                received = receiver.receive()
            except OSError:
                return  # an interface that went; `retry` sees to it
            if received is None:
                return
            now = self._clock()
            named = self.sessions.receive(*received, now)
            if named:
                self._carry_out(named, now)

    def _carry_out(self, named: Iterable[Named], now: int) -> None:
        """Neighbours first: where a hundred sessions are lost at once, none waits for what is told of others."""
        others = []
        for name, action in named:
            if isinstance(action, Send):
                self._send(name, action.data)
            else:
                others.append((name, action))
        for name, action in others:
            match action:
                case StateChanged() if name not in self._retired:
                    self._listener.state_changed(name, action, now)
                case Settled() if name not in self._retired:
                    self._listener.settled(name)
                case Report() if name not in self._retired:
                    self._listener.report(name, action)
                case _:
                    pass

    def _send(self, name: str, data: bytes) -> None:
        path = self._paths[name]
        if path.sender is None:
            return
        try:
            path.sender.send(data)
        except BlockingIOError:
            self._count(self.sessions[name], "not_sent")
        except OSError as error:
            self._count(self.sessions[name], "send_failed")
            self._broken(name, error)

    def _count(self, session: Session, counter: str) -> None:
        session.statistics[counter] = session.statistics.get(counter, 0) + 1

    def _rearm(self) -> None:
        deadline = self.sessions.deadline()
        if deadline != self._armed:
            self._armed = deadline
            self._arm(deadline)

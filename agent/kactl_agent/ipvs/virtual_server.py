"""A virtual server as a pure engine: verdicts of checkers in; who is in its pool, with which weight, out.

As keepalived 2.2.7 was seen to do it:

- a real server is alive when none of its checkers says that it is not. Checkers with alpha say so until they succeed;
- a dead one is taken out of the pool, or stays in it with weight 0 (inhibit_on_failure);
- while the quorum is lost and there is a sorry server, that one takes the place of the whole pool. Without one those
  that are alive stay;
- without the quorum at the start, the sorry server stands in, which is told; without one nothing is told before the
  quorum has been gained;
- a sorry server that is not needed is out, or stays in with weight 0 (sorry_server_inhibit).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from kactl_agent.ipvs.actions import (
    AddressPresent,
    CheckerFailed,
    CheckerSaid,
    CheckerWeighed,
    PutDestination,
    PutServices,
    QuorumChanged,
    RemoveDestination,
    RemoveServices,
    ResumeCheckers,
    ServerChanged,
    ServerRemoved,
    SorryServerChanged,
    SuspendCheckers,
    WeightChanged,
    WeightOrdered,
)
from kactl_agent.ipvs.model import Destination, DestinationKey
from kactl_agent.ipvs.quorum import QuorumChange, judge
from kactl_agent.ipvs.settings import RealServerSettings, VirtualServerSettings
from kactl_agent.ipvs.snapshot import ServerSnapshot, VirtualServerSnapshot
from kactl_agent.vrrp.actions import Action, Input, Shutdown, Startup

_HIGHEST_WEIGHT = 2**31 - 1


class CheckerState(msgspec.Struct, frozen=True, gc=False):
    """What one checker says of its real server. Thousands say the same, which may be one object."""

    up: bool
    weight: int | None = None
    difference: int = 0


class _Server:
    """A real server."""

    __slots__ = ("alive", "checkers", "ordered", "settings", "told", "weight")

    def __init__(self, settings: RealServerSettings, checkers: Sequence[CheckerState]) -> None:
        self.settings = settings
        self.checkers = checkers
        self.ordered: int | None = None
        self.alive = self.all_up()
        self.told = self.alive  # whether anything was ever said of it: not while alpha checkers have not run
        self.weight = self.weight_now()

    @property
    def key(self) -> DestinationKey:
        return DestinationKey(self.settings.address, self.settings.port)

    def heard(self, place: int, state: CheckerState) -> None:
        """What one of its checkers says now."""
        self.checkers = tuple([state if at == place else each for at, each in enumerate(self.checkers)])

    def all_up(self) -> bool:
        return all(checker.up for checker in self.checkers)

    def weight_now(self) -> int:
        """The configured weight with what checkers make of it. A weight that a checker says is a difference to the
        configured one, so that those of several add up. What an operator ordered is in place of all that."""
        if self.ordered is not None:
            return self.ordered
        configured = self.settings.weight
        weight = configured
        for checker in self.checkers:
            weight += checker.difference + (0 if checker.weight is None else checker.weight - configured)
        return max(0, min(_HIGHEST_WEIGHT, weight))

    def destination(self, weight: int) -> Destination:
        said = self.settings
        return Destination(self.key, weight, said.forwarding, said.upper_threshold, said.lower_threshold)


class VirtualServer:
    """One virtual_server. Nothing here waits for a time, so that there is no deadline.

    `checkers` are the states of the checkers of each real server, in the order of the settings.
    """

    __slots__ = ("_pool", "_quorum_up", "_running", "_servers", "_sorry_active", "_suspended", "settings")

    def __init__(self, settings: VirtualServerSettings, checkers: Sequence[Sequence[CheckerState]]) -> None:
        self.settings = settings
        self._servers = _servers(settings, checkers)
        self._quorum_up: bool | None = None
        self._sorry_active = False
        self._suspended = False
        self._running = False
        self._pool: tuple[Destination, ...] = ()

    # -- the engine ----------------------------------------------------------------------------------------------------

    def handle_event(self, event: Input, now: int) -> list[Action]:
        """Startup, Shutdown and the inputs of `kactl_agent.ipvs.actions`. Raises TypeError for others."""
        del now
        match event:
            case Startup():
                return self._start()
            case Shutdown():
                return self._stop()
            case CheckerSaid():
                return self._checker_said(event)
            case CheckerFailed():
                return self._checker_failed(event)
            case CheckerWeighed():
                return self._checker_weighed(event)
            case WeightOrdered():
                return self._weight_ordered(event)
            case AddressPresent():
                return self._address_present(event.present)
        raise TypeError(f"{type(event).__name__} is no input of a virtual server")

    def snapshot(self) -> VirtualServerSnapshot:
        return VirtualServerSnapshot(
            quorum_up=bool(self._quorum_up),
            weight=self._live_weight(),
            sorry_active=self._sorry_active,
            suspended=self._suspended,
            servers=tuple(
                ServerSnapshot(each.alive, each.settings.weight, each.weight, each.ordered) for each in self._servers
            ),
        )

    def desired(self) -> list[Destination]:
        """What is to be in each of its services now."""
        return list(self._pool)

    def reconfigure(self, settings: VirtualServerSettings, checkers: Sequence[Sequence[CheckerState]]) -> list[Action]:
        """Other settings of the same virtual server. Real servers are the same when address and port are."""
        before = {server.key: (place, server) for place, server in enumerate(self._servers)}
        self.settings = settings
        self._servers = _servers(settings, checkers)
        actions: list[Action] = [PutServices()]
        kept = {server.key for server in self._servers}
        actions += [
            ServerRemoved(place, "a reload has removed it")
            for key, (place, server) in before.items()
            if key not in kept and server.alive
        ]
        for place, server in enumerate(self._servers):
            known = before.get(server.key)
            if known is None:
                if server.alive:
                    text = "it is taken for alive since the reload"
                    actions.append(ServerChanged(place, True, "", text, starting=True))
                continue
            server.told = known[1].told or server.alive
            server.ordered = known[1].ordered
            server.weight = server.weight_now()
            if known[1].alive is not server.alive:
                actions.append(ServerChanged(place, server.alive, "", "its checkers are others since the reload"))
        actions += self._judge("")
        if not settings.ha_suspend and self._suspended:
            actions += self._address_present(True)
        return actions + self._follow()

    # -- inputs --------------------------------------------------------------------------------------------------------

    def _start(self) -> list[Action]:
        self._running = True
        actions: list[Action] = [PutServices()]
        actions += [
            ServerChanged(place, True, "", "it is taken for alive at the start", starting=True)
            for place, server in enumerate(self._servers)
            if server.alive
        ]
        return [*actions, *self._judge(""), *self._follow()]

    def _stop(self) -> list[Action]:
        """With omega it is told that everything is down."""
        if not self._running:
            return []
        self._running = False
        actions: list[Action] = []
        if self.settings.omega:
            actions += [
                ServerRemoved(place, "the agent is stopping") for place, each in enumerate(self._servers) if each.alive
            ]
            if self._quorum_up:
                actions.append(QuorumChanged(False, 0, detail="the agent is stopping"))
        self._quorum_up = False
        self._pool = ()
        return [*actions, RemoveServices()]

    def removed(self) -> list[Action]:
        """A reload takes the virtual server away: what was up is down, which is told (keepalived 2.2.7)."""
        text = "a reload has removed its virtual server"
        actions: list[Action] = [
            ServerRemoved(place, text) for place, server in enumerate(self._servers) if server.alive
        ]
        if self._quorum_up:
            actions.append(QuorumChanged(False, 0, detail="a reload has removed it"))
        self._running, self._quorum_up = False, False
        self._pool = ()
        return [*actions, RemoveServices()]

    def _checker_said(self, event: CheckerSaid) -> list[Action]:
        server = self._servers[event.server]
        known = server.checkers[event.checker]
        server.heard(event.checker, CheckerState(event.up, known.weight, known.difference))
        alive = server.all_up()
        if alive is server.alive:
            return []
        server.alive, server.told = alive, True
        if not self._running:
            return []
        change = ServerChanged(event.server, alive, event.keyword, event.detail)
        return [change, *self._judge(event.detail), *self._follow()]

    def _checker_failed(self, event: CheckerFailed) -> list[Action]:
        """What alpha has taken for dead is: that is told once."""
        server = self._servers[event.server]
        if server.alive or server.told or not self._running:
            return []
        server.told = True
        return [ServerChanged(event.server, False, event.keyword, event.detail)]

    def _checker_weighed(self, event: CheckerWeighed) -> list[Action]:
        server = self._servers[event.server]
        up = server.checkers[event.checker].up
        server.heard(event.checker, CheckerState(up, event.weight, event.difference))
        old, server.weight = server.weight, server.weight_now()
        if server.weight == old or not self._running:
            return []
        return [WeightChanged(event.server, old, server.weight), *self._judge(""), *self._follow()]

    def _weight_ordered(self, event: WeightOrdered) -> list[Action]:
        server = self._servers[event.server]
        server.ordered = None if event.weight is None else max(0, min(_HIGHEST_WEIGHT, event.weight))
        old, server.weight = server.weight, server.weight_now()
        if server.weight == old or not self._running:
            return []
        said = event.reason or ("taken back" if event.weight is None else "ordered")
        return [WeightChanged(event.server, old, server.weight, said), *self._judge(said), *self._follow()]

    def _address_present(self, present: bool) -> list[Action]:
        if self._suspended is not present:
            return []
        self._suspended = not present
        return [ResumeCheckers() if present else SuspendCheckers()]

    # -- quorum and pool -----------------------------------------------------------------------------------------------

    def _live_weight(self) -> int:
        return sum(server.weight for server in self._servers if server.alive)

    def _judge(self, detail: str) -> list[Action]:
        """What the weights in force make of the quorum, and that of the sorry server."""
        if not self._running:
            return []
        weight = self._live_weight()
        starting, up = self._quorum_up is None, bool(self._quorum_up)
        change = judge(up, weight, self.settings.quorum, self.settings.hysteresis)
        self._quorum_up = up if change is QuorumChange.NONE else change is QuorumChange.GAINED
        sorry = self.settings.sorry_server is not None and not self._quorum_up
        actions: list[Action] = []
        if change is not QuorumChange.NONE or (starting and sorry):
            actions.append(QuorumChanged(self._quorum_up, weight, starting, detail))
        if sorry is not self._sorry_active:
            self._sorry_active = sorry
            actions.append(SorryServerChanged(sorry))
        return actions

    def _wanted(self) -> Iterator[Destination]:
        for server in self._servers:
            if server.alive and not self._sorry_active:
                yield server.destination(server.weight)
            elif server.settings.inhibit:
                yield server.destination(0)
        sorry = self.settings.sorry_server
        if sorry is not None and (self._sorry_active or sorry.inhibit):
            yield Destination(DestinationKey(sorry.address, sorry.port), int(self._sorry_active), sorry.forwarding)

    def _follow(self) -> list[Action]:
        """Make the pool what it is to be: who comes or changes before who goes, so that it is not empty between."""
        if not self._running:
            return []
        before = {destination.key: destination for destination in self._pool}
        after = {destination.key: destination for destination in self._wanted()}
        actions: list[Action] = []
        for key, destination in after.items():
            known = before.get(key)
            if known == destination:
                after[key] = known  # which the table has, too
            else:
                actions.append(PutDestination(destination))
        self._pool = tuple(after.values())
        actions += [RemoveDestination(key) for key in before if key not in after]
        return actions


def _servers(settings: VirtualServerSettings, checkers: Sequence[Sequence[CheckerState]]) -> tuple[_Server, ...]:
    return tuple([_Server(real, states) for real, states in zip(settings.real_servers, checkers, strict=True)])

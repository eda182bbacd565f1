"""Routers with a sync group each, one member on each of several LANs, in virtual time."""

from __future__ import annotations

from typing import Any

from kactl_agent.vrrp.actions import Action, GroupTransition, SendAdvert, Startup, State
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SyncGroupSettings
from kactl_agent.vrrp.sync_group import SyncGroup
from support.vrrp import make_settings, packed
from support.vrrp_world import Node, World


class Router:
    """A machine with one instance on each LAN, all in one sync group."""

    def __init__(self, number: int, lans: int, **changes: Any) -> None:
        self.number = number
        self.nodes: dict[str, Node] = {}
        for lan in range(lans):
            settings = make_settings(name=f"V{lan}", virtual_router_id=51 + lan, sync_group="G", **changes)
            self.nodes[settings.name] = Node(settings, packed(f"192.0.2.{number}"))
        self.group: SyncGroup | None = None
        self.transitions: list[GroupTransition] = []

    @property
    def states(self) -> set[State | None]:
        return {node.state for node in self.nodes.values()}


class GroupWorld(World):
    """The routers and the LANs between their instances. What one instance does, its group is told at once."""

    def __init__(self, seed: int, routers: list[Router], max_delay: int, lateness: int = 0) -> None:
        super().__init__(seed, [node for router in routers for node in router.nodes.values()], max_delay, lateness)
        self.routers = routers
        self._router_of = {id(node): router for router in routers for node in router.nodes.values()}

    def boot(self, router: Router) -> None:
        engines = {}
        for name, node in router.nodes.items():
            node.engine = engines[name] = VrrpInstance(node.settings)
            assert node.engine.handle_event(node.interface(), self.now) == []
        router.group = SyncGroup(SyncGroupSettings(name="G", members=tuple(engines)), engines)
        for node in router.nodes.values():
            self.tell(node, Startup())

    def halt(self, router: Router) -> None:
        """Power off."""
        router.group = None
        for node in router.nodes.values():
            self.power_off(node)

    def _apply(self, node: Node, actions: list[Action]) -> None:
        router = self._router_of[id(node)]
        assert router.group is not None
        for name, action in router.group.follow(node.settings.name, actions, self.now):
            if isinstance(action, GroupTransition):
                router.transitions.append(action)
            elif isinstance(action, SendAdvert):
                self._send(router.nodes[name], action)
            else:
                self._keep(router.nodes[name], action)
        for member in router.nodes.values():
            assert bool(member.addresses) is (member.state is State.MASTER)
        # The point of it: all members or none, at every moment
        started = {state for state in router.states if state not in (None, State.INIT)}
        assert len(started) <= 1 or State.MASTER not in started, (self.now, started)
        assert len(started) <= 1 or State.FAULT not in started, (self.now, started)
        self._observe()

    def _hears(self, sender: Node, other: Node) -> bool:
        return super()._hears(sender, other) and other.settings.virtual_router_id == sender.settings.virtual_router_id

    def _observe(self) -> None:
        """Rivalry is per LAN here: see `rivals`."""

    def rivals(self) -> list[Router]:
        return [router for router in self.routers if State.MASTER in router.states]

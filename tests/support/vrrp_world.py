"""A LAN of VRRP engines in virtual time: loss, delay, partition, crash, and the rules that must hold all the while.

Everything comes from one seed. Times are ns of the one virtual clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from random import Random
from typing import Any

import msgspec

from kactl_agent.vrrp.actions import (
    Action,
    AddAddresses,
    ClockOffset,
    Input,
    InterfaceState,
    PacketMeta,
    RemoveAddresses,
    SendAdvert,
    Stalled,
    Startup,
    State,
    Transition,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import VirtualAddress, VrrpSettings
from support.vrrp import UNIX_TIME, on_the_wire


class Node:
    """A machine: its engine while the agent runs, and the addresses it has, which survive a killed agent."""

    def __init__(self, settings: VrrpSettings, address: bytes) -> None:
        self.settings = settings
        self.address = address
        self.engine: VrrpInstance | None = None
        self.up = True
        self.addresses: set[VirtualAddress] = set()
        self.segment = 0
        self.clock_step = 0
        self.clock_error = 0  # of its wall clock, ns, when nothing is wrong with it
        self.suspended_at: int | None = None  # it stands still since then
        self.waiting: list[tuple[bytes, PacketMeta]] = []  # what its socket took in meanwhile

    @property
    def state(self) -> State | None:
        return self.engine.state if self.engine else None

    def interface(self) -> InterfaceState:
        return InterfaceState(
            up=self.up, exists=True, primary_address=self.address, hardware_address=b"\x02" + self.address[:5], mtu=1500
        )


class World:
    """The machines, the LAN between them and the clock."""

    def __init__(self, seed: int, nodes: list[Node], max_delay: int, lateness: int = 0) -> None:
        self.random = Random(seed)
        self.nodes = nodes
        self.now = 0
        self.max_delay = max_delay
        self.lateness = lateness  # how late a timer may be served
        self.loss = 0.0
        self.transitions: list[tuple[int, Node, Transition]] = []
        self.sent: deque[tuple[int, Node, int]] = deque(maxlen=200)  # adverts: when, by whom, with which priority
        self.rivalry = 0  # the longest time with two masters on one sound LAN
        self._rivals_since: int | None = None
        self._sound_since = 0
        self._packets: list[tuple[int, int, Node, bytes, PacketMeta]] = []
        self._sequence = 0

    # -- what happens to the machines ----------------------------------------------------------------------------------

    def start(self, node: Node) -> None:
        node.engine = VrrpInstance(node.settings)
        assert node.engine.handle_event(node.interface(), self.now) == []
        if node.settings.auth_hmac:
            assert node.engine.handle_event(ClockOffset(UNIX_TIME + node.clock_error + node.clock_step), self.now) == []
        self.tell(node, Startup())

    def kill(self, node: Node) -> None:
        """SIGKILL: nothing is sent and nothing removed."""
        node.engine = None
        self._observe()

    def power_off(self, node: Node) -> None:
        node.addresses.clear()
        self.kill(node)

    def set_link(self, node: Node, up: bool) -> None:
        node.up = up
        if node.engine:
            self.tell(node, node.interface())

    def reload(self, node: Node, **changes: Any) -> None:
        if node.engine:
            node.settings = msgspec.structs.replace(node.settings, **changes)
            self._apply(node, node.engine.reconfigure(node.settings, self.now))

    def suspend(self, node: Node) -> None:
        """It stands still: SIGSTOP, or a virtual machine that is paused."""
        if node.suspended_at is None:
            node.suspended_at, node.waiting = self.now, []
            self._observe()

    def resume(self, node: Node, *, machine: bool = False) -> None:
        """It goes on, as the vrrp worker does: the pause is noticed first, then what waited is read. With `machine`
        nothing has waited: nobody was there to take it in."""
        if node.suspended_at is None:
            return
        pause, node.suspended_at = self.now - node.suspended_at, None
        waiting, node.waiting = node.waiting, []
        if node.engine:
            self.tell(node, Stalled(pause))
        for data, meta in () if machine else waiting:
            if node.engine and node.up:
                self._apply(node, node.engine.receive(data, meta, self.now))
        self._observe()

    def step_clock(self, node: Node, step: int) -> None:
        """Its wall clock is `step` ns further off than usual; 0 puts it right again."""
        node.clock_step = step
        if node.engine and node.settings.auth_hmac:
            self.tell(node, ClockOffset(UNIX_TIME + node.clock_error + step))

    def tell(self, node: Node, event: Input) -> None:
        assert node.engine is not None
        self._apply(node, node.engine.handle_event(event, self.now))

    def disturbed(self) -> None:
        """From here on the LAN counts as sound anew: what was lost before excuses nothing later."""
        self._sound_since = self.now
        self._rivals_since = None
        self._observe()

    # -- time ----------------------------------------------------------------------------------------------------------

    def run(self, duration: int) -> None:
        """Let time pass, every packet and every timer at its time."""
        end = self.now + duration
        while True:
            node, at = self._next_timer()
            if self._packets and self._packets[0][0] <= at:
                at = self._packets[0][0]
                if at > end:
                    break
                self.now = max(self.now, at)
                _, _, target, data, meta = heapq.heappop(self._packets)
                if target.suspended_at is not None:
                    target.waiting.append((data, meta))
                elif target.engine and target.up:
                    self._apply(target, target.engine.receive(data, meta, self.now))
            elif node is not None and at <= end:
                late = self.random.randrange(self.lateness + 1) if self.lateness else 0
                self.now = max(self.now, min(at + late, end))
                assert node.engine is not None
                self._apply(node, node.engine.handle_timer(self.now))
            else:
                break
        self.now = end

    def _next_timer(self) -> tuple[Node | None, int]:
        found, at = None, 1 << 62
        for node in self.nodes:
            deadline = node.engine.deadline() if node.engine and node.suspended_at is None else None
            if deadline is not None and deadline < at:
                found, at = node, deadline
        return found, at

    # -- what the engines do -------------------------------------------------------------------------------------------

    def _apply(self, node: Node, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, SendAdvert):
                self.sent.append((self.now, node, action.priority))
                self._send(node, action)
            else:
                self._keep(node, action)
        # What the machine has is what the state says, at every moment
        assert bool(node.addresses) is (node.state is State.MASTER), (self.now, node.state, node.addresses)
        self._observe()

    def _keep(self, node: Node, action: Action) -> None:
        if isinstance(action, AddAddresses):
            node.addresses |= set(action.addresses)
        elif isinstance(action, RemoveAddresses):
            node.addresses -= set(action.addresses)
        elif isinstance(action, Transition):
            self.transitions.append((self.now, node, action))

    def _hears(self, sender: Node, other: Node) -> bool:
        return other is not sender and other.segment == sender.segment

    def _send(self, node: Node, action: SendAdvert) -> None:
        if not node.up:
            return
        for destination in action.destinations:
            data, meta = on_the_wire(action, destination)
            for other in self.nodes:
                if not self._hears(node, other) or self.random.random() < self.loss:
                    continue
                if other.settings.unicast_peers and other.address != destination:
                    continue
                at = self.now + self.random.randrange(self.max_delay + 1)
                self._sequence += 1
                heapq.heappush(self._packets, (at, self._sequence, other, data, meta))

    def masters(self) -> list[Node]:
        """Those that run."""
        return [node for node in self.nodes if node.state is State.MASTER and node.suspended_at is None]

    def _observe(self) -> None:
        """Keep the longest time that two masters shared a LAN on which nothing is lost."""
        sound = not self.loss and len({(node.segment, node.clock_step) for node in self.nodes}) == 1
        rivals = sound and len(self.masters()) > 1
        if rivals and self._rivals_since is None:
            self._rivals_since = self.now
        if self._rivals_since is not None:
            self.rivalry = max(self.rivalry, self.now - self._rivals_since)
            if not rivals:
                self._rivals_since = None

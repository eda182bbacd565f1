"""Weights that an operator orders for real servers: carried out, and taken back when their time is up.

They are the running worker's alone: a reload keeps them, a restart does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kactl_agent.ipvs.finding import Ambiguous, NotFound, find_real_server, find_virtual_server, real_server_name
from kactl_agent.runtime.load_balancer import Balanced, Identity, LoadBalancer
from kactl_agent.runtime.order_frames import OrderServer, ServerOrdered

Key = tuple[Identity, bytes, int]
_SECOND = 1_000_000_000


class ServerOrders:
    """`answer` sends the outcome, `show` the state of a virtual server before it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        balancer: LoadBalancer,
        show: Callable[[Identity], None],
        answer: Callable[[ServerOrdered], None],
    ) -> None:
        self._loop = loop
        self._balancer = balancer
        self._show = show
        self._answer = answer
        self._ends: dict[Key, asyncio.TimerHandle] = {}

    def order(self, request: OrderServer) -> None:
        try:
            found = list(self._find(request))
        except NotFound as fault:
            self._answer(ServerOrdered(request.serial, error=str(fault)))
            return
        names = []
        for balanced, server in found:
            real = balanced.settings.real_servers[server]
            names.append(f"{real_server_name(real)} of {balanced.settings.name}")
            self._balancer.order(balanced, server, request.weight, request.reason)
            key = (balanced.settings.identity, real.address, real.port)
            if (known := self._ends.pop(key, None)) is not None:
                known.cancel()
            if request.ttl and request.weight is not None:
                self._ends[key] = self._loop.call_later(request.ttl / _SECOND, self._end, key)
        for balanced, _server in found:
            self._show(balanced.settings.identity)
        self._answer(ServerOrdered(request.serial, tuple(names)))

    def _find(self, request: OrderServer) -> list[tuple[Balanced, int]]:
        """Raises NotFound; of several virtual servers, none is ordered for when one has two that may be meant."""
        known = {balanced.settings.identity: balanced for balanced in self._balancer}
        if request.virtual_server:
            one = find_virtual_server([each.settings for each in known.values()], request.virtual_server)
            return [(known[one.identity], find_real_server(one, request.real_server))]
        found: list[tuple[Balanced, int]] = []
        problem = NotFound("there is no virtual server")
        for balanced in known.values():
            try:
                found.append((balanced, find_real_server(balanced.settings, request.real_server)))
            except Ambiguous:
                raise
            except NotFound as fault:
                problem = fault
        if not found:
            raise problem
        return found

    def _end(self, key: Key) -> None:
        """The time is up: what a reload has taken away meanwhile is nobody's concern."""
        del self._ends[key]
        identity, address, port = key
        balanced = self._balancer.get(identity)
        if balanced is None:
            return
        for place, real in enumerate(balanced.settings.real_servers):
            if (real.address, real.port) == (address, port):
                self._balancer.order(balanced, place, None, "the time of the order is up")

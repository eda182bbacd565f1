"""The VRRP worker's side of `kactl drain`: engines follow the orders that the supervisor keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kactl_agent.runtime.drain_frames import DrainOrder, Drains, DrainsApplied, Group, Named, covered
from kactl_agent.vrrp.actions import Drain, Input, Undrain
from kactl_agent.vrrp.instance import VrrpInstance


class DrainKeeper:
    """`tell` gives an engine an input; `answer` goes to the supervisor."""

    def __init__(
        self,
        instances: Callable[[], Mapping[str, VrrpInstance]],
        tell: Callable[[str, Input], None],
        answer: Callable[[DrainsApplied], None],
        orders: Sequence[DrainOrder] = (),
    ) -> None:
        self._instances = instances
        self._tell = tell
        self._answer = answer
        self._orders = tuple(orders)
        self._wanted: dict[str, DrainOrder] = {}
        self._unsettled: tuple[int, dict[str, None]] | None = None  # a serial to answer, and whom it waits for

    def configure(self, instances: Sequence[Named], groups: Sequence[Group]) -> None:
        """These are the instances there will be. Call before new ones start; `enforce` when all of them run."""
        self._wanted = {
            name: order for order in reversed(self._orders) for name in covered(order.target, instances, groups)
        }

    def inputs(self, name: str) -> list[Input]:
        """What an instance has to be told before its Startup."""
        order = self._wanted.get(name)
        return [Drain(order.reason)] if order is not None else []

    def enforce(self) -> None:
        """Instances that a reload has put under an order."""
        for name, instance in list(self._instances().items()):
            if name in self._wanted and instance.drained is None:
                self._tell(name, Drain(self._wanted[name].reason))

    def follow(self, frame: Drains, instances: Sequence[Named], groups: Sequence[Group]) -> None:
        """Other orders. They are answered once it is known who takes over, where that matters."""
        self._orders = frame.orders
        self.configure(instances, groups)
        concerned: dict[str, None] = {}
        for name, instance in list(self._instances().items()):
            order = self._wanted.get(name)
            if order is None:
                if instance.drained is not None:
                    self._tell(name, Undrain())
            elif instance.drained is None or instance.drained.reason != order.reason:
                self._tell(name, Drain(order.reason, order.require_peer))
            if order is not None and order.require_peer:
                concerned[name] = None
        self._unsettled = (frame.serial, concerned)
        self.settle()

    def settle(self) -> None:
        """Answer when nobody is handing over any more. To be called when an engine has had an input."""
        if self._unsettled is None:
            return
        serial, concerned = self._unsettled
        running = self._instances()
        if any(running[name].handing_over for name in concerned if name in running):
            return
        self._unsettled = None
        refused = [name for name in concerned if name in running and running[name].drained is None]
        self._answer(DrainsApplied(serial, tuple(refused)))

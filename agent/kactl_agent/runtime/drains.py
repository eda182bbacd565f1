"""The VRRP worker's side of `kactl drain`: engines follow the orders that the supervisor keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kactl_agent.runtime.drain_frames import DrainOrder, Drains, DrainsApplied, Group, Named, covered
from kactl_agent.vrrp.actions import Drain, Input, Undrain
from kactl_agent.vrrp.instance import VrrpInstance


class DrainKeeper:
    """`tell` gives an engine an input; `soon` is called when there are answers, which `send_answers` hands to the
    supervisor by `answer`."""

    def __init__(
        self,
        instances: Callable[[], Mapping[str, VrrpInstance]],
        tell: Callable[[str, Input], None],
        soon: Callable[[], None],
        answer: Callable[[DrainsApplied], None],
        orders: Sequence[DrainOrder] = (),
    ) -> None:
        self._instances = instances
        self._tell = tell
        self._soon = soon
        self._answer = answer
        self._answers: list[DrainsApplied] = []
        self._orders = tuple(orders)
        self._wanted: dict[str, DrainOrder] = {}
        self._unsettled: dict[int, list[str]] = {}  # serials to answer, and whom each waits for

    def configure(self, instances: Sequence[Named], groups: Sequence[Group]) -> None:
        """These are the instances there will be. Call before new ones start; `enforce` when all of them run."""
        self._wanted = {
            name: order for order in reversed(self._orders) for name in covered(order.target, instances, groups)
        }

    def rename(self, names: Mapping[str, str]) -> None:
        """Instances that are called something else from now on: old name -> new name. `configure` follows."""
        self._unsettled = {
            serial: [names.get(name, name) for name in concerned] for serial, concerned in self._unsettled.items()
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
        concerned = []  # by this frame and none before
        for name, instance in list(self._instances().items()):
            order = self._wanted.get(name)
            if order is None:
                if instance.drained is not None:
                    self._tell(name, Undrain())
            elif instance.drained is None or instance.drained.reason != order.reason:
                if instance.drained is None and order.require_peer:
                    concerned.append(name)
                self._tell(name, Drain(order.reason, order.require_peer))
        self._unsettled[frame.serial] = concerned
        self.settle()

    def settle(self) -> None:
        """Answer where nobody is handing over any more. To be called when an engine has had an input."""
        if not self._unsettled:
            return
        running = self._instances()
        for serial, concerned in list(self._unsettled.items()):
            if any(running[name].handing_over for name in concerned if name in running):
                continue
            del self._unsettled[serial]
            refused = [name for name in concerned if name in running and running[name].drained is None]
            self._answers.append(DrainsApplied(serial, tuple(refused)))
            self._soon()

    def send_answers(self) -> None:
        answers, self._answers = self._answers, []
        for each in answers:
            self._answer(each)

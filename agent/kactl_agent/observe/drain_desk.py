"""Drain requests of clients on their way to the supervisor and back, and what is drained now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kactl_agent.control.protocol import DRAIN_FAILED, ControlError
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime.drain_frames import ALL, DrainOrder, DrainOutcome, DrainRequest, Drains, Group, Named, covered
from kactl_agent.runtime.frame import Frame

Answer = Callable[[dict[str, Any] | ControlError], None]
_MOST_WAITING = 64


class DrainDesk:
    """`post` sends to the supervisor; False when there is none any more."""

    def __init__(self, handlers: Handlers, post: Callable[[Frame], bool]) -> None:
        self._post = post
        self._waiting: dict[int, Answer] = {}
        self._serial = 0
        self._orders: tuple[DrainOrder, ...] = ()
        handlers.on(DrainOutcome, self._outcome)
        handlers.on(Drains, self._standing)

    def request(
        self,
        answer: Answer,
        *,
        target: str,
        undrain: bool = False,
        reason: str = "",
        ttl: int | None = None,
        require_peer: bool = False,
    ) -> None:
        """`target` is the name of an instance or a group, "*" all of them; `ttl` is ns. Answered with `drained` or
        `undrained` (names of instances) and a `message`, or with a ControlError."""
        if len(self._waiting) >= _MOST_WAITING:
            answer(ControlError(DRAIN_FAILED, f"{_MOST_WAITING} such requests are waiting already"))
            return
        self._serial += 1
        self._waiting[self._serial] = lambda outcome: answer(_renamed(outcome, undrain))
        frame = DrainRequest(self._serial, target, undrain, reason, ttl, require_peer)
        if not self._post(frame):
            del self._waiting[self._serial]
            answer(ControlError(DRAIN_FAILED, "the agent is stopping"))

    def drained(self, name: str, instances: Sequence[Named], groups: Sequence[Group]) -> dict[str, Any] | None:
        """By whose word an instance is drained, for the status; None when it is not."""
        for order in self._orders:
            if name in covered(order.target, instances, groups):
                return {
                    "by": "--all" if order.target == ALL else order.target,
                    "reason": order.reason,
                    "since": timestamp(order.at),
                    "until": timestamp(order.until) if order.until is not None else None,
                }
        return None

    def _standing(self, frame: Drains) -> None:
        self._orders = frame.orders

    def _outcome(self, frame: DrainOutcome) -> None:
        answer = self._waiting.pop(frame.serial, None)
        if answer is None:
            return
        if frame.ok:
            answer({"instances": list(frame.instances), "message": frame.message})
        else:
            answer(ControlError(DRAIN_FAILED, frame.message, {"instances": list(frame.instances)}))


def _renamed(outcome: dict[str, Any] | ControlError, undrain: bool) -> dict[str, Any] | ControlError:
    if isinstance(outcome, ControlError):
        return outcome
    return {"undrained" if undrain else "drained": outcome["instances"], "message": outcome["message"]}

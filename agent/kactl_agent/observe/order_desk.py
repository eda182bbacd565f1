"""The method real_server: an operator's weight for a real server, passed on to the checkers worker."""

from __future__ import annotations

from collections.abc import Callable

from kactl_agent.control.protocol import BAD_PARAMS, NOT_READY, UNKNOWN_SUBJECT, ControlError, Parameters
from kactl_agent.control.server import Answer, Method
from kactl_agent.observe.handlers import Handlers
from kactl_agent.runtime.frame import Frame
from kactl_agent.runtime.order_frames import OrderServer, ServerOrdered

_MOST_WAITING = 256
_HIGHEST_WEIGHT = 65535
_LONGEST_NAME = 256
_LONGEST_TTL = 10 * 365 * 86_400  # seconds
_SECOND = 1_000_000_000


class OrderDesk:
    """`post` sends a frame to the checkers worker; False when there is none."""

    def __init__(self, post: Callable[[Frame], bool]) -> None:
        self._post = post
        self._waiting: dict[int, Answer] = {}
        self._serial = 0

    def offer(self, handlers: Handlers, methods: dict[str, Method]) -> None:
        """Put what is done about frames, and the control method, into the tables."""
        handlers.on(ServerOrdered, self._ordered)
        handlers.on_loss("checkers", self._lost)
        methods["real_server"] = self._order

    def _order(self, parameters: Parameters, answer: Answer) -> None:
        """`real_server` and, unless all are meant, `virtual_server` say which; `weight`, `drained` or `reset` what."""
        virtual, real = parameters.text("virtual_server"), parameters.text("real_server")
        reason = parameters.text("reason")
        if not real or max(len(virtual), len(real), len(reason)) > _LONGEST_NAME:
            raise ControlError(BAD_PARAMS, "real_server is ADDRESS:PORT, and no name or reason is so long")
        weight = parameters.number("weight", -1, 0, _HIGHEST_WEIGHT)
        drained, reset = parameters.flag("drained"), parameters.flag("reset")
        if (weight >= 0) + drained + reset != 1:
            raise ControlError(BAD_PARAMS, "one of weight, drained and reset")
        ttl = parameters.number("ttl_s", 0, 1, _LONGEST_TTL) * _SECOND
        if len(self._waiting) >= _MOST_WAITING:
            raise ControlError(NOT_READY, f"{_MOST_WAITING} such requests are waiting already")
        self._serial += 1
        wanted = None if reset else 0 if drained else weight
        if not self._post(OrderServer(self._serial, virtual, real, wanted, reason, ttl)):
            raise ControlError(NOT_READY, "there is no checkers worker: the configuration has no virtual server")
        self._waiting[self._serial] = answer

    def _ordered(self, frame: ServerOrdered) -> None:
        answer = self._waiting.pop(frame.serial, None)
        if answer is None:
            return
        if frame.error:
            answer(ControlError(UNKNOWN_SUBJECT, frame.error))
        else:
            answer({"servers": list(frame.servers), "message": f"ordered for {', '.join(frame.servers)}"})

    def _lost(self) -> None:
        """The worker has ended, and its orders with it."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer(ControlError(NOT_READY, "the checkers worker ended before it answered"))

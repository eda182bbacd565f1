"""real_server between a client and the checkers worker."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.control.protocol import BAD_PARAMS, NOT_READY, UNKNOWN_SUBJECT, ControlError, Parameters
from kactl_agent.control.server import Method
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.order_desk import OrderDesk
from kactl_agent.runtime.frame import Frame
from kactl_agent.runtime.order_frames import OrderServer, ServerOrdered


class Bench:
    def __init__(self) -> None:
        self.posted: list[Frame] = []
        self.worker = True
        self.answers: list[Any] = []
        self.handlers = Handlers()
        methods: dict[str, Method] = {}
        OrderDesk(self._post).offer(self.handlers, methods)
        self._method = methods["real_server"]

    def _post(self, frame: Frame) -> bool:
        if self.worker:
            self.posted.append(frame)
        return self.worker

    def ask(self, **values: Any) -> None:
        self._method(Parameters(values), self.answers.append)


def test_an_order_and_its_outcome() -> None:
    bench = Bench()
    bench.ask(virtual_server="192.0.2.1:80/tcp", real_server="10.0.0.1:80", weight=3, reason="why", ttl_s=60)
    bench.ask(real_server="10.0.0.1:80", drained=True)
    bench.ask(real_server="10.0.0.1:80", reset=True)
    assert bench.posted == [
        OrderServer(1, "192.0.2.1:80/tcp", "10.0.0.1:80", 3, "why", 60_000_000_000),
        OrderServer(2, "", "10.0.0.1:80", 0),
        OrderServer(3, "", "10.0.0.1:80", None),
    ]
    bench.handlers.handle(ServerOrdered(2, ("10.0.0.1:80 of web",)))
    bench.handlers.handle(ServerOrdered(2, ("late",)))
    assert bench.answers == [{"servers": ["10.0.0.1:80 of web"], "message": "ordered for 10.0.0.1:80 of web"}]
    bench.handlers.handle(ServerOrdered(3, error="there is no real server"))
    assert isinstance(bench.answers[1], ControlError)
    assert bench.answers[1].code == UNKNOWN_SUBJECT


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"real_server": "10.0.0.1"},
        {"real_server": "10.0.0.1", "weight": -1},
        {"real_server": "10.0.0.1", "weight": 65536},
        {"real_server": "10.0.0.1", "weight": 1, "drained": True},
        {"real_server": "10.0.0.1", "drained": True, "reset": True},
        {"real_server": "10.0.0.1", "drained": True, "ttl_s": -1},
        {"real_server": "x" * 300, "drained": True},
    ],
)
def test_what_is_no_order(values: dict[str, Any]) -> None:
    bench = Bench()
    with pytest.raises(ControlError) as refused:
        bench.ask(**values)
    assert refused.value.code == BAD_PARAMS
    assert bench.posted == []


def test_without_a_worker_there_is_nobody_to_order() -> None:
    bench = Bench()
    bench.worker = False
    with pytest.raises(ControlError) as refused:
        bench.ask(real_server="10.0.0.1", drained=True)
    assert refused.value.code == NOT_READY
    bench.worker = True
    bench.ask(real_server="10.0.0.1", drained=True)
    bench.handlers.lost("checkers")
    assert bench.answers[0].code == NOT_READY

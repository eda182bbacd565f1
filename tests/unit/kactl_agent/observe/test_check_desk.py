"""check_run between a client and the checkers worker."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.control.protocol import NOT_READY, UNKNOWN_SUBJECT, ControlError, Parameters
from kactl_agent.control.server import Method
from kactl_agent.observe.check_desk import CheckDesk
from kactl_agent.observe.handlers import Handlers
from kactl_agent.runtime.check_run_frames import CheckRunReport, RunCheck
from kactl_agent.runtime.frame import Frame


class Bench:
    def __init__(self) -> None:
        self.posted: list[Frame] = []
        self.worker = True
        self.answers: list[Any] = []
        self.handlers = Handlers()
        methods: dict[str, Method] = {}
        CheckDesk(self._post).offer(self.handlers, methods)
        self._method = methods["check_run"]

    def _post(self, frame: Frame) -> bool:
        if self.worker:
            self.posted.append(frame)
        return self.worker

    def ask(self, **values: Any) -> None:
        self._method(Parameters(values), self.answers.append)


WANTED = {"virtual_server": "web", "real_server": "10.0.0.1"}


def report(serial: int, order: int, total: int, success: bool | None = True) -> CheckRunReport:
    return CheckRunReport(
        serial=serial, order=order, total=total, virtual_server="v", real_server="r", checker=f"C{order}",
        success=success, detail="d", trace=("t",), duration=1_500_000, up=True,
    )  # fmt: skip


def test_reports_are_gathered_in_their_order() -> None:
    bench = Bench()
    bench.ask(**WANTED, checker="tcp_check")
    bench.ask(**WANTED)
    assert bench.posted == [RunCheck(1, "web", "10.0.0.1", "TCP_CHECK"), RunCheck(2, "web", "10.0.0.1", "")]
    bench.handlers.handle(report(1, 1, 2, success=None))
    bench.handlers.handle(report(2, 0, 1, success=False))
    bench.handlers.handle(report(1, 0, 2))
    bench.handlers.handle(report(1, 0, 2))  # nobody waits for it any more
    second, first = bench.answers
    assert (second["success"], first["success"]) == (False, True)
    assert [each["type"] for each in first["checkers"]] == ["C0", "C1"]
    assert first["checkers"][0] == {
        "type": "C0", "success": True, "detail": "d", "duration_ms": 1.5, "up": True, "trace": ["t"],
    }  # fmt: skip
    assert (first["virtual_server"], first["real_server"]) == ("v", "r")


def test_a_refusal_is_passed_on() -> None:
    bench = Bench()
    bench.ask(**WANTED)
    bench.handlers.handle(CheckRunReport(serial=1, error="there is no virtual server `web`"))
    (answer,) = bench.answers
    assert (answer.code, answer.message) == (UNKNOWN_SUBJECT, "there is no virtual server `web`")


@pytest.mark.parametrize(
    "values", [{}, {"virtual_server": "web"}, {**WANTED, "checker": 3}, {**WANTED, "checker": "x" * 300}]
)
def test_what_is_missing_or_wrong_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ControlError):
        Bench().ask(**values)


def test_without_a_worker_and_when_it_ends() -> None:
    bench = Bench()
    bench.ask(**WANTED)
    bench.handlers.lost("checkers")
    (answer,) = bench.answers
    assert answer.code == NOT_READY
    bench.worker = False
    with pytest.raises(ControlError, match="no virtual server"):
        bench.ask(**WANTED)


def test_so_many_and_no_more() -> None:
    bench = Bench()
    for _ in range(16):
        bench.ask(**WANTED)
    with pytest.raises(ControlError, match="16 checks are waiting"):
        bench.ask(**WANTED)

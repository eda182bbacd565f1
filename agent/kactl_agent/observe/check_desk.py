"""`kactl check-run`: passes an operator's wish on to the checkers worker, and its reports back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kactl_agent.control.protocol import BAD_PARAMS, NOT_READY, UNKNOWN_SUBJECT, ControlError, Parameters
from kactl_agent.control.server import Answer, Method
from kactl_agent.observe.handlers import Handlers
from kactl_agent.runtime.check_run_frames import CheckRunReport, RunCheck
from kactl_agent.runtime.frame import Frame

_MOST_REQUESTS = 16


class _Request:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.reports: dict[int, CheckRunReport] = {}


class CheckDesk:
    """`post` sends a frame to the checkers worker; False when there is none."""

    def __init__(self, post: Callable[[Frame], bool]) -> None:
        self._post = post
        self._requests: dict[int, _Request] = {}
        self._serial = 0

    def offer(self, handlers: Handlers, methods: dict[str, Method]) -> None:
        """Put what is done about frames, and the control method, into the tables."""
        handlers.on(CheckRunReport, self._reported)
        handlers.on_loss("checkers", self._lost)
        methods["check_run"] = self._run

    def _run(self, parameters: Parameters, answer: Answer) -> None:
        virtual, real = parameters.text("virtual_server"), parameters.text("real_server")
        checker = parameters.text("checker").upper()
        if not virtual or not real:
            raise ControlError(BAD_PARAMS, "say virtual_server and real_server")
        if max(len(virtual), len(real), len(checker)) > 256:
            raise ControlError(BAD_PARAMS, "no server is called by so long a name")
        if len(self._requests) >= _MOST_REQUESTS:
            raise ControlError(NOT_READY, f"{_MOST_REQUESTS} checks are waiting already")
        self._serial += 1
        if not self._post(RunCheck(self._serial, virtual, real, checker)):
            raise ControlError(NOT_READY, "there is no checkers worker: the configuration has no virtual server")
        self._requests[self._serial] = _Request(answer)

    def _reported(self, report: CheckRunReport) -> None:
        request = self._requests.get(report.serial)
        if request is None:
            return
        if report.error:
            del self._requests[report.serial]
            request.answer(ControlError(UNKNOWN_SUBJECT, report.error))
            return
        request.reports[report.order] = report
        if len(request.reports) == report.total:
            del self._requests[report.serial]
            request.answer(_result([request.reports[order] for order in sorted(request.reports)]))

    def _lost(self) -> None:
        """The worker has ended, and the checks with it."""
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.answer(ControlError(NOT_READY, "the checkers worker ended before it answered"))


def _result(reports: list[CheckRunReport]) -> dict[str, Any]:
    return {
        "virtual_server": reports[0].virtual_server,
        "real_server": reports[0].real_server,
        "success": all(report.success is not False for report in reports),
        "checkers": [
            {
                "type": report.checker,
                "success": report.success,
                "detail": report.detail,
                "duration_ms": round(report.duration / 1e6, 1),
                "up": report.up,
                "trace": list(report.trace),
            }
            for report in reports
        ],
    }

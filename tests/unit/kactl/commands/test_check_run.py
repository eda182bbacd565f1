"""kactl check-run against a control server."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.protocol import UNKNOWN_SUBJECT, ControlError, Parameters
from kactl_agent.control.server import Answer, Method
from support.control_agent import FakeService, serve


class Service(FakeService):
    """Answers check_run with its reports, or with an error."""

    def __init__(self, *reports: dict[str, Any], error: ControlError | None = None) -> None:
        super().__init__({})
        self.reports = reports
        self.error = error
        self.asked: list[tuple[str, str, str]] = []

    @property
    def methods(self) -> dict[str, Method]:
        return {"check_run": self._check_run}

    def _check_run(self, parameters: Parameters, answer: Answer) -> None:
        self.asked.append(
            (parameters.text("virtual_server"), parameters.text("real_server"), parameters.text("checker"))
        )
        success = all(report["success"] is not False for report in self.reports)
        answer(
            self.error
            or {"virtual_server": "v", "real_server": "r", "success": success, "checkers": list(self.reports)}
        )


def report(success: bool | None, detail: str = "said") -> dict[str, Any]:
    return {
        "type": "TCP_CHECK", "success": success, "detail": detail, "duration_ms": 1.5, "up": True,
        "trace": ["0.1 ms: connected"],
    }  # fmt: skip


def call(run_dir: Path, service: Service, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with serve(run_dir, service):
        code = run(
            ["check-run", "v:80", "r:80", "--run-dir", str(run_dir), *words],
            Environment(stdin=io.BytesIO(), stdout=out, stderr=err, variables={}),
        )
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("success", "code", "line"),
    [
        (True, ExitCode.FINE, "  success after 1.5 ms: said"),
        (False, ExitCode.FAILED, "  failure after 1.5 ms: said"),
        (None, ExitCode.FINE, "  it runs nothing by itself: said"),
    ],
)
def test_what_was_seen(tmp_path: Path, success: bool | None, code: ExitCode, line: str) -> None:
    service = Service(report(success))
    assert call(tmp_path, service, "--checker", "TCP_CHECK") == (
        code,
        f"real server r of v\nTCP_CHECK (its verdict is up)\n  0.1 ms: connected\n{line}\n",
        "",
    )
    assert service.asked == [("v:80", "r:80", "TCP_CHECK")]


def test_json(tmp_path: Path) -> None:
    code, out, _ = call(tmp_path, Service(report(True), report(False)), "--output", "json")
    assert code == ExitCode.FAILED
    assert [each["success"] for each in json.loads(out)["checkers"]] == [True, False]


def test_a_refusal(tmp_path: Path) -> None:
    service = Service(error=ControlError(UNKNOWN_SUBJECT, "there is no virtual server `v:80`"))
    assert call(tmp_path, service) == (ExitCode.FAILED, "", "kactl: there is no virtual server `v:80`\n")

"""kactl dump against a control server that serves the dumps of an agent's state."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.protocol import DUMP_FAILED, ControlError, Parameters
from kactl_agent.control.server import Answer, Method
from support.control_agent import FakeService, serve


class Dumping(FakeService):
    """Answers with what it was asked."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked: list[tuple[str, bool]] = []
        self.refusal: ControlError | None = None

    @property
    def methods(self) -> dict[str, Method]:
        return super().methods | {"dump": self._dump}

    def _dump(self, parameters: Parameters, answer: Answer) -> None:
        what, files = parameters.text("what"), parameters.flag("files")
        self.asked.append((what, files))
        if self.refusal is not None:
            answer(self.refusal)
        else:
            answer({"files": ["/run/one", "/run/two"]} if files else {"what": what, "text": f"{what}\n"})


def call(service: FakeService, directory: Path, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    environment = Environment(stdin=io.BytesIO(), stdout=out, stderr=err, variables={})
    with serve(directory, service):
        code = run(("dump", "--run-dir", str(directory), *words), environment)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("words", "asked", "printed"),
    [
        ((), ("data", False), "data\n"),
        (("json",), ("json", False), "json\n"),
        (("stats", "--files"), ("stats", True), "/run/one\n/run/two\n"),
        (("stats", "--files", "--clear"), ("stats_clear", True), "/run/one\n/run/two\n"),
    ],
)
def test_what_is_asked_and_printed(
    tmp_path: Path, words: tuple[str, ...], asked: tuple[str, bool], printed: str
) -> None:
    service = Dumping()
    assert call(service, tmp_path, *words) == (ExitCode.FINE, printed, "")
    assert service.asked == [asked]


def test_json_output_is_the_agents_answer(tmp_path: Path) -> None:
    code, out, _err = call(Dumping(), tmp_path, "stats", "--output", "json")
    expected: dict[str, Any] = {"what": "stats", "text": "stats\n"}
    assert (code, json.loads(out)) == (ExitCode.FINE, expected)


@pytest.mark.parametrize("words", [("nonsense",), ("--clear",), ("json", "--files", "--clear")])
def test_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    service = Dumping()
    assert call(service, tmp_path, *words)[0] == ExitCode.USAGE
    assert service.asked == []


def test_a_refusal_is_said(tmp_path: Path) -> None:
    service = Dumping()
    service.refusal = ControlError(DUMP_FAILED, "/tmp/x: No space left on device")
    code, out, err = call(service, tmp_path, "json", "--files")
    assert (code, out) == (ExitCode.FAILED, "")
    assert "/tmp/x: No space left on device" in err

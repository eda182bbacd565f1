"""kactl why, drain and undrain against a real control server; what they ask for, and what people see."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl.app import run
from kactl.commands.events import render as render_event
from kactl.commands.why import render
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.protocol import DRAIN_FAILED, UNKNOWN_SUBJECT, ControlError, Parameters
from kactl_agent.control.server import Answer, Method
from support.control_agent import FakeService, serve

EVENT = {
    "cursor": "j-7", "time": "2026-01-01T00:00:03.609Z", "type": "transition", "instance": "VI_1", "old": "BACKUP",
    "new": "MASTER", "cause": "master_down_timer", "detail": "no advert from 192.0.2.1 for 3.609 s",
}  # fmt: skip
EXPLANATION = {
    "subject": "vrrp_instance VI_1",
    "event": EVENT,
    "reasons": ["no advert from 192.0.2.1 for 3.609 s", "interface eth0: up"],
    "chain": [
        {"event": {"cursor": "j-5", "time": "", "type": "process", "process": "vrrp", "ended": "killed"},
         "ms_before": 4000},
        {"event": {"cursor": "j-6", "time": "", "type": "stall", "subject": "process vrrp", "detail": "stood still"},
         "ms_before": 0},
        {"event": {"cursor": "j-8", "time": "", "type": "reload", "message": "added VI_1"}, "ms_before": -7},
    ],
    "earlier": [
        {"cursor": "j-1", "time": "2026-01-01T00:00:00.000Z", "old": "INIT", "new": "BACKUP", "detail": "started"},
    ],
}  # fmt: skip


class Agent(FakeService):
    """Answers the three methods with what it is set to, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: dict[str, Any] | ControlError = {}

    @property
    def methods(self) -> dict[str, Method]:
        return {**super().methods, **{name: self._method(name) for name in ("why", "drain", "undrain")}}

    def _method(self, name: str) -> Method:
        def method(parameters: Parameters, answer: Answer) -> None:
            asked = {
                key: parameters.text(key) for key in ("subject", "event", "target", "reason") if parameters.text(key)
            }
            flags = {key: True for key in ("all", "require_peer") if parameters.flag(key)}
            self.asked.append((name, asked | flags | {"ttl_s": parameters.number("ttl_s", 0, 1, 1 << 40)}))
            answer(self.answer)

        return method


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    service = Agent()
    with serve(tmp_path, service):
        yield service


def call(run_dir: Path, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    environment = Environment(stdin=io.BytesIO(), stdout=out, stderr=err, variables={})
    code = run((words[0], "--run-dir", str(run_dir), *words[1:]), environment)
    return code, out.getvalue(), err.getvalue()


def test_why_in_words() -> None:
    assert render(EXPLANATION) == [
        "vrrp_instance VI_1: BACKUP -> MASTER",
        "  at 2026-01-01T00:00:03.609Z",
        "  - no advert from 192.0.2.1 for 3.609 s",
        "  - interface eth0: up",
        "  what led to it, and when:",
        "      4.000 s before  process vrrp: killed",
        "    at the same time  process vrrp: stood still",
        "      0.007 s after  the agent: reload: added VI_1",
        "  before that:",
        "    2026-01-01T00:00:00.000Z  INIT -> BACKUP: started",
    ]


def test_why_asks_about_one_about_all_or_about_an_event(agent: Agent, tmp_path: Path) -> None:
    agent.answer = {"explanations": [EXPLANATION, EXPLANATION]}
    code, out, _ = call(tmp_path, "why", "VI_1")
    assert (code, out.count("BACKUP -> MASTER"), out.count("\n\n")) == (ExitCode.FINE, 2, 1)
    call(tmp_path, "why")
    call(tmp_path, "why", "--event", "j-7")
    assert [asked for _, asked in agent.asked] == [
        {"subject": "VI_1", "ttl_s": 0}, {"ttl_s": 0}, {"event": "j-7", "ttl_s": 0},
    ]  # fmt: skip
    assert call(tmp_path, "why", "VI_1", "--event", "j-7")[0] == ExitCode.USAGE


def test_why_as_json_is_what_the_agent_said(agent: Agent, tmp_path: Path) -> None:
    agent.answer = {"explanations": [EXPLANATION]}
    assert json.loads(call(tmp_path, "why", "--output", "json")[1]) == agent.answer


def test_why_without_an_answer(agent: Agent, tmp_path: Path) -> None:
    agent.answer = {"explanations": [], "message": "the journal knows of no change of C"}
    assert call(tmp_path, "why", "C")[1] == "the journal knows of no change of C\n"
    agent.answer = {"explanations": []}
    assert call(tmp_path, "why")[1] == "the journal knows of no change yet\n"
    agent.answer = ControlError(UNKNOWN_SUBJECT, "the journal knows of no change of X")
    code, _, err = call(tmp_path, "why", "X")
    assert (code, err) == (ExitCode.FAILED, "kactl: the journal knows of no change of X\n")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15min", 900), ("2m", 120), ("2h", 7200), ("1d", 86400)]
)
def test_drain_with_everything(agent: Agent, tmp_path: Path, text: str, seconds: int) -> None:
    agent.answer = {"drained": ["VI_1"], "message": "VI_1 is drained: disk"}
    code, out, _ = call(tmp_path, "drain", "VI_1", "--reason", "disk", "--ttl", text, "--require-peer")
    assert (code, out) == (ExitCode.FINE, "VI_1 is drained: disk\n")
    assert agent.asked == [("drain", {"target": "VI_1", "reason": "disk", "require_peer": True, "ttl_s": seconds})]


@pytest.mark.parametrize("text", ["0", "-1", "1w", "abc", "", "1.5h", "9999999999d", "99999999d"])
def test_a_time_that_is_none_is_a_mistake(agent: Agent, tmp_path: Path, text: str) -> None:
    code, _, err = call(tmp_path, "drain", "VI_1", "--ttl", text)
    assert code == ExitCode.USAGE
    assert "is no time: 90s, 15min, 2h, 1d" in err
    assert agent.asked == []


@pytest.mark.parametrize("command", ["drain", "undrain"])
def test_one_target_and_no_more(agent: Agent, tmp_path: Path, command: str) -> None:
    assert call(tmp_path, command)[0] == ExitCode.USAGE
    assert call(tmp_path, command, "VI_1", "--all")[0] == ExitCode.USAGE
    agent.answer = {"drained": ["A", "B"], "message": "every instance is drained"}
    assert call(tmp_path, command, "--all")[1] == "every instance is drained\ninstances: A, B\n"
    assert agent.asked == [(command, {"all": True, "ttl_s": 0})]


def test_a_drain_that_nobody_took_over_from_fails(agent: Agent, tmp_path: Path) -> None:
    agent.answer = ControlError(DRAIN_FAILED, "not drained: no other router took over from VI_1, which is master again")
    code, out, err = call(tmp_path, "drain", "VI_1", "--require-peer")
    assert (code, out) == (ExitCode.FAILED, "")
    assert "no other router took over" in err


def test_outcomes_as_json(agent: Agent, tmp_path: Path) -> None:
    agent.answer = {"undrained": ["VI_1"], "message": "VI_1 is undrained"}
    assert json.loads(call(tmp_path, "undrain", "VI_1", "--output", "json")[1]) == agent.answer


def test_what_happened_to_anything_is_a_line_of_events() -> None:
    happening = {
        "cursor": "j-1", "time": "T", "type": "bfd_session", "subject": "bfd_instance b1", "old": "Up", "new": "Down",
        "detail": "nothing heard",
    }  # fmt: skip
    assert render_event(happening) == "T  bfd_instance b1: bfd session: Up -> Down: nothing heard"
    bare = {"cursor": "j-1", "time": "T", "type": "stall", "subject": "process vrrp", "facts": {"ms": 7}}
    assert render_event(bare) == "T  process vrrp: stall: ms 7"

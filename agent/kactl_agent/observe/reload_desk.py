"""What clients ask about configurations: passed on to the supervisor, and its answers back to them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from kactl_agent.control.protocol import (
    BAD_PARAMS,
    CONFIGURATION_INVALID,
    CONFIRM_FAILED,
    PLAN_FAILED,
    RELOAD_FAILED,
    ControlError,
    Parameters,
)
from kactl_agent.control.server import Answer, Method
from kactl_agent.observe.journal import Journal
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime import frames

_MOST_WAITING = 64
_SECOND = 1_000_000_000
_LONGEST_CONFIRM = 24 * 3600  # seconds
_LONGEST_PATH = 4096
_LONGEST_REVISION = 64


class ReloadDesk:
    """Methods reload, plan, confirm and rollback. `post` sends to the supervisor; False when there is none any more."""

    def __init__(self, post: Callable[[frames.Frame], bool], journal: Journal) -> None:
        self._post = post
        self._journal = journal
        self._serial = 0
        self._waiting: dict[int, Answer] = {}
        self._pending = frames.PendingConfirmation()

    @property
    def methods(self) -> dict[str, Method]:
        return {"reload": self._reload, "plan": self._plan, "confirm": self._confirm, "rollback": self._rollback}

    def status(self) -> dict[str, Any] | None:
        """What waits to be confirmed, for `agent.pending_confirmation`."""
        if not self._pending.revision:
            return None
        return {
            "revision": self._pending.revision,
            "previous_revision": self._pending.previous,
            "until": timestamp(self._pending.until),
        }

    # -- from clients --------------------------------------------------------------------------------------------------

    def _reload(self, parameters: Parameters, answer: Answer) -> None:
        file = _path(parameters)
        confirm = parameters.number("confirm_s", 0, 1, _LONGEST_CONFIRM) * _SECOND
        self._ask(answer, RELOAD_FAILED, lambda serial: frames.ReloadRequest(serial, file, confirm))

    def _rollback(self, parameters: Parameters, answer: Answer) -> None:
        revision = _revision(parameters)
        self._ask(answer, RELOAD_FAILED, lambda serial: frames.RollbackRequest(serial, revision))

    def _confirm(self, parameters: Parameters, answer: Answer) -> None:
        revision = _revision(parameters)
        self._ask(answer, CONFIRM_FAILED, lambda serial: frames.ConfirmRequest(serial, revision))

    def _plan(self, parameters: Parameters, answer: Answer) -> None:
        file = _path(parameters)
        self._ask(answer, PLAN_FAILED, lambda serial: frames.PlanRequest(serial, file))

    def _ask(self, answer: Answer, code: str, request: Callable[[int], frames.Frame]) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            raise ControlError(code, f"{_MOST_WAITING} requests are waiting already")
        self._serial += 1
        if not self._post(request(self._serial)):
            raise ControlError(code, "the agent is stopping")
        self._waiting[self._serial] = answer

    # -- from the supervisor -------------------------------------------------------------------------------------------

    def take_pending(self, frame: frames.PendingConfirmation) -> None:
        if frame.revision:
            self._pending = frame
            self._journal.append("confirmation_pending", time.time_ns(), **(self.status() or {}))
        self._pending = frame

    def reload_outcome(self, frame: frames.ReloadOutcome) -> None:
        changes = msgspec.to_builtins(frame.changes) if frame.changes is not None else None
        outcome = {"revision": frame.revision, "changes": changes, "message": frame.message, "class": frame.impact}
        if frame.rolled_back is not None:
            outcome["rolled_back"] = frame.rolled_back
        if frame.notes:
            outcome["notes"] = list(frame.notes)
        if frame.others:
            outcome["workers"] = msgspec.to_builtins(frame.others)
        if frame.journal:
            self._journal.append("reload", time.time_ns(), ok=frame.ok, **outcome)
        answer = self._waiting.pop(frame.serial, None)
        if answer is not None:
            code = CONFIGURATION_INVALID if frame.invalid else RELOAD_FAILED
            answer(outcome if frame.ok else ControlError(code, frame.message, {"revision": frame.revision}))

    def confirm_outcome(self, frame: frames.ConfirmOutcome) -> None:
        answer = self._waiting.pop(frame.serial, None)
        if not frame.error and not frame.already:
            self._journal.append("confirmed", time.time_ns(), revision=frame.revision)
        if answer is None:
            return
        if frame.error:
            answer(ControlError(CONFIRM_FAILED, frame.error))
            return
        message = f"configuration {frame.revision} {'is in force already, and stays' if frame.already else 'stays'}"
        answer({"revision": frame.revision, "confirmed": not frame.already, "message": message})

    def plan_outcome(self, frame: frames.PlanOutcome, descriptor: int | None) -> None:
        """The descriptor is closed."""
        data = b""
        if descriptor is not None:
            data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            os.close(descriptor)
        answer = self._waiting.pop(frame.serial, None)
        if answer is not None:
            answer(json.loads(data) if data else ControlError(PLAN_FAILED, frame.error or "there is no plan"))


def _revision(parameters: Parameters) -> str:
    revision = parameters.text("revision")
    if len(revision) > _LONGEST_REVISION:
        raise ControlError(BAD_PARAMS, f"revision has at most {_LONGEST_REVISION} characters")
    return revision


def _path(parameters: Parameters) -> str:
    file = parameters.text("file")
    if file and (not Path(file).is_absolute() or len(file) > _LONGEST_PATH or "\0" in file):
        raise ControlError(BAD_PARAMS, "file is an absolute path")
    return file

"""Frames of `kactl check-run`: a check that an operator asks for, and what it saw."""

from __future__ import annotations

from kactl_agent.runtime.frame import Frame


class RunCheck(Frame, frozen=True):
    """Of the observer: check this real server now, with every checker or with those of one keyword."""

    serial: int
    virtual_server: str  # as the operator said it
    real_server: str
    checker: str = ""


class CheckRunReport(Frame, frozen=True, kw_only=True):
    """What came of one of the checkers; `error` says why there is none."""

    serial: int
    order: int = 0  # of the checker, from 0
    total: int = 0  # checkers that report
    virtual_server: str = ""
    real_server: str = ""
    checker: str = ""  # its keyword
    success: bool | None = None  # None: it runs nothing, it follows something
    detail: str = ""
    trace: tuple[str, ...] = ()
    duration: int = 0  # ns
    up: bool = False  # the verdict in force, to which this check does not count
    error: str = ""

"""Frames about the log."""

from __future__ import annotations

from kactl_agent.runtime.frame import Frame


class DescribeYourself(Frame, frozen=True):
    """A line about the insides of the process is wanted in the log."""


class LogDetail(Frame, frozen=True):
    """Whether detail is logged from now on."""

    wanted: bool

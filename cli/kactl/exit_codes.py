"""Exit codes of every kactl command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    FINE = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3  # the input is no valid configuration
    UNREACHABLE = 4  # no agent answers
    INTERRUPTED = 130

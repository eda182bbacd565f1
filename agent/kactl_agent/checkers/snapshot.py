"""The state of a checker for everything that looks from outside."""

from __future__ import annotations

import msgspec


class CheckerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One checker at one moment. Times are ns of the engine's clock."""

    checker: str  # its keyword
    up: bool
    has_run: bool  # whether a result stands behind `up`
    since: int | None  # when `up` became what it is by a result, None: never yet
    last_result: str  # what was seen last, empty: nothing yet
    last_success: bool | None
    last_run: int | None  # when that was
    last_duration: int  # ns from the start of that check to its end
    failures: int  # tries in a row that have failed
    runs: int  # checks made
    failed_runs: int
    running: bool = False
    suspended: bool = False
    next_run: int | None = None
    weight: int | None = None  # as in WeightChanged
    difference: int = 0

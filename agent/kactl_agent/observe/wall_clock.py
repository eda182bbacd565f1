"""Moments as everything that looks from outside reads them."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(nanoseconds: int) -> str:
    """Wall-clock ns since 1970 as RFC 3339 in UTC with milliseconds, `2026-01-01T00:00:00.000Z`."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"

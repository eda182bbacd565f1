"""The shape of everything that processes of one agent say to each other (see `kactl_agent.runtime.frames`)."""

from __future__ import annotations

import msgspec


class Frame(msgspec.Struct, frozen=True, tag_field="frame", tag=True):
    """Any of them. Times named `at` are wall-clock ns since 1970, others monotonic ns."""

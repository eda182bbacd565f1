"""Hypothesis profiles: a gate that gives the same examples every time, and a hunt for new ones in the full lanes."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A loaded machine is no fault of what is tested.
settings.register_profile(
    "gate", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("hunt", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hunt" if os.environ.get("KACTL_FULL") else "gate")

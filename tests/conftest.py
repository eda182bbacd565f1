"""Hypothesis profiles: a gate that gives the same examples every time, and a hunt for new ones in the full lanes.

A shell has SIGINT ignored in what it runs in the background, and that is inherited: tests that interrupt a process want
it as it is in the foreground.
"""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# A loaded machine is no fault of what is tested.
settings.register_profile(
    "gate", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("hunt", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hunt" if os.environ.get("KACTL_FULL") else "gate")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

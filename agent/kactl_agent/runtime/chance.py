"""Random bytes for what need not be secret: jitter, first delays, discriminators; with random_seed the same each time.

What nobody may guess never comes from here.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable

from kactl_agent.process_settings import ProcessSettings

RandomBytes = Callable[[int], bytes]
"""Gives so many of them."""


def random_bytes(settings: ProcessSettings) -> RandomBytes:
    """The system's, or the sequence that random_seed decides on."""
    if settings.random_seed is None:
        return os.urandom
    numbers, seed = itertools.count(), settings.random_seed
    return lambda size: hashlib.shake_128(f"{seed} {next(numbers)}".encode()).digest(size)

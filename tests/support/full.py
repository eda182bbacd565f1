"""A process that can open no more files, as one that leaks them in the end."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_room(spare: int = 0) -> Iterator[None]:
    """There is room for `spare` more descriptors."""
    taken = [os.dup(0) for _ in range(spare + 1)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken), limits[1]))
    for descriptor in taken:
        os.close(descriptor)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

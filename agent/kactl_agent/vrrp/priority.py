"""The effective priority of an instance: its configured one and what trackers contribute."""

from __future__ import annotations

from collections.abc import Iterable

OWNER = 255  # RFC 9568 5.2.4: the router that owns the addresses
LOWEST = 1
HIGHEST = 254  # of a router that does not own the addresses
RESIGNING = 0  # RFC 9568 5.2.4: the master stops taking part


def effective_priority(configured: int, weights: Iterable[int]) -> int:
    """`configured` and the sum of `weights`, held within 1..254. An address owner stays 255 whatever trackers say."""
    if configured == OWNER:
        return OWNER
    return max(LOWEST, min(HIGHEST, configured + sum(weights)))

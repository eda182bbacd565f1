"""Effective priority: clamp(base + sum of weights, 1, 254), and 255 never moves (keepalived)."""

from __future__ import annotations

import pytest

from kactl_agent.vrrp.priority import effective_priority


@pytest.mark.parametrize(
    ("configured", "weights", "effective"),
    [
        (100, [], 100),
        (100, [-20, 5], 85),
        (100, [-253], 1),
        (250, [20], 254),
        (254, [1], 254),
        (1, [-1], 1),
        (250, [20, -20], 250),  # clamped after the sum, not on the way
        (255, [-100], 255),
        (255, [100], 255),
    ],
)
def test_effective_priority(configured: int, weights: list[int], effective: int) -> None:
    assert effective_priority(configured, weights) == effective

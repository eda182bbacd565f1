"""Skew_Time and Master_Down_Interval: exact integers (RFC 3768 6.1, RFC 9568 6.1)."""

from __future__ import annotations

import ast
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.vrrp import timers
from kactl_agent.vrrp.settings import CENTISECOND, SECOND
from kactl_agent.vrrp.timers import earliest, master_down_interval, skew_time


@pytest.mark.parametrize(
    ("version", "priority", "skew"),
    [
        (2, 100, 609_375_000),
        (3, 100, 609_375_000),
        (3, 254, 7_812_500),
        (3, 1, 996_093_750),
        (2, 255, 3_906_250),  # the owner counts with 255
    ],
)
def test_rfc9568_6_1_skew_time(version: int, priority: int, skew: int) -> None:
    assert skew_time(version, priority, SECOND) == skew
    assert master_down_interval(version, priority, SECOND) == 3 * SECOND + skew


def test_rfc3768_6_1_skew_time_does_not_depend_on_the_interval() -> None:
    assert skew_time(2, 100, 10 * SECOND) == 609_375_000
    assert skew_time(3, 100, 10 * SECOND) == 6_093_750_000


def test_the_shortest_interval_keeps_a_skew() -> None:
    """1 cs and priority 254: an integer in centiseconds would be 0."""
    assert skew_time(3, 254, CENTISECOND) == 78_125


@pytest.mark.parametrize("adverts", [1, 3, 100])
def test_down_timer_adverts(adverts: int) -> None:
    assert master_down_interval(3, 100, SECOND, adverts) == adverts * SECOND + 609_375_000


@given(st.integers(1, 255), st.integers(1, 4095))
def test_v3_is_exact_to_the_nanosecond(priority: int, centiseconds: int) -> None:
    interval = centiseconds * CENTISECOND
    exact = Fraction((256 - priority) * interval, 256)
    assert 0 <= exact - skew_time(3, priority, interval) < 1
    assert 0 <= 3 * interval + exact - master_down_interval(3, priority, interval) < 1


def test_the_lengths_of_timers_are_computed_in_one_place() -> None:
    """Whoever needs Skew_Time or Master_Down_Interval calls these functions: 256 stands in no other engine's sums."""
    engines = Path(timers.__file__).parent
    sums = [
        f"{path.name}: {ast.unparse(node)}"
        for path in engines.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.BinOp) and any(isinstance(n, ast.Constant) and n.value == 256 for n in ast.walk(node))
    ]
    assert sums
    assert {text.partition(":")[0] for text in sums} == {"timers.py"}


@pytest.mark.parametrize(
    ("times", "first"), [((), None), ((None, None), None), ((0, 5), 0), ((None, 7, 5, None), 5), ((3, None), 3)]
)
def test_the_earliest_of_the_moments_that_there_are(times: tuple[int | None, ...], first: int | None) -> None:
    assert earliest(*times) == first

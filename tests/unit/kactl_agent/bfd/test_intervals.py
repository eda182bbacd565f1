"""Intervals (RFC 5880 6.8.2, 6.8.4, 6.8.7)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.bfd.intervals import Randomness, detection_time, jittered, transmit_interval

MICROSECONDS = st.integers(1, 0xFFFFFFFF)


@given(MICROSECONDS, MICROSECONDS)
def test_tx1_rfc_5880_6_8_7_the_slower_of_both(desired: int, remote: int) -> None:
    assert transmit_interval(desired, remote) == max(desired, remote)


@given(MICROSECONDS)
def test_tx6_rfc_5880_6_8_1_zero_is_none(desired: int) -> None:
    assert transmit_interval(desired, 0) == 0


@given(MICROSECONDS, st.integers(0, 0xFFFFFFFF))
def test_tx2_tx3_rfc_5880_6_8_7_jitter(interval: int, number: int) -> None:
    """0 to 25 % less; with a multiplier of 1, 10 to 25 %: which holds for every multiplier here."""
    assert interval * 75 // 100 <= jittered(interval, number) <= interval * 90 // 100


def test_tx2_jitter_is_spread() -> None:
    numbers = Randomness(42)
    spread = [jittered(1_000_000, numbers.next()) for _ in range(2000)]
    for low in range(750_000, 900_000, 15_000):
        assert sum(low <= each < low + 15_000 for each in spread) > 100


@given(st.integers(1, 255), MICROSECONDS, MICROSECONDS)
def test_dt1_dt3_rfc_5880_6_8_4(detect_mult: int, required: int, remote: int) -> None:
    """The neighbour's multiplier times the slower of what we take and what it sends; no jitter comes off."""
    assert detection_time(detect_mult, required, remote) == detect_mult * max(required, remote)


@given(st.integers(0, 1 << 64))
def test_a_seed_gives_the_same_numbers(seed: int) -> None:
    one, other = Randomness(seed), Randomness(seed)
    numbers = [one.next() for _ in range(20)]
    assert numbers == [other.next() for _ in range(20)]
    assert len(set(numbers)) == 20
    assert all(0 < number <= 0xFFFFFFFF for number in numbers)

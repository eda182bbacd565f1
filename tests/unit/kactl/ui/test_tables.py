"""Columns of text, as a terminal shows them."""

from __future__ import annotations

from kactl.ui.tables import table


def test_columns_are_aligned() -> None:
    assert table([("A", "B", "C"), ("long", "", "x")]) == ["A     B  C", "long     x"]


def test_wide_characters_take_two_columns() -> None:
    assert table([("東京", "x"), ("abcd", "y")]) == ["東京  x", "abcd  y"]


def test_nothing_that_a_terminal_would_act_on() -> None:
    assert table([("\x1b[31m", "x")]) == ["␛[31m  x"]

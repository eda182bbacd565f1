"""Decimals become integers and text again without any loss (seed row S12)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.shapes import Duration, Number, ValueFault, parse_decimal, render_decimal
from support.schema_strategies import structs

PLACES = {"us": 0, "ms": 3, "s": 6}


@st.composite
def decimal_texts(draw: st.DrawFn, most: int = 12) -> str:
    whole = draw(st.integers(0, 10**15).map(str) | st.just(""))
    fraction = draw(st.text("0123456789", max_size=most))
    if not whole and not fraction:
        whole = "0"
    zeros = "0" * draw(st.integers(0, 3)) if whole else ""
    return zeros + whole + ("." + fraction if fraction or draw(st.booleans()) else "")


@given(decimal_texts(), st.integers(0, 9))
def test_text_to_integer_is_exact(text: str, scale: int) -> None:
    value, exact = parse_decimal(text, scale)
    true = Decimal(text if text[0] != "." else "0" + text).scaleb(scale)
    assert value == int(true.quantize(Decimal(1), ROUND_HALF_UP))
    assert exact == (Decimal(value) == true)


@given(st.integers(-(10**18), 10**18), st.integers(0, 9))
def test_integer_to_text_and_back(value: int, scale: int) -> None:
    text = render_decimal(value, scale)
    assert parse_decimal(text, scale) == (value, True)
    assert Decimal(text) == Decimal(value).scaleb(-scale)
    assert "." not in text or text[-1] != "0", "the shortest text"


@given(st.integers(0, 2**32 * 10**6), st.sampled_from(sorted(PLACES)))
def test_durations_keep_every_microsecond(micro: int, unit: str) -> None:
    shape = Duration(unit, 6)
    text = shape.render(micro)
    assert shape.parse(text) == micro
    assert shape.parse_yaml(str(shape.to_yaml(micro))) == micro
    assert isinstance(micro, int)


@given(st.integers(0, 10**12), st.sampled_from(["us", "ms", "s"]))
def test_the_unit_in_yaml_changes_nothing(micro: int, unit: str) -> None:
    shape = Duration("s", 6)
    scale = PLACES[unit]
    assert shape.parse_yaml(f"{render_decimal(micro, scale)}{unit}") == micro


@pytest.mark.parametrize("text", ["", ".", "-", "1.2.3", "1e3", "0x10", "1_000", "٣", "1,5", " 1", "1 ", "nan", "inf"])
def test_what_is_no_decimal(text: str) -> None:
    with pytest.raises(ValueError):
        parse_decimal(text, 6)


@pytest.mark.parametrize("text", ["0.0000005", "1.0000001", "2.55555555"])
def test_more_places_than_are_used_are_rounded_and_reported(text: str) -> None:
    with pytest.raises(ValueFault) as caught:
        Duration().parse(text)
    expected = Decimal(text).scaleb(6).quantize(Decimal(1), ROUND_HALF_UP)
    assert caught.value.taken == int(expected)


def test_no_float_reaches_the_model() -> None:
    assert Duration().to_yaml(1_500_000) == Number("1.5")
    assert Duration().to_yaml(2_000_000) == 2
    for struct in structs():
        for field in table_of(struct):
            shape = field.keyword.shape
            if isinstance(shape, Duration):
                limits = (shape.minimum, shape.maximum, shape.low, shape.high, shape.otherwise)
                assert all(limit is None or type(limit) is int for limit in limits)

"""bfd_instance: words and limits, as keepalived 2.2.7 takes them (-t, dump)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.bfd import BfdInstance
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import Named, ValueFault
from kactl_agent.config.schema.track import ScriptWeight
from support.keyword_lines import fault, same, taken


@pytest.mark.parametrize(
    ("keyword", "line", "value"),
    [
        ("neighbor_ip", "10.0.0.2", "10.0.0.2"),
        ("source_ip", "fe80::1", "fe80::1"),
        ("min_rx", "1", 1_000),
        ("min_rx", "3.312", 3_312),
        ("min_tx", "4294967", 4_294_967_000),
        ("idle_tx", "1000", 1_000_000),
        ("multiplier", "255", 255),
        ("passive", "", True),
        ("ttl", "1", 1),
        ("max_hops", "-1", -1),
        ("weight", "-253 reverse", ScriptWeight(weight=-253, reverse=True)),
        ("multihop", "off", False),
    ],
)
def test_words(keyword: str, line: str, value: Any) -> None:
    same(BfdInstance, keyword, line, value)


@pytest.mark.parametrize(
    ("keyword", "line"),
    [
        ("neighbor_ip", "x"),
        ("min_rx", "0"),
        ("min_rx", "5000000"),
        ("min_tx", "x"),
        ("min_tx", "0.5"),
        ("idle_tx", "500"),
        ("multiplier", "0"),
        ("multiplier", "256"),
        ("ttl", "0"),
        ("ttl", "256"),
        ("max_hops", "256"),
        ("max_hops", "-2"),
        ("weight", "300"),
    ],
)
def test_what_is_ignored(keyword: str, line: str) -> None:
    assert fault(BfdInstance, keyword, line).taken is UNSET


def test_more_than_microseconds_is_rounded() -> None:
    assert fault(BfdInstance, "min_rx", "1.0005").taken == 1_001


def test_other_spellings() -> None:
    assert taken(BfdInstance, "neighbour_ip", "10.0.0.2") == "10.0.0.2"
    assert table_of(BfdInstance).by_word["hoplimit"].name == "ttl"
    assert table_of(BfdInstance).by_name["neighbor_ip"].keyword.required


def test_a_name_has_31_characters() -> None:
    shape = table_of(Config).by_name["bfd_instance"].keyword.shape
    assert isinstance(shape, Named)
    assert shape.name.parse("b" * 31) == "b" * 31
    with pytest.raises(ValueFault) as caught:
        shape.name.parse("b" * 32)
    assert caught.value.taken is UNSET

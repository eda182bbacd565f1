"""Lines with options: what is written is read back, for every line of the schema."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Struct

from kactl_agent.config.bind import bind
from kactl_agent.config.schema.keyword import FLAG, Keyword, Keywords, table_of
from kactl_agent.config.schema.line import check_sayable, describe_line, read_line, write_line
from kactl_agent.config.schema.routes import Encap, EncapIp6, StaticRouteEntry
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.shapes import Choice, Integer, Line, Maybe, MissingWord, Repeated, Text, ValueFault
from support.schema_strategies import configs, instances, line_structs, structs, structs_of, values


@pytest.mark.parametrize("struct", line_structs(), ids=lambda struct: struct.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_words_of_a_line_say_its_value(struct: type[Struct], data: st.DataObject) -> None:
    value = data.draw(instances(struct, 30))
    words = write_line(value)
    assert read_line(struct, words, 0) == (value, len(words))


def test_a_route_s_own_hop_limit_does_not_become_its_tunnel_s() -> None:
    route = StaticRouteEntry(destination="192.0.2.0/24", encap=Encap(ip6=EncapIp6()), hoplimit=5)
    words = write_line(route)
    assert read_line(StaticRouteEntry, words, 0) == (route, len(words))


@pytest.mark.parametrize("struct", line_structs(), ids=lambda struct: struct.__name__)
def test_every_option_of_a_line_is_described(struct: type[Struct]) -> None:
    text = describe_line(struct)
    for field in table_of(struct):
        if field.keyword.position is None and not field.keyword.bare_word:
            assert field.name in text


@given(configs())
def test_configurations_can_be_drawn(config: Any) -> None:
    # The strategies others build on: whatever is drawn holds only what its keyword table knows.
    for field, _ in table_of(type(config)).set_fields(config):
        assert field.name in table_of(type(config)).by_name


def test_every_keyword_can_be_drawn() -> None:
    for struct in structs():
        for field in table_of(struct):
            if not field.keyword.extension:
                assert values(field.keyword.shape) is not None
                assert all(inner in structs() for inner in structs_of(field.keyword.shape))


class Part(Keywords, frozen=True, kw_only=True):
    """A line inside a line."""

    kind: Annotated[Maybe[str], Keyword(Choice(("slow", "fast")), "Kind of part", bare_word=True, leading=True)] = UNSET
    name: Annotated[Maybe[str], Keyword(Text("name"), "Name of part", position=0, required=True)] = UNSET
    weight: Annotated[Maybe[int], Keyword(Integer(0, 9), "Weight of part")] = UNSET


class Whole(Keywords, frozen=True, kw_only=True):
    """A line with everything."""

    fillers: ClassVar[tuple[str, ...]] = ("of",)

    first: Annotated[Maybe[str], Keyword(Text("word"), "First word", position=0, required=True)] = UNSET
    second: Annotated[Maybe[int], Keyword(Integer(0, 99), "Second word", position=1, named=True)] = UNSET
    part: Annotated[Maybe[Part], Keyword(Line(Part), "One part")] = UNSET
    parts: Annotated[Maybe[tuple[Part, ...]], Keyword(Repeated(Line(Part)), "More parts")] = UNSET
    flag: Annotated[Maybe[bool], Keyword(FLAG, "A flag", synonyms=("banner",))] = UNSET


class Ordered(Keywords, frozen=True, kw_only=True):
    """A line whose options begin with one of them."""

    first_option: ClassVar[str] = "weight"

    name: Annotated[Maybe[str], Keyword(Text("name"), "Name", position=0, required=True)] = UNSET
    weight: Annotated[Maybe[int], Keyword(Integer(0, 9), "Weight")] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, "Reverse")] = UNSET


def read(struct: type[Any], line: str) -> tuple[Any, list[str]]:
    words = line.split()
    value, at = read_line(struct, words, 0)
    return value, words[at:]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a", Whole(first="a")),
        ("a 5", Whole(first="a", second=5)),
        ("a second 5", Whole(first="a", second=5)),
        ("a of 5 of flag", Whole(first="a", second=5, flag=True)),
        ("a banner", Whole(first="a", flag=True)),
        ("a part fast x weight 3 flag", Whole(first="a", part=Part(kind="fast", name="x", weight=3), flag=True)),
        ("a part fast slow", Whole(first="a", part=Part(kind="fast", name="slow"))),
        (
            "a parts x parts slow y weight 1",
            Whole(first="a", parts=(Part(name="x"), Part(kind="slow", name="y", weight=1))),
        ),
    ],
)
def test_reading(line: str, value: Whole) -> None:
    assert read(Whole, line) == (value, [])
    assert read_line(Whole, write_line(value), 0)[0] == value


def test_a_named_position_is_written_with_its_name() -> None:
    assert write_line(Whole(first="a", second=5)) == ["a", "second", "5"]


def test_what_leads_is_written_first() -> None:
    assert write_line(Part(name="x", kind="fast", weight=2)) == ["fast", "x", "weight", "2"]


def test_the_rest_is_left_to_the_caller() -> None:
    assert read(Whole, "a flag 5 what is this") == (Whole(first="a", second=5, flag=True), ["what", "is", "this"])


def test_a_missing_word() -> None:
    with pytest.raises(MissingWord, match="first"):
        read_line(Whole, [], 0)


def test_the_word_at_fault() -> None:
    with pytest.raises(ValueFault) as caught:
        read(Whole, "a part x weight 10")
    assert caught.value.word == 4


def test_the_first_word_is_a_value_whatever_it_says() -> None:
    # keepalived takes the first word of a tracker for its name: a script may be called `weight`.
    assert read(Ordered, "weight weight 3 reverse") == (Ordered(name="weight", weight=3, reverse=True), [])


@pytest.mark.parametrize("line", ["a reverse", "a reverse weight 3", "a foo weight 3"])
def test_an_option_before_the_first_one_costs_the_line(line: str) -> None:
    with pytest.raises(ValueFault) as caught:
        read(Ordered, line)
    assert (caught.value.word, caught.value.taken) == (1, UNSET)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Ordered(name="a", reverse=True), "`reverse` stands without `weight` before it"),
        (Script(command="/x", group="adm"), "a word is missing"),
    ],
)
def test_what_no_line_can_say(value: Any, message: str) -> None:
    with pytest.raises(ValueFault, match=message):
        check_sayable(value)


@pytest.mark.parametrize(
    "value", [Ordered(name="a", weight=1, reverse=False), Script(command="/x", user="root", group="adm")]
)
def test_what_a_line_can_say(value: Any) -> None:
    check_sayable(value)


def test_yaml_that_no_line_can_say_is_refused() -> None:
    text = "vrrp_sync_group: {g: {group: [a], track_script: [{name: chk, reverse: true}]}}"
    assert [d.code for d in bind(text, "agent.yaml").errors] == ["incomplete-line"]

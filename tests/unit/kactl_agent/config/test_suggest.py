"""Hints for unknown keywords, over the whole schema."""

from __future__ import annotations

import pytest
from msgspec import Struct

from kactl_agent.config.jsonschema import all_structs
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.suggest import explain_unknown, places_of


@pytest.mark.parametrize("struct", all_structs(), ids=lambda struct: struct.__name__)
def test_every_other_spelling_names_the_keyword_to_write(struct: type[Struct]) -> None:
    table = table_of(struct)
    for field in table.fields:
        for word in (*field.keyword.synonyms, *field.keyword.deprecated):
            message, hint = explain_unknown(table, word, "block", root=Config)
            assert message == f"`{word}` is written `{field.name}`"
            assert hint == f"write `{field.name}:`"
    for word, legacy in table.legacy.items():
        message, hint = explain_unknown(table, word, "block", root=Config)
        assert legacy.doc in message
        assert legacy.replaced_by in hint


def test_every_keyword_has_its_home() -> None:
    places = places_of(Config)
    assert places["router_id"] == ("global_defs",)
    assert "" in places["vrrp_instance"]
    assert "vrrp_instance" in places["virtual_router_id"]

"""The schema against the list of keepalived's keywords: nothing missing, nothing undocumented, nothing made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Struct

from kactl_agent.config.schema.keyword import BlockKeywords, Field, Table, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import Bool
from support.schema_strategies import structs, structs_of

LIST = Path(__file__).parents[4] / "data" / "keywords.tsv"

EXTENSIONS = {"x-keepalived", "check_jitter", "delay_loop_down", "tls_verify", "tls_expiry_warning"}
EXTENSIONS |= {"smtp_tls", "smtp_tls_ca_file", "smtp_tls_server_name", "smtp_user", "smtp_password"}
EXTENSIONS |= {"on_foreign_removal", "rfc_discards", "accept_either_checksum"}
EXTENSIONS |= {"vrrp_on_foreign_removal", "vrrp_rfc_discards", "vrrp_accept_either_checksum"}
"""kactl's own keywords."""

EXTENDED = {
    "BfdInstance": {"interface", "authentication", "unaffiliated_echo", "padded_pdu_size"},
    "BfdAuthentication": {"auth_type", "key", "active_key"},
    "BfdKeyEntry": {"id", "key"},
}
"""Those that keepalived knows elsewhere, by the struct they are ours in."""

UNLISTED: dict[str, set[str]] = {}
"""Spellings that the schema has beyond the list, by block."""


def rows() -> list[tuple[str, str, str]]:
    """Block, keyword, and the version that brought it (empty for 2.2.3 or before)."""
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "block\tkeyword\tsince"
    found = [line.split("\t") for line in lines[1:]]
    return [(block, keyword, "" if since == "-" else since) for block, keyword, since in found]


def blocks() -> dict[str, dict[str, str]]:
    """Keywords with their versions, by block."""
    found: dict[str, dict[str, str]] = {}
    for block, keyword, since in rows():
        found.setdefault(block, {})[keyword] = since
    return found


def table_at(block: str) -> Table:
    """The keyword table of a block, by its path from the root."""
    struct: type[Struct] = Config
    for word in block.strip("/").split("/") if block != "/" else []:
        field = table_of(struct).by_word[word]
        inner = list(structs_of(field.keyword.shape))
        assert len(inner) == 1, f"{block}: {word} has no keywords of its own"
        struct = inner[0]
    return table_of(struct)


def all_fields() -> list[tuple[type[Struct], Field]]:
    return [(struct, field) for struct in structs() for field in table_of(struct)]


@pytest.mark.parametrize("block", blocks())
def test_every_keyword_has_its_field(block: str) -> None:
    table = table_at(block)
    known = set(table.by_word) | set(table.fillers)
    assert sorted(set(blocks()[block]) - known) == []


@pytest.mark.parametrize("block", blocks())
def test_every_field_is_a_keyword_of_keepalived_or_a_listed_extension(block: str) -> None:
    table = table_at(block)
    # Positional words, header options and bare words have a name of their own in YAML alone.
    hidden = {f.name for f in table if f.keyword.position is not None or f.keyword.header or f.keyword.bare_word}
    extra = set(table.by_word) - set(blocks()[block]) - EXTENSIONS - UNLISTED.get(block, set()) - hidden
    extra -= EXTENDED.get(table.struct.__name__, set())
    assert sorted(extra) == []


@pytest.mark.parametrize("block", blocks())
def test_every_keyword_says_since_when(block: str) -> None:
    table = table_at(block)
    said = {f.name: f.keyword.since for f in table}
    listed = {word: since for word, since in blocks()[block].items() if word in said}
    assert {word: said[word] for word in listed} == listed


def test_extensions_are_marked() -> None:
    found = [(struct.__name__, f.name) for struct, f in all_fields() if f.keyword.extension]
    assert {name for struct, name in found if name not in EXTENDED.get(struct, ())} == EXTENSIONS
    for struct, names in EXTENDED.items():
        assert {name for where, name in found if where == struct} >= names


def test_every_struct_of_the_schema_is_reached_from_the_list() -> None:
    listed = {table_at(block).struct for block in blocks()}
    blocks_reached = {struct for struct in structs() if issubclass(struct, BlockKeywords)}
    assert {struct.__name__ for struct in blocks_reached - listed} == {"BfdAuthentication"}


@pytest.mark.parametrize(
    ("struct", "field"), all_fields(), ids=lambda part: part.name if isinstance(part, Field) else part.__name__
)
def test_every_field_is_documented(struct: type[Struct], field: Field) -> None:
    keyword = field.keyword
    assert len(keyword.doc) >= 8, "a few words that say what it does"
    first = keyword.doc.split()[0]
    assert first[0].isupper() or first[0] in "`0123456789" or "_" in first
    assert not keyword.doc.endswith("."), "documentation is one text without a final period"
    assert keyword.doc.lower().replace("_", " ") != field.name.replace("_", " "), "more than the keyword's own words"
    if isinstance(keyword.shape, Bool) and not keyword.extension:
        assert keyword.default or keyword.required, "the value in force when it is unset"
    if keyword.since:
        assert tuple(int(part) for part in keyword.since.split(".")) > (2, 2, 3)


@pytest.mark.parametrize("struct", structs(), ids=lambda struct: struct.__name__)
def test_every_struct_says_what_it_is(struct: type[Struct]) -> None:
    assert struct.__doc__
    assert struct.__doc__ not in {base.__doc__ for base in struct.__mro__[1:]}


@pytest.mark.parametrize("struct", structs(), ids=lambda struct: struct.__name__)
def test_keywords_of_the_past_are_documented_and_unknown(struct: type[Struct]) -> None:
    table = table_of(struct)
    for word, legacy in table.legacy.items():
        assert word not in table.by_word, "a keyword that is known is not of the past"
        assert len(legacy.doc) > 10

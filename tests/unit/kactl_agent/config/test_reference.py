"""The reference is what the schema says: nothing lags, nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path

from kactl_agent.config.jsonschema import all_structs
from kactl_agent.config.reference import pages, write
from kactl_agent.config.schema.keyword import table_of

COMMITTED = Path(__file__).parents[4] / "docs" / "reference"


def test_committed_reference_is_what_the_schema_generates() -> None:
    """Where this fails: `python -m kactl_agent.config.reference docs/reference`."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.glob("*.md")}
    made = pages()
    assert committed.keys() == made.keys()
    assert [name for name in made if committed[name] != made[name]] == []


def test_every_keyword_is_on_a_page_and_in_the_index() -> None:
    made = pages()
    index = made["index.md"]
    for struct in all_structs():
        page = made[f"{struct.__module__.rpartition('.')[2]}.md"]
        for field in table_of(struct).fields:
            assert f"**`{field.name}`**" in page
            assert field.keyword.doc.rstrip(".") in page
            assert all(f"- `{word}`: " in index for word in field.spellings)


def test_links_lead_somewhere() -> None:
    made = pages()
    anchors = {(name, anchor) for name, text in made.items() for anchor in re.findall(r'<a id="([^"]+)">', text)}
    for text in made.values():
        for name, anchor in re.findall(r"\]\(([a-z_0-9]+\.md)#([^)]+)\)", text):
            assert (name, anchor) in anchors


def test_pages_that_are_no_more_are_removed(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("x")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(pages())

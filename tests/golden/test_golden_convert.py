"""Every golden keepalived.conf becomes the YAML and the report kept beside it, and comes back as the same YAML.

`KACTL_UPDATE_GOLDEN=1 pytest tests/golden` writes both anew; what changed shows in the difference to what was kept.
What the regenerated file means to keepalived is the matter of tests/interop/test_same_meaning.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import ExpandOptions, expand
from kactl.keepalived_conf.tree import Directive
from support import golden

KEYWORDS = Path(__file__).resolve().parent.parent / "data" / "keywords.tsv"


def _name(case: Path) -> str:
    return case.name


@pytest.mark.parametrize("case", golden.cases("convert"), ids=_name)
def test_golden_configuration_becomes_the_kept_yaml_and_report(case: Path, tmp_path: Path) -> None:
    ran = golden.convert(case, tmp_path / "report.json")
    assert ran.status == 0, ran.stderr
    report = (tmp_path / "report.json").read_text()
    if golden.UPDATE:
        (case / "expected.yaml").write_text(ran.stdout)
        (case / "report.json").write_text(report)
    assert ran.stdout == (case / "expected.yaml").read_text()
    assert report == (case / "report.json").read_text()


@pytest.mark.parametrize("case", golden.cases("convert"), ids=_name)
def test_golden_configuration_comes_back_as_the_same_yaml(case: Path, tmp_path: Path) -> None:
    regenerated = tmp_path / "keepalived.conf"
    yaml = golden.there_and_back(case / "keepalived.conf", regenerated)
    again = golden.there_and_back(regenerated, tmp_path / "again.conf")
    assert again == yaml, regenerated.read_text()
    assert (tmp_path / "again.conf").read_text() == regenerated.read_text()


@pytest.mark.parametrize("case", golden.cases("refused"), ids=_name)
def test_broken_configuration_is_refused_with_place_and_reason(case: Path, tmp_path: Path) -> None:
    destination = tmp_path / "agent.yaml"
    destination.write_text("untouched")
    here = Path.cwd()
    os.chdir(case)
    try:
        ran = golden.kactl("convert", "keepalived.conf", "--id", golden.CONFIG_ID, "-o", str(destination))
    finally:
        os.chdir(here)
    if golden.UPDATE:
        (case / "expected.txt").write_text(f"exit {ran.status}\n{ran.stderr}")
    assert f"exit {ran.status}\n{ran.stderr}" == (case / "expected.txt").read_text()
    assert ran.status == 3
    assert destination.read_text() == "untouched"


def _used(directives: list[Directive], path: str, found: set[tuple[str, str]]) -> None:
    """Adds (block, word) for each word that stands in a block, or behind a keyword (an option of its line)."""
    for directive in directives:
        below = f"{path}/{directive.keyword}".lstrip("/")
        found.update((path or "/", word.text) for word in directive.words)
        found.update((below, word.text) for word in directive.words[1:])
        found.update(
            {(path or "/", "<any>"), (below, "<any>")} if len(directive.words) > 1 else {(path or "/", "<any>")}
        )
        if directive.children is not None:
            _used(directive.children, below, found)


def _is_position(block: str, keyword: str) -> bool:
    """Whether a row of the list names the first word of a line, not a keyword."""
    last = block.rpartition("/")[2]
    return (
        keyword in ("address", "destination", "mac")
        or (keyword == "name" and last.startswith("track_"))
        or (keyword == "interface" and last in ("interface_up_down_delays", "linkbeat_interfaces"))
    )


def test_every_keyword_is_used_by_a_golden_configuration() -> None:
    found: set[tuple[str, str]] = set()
    for case in golden.cases("convert"):
        conf = case / "keepalived.conf"
        options = ExpandOptions(config_id=golden.CONFIG_ID, working_directory=str(case))
        _used(expand(parse_source(conf.read_bytes(), str(conf)), options).directives, "", found)
    unused = []
    for line in KEYWORDS.read_text().splitlines():
        if not line or line.startswith(("#", "block\t")):
            continue
        block, keyword, _since = line.split("\t")
        if (block, "<any>" if _is_position(block, keyword) else keyword) not in found:
            unused.append(f"{block} {keyword}")
    assert not unused, "\n".join(unused)

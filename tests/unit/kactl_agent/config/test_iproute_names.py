"""Names of iproute2: its files, what it knows without them, and the directories the configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest

from kactl_agent.config.iproute_names import IprouteNames
from kactl_agent.config.schema.global_defs import GlobalDefs
from kactl_agent.config.schema.root import Config


@pytest.fixture
def names(tmp_path: Path) -> IprouteNames:
    usr, etc = tmp_path / "usr", tmp_path / "etc"
    (etc / "rt_tables.d").mkdir(parents=True)
    usr.mkdir()
    (usr / "rt_tables").write_text("# as it comes\n100\tshipped\n101 moved\n254\tmain\n")
    (etc / "rt_tables").write_text("201 moved # by the administrator\n0x66\tdmz\nnonsense here\n\n7\n")
    (etc / "rt_tables.d" / "site.conf").write_text("300 site\n")
    (etc / "rt_protos.d").mkdir()
    (etc / "rt_protos.d" / "frr.conf").write_text("186 bgp\n196 static\n")
    (etc / "rt_tables.d" / "README").write_text("301 readme\n")
    (etc / "rt_dsfield").write_text("0xb8 EF\n")
    return IprouteNames((usr, etc))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("shipped", 100), ("moved", 201), ("dmz", 0x66), ("site", 300), ("readme", None), ("main", 254),
        ("local", 255), ("default", 253), ("absent", None), ("12", 12), ("here", None),
    ],
)  # fmt: skip
def test_tables(names: IprouteNames, text: str, number: int | None) -> None:
    assert names.number("rt_tables", text) == number


@pytest.mark.parametrize(
    ("file", "text", "number"),
    [
        ("rt_protos", "static", 4), ("rt_protos", "bgp", 186), ("rt_protos", "keepalived", 18),
        ("rt_scopes", "link", 253),
        ("rt_scopes", "global", 0), ("rt_scopes", "site", 200), ("rt_dsfield", "EF", 0xB8), ("group", "default", 0),
        ("rt_realms", "cosmos", None),
    ],
)  # fmt: skip
def test_what_is_known_without_files(names: IprouteNames, file: str, text: str, number: int | None) -> None:
    assert names.number(file, text) == number


def test_files_are_read_once_and_only_for_names(tmp_path: Path) -> None:
    names = IprouteNames((tmp_path,))
    assert names.number("rt_tables", "5") == 5
    (tmp_path / "rt_tables").write_text("9 late\n")
    assert names.number("rt_tables", "late") == 9
    (tmp_path / "rt_tables").write_text("8 later\n")
    assert names.number("rt_tables", "later") is None


def test_directories_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "rt_tables").write_text("9 own\n")
    defaults = IprouteNames.of(Config())
    assert defaults.directories[-1] == Path("/etc/iproute2")
    etc = IprouteNames.of(Config(global_defs=GlobalDefs(iproute_etc_dir=str(tmp_path))))
    assert etc.number("rt_tables", "own") == 9
    assert etc.directories[:-1] == defaults.directories[:-1]
    usr = IprouteNames.of(Config(global_defs=GlobalDefs(iproute_usr_dir=str(tmp_path))))
    assert usr.directories == (tmp_path, Path("/etc/iproute2"))

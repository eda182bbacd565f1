"""vrrp_script, track_file, vrrp_track_process and their users, as keepalived 2.2.7 takes them (-t, dump)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.script import UserGroup
from kactl_agent.config.schema.shapes import MissingWord
from kactl_agent.config.schema.sync_group import SyncGroup
from kactl_agent.config.schema.track import (
    FileWeight,
    InitFile,
    ScriptWeight,
    TrackBfd,
    TrackedFile,
    TrackedProcess,
    TrackFile,
    TrackInterface,
    TrackProcess,
    TrackScript,
    VrrpScript,
)
from kactl_agent.config.schema.vrrp import VrrpInstance
from support.keyword_lines import fault, same, taken


@pytest.mark.parametrize(
    ("struct", "keyword", "line", "value"),
    [
        (VrrpScript, "interval", "1", 1_000_000),
        (VrrpScript, "interval", "0.001", 1_000),
        (VrrpScript, "timeout", "1.5", 1_500_000),
        (VrrpScript, "rise", "2147483647", 2**31 - 1),
        (VrrpScript, "weight", "-253", ScriptWeight(weight=-253)),
        (VrrpScript, "weight", "0 reverse", ScriptWeight(weight=0, reverse=True)),
        (VrrpScript, "user", "nobody", UserGroup(user="nobody")),
        (TrackedFile, "weight", "254 reverse", FileWeight(weight=254, reverse=True)),
        (TrackedFile, "init_file", "", True),
        (TrackedFile, "init_file", "-5", InitFile(value=-5)),
        (TrackedFile, "init_file", "5 overwrite", InitFile(value=5, overwrite=True)),
        (TrackedFile, "init_file", "overwrite", InitFile(overwrite=True)),
        (TrackedProcess, "process", "haproxy -f x", ("haproxy", "-f", "x")),
        (TrackedProcess, "param_match", "", True),
        (TrackedProcess, "param_match", "partial", "partial"),
        (TrackedProcess, "quorum_max", "0", 0),
        (TrackedProcess, "delay", "0.000001", 1),
        (TrackedProcess, "fork_delay", "3600", 3_600_000_000),
    ],
)
def test_words_of_blocks(struct: Any, keyword: str, line: str, value: Any) -> None:
    same(struct, keyword, line, value)


@pytest.mark.parametrize("struct", [VrrpInstance, SyncGroup])
@pytest.mark.parametrize(
    ("keyword", "line", "value"),
    [
        ("track_interface", "eth0", TrackInterface(name="eth0")),
        ("track_interface", "eth0 weight 5 reverse", TrackInterface(name="eth0", weight=5, reverse=True)),
        ("track_script", "chk weight -5", TrackScript(name="chk", weight=-5)),
        ("track_script", "weight weight -5", TrackScript(name="weight", weight=-5)),
        ("track_script", "chk weight 5 noreverse", TrackScript(name="chk", weight=5, noreverse=True)),
        ("track_file", "f weight 254 reverse", TrackFile(name="f", weight=254, reverse=True)),
        ("track_process", "p weight -254", TrackProcess(name="p", weight=-254)),
        ("track_bfd", "b weight 253", TrackBfd(name="b", weight=253)),
    ],
)
def test_words_of_entries(struct: Any, keyword: str, line: str, value: Any) -> None:
    same(struct, keyword, line, value)


@pytest.mark.parametrize(
    ("struct", "keyword", "word", "value"),
    [
        (VrrpScript, "interval", "0", 1_000_000),
        (VrrpScript, "timeout", "0", 1_000_000),
        (VrrpScript, "rise", "0", 1),
        (VrrpScript, "fall", "x", 1),
        (TrackedProcess, "delay", "0.00000151", 2),
    ],
)
def test_repairs(struct: Any, keyword: str, word: str, value: Any) -> None:
    assert fault(struct, keyword, word).taken == value


@pytest.mark.parametrize(
    ("struct", "keyword", "line"),
    [
        (VrrpScript, "weight", "300"),
        (VrrpScript, "weight", "reverse"),
        (TrackedFile, "weight", "x"),
        (TrackedFile, "weight", "255"),
        (TrackedFile, "init_file", "99999999999"),
        (TrackedProcess, "param_match", "foo"),
        (TrackedProcess, "weight", "-255"),
        (TrackedProcess, "quorum", "0"),
        (TrackedProcess, "quorum_max", "70000"),
        (TrackedProcess, "fork_delay", "4000"),
        (TrackedProcess, "delay", "0"),
        (VrrpInstance, "track_script", "chk weight 254"),
        (VrrpInstance, "track_file", "f weight 255"),
        (VrrpInstance, "track_process", "p weight x"),
    ],
)
def test_what_is_ignored(struct: Any, keyword: str, line: str) -> None:
    assert fault(struct, keyword, line).taken is UNSET


@pytest.mark.parametrize("keyword", ["track_interface", "track_script", "track_file", "track_process", "track_bfd"])
@pytest.mark.parametrize("options", ["reverse", "reverse weight 3", "foo weight 6"])
def test_entries_whose_options_do_not_begin_with_weight_are_ignored(keyword: str, options: str) -> None:
    found = fault(VrrpInstance, keyword, f"name {options}")
    assert (found.word, found.taken) == (1, UNSET)


def test_what_an_unknown_word_behind_the_weight_costs() -> None:
    # A file's entry is gone then; the others lose the word alone. A bad weight costs the weight alone.
    assert TrackFile.whole_line
    assert table_of(TrackFile).by_name["weight"].keyword.bad_value == "option"
    for entry in (TrackInterface, TrackScript, TrackProcess, TrackBfd):
        assert not entry.whole_line


def test_an_entry_needs_its_name() -> None:
    with pytest.raises(MissingWord):
        taken(VrrpInstance, "track_script", "")


def test_spellings_of_the_root() -> None:
    field = table_of(Config).by_word["vrrp_track_file"]
    assert (field.name, field.keyword.deprecated) == ("track_file", ("vrrp_track_file",))

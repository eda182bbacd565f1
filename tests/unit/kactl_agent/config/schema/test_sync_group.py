"""vrrp_sync_group, and what it shares with instances."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.sync_group import SyncGroup
from kactl_agent.config.schema.track import TrackScript
from kactl_agent.config.schema.vrrp import VrrpInstance
from support.keyword_lines import fault, same, taken

SHARED = [
    "track_interface",
    "track_script",
    "track_file",
    "track_process",
    "track_bfd",
    "notify",
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_priority_changes",
    "smtp_alert",
]


@pytest.mark.parametrize("keyword", SHARED)
def test_instances_and_groups_share_one_definition(keyword: str) -> None:
    assert table_of(SyncGroup).by_name[keyword].keyword == table_of(VrrpInstance).by_name[keyword].keyword


def test_notify_deleted_is_for_instances_alone() -> None:
    assert "notify_deleted" in table_of(VrrpInstance).by_word
    assert "notify_deleted" not in table_of(SyncGroup).by_word


def test_the_first_list_of_members_counts() -> None:
    assert table_of(SyncGroup).by_name["group"].keyword.again == "ignored"


@pytest.mark.parametrize("keyword", ["notify", "notify_master", "notify_stop"])
def test_commands(keyword: str) -> None:
    assert taken(SyncGroup, keyword, '"/bin/n a b" root') == Script(command="/bin/n a b", user="root")


def test_members_and_trackers() -> None:
    same(SyncGroup, "group", "VI_1", "VI_1")
    assert taken(SyncGroup, "track_script", "chk weight -20") == TrackScript(name="chk", weight=-20)


@pytest.mark.parametrize("keyword", ["smtp_alert", "notify_priority_changes"])
def test_switches(keyword: str) -> None:
    same(SyncGroup, keyword, "", True)
    same(SyncGroup, keyword, "off", False)
    assert fault(SyncGroup, keyword, "foo").taken is UNSET


def test_global_tracking_is_deprecated() -> None:
    assert table_of(SyncGroup).by_name["global_tracking"].keyword.replaced_by

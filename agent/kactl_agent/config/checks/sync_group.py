"""vrrp_sync_group: members, and what weighted trackers mean for them (behaviour of keepalived; seed rows S05, S36)."""

from __future__ import annotations

import difflib
from typing import Any

from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.checks.references import TRACKED_BY
from kactl_agent.config.schema.shapes import or_default


def check(sheet: Sheet) -> None:
    config = sheet.document.config
    instances = or_default(config.vrrp_instance, {})
    owner: dict[str, str] = {}
    for name, group in or_default(config.vrrp_sync_group, {}).items():
        path: Path = ("vrrp_sync_group", name)
        members = []
        for index, member in enumerate(or_default(group.group, ())):
            place = (*path, "group", index)
            if member not in instances:
                close = difflib.get_close_matches(member, instances, 1)
                hint = f"did you mean `{close[0]}`?" if close else "keepalived leaves such members out"
                sheet.error(place, "unknown-reference", f"there is no vrrp_instance `{member}`", hint, ignored=True)
            elif member in owner:
                where = "twice" if owner[member] == name else f"in sync group `{owner[member]}` already"
                sheet.error(
                    place,
                    "member-of-two-groups",
                    f"`{member}` is {where}",
                    "an instance belongs to one group",
                    ignored=True,
                )
            else:
                owner[member] = name
                members.append(member)
        if not members:
            sheet.warning(path, "empty-sync-group", f"sync group `{name}` has no members and is left out")
        elif len(members) == 1:
            sheet.warning(
                path, "single-member-group", f"sync group `{name}` has one member", "that keeps nothing in step"
            )
        for member in members:
            _tracked_twice(sheet, member, instances[member], name, group)
        if not or_default(group.sync_group_tracking_weight, False) and not or_default(group.global_tracking, False):
            for member in members:
                _member_weights(sheet, member, instances[member], name)


def _tracked_twice(sheet: Sheet, name: str, instance: Any, group_name: str, group: Any) -> None:
    """What the group tracks counts for its members: their own entry is left out, and its weight with it."""
    for keyword in ("track_interface", "track_script", "track_process", "track_bfd", "track_file"):
        shared = {entry.name for entry in or_default(getattr(group, keyword), ())}
        for index, entry in enumerate(or_default(getattr(instance, keyword), ())):
            if entry.name in shared:
                sheet.warning(
                    ("vrrp_instance", name, keyword, index),
                    "duplicate-tracker",
                    f"duplicate {keyword} `{entry.name}`: sync group `{group_name}` tracks it for all its members",
                    "leave it out",
                )


def _member_weights(sheet: Sheet, name: str, instance: Any, group: str) -> None:
    """Weighted trackers on members: without sync_group_tracking_weight they cannot count one by one."""
    hint = "track it on the group, or set sync_group_tracking_weight"
    path: Path = ("vrrp_instance", name)
    for keyword in ("track_interface", "track_script", "track_process", "track_bfd", "track_file"):
        for index, entry in enumerate(or_default(getattr(instance, keyword), ())):
            weight = _weight(sheet, keyword, entry)
            if not weight:
                continue
            if keyword == "track_interface" or (keyword == "track_file" and abs(weight) == 1):
                what = "counts as a fault"
            else:
                what = "is left out"
            sheet.warning(
                (*path, keyword, index),
                "weight-in-sync-group",
                f"`{name}` is in sync group `{group}`: its {keyword} `{entry.name}` with weight {weight} {what}",
                hint,
            )


def _weight(sheet: Sheet, keyword: str, entry: Any) -> int:
    """The weight in force for a tracker entry: its own, or that of what it names."""
    if entry.weight is not UNSET:
        own = entry.weight
        return own if isinstance(own, int) else or_default(own.weight, 0)
    if keyword not in TRACKED_BY:
        return 0
    defined = or_default(getattr(sheet.document.config, TRACKED_BY[keyword]), {}).get(entry.name)
    if defined is None:
        return 0
    if defined.weight is UNSET:
        return 1 if keyword == "track_file" else 0
    return defined.weight if isinstance(defined.weight, int) else or_default(defined.weight.weight, 0)

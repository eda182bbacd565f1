"""vrrp_sync_group, and the notify commands and trackers it has in common with instances."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BOOL, FLAG, BlockKeywords, Keyword
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.shapes import Entries, Line, Maybe, Text
from kactl_agent.config.schema.track import TrackBfd, TrackFile, TrackInterface, TrackProcess, TrackScript


class Notified(BlockKeywords, frozen=True, kw_only=True):
    """What instances and groups share: who learns of a change of state, and what is tracked.

    Commands get their own arguments, then INSTANCE or GROUP, the name, the new state and the priority.
    """

    track_interface: Annotated[
        Maybe[tuple[TrackInterface, ...]],
        Keyword(
            Entries(Line(TrackInterface)),
            "Interfaces that move the priority while they are up or down, or (weight 0) make it FAULT while they are down",
            default="none but the instance's own interface",
            process="vrrp",
        ),
    ] = UNSET
    track_script: Annotated[
        Maybe[tuple[TrackScript, ...]],
        Keyword(
            Entries(Line(TrackScript)),
            "vrrp_script blocks whose result moves the priority, or (weight 0) makes it FAULT while they fail",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    track_file: Annotated[
        Maybe[tuple[TrackFile, ...]],
        Keyword(
            Entries(Line(TrackFile)),
            "track_file blocks whose number, times the weight, is added to the priority; with weight 0 a number other than 0 makes it FAULT",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    track_process: Annotated[
        Maybe[tuple[TrackProcess, ...]],
        Keyword(
            Entries(Line(TrackProcess)),
            "vrrp_track_process blocks whose quorum moves the priority, or (weight 0) makes it FAULT while it is missed",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    track_bfd: Annotated[
        Maybe[tuple[TrackBfd, ...]],
        Keyword(
            Entries(Line(TrackBfd)),
            "bfd_instance blocks whose session moves the priority, or (weight 0) makes it FAULT while it is not up",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    notify_master: Annotated[
        Maybe[Script],
        Keyword(Line(Script), "Command to run on the way to MASTER", default="none", again="ignored", process="vrrp"),
    ] = UNSET
    notify_backup: Annotated[
        Maybe[Script],
        Keyword(Line(Script), "Command to run on the way to BACKUP", default="none", again="ignored", process="vrrp"),
    ] = UNSET
    notify_fault: Annotated[
        Maybe[Script],
        Keyword(Line(Script), "Command to run on the way to FAULT", default="none", again="ignored", process="vrrp"),
    ] = UNSET
    notify_stop: Annotated[
        Maybe[Script],
        Keyword(Line(Script), "Command to run when the agent stops", default="none", again="ignored", process="vrrp"),
    ] = UNSET
    notify: Annotated[
        Maybe[Script],
        Keyword(
            Line(Script),
            "Command to run on every change of state, behind the one for that state",
            default="none",
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    notify_priority_changes: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Write changes of the effective priority to the notify FIFOs too",
            default="vrrp_notify_priority_changes of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    smtp_alert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Send mail on every change of state",
            default="smtp_alert_vrrp, then smtp_alert of global_defs; off",
            process="vrrp",
        ),
    ] = UNSET


class SyncGroup(Notified, frozen=True, kw_only=True):
    """vrrp_sync_group: instances that change their state together. What it tracks counts for all of them."""

    group: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            Entries(Text("vrrp_instance"), many_per_line=True),
            "Names of the instances. An instance is in one group only; a second list in the same block is ignored",
            required=True,
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    sync_group_tracking_weight: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Let trackers move the priorities of the members; all of them should have the same base priority",
            default="off: weighted trackers of members are left out, those of interfaces have weight 0; the group's own count",
            process="vrrp",
        ),
    ] = UNSET
    global_tracking: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Let what a member tracks count for all members, with its weight",
            default="off",
            replaced_by="track_interface, track_script and track_file in the group",
            process="vrrp",
        ),
    ] = UNSET

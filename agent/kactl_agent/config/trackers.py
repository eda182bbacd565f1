"""What is tracked, and what it is worth to each instance: the settings of `kactl_agent.tracking`.

An entry's own weight and direction come before those of what it names. A member of a sync group counts its own
trackers, as far as its group lets them, and those of the group, as keepalived does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.command_line import UnclosedQuote, split_command
from kactl_agent.config.in_force import InstanceInForce
from kactl_agent.config.item_interfaces import item_interfaces
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.tracking.process import NAME_LENGTH, needs_command_line
from kactl_agent.tracking.settings import (
    Command,
    FileSettings,
    ParamMatch,
    ProcessSettings,
    ScriptSettings,
    TrackerKind,
    TrackerUse,
    TrackingSettings,
)
from kactl_agent.vrrp.settings import MICROSECOND

_DEFINITIONS = {
    TrackerKind.SCRIPT: "vrrp_script",
    TrackerKind.FILE: "track_file",
    TrackerKind.PROCESS: "vrrp_track_process",
    TrackerKind.BFD: "bfd_instance",
}
_TRACKED = (TrackerKind.INTERFACE, *_DEFINITIONS)
_SECOND = 1_000_000  # durations of the model are microseconds


class ScriptPolicy(msgspec.Struct, frozen=True):
    """Who runs scripts that say nothing about it, and which scripts are not to be run. Of global_defs."""

    user: str = ""  # script_user; empty: keepalived_script where that user exists, else the user of the agent
    group: str = ""
    security: bool = False  # enable_script_security
    keep_symlinks: bool = False  # use_symlink_paths: run scripts by the path as written


def resolve_script_policy(config: Config) -> ScriptPolicy:
    said = config.global_defs
    if said is UNSET:
        return ScriptPolicy()
    user = said.script_user
    return ScriptPolicy(
        "" if user is UNSET else or_default(user.user, ""),
        "" if user is UNSET else or_default(user.group, ""),
        or_default(said.enable_script_security, False),
        or_default(said.use_symlink_paths, False),
    )


def resolve_trackers(sheet: Sheet) -> TrackingSettings:
    """Trackers that no instance uses are left out: they are not run."""
    config = sheet.document.config
    uses = {
        name: _with_items(config, name, tuple(_uses(config, name))) for name in or_default(config.vrrp_instance, {})
    }
    used = {(use.kind, use.tracker) for entries in uses.values() for use in entries}

    def defined(kind: TrackerKind) -> Iterator[tuple[str, Any]]:
        for name, block in or_default(getattr(config, _DEFINITIONS[kind]), {}).items():
            if (kind, name) in used:
                yield name, block

    return TrackingSettings(
        scripts=tuple(_script(sheet, name, block) for name, block in defined(TrackerKind.SCRIPT)),
        files=tuple(file_settings(name, block) for name, block in defined(TrackerKind.FILE)),
        processes=tuple(_process(sheet, name, block) for name, block in defined(TrackerKind.PROCESS)),
        uses={name: entries for name, entries in uses.items() if entries},
    )


# -- who tracks what --------------------------------------------------------------------------------------------------


def _uses(config: Config, instance: str) -> Iterator[TrackerUse]:
    group_name, group = _group_of(config, instance)
    shared = () if group is None else tuple(_entries(config, group, group_name))
    twice = {(use.kind, use.tracker) for use in shared}  # the group's counts, as in keepalived
    for use in _entries(config, or_default(config.vrrp_instance, {})[instance], ""):
        allowed = use if group is None else _in_group(use, group)
        if allowed is not None and (use.kind, use.tracker) not in twice:
            yield allowed
    yield from shared


def _with_items(config: Config, instance: str, uses: tuple[TrackerUse, ...]) -> tuple[TrackerUse, ...]:
    """What an instance tracks, and the interfaces of its addresses, routes and rules. Those are faults when they are
    down, whatever weight an entry of its own gives them; its own interface is not tracked twice (both: keepalived
    2.2.7)."""
    own = InstanceInForce(config, instance).interface.value
    items = item_interfaces(config, instance)

    def counts(use: TrackerUse) -> bool:
        return use.kind is not TrackerKind.INTERFACE or bool(use.group) or use.tracker not in (own, *items)

    return (*(use for use in uses if counts(use)), *(TrackerUse(TrackerKind.INTERFACE, name) for name in items))


def _group_of(config: Config, instance: str) -> tuple[str, Any]:
    """The first sync group that names the instance is the one that counts."""
    for name, group in or_default(config.vrrp_sync_group, {}).items():
        if instance in or_default(group.group, ()):
            return name, group
    return "", None


def _in_group(use: TrackerUse, group: Any) -> TrackerUse | None:
    """What is left of a member's own tracker: weights that move one member alone would keep the group from agreeing."""
    if (
        not use.weight
        or or_default(group.sync_group_tracking_weight, False)
        or or_default(group.global_tracking, False)
    ):
        return use
    as_fault = use.kind is TrackerKind.INTERFACE or (use.kind is TrackerKind.FILE and abs(use.weight) == 1)
    return TrackerUse(use.kind, use.tracker, 0, use.reverse) if as_fault else None


def _entries(config: Config, owner: Any, group: str) -> Iterator[TrackerUse]:
    for kind in _TRACKED:
        for entry in or_default(getattr(owner, kind.value), ()):
            if kind is TrackerKind.INTERFACE:
                weight, reverse = or_default(entry.weight, 0), or_default(entry.reverse, False)
            else:
                block = or_default(getattr(config, _DEFINITIONS[kind]), {}).get(entry.name)
                if block is None:
                    continue  # an error that has been reported
                weight, reverse = _weight(kind, entry, block)
            yield TrackerUse(kind, entry.name, weight, reverse, group)


def _weight(kind: TrackerKind, entry: Any, block: Any) -> tuple[int, bool]:
    own = block.weight
    default = 1 if kind is TrackerKind.FILE else 0
    weight = default if own is UNSET else or_default(own.weight, default)
    reverse = own is not UNSET and or_default(own.reverse, False)
    if or_default(entry.noreverse, False):
        reverse = False
    elif or_default(entry.reverse, False):
        reverse = True
    return or_default(entry.weight, weight), reverse


# -- what is tracked --------------------------------------------------------------------------------------------------


def _script(sheet: Sheet, name: str, block: Any) -> ScriptSettings:
    interval = or_default(block.interval, _SECOND) * MICROSECOND
    user = block.user
    return ScriptSettings(
        name=name,
        command=Command(
            command_words(sheet, ("vrrp_script", name, "script"), or_default(block.script, "")),
            "" if user is UNSET else or_default(user.user, ""),
            "" if user is UNSET else or_default(user.group, ""),
        ),
        interval=interval,
        timeout=interval if block.timeout is UNSET else block.timeout * MICROSECOND,
        rise=or_default(block.rise, 1),
        fall=or_default(block.fall, 1),
        init_fail=or_default(block.init_fail, False),
    )


def command_words(sheet: Sheet, path: Path, text: str) -> tuple[str, ...]:
    """The words of a command line; what cannot be split is an error of the configuration."""
    try:
        words = tuple(split_command(text))
    except UnclosedQuote as error:
        sheet.error(path, "unclosed-quote", f"{error} in the command `{text}`", "close it, or write \\ before it")
        return ()
    if not words or not words[0]:
        sheet.error(path, "empty-command", "there is no command to run")
        return ()
    return words


def file_settings(name: str, block: Any) -> FileSettings:
    """What a track_file block says."""
    initial: int | None = None
    overwrite = False
    if block.init_file is True:
        initial = 0
    elif block.init_file is not UNSET and block.init_file is not False:
        initial = or_default(block.init_file.value, 0)
        overwrite = or_default(block.init_file.overwrite, False)
    return FileSettings(name=name, path=or_default(block.file, ""), initial=initial, overwrite=overwrite)


_PARAM_MATCH = {"partial": ParamMatch.PARTIAL, "initial": ParamMatch.INITIAL}


def _process(sheet: Sheet, name: str, block: Any) -> ProcessSettings:
    words = or_default(block.process, ())
    said = block.param_match
    match = ParamMatch.ANY
    if len(words) > 1 or (said is not UNSET and said is not False):
        match = _PARAM_MATCH.get(said, ParamMatch.EXACT)
    quorum, most = or_default(block.quorum, 1), or_default(block.quorum_max, None)
    if most == 0:
        quorum = 0  # none may run
    elif most is not None and most < quorum:
        text = f"quorum_max {most} is less than quorum {quorum} and is ignored"
        sheet.warning(("vrrp_track_process", name, "quorum_max"), "quorum-max", text)
        most = None
    delay = or_default(block.delay, 0)
    settings = ProcessSettings(
        name=name,
        process=words[0] if words else "",
        arguments=tuple(words[1:]),
        param_match=match,
        full_command=or_default(block.full_command, False),
        quorum=quorum,
        quorum_max=most,
        fork_delay=or_default(block.fork_delay, delay) * MICROSECOND,
        terminate_delay=or_default(block.terminate_delay, delay) * MICROSECOND,
    )
    if not needs_command_line(settings) and len(settings.process.encode()) > NAME_LENGTH:
        text = f"no process is called `{settings.process}`: the kernel keeps {NAME_LENGTH} bytes of a name"
        sheet.warning(("vrrp_track_process", name, "process"), "process-name", text, "say full_command, and the path")
    return settings

"""Names that must stand for something: trackers, group members, BFD sessions, track groups."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.schema.shapes import or_default

TRACKED_BY = {
    # keyword of the reference -> root keyword that defines the names
    "track_script": "vrrp_script",
    "track_file": "track_file",
    "track_process": "vrrp_track_process",
    "track_bfd": "bfd_instance",
}


def check(sheet: Sheet) -> None:
    config = sheet.document.config
    known = {keyword: _defined(sheet, root) for keyword, root in TRACKED_BY.items()}
    for keyword in ("vrrp_instance", "vrrp_sync_group"):
        for name, owner in or_default(getattr(config, keyword), {}).items():
            _trackers(sheet, (keyword, name), owner, known)
    _static_track_groups(sheet)
    _checkers(sheet)
    _sync_daemon(sheet)


def _defined(sheet: Sheet, root: str) -> Collection[str]:
    """The names that a root keyword's blocks have."""
    blocks: dict[str, Any] = or_default(getattr(sheet.document.config, root), {})
    return blocks.keys()


def _unknown(sheet: Sheet, path: Path, what: str, name: str, known: Collection[str], *, ignored: bool) -> None:
    close = difflib.get_close_matches(name, known, 1)
    if close:
        hint = f"did you mean `{close[0]}`?"
    elif known:
        hint = f"defined: {', '.join(sorted(known))}"
    else:
        hint = f"no {what} is defined"
    sheet.error(path, "unknown-reference", f"there is no {what} `{name}`", hint, ignored=ignored)


def _trackers(sheet: Sheet, path: Path, owner: Any, known: Mapping[str, Collection[str]]) -> None:
    for keyword, root in TRACKED_BY.items():
        entries = getattr(owner, keyword)
        if entries is UNSET:
            continue
        for index, entry in _once(sheet, (*path, keyword), entries, keyword):
            if entry.name not in known[keyword]:
                _unknown(sheet, (*path, keyword, index), root, entry.name, known[keyword], ignored=True)
    if owner.track_interface is not UNSET:
        for _ in _once(sheet, (*path, "track_interface"), owner.track_interface, "track_interface"):
            pass


def _once(sheet: Sheet, path: Path, entries: tuple[Any, ...], keyword: str) -> Iterator[tuple[int, Any]]:
    """The entries that name something for the first time; the others are reported, in one form for all trackers."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            sheet.error(
                (*path, index), "duplicate-tracker", f"duplicate {keyword} `{entry.name}`", "leave it out", ignored=True
            )
            continue
        seen.add(entry.name)
        yield index, entry


def _static_track_groups(sheet: Sheet) -> None:
    config = sheet.document.config
    groups = or_default(config.track_group, {})
    instances = _defined(sheet, "vrrp_instance")
    for name, group in groups.items():
        for index, member in enumerate(or_default(group.group, ())):
            if member not in instances:
                _unknown(sheet, ("track_group", name, "group", index), "vrrp_instance", member, instances, ignored=True)
    for keyword in ("static_ipaddress", "static_routes", "static_rules"):
        for index, entry in enumerate(or_default(getattr(config, keyword), ())):
            wanted = entry.track_group
            if wanted is not UNSET and wanted not in groups:
                _unknown(sheet, (keyword, index, "track_group"), "track_group", wanted, groups, ignored=False)


def _checkers(sheet: Sheet) -> None:
    config = sheet.document.config
    sessions = _defined(sheet, "bfd_instance")
    files = _defined(sheet, "track_file")
    groups = _defined(sheet, "virtual_server_group")
    for v, server in enumerate(or_default(config.virtual_server, ())):
        if server.group is not UNSET and server.group not in groups:
            _unknown(sheet, ("virtual_server", v, "group"), "virtual_server_group", server.group, groups, ignored=False)
        for r, real in enumerate(or_default(server.real_server, ())):
            path: Path = ("virtual_server", v, "real_server", r)
            for c, checker in enumerate(or_default(real.bfd_check, ())):
                if checker.name is not UNSET and checker.name not in sessions:
                    _unknown(
                        sheet, (*path, "BFD_CHECK", c, "name"), "bfd_instance", checker.name, sessions, ignored=False
                    )
            for c, file_check in enumerate(or_default(real.file_check, ())):
                if file_check.track_file is not UNSET and file_check.track_file not in files:
                    _unknown(
                        sheet,
                        (*path, "FILE_CHECK", c, "track_file"),
                        "track_file",
                        file_check.track_file,
                        files,
                        ignored=False,
                    )


def _sync_daemon(sheet: Sheet) -> None:
    config = sheet.document.config
    if config.global_defs is UNSET or config.global_defs.lvs_sync_daemon is UNSET:
        return
    wanted = config.global_defs.lvs_sync_daemon.inst
    instances = _defined(sheet, "vrrp_instance")
    if wanted is not UNSET and wanted not in instances:
        _unknown(sheet, ("global_defs", "lvs_sync_daemon", "inst"), "vrrp_instance", wanted, instances, ignored=False)

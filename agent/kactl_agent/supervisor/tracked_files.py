"""Tracked files on this machine: which can be watched, and the first value of those that are to have one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kactl_agent.tracking.settings import FileSettings, TrackerKind, TrackingSettings

if TYPE_CHECKING:
    from kactl_agent.config.checks.problem import Sheet

_UNWATCHABLE = frozenset(
    # no inotify for what others do there, or reading may take as long as the network
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "ncpfs", "glusterfs", "lustre", "gfs2",
     "ocfs2", "proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "configfs", "devpts"}
)  # fmt: skip


def leave_out_unwatchable(sheet: Sheet, tracking: TrackingSettings) -> TrackingSettings:
    """Without the files on filesystems that cannot be watched, as keepalived refuses them; `sheet` is told."""
    good = []
    for settings in tracking.files:
        kind = unwatchable(settings.path)
        if kind:
            text = f"track_file `{settings.name}` is disabled: {settings.path} is on {kind}, which cannot be watched"
            sheet.warning(("track_file", settings.name, "file"), "file-disabled", text, "keep it on a local filesystem")
        else:
            good.append(settings)
    names = {settings.name for settings in good}
    uses = {
        instance: tuple(use for use in entries if use.kind is not TrackerKind.FILE or use.tracker in names)
        for instance, entries in tracking.uses.items()
    }
    kept = {instance: entries for instance, entries in uses.items() if entries}
    return msgspec.structs.replace(tracking, files=tuple(good), uses=kept)


def unwatchable(path: str) -> str:
    """The kind of the filesystem that holds the path, where that tells nothing of changes; else empty."""
    kind = filesystem(path, _mounts(Path("/proc/self/mountinfo").read_text(errors="replace")))
    return kind if kind in _UNWATCHABLE or kind.startswith("fuse.") else ""


def filesystem(path: str, mounts: dict[str, str]) -> str:
    """The kind of the filesystem that holds the path, as mountinfo calls it; empty when nothing is known."""
    try:
        here = Path(path).resolve()
    except (OSError, RuntimeError):
        here = Path(path)
    for place in (here, *here.parents):
        if str(place) in mounts:
            return mounts[str(place)]
    return ""


def _mounts(mountinfo: str) -> dict[str, str]:
    """Mount point -> kind of filesystem (proc_pid_mountinfo(5)); of several at one place the last is seen."""
    found = {}
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4]
        for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, char)
        found[point] = rest.split()[0]
    return found


def initialise(files: Iterable[FileSettings]) -> list[str]:
    """Write the first values (init_file): of files that are missing, or of all that say `overwrite`.

    Returns what could not be written, with the reason.
    """
    failures = []
    for settings in files:
        if settings.initial is None:
            continue
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        flags |= os.O_TRUNC if settings.overwrite else os.O_EXCL
        try:
            descriptor = os.open(settings.path, flags, 0o644)
        except FileExistsError:
            continue
        except OSError as error:
            failures.append(f"track_file {settings.name}: {settings.path} is not written: {error.strerror}")
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{settings.initial}\n")
    return failures

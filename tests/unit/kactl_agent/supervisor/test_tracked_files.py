"""First values of tracked files, and which files cannot be watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.supervisor.tracked_files import filesystem, initialise, leave_out_unwatchable
from kactl_agent.tracking.settings import FileSettings, TrackerKind, TrackerUse, TrackingSettings


def made(path: Path, **more: Any) -> list[str]:
    return initialise([FileSettings(name="f", path=str(path), **more)])


def test_first_values(tmp_path: Path) -> None:
    path = tmp_path / "prio"
    assert made(path) == []
    assert not path.exists(), "without init_file the file is left alone"
    assert made(path, initial=-7) == []
    assert path.read_text() == "-7\n"
    assert made(path, initial=5) == []
    assert path.read_text() == "-7\n", "what is there stays"
    assert made(path, initial=5, overwrite=True) == []
    assert path.read_text() == "5\n"


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "no" / "prio"
    assert made(path, initial=0) == [f"track_file f: {path} is not written: No such file or directory"]
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    (failure,) = made(tmp_path / "link", initial=0, overwrite=True)
    assert "symbolic links" in failure
    assert (tmp_path / "target").read_text() == "old", "nothing is written through a link"


MOUNTS = {"/": "ext4", "/mnt/share": "nfs4", "/mnt/share/local": "tmpfs", "/proc": "proc"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/etc/prio", "ext4"), ("/mnt/share/a/prio", "nfs4"), ("/mnt/share/local/x", "tmpfs"), ("/mnt/shared/x", "ext4")],
)
def test_filesystem_of_a_path(path: str, kind: str) -> None:
    assert filesystem(path, MOUNTS) == kind


def test_files_that_cannot_be_watched_are_left_out() -> None:
    document = bind("track_file:\n  f: {file: /proc/uptime}\n  g: {file: /nowhere/x}\n", "agent.yaml")
    sheet = Sheet(document)
    files = (FileSettings(name="f", path="/proc/uptime"), FileSettings(name="g", path="/nowhere/x"))
    uses = {"VI": (TrackerUse(TrackerKind.FILE, "f", 1), TrackerUse(TrackerKind.FILE, "g", 1))}
    found = leave_out_unwatchable(sheet, TrackingSettings(files=files, uses=uses))
    assert found == TrackingSettings(files=files[1:], uses={"VI": uses["VI"][1:]})
    (problem,) = sheet.problems
    assert (problem.diagnostic.code, problem.diagnostic.place.line) == ("file-disabled", 2)

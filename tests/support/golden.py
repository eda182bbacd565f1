"""The golden configurations: tests/golden/convert/<case>/keepalived.conf and tests/golden/refused/<case>/."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

from kactl.app import run
from kactl.environment import Environment

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
UPDATE = bool(os.environ.get("KACTL_UPDATE_GOLDEN"))
"""Whether what is kept is written anew."""
CONFIG_ID = "lb1"
SINCE_2_4 = "-since-2.4"
"""Ends the name of a case with keywords that Debian's keepalived 2.2.7 does not know."""


@dataclass(frozen=True)
class Ran:
    """One run of the kactl command."""

    status: int
    stdout: str
    stderr: str


def cases(kind: str) -> list[Path]:
    """The folders of all cases of a kind, `convert` or `refused`."""
    return sorted(p for p in (GOLDEN / kind).iterdir() if p.is_dir())


def kactl(*words: str, stdin: bytes = b"") -> Ran:
    """Runs the kactl command in this process."""
    out, err = io.StringIO(), io.StringIO()
    status = run(words, Environment(io.BytesIO(stdin), out, err, {"HOME": "/root"}))
    return Ran(status, out.getvalue(), err.getvalue())


def convert(case: Path, report: Path) -> Ran:
    """Converts a case's keepalived.conf, named relatively so that no text depends on where the project is."""
    here = Path.cwd()
    os.chdir(case)
    try:
        ran = kactl("convert", "keepalived.conf", "--id", CONFIG_ID, "--report", str(report))
        return Ran(ran.status, ran.stdout.replace(str(case), "/etc/keepalived"), ran.stderr)  # what ${_PWD} says
    finally:
        os.chdir(here)


def there_and_back(conf: Path, regenerated: Path) -> str:
    """keepalived.conf -> YAML -> `regenerated`; returns the YAML."""
    there = kactl("convert", str(conf), "--to", "yaml", "--id", CONFIG_ID)
    assert there.status == 0, there.stderr
    back = kactl("convert", "-", "--to", "keepalived", "-o", str(regenerated), stdin=there.stdout.encode())
    assert back.status == 0, back.stderr
    return there.stdout

"""Whether somebody other than root could change what a script of root is (keepalived enable_script_security)."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from typing import NamedTuple


class Component(NamedTuple):
    """A step of a path: a directory, a symbolic link or the file itself, as lstat(2) describes it."""

    path: str
    mode: int
    uid: int
    gid: int


def changeable_by_others(components: Iterable[Component]) -> str:
    """The first component that another user than root may change or replace, and who that is; empty when none.

    In a directory with the sticky bit nobody may replace what is not theirs. The mode of a symbolic link means nothing.
    """
    for component in components:
        if component.uid != 0:
            return f"{component.path} belongs to user {component.uid}"
        if stat.S_ISLNK(component.mode) or (stat.S_ISDIR(component.mode) and component.mode & stat.S_ISVTX):
            continue
        if component.mode & stat.S_IWOTH:
            return f"{component.path} may be written by anybody"
        if component.mode & stat.S_IWGRP and component.gid != 0:
            return f"{component.path} may be written by group {component.gid}"
    return ""

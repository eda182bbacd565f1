"""The numbers that iproute2 gives names to on this machine: tables, protocols, scopes, TOS values, realms, groups.

Read while a configuration is loaded; a number needs no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import UNSET

from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default

# What iproute2 knows without its files (2.2.7 of keepalived and iproute2 6.1 were asked).
_BUILT_IN: dict[str, dict[str, int]] = {
    "rt_tables": {"default": 253, "main": 254, "local": 255},
    "rt_protos": {"unspec": 0, "redirect": 1, "kernel": 2, "boot": 3, "static": 4, "keepalived": 18},
    "rt_scopes": {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255},
    "rt_dsfield": {"default": 0},
    "rt_realms": {},
    "group": {"default": 0},
}
_USR_DIRS = (Path("/usr/lib/iproute2"), Path("/usr/share/iproute2"))
_ETC_DIR = Path("/etc/iproute2")


class IprouteNames:
    """Looks names up in the files of `directories`; what a later directory says of a name holds."""

    def __init__(self, directories: Sequence[Path] = (*_USR_DIRS, _ETC_DIR)) -> None:
        self.directories = tuple(directories)
        self._read: dict[str, Mapping[str, int]] = {}

    @classmethod
    def of(cls, config: Config) -> IprouteNames:
        """With the directories that iproute_usr_dir and iproute_etc_dir name."""
        said = config.global_defs
        usr = "" if said is UNSET else or_default(said.iproute_usr_dir, "")
        etc = "" if said is UNSET else or_default(said.iproute_etc_dir, "")
        return cls((*((Path(usr),) if usr else _USR_DIRS), Path(etc) if etc else _ETC_DIR))

    def number(self, file: str, text: str) -> int | None:
        """The number of a name (or of a number in decimal), None for a name that `file` does not have."""
        if text.isascii() and text.isdigit():
            return int(text)
        names = self._read.get(file)
        if names is None:
            names = self._read[file] = self._names(file)
        return names.get(text)

    def _names(self, file: str) -> Mapping[str, int]:
        names = dict(_BUILT_IN[file])
        for directory in self.directories:
            names.update(_entries(directory / file))
            for path in sorted((directory / f"{file}.d").glob("*.conf")):
                # FRR brings a `static` of its own, which iproute2 and keepalived know by its usual number all the same
                for name, number in _entries(path):
                    names.setdefault(name, number)
        return names


def _entries(path: Path) -> Iterator[tuple[str, int]]:
    """`NUMBER NAME` lines; comments, other lines and files that cannot be read say nothing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        try:
            number = int(words[0], 16) if words[0].lower().startswith("0x") else int(words[0])
        except ValueError:
            continue
        yield words[1], number

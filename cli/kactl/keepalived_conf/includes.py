"""`include` and its variants: which files a pattern means, and which failures are errors."""

from __future__ import annotations

import glob as globbing
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kactl.keepalived_conf.lexer import BLANKS

GlobFunction = Callable[[str], list[str]]

READ, MATCH, WILDCARD_MATCH, BRACE_MATCH = "read", "match", "wildcard_match", "brace_match"
ALL_CHECKS = frozenset((READ, MATCH, WILDCARD_MATCH, BRACE_MATCH))
BRACE_LIMIT = 10_000  # names that a pattern's braces may give, so that {a,b}{a,b}... ends

_VARIANT_CHECKS = {
    "include": frozenset[str](),
    "includer": frozenset((READ,)),
    "includem": frozenset((MATCH,)),
    "includew": frozenset((WILDCARD_MATCH,)),
    "includeb": frozenset((BRACE_MATCH,)),
    "includea": ALL_CHECKS,
}
_INCLUDE = re.compile(r"(include[rmwba]?)[ \t\f\v\r\n]+(.+)", re.DOTALL)


class PatternError(Exception):
    """A pattern's braces give too many names."""


@dataclass(frozen=True, slots=True)
class IncludeLine:
    """`keyword pattern`; the pattern is the rest of the line, quotes and blanks included, as keepalived takes it."""

    keyword: str
    pattern: str
    checks: frozenset[str]


@dataclass(slots=True)
class Matches:
    """What a pattern found: the paths in order, and a message per failed check."""

    paths: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)  # check, message


def match_include(text: str) -> IncludeLine | None:
    """The include line that a line without leading blanks is, or None."""
    if not text.startswith("include"):
        return None
    match = _INCLUDE.match(text)
    if match is None or not match[2].strip(BLANKS):
        return None
    return IncludeLine(match[1], match[2].strip(BLANKS), _VARIANT_CHECKS[match[1]])


def apply_include_check(current: frozenset[str], words: list[str]) -> frozenset[str]:
    """The checks in force after `include_check words`; no words: all. `+check` adds one, `-check` removes one."""
    if not words:
        return ALL_CHECKS
    checks = set(current)
    plain = False
    for word in words:
        name = word.lstrip("+-")
        if name not in ALL_CHECKS:
            continue  # an unknown check: the reader of the keyword says so
        if word.startswith("-"):
            checks.discard(name)
        elif word.startswith("+") or plain:
            checks.add(name)
        else:
            checks = {name}
            plain = True
    return frozenset(checks)


def expand_braces(pattern: str) -> list[str]:
    """`{foo/{,cat},bar}x` as `foo/x`, `foo/catx`, `barx`; braces that do not pair are ordinary characters."""
    start = pattern.find("{")
    while start >= 0:
        members, end = _brace_members(pattern, start)
        if members:
            tails = expand_braces(pattern[end + 1 :])
            names: list[str] = []
            for member in members:
                for middle in expand_braces(member):
                    if len(names) + len(tails) > BRACE_LIMIT:
                        raise PatternError(f"the braces of the pattern give more than {BRACE_LIMIT} names")
                    names.extend([pattern[:start] + middle + tail for tail in tails])
            return names
        start = pattern.find("{", start + 1)
    return [pattern]


def _brace_members(pattern: str, start: int) -> tuple[list[str], int]:
    """The alternatives of the brace at `start` and the index of its end; none when it does not pair."""
    members: list[str] = []
    depth = 0
    begin = start + 1
    for index in range(start, len(pattern)):
        character = pattern[index]
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                members.append(pattern[begin:index])
                return members, index
        elif character == "," and depth == 1:
            members.append(pattern[begin:index])
            begin = index + 1
    return [], len(pattern)


def has_wildcard(pattern: str) -> bool:
    """Whether a pattern without braces has wildcards."""
    return any(character in pattern for character in "*?[")


def find_files(pattern: str, directory: str, glob: GlobFunction) -> Matches:
    """The files a pattern means, relative names from `directory`, and the checks of `include_check` that it fails."""
    matches = Matches()
    names = expand_braces(pattern)
    braces = len(names) > 1 or names[0] != pattern
    for name in names:
        path = os.path.join(directory, name)  # noqa: PTH118 - pathlib would change the name that messages show
        found = glob(path)
        matches.paths.extend(found)
        if found:
            continue
        if braces:
            matches.missing.append((BRACE_MATCH, f"no file is named '{name}', which '{pattern}' asks for"))
        elif has_wildcard(name):
            matches.missing.append((WILDCARD_MATCH, f"no file matches '{name}'"))
        else:
            matches.missing.append((MATCH, f"there is no file '{name}'"))
    return matches


def glob_files(pattern: str) -> list[str]:
    """The existing paths that a pattern without braces matches, sorted; a name without wildcards is its own match."""
    if has_wildcard(pattern):
        return sorted(globbing.glob(pattern))  # noqa: PTH207 - the pattern's own spelling of the directory is kept
    return [pattern] if Path(pattern).exists() else []


def read_file(path: str) -> bytes:
    """The bytes of a file; raises OSError."""
    return Path(path).read_bytes()


def file_mode(path: str) -> int:
    """`st_mode` of a file; raises OSError."""
    return Path(path).stat().st_mode


def unsuitable(mode: int) -> str:
    """Why keepalived skips a file of this mode, or nothing."""
    if stat.S_ISDIR(mode):
        return "is a directory"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    if mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        return "is executable"
    return ""


class UnsuitableFileError(Exception):
    """A file that a pattern found is skipped: it is a directory, executable, or cannot be read."""


def read_suitable(path: str, file_mode: Callable[[str], int], read: Callable[[str], bytes]) -> bytes:
    """The bytes of an included file; raises `UnsuitableFileError` with the reason why it is skipped."""
    try:
        reason = unsuitable(file_mode(path))
        data = b"" if reason else read(path)
    except (OSError, ValueError) as error:
        reason = f"cannot be read: {(error.strerror if isinstance(error, OSError) else None) or error}"
        data = b""
    if reason:
        raise UnsuitableFileError(f"'{path}' {reason}")
    return data

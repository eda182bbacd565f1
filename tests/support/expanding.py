"""Expanding configuration text in tests, without touching the file system."""

from __future__ import annotations

import errno
import fnmatch
import stat
from collections.abc import Mapping
from typing import Any

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import ExpandOptions, Expansion, expand
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.diagnostics import Diagnostic, Severity

REGULAR = stat.S_IFREG | 0o644


class MemoryFiles:
    """Files by path; `modes` overrides what kind of file a path is."""

    def __init__(self, files: Mapping[str, str | bytes], modes: Mapping[str, int] | None = None) -> None:
        self.files = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        self.modes = modes or {}

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise OSError(errno.EACCES, "Permission denied")
        return self.files[path]

    def glob(self, pattern: str) -> list[str]:
        return sorted(path for path in {*self.files, *self.modes} if fnmatch.fnmatchcase(path, pattern))

    def mode(self, path: str) -> int:
        return self.modes.get(path, REGULAR)


def expand_text(
    text: str | bytes,
    *,
    files: Mapping[str, str | bytes] | None = None,
    modes: Mapping[str, int] | None = None,
    name: str = "/etc/keepalived/keepalived.conf",
    **options: Any,
) -> Expansion:
    memory = MemoryFiles(files or {}, modes)
    options.setdefault("config_id", "h1")
    chosen = ExpandOptions(
        read_file=memory.read, glob=memory.glob, file_mode=memory.mode, working_directory="/w", **options
    )
    return expand(parse_source(text.encode() if isinstance(text, str) else text, name), chosen)


def outline(directives: list[Directive]) -> list[Any]:
    """Words alone: a statement is a string of its words, a block a tuple of that and its children."""
    result: list[Any] = []
    for directive in directives:
        words = " ".join(word.text for word in directive.words)
        result.append(words if directive.children is None else (words, outline(directive.children)))
    return result


def lines_of(text: str | bytes, **options: Any) -> list[Any]:
    """The outline of a text that has no errors."""
    expansion = expand_text(text, **options)
    assert errors(expansion) == []
    return outline(expansion.directives)


def errors(expansion: Expansion) -> list[tuple[str, int, int]]:
    """(code, line, column) of the errors."""
    return places(expansion, Severity.ERROR)


def places(expansion: Expansion, severity: Severity) -> list[tuple[str, int, int]]:
    return [(f.code, f.place.line, f.place.column) for f in expansion.findings if f.severity is severity]


def only(expansion: Expansion, code: str) -> Diagnostic:
    """The one finding with this code."""
    found = [finding for finding in expansion.findings if finding.code == code]
    assert len(found) == 1, expansion.findings
    return found[0]

"""What a command sees of the machine: streams, variables, files. Tests give it their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from kactl_agent.config.diagnostics import Paint  # not imported for `kactl --version`


@dataclass
class Environment:
    """Data goes to stdout, talk to stderr; `variables` are the process's environment."""

    stdin: BinaryIO = field(default_factory=lambda: sys.stdin.buffer)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def write(self, text: str) -> None:
        """A line of data."""
        self.stdout.write(f"{text}\n")

    def say(self, text: str) -> None:
        """A line of talk. Where nobody can hear it, the work goes on."""
        with suppress(OSError):
            self.stderr.write(f"{text}\n")

    def columns(self, stream: TextIO) -> int | None:
        """The width of the terminal there, None without one."""
        try:
            return os.get_terminal_size(stream.fileno()).columns or None
        except (OSError, ValueError):
            return None

    def colour(self, stream: TextIO) -> bool:
        """Whether colours are wanted there: a terminal, and no NO_COLOR (whatever it holds, unless empty)."""
        return not self.variables.get("NO_COLOR") and self.variables.get("TERM") != "dumb" and stream.isatty()

    def paint(self, stream: TextIO) -> Paint:
        """How diagnostics are coloured there."""
        if not self.colour(stream):
            return lambda _role, text: text
        return lambda role, text: f"\x1b[{_STYLES[role]}m{text}\x1b[0m"


_STYLES = {
    "error": "1;31",
    "warning": "1;33",
    "note": "1;36",
    "place": "1",
    "caret": "1;32",
    "hint": "36",
}

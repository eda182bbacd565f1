"""What an expansion takes and gives: options and limits, directives and findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kactl.keepalived_conf import includes
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.diagnostics import Diagnostic, Effect, Place, Severity


@dataclass(frozen=True)
class Limits:
    """What bounds an expansion; beyond any of them it ends with an error."""

    lines: int = 500_000
    characters: int = 64 * 1024 * 1024
    line_length: int = 64 * 1024  # characters of one line after expansion
    definition_depth: int = 64
    block_depth: int = 64
    include_depth: int = 32
    errors: int = 100


def _lowest(low: int, _high: int) -> int:
    return low


@dataclass(frozen=True)
class ExpandOptions:
    """What an expansion depends on beside the file.

    config_id: what `@id` is compared with (keepalived's --config-id). defines: definitions that win over the file's.
    random(low, high): an integer of [low, high] for `${_RANDOM}`. read_file, glob, file_mode: access to included
    files, with OSError for what fails.
    """

    config_id: str = ""
    defines: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    random: Callable[[int, int], int] = _lowest
    read_file: Callable[[str], bytes] = includes.read_file
    glob: includes.GlobFunction = includes.glob_files
    file_mode: Callable[[str], int] = includes.file_mode
    working_directory: str | None = None  # of relative file names, for `${_PWD}`; None: the process's own
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class Expansion:
    """The directives, the comments behind the last of them, and the findings in the order they were made."""

    directives: list[Directive]
    at_end: list[str]
    findings: list[Diagnostic]


class StoppedError(Exception):
    """The expansion cannot go on; the reason has been reported."""


class Findings:
    """The findings of one expansion, one for each code and place: repeated lines say things once."""

    def __init__(self, error_limit: int) -> None:
        self.all: list[Diagnostic] = []
        self._error_limit = error_limit
        self._errors = 0
        self._reported: set[tuple[str, str, int, int]] = set()

    def report(self, diagnostic: Diagnostic) -> None:
        """Take a finding; raises `StoppedError` with the last error that there is room for."""
        place = diagnostic.place
        key = (diagnostic.code, place.file, place.line, place.column)
        if key in self._reported:
            return
        self._reported.add(key)
        self.all.append(diagnostic)
        if diagnostic.severity is Severity.ERROR:
            self._errors += 1
            if self._errors >= self._error_limit:
                message = f"after {self._errors} errors, reading stops"
                self.all.append(
                    Diagnostic("too-many-errors", message, Place(place.file, place.line), effect=Effect.REFUSED)
                )
                raise StoppedError

    def error(self, code: str, message: str, place: Place, hint: str = "") -> None:
        """The configuration is refused."""
        self.report(Diagnostic(code, message, place, hint=hint, effect=Effect.REFUSED))

    def warn(self, code: str, message: str, place: Place, hint: str = "", effect: Effect = Effect.NONE) -> None:
        """It is taken, but not as it stands."""
        self.report(Diagnostic(code, message, place, Severity.WARNING, hint, effect))

    def note(self, code: str, message: str, place: Place, effect: Effect = Effect.CONVERTED) -> None:
        """It is taken as it stands, in other words."""
        self.report(Diagnostic(code, message, place, Severity.NOTE, effect=effect))

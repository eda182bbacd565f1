"""A configuration as it was read: the model, and where each part of it stands.

Both readers (YAML and keepalived.conf) make Documents, both writers take them: comments and places travel in the
Origin tree, which has the model's own structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from kactl_agent.config.diagnostics import Diagnostic, Place, Severity

if TYPE_CHECKING:
    from kactl_agent.config.schema.root import Config

Key = str | int
"""A step into the model: the canonical keyword of a field or the name of a named block, or the index of an item."""


class Comments(Struct, eq=False):
    """What was written around a value, in its file."""

    above: list[str] | None = None  # comment lines above, without marker
    behind: str | None = None  # comment at the end of the line (of the opening line, for blocks)
    at_end: list[str] | None = None  # comment lines behind the last child
    behind_close: str | None = None  # comment behind the closing brace


class Origin(Struct, gc=False, eq=False):
    """Where a value came from, and the comments that stand at it.

    There is one for each value of a configuration: of hundred thousands few have comments, and none is part of a cycle.
    """

    file: str = ""
    line: int = 0
    column: int = 0
    length: int = 1
    children: dict[Key, Origin] | None = None
    comments: Comments | None = None

    def child(self, key: Key) -> Origin:
        """The origin of a part, made when it does not exist."""
        if self.children is None:
            self.children = {}
        found = self.children.get(key)
        if found is None:
            found = self.children[key] = Origin(self.file, self.line, self.column, self.length)
        return found

    def find(self, path: Iterable[Key]) -> Origin:
        """The origin of the deepest part of `path` that is known."""
        here = self
        for key in path:
            if here.children is None or key not in here.children:
                break
            here = here.children[key]
        return here

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.column, self.length)

    def _made(self) -> Comments:
        if self.comments is None:
            self.comments = Comments()
        return self.comments

    @property
    def above(self) -> list[str] | None:
        return None if self.comments is None else self.comments.above

    @above.setter
    def above(self, lines: list[str] | None) -> None:
        self._made().above = lines

    @property
    def behind(self) -> str | None:
        return None if self.comments is None else self.comments.behind

    @behind.setter
    def behind(self, text: str | None) -> None:
        self._made().behind = text

    @property
    def at_end(self) -> list[str] | None:
        return None if self.comments is None else self.comments.at_end

    @at_end.setter
    def at_end(self, lines: list[str] | None) -> None:
        self._made().at_end = lines

    @property
    def behind_close(self) -> str | None:
        return None if self.comments is None else self.comments.behind_close

    @behind_close.setter
    def behind_close(self, text: str | None) -> None:
        self._made().behind_close = text

    @property
    def has_comments(self) -> bool:
        """Whether a comment stands here or anywhere below."""
        here = self.comments
        if here and (here.above or here.behind is not None or here.at_end or here.behind_close is not None):
            return True
        return self.children is not None and any(c.has_comments for c in self.children.values())


@dataclass(frozen=True)
class Include:
    """An `include:` of a YAML file: a path or a pattern, and where it stands."""

    pattern: str
    place: Place


@dataclass
class Document:
    """A configuration and everything said about it while it was read."""

    config: Config
    origin: Origin
    diagnostics: list[Diagnostic] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)  # text of every file read, for excerpts
    includes: list[Include] = field(default_factory=list)  # not followed yet
    whole_origin: Callable[[], Origin] | None = None  # reads again, where `origin` ends at blocks and items

    def place(self, path: Iterable[Key]) -> Place:
        """Where the deepest part of `path` stands that is known."""
        return self.complete().find(path).place

    def complete(self) -> Origin:
        """The origin tree with all its places and comments."""
        if self.whole_origin is not None:
            self.origin, self.whole_origin = self.whole_origin(), None
        return self.origin

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity is Severity.ERROR]

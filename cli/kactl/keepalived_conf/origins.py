"""Where each part of a document comes from: its place, its comments, and the directive it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from kactl.keepalived_conf.model_block import ModelBlock
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.document import Origin
from kactl_agent.config.schema.keyword import Field

PartKey = tuple[int, int | None]
"""id() of a directive, and the index of a word where each word is an entry."""


@dataclass(frozen=True)
class Part:
    """What an Origin was made from: a directive, or one word of it where each word is an entry."""

    directive: Directive
    word: int | None = None

    @property
    def key(self) -> PartKey:
        return id(self.directive), self.word


class Origins:
    """The origins that one reading makes. `parts` says, by id() of an origin, what it was made from."""

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}
        self._comments_left: list[str] = []  # of what was left out, until something follows

    def keyword(self, model: ModelBlock, found: Field, directive: Directive, item: str | int | None = None) -> Origin:
        """The origin of a keyword, or of the `item` that a directive adds to its map (a name) or list (an index)."""
        children = model.origin.children
        known = children is not None and found.name in children
        origin = model.origin.child(found.name)
        if not known or item is None:
            set_place(origin, directive)
        if item is not None:
            origin = set_place(origin.child(item), directive)
        self._comments_left_above(origin)
        add_comments(origin, directive)
        self.parts[id(origin)] = Part(directive)
        return origin

    def item(self, origin: Origin, index: int, part: Part, whole: Part | None = None) -> None:
        """The origin of an entry of a value block; `whole` is the part it is known as, where that is not `part`."""
        item = set_place(origin.child(index), part.directive)
        self._comments_left_above(item)
        add_comments(item, part.directive)
        self.parts[id(item)] = whole or part

    def leave_comments(self, directive: Directive) -> None:
        """Keep the comments of what is left out; they go above what follows, or to the end of the block."""
        self._comments_left += [*directive.above, *(c for c in (directive.behind,) if c is not None)]

    def comments_left_at_end(self, origin: Origin) -> None:
        """A block ends: comments that nothing followed stay at its end."""
        if self._comments_left:
            origin.at_end = [*self._comments_left, *(origin.at_end or ())]
            self._comments_left = []

    def _comments_left_above(self, origin: Origin) -> None:
        if self._comments_left:
            origin.above = [*(origin.above or ()), *self._comments_left]
            self._comments_left = []


def add_comments(origin: Origin, directive: Directive, *, outside_only: bool = False) -> None:
    """Put a directive's comments at an origin; what has its place taken already goes above.

    `outside_only` leaves out those that stand within the text of what is carried.
    """
    if directive.above:
        origin.above = [*(origin.above or ()), *directive.above]
    if outside_only:
        return
    for comment in (directive.behind, directive.behind_open):
        if comment is None:
            continue
        if origin.behind is None:
            origin.behind = comment
        else:
            origin.above = [*(origin.above or ()), comment]
    if directive.at_end:
        origin.at_end = [*(origin.at_end or ()), *directive.at_end]
    if directive.behind_close is not None:
        if origin.behind_close is None:
            origin.behind_close = directive.behind_close
        else:
            origin.at_end = [*(origin.at_end or ()), directive.behind_close]


def set_place(origin: Origin, directive: Directive) -> Origin:
    """Give an origin the place of a directive's keyword; returns the origin."""
    origin.file = directive.file
    origin.line = directive.line
    origin.column = directive.words[0].column
    origin.length = len(directive.words[0].text)
    return origin


def forget_item(origin: Origin, name: str, item: str | int) -> None:
    """Take away the origin of a block that was carried instead."""
    assert origin.children is not None
    listed = origin.children[name].children
    assert listed is not None
    del listed[item]
    if not listed:
        del origin.children[name]

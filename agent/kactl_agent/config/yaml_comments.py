"""Comments of a YAML text: found between its scalars, and attached to the origins of what they stand at."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

from kactl_agent.config.document import Origin
from kactl_agent.config.yaml_events import Mark

CLOSING: Final = "} #"
"""How a comment behind a closing brace of keepalived.conf stands in YAML: as the block's last one, brace included."""

_BEFORE = frozenset(" \t\r\n\x85\u2028\u2029[]{},:-?\"'")  # characters behind which a `#` opens a comment


class _Node:
    """A keyword, name or item that was met: where its line begins, and what stands around it."""

    __slots__ = ("child_column", "column", "container", "dash", "line", "origin", "parent")

    def __init__(self, line: int, column: int, origin: Origin, parent: _Node | None) -> None:
        self.line = line
        self.column = column
        self.origin = origin
        self.parent = parent
        self.container = False
        self.child_column: int | None = None
        self.dash = False


class Comments:
    """Follows the walk over a text (container, enter, leave), then attaches what comments the text has.

    A comment on a line of its own stands above what follows it when it is not indented deeper than that; otherwise it
    ends the block whose indentation it has. A comment at the end of a line stands behind the first thing of that line.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.needed = "#" in text
        self.nodes: list[_Node] = []
        self.stack: list[_Node] = []

    def start(self, origin: Origin) -> None:
        root = _Node(-1, -1, origin, None)
        root.container = True
        root.child_column = 0
        self.nodes = [root]
        self.stack = [root]

    def container(self, dash_column: int | None = None) -> None:
        """What was entered last is a block or a list, whose items' dashes stand in `dash_column` (from 0)."""
        if self.needed:
            node = self.stack[-1]
            node.container = True
            if dash_column is not None:
                node.dash = True
                node.child_column = dash_column

    def single(self, origin: Origin) -> None:
        """What was entered last is a list of one that is written without a list: its comments are the item's."""
        if self.needed:
            self.stack[-1].origin = origin

    def enter(self, mark: Mark, origin: Origin) -> None:
        if not self.needed:
            return
        parent = self.stack[-1]
        column = mark.column
        if parent.dash and parent.child_column is not None:
            column = parent.child_column
        elif parent.child_column is None:
            parent.child_column = column
        node = _Node(mark.line, column, origin, parent)
        self.stack.append(node)
        if mark.line >= self.nodes[-1].line:  # what an alias repeats stands elsewhere
            self.nodes.append(node)

    def leave(self) -> None:
        if self.needed:
            self.stack.pop()

    def attach(self, spans: list[tuple[int, int]]) -> None:
        """Give every comment to an origin. `spans` are the scalars that hold a `#`, in order."""
        if not self.needed:
            return
        lines = self.text.splitlines(keepends=True)
        starts = []
        position = 0
        for line in lines:
            starts.append(position)
            position += len(line)
        self._find_dashes(lines)
        node_lines = [node.line for node in self.nodes]
        for at in self._found(spans):
            number = bisect_right(starts, at) - 1
            line = lines[number]
            column = at - starts[number]
            text = line[column + 1 :].rstrip()
            self._place(text.removeprefix(" "), number, column, not line[:column].strip(), node_lines)
        for node in self.nodes:
            _reopen(node.origin)

    def _find_dashes(self, lines: list[str]) -> None:
        """An item begins on its dash's line, which may be above its value."""
        for node in self.nodes:
            if node.parent is None or not node.parent.dash:
                continue
            line = node.line
            while line > node.parent.line:
                text = lines[line]
                if text[node.column : node.column + 1] == "-" and not text[: node.column].strip(" -"):
                    node.line = line
                    break
                line -= 1

    def _found(self, spans: list[tuple[int, int]]) -> list[int]:
        """Positions of the `#` that open comments."""
        text = self.text
        found = []
        remaining = iter(spans)
        span = next(remaining, None)
        at = text.find("#")
        while at >= 0:
            while span is not None and span[1] <= at:
                span = next(remaining, None)
            if span is not None and span[0] <= at:
                at = text.find("#", span[1])
            elif at == 0 or text[at - 1] in _BEFORE:
                found.append(at)
                at = text.find("#", _line_end(text, at))
            else:
                at = text.find("#", at + 1)
        return found

    def _place(self, text: str, line: int, column: int, alone: bool, node_lines: list[int]) -> None:
        if not alone:
            first = bisect_left(node_lines, line)
            if first < len(node_lines) and node_lines[first] == line:
                self.nodes[first].origin.behind = text
                return
            before = self.nodes[first - 1]  # behind a closing bracket, or the end of a text of several lines
            if before.parent is not None and before.origin.behind is None:
                before.origin.behind = text
                return
            column = max(before.column, 0)
        after = bisect_right(node_lines, line)
        following = self.nodes[after] if after < len(self.nodes) else None
        edge = -1 if following is None else following.column
        if following is not None and column <= edge:
            _append_above(following.origin, text)
            return
        block: _Node | None = self.nodes[after - 1]
        while block is not None and not (
            block.container
            and block.column < column + (block.parent is None)
            and (block.child_column is None or block.child_column <= column)
        ):
            block = block.parent
        if block is None or (following is not None and block.column < edge):
            if following is not None:
                _append_above(following.origin, text)
                return
            block = self.nodes[0]
        if block.origin.at_end is None:
            block.origin.at_end = []
        block.origin.at_end.append(text)


def _line_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in "\r\n\x85\u2028\u2029":
        at += 1
    return at


def _append_above(origin: Origin, text: str) -> None:
    if origin.above is None:
        origin.above = []
    origin.above.append(text)


def _reopen(origin: Origin) -> None:
    """Give a comment behind a closing brace back its place."""
    if origin.at_end and origin.at_end[-1].startswith(CLOSING) and origin.behind_close is None:
        origin.behind_close = origin.at_end.pop()[len(CLOSING) :].removeprefix(" ")
        origin.at_end = origin.at_end or None

"""Directives as text again, for what is carried without being understood."""

from __future__ import annotations

from collections.abc import Iterable

from kactl.keepalived_conf.blocks import find_brace
from kactl.keepalived_conf.lexer import split_comment
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.document import Origin

INDENT = "  "


def render_directive(directive: Directive, inside: Directive | None = None) -> str:
    """The text of a directive, normalised: one statement a line, blocks indented, comments where they stand.

    What stands outside of it (comments above; behind, for a single line) is not part of the text. `inside` is the value
    block an entry stands in: the text is then that block with this one entry, comments included.
    """
    if inside is not None:
        lines = [f"{inside.raw} {{", *_comment_lines(directive.above, INDENT)]
        behind = directive.behind
        lines.append(INDENT + directive.raw + (f" {comment(behind)}" if behind is not None else ""))
        return "\n".join([*lines, "}"])
    if directive.children is None:
        return directive.raw
    return "\n".join(_block_lines(directive, ""))


def render_together(directives: list[Directive]) -> str:
    """The text of statements that make sense only together; comments above the first are not part of it."""
    lines: list[str] = []
    for directive in directives:
        if lines:
            lines += _comment_lines(directive.above, "")
        lines += _statement_lines(directive, "")
    return "\n".join(lines)


def join_carried(parts: Iterable[tuple[str, Origin]]) -> str:
    """Carried texts as one, with the comments of their origins but those above the first."""
    lines: list[str] = []
    for text, origin in parts:
        if lines:
            lines += _comment_lines(origin.above or [], "")
        lines += text.split("\n")
        if origin.behind is not None:
            lines[-1] += f" {comment(origin.behind)}"
    return "\n".join(lines)


def _statement_lines(directive: Directive, indent: str) -> list[str]:
    if directive.children is not None:
        return _block_lines(directive, indent)
    tail = f" {comment(directive.behind)}" if directive.behind is not None else ""
    return [f"{indent}{directive.raw}{tail}"]


def _block_lines(directive: Directive, indent: str) -> list[str]:
    behind = directive.behind if directive.behind is not None else directive.behind_open
    header = f"{indent}{directive.raw} {{" + (f" {comment(behind)}" if behind is not None else "")
    lines = [header]
    if directive.behind is not None and directive.behind_open is not None:
        lines.append(f"{indent}{INDENT}{comment(directive.behind_open)}")
    inner = indent + INDENT
    for child in directive.children or ():
        lines += _comment_lines(child.above, inner)
        lines += _statement_lines(child, inner)
    lines += _comment_lines(directive.at_end, inner)
    close = directive.behind_close
    lines.append(f"{indent}}}" + (f" {comment(close)}" if close is not None else ""))
    return lines


def _comment_lines(comments: list[str], indent: str) -> list[str]:
    return [indent + comment(text) for text in comments]


def comment(text: str) -> str:
    """A comment with its marker; a row of `#` stays one."""
    return f"#{text}" if text[:1] in ("", "#") else f"# {text}"


def is_whole(text: str) -> bool:
    """Whether a text leaves what follows it as it is: its braces are balanced and its quotes closed."""
    depth = 0
    for line in text.split("\n"):
        code, _, _, open_quote = split_comment(line, 1)
        if open_quote:
            return False
        at = find_brace(code)
        while at >= 0:
            depth += 1 if code[at] == "{" else -1
            if depth < 0:
                return False
            at = find_brace(code, at + 1)
    return depth == 0

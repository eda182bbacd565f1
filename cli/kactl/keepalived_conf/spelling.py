"""What the writer of an unknown keyword probably meant."""

from __future__ import annotations

import difflib
from functools import cache

from msgspec import Struct

from kactl_agent.config.schema.keyword import Table, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import Block, Named

FOREIGN_COMMENTS = ("//", "/*", ";", "--")
"""What begins a comment in other languages, and in none of keepalived's words."""
COMMENT_HINT = "a comment begins with `#` or `!`"
_CONFLICT_MARKS = frozenset(7 * mark for mark in "<=>|")  # of git, and of diff3
_LONGEST = 64  # no keyword is longer; texts that long mean none


def nearest(table: Table, word: str) -> str:
    """A hint that names the keyword of this block that looks most alike, or ""."""
    if word.startswith(FOREIGN_COMMENTS):
        return COMMENT_HINT
    if word in _CONFLICT_MARKS:
        return "this is what an unresolved merge conflict leaves: both sides of it are read"
    if len(word) > _LONGEST:
        return ""
    known = [w for w, found in table.by_word.items() if not found.keyword.extension and found.keyword.position is None]
    same_case = next((w for w in known if w.lower() == word.lower()), None)
    if same_case is not None:
        return f"keywords are case-sensitive: did you mean `{same_case}`?"
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.8)
    return f"did you mean `{close[0]}`?" if close else ""


def elsewhere(word: str) -> str:
    """A hint that names the blocks in which a word is a keyword, or ""."""
    blocks = _homes().get(word, [])
    if not blocks:
        return ""
    shown = [f"`{name}`" for name in blocks[:3]]
    if len(blocks) > 3:
        shown.append("others")
    return f"it belongs in {', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else f"it belongs in {shown[0]}"


@cache
def _homes() -> dict[str, list[str]]:
    """Every spelling of every keyword in a block, with the keywords of those blocks, outermost first."""
    homes: dict[str, list[str]] = {}
    waiting: list[tuple[type[Struct], str]] = [(Config, "")]
    seen: set[type[Struct]] = {Config}
    while waiting:
        struct, name = waiting.pop(0)
        for found in table_of(struct):
            if found.keyword.extension or found.keyword.position is not None:
                continue
            for word in found.spellings:
                blocks = homes.setdefault(word, [])
                if name and name not in blocks:
                    blocks.append(name)
            shape = found.keyword.shape
            if isinstance(shape, Block | Named) and shape.struct not in seen:
                seen.add(shape.struct)
                waiting.append((shape.struct, found.name))
    return homes

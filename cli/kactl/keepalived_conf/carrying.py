"""What keepalived ignores: carried as text in `x-keepalived`, or left out where that text would not be ignored."""

from __future__ import annotations

from kactl.keepalived_conf.account import Outcome
from kactl.keepalived_conf.findings import Findings
from kactl.keepalived_conf.model_block import ModelBlock
from kactl.keepalived_conf.origins import Origins, PartKey, add_comments, set_place
from kactl.keepalived_conf.rawtext import join_carried, render_directive, render_together
from kactl.keepalived_conf.spelling import elsewhere, nearest
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.diagnostics import Effect
from kactl_agent.config.schema.keyword import BlockKeywords
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import NamedEntries

CARRIED = "x-keepalived"
BRACE_HINT = "its `{` stands at the end of the line or alone on the next one"
_MOST_HINTS = 200


class Carrier:
    """Carries directives, and decides what an unknown or unfinished block takes with it.

    `ignored` are parts to be carried, `dropped` those to be left out for good.
    """

    def __init__(
        self, findings: Findings, origins: Origins, ignored: frozenset[PartKey], dropped: frozenset[PartKey]
    ) -> None:
        self.displaced = False  # an unknown block has ended the block that it stands in
        self._findings = findings
        self._origins = origins
        self._ignored = ignored | dropped
        self._dropped = set(dropped)
        self._unknown_keywords = 0
        self._block_ahead: tuple[list[Directive], int | None] = ([], None)

    @property
    def dropped(self) -> frozenset[PartKey]:
        """The parts that were left out: those that were to be, and those that could not be carried."""
        return frozenset(self._dropped)

    def is_ignored(self, key: PartKey) -> bool:
        """Whether a part is to be carried or left out, whatever it says."""
        return key in self._ignored

    def carry(
        self,
        model: ModelBlock,
        directive: Directive,
        *,
        inside: Directive | None = None,
        text: str | None = None,
    ) -> None:
        """Keep a directive as text, an entry in a block of its own; the finding about it has been made."""
        assert issubclass(model.table.struct, BlockKeywords)
        items: list[str] = model.values.setdefault("x_keepalived", [])
        origin = set_place(model.origin.child(CARRIED), directive)
        item = set_place(origin.child(len(items)), directive)
        if inside is None:
            add_comments(item, directive, outside_only=text is not None or directive.children is not None)
        items.append(render_directive(directive, inside) if text is None else text)
        self._findings.account.mark_all(directive, Outcome.CARRIED)

    def leave_out(
        self, model: ModelBlock, directive: Directive, key: PartKey, *, inside: Directive | None = None
    ) -> None:
        """Carry a part that keepalived ignores, or drop it where its text would not be ignored on the way back."""
        if key in self._dropped or (inside is not None and stands_alone(model, inside)):
            self._dropped.add(key)
            self._origins.leave_comments(directive)
            self._findings.account.mark_all(directive, Outcome.REPAIRED)
        else:
            self.carry(model, directive, inside=inside)

    def unknown(self, model: ModelBlock, directives: list[Directive], at: int) -> int:
        """`directives[at]` has a keyword that keepalived does not know; how many behind it are carried with it.

        keepalived passes over its `{` alone, so that within a block the first `}` ends that block, and what follows
        there is read one level up (seen with 2.2.7).
        """
        directive = directives[at]
        word = directive.keyword
        inner = directive.children is not None and model.table.struct is not Config
        legacy = model.table.legacy.get(word)
        if legacy is not None:
            hint = f"use {legacy.replaced_by}" if legacy.replaced_by else ""
            text = f"`{word}` means nothing to keepalived any more: {legacy.doc}"
            self._findings.add("legacy-keyword", text, directive, 0, Effect.CARRIED, hint)
        else:
            self._unknown_keywords += 1
            # Looking for what was meant takes time, and nobody reads that many hints.
            hint = nearest(model.table, word) or elsewhere(word) if self._unknown_keywords <= _MOST_HINTS else ""
            text = f"`{word}` is no keyword here: keepalived ignores it"
            if inner:
                text += "; the } of its block ends the block around it, and what follows is not part of that"
            elif directive.children is not None:
                text += ", and its block"
            self._findings.add("unknown-keyword", text, directive, 0, Effect.CARRIED, hint)
        if not inner:
            self.carry(model, directive)
            return 0
        self.displaced = True
        self._carry_together(model, directives[at:])
        return len(directives) - at - 1

    def follow_displaced(self, model: ModelBlock, following: list[Directive]) -> int:
        """Carry what follows a block that was ended too early, up to the root; returns how many directives that are.

        All that is carried here becomes one text, as it stands behind that block in the end.
        """
        if model.table.struct is Config:
            self.displaced = False
            return 0
        if following:
            self._carry_together(model, following)
        texts: list[str] = model.values.get("x_keepalived", [])
        if len(texts) > 1:
            origin = model.origin.child(CARRIED)
            items = [origin.child(index) for index in range(len(texts))]
            texts[:] = [join_carried(zip(texts, items, strict=True))]
            items[0].behind = None
            origin.children = {0: items[0]}
        return len(following)

    def swallow(self, model: ModelBlock, directives: list[Directive], at: int) -> int:
        """`directives[at]` lacks its `{`: keepalived takes what follows for its entries, up to the next `}`.

        Where that ends the block of a later statement, all of it is carried; otherwise it would end the block that this
        one stands in, and is refused. Returns how many of the following directives were taken.
        """
        first = directives[at]
        text = f"`{first.keyword}` has no `{{`"
        last = self._next_block(directives, at)
        if last is None or any(child.children is not None for child in directives[last].children or ()):
            self._findings.error("missing-brace", text, first, 0, BRACE_HINT)
            self._findings.account.mark_all(first, Outcome.REFUSED)
            return 0
        text += f": keepalived takes the lines up to the }} of `{directives[last].keyword}` for its entries"
        self._findings.add("missing-brace", text, first, 0, Effect.CARRIED, BRACE_HINT)
        self._carry_together(model, directives[at : last + 1])
        return last - at

    def _next_block(self, directives: list[Directive], at: int) -> int | None:
        """Index of the next directive with a block; kept, as many in a row may lack their `{`."""
        known, last = self._block_ahead
        if known is not directives or (last is not None and last < at):
            last = next((n for n in range(at, len(directives)) if directives[n].children is not None), None)
            self._block_ahead = (directives, last)
        return last

    def _carry_together(self, model: ModelBlock, directives: list[Directive]) -> None:
        """Keep statements as one text."""
        self.carry(model, directives[0], text=render_together(directives))
        for directive in directives[1:]:
            self._findings.account.mark_all(directive, Outcome.CARRIED)


def stands_alone(model: ModelBlock, block: Directive) -> bool:
    """Whether a second block like this one would not add to it: an entry that is left out cannot be carried in one."""
    keyword = model.table.by_word[block.keyword].keyword
    return keyword.again == "ignored" or isinstance(keyword.shape, NamedEntries)

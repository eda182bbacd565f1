"""The words of one line -> the value of its keyword, with what keepalived repairs or ignores on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec import UNSET, Struct

from kactl.keepalived_conf.spelling import COMMENT_HINT, FOREIGN_COMMENTS
from kactl.keepalived_conf.tree import Word
from kactl_agent.config.diagnostics import Effect
from kactl_agent.config.schema.keyword import Keyword, Keywords, table_of
from kactl_agent.config.schema.shapes import (
    Line,
    MissingWord,
    Optional,
    Quoted,
    Repeated,
    Shape,
    Text,
    ValueFault,
    WordList,
)


@dataclass(frozen=True)
class Repair:
    """Something keepalived takes otherwise than it stands; `word` and `count` say which words of the line."""

    code: str
    message: str
    word: int
    count: int = 1
    hint: str = ""
    effect: Effect = Effect.REPAIRED


@dataclass
class LineReading:
    value: Any
    repairs: list[Repair] = field(default_factory=list)


class LineFault(Exception):
    """The line says nothing that can be used. `refused`: keepalived stops at it too; otherwise it ignores the line."""

    def __init__(self, code: str, message: str, hint: str = "", *, word: int = 0, refused: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.word = word
        self.refused = refused


def read_value(shape: Shape, words: list[str], first: int) -> LineReading:
    """The value that words[first:] say; words[first - 1] is the keyword. Raises LineFault."""
    line = _Line(shape, words, first)
    return LineReading(line.read(), line.repairs)


class _Line:
    """One line. Words are replaced by what keepalived takes, or left out, and the line is read again until it does."""

    def __init__(self, shape: Shape, words: list[str], first: int) -> None:
        self.repairs: list[Repair] = []
        self._shape = shape
        self._words = words
        self._first = first
        self._index = list(range(len(words)))  # where each word stood at the beginning
        self._keyword = words[0]
        self._said = words
        inner = shape.shape if isinstance(shape, Optional) else shape
        self._struct = inner.struct if isinstance(inner, Line) else None
        self._unknown: list[int] = []

    def read(self) -> Any:
        if self._struct is not None:
            self._look_at_options(self._struct)
        for _ in range(2 * len(self._words) + 1):
            try:
                value, at = self._shape.read(self._words, self._first)
            except MissingWord as fault:
                raise self._missing(fault) from None
            except ValueFault as fault:
                self._mend(fault)
                continue
            if at >= len(self._words):
                break
            self._leave_out_unknown(at)
        else:
            raise LineFault("invalid-value", f"`{' '.join(self._words)}` cannot be read", word=self._index[self._first])
        if self._unknown:
            self._report_unknown()
        return value

    def _fault(self, code: str, fault: ValueFault) -> LineFault:
        return LineFault(code, fault.message, fault.hint, word=self._at(fault.word))

    def _missing(self, fault: MissingWord) -> LineFault:
        """A line that ends where a value must stand; keepalived stops at it."""
        word = fault.word
        text = fault.message
        if word is not None and 0 <= word < len(self._words) and text == "a value is missing":
            text = f"`{self._words[word]}` has no value"
        return LineFault("missing-value", text, fault.hint, word=self._at(word), refused=True)

    def _at(self, word: int | None) -> int:
        if word is None or not self._index:
            return 0
        return self._index[max(0, min(word, len(self._index) - 1))]

    def _mend(self, fault: ValueFault) -> None:
        """Put in what keepalived takes, or leave a bad option out. Raises LineFault when it ignores the whole line."""
        word = fault.word
        if word is None or not self._first <= word < len(self._words):
            raise self._fault("invalid-value", fault)
        if fault.taken is not UNSET and fault.shape is not None:
            taken = fault.shape.render(fault.taken)
            if taken == self._words[word]:
                raise self._fault("invalid-value", fault)
            shown = f"`{taken}`"
            if isinstance(fault.shape, Text) and fault.shape.secret:
                shown = f"the first {len(taken)}" if self._words[word].startswith(taken) else "another"
            self._words = [*self._words[:word], taken, *self._words[word + 1 :]]
            text = f"{fault.message}: keepalived takes {shown}"
            self.repairs.append(Repair("repaired-value", text, self._at(word), hint=fault.hint))
            return
        if isinstance(self._shape, WordList) and self._shape.drops_word and len(self._words) > self._first + 1:
            self.repairs.append(Repair("ignored-word", f"{fault.message}: keepalived ignores it", self._at(word)))
            self._leave_out(word, 1)
            return
        option = self._option(word - 1)
        if option is None or self._costs_the_line(option):
            raise self._fault("invalid-value", fault)
        text = f"{fault.message}: keepalived ignores `{self._words[word - 1]}`"
        self.repairs.append(Repair("ignored-option", text, self._at(word - 1), 2, fault.hint))
        self._leave_out(word - 1, 2)

    def _costs_the_line(self, option: Keyword) -> bool:
        """Whether keepalived ignores the whole line for a bad value of the option."""
        if option.bad_value is not None:
            return option.bad_value == "line"
        return option.drops_line or self._whole_line

    @property
    def _whole_line(self) -> bool:
        return self._struct is not None and issubclass(self._struct, Keywords) and self._struct.whole_line

    def _option(self, at: int) -> Any:
        """The keyword of the option at words[at], where it is one."""
        if self._struct is None or at < self._first:
            return None
        found = table_of(self._struct).by_word.get(self._words[at])
        return found.keyword if found is not None and found.keyword.position is None else None

    def _leave_out(self, at: int, count: int) -> None:
        self._words = [*self._words[:at], *self._words[at + count :]]
        del self._index[at : at + count]

    def _leave_out_unknown(self, at: int) -> None:
        if self._struct is None or self._ended(self._struct, at):
            self._unknown += self._index[at:]
            self._leave_out(at, len(self._words) - at)
        elif self._whole_line:
            text = f"`{self._words[at]}` is no option of `{self._keyword}`"
            raise LineFault("unknown-option", text, word=self._index[at])
        else:
            self._unknown.append(self._index[at])
            self._leave_out(at, 1)

    def _ended(self, struct: type[Struct], at: int) -> bool:
        """Whether an option that ends the line stands before words[at]: what follows is ignored, and nothing else."""
        ends = {
            w for f in table_of(struct) if f.keyword.last and isinstance(f.keyword.shape, Repeated) for w in f.spellings
        }
        return not ends.isdisjoint(self._words[self._first : at])

    def _report_unknown(self) -> None:
        count = self._unknown[-1] - self._unknown[0] + 1
        what = "this word" if len(self._unknown) == 1 else f"these {len(self._unknown)} words"
        text = f"keepalived ignores {what}"
        hint = COMMENT_HINT if self._said[self._unknown[0]].startswith(FOREIGN_COMMENTS) else ""
        self.repairs.append(Repair("extra-words", text, self._unknown[0], count, hint))

    def _look_at_options(self, struct: type[Struct]) -> None:
        """Deprecated spellings of options, and options whose repetition makes keepalived ignore the line."""
        deprecated, alone = _option_words(struct)
        if not deprecated and not alone:
            return
        seen: set[str] = set()
        for at in range(self._first, len(self._words)):
            word = self._words[at]
            if word in deprecated:
                self.repairs.append(Repair("deprecated-keyword", deprecated[word], at, effect=Effect.CONVERTED))
            name = alone.get(word)
            if name is not None:
                if name in seen:
                    raise LineFault("duplicate-option", f"`{name}` is said twice", word=at)
                seen.add(name)


@cache
def _option_words(struct: type[Struct]) -> tuple[dict[str, str], dict[str, str]]:
    """Deprecated words of a line with what to say about them; words that may stand only once, with their name."""
    deprecated: dict[str, str] = {}
    alone: dict[str, str] = {}
    for option in table_of(struct):
        keyword = option.keyword
        if keyword.position is not None or keyword.bare_word:
            continue
        for word in keyword.deprecated:
            deprecated[word] = f"`{word}` is a deprecated spelling of `{option.name}`"
        if keyword.replaced_by:
            deprecated[option.name] = f"`{option.name}` is deprecated: use {keyword.replaced_by}"
        if keyword.drops_line:
            alone.update(dict.fromkeys(option.spellings, option.name))
    return deprecated, alone


def word_texts(words: list[Word]) -> list[str]:
    """The texts of words as the schema reads them: what was quoted stays so."""
    return [Quoted(w.text) if w.quoted else w.text for w in words]

"""What the schema knows about one keyword, and the table of the keywords of a struct.

A block, or a line with options, is a frozen msgspec Struct deriving `Keywords`; each field is
`name: Annotated[Maybe[type], Keyword(shape, "documentation", ...)] = UNSET`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

from msgspec import UNSET, Struct

from kactl_agent.config.schema.shapes import Block, Bool, Maybe, Repeated, Shape, Text

Process = Literal["global", "vrrp", "checker", "bfd"]
Again = Literal["replaces", "ignored"]
"""Of two lines of one keyword keepalived takes the last one (replaces) or stays with the first (ignored)."""
BadValue = Literal["option", "line"]


@dataclass(frozen=True)
class Keyword:
    """One keyword of the language.

    doc: what it does, for users. default: the value in force when it is unset, in words. name: canonical spelling where a
    Python name cannot say it (`flag-1`, `from`). synonyms: other current spellings. deprecated: old spellings, reported with
    the canonical one. replaced_by: the keyword itself is deprecated; what to use. since: keepalived version that brought it
    ("" is 2.2.3 or before). extension: kactl's own, keepalived has no such keyword. process: which worker acts on it.
    position: place among the positional words of its line or block header. header: an option on a block's header line.
    bare_word: the keyword itself is not written, its value is (`nocsum|csum|remcsum` behind lb_kind). leading: an option or bare
    word that stands before the positional words, and is none behind them (`lock` in `mtu lock 1400`). named: a positional
    word that may be, and on the way back is, written with its name before it (`[inst] NAME` of lvs_sync_daemon). again: what
    keepalived does with a second line of the keyword. drops_line: a bad value of this option, or saying it twice, makes
    keepalived ignore the whole line. bad_value: what a bad value of this option makes keepalived ignore, where its line as
    a whole does otherwise. last: an option that is written behind all others, since keepalived swallows or refuses what
    stands behind it. after: a keyword of the same block that must stand above: before it, keepalived ignores this one.
    nameless_ignored: keepalived leaves a block without its name out; it stops at others.
    """

    shape: Shape
    doc: str
    default: str = ""
    name: str = ""
    synonyms: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()
    replaced_by: str = ""
    since: str = ""
    extension: bool = False
    required: bool = False
    process: Process = "global"
    position: int | None = None
    header: bool = False
    bare_word: bool = False
    leading: bool = False
    named: bool = False
    again: Again = "replaces"
    drops_line: bool = False
    bad_value: BadValue | None = None
    last: bool = False
    after: str = ""
    nameless_ignored: bool = False


@dataclass(frozen=True)
class Legacy:
    """A keyword of the 1.2 and 1.3 eras, or a common misplacement: keepalived no longer knows it, real files still carry it."""

    doc: str
    replaced_by: str = ""


@dataclass(frozen=True)
class Field:
    """A keyword bound to the attribute that holds its value. `name` is the canonical keyword and the YAML key."""

    attribute: str
    name: str
    keyword: Keyword

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.name, *self.keyword.synonyms, *self.keyword.deprecated)


@dataclass(frozen=True)
class Table:
    """The keywords of a struct. `by_word`: every spelling -> field. `short`: the field a bare YAML scalar stands for, on lines."""

    struct: type[Struct]
    fields: tuple[Field, ...]
    by_word: Mapping[str, Field]
    by_name: Mapping[str, Field]
    positional: tuple[Field, ...]
    bare_words: tuple[Field, ...]
    short: Field | None
    legacy: Mapping[str, Legacy]
    fillers: tuple[str, ...]
    required: tuple[Field, ...]

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def set_fields(self, value: Struct) -> Iterator[tuple[Field, Any]]:
        """The fields the user set, in the schema's order, with their values."""
        for f in self.fields:
            v = getattr(value, f.attribute)
            if v is not UNSET:
                yield f, v


class Keywords(Struct, frozen=True, kw_only=True, gc=False):
    """Base of every block and line of the schema.

    `fillers` are words of a line that may be left out and mean nothing. `whole_line`: an unknown word or a bad option makes
    keepalived ignore the whole line; otherwise it ignores that word or option alone. `first_option`: options are taken only
    behind this one; another word in its place makes keepalived ignore the whole line.
    """

    legacy: ClassVar[Mapping[str, Legacy]] = {}
    fillers: ClassVar[tuple[str, ...]] = ()
    whole_line: ClassVar[bool] = False
    first_option: ClassVar[str] = ""


class BlockKeywords(Keywords, frozen=True, kw_only=True):
    """Base of every block: what neither keepalived nor the schema knows travels in `x-keepalived`, as text."""

    x_keepalived: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            Repeated(Text("line or block of keepalived.conf")),
            "Lines and blocks of a migrated keepalived.conf that keepalived itself ignores: kept as text for the way back, without effect",
            name="x-keepalived",
            extension=True,
        ),
    ] = UNSET


def _order_in(struct: type[Struct]) -> Callable[[Field], tuple[int, int]]:
    """Order of a block's keywords: those of its header line, its own, those of its bases, repeated blocks, what is carried."""
    bases = [base for base in struct.__mro__ if issubclass(base, Keywords)]
    own = {attribute: n for n, base in enumerate(bases) for attribute in base.__struct_fields__}

    def place(field: Field) -> tuple[int, int]:
        if field.keyword.header or field.keyword.position is not None:
            return 0, 0
        if isinstance(field.keyword.shape, Block) and field.keyword.shape.many:
            return 2, 0
        return (3, 0) if field.name == "x-keepalived" else (1, own[field.attribute])

    return place


@cache
def table_of(struct: type[Struct]) -> Table:
    """The keyword table of a struct of the schema. Raises TypeError for a field without a Keyword."""
    fields = []
    for attribute, hint in get_type_hints(struct, include_extras=True).items():
        if attribute in ("legacy", "fillers", "whole_line", "first_option"):
            continue
        keyword = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Keyword)), None)
        if keyword is None:
            raise TypeError(f"{struct.__name__}.{attribute} has no Keyword")
        fields.append(Field(attribute, keyword.name or attribute.rstrip("_"), keyword))
    if issubclass(struct, BlockKeywords):
        fields.sort(key=_order_in(struct))
    fields.sort(key=lambda f: f.keyword.last)
    positional = tuple(
        sorted((f for f in fields if f.keyword.position is not None), key=lambda f: f.keyword.position or 0)
    )
    by_word: dict[str, Field] = {}
    for f in fields:
        for word in f.spellings:
            if by_word.setdefault(word, f) is not f:
                raise TypeError(f"{struct.__name__}: `{word}` stands for two keywords")
    return Table(
        struct=struct,
        fields=tuple(fields),
        by_word=by_word,
        by_name={f.name: f for f in fields},
        positional=positional,
        bare_words=tuple(f for f in fields if f.keyword.bare_word),
        short=positional[0] if positional and not issubclass(struct, BlockKeywords) else None,
        legacy=getattr(struct, "legacy", {}),
        fillers=getattr(struct, "fillers", ()),
        required=tuple(f for f in fields if f.keyword.required),
    )


FLAG = Bool(bare_only=True)
BOOL = Bool()

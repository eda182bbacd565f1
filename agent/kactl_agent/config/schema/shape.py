"""What every shape of a value has: how it is read and written, in YAML and in keepalived.conf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType
"""What the user said, or UNSET: unset stays unset, so that nothing is lost or invented on the way back."""

Json = dict[str, Any]


def or_default(value: Maybe[T], default: T) -> T:
    """What the user said, or the default."""
    return default if value is UNSET else value


class ValueFault(Exception):
    """A text is no value of its shape.

    `taken` is what keepalived makes of it without refusing it (UNSET: it ignores the line): a migration carries that on
    and reports the repair, while agent YAML is refused. `word` is the index of the word at fault, where a line has many;
    `shape` is the scalar that word belongs to.
    """

    def __init__(self, message: str, hint: str = "", *, taken: Any = UNSET, word: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.taken = taken
        self.word = word
        self.shape: Scalar[Any] | None = None


class MissingWord(ValueFault):
    """The line ends where a value must stand; keepalived stops at once on most of these."""


class Quoted(str):
    """A word that is written in double quotes whatever it holds."""

    __slots__ = ()


class Shape:
    """Common face of all shapes."""

    @property
    def quoted(self) -> bool:
        """Whether keepalived splits the raw line again with shell-like quoting (commands, patterns, payloads)."""
        return False

    def read(self, words: Sequence[str], at: int) -> tuple[Any, int]:
        """Value that begins at words[at], and the index behind it. Raises ValueFault."""
        raise TypeError(f"{type(self).__name__} does not stand on a line")

    def write(self, value: Any) -> list[str]:
        """The words of a value, for keepalived.conf."""
        raise TypeError(f"{type(self).__name__} does not stand on a line")

    def describe(self) -> str:
        """The argument in the reference's notation, such as `<integer 1..255>`."""
        raise NotImplementedError

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        """JSON Schema of the YAML form; `refs` names the definition of every struct."""
        raise NotImplementedError


class Scalar(Shape, Generic[T]):
    """One word. `parse` and `render` are keepalived's text; the YAML form is the same text unless a scalar says otherwise."""

    def parse(self, text: str) -> T:
        """Value of a keepalived word. Raises ValueFault."""
        raise NotImplementedError

    def render(self, value: T) -> str:
        return str(value)

    def parse_yaml(self, text: str) -> T:
        return self.parse(text)

    def to_yaml(self, value: T) -> str | int | bool:
        """What stands in YAML: a str is quoted by the emitter where YAML would read it as something else."""
        return value if isinstance(value, bool | int) else self.render(value)

    def read(self, words: Sequence[str], at: int) -> tuple[T, int]:
        if at >= len(words):
            raise MissingWord("a value is missing", f"expected {self.describe()}", word=at - 1)
        try:
            return self.parse(words[at]), at + 1
        except ValueFault as fault:
            if fault.word is None:
                fault.word = at
                fault.shape = self
            raise

    def write(self, value: T) -> list[str]:
        return [self.render(value)]

"""Shapes of single words: truth values, numbers, times, texts, choices. A value is what one word says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from msgspec import UNSET, Struct

from kactl_agent.config.schema.shape import Json, Scalar, ValueFault

TRUE_WORDS = ("on", "true", "yes")
FALSE_WORDS = ("off", "false", "no")


@dataclass(frozen=True)
class Bool(Scalar[bool]):
    """`[<bool>]`: bare is on. With `bare_only` it is keepalived's (flag): written without a word, absent when off."""

    bare_only: bool = False

    def parse(self, text: str) -> bool:
        if text in TRUE_WORDS:
            return True
        if text in FALSE_WORDS:
            return False
        hint = (
            f"write {text.lower()}"
            if text.lower() in TRUE_WORDS + FALSE_WORDS
            else "one of: on, true, yes, off, false, no"
        )
        raise ValueFault(f"`{text}` is neither on nor off", hint)

    def parse_yaml(self, text: str) -> bool:
        # YAML's own capitalised forms, which other tools write
        return self.parse(text.lower() if text in ("True", "TRUE", "False", "FALSE") else text)

    def render(self, value: bool) -> str:
        return "on" if value else "off"

    def read(self, words: Sequence[str], at: int) -> tuple[bool, int]:
        if self.bare_only or at >= len(words):
            return True, at
        return super().read(words, at)

    def write(self, value: bool) -> list[str]:
        return [] if value else ["off"]

    def describe(self) -> str:
        return "(flag)" if self.bare_only else "[<bool>]"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Integer(Scalar[int]):
    """A whole number. `any_base` takes C notation (0x10, 010); `low`/`high` are what keepalived takes for a number beyond the limit."""

    minimum: int | None = None
    maximum: int | None = None
    unit: str = ""
    any_base: bool = False
    low: int | None = None
    high: int | None = None
    otherwise: int | None = None  # what keepalived takes when the text is out of range or no number

    _NUMBER = re.compile(r"[+-]?[0-9]+\Z")

    def parse(self, text: str) -> int:
        try:
            if self.any_base:
                value = int(text, 8) if re.match(r"0[0-7]+\Z", text) else int(text, 0)
            elif self._NUMBER.match(text):
                value = int(text)
            else:
                raise ValueError(text)
        except ValueError:
            taken = UNSET if self.otherwise is None else self.otherwise
            raise ValueFault(f"`{text}` is not a whole number", f"expected {self.describe()}", taken=taken) from None
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            edge = self.low if self.minimum is not None and value < self.minimum else self.high
            taken = edge if edge is not None else UNSET if self.otherwise is None else self.otherwise
            raise ValueFault(f"{value} is outside {self._range()}", taken=taken)
        return value

    def _range(self) -> str:
        low = "" if self.minimum is None else str(self.minimum)
        high = "" if self.maximum is None else str(self.maximum)
        return f"{low}..{high}"

    def describe(self) -> str:
        limits = "" if self.minimum is None and self.maximum is None else f" {self._range()}"
        return f"<{self.unit or 'integer'}{limits}>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        schema: Json = {"type": "integer"}
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        return schema


_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?\Z")
_SUFFIXED = re.compile(r"([0-9.]+) *(us|ms|s|m|h)\Z")


def parse_decimal(text: str, scale: int) -> tuple[int, bool]:
    """`text` times 10**scale as an exact integer (rounded half up where it has more decimals), and whether it was exact.

    Raises ValueError for anything that is not digits with at most one point.
    """
    match = _DECIMAL.match(text)
    if match is None or not (match[2] or match[3]):
        raise ValueError(text)
    sign, whole, fraction = match[1], match[2] or "0", match[3] or ""
    kept, rest = fraction[:scale].ljust(scale, "0"), fraction[scale:]
    value = int(whole + kept)
    if rest and rest[0] >= "5":
        value += 1
    return (-value if sign == "-" else value), not rest.strip("0")


def render_decimal(value: int, scale: int) -> str:
    """The shortest decimal text of value / 10**scale."""
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(scale + 1, "0")
    whole, fraction = (digits[:-scale], digits[-scale:].rstrip("0")) if scale else (digits, "")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


@dataclass(frozen=True)
class Duration(Scalar[int]):
    """A time, held as whole microseconds. Bare numbers are in `unit`; YAML also takes a suffix (us, ms, s, m, h).

    `decimals` is how many places keepalived reads: more are rounded, with a message. Limits are microseconds; `low`, `high`
    and `otherwise` are what keepalived takes instead, as in Integer.
    """

    unit: str = "s"
    decimals: int = 6
    minimum: int | None = 0
    maximum: int | None = None
    low: int | None = None
    high: int | None = None
    otherwise: int | None = None

    _PLACES: ClassVar[Mapping[str, int]] = {"us": 0, "ms": 3, "s": 6}

    def parse(self, text: str) -> int:
        places = self._PLACES[self.unit]
        try:
            value, _ = parse_decimal(text, places)
            rounded, exact = parse_decimal(text, min(self.decimals, places))
        except ValueError:
            taken = UNSET if self.otherwise is None else self.otherwise
            raise ValueFault(
                f"`{text}` is not a time in {self.unit}", f"expected {self.describe()}", taken=taken
            ) from None
        self._limit(value)
        if not exact:
            scale = 10 ** (places - min(self.decimals, places))
            raise ValueFault(
                f"{text} has more than {self.decimals} decimal places"
                if self.decimals
                else f"{text} is not a whole number",
                taken=rounded * scale,
            )
        return value

    def _limit(self, value: int) -> None:
        below = self.minimum is not None and value < self.minimum
        if below or (self.maximum is not None and value > self.maximum):
            edge = self.low if below else self.high
            taken = edge if edge is not None else UNSET if self.otherwise is None else self.otherwise
            raise ValueFault(f"{self.render(value)} is outside {self._range()} {self.unit}", taken=taken)

    def parse_yaml(self, text: str) -> int:
        match = _SUFFIXED.match(text)
        if match is None:
            return self.parse(text)
        try:
            factor = _UNITS[match[2]]
            value, exact = parse_decimal(match[1], 6)
        except ValueError:
            raise ValueFault(
                f"`{text}` is not a time", f"expected {self.describe()}, or a number with us, ms, s, m or h"
            ) from None
        step = 10 ** (self._PLACES[self.unit] - min(self.decimals, self._PLACES[self.unit]))
        if not exact or value * factor % (1_000_000 * step):
            raise ValueFault(
                f"{text} is finer than this keyword can express", f"its step is {self.render(step)} {self.unit}"
            )
        micro = value * factor // 1_000_000
        self._limit(micro)
        return micro

    def render(self, value: int) -> str:
        return render_decimal(value, self._PLACES[self.unit])

    def to_yaml(self, value: int) -> str | int | bool:
        text = self.render(value)
        return int(text) if text.lstrip("-").isdigit() else Number(text)

    def _range(self) -> str:
        low = "" if self.minimum is None else self.render(self.minimum)
        high = "" if self.maximum is None else self.render(self.maximum)
        return f"{low}..{high}"

    def describe(self) -> str:
        names = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}
        return f"<{names[self.unit]} {self._range()}>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        number: Json = {"type": "number"}
        scale = 10 ** self._PLACES[self.unit]
        if self.minimum is not None:
            number["minimum"] = self.minimum / scale if self.minimum % scale else self.minimum // scale
        if self.maximum is not None:
            number["maximum"] = self.maximum / scale if self.maximum % scale else self.maximum // scale
        return {"anyOf": [number, {"type": "string", "pattern": r"^[0-9.]+ *(us|ms|s|m|h)$"}]}


@dataclass(frozen=True)
class WholeSeconds(Duration):
    """A time in whole seconds; keepalived ignores the line when there are decimals, rather than rounding them."""

    decimals: int = 0

    def parse(self, text: str) -> int:
        try:
            return super().parse(text)
        except ValueFault as fault:
            if "." in text:
                raise ValueFault(fault.message, fault.hint) from None
            raise


class Number(str):
    """A decimal that the YAML emitter writes as it is, without quotes."""

    __slots__ = ()


def _article(what: str) -> str:
    return "" if what[:1].isdigit() else "an " if what[:1] in "aeiou" else "a "


@dataclass(frozen=True)
class Text(Scalar[str]):
    """Any one word. `cut` is the length keepalived cuts it to (silently or not); `pattern` is what it must match in full."""

    what: str = "string"
    cut: int | None = None
    maximum: int | None = None
    pattern: str = ""
    secret: bool = False
    """YAML may say `{file: PATH}` or `{env: NAME}` instead (SecretSource); the text never appears in logs or diffs."""

    def parse(self, text: str) -> str:
        if not text:
            raise ValueFault(f"an empty {self.what}")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise ValueFault(f"`{text}` is not {_article(self.what)}{self.what}")
        if self.cut is not None and len(text.encode()) > self.cut:
            shown = "the text" if self.secret else f"`{text}`"
            raise ValueFault(
                f"{shown} is longer than the {self.cut} characters that are used",
                taken=text.encode()[: self.cut].decode(errors="ignore"),
            )
        if self.maximum is not None and len(text.encode()) > self.maximum:
            raise ValueFault(f"`{text}` is longer than {self.maximum} characters")
        return text

    def describe(self) -> str:
        return f"<{self.what}>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        schema: Json = {"type": "string"}
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        if self.secret:
            source = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False}
            source["properties"] = {"file": {"type": "string"}, "env": {"type": "string"}}
            return {"anyOf": [schema, source]}
        # Words such as 1234 are read as text here, whatever YAML would make of them.
        return {"type": ["string", "number", "boolean"]} if not self.pattern else schema


class SecretSource(Struct, frozen=True):
    """A secret kept elsewhere: exactly one of the two is set. Resolved when the configuration is loaded, never logged."""

    file: str = ""
    env: str = ""


@dataclass(frozen=True)
class Command(Text):
    """A command line as one quoted word: program and arguments, split with keepalived's quoting when it is run."""

    what: str = "command"

    @property
    def quoted(self) -> bool:
        return True


@dataclass(frozen=True)
class Choice(Scalar[str]):
    """One of fixed words. `aliases` are other spellings of the same; `otherwise` is what keepalived takes for anything else."""

    values: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    any_case: bool = False
    otherwise: str | None = None

    def parse(self, text: str) -> str:
        if text in self.values:
            return text
        if text in self.aliases:
            return self.aliases[text]
        same = next((v for v in self.values if v.lower() == text.lower()), None)
        if same is not None and self.any_case:
            return same
        hint = f"did you mean {same}?" if same else f"one of: {', '.join(self.values)}"
        raise ValueFault(
            f"`{text}` is not one of the words this takes",
            hint,
            taken=UNSET if self.otherwise is None else self.otherwise,
        )

    def describe(self) -> str:
        return "|".join(self.values)

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        values: list[Any] = [*self.values, *self.aliases]
        # `version: 2` is a number to YAML and a word to keepalived: both are taken.
        values += [int(v) for v in self.values if v.isdigit()]
        return {"enum": values}

"""regex of a url: PCRE2 patterns over the bytes of a body (pcre2pattern(3), pcre2api(3)).

The library behind it is PCRE2 itself, by the binding `pcre2`, which is imported when there is a pattern. What a search
may cost is limited: a pattern that explodes on a page is a failure that says so, not a loop that stands still.

PCRE2 counts its steps anew at every place where a match may begin, so that its own limit bounds no search. Here a body
is searched with the fewer steps for each place the longer it is. Where that is not enough for one, each is tried by
itself, with more and more steps, until those that are granted to all of them are used up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from kactl_agent.checkers.settings import RegexSettings

if TYPE_CHECKING:
    from pcre2 import Match, Pattern
    from pcre2._cy import PCRE2Code

MATCH_LIMIT = 1 << 18
"""Steps at one place at most (pcre2_set_match_limit(3)); PCRE2's own default is 10,000,000."""

SEARCH_LIMIT = 1 << 26
"""Steps of a whole search at most: some 0.3 s. Short bodies have a sixteenth of that."""

HEAP_LIMIT = 20_000
"""KiB that one match may use where the JIT's stack does not do."""

OPTIONS = {
    "allow_empty_class": 0x0000_0001,
    "alt_bsux": 0x0000_0002,
    "auto_callout": 0x0000_0004,
    "caseless": 0x0000_0008,
    "dollar_endonly": 0x0000_0010,
    "dotall": 0x0000_0020,
    "dupnames": 0x0000_0040,
    "extended": 0x0000_0080,
    "firstline": 0x0000_0100,
    "match_unset_backref": 0x0000_0200,
    "multiline": 0x0000_0400,
    "never_ucp": 0x0000_0800,
    "never_utf": 0x0000_1000,
    "no_auto_capture": 0x0000_2000,
    "no_auto_possess": 0x0000_4000,
    "no_dotstar_anchor": 0x0000_8000,
    "no_start_optimize": 0x0001_0000,
    "ucp": 0x0002_0000,
    "ungreedy": 0x0004_0000,
    "utf": 0x0008_0000,
    "never_backslash_c": 0x0010_0000,
    "alt_circumflex": 0x0020_0000,
    "alt_verbnames": 0x0040_0000,
    "use_offset_limit": 0x0080_0000,
}
"""Bits of pcre2_compile(3) by the names of regex_options."""

_ALL = (1 << 32) - 1
_ANCHORED = 1 << 31
_SHORT = SEARCH_LIMIT >> 4
_LEAST = 64  # steps at a place, where the body is not very long: those that patterns which are no trouble need
_GRANTED = 1 << 19  # steps of all places that are tried by themselves
_MOST_PLACES = 1 << 17  # that are; without the JIT, places of a search
_MOST_DECODED = 1 << 28  # bytes of which is looked whether they are UTF-8: at each place all of the body
_SLOWER = 8  # times that a step takes more without the JIT
_JIT_STACK_LIMIT = -46  # PCRE2_ERROR_JIT_STACKLIMIT
_MATCH_LIMIT_REACHED = -47  # PCRE2_ERROR_MATCHLIMIT
_HEAP_LIMIT_REACHED = -63  # PCRE2_ERROR_HEAPLIMIT
_TOO_LONG = "the pattern takes too long on this body"


class PatternFault(Exception):
    """The pattern cannot be compiled; says why and where."""


class MatchFault(Exception):
    """Whether the pattern matches cannot be said: the match costs too much, or the body is not what it needs."""


class _TooManySteps(Exception):
    """More of them at one place than were allowed."""


class BodyPattern:
    """A compiled pattern."""

    def __init__(self, pattern: str, options: tuple[str, ...] = ()) -> None:
        """Raises PatternFault."""
        import pcre2

        bits = 0
        for name in options:
            bits |= OPTIONS[name]
        if "use_offset_limit" in options:
            bits &= ~OPTIONS["use_offset_limit"]  # the limit is held without it, and it excludes some optimisations
        self._pattern = pattern.encode()
        self._bits = bits
        self._steppable = "firstline" not in options  # which line is the first depends on where a search begins
        self._compiled: dict[tuple[int, bool, bool], Pattern | None] = {}
        self.granted = 0  # steps that the last search was allowed to take
        plain = self._with(MATCH_LIMIT, anchored=False, jit=False)
        assert plain is not None
        self._decodes = pcre2._cy.pattern_is_utf(plain._pcre2_code)

    def _with(self, limit: int, *, anchored: bool, jit: bool) -> Pattern | None:
        """The pattern, compiled with its limit in it; None where this machine has no JIT. Raises PatternFault."""
        key = (limit, anchored, jit)
        if key not in self._compiled:
            self._compiled[key] = self._compile(limit, self._bits | (_ANCHORED if anchored else 0), jit=jit)
        return self._compiled[key]

    def _compile(self, limit: int, bits: int, *, jit: bool) -> Pattern | None:
        import pcre2

        text = f"(*LIMIT_MATCH={limit})(*LIMIT_HEAP={HEAP_LIMIT})".encode()
        subject = text + self._pattern
        try:
            # the binding adds ALT_BSUX, NEVER_BACKSLASH_C and, with utf, UCP, unless they are taken back
            code: PCRE2Code = pcre2._cy.compile(subject, bits, _ALL & ~bits)
        except pcre2.LibraryError as error:
            place = getattr(error, "pos", 0) - len(text)
            raise PatternFault(f"{str(error).rpartition('; ')[2]} at offset {max(0, place)}") from None
        if jit:
            try:
                pcre2._cy.jit_compile(code)
            except pcre2.LibraryError:
                return None
        return pcre2.Pattern(code, subject, 0, jit, None)

    def search(self, body: bytes, min_offset: int = 0, max_offset: int | None = None) -> int | None:
        """Where the first match at or behind `min_offset` begins, if it does so at `max_offset` at the latest; None
        when there is none. Raises MatchFault."""
        self.granted = 0
        if min_offset > len(body):
            return None
        try:
            found = self._search(body, min_offset, limit_of(len(body) - min_offset + 1), anchored=False)
        except _TooManySteps:
            found = self._step(body, min_offset, max_offset)
        if found is None or (max_offset is not None and found > max_offset):
            return None
        return found

    def _step(self, body: bytes, offset: int, max_offset: int | None) -> int | None:
        """One place after the other."""
        last = len(body) if max_offset is None else min(max_offset, len(body))
        places = last - offset + 1
        if not self._steppable or places > _MOST_PLACES or (self._decodes and places * len(body) > _MOST_DECODED):
            raise MatchFault(_TOO_LONG)
        left = _GRANTED
        for place in range(offset, last + 1):
            if self._decodes and place < len(body) and body[place] & 0xC0 == 0x80:
                continue  # within a character
            limit = _LEAST
            while limit <= min(left, MATCH_LIMIT):
                try:
                    if self._search(body, place, limit, anchored=True) is not None:
                        return place
                    break
                except _TooManySteps:
                    left -= limit
                    limit *= 4
            else:
                raise MatchFault(_TOO_LONG)
        return None

    def _search(self, body: bytes, offset: int, limit: int, *, anchored: bool) -> int | None:
        """With so many steps for each place. Raises _TooManySteps, or MatchFault where more would not help."""
        import pcre2

        places = 1 if anchored else len(body) - offset + 1
        self.granted += limit * places
        fast = self._with(limit, anchored=anchored, jit=True)
        try:
            if fast is not None:
                try:
                    return _start(fast.search(body, offset))
                except pcre2.LibraryError as error:
                    if error.code != _JIT_STACK_LIMIT:
                        raise
                    if places > _MOST_PLACES:
                        raise MatchFault("the pattern takes too much memory on this body") from None
            slow = self._with(limit if anchored else max(1, limit // _SLOWER), anchored=anchored, jit=False)
            assert slow is not None
            return _start(slow.search(body, offset))
        except pcre2.LibraryError as error:
            if error.code == _MATCH_LIMIT_REACHED:
                raise _TooManySteps from None
            raise MatchFault(_TOO_LONG if error.code == _HEAP_LIMIT_REACHED else error.msg) from None


def _start(match: Match | None) -> int | None:
    return None if match is None else int(match.start())


def limit_of(places: int) -> int:
    """Steps at each of so many places: a power of two, so that few compiled patterns do for bodies of all lengths."""
    limit = min(MATCH_LIMIT, max(_SHORT // places, min(_LEAST, SEARCH_LIMIT // places), 1))
    return 1 << limit.bit_length() - 1


@lru_cache(maxsize=4096)
def _compiled(pattern: str, options: tuple[str, ...]) -> BodyPattern:
    return BodyPattern(pattern, options)


def body_fault(settings: RegexSettings, body: bytes) -> str:
    """Why a body is not as it must be, "" when it is. Raises PatternFault."""
    try:
        pattern = _compiled(settings.pattern, settings.options)
        found = pattern.search(body, settings.min_offset, settings.max_offset)
    except MatchFault as fault:
        return f"regex: {fault}"
    if settings.no_match:
        return "" if found is None else f"regex matches at offset {found}, and must not"
    return "regex does not match" if found is None else ""

"""regex of a url: PCRE2 patterns over the bytes of a body (pcre2pattern(3), pcre2api(3)).

The library behind it is PCRE2 itself, by the binding `pcre2`, which is imported when there is a pattern. What a match
may cost is limited: a pattern that explodes on a page is a failure that says so, not a loop that stands still.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from kactl_agent.checkers.settings import RegexSettings

if TYPE_CHECKING:
    from pcre2._cy import PCRE2Code

MATCH_LIMIT = 500_000
"""Steps of one match at most (pcre2_set_match_limit(3)); PCRE2's own default is 10,000,000."""

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
_JIT_STACK_LIMIT = -46  # PCRE2_ERROR_JIT_STACKLIMIT
_MATCH_LIMIT_REACHED = -47  # PCRE2_ERROR_MATCHLIMIT
_HEAP_LIMIT_REACHED = -63  # PCRE2_ERROR_HEAPLIMIT


class PatternFault(Exception):
    """The pattern cannot be compiled; says why and where."""


class MatchFault(Exception):
    """Whether the pattern matches cannot be said: the match costs too much, or the body is not what it needs."""


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
        text = f"(*LIMIT_MATCH={MATCH_LIMIT})(*LIMIT_HEAP={HEAP_LIMIT})".encode()
        subject = text + pattern.encode()
        try:
            # the binding adds ALT_BSUX, NEVER_BACKSLASH_C and, with utf, UCP, unless they are taken back
            code: PCRE2Code = pcre2._cy.compile(subject, bits, _ALL & ~bits)
        except pcre2.LibraryError as error:
            place = getattr(error, "pos", 0) - len(text)
            raise PatternFault(f"{str(error).rpartition('; ')[2]} at offset {max(0, place)}") from None
        self._plain = pcre2.Pattern(code, subject, 0, False, None)
        self._fast: pcre2.Pattern | None = None
        try:
            jit = pcre2._cy.compile(subject, bits, _ALL & ~bits)
            pcre2._cy.jit_compile(jit)
            self._fast = pcre2.Pattern(jit, subject, 0, True, None)
        except pcre2.LibraryError:
            pass  # no JIT on this machine

    def search(self, body: bytes, min_offset: int = 0, max_offset: int | None = None) -> int | None:
        """Where the first match at or behind `min_offset` begins, if it does so at `max_offset` at the latest; None
        when there is none. Raises MatchFault."""
        if min_offset > len(body):
            return None
        found = self._search(body, min_offset)
        if found is None or (max_offset is not None and found > max_offset):
            return None
        return found

    def _search(self, body: bytes, offset: int) -> int | None:
        import pcre2

        for pattern in (self._fast, self._plain):
            if pattern is None:
                continue
            try:
                match = pattern.search(body, offset)
            except pcre2.LibraryError as error:
                if error.code == _JIT_STACK_LIMIT:
                    continue
                if error.code in (_MATCH_LIMIT_REACHED, _HEAP_LIMIT_REACHED):
                    raise MatchFault("the pattern takes too long on this body") from None
                raise MatchFault(error.msg) from None
            return None if match is None else int(match.start())
        raise MatchFault("the pattern takes too much memory on this body")


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

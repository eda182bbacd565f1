"""Whether a text is keepalived.conf or YAML, by its content."""

from __future__ import annotations

import re
from functools import cache

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config

_EXAMINED = 256 * 1024  # characters; what is undecided behind them stays so
# A key with its colon, a sequence item, a document start, a flow map: nothing of keepalived's looks like that.
_YAML = re.compile(
    r"(?:---(?:\s|\Z)|%YAML\s|- |-\Z|\{\s*(?:\}|\"|[A-Za-z_])|[\"']?[A-Za-z_][\w.-]*[\"']?\s*:(?:\s|\Z))"
)
_NO_KEY = re.compile(r"---|%YAML|\{|- |-\Z")
_KEEPALIVED = re.compile(
    r"(?:\$[A-Za-z_]\w*=|@\^?\S+\s|~(?:SEQx?|LST)\s*\(|include[rmwba]?\s|[}]|.*[{]\s*(?:[#!].*)?\Z)"
)


def looks_like_keepalived(text: str) -> bool:
    """True for keepalived.conf, False for YAML; what is neither counts as keepalived.conf.

    The first line that can be only one of them decides: a key that is none of ours may also be a stray line of text.
    """
    guess = True
    for line in text[:_EXAMINED].removeprefix("\ufeff").splitlines():
        code = line.strip()
        if not code or code[0] == "#":
            continue
        if code[0] == "!":
            return True
        words = code.split(None, 1)
        if _YAML.match(code):
            if line[0] not in " \t" and (_NO_KEY.match(code) or _key(code) in _root_keys()):
                return False
            guess = False
        elif words[0].rstrip("{") in _root_words() or (guess and _KEEPALIVED.match(code)):
            return True
    return guess


def _key(code: str) -> str:
    return code.partition(":")[0].strip().strip("\"'")


@cache
def _root_keys() -> frozenset[str]:
    return frozenset((*table_of(Config).by_name, "include"))


@cache
def _root_words() -> frozenset[str]:
    table = table_of(Config)
    return frozenset((*table.by_word, *table.legacy))

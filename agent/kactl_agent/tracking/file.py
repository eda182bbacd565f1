"""A tracked file: the number its first line begins with (keepalived track_file)."""

from __future__ import annotations

import re

from kactl_agent.tracking.actions import FileContent, Verdict

LARGEST = 4096  # bytes of a file that are looked at
_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]{1,19})")
_INT_MAX, _INT_MIN = 2**31 - 1, -(2**31)


def file_value(data: bytes | None) -> int:
    """The number, within 32 bits; 0 for a file that is missing, cannot be read or begins with no number."""
    found = _NUMBER.match(data[:LARGEST]) if data else None
    return max(_INT_MIN, min(_INT_MAX, int(found[1]))) if found else 0


def file_verdict(path: str, content: FileContent) -> Verdict:
    """What the file says. Whether that is good depends on the weight of who tracks it."""
    value = file_value(content.data)
    if content.data is None:
        return Verdict(True, 0, f"{path} cannot be read ({content.error}), which counts as 0")
    return Verdict(True, value, f"{path} holds {value}")

"""The table of a benchmark run: the agent's figure, keepalived's of the same run, and what is wanted of their ratio."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = f"{'what':<78} {'kactl':>12} {'keepalived':>12} {'ratio':>7}  {'must':<12} {'aim':<10}"


@dataclass(frozen=True)
class Figure:
    """A row. `must` and `aim` are limits of the ratio, or, where there is no peer, of the figure itself."""

    what: str
    unit: str
    ours: float
    theirs: float | None = None
    must: str = ""
    aim: str = ""

    def __str__(self) -> str:
        ratio = f"{self.ours / self.theirs:.3f}" if self.theirs else "-"
        theirs = "-" if self.theirs is None else f"{_digits(self.theirs)} {self.unit}"
        ours = f"{_digits(self.ours)} {self.unit}"
        return f"{self.what:<78} {ours:>12} {theirs:>12} {ratio:>7}  {self.must:<12} {self.aim:<10}".rstrip()


_table: list[Figure] = []


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def add(figure: Figure) -> None:
    """Into the table, and, for who looks on, to the terminal at once."""
    _table.append(figure)
    print(f"\n{figure}  [load {os.getloadavg()[0]:.1f}]")


def table() -> str:
    """Empty when nothing was measured."""
    return "\n".join([_HEAD, *map(str, _table)]) if _table else ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

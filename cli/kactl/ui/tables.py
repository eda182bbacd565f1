"""Columns of text."""

from __future__ import annotations

from collections.abc import Sequence

from kactl_agent.config.diagnostics import columns, printable


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns, two blanks between them, nothing at the end of a line.

    Widths are those on a terminal; what a terminal would act on is shown as a mark.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(columns(row[index]) for row in shown) for index in range(len(shown[0]))]
    return [
        "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]

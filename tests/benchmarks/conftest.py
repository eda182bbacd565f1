"""Benchmarks end with one table. Their figures mean something on an otherwise idle machine alone."""

from __future__ import annotations

import os

import pytest

from support import figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    text = figures.table()
    if text:
        one, five, fifteen = os.getloadavg()
        terminalreporter.section("figures")
        terminalreporter.write_line(text)
        terminalreporter.write_line(
            f"load average {one:.2f} {five:.2f} {fifteen:.2f} on {os.cpu_count()} processors:"
            " figures taken beside other work are void"
        )

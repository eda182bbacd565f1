"""`ip monitor` of a node's routes and rules, of which nothing between two instants is missed."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.netns import Node, ip, wait_for

_FIRST_MARK = 29000  # the preference of a rule that is made and deleted to have something seen
_OF_MARK = re.compile(r"^(Deleted )?29\d{3}:", re.MULTILINE)
_SECONDS = 20.0


class RouteMonitor:
    """What `ip -o monitor route rule` has said so far in a node."""

    def __init__(self, node: Node, output: Path) -> None:
        self._node = node
        self._output = output
        self._marks = 0

    def lines(self) -> list[str]:
        """What was said of everything that has happened until now, without the marks."""
        mark = self._mark()
        wait_for(lambda: mark in self._output.read_text(), _SECONDS, "the monitor has come this far")
        return [line.strip() for line in self._output.read_text().splitlines() if not _OF_MARK.match(line)]

    def listens(self) -> bool:
        """Whether a mark has been seen: so will be whatever comes."""
        self._mark()
        return _OF_MARK.search(self._output.read_text()) is not None

    def _mark(self) -> str:
        """How the line of the mark's end begins."""
        preference = str(_FIRST_MARK + self._marks)
        self._marks += 1
        for verb in ("add", "del"):
            ip("rule", verb, "preference", preference, "table", "77", namespace=self._node.namespace)
        return f"Deleted {preference}:"


@contextlib.contextmanager
def route_monitor(node: Node) -> Iterator[RouteMonitor]:
    """A monitor that listens: its process may have been started for a while before it does."""
    with tempfile.NamedTemporaryFile("w+") as output:
        process = node.run("ip", "-o", "monitor", "route", "rule", stdout=output, stderr=subprocess.STDOUT)
        try:
            monitor = RouteMonitor(node, Path(output.name))
            wait_for(monitor.listens, _SECONDS, "the monitor listens")
            yield monitor
        finally:
            process.terminate()
            process.wait(_SECONDS)

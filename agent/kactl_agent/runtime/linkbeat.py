"""Asks interfaces for their link every second, beside the timing loop: a driver may take its time to answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Protocol


class Probe(Protocol):
    """`kactl_agent.kernel.linkbeat.LinkProbe`."""

    def link(self, interface: str, wanted: str) -> bool: ...


class Loop(Protocol):
    def call_soon_threadsafe(
        self, callback: Callable[[Mapping[str, bool]], None], told: Mapping[str, bool]
    ) -> object: ...


class Linkbeat:
    """`heard` is given the answers of a round: interfaces that cannot be asked are left out."""

    def __init__(self, loop: Loop, probe: Callable[[], Probe], heard: Callable[[Mapping[str, bool]], None]) -> None:
        self._loop = loop
        self._open = probe
        self._probe: Probe | None = None
        self._heard = heard
        self._wanted: dict[str, str] = {}
        self._asking = False

    def want(self, interfaces: Mapping[str, str]) -> None:
        """Ask these from now on: interface -> MII, ETHTOOL, IOCTL or empty."""
        if dict(interfaces) != self._wanted:
            self._wanted = dict(interfaces)
            self._heard({})  # what was heard so far is not to count for others
            self.poll()

    def poll(self) -> None:
        """To be called every second. A round that is not over yet is waited for."""
        if self._wanted and not self._asking:
            self._asking = True
            # no pool: its threads would have to answer before the process may end
            threading.Thread(target=self._ask, args=(dict(self._wanted),), name="linkbeat", daemon=True).start()

    def _ask(self, wanted: Mapping[str, str]) -> None:
        answers = {}
        for interface, way in wanted.items():
            with contextlib.suppress(OSError):  # it is gone, or there is no descriptor left: the kernel's word counts
                if self._probe is None:
                    self._probe = self._open()
                answers[interface] = self._probe.link(interface, way)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._answered, answers)

    def _answered(self, answers: Mapping[str, bool]) -> None:
        self._asking = False
        self._heard({interface: up for interface, up in answers.items() if interface in self._wanted})

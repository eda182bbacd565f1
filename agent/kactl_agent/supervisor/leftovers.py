"""What workers that died may have left on the machine, and who takes it away."""

from __future__ import annotations

from collections.abc import Callable, Container

from kactl_agent.ipvs.model import Timeouts
from kactl_agent.runtime.checker_frames import TimeoutsBefore
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.children import Child, exit_text, fork_child
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.worker_kinds import WORKERS, reclaimer, replacer


class Leftovers:
    """`log` takes a level and a message. Taking away happens in a short-lived process that is waited for."""

    def __init__(self, poller: Poller, log: Callable[[str, str], None]) -> None:
        self._poller = poller
        self._log = log
        self._at_once: dict[str, list[AgentConfiguration]] = {}
        self._at_end: dict[str, list[AgentConfiguration]] = {}
        self._leaving: dict[str, list[AgentConfiguration]] = {}
        self._found: dict[str, Timeouts] = {}  # what was there before the workers that have told so

    def leaves(self, worker: str, configurations: list[AgentConfiguration]) -> None:
        """A worker is told to go, and is not told what is in force from now on: it runs one of these to its end."""
        self._leaving[worker] = configurations

    def gone(self, worker: str) -> None:
        """It has ended as it should."""
        self._leaving.pop(worker, None)
        self._found.pop(worker, None)

    def found(self, worker: str, frame: TimeoutsBefore) -> None:
        """The first one knows; what those find that follow one which died is what that one had made."""
        if frame.timeouts is None:
            self._found.pop(worker, None)
        else:
            self._found.setdefault(worker, frame.timeouts)

    def for_next(self, worker: str) -> TimeoutsBefore | None:
        """What to tell a worker that starts."""
        found = self._found.get(worker)
        return None if found is None else TimeoutsBefore(found)

    def note(self, worker: str, configurations: list[AgentConfiguration]) -> None:
        """A worker died that was running one of these, unless it was leaving."""
        configurations = self._leaving.pop(worker, configurations)
        kind = WORKERS[worker]
        if kind.reclaims:
            self._at_once[worker] = configurations
        if kind.hands_over:
            self._at_end[worker] = configurations

    def taken_over(self, worker: str, current: AgentConfiguration) -> None:
        """Another one runs, with this configuration, and knows what to do with what is in it."""
        target = replacer(worker, self._at_end.pop(worker, []), current)
        if target is not None:
            self._clean_up(worker, target)

    def reclaim(self) -> None:
        """Addresses of a worker that was killed must not stay while another router has taken them over."""
        for worker, configurations in self._at_once.items():
            self._clean_up(worker, reclaimer(worker, configurations, at_end=False))
        self._at_once = {}

    def settle(self, configuration: AgentConfiguration, running: Container[str]) -> None:
        """What there is no work for any more in this configuration nobody takes over."""
        for worker in [each for each in self._at_end if each not in running and not configuration.needs(each)]:
            self._reclaim_at_end(worker)

    def leave(self, *, addresses: bool, services: bool) -> None:
        """As the command line wants it (--keep-vips, --keep-ipvs)."""
        if addresses:
            self._at_once = {}
        if services:
            self._at_end.pop("checkers", None)

    def reclaim_at_end(self) -> None:
        """A worker that follows takes some things over as they are; they go when there is none."""
        for worker in list(self._at_end):
            self._reclaim_at_end(worker)

    def _reclaim_at_end(self, worker: str) -> None:
        before = self._found.pop(worker, None)
        self._clean_up(worker, reclaimer(worker, self._at_end.pop(worker), at_end=True, before=before))

    def _clean_up(self, worker: str, target: Callable[[], int]) -> None:
        try:
            code = Child("reclaim", fork_child("reclaim", target, [], self._poller.after_fork)).reap()
            failure = exit_text(code) if code else ""
        except OSError as error:
            failure = error.strerror or str(error)
        if failure:
            self._log("error", f"what the {worker} worker that died had made may still be here: {failure}")

"""What is tracked, as onlookers are told of it: what changed, once a second at most."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from kactl_agent.runtime.dump_frames import TrackerGone, TrackerState
from kactl_agent.runtime.frame import Frame

_KEY = "tracker"


class TrackerReports:
    """`states` gives all there are, `post` takes the state of a key for the observer."""

    def __init__(self, states: Callable[[], Iterable[TrackerState]], post: Callable[[Hashable, Frame], object]) -> None:
        self._states = states
        self._post = post
        self._told: dict[tuple[str, str], TrackerState] = {}

    def again(self) -> None:
        """There is a new observer, who knows nothing."""
        self._told.clear()

    def report(self) -> None:
        """To be called every second."""
        current = {(state.kind, state.name): state for state in self._states()}
        for key, state in current.items():
            if self._told.get(key) != state:
                self._post((_KEY, *key), state)
        for kind, name in self._told.keys() - current.keys():
            self._post((_KEY, kind, name), TrackerGone(kind, name))
        self._told = current

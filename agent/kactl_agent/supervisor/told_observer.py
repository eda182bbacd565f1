"""What the observer is told of the configuration in force."""

from __future__ import annotations

from collections.abc import Callable

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge
from kactl_agent.supervisor.poller import Poller

_AGAIN_SECONDS = 1.0
_MOST_ON_THEIR_WAY = 4


class ToldObserver:
    """A few configurations may be on their way, each before the answer to its reload. Of those that follow the newest
    alone comes next: for an observer that hangs there is not a memory file for each reload."""

    def __init__(
        self, poller: Poller, edge: Callable[[], Edge | None], seal: Callable[[], int], log: Callable[[str, str], None]
    ) -> None:
        """`seal` makes a memory file of what is in force, or raises OSError. `log` takes a level and a message."""
        self._poller = poller
        self._edge = edge
        self._seal = seal
        self._log = log
        self._on_their_way = 0
        self._due = False

    def tell(self) -> None:
        """Something else is in force."""
        edge = self._edge()
        if edge is None:
            return  # one that follows knows
        if self._on_their_way >= _MOST_ON_THEIR_WAY:
            self._due = True
            return
        try:
            descriptor = self._seal()
        except OSError as error:
            self._log("error", f"there is no room to tell the observer what is in force: {error.strerror or error}")
            self._poller.call_later(_AGAIN_SECONDS, self.tell)
            return
        self._on_their_way += 1
        self._due = False
        edge.post(frames.Settings(0), [descriptor])

    def taken(self) -> None:
        """It knows one more."""
        self._on_their_way -= 1
        if self._due:
            self.tell()

    def follows(self) -> None:
        """Another observer has been started with what is in force."""
        self._on_their_way, self._due = 0, False

"""Interfaces whose short interruptions do not count (keepalived interface_up_down_delays).

Pure, like the trackers: what the interface is and `now` (ns) go in, what it counts as and one deadline come out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kactl_agent.tracking.actions import LinkState
from kactl_agent.vrrp.actions import Action, Input
from kactl_agent.vrrp.network_settings import LinkDelays


class LinkSettled(Action, frozen=True):
    """The interface counts as up, or as down, from now on."""

    up: bool


class LinkDebounce:
    """One interface. `up` is what it counts as.

    A change counts once it has lasted for its delay; an interface that is back before leaves no trace. What an
    interface is at first, and whether there is one, counts at once: only one that has been up can be interrupted.
    """

    def __init__(self, delays: LinkDelays) -> None:
        self.delays = delays
        self.up = False
        self._seen_up = False
        self._change: int | None = None  # when the other state will count

    def handle_event(self, event: Input, now: int) -> Sequence[Action]:
        """Raises TypeError for an input that is not for an interface."""
        if not isinstance(event, LinkState):
            raise TypeError(f"{type(event).__name__} is no input of an interface")
        if not event.exists or not self._seen_up:
            self._seen_up = event.exists and event.up
            return self._settle(self._seen_up)
        if event.up == self.up:
            self._change = None
            return ()
        delay = self.delays.up if event.up else self.delays.down
        if not delay:
            return self._settle(event.up)
        if self._change is None:
            self._change = now + delay
        return ()

    def handle_timer(self, now: int) -> Sequence[Action]:
        if self._change is None or now < self._change:
            return ()
        return self._settle(not self.up)

    def deadline(self) -> int | None:
        return self._change

    def reconfigure(self, delays: LinkDelays, now: int) -> None:
        """Other delays from now on. A change that is waiting waits no longer than the new delay from now."""
        self.delays = delays
        if self._change is not None:
            self._change = min(self._change, now + (delays.down if self.up else delays.up))

    def _settle(self, up: bool) -> Sequence[Action]:
        self._change = None
        if up == self.up:
            return ()
        self.up = up
        return (LinkSettled(up),)


def limited(delays: LinkDelays, longest: int) -> LinkDelays:
    """The same with a down delay of at most `longest` ns: a router that is cut off must not wait until others have
    taken over. The up delay harms nobody (keepalived 2.3.3)."""
    return msgspec.structs.replace(delays, down=min(delays.down, longest))


def longest_down_delay(down_timer_adverts: int, advert_interval: int) -> int:
    """keepalived's limit for an interface with this instance on it: ns, 0 where no delay is possible."""
    if down_timer_adverts <= 1:
        return 0
    return (down_timer_adverts - 1) * advert_interval - advert_interval // 256

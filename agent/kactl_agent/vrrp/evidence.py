"""What an instance knew when it changed its state: small, bounded, and taken down in the middle of the protocol.

`Witness` is told of every advert and costs a dictionary entry for each; `Evidence` is what it, and the instance, can
say at the moment of a transition. Times are ns of the engine's clock, ages are ns before the transition.
"""

from __future__ import annotations

import msgspec

_MOST_SOURCES = 8  # routers remembered, the newest; an attacker with many addresses costs no more
_STALL_MATTERS = 60_000_000_000  # ns: what came so long after a pause has other reasons


class Heard(msgspec.Struct, frozen=True):
    """Adverts of one router that were taken as valid."""

    source: bytes
    priority: int  # of the latest
    age: int  # of the latest
    count: int


class Discarded(msgspec.Struct, frozen=True):
    """The latest advert that was not taken."""

    source: bytes
    reason: str  # a `kactl_agent.vrrp.packet.Reason`
    age: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The inputs of a transition. What has its default did not matter."""

    state_age: int  # how long the state that ends was held
    heard: tuple[Heard, ...] = ()  # newest first
    discarded: Discarded | None = None
    timer: str = ""  # the down timer that ran: master_down_interval, skew_time, ...
    timer_length: int = 0
    waited: int = 0  # since that timer was started
    late: int = 0  # how long after its time a timer of the instance was handled
    sent_age: int | None = None  # of the last advert of our own
    interface: str = ""
    interface_up: bool | None = None  # None: nothing is known of it yet
    configured_priority: int = 0
    contributions: tuple[tuple[str, int], ...] = ()  # (tracker, weight)
    faults: tuple[str, ...] = ()  # one sentence each
    drained: str | None = None  # the reason given
    stalled: int = 0  # the length of a pause of this process that mattered
    stalled_age: int = 0


class Witness:
    """Who was heard, and what of this process' own standing still."""

    __slots__ = ("_discarded", "_heard", "_stall")

    def __init__(self) -> None:
        self._heard: dict[bytes, tuple[int, int, int]] = {}  # source -> (priority, at, count), the newest last
        self._discarded: tuple[bytes, str, int] | None = None
        self._stall: tuple[int, int] | None = None  # (at, length)

    def heard(self, source: bytes, priority: int, now: int) -> None:
        """A valid advert came in."""
        known = self._heard.pop(source, None)
        self._heard[source] = (priority, now, 1 if known is None else known[2] + 1)
        if len(self._heard) > _MOST_SOURCES:
            del self._heard[next(iter(self._heard))]

    def discarded(self, source: bytes, reason: str, now: int) -> None:
        """An advert came in that is not taken."""
        self._discarded = (source, reason, now)

    def stalled(self, length: int, now: int) -> None:
        """This process, or the machine, stood still for `length` before `now`."""
        self._stall = (now, length)

    def adverts(self, now: int) -> tuple[Heard, ...]:
        """Newest first."""
        return tuple(Heard(s, priority, now - at, count) for s, (priority, at, count) in reversed(self._heard.items()))

    def latest_discarded(self, now: int) -> Discarded | None:
        if self._discarded is None:
            return None
        source, reason, at = self._discarded
        return Discarded(source, reason, now - at)

    def latest_stall(self, now: int) -> tuple[int, int]:
        """Length and age of the latest pause that may have to do with what happens now, zeros when there is none."""
        if self._stall is None or now - self._stall[0] > _STALL_MATTERS:
            return 0, 0
        at, length = self._stall
        return length, now - at

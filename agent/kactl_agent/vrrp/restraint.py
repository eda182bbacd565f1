"""What keeps an instance from being MASTER, or from speaking as one, although its timers would have it so.

* Drained by an operator: it hands over, and is BACKUP until it is undrained.
* After a pause of its own (a suspended process or machine): a backup that did not listen waits once more, a master
  listens first, because another router may have taken over.
"""

from __future__ import annotations

from kactl_agent.vrrp.actions import Action, Drain, Stalled, State
from kactl_agent.vrrp.election import Election
from kactl_agent.vrrp.fsm import Event
from kactl_agent.vrrp.machine import HANDOVER, Occasion
from kactl_agent.vrrp.priority import HIGHEST
from kactl_agent.vrrp.settings import VrrpSettings
from kactl_agent.vrrp.timers import master_down_interval

DRAIN_REFUSED = "drain_refused"
"""The code of the report that nobody took over from an instance that was drained with require_peer."""
DRAINED_WITHOUT_MASTER = "drained_without_master"
"""The code of the report that nobody is master while this one is drained."""
STALL_OVER = "stall_over"
"""The code of the report that a master is still master after a pause of its own."""
STALLED = "stalled"
"""The code of the report that it was silent for longer than others wait."""
ADVERT_LATE = "advert_late"
"""The code of the report that an advert was more than a tenth of its interval late."""
_LATE_SHARE = 10
_FEWEST_ADVERTS = 2  # that are missing when a silence is a pause: where backups wait for one, a late timer is none
_LATE_QUIET = 60_000_000_000  # ns between two reports of late adverts; what comes between is counted


class Restraint(Election):
    """Drain and the guard against its own standing still. Times are ns."""

    def __init__(self, settings: VrrpSettings) -> None:
        super().__init__(settings)
        self._late_quiet_until = 0

    @property
    def drained(self) -> Drain | None:
        """The input that drained it; None when it is not drained."""
        return self._drain

    @property
    def handing_over(self) -> bool:
        """Drained with require_peer, and nobody has taken over yet."""
        return self._handing_over

    # -- drain ---------------------------------------------------------------------------------------------------------

    def _drained_by(self, event: Drain, now: int) -> list[Action]:
        if self._drain is not None:  # another reason; nothing to hand over any more
            self._drain = event
            self._handing_over = self._handing_over and event.require_peer
            return []
        self._drain = event
        alone = self._state is State.BACKUP and not self._master
        self._handing_over = event.require_peer and (alone or self._state is State.MASTER)
        detail = f"drained: {event.reason}" if event.reason else "drained"
        return self._advance(Event.DRAIN, Occasion(now), "drained", detail)

    def _undrained(self, now: int) -> list[Action]:
        if self._drain is None:
            return []
        self._drain, self._handing_over = None, False
        return self._advance(Event.UNDRAIN, Occasion(now))

    def _master_down(self, now: int) -> list[Action]:
        """The down timer has come to its end."""
        actions: list[Action] = []
        if self._handing_over:
            waited = (now - self._down_timer_started) // 1_000_000
            since = "its priority 0 advert" if self._down_timer_name == HANDOVER else "it began to wait"
            detail = f"not drained: no other router was heard within {waited} ms of {since}"
            self._drain, self._handing_over = None, False
            actions += self._report(DRAIN_REFUSED, detail)
        if self._drain is not None:
            detail = "no other router advertises, and this one is drained: the virtual addresses are nobody's"
            return [
                *self._report(DRAINED_WITHOUT_MASTER, detail),
                *self._advance(Event.MASTER_DOWN_TIMER_DRAINED, Occasion(now)),
            ]
        held = self._settings.sync_group
        return actions + self._advance(Event.MASTER_DOWN_TIMER_HELD if held else Event.MASTER_DOWN_TIMER, Occasion(now))

    # -- pauses --------------------------------------------------------------------------------------------------------

    def _stalled(self, event: Stalled, now: int) -> list[Action]:
        """A backup that has not listened for so long that it would have had to take over. A master mostly knows by
        itself how long it was silent; not when the machine, and its clock with it, was asleep."""
        if self._state is State.MASTER and now - self._last_sent < event.duration:
            self._last_sent = now - event.duration
            return self._notice_silence(now)
        if self._state is not State.BACKUP or event.duration <= self._master_down_interval():
            return []
        self._witness.stalled(event.duration, now)
        detail = f"stood still for {event.duration // 1_000_000} ms: waiting for the master once more"
        return [*self._report(STALLED, detail), *self._advance(Event.STALLED, Occasion(now))]

    def _notice_silence(self, now: int) -> list[Action]:
        """As MASTER: nothing was sent for longer than the others wait, so one of them may be master by now."""
        actions = super()._notice_silence(now)
        settings, silence = self._settings, now - self._last_sent
        if self._state is not State.MASTER or self._listening or settings.timer_expired_priority:
            return actions
        adverts = max(_FEWEST_ADVERTS, settings.down_timer_adverts)
        shortest = master_down_interval(settings.version, HIGHEST, settings.advert_interval, adverts)
        if silence <= shortest:
            return actions
        self._witness.stalled(silence, now)
        detail = f"no advert was sent for {silence // 1_000_000} ms: listening before the next one"
        return [*self._report(STALLED, detail), *self._advance(Event.STALLED, Occasion(now))]

    def _listened(self, now: int) -> list[Action]:
        """The time to hear who has taken over has passed."""
        self._listening = False
        detail = "no other router was heard after the pause: still master, addresses announced again"
        return [
            *self._report(STALL_OVER, detail, "info"),
            *self._advance(Event.ADVER_TIMER_AFTER_STALL, Occasion(now)),
        ]

    def _advert_is_late(self, now: int) -> list[Action]:
        """Before an advert: whether it is so late that backups begin to wonder."""
        late, interval = now - (self._adver_timer or now), self._settings.advert_interval
        if late <= interval // _LATE_SHARE:
            return []
        self._statistics["adverts_late"] += 1
        if now < self._late_quiet_until:
            return []
        self._late_quiet_until = now + _LATE_QUIET
        self._reported.discard(ADVERT_LATE)
        detail = f"an advert was sent {late / 1e6:.1f} ms late, of an interval of {interval // 1_000_000} ms"
        count = self._statistics["adverts_late"]
        return self._report(ADVERT_LATE, f"{detail}; adverts late so far: {count}")

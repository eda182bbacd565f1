"""What an advert means for an instance: which event of the state machine it is, and when silence decides.

The part of an instance that knows the rules of the election; `kactl_agent.vrrp.machine` follows the rows they lead to.
"""

from __future__ import annotations

from kactl_agent.vrrp.actions import Action, State
from kactl_agent.vrrp.fsm import Event
from kactl_agent.vrrp.machine import Occasion, StateMachine
from kactl_agent.vrrp.packet import Advert
from kactl_agent.vrrp.priority import OWNER, RESIGNING
from kactl_agent.vrrp.rivalry import Rival
from kactl_agent.vrrp.timers import master_down_interval


class Election(StateMachine):
    """Adverts to events. Times are ns."""

    def _classify(self, advert: Advert, source: bytes, now: int) -> Event:
        priority = advert.priority
        if priority == RESIGNING:
            self._statistics["priority_zero_received"] += 1
            return Event.ADVERT_PRIORITY_ZERO
        if priority > self._priority:
            return Event.ADVERT_HIGHER
        if self._listening and not (priority == self._priority and source > self._source):
            return Event.ADVERT_AFTER_STALL
        if self._rival_persists(advert, source, now):
            return Event.ADVERT_RIVAL_OWNER
        if priority == self._priority:  # addresses compare as unsigned integers in network byte order (RFC 9568 6.4.3)
            return Event.ADVERT_EQUAL_HIGHER_ADDRESS if source > self._source else Event.ADVERT_EQUAL_LOWER_ADDRESS
        if self._state is State.BACKUP:
            if self._drain is not None:  # it takes nobody's place
                return Event.ADVERT_LOWER_NOT_PREEMPTED
            if not (self._settings.preempt or self._owner):  # RFC 9568 6.1: the owner always preempts
                return Event.ADVERT_LOWER_NOT_PREEMPTED
            if self._settings.preempt_delay:
                if self._preempt_at is None:
                    self._preempt_at = now + self._settings.preempt_delay
                if now < self._preempt_at:
                    return Event.ADVERT_LOWER_NOT_PREEMPTED
        return Event.ADVERT_LOWER

    def _rival_persists(self, advert: Advert, source: bytes, now: int) -> bool:
        """Whether another owner with a lower address than ours has had its time to yield."""
        if self._state is not State.MASTER or not self._owner or advert.priority != OWNER or source >= self._source:
            return False
        if self._rival is None or self._rival.forgotten(now):
            self._rival = Rival(source, advert.advert_interval, now)
            return False
        return self._rival.source == source and self._rival.persists(now)

    def _reclaim_ownership(self, advert: Advert, source: bytes, now: int) -> list[Action]:
        """An owner that has yielded to another one is itself again when that one is not what it hears any more."""
        if self._state is not State.BACKUP or self._rival is None:
            return []
        if source == self._rival.source and advert.priority == OWNER:
            return []
        before, self._priority, self._rival = self._priority, OWNER, None
        return self._advance(Event.PRIORITY_CHANGED, Occasion(now, old_priority=before))

    def _notice_silence(self, now: int) -> list[Action]:
        """timer_expired_backup: nothing was done for longer than the others wait, so one of them is master by now."""
        settings = self._settings
        if self._state is not State.MASTER or not settings.timer_expired_priority:
            return []
        silence, interval = now - self._last_sent, settings.advert_interval
        if silence <= master_down_interval(settings.version, settings.timer_expired_priority, interval):
            return []
        detail = f"no advert was sent for {silence // 1_000_000} ms: another router must have taken over"
        return self._advance(Event.TIMER_EXPIRED, Occasion(now), "timer_expired", detail)

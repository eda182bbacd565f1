"""Carries out the table of `kactl_agent.vrrp.fsm`: the protocol's variables, its timers and the steps of a row.

`kactl_agent.vrrp.instance` turns packets and inputs into the events that are advanced here.
"""

from __future__ import annotations

from typing import NamedTuple

from kactl_agent.vrrp.actions import (
    Action,
    AddAddresses,
    AddRoutes,
    AddRules,
    Announce,
    Drain,
    InterfaceState,
    LowerPriorityReceived,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
    Report,
    State,
    Transition,
)
from kactl_agent.vrrp.auth_header import AuthenticationHeader
from kactl_agent.vrrp.auth_hmac import Authenticator
from kactl_agent.vrrp.evidence import Evidence, Witness
from kactl_agent.vrrp.fsm import TABLE, Event, Step
from kactl_agent.vrrp.gratuitous import GratuitousSchedule
from kactl_agent.vrrp.packet import Advert, Reason, text_of
from kactl_agent.vrrp.priority import HIGHEST, LOWEST, OWNER, RESIGNING, effective_priority
from kactl_agent.vrrp.rivalry import Rival
from kactl_agent.vrrp.settings import Family, VirtualAddress, VrrpSettings
from kactl_agent.vrrp.timers import master_down_interval, skew_time
from kactl_agent.vrrp.transmission import Transmission

_MOST_MASTERS = 16  # whose first advert in a state lets everything be reported again
_COUNTERS = (
    "adverts_received",
    "adverts_sent",
    "priority_zero_received",
    "priority_zero_sent",
    "became_master",
    "released_master",
    "own_address",
    "ignored_startup_delay",
    "ignored_owner",
    "action_failed",
    "adverts_late",
)
_NOTHING_COUNTED = dict.fromkeys((*_COUNTERS, *(reason.value for reason in Reason)), 0)
HANDOVER = "handover"
"""The name of the down timer within which another router has to take over from one that is drained."""
_METHODS = {step: f"_{step.value}" for step in Step}  # by name: bound ones would be 3 KiB an instance


class Occasion(NamedTuple):
    """What the steps of a row work on."""

    now: int
    advert: Advert | None = None
    source: bytes = b""
    old_priority: int = 0


class StateMachine:
    """State, timers and steps. Times are ns."""

    def __init__(self, settings: VrrpSettings) -> None:
        self._settings = settings
        self._owner = settings.priority == OWNER
        self._header: AuthenticationHeader | None = None
        self._authenticator: Authenticator | None = None
        self._clock_offset: int | None = None  # from `now` to Unix time
        self._set_up_authentication(settings)
        self._transmission = Transmission(settings, self._header, self._authenticator)
        self._gratuitous = GratuitousSchedule(settings.gratuitous, settings.addresses)
        self._state = State.INIT
        self._since = 0
        self._cause, self._detail = "", ""
        self._interface: InterfaceState | None = None
        self._faults: dict[str, str] = {}  # name -> sentence for an operator
        self._source = settings.source_address
        self._priority = settings.priority
        self._contributions: dict[str, int] = {}
        self._master, self._master_priority = b"", RESIGNING
        self._master_adver_interval = settings.advert_interval
        self._adver_timer: int | None = None
        self._down_timer: int | None = None
        self._down_timer_started = 0
        self._down_timer_name = ""  # what its length is called: master_down_interval, skew_time, ...
        self._resigned = b""  # who sent the priority 0 that the down timer follows
        self._lower: tuple[bytes, int] | None = None  # the master of lower priority that the down timer runs against
        self._preempt_at: int | None = None  # when preempt_delay ends
        self._listening_from = 0  # when startup_delay ends
        self._last_sent = 0  # when the last advert was sent
        self._wish: tuple[str, str] | None = None  # why it wants MASTER, while its sync group does not: cause, detail
        self._rival: Rival | None = None  # another owner that has to yield, or that we have yielded to
        self._drain: Drain | None = None
        self._handing_over = False  # drained on the condition that another router takes over, which has not happened
        self._listening = False  # MASTER after a pause: the next advert waits until others could be heard
        self._witness = Witness()
        self._timer_late = 0  # how long after its time the timer that is being handled was due
        self._reported: set[str] = set()
        self._masters: set[bytes] = set()  # accepted in this state
        self._statistics = _NOTHING_COUNTED.copy()

    def _set_up_authentication(self, settings: VrrpSettings) -> None:
        """Sequence numbers and marks outlive other keys."""
        if not settings.authentication_header:
            self._header = None
        elif self._header is None:
            self._header = AuthenticationHeader(settings.auth_password)
        else:
            self._header.set_password(settings.auth_password)
        if settings.auth_hmac is None:
            self._authenticator = None
        elif self._authenticator is None:
            self._authenticator = Authenticator(settings)
        else:
            self._authenticator.reconfigure(settings)

    def _adopt(self, settings: VrrpSettings, now: int) -> None:
        """Take other settings of the same virtual router; state, timers and what is known of the master stay."""
        old, self._settings = self._settings, settings
        demoted = self._owner and self._priority != OWNER
        self._owner = settings.priority == OWNER
        if not (self._owner and demoted):
            self._rival = None
            self._priority = effective_priority(settings.priority, self._contributions.values())
        if not settings.sync_group:  # nobody will fulfil it: the timer, which runs, decides
            self._wish = None
        self._set_up_authentication(settings)
        self._transmission = Transmission(settings, self._header, self._authenticator)
        self._gratuitous.reconfigure(settings.gratuitous, settings.addresses, now)
        if settings.preempt_delay != old.preempt_delay:
            self._preempt_at = None
        # what was learned of a master holds; nothing else was learned
        if settings.version == 2 or settings.version != old.version or not self._master:
            self._master_adver_interval = settings.advert_interval

    def _wall(self, now: int) -> int:
        """Unix time in ns; instances that need it do not work before it is known."""
        return now + (self._clock_offset or 0)

    def _advance(self, event: Event, occasion: Occasion, cause: str = "", detail: str = "") -> list[Action]:
        """Follow the row of `event`. Cause and detail are for a transition; adverts and timers explain themselves."""
        row = TABLE[self._state, event]
        old, evidence = self._state, None
        if row.next is not old:
            if not cause:
                cause, detail = self._explain(event, occasion)
            evidence = self._evidence(occasion.now)
            self._listening = False
            self._state = row.next
            self._since, self._cause, self._detail = occasion.now, cause, detail
            self._reported.clear()
            self._masters.clear()
            self._statistics["became_master"] += row.next is State.MASTER
            self._statistics["released_master"] += old is State.MASTER
        actions: list[Action] = []
        for step in row.steps:
            actions += getattr(self, _METHODS[step])(occasion) or ()
        if row.next is not old:
            master = self._source if row.next is State.MASTER else self._master
            actions.append(Transition(old, row.next, cause, detail, self._priority, master, evidence))
        return actions

    def _evidence(self, now: int) -> Evidence:
        """What is known before a transition changes it."""
        running = self._down_timer is not None
        length, age = self._witness.latest_stall(now)
        return Evidence(
            state_age=now - self._since if self._since else 0,
            heard=self._witness.adverts(now),
            discarded=self._witness.latest_discarded(now),
            timer=self._down_timer_name if running else "",
            timer_length=(self._down_timer or 0) - self._down_timer_started if running else 0,
            waited=now - self._down_timer_started if running else 0,
            late=self._timer_late,
            sent_age=now - self._last_sent if self._last_sent else None,
            interface=self._settings.interface,
            interface_up=None if self._interface is None else self._interface.exists and self._interface.up,
            configured_priority=self._settings.priority,
            contributions=tuple(self._contributions.items()),
            faults=tuple(self._faults.values()),
            drained=self._drain.reason if self._drain is not None else None,
            stalled=length,
            stalled_age=age,
        )

    def _explain(self, event: Event, occasion: Occasion) -> tuple[str, str]:
        """Cause and sentence of a transition that an advert or a timer brings about."""
        if event is Event.MASTER_DOWN_TIMER:
            return self._explain_timer(occasion.now)
        advert, source = occasion.advert, text_of(occasion.source)
        priority = advert.priority if advert else 0
        if event is Event.ADVERT_AFTER_STALL:
            pause = _seconds(self._witness.latest_stall(occasion.now)[0])
            detail = f"{source} advertises priority {priority}: it took over while this router stood still for {pause}"
            return event.value, detail
        if event is Event.ADVERT_EQUAL_HIGHER_ADDRESS:
            detail = f"{source} advertises our priority, {priority}, and has a higher address than ours, "
            return event.value, detail + text_of(self._source)
        if event is Event.ADVERT_RIVAL_OWNER:
            detail = "does not yield, though its address is lower than ours"
            return event.value, f"{source} also owns the addresses (priority 255) and {detail}, {text_of(self._source)}"
        return event.value, f"{source} advertises priority {priority}, ours is {self._priority}"

    def _explain_timer(self, now: int) -> tuple[str, str]:
        waited = f"{_seconds(now - self._down_timer_started)} ({self._down_timer_name})"
        if self._owner and not self._down_timer_name:
            return "startup_delay_over", "the owner of the addresses (priority 255) has waited for startup_delay"
        if self._down_timer_name == HANDOVER:
            return "drain_refused", f"no other router took over within {waited}"
        if self._lower:
            source, priority = self._lower
            detail = (
                f"{text_of(source)} advertises priority {priority}, lower than ours, {self._priority}; waited {waited}"
            )
            return "preempt_lower_priority", detail
        if self._resigned:
            return "master_resigned", f"{text_of(self._resigned)} resigned with a priority 0 advert; waited {waited}"
        heard = f"no advert from {text_of(self._master)}" if self._master else "no advert heard"
        return "master_down_timer", f"{heard} for {waited}"

    def _report(self, code: str, detail: str, level: str = "warning") -> list[Action]:
        """A report, once for each code until the state changes or another master is accepted."""
        if code in self._reported:
            return []
        self._reported.add(code)
        return [Report(code, detail, level)]

    # -- steps: sending ------------------------------------------------------------------------------------------------

    def _send_advert(self, occasion: Occasion) -> list[Action]:
        if self._header is not None and self._header.exhausted:
            return []  # Adver_Timer ends it
        self._statistics["adverts_sent"] += 1
        self._last_sent = occasion.now
        if self._rival is not None:
            self._rival.advert_sent(self._settings.advert_interval, occasion.now)
        return self._advert(self._priority, occasion.now)

    def _advert(self, priority: int, now: int) -> list[Action]:
        return list(self._transmission.advert(priority, self._source, self._wall(now)))

    def _send_last_advert(self, occasion: Occasion) -> list[Action]:
        return self._send_advert(occasion) if self._settings.higher_prio_send_advert else []

    def _send_answer(self, occasion: Occasion) -> list[Action]:
        return [] if self._settings.lower_prio_no_advert else self._send_advert(occasion)

    def _send_priority_zero(self, occasion: Occasion) -> list[Action]:
        interface = self._interface
        if not self._source or interface is None or not (interface.exists and interface.up):
            return []  # nothing could leave
        self._statistics["adverts_sent"] += 1
        self._statistics["priority_zero_sent"] += 1
        return self._advert(RESIGNING, occasion.now)

    def _demote_owner(self, _: Occasion) -> None:
        self._priority = HIGHEST

    def _restore_owner(self, _: Occasion) -> None:
        if self._owner:
            self._priority, self._rival = OWNER, None

    def _cycle_sequence(self, _: Occasion) -> None:
        if self._header is not None and self._header.exhausted:
            self._header.cycle()

    # -- steps: addresses, routes, rules -------------------------------------------------------------------------------

    def _add_addresses(self, _: Occasion) -> list[Action]:
        return [AddAddresses(self._settings.addresses)] if self._settings.addresses else []

    def _remove_addresses(self, _: Occasion) -> list[Action]:
        return [RemoveAddresses(self._settings.addresses)] if self._settings.addresses else []

    def _add_routes(self, _: Occasion) -> list[Action]:
        return [AddRoutes(self._settings.routes)] if self._settings.routes else []

    def _remove_routes(self, _: Occasion) -> list[Action]:
        return [RemoveRoutes(self._settings.routes)] if self._settings.routes else []

    def _add_rules(self, _: Occasion) -> list[Action]:
        return [AddRules(self._settings.rules)] if self._settings.rules else []

    def _remove_rules(self, _: Occasion) -> list[Action]:
        return [RemoveRules(self._settings.rules)] if self._settings.rules else []

    def _announce(self, occasion: Occasion) -> list[Action]:
        return list(self._gratuitous.start(occasion.now))

    def _announce_again(self, occasion: Occasion) -> list[Action]:
        return list(self._gratuitous.lower_priority(occasion.now))

    def _announce_source(self, _: Occasion) -> list[Action]:
        """keepalived: the peers of a unicast instance may have lost its address with the interface."""
        settings = self._settings
        if not settings.unicast_peers or settings.family is not Family.IPV4 or not settings.interface:
            return []
        return [Announce((VirtualAddress(self._source, 32, settings.interface),), 1)]

    def _cancel_announcements(self, _: Occasion) -> None:
        self._gratuitous.stop()

    # -- steps: timers -------------------------------------------------------------------------------------------------

    def _start_adver_timer(self, occasion: Occasion) -> None:
        self._adver_timer = occasion.now + self._settings.advert_interval

    def _continue_adver_timer(self, occasion: Occasion) -> None:
        interval = self._settings.advert_interval
        due = (self._adver_timer or occasion.now) + interval
        self._adver_timer = due if due > occasion.now else occasion.now + interval

    def _listen(self, occasion: Occasion) -> None:
        """Whoever took over meanwhile advertises once in this time, a quarter of it to spare."""
        interval = max(self._settings.advert_interval, self._master_adver_interval)
        self._adver_timer = occasion.now + interval + interval // 4
        self._listening = True

    def _cancel_adver_timer(self, _: Occasion) -> None:
        self._adver_timer = None

    def _set_down_timer(self, start: int, length: int, name: str) -> None:
        self._down_timer_started, self._down_timer, self._down_timer_name = start, start + length, name
        self._lower = None

    def _start_first_down_timer(self, occasion: Occasion) -> None:
        """keepalived: `state MASTER` waits one interval and the skew, the owner no longer than startup_delay."""
        start = max(occasion.now, self._listening_from)
        if self._owner and self._drain is None:
            self._set_down_timer(start, 0, "")
        elif self._settings.start_as_master:
            self._set_down_timer(start, self._master_down_interval(adverts=1), "state MASTER")
        else:
            self._set_down_timer(start, self._master_down_interval(), "master_down_interval")

    def _start_down_timer(self, occasion: Occasion) -> None:
        start = max(occasion.now, self._listening_from)
        self._resigned = b""
        if self._owner and start > occasion.now:
            self._set_down_timer(start, 0, "")
        else:
            self._set_down_timer(start, self._master_down_interval(), "master_down_interval")

    def _start_down_timer_skew(self, occasion: Occasion) -> None:
        length = skew_time(self._settings.version, self._priority, self._master_adver_interval)
        self._set_down_timer(occasion.now, length, "skew_time")

    def _start_down_timer_handover(self, occasion: Occasion) -> None:
        """The Skew_Time of the lowest priority (RFC 9568 6.4.2), within which a backup takes over, and an interval."""
        if not self._handing_over:
            self._start_down_timer(occasion)
            return
        interval = self._settings.advert_interval
        self._set_down_timer(occasion.now, skew_time(self._settings.version, LOWEST, interval) + interval, HANDOVER)

    def _shift_down_timer(self, occasion: Occasion) -> None:
        """Move the running timer by what the skew changes; one that is then late fires at once."""
        if self._down_timer is None:
            return
        version, interval = self._settings.version, self._master_adver_interval
        before, after = (skew_time(version, p, interval) for p in (occasion.old_priority, self._priority))
        self._down_timer += after - before

    def _cancel_down_timer(self, _: Occasion) -> None:
        self._down_timer = None

    def _master_down_interval(self, adverts: int | None = None) -> int:
        settings = self._settings
        count = settings.down_timer_adverts if adverts is None else adverts
        return master_down_interval(settings.version, self._priority, self._master_adver_interval, count)

    def _clear_preempt_delay(self, _: Occasion) -> None:
        self._preempt_at = None

    # -- steps: the master ---------------------------------------------------------------------------------------------

    def _use_own_interval(self, _: Occasion) -> None:
        self._master_adver_interval = self._settings.advert_interval

    def _learn_interval(self, occasion: Occasion) -> None:
        if occasion.advert is not None:  # VRRPv2 adverts with another interval than ours do not get here
            self._master_adver_interval = occasion.advert.advert_interval

    def _record_master(self, occasion: Occasion) -> None:
        if (
            occasion.source != self._master
            and occasion.source not in self._masters
            and len(self._masters) < _MOST_MASTERS
        ):
            # two that take turns are two masters, not a new one with each advert
            self._masters.add(occasion.source)
            self._reported.clear()
        self._master = occasion.source
        self._master_priority = occasion.advert.priority if occasion.advert else RESIGNING
        self._handing_over = False

    def _record_resignation(self, occasion: Occasion) -> None:
        self._resigned = occasion.source

    def _record_lower(self, occasion: Occasion) -> None:
        if occasion.advert is not None:
            self._lower = (occasion.source, occasion.advert.priority)

    def _tell_lower(self, occasion: Occasion) -> list[Action]:
        if occasion.advert is None:
            return []
        return [LowerPriorityReceived(occasion.source, occasion.advert.priority)]

    # -- steps: the sync group -----------------------------------------------------------------------------------------

    def _want_master(self, occasion: Occasion) -> None:
        self._wish = self._explain_timer(occasion.now)

    def _drop_wish(self, _: Occasion) -> None:
        self._wish = None

    def _forget_master(self, _: Occasion) -> None:
        self._master, self._master_priority, self._resigned = b"", RESIGNING, b""


def _seconds(ns: int) -> str:
    return f"{ns // 1_000_000_000}.{ns % 1_000_000_000 // 1_000_000:03d} s"

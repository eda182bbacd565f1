"""The VRRP state machine as a table: what an instance in a state does about an event, and what says so.

`TABLE` has a row for every pair of state and event. `kactl_agent.vrrp.instance` carries the steps of a row out, in
their order. RFC 9568 calls MASTER Active and INIT Initialize; FAULT is keepalived's.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from kactl_agent.vrrp.actions import State


class Event(Enum):
    """What happens to an instance, with everything that the choice of a row depends on."""

    STARTUP = "startup"
    STARTUP_OWNER = "startup_owner"  # priority 255
    STARTUP_FAULT = "startup_fault"  # something is wrong with the interface, or a tracker says so
    SHUTDOWN = "shutdown"
    MASTER_DOWN_TIMER = "master_down_timer"
    MASTER_DOWN_TIMER_HELD = "master_down_timer_held"  # in a sync group, which decides
    SYNC_MASTER = "sync_master"
    SYNC_BACKUP = "sync_backup"
    SYNC_ANNOUNCE = "sync_announce"
    ADVER_TIMER = "adver_timer"
    ADVERT_PRIORITY_ZERO = "advert_priority_zero"
    ADVERT_HIGHER = "advert_higher_priority"
    ADVERT_EQUAL_HIGHER_ADDRESS = "advert_equal_priority_higher_address"
    ADVERT_EQUAL_LOWER_ADDRESS = "advert_equal_priority_lower_address"
    ADVERT_LOWER = "advert_lower_priority"
    ADVERT_LOWER_NOT_PREEMPTED = "advert_lower_priority_not_preempted"  # nopreempt, or preempt_delay is running
    ADVERT_RIVAL_OWNER = "advert_rival_owner"  # another owner, of a lower address, that does not yield
    TIMER_EXPIRED = "timer_expired"  # a master was silent for so long that another must have taken over
    FAULT = "fault"  # the first reason for a fault appeared
    RECOVERY = "recovery"  # the last one went
    RECOVERY_OWNER = "recovery_owner"
    ADDRESS_LOST = "address_lost"  # or a route, or a rule
    SEQUENCE_EXHAUSTED = "sequence_exhausted"  # auth_type AH has no number left for another advert
    PRIORITY_CHANGED = "priority_changed"
    RECONFIGURED = "reconfigured"  # other settings; a backup has to wait another time for its master
    DRAIN = "drain"  # an operator takes it out of service
    UNDRAIN = "undrain"
    MASTER_DOWN_TIMER_DRAINED = "master_down_timer_drained"
    STALLED = "stalled"  # this process stood still for longer than others wait
    ADVER_TIMER_AFTER_STALL = "adver_timer_after_stall"  # nobody was heard since
    ADVERT_AFTER_STALL = "advert_after_stall"  # of a priority that does not make us yield, before that timer


class Step(Enum):
    """One thing an instance does when it follows a row."""

    SEND_ADVERT = "send_advert"
    SEND_LAST_ADVERT = "send_last_advert"  # with higher_prio_send_advert only
    SEND_ANSWER = "send_answer"  # not with lower_prio_no_advert
    SEND_PRIORITY_ZERO = "send_priority_zero"
    ADD_ADDRESSES = "add_addresses"
    REMOVE_ADDRESSES = "remove_addresses"
    ADD_ROUTES = "add_routes"
    REMOVE_ROUTES = "remove_routes"
    ADD_RULES = "add_rules"
    REMOVE_RULES = "remove_rules"
    ANNOUNCE = "announce"
    ANNOUNCE_AGAIN = "announce_again"  # garp_lower_prio_repeat
    ANNOUNCE_SOURCE = "announce_source"  # of a unicast instance over IPv4
    CANCEL_ANNOUNCEMENTS = "cancel_announcements"
    START_ADVER_TIMER = "start_adver_timer"
    CONTINUE_ADVER_TIMER = "continue_adver_timer"  # from when it was due, so that lateness does not add up
    CANCEL_ADVER_TIMER = "cancel_adver_timer"
    LISTEN = "listen"  # instead of the next advert
    START_FIRST_DOWN_TIMER = "start_first_down_timer"
    START_DOWN_TIMER = "start_down_timer"
    START_DOWN_TIMER_SKEW = "start_down_timer_skew"
    START_DOWN_TIMER_HANDOVER = "start_down_timer_handover"  # until another router must have taken over
    SHIFT_DOWN_TIMER = "shift_down_timer"
    CANCEL_DOWN_TIMER = "cancel_down_timer"
    USE_OWN_INTERVAL = "use_own_interval"
    LEARN_INTERVAL = "learn_interval"
    RECORD_MASTER = "record_master"
    RECORD_RESIGNATION = "record_resignation"
    RECORD_LOWER = "record_lower"
    FORGET_MASTER = "forget_master"
    CLEAR_PREEMPT_DELAY = "clear_preempt_delay"
    WANT_MASTER = "want_master"
    DROP_WISH = "drop_wish"
    TELL_LOWER = "tell_lower"
    DEMOTE_OWNER = "demote_owner"
    RESTORE_OWNER = "restore_owner"
    CYCLE_SEQUENCE = "cycle_sequence"  # of auth_type AH, when its numbers are used up


class Row(NamedTuple):
    """The state to go to, the steps on the way, and the section that demands it."""

    next: State
    steps: tuple[Step, ...]
    source: str


_INIT, _BACKUP, _MASTER, _FAULT = State.INIT, State.BACKUP, State.MASTER, State.FAULT

# keepalived: routes and then rules after the addresses, which they may refer to; gone in the opposite order
_TAKE_OVER = (Step.ADD_ADDRESSES, Step.ADD_ROUTES, Step.ADD_RULES)
_GIVE_UP = (Step.REMOVE_RULES, Step.REMOVE_ROUTES, Step.REMOVE_ADDRESSES)
_BECOME_MASTER = (
    Step.DROP_WISH,
    Step.RESTORE_OWNER,
    Step.CYCLE_SEQUENCE,
    Step.CANCEL_DOWN_TIMER,
    Step.CLEAR_PREEMPT_DELAY,
    Step.FORGET_MASTER,
    Step.USE_OWN_INTERVAL,
    Step.SEND_ADVERT,
    *_TAKE_OVER,
    Step.ANNOUNCE,
    Step.START_ADVER_TIMER,
)
_LEAVE_MASTER = (
    Step.CANCEL_ADVER_TIMER,
    Step.CANCEL_ANNOUNCEMENTS,
    *_GIVE_UP,
    Step.CLEAR_PREEMPT_DELAY,
)
_ACCEPT = (Step.DROP_WISH, Step.LEARN_INTERVAL, Step.RECORD_MASTER, Step.START_DOWN_TIMER)
_YIELD = (Step.SEND_LAST_ADVERT, *_LEAVE_MASTER, *_ACCEPT)
_ANSWER = (Step.SEND_ANSWER, Step.ANNOUNCE_AGAIN, Step.TELL_LOWER)
_RESIGN = (Step.SEND_PRIORITY_ZERO, *_LEAVE_MASTER)
_STAND_BY = (Step.USE_OWN_INTERVAL, Step.FORGET_MASTER, Step.CLEAR_PREEMPT_DELAY)

_NOT_STARTED = "RFC 9568 6.4.1: nothing but Startup concerns Initialize"
_STARTED = "RFC 9568 6.4: Startup concerns Initialize only"
_NO_TIMER_IN_INIT = "RFC 9568 6.2: no timer runs in Initialize"
_NO_ADVER_IN_BACKUP = "RFC 9568 6.2: Adver_Timer runs in Active only"
_NO_DOWN_IN_MASTER = "RFC 9568 6.2: Active_Down_Timer runs in Backup only"
_GROUP_ONLY = "keepalived sync groups: concerns backups and masters"
_MASTERS_ONLY = "keepalived: concerns masters only"
_DRAIN_REMEMBERED = "kactl drain: remembered until there is something to hand over or to hold"
_STALL_GUARD = "kactl: concerns masters and backups, whose timers mean something"
_FAULT_IS_DEAF = "keepalived FAULT: adverts change nothing until every fault is gone"

TABLE: dict[tuple[State, Event], Row] = {
    # Initialize. What a killed predecessor left on the machine goes first of all (keepalived).
    (_INIT, Event.STARTUP): Row(_BACKUP, (*_GIVE_UP, *_STAND_BY, Step.START_FIRST_DOWN_TIMER), "RFC 9568 6.4.1 (125)"),
    (_INIT, Event.STARTUP_OWNER): Row(_MASTER, _BECOME_MASTER, "RFC 9568 6.4.1 (110)"),
    (_INIT, Event.STARTUP_FAULT): Row(_FAULT, (*_GIVE_UP, *_STAND_BY), "keepalived FAULT at start"),
    (_INIT, Event.SHUTDOWN): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.MASTER_DOWN_TIMER): Row(_INIT, (), _NO_TIMER_IN_INIT),
    (_INIT, Event.ADVER_TIMER): Row(_INIT, (), _NO_TIMER_IN_INIT),
    (_INIT, Event.ADVERT_PRIORITY_ZERO): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.ADVERT_HIGHER): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.ADVERT_EQUAL_HIGHER_ADDRESS): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.ADVERT_EQUAL_LOWER_ADDRESS): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.ADVERT_LOWER): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.ADVERT_LOWER_NOT_PREEMPTED): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.FAULT): Row(_INIT, (), "remembered for Startup"),
    (_INIT, Event.RECOVERY): Row(_INIT, (), "remembered for Startup"),
    (_INIT, Event.RECOVERY_OWNER): Row(_INIT, (), "remembered for Startup"),
    (_INIT, Event.ADDRESS_LOST): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.PRIORITY_CHANGED): Row(_INIT, (), "remembered for Startup"),
    (_INIT, Event.SEQUENCE_EXHAUSTED): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.MASTER_DOWN_TIMER_HELD): Row(_INIT, (), _NO_TIMER_IN_INIT),
    (_INIT, Event.SYNC_MASTER): Row(_INIT, (), _GROUP_ONLY),
    (_INIT, Event.SYNC_BACKUP): Row(_INIT, (), _GROUP_ONLY),
    (_INIT, Event.SYNC_ANNOUNCE): Row(_INIT, (), _GROUP_ONLY),
    (_INIT, Event.RECONFIGURED): Row(_INIT, (), "remembered for Startup"),
    (_INIT, Event.ADVERT_RIVAL_OWNER): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.TIMER_EXPIRED): Row(_INIT, (), _NOT_STARTED),
    (_INIT, Event.DRAIN): Row(_INIT, (), _DRAIN_REMEMBERED),
    (_INIT, Event.UNDRAIN): Row(_INIT, (), _DRAIN_REMEMBERED),
    (_INIT, Event.MASTER_DOWN_TIMER_DRAINED): Row(_INIT, (), _NO_TIMER_IN_INIT),
    (_INIT, Event.STALLED): Row(_INIT, (), _STALL_GUARD),
    (_INIT, Event.ADVER_TIMER_AFTER_STALL): Row(_INIT, (), _NO_TIMER_IN_INIT),
    (_INIT, Event.ADVERT_AFTER_STALL): Row(_INIT, (), _NOT_STARTED),
    # Backup
    (_BACKUP, Event.STARTUP): Row(_BACKUP, (), _STARTED),
    (_BACKUP, Event.STARTUP_OWNER): Row(_BACKUP, (), _STARTED),
    (_BACKUP, Event.STARTUP_FAULT): Row(_BACKUP, (), _STARTED),
    (_BACKUP, Event.SHUTDOWN): Row(
        _INIT,
        (Step.CANCEL_DOWN_TIMER, Step.CLEAR_PREEMPT_DELAY, Step.FORGET_MASTER, Step.DROP_WISH),
        "RFC 9568 6.4.2 Shutdown",
    ),
    (_BACKUP, Event.MASTER_DOWN_TIMER): Row(_MASTER, _BECOME_MASTER, "RFC 9568 6.4.2 Active_Down_Timer"),
    (_BACKUP, Event.ADVER_TIMER): Row(_BACKUP, (), _NO_ADVER_IN_BACKUP),
    (_BACKUP, Event.ADVERT_PRIORITY_ZERO): Row(
        _BACKUP, (Step.RECORD_RESIGNATION, Step.START_DOWN_TIMER_SKEW), "RFC 9568 6.4.2 ADVERTISEMENT, priority 0"
    ),
    (_BACKUP, Event.ADVERT_HIGHER): Row(
        _BACKUP, (*_ACCEPT, Step.CLEAR_PREEMPT_DELAY), "RFC 9568 6.4.2 ADVERTISEMENT, priority >= local"
    ),
    (_BACKUP, Event.ADVERT_EQUAL_HIGHER_ADDRESS): Row(
        _BACKUP, (*_ACCEPT, Step.CLEAR_PREEMPT_DELAY), "RFC 9568 6.4.2 ADVERTISEMENT, priority >= local"
    ),
    (_BACKUP, Event.ADVERT_EQUAL_LOWER_ADDRESS): Row(
        _BACKUP, (*_ACCEPT, Step.CLEAR_PREEMPT_DELAY), "RFC 9568 6.4.2 ADVERTISEMENT, priority >= local"
    ),
    (_BACKUP, Event.ADVERT_LOWER): Row(
        _BACKUP,
        (Step.RECORD_LOWER,),
        "RFC 9568 6.4.2 ADVERTISEMENT, priority < local: discard, the timer keeps running",
    ),
    (_BACKUP, Event.ADVERT_LOWER_NOT_PREEMPTED): Row(
        _BACKUP, _ACCEPT, "RFC 9568 6.4.2 ADVERTISEMENT, Preempt_Mode False; keepalived preempt_delay"
    ),
    (_BACKUP, Event.FAULT): Row(
        _FAULT,
        (Step.CANCEL_DOWN_TIMER, Step.CLEAR_PREEMPT_DELAY, Step.FORGET_MASTER, Step.DROP_WISH),
        "keepalived FAULT",
    ),
    (_BACKUP, Event.RECOVERY): Row(_BACKUP, (), "keepalived FAULT: there was no fault"),
    (_BACKUP, Event.RECOVERY_OWNER): Row(_BACKUP, (), "keepalived FAULT: there was no fault"),
    (_BACKUP, Event.ADDRESS_LOST): Row(_BACKUP, (), "a backup holds no address that it could lose"),
    (_BACKUP, Event.PRIORITY_CHANGED): Row(
        _BACKUP, (Step.SHIFT_DOWN_TIMER,), "RFC 9568 6.1 Skew_Time; keepalived moves the running timer"
    ),
    (_BACKUP, Event.SEQUENCE_EXHAUSTED): Row(_BACKUP, (), "a backup sends nothing; the numbers start anew with MASTER"),
    (_BACKUP, Event.ADVERT_RIVAL_OWNER): Row(_BACKUP, (), _MASTERS_ONLY),
    (_BACKUP, Event.TIMER_EXPIRED): Row(_BACKUP, (), _MASTERS_ONLY),
    (_BACKUP, Event.MASTER_DOWN_TIMER_HELD): Row(
        _BACKUP,
        (Step.WANT_MASTER, Step.START_DOWN_TIMER),
        "keepalived sync groups: held in BACKUP, wanting MASTER, until every member wants it",
    ),
    (_BACKUP, Event.SYNC_MASTER): Row(_MASTER, _BECOME_MASTER, "keepalived sync groups: all to MASTER"),
    (_BACKUP, Event.SYNC_BACKUP): Row(_BACKUP, (Step.DROP_WISH,), "keepalived sync groups: all to BACKUP"),
    (_BACKUP, Event.SYNC_ANNOUNCE): Row(_BACKUP, (), _MASTERS_ONLY),
    (_BACKUP, Event.RECONFIGURED): Row(
        _BACKUP, (Step.START_DOWN_TIMER,), "the whole new Master_Down_Interval: the master may not know of it yet"
    ),
    (_BACKUP, Event.DRAIN): Row(_BACKUP, (Step.DROP_WISH,), "kactl drain: nothing to hand over"),
    (_BACKUP, Event.UNDRAIN): Row(
        _BACKUP, (Step.START_DOWN_TIMER,), "as after FAULT: BACKUP with a full Master_Down_Interval"
    ),
    (_BACKUP, Event.MASTER_DOWN_TIMER_DRAINED): Row(
        _BACKUP, (Step.FORGET_MASTER, Step.START_DOWN_TIMER), "kactl drain: held in BACKUP, whoever is silent"
    ),
    (_BACKUP, Event.STALLED): Row(
        _BACKUP, (Step.START_DOWN_TIMER,), "kactl: who did not listen must not conclude from silence (RFC 9568 6.4.2)"
    ),
    (_BACKUP, Event.ADVER_TIMER_AFTER_STALL): Row(_BACKUP, (), _NO_ADVER_IN_BACKUP),
    (_BACKUP, Event.ADVERT_AFTER_STALL): Row(_BACKUP, (), _MASTERS_ONLY),
    # Master (Active)
    (_MASTER, Event.STARTUP): Row(_MASTER, (), _STARTED),
    (_MASTER, Event.STARTUP_OWNER): Row(_MASTER, (), _STARTED),
    (_MASTER, Event.STARTUP_FAULT): Row(_MASTER, (), _STARTED),
    (_MASTER, Event.SHUTDOWN): Row(_INIT, _RESIGN, "RFC 9568 6.4.3 Shutdown"),
    (_MASTER, Event.MASTER_DOWN_TIMER): Row(_MASTER, (), _NO_DOWN_IN_MASTER),
    (_MASTER, Event.ADVER_TIMER): Row(
        _MASTER, (Step.SEND_ADVERT, Step.CONTINUE_ADVER_TIMER), "RFC 9568 6.4.3 Adver_Timer"
    ),
    (_MASTER, Event.ADVERT_PRIORITY_ZERO): Row(
        _MASTER, (Step.SEND_ADVERT, Step.START_ADVER_TIMER), "RFC 9568 6.4.3 ADVERTISEMENT, priority 0"
    ),
    (_MASTER, Event.ADVERT_HIGHER): Row(_BACKUP, _YIELD, "RFC 9568 6.4.3 ADVERTISEMENT, priority > local"),
    (_MASTER, Event.ADVERT_EQUAL_HIGHER_ADDRESS): Row(
        _BACKUP, _YIELD, "RFC 9568 6.4.3 ADVERTISEMENT, equal priority, greater address; erratum 8298 for two owners"
    ),
    (_MASTER, Event.ADVERT_EQUAL_LOWER_ADDRESS): Row(
        _MASTER, _ANSWER, "RFC 9568 6.4.3 ADVERTISEMENT, otherwise: advert at once, Adver_Timer untouched"
    ),
    (_MASTER, Event.ADVERT_LOWER): Row(
        _MASTER, _ANSWER, "RFC 9568 6.4.3 ADVERTISEMENT, otherwise: advert at once, Adver_Timer untouched"
    ),
    (_MASTER, Event.ADVERT_LOWER_NOT_PREEMPTED): Row(
        _MASTER, _ANSWER, "RFC 9568 6.4.3 ADVERTISEMENT, otherwise: Preempt_Mode does not count in Active"
    ),
    (_MASTER, Event.FAULT): Row(_FAULT, _RESIGN, "keepalived FAULT: priority 0 first where it can still be sent"),
    (_MASTER, Event.RECOVERY): Row(_MASTER, (), "keepalived FAULT: there was no fault"),
    (_MASTER, Event.RECOVERY_OWNER): Row(_MASTER, (), "keepalived FAULT: there was no fault"),
    (_MASTER, Event.ADDRESS_LOST): Row(
        _BACKUP,
        (*_RESIGN, Step.FORGET_MASTER, Step.START_DOWN_TIMER_SKEW),
        "keepalived: a deleted virtual address, route or rule; back after Skew_Time unless another router takes over",
    ),
    (_MASTER, Event.PRIORITY_CHANGED): Row(_MASTER, (), "keepalived: the next advert carries it"),
    (_MASTER, Event.SEQUENCE_EXHAUSTED): Row(
        _BACKUP,
        (*_RESIGN, Step.CYCLE_SEQUENCE, *_STAND_BY, Step.START_DOWN_TIMER),
        "RFC 2402 3.3.2: a sequence number is never used again; keepalived: stops being master",
    ),
    (_MASTER, Event.ADVERT_RIVAL_OWNER): Row(
        _BACKUP,
        (Step.DEMOTE_OWNER, *_YIELD),
        "erratum 8298 leaves it to the addresses; keepalived yields with 254 to one that does not follow",
    ),
    (_MASTER, Event.TIMER_EXPIRED): Row(
        _BACKUP,
        (*_LEAVE_MASTER, *_STAND_BY, Step.START_DOWN_TIMER),
        "keepalived timer_expired_backup; no priority 0, which would take the new master's place from it",
    ),
    (_MASTER, Event.MASTER_DOWN_TIMER_HELD): Row(_MASTER, (), _NO_DOWN_IN_MASTER),
    (_MASTER, Event.SYNC_MASTER): Row(_MASTER, (), "keepalived sync groups: it is there already"),
    (_MASTER, Event.SYNC_BACKUP): Row(
        _BACKUP,
        (*_LEAVE_MASTER, *_STAND_BY, Step.START_DOWN_TIMER),
        "keepalived sync groups: any member to BACKUP takes all there; priority 0 is for faults",
    ),
    (_MASTER, Event.SYNC_ANNOUNCE): Row(
        _MASTER, (Step.ANNOUNCE_AGAIN,), "keepalived garp_lower_prio_repeat: for the other members of the group too"
    ),
    (_MASTER, Event.RECONFIGURED): Row(
        _MASTER,
        (Step.SEND_ADVERT, Step.START_ADVER_TIMER),
        "keepalived: masters advertise at a reload; with a longer interval, before the backups stop waiting",
    ),
    (_MASTER, Event.DRAIN): Row(
        _BACKUP,
        (*_RESIGN, *_STAND_BY, Step.START_DOWN_TIMER_HANDOVER),
        "kactl drain: hands over as RFC 9568 6.4.3 Shutdown does, and stays",
    ),
    (_MASTER, Event.UNDRAIN): Row(_MASTER, (), "kactl drain: a master is not drained"),
    (_MASTER, Event.MASTER_DOWN_TIMER_DRAINED): Row(_MASTER, (), _NO_DOWN_IN_MASTER),
    (_MASTER, Event.STALLED): Row(
        _MASTER,
        (Step.CANCEL_ANNOUNCEMENTS, Step.LISTEN),
        "kactl: after Master_Down_Interval another may be master: listen before speaking",
    ),
    (_MASTER, Event.ADVER_TIMER_AFTER_STALL): Row(
        _MASTER,
        (Step.SEND_ADVERT, Step.ANNOUNCE, Step.START_ADVER_TIMER),
        "kactl: still master; switches may have learned otherwise meanwhile",
    ),
    (_MASTER, Event.ADVERT_AFTER_STALL): Row(
        _BACKUP,
        (*_LEAVE_MASTER, *_STAND_BY, Step.START_DOWN_TIMER),
        "kactl: it has taken over; back by the rules of preemption. No priority 0, which would take its place from it",
    ),
    # Fault
    (_FAULT, Event.STARTUP): Row(_FAULT, (), _STARTED),
    (_FAULT, Event.STARTUP_OWNER): Row(_FAULT, (), _STARTED),
    (_FAULT, Event.STARTUP_FAULT): Row(_FAULT, (), _STARTED),
    (_FAULT, Event.SHUTDOWN): Row(_INIT, (), "keepalived: no address and no mastership to give up"),
    (_FAULT, Event.MASTER_DOWN_TIMER): Row(_FAULT, (), "keepalived FAULT: no timer runs"),
    (_FAULT, Event.ADVER_TIMER): Row(_FAULT, (), "keepalived FAULT: no timer runs"),
    (_FAULT, Event.ADVERT_PRIORITY_ZERO): Row(_FAULT, (), _FAULT_IS_DEAF),
    (_FAULT, Event.ADVERT_HIGHER): Row(_FAULT, (), _FAULT_IS_DEAF),
    (_FAULT, Event.ADVERT_EQUAL_HIGHER_ADDRESS): Row(_FAULT, (), _FAULT_IS_DEAF),
    (_FAULT, Event.ADVERT_EQUAL_LOWER_ADDRESS): Row(_FAULT, (), _FAULT_IS_DEAF),
    (_FAULT, Event.ADVERT_LOWER): Row(_FAULT, (), _FAULT_IS_DEAF),
    (_FAULT, Event.ADVERT_LOWER_NOT_PREEMPTED): Row(_FAULT, (), _FAULT_IS_DEAF),
    (_FAULT, Event.FAULT): Row(_FAULT, (), "keepalived FAULT: reasons are counted one by one"),
    (_FAULT, Event.RECOVERY): Row(
        _BACKUP,
        (*_STAND_BY, Step.ANNOUNCE_SOURCE, Step.START_DOWN_TIMER),
        "keepalived: BACKUP with a full Master_Down_Interval",
    ),
    (_FAULT, Event.RECOVERY_OWNER): Row(
        _MASTER,
        (Step.ANNOUNCE_SOURCE, *_BECOME_MASTER),
        "RFC 9568 6.4.1 (110), as after Startup; keepalived 2.2.7 waits",
    ),
    (_FAULT, Event.ADDRESS_LOST): Row(_FAULT, (), "no address is held in FAULT"),
    (_FAULT, Event.PRIORITY_CHANGED): Row(_FAULT, (), "remembered for the recovery"),
    (_FAULT, Event.SEQUENCE_EXHAUSTED): Row(_FAULT, (), "nothing is sent in FAULT"),
    (_FAULT, Event.ADVERT_RIVAL_OWNER): Row(_FAULT, (), _FAULT_IS_DEAF),
    (_FAULT, Event.MASTER_DOWN_TIMER_HELD): Row(_FAULT, (), "keepalived FAULT: no timer runs"),
    (_FAULT, Event.SYNC_MASTER): Row(_FAULT, (), _GROUP_ONLY),
    (_FAULT, Event.SYNC_BACKUP): Row(_FAULT, (), _GROUP_ONLY),
    (_FAULT, Event.SYNC_ANNOUNCE): Row(_FAULT, (), _MASTERS_ONLY),
    (_FAULT, Event.RECONFIGURED): Row(_FAULT, (), "remembered for the recovery"),
    (_FAULT, Event.TIMER_EXPIRED): Row(_FAULT, (), _MASTERS_ONLY),
    (_FAULT, Event.DRAIN): Row(_FAULT, (), _DRAIN_REMEMBERED),
    (_FAULT, Event.UNDRAIN): Row(_FAULT, (), _DRAIN_REMEMBERED),
    (_FAULT, Event.MASTER_DOWN_TIMER_DRAINED): Row(_FAULT, (), "keepalived FAULT: no timer runs"),
    (_FAULT, Event.STALLED): Row(_FAULT, (), _STALL_GUARD),
    (_FAULT, Event.ADVER_TIMER_AFTER_STALL): Row(_FAULT, (), "keepalived FAULT: no timer runs"),
    (_FAULT, Event.ADVERT_AFTER_STALL): Row(_FAULT, (), _FAULT_IS_DEAF),
}

"""The BFD state machine as a table: RFC 5880 6.2 and 6.8.6, and what else changes the state.

`TABLE` has a row for every pair of state and event. `diagnostic` None leaves bfd.LocalDiag as it is (also on the way
up: erratum 7240).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from kactl_agent.bfd.packet import Diagnostic, State


class Event(Enum):
    RECEIVED_ADMIN_DOWN = "received_admin_down"
    RECEIVED_DOWN = "received_down"
    RECEIVED_INIT = "received_init"
    RECEIVED_UP = "received_up"
    DETECTION_TIME_EXPIRED = "detection_time_expired"
    ECHO_FAILED = "echo_failed"
    FORWARDING_PLANE_RESET = "forwarding_plane_reset"
    DISABLE = "disable"
    ENABLE = "enable"


class Row(NamedTuple):
    next: State
    source: str
    diagnostic: Diagnostic | None = None


RECEIVED = {
    State.ADMIN_DOWN: Event.RECEIVED_ADMIN_DOWN,
    State.DOWN: Event.RECEIVED_DOWN,
    State.INIT: Event.RECEIVED_INIT,
    State.UP: Event.RECEIVED_UP,
}

_A, _D, _I, _U = State.ADMIN_DOWN, State.DOWN, State.INIT, State.UP
_RECEPTION, _DETECTION, _ECHO = "RFC 5880 6.8.6", "RFC 5880 6.8.4", "RFC 5880 6.8.5"
_RESET, _ADMIN = "RFC 5880 6.8.15", "RFC 5880 6.8.16"
_SIGNALED = Diagnostic.NEIGHBOR_SIGNALED_DOWN
_EXPIRED = Diagnostic.DETECTION_TIME_EXPIRED
_FAILED = Diagnostic.ECHO_FAILED
_PLANE = Diagnostic.FORWARDING_PLANE_RESET
_DISABLED = Diagnostic.ADMINISTRATIVELY_DOWN

TABLE: dict[tuple[State, Event], Row] = {
    (_A, Event.RECEIVED_ADMIN_DOWN): Row(_A, _RECEPTION),
    (_A, Event.RECEIVED_DOWN): Row(_A, _RECEPTION),
    (_A, Event.RECEIVED_INIT): Row(_A, _RECEPTION),
    (_A, Event.RECEIVED_UP): Row(_A, _RECEPTION),
    (_A, Event.DETECTION_TIME_EXPIRED): Row(_A, _DETECTION),
    (_A, Event.ECHO_FAILED): Row(_A, _ECHO),
    (_A, Event.FORWARDING_PLANE_RESET): Row(_A, _RESET),
    (_A, Event.DISABLE): Row(_A, _ADMIN, _DISABLED),
    (_A, Event.ENABLE): Row(_D, _ADMIN),
    (_D, Event.RECEIVED_ADMIN_DOWN): Row(_D, _RECEPTION),
    (_D, Event.RECEIVED_DOWN): Row(_I, _RECEPTION),
    (_D, Event.RECEIVED_INIT): Row(_U, _RECEPTION),
    (_D, Event.RECEIVED_UP): Row(_D, _RECEPTION),
    (_D, Event.DETECTION_TIME_EXPIRED): Row(_D, _DETECTION),  # the diagnostic says why it went Down first
    (_D, Event.ECHO_FAILED): Row(_D, _ECHO),
    (_D, Event.FORWARDING_PLANE_RESET): Row(_D, _RESET, _PLANE),
    (_D, Event.DISABLE): Row(_A, _ADMIN, _DISABLED),
    (_D, Event.ENABLE): Row(_D, _ADMIN),
    (_I, Event.RECEIVED_ADMIN_DOWN): Row(_D, _RECEPTION, _SIGNALED),
    (_I, Event.RECEIVED_DOWN): Row(_I, _RECEPTION),
    (_I, Event.RECEIVED_INIT): Row(_U, _RECEPTION),
    (_I, Event.RECEIVED_UP): Row(_U, _RECEPTION),
    (_I, Event.DETECTION_TIME_EXPIRED): Row(_D, _DETECTION, _EXPIRED),
    (_I, Event.ECHO_FAILED): Row(_I, _ECHO),
    (_I, Event.FORWARDING_PLANE_RESET): Row(_D, _RESET, _PLANE),
    (_I, Event.DISABLE): Row(_A, _ADMIN, _DISABLED),
    (_I, Event.ENABLE): Row(_I, _ADMIN),
    (_U, Event.RECEIVED_ADMIN_DOWN): Row(_D, _RECEPTION, _SIGNALED),
    (_U, Event.RECEIVED_DOWN): Row(_D, _RECEPTION, _SIGNALED),
    (_U, Event.RECEIVED_INIT): Row(_U, _RECEPTION),
    (_U, Event.RECEIVED_UP): Row(_U, _RECEPTION),
    (_U, Event.DETECTION_TIME_EXPIRED): Row(_D, _DETECTION, _EXPIRED),
    (_U, Event.ECHO_FAILED): Row(_D, _ECHO, _FAILED),
    (_U, Event.FORWARDING_PLANE_RESET): Row(_D, _RESET, _PLANE),
    (_U, Event.DISABLE): Row(_A, _ADMIN, _DISABLED),
    (_U, Event.ENABLE): Row(_U, _ADMIN),
}

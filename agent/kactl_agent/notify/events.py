"""What an event is worth telling: scripts with their arguments, lines for the FIFOs, a mail. As keepalived does it.

The order in which an event is told is that of the members of `Notification`: the script of the event, the generic
script, the line, the mail.
"""

from __future__ import annotations

from typing import NamedTuple

from kactl_agent.notify.settings import ItemNotify
from kactl_agent.tracking.settings import Command

MASTER, BACKUP, FAULT, STOP, DELETED = "MASTER", "BACKUP", "FAULT", "STOP", "DELETED"
_NO_LONGER = "=> VRRP Instance is no longer owning VRRP VIPs <="
_INSTANCE_MAILS = {
    MASTER: ("Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <="),
    BACKUP: ("Entering BACKUP state", _NO_LONGER),
    FAULT: ("Entering FAULT state", _NO_LONGER),
    STOP: ("Stopping", "=> VRRP Instance stopping <="),
    DELETED: ("Deleted", "=> VRRP Deleted at reload <="),
}
_GROUP_MAILS = {
    MASTER: ("Entering MASTER state", "=> All VRRP group instances are now in MASTER state <="),
    BACKUP: ("Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <="),
    FAULT: ("Entering FAULT state", "=> All VRRP group instances are now in FAULT state <="),
    STOP: ("Stopping", "=> All VRRP group instances are now stopping <="),
}
SILENT = ItemNotify()  # nothing but FIFO lines


class ScriptCall(NamedTuple):
    """A command, and what is said to it behind its own arguments."""

    command: Command
    arguments: tuple[str, ...] = ()


class Mail(NamedTuple):
    """`subject` comes behind `[router_id] `."""

    subject: str
    body: str


class Notification(NamedTuple):
    """All there is to tell about one event. Scripts of one `queue` run one after the other, in order."""

    queue: str
    scripts: tuple[ScriptCall, ...] = ()
    lines: tuple[str, ...] = ()  # without an end of line
    mail: Mail | None = None


# -- VRRP --------------------------------------------------------------------------------------------------------------


def instance_event(
    item: ItemNotify, name: str, state: str, priority: int, *, removed: bool = False, fault_mails: bool = True
) -> Notification:
    """A vrrp_instance enters MASTER, BACKUP or FAULT, or is at its end: STOP.

    With `removed` a reload takes it away, whatever `state` says: that is DELETED where notify_deleted is said, and else
    told as FAULT, but for notify_fault (keepalived 2.2.7).
    """
    if removed:
        state = DELETED if item.deleted else FAULT
    own = () if removed and not item.deleted else _scripts(item, f"notify_{state.lower()}")
    arguments = ("INSTANCE", name, state, str(priority))
    subject, body = _INSTANCE_MAILS[state]
    wanted = item.mail and (fault_mails or state != FAULT)
    return Notification(
        queue=f"vrrp_instance {name}",
        scripts=(*own, *_scripts(item, "notify", arguments)),
        lines=(_vrrp_line("INSTANCE", name, state, priority),),
        mail=Mail(f"VRRP Instance {name} - {subject}", body) if wanted else None,
    )


def group_event(item: ItemNotify, name: str, state: str, *, fault_mails: bool = True) -> Notification:
    """A vrrp_sync_group enters MASTER, BACKUP or FAULT, or is at its end: STOP. Its priority is always told as 0."""
    subject, body = _GROUP_MAILS[state]
    wanted = item.mail and (fault_mails or state != FAULT)
    return Notification(
        queue=f"vrrp_sync_group {name}",
        scripts=(*_scripts(item, f"notify_{state.lower()}"), *_scripts(item, "notify", ("GROUP", name, state, "0"))),
        lines=(_vrrp_line("GROUP", name, state, 0),),
        mail=Mail(f"VRRP Group {name} - {subject}", body) if wanted else None,
    )


def lower_priority_event(item: ItemNotify, name: str, priority: int) -> Notification:
    """As MASTER, an instance has heard a lower priority (notify_master_rx_lower_pri)."""
    return Notification(
        queue=f"vrrp_instance {name}",
        scripts=_scripts(item, "notify_master_rx_lower_pri"),
        lines=(_vrrp_line("INSTANCE", name, "MASTER_RX_LOWER_PRI", priority),),
    )


def priority_event(name: str, state: str, priority: int) -> Notification | None:
    """The effective priority of an instance has changed; told of masters and backups, in lines alone
    (notify_priority_changes)."""
    if state not in (MASTER, BACKUP):
        return None
    line = _vrrp_line("INSTANCE", name, f"{state}_PRIORITY", priority)
    return Notification(queue=f"vrrp_instance {name}", lines=(line,))


def state_line(kind: str, name: str, state: str, priority: int) -> str:
    """The line alone: fifo_write_vrrp_states_on_reload. `kind` is INSTANCE or GROUP."""
    return _vrrp_line(kind, name, state, priority)


def _vrrp_line(kind: str, name: str, state: str, priority: int) -> str:
    return f'{kind} "{name}" {state} {priority}'


def _scripts(item: ItemNotify, keyword: str, arguments: tuple[str, ...] = ()) -> tuple[ScriptCall, ...]:
    command = item.scripts.get(keyword)
    return () if command is None else (ScriptCall(command, arguments),)


# -- servers -----------------------------------------------------------------------------------------------------------


def quorum_event(
    virtual_server: str, up: bool, script: Command | None = None, *, mail: bool = False, body: str = ""
) -> Notification:
    """A virtual server has gained or lost its quorum (quorum_up, quorum_down).

    `virtual_server` is `[192.0.2.1]:tcp:80`, `FWM 7` or `[group]:0`; `body` is of `quorum_body`.
    """
    word = "UP" if up else "DOWN"
    return Notification(
        queue=f"virtual_server {virtual_server}",
        scripts=() if script is None else (ScriptCall(script),),
        lines=(f"VS {virtual_server} {word}",),
        mail=Mail(f"Virtualserver {virtual_server} - {word}", body) if mail else None,
    )


def server_event(
    real_server: str,
    virtual_server: str,
    up: bool,
    script: Command | None = None,
    *,
    mail: bool = False,
    body: str = "",
) -> Notification:
    """A real server is up or down (notify_up, notify_down). `real_server` is `[10.0.0.1]:tcp:80`; `body` says what the
    checker that decided it found: `=> TCP CHECK failed on service <=`."""
    word = "UP" if up else "DOWN"
    return Notification(
        queue=f"real_server {real_server} of {virtual_server}",
        scripts=() if script is None else (ScriptCall(script),),
        lines=(f"RS {real_server} {virtual_server} {word}",),
        mail=Mail(f"Realserver {real_server} of virtual server {virtual_server} - {word}", body) if mail else None,
    )


def quorum_body(up: bool, quorum: int, hysteresis: int, weight: int, *, starting: bool = False) -> str:
    """Body of a mail about a quorum: what it takes, with the hysteresis that counts in this direction, and the weight
    there is. The signs are the same for both directions, as keepalived writes them."""
    direction = "up" if up else "down"
    what = f"Starting with quorum {direction}" if starting else "Gained quorum" if up else "Lost quorum"
    needed = quorum + hysteresis if up else quorum - hysteresis
    return f"=> {what} {quorum}+{hysteresis}={needed} <= {weight} <="

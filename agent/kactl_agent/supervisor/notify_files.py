"""Notifications made ready for this machine: scripts and who runs them, owners of FIFOs, the address of the mail relay.

Part of loading a configuration: it looks at users, files and names, in a process that ends thereafter.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
from ipaddress import ip_address
from typing import NamedTuple

import msgspec

from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.notify import FifoWish, NotifyWishes
from kactl_agent.notify.settings import (
    FifoSettings,
    ItemNotify,
    MailSettings,
    OwnScript,
    Recipient,
    SupervisorNotify,
    VrrpNotify,
)
from kactl_agent.supervisor.script_files import ScriptPreparer
from kactl_agent.tracking.settings import Command, Executable

_VRRP_FIFOS = ("notify_fifo", "vrrp_notify_fifo")
LVS_FIFOS = ("notify_fifo", "lvs_notify_fifo")


class PreparedNotify(NamedTuple):
    """What the processes take of it."""

    vrrp: VrrpNotify
    supervisor: SupervisorNotify
    mail: MailSettings | None


def prepare_notify(
    sheet: Sheet, preparer: ScriptPreparer, wishes: NotifyWishes, *, vrrp: bool, checkers: bool
) -> PreparedNotify:
    """What can be done here of what was wished for; the sheet hears of the rest.

    `vrrp` and `checkers` say whether there is such a worker.
    """
    executables = _executables(preparer, wishes) if vrrp else ()
    kinds = {*(_VRRP_FIFOS if vrrp else ()), *(LVS_FIFOS if checkers else ())}
    fifos = {keyword: each for keyword, each in wishes.fifos.items() if keyword in kinds}
    ready = {keyword: _fifo(preparer, keyword, fifo) for keyword, fifo in fifos.items()}
    supervisor = SupervisorNotify(
        shutdown=_own(preparer, wishes, "shutdown_script"),
        fifos={keyword: fifo for keyword, fifo in ready.items() if fifo is not None},
    )
    mail = None if wishes.mail is None else _mail(sheet, wishes.mail)
    fifos_of_vrrp = tuple(keyword for keyword in _VRRP_FIFOS if keyword in supervisor.fifos)
    told = msgspec.structs.replace(wishes.vrrp, executables=executables, fifos=fifos_of_vrrp)
    if mail is None:
        told = msgspec.structs.replace(told, instances=_without_mail(told.instances), groups=_without_mail(told.groups))
    return PreparedNotify(told if vrrp else VrrpNotify(), supervisor, mail)


def _without_mail(items: dict[str, ItemNotify]) -> dict[str, ItemNotify]:
    return {name: msgspec.structs.replace(item, mail=False) for name, item in items.items()}


def prepare_startup(preparer: ScriptPreparer, wishes: NotifyWishes) -> OwnScript | None:
    """The startup script, for an agent that starts: a reload does not look at it."""
    return _own(preparer, wishes, "startup_script")


def _executables(preparer: ScriptPreparer, wishes: NotifyWishes) -> tuple[tuple[Command, Executable], ...]:
    found: dict[Command, Executable] = {}
    for path, command in wishes.places:
        block, name, keyword = path
        hint = "the event is told in all other ways, but this script is not run"
        executable = preparer.prepare(path, f"{keyword} of {block} {name}", command, hint)
        if executable is not None:
            found[command] = executable
    return tuple(found.items())


def _own(preparer: ScriptPreparer, wishes: NotifyWishes, keyword: str) -> OwnScript | None:
    wish = wishes.own.get(keyword)
    if wish is None:
        return None
    executable = preparer.prepare(("global_defs", keyword), keyword, wish.command, "it is not run")
    return None if executable is None else OwnScript(executable, wish.timeout)


def _fifo(preparer: ScriptPreparer, keyword: str, wish: FifoWish) -> FifoSettings | None:
    owner = preparer.identity(("global_defs", keyword), keyword, wish.user, wish.group)
    if owner is None:
        return None
    script = None
    if wish.script is not None:
        name = f"{keyword}_script"
        script = preparer.prepare(("global_defs", name), name, wish.script, "whoever reads the FIFO has to be started")
    return FifoSettings(wish.path, owner.uid, owner.gid, script)


# -- mail --------------------------------------------------------------------------------------------------------------


def _mail(sheet: Sheet, wish: MailSettings) -> MailSettings | None:
    """With all that was left to the machine, as keepalived fills it in."""
    address = _address(wish.host)
    if not address:
        text = f"the mail relay {wish.host} is not known here: no mail is sent until a reload finds it"
        sheet.warning(
            ("global_defs", "smtp_server"), "smtp-server-unknown", text, "say its address, or mend the resolver"
        )
        return None
    host = socket.gethostname()
    sender = wish.sender.address and wish.sender
    if not sender:
        user = str(os.geteuid())
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(os.geteuid()).pw_name
        sender = Recipient(f"{user}@{host}", f"{user}@{host}")
    return msgspec.structs.replace(
        wish,
        host=address,
        helo_name=wish.helo_name or host,
        sender=sender,
        subject_prefix=wish.subject_prefix or host,
    )


def _address(host: str) -> str:
    """Of the relay; empty when its name is nobody's."""
    with contextlib.suppress(ValueError):
        return str(ip_address(host))
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return ""

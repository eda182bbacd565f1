"""Who is told about events, and how: scripts, FIFOs, mails; and the scripts of the agent itself.

What depends on the machine (users, files, names of hosts) is left open here:
`kactl_agent.supervisor.notify_files` adds it where the agent runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import parseaddr
from typing import Any

import msgspec
from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.in_force import InstanceInForce
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.config.trackers import command_words
from kactl_agent.notify.settings import ItemNotify, MailSettings, Recipient, Security, VrrpNotify
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.settings import MICROSECOND

FIFOS = ("notify_fifo", "vrrp_notify_fifo", "lvs_notify_fifo")
OWN_SCRIPTS = ("startup_script", "shutdown_script")
_NOTIFY = ("notify_master", "notify_backup", "notify_fault", "notify_stop", "notify")
_INSTANCE_NOTIFY = (*_NOTIFY, "notify_deleted", "notify_master_rx_lower_pri")
SERVED_GLOBAL = frozenset(
    {
        *FIFOS,
        *(f"{fifo}_script" for fifo in FIFOS),
        *OWN_SCRIPTS,
        *(f"{script}_timeout" for script in OWN_SCRIPTS),
        "fifo_write_vrrp_states_on_reload",
        "notification_email",
        "notification_email_from",
        "no_email_faults",
        "smtp_alert",
        "smtp_alert_vrrp",
        "smtp_connect_timeout",
        "smtp_helo_name",
        "smtp_server",
        "smtp_tls",
        "smtp_tls_ca_file",
        "smtp_tls_server_name",
        "smtp_user",
        "smtp_password",
    }
)
SERVED_GROUP = frozenset({*_NOTIFY, "smtp_alert"})
SERVED_INSTANCE = frozenset({*_INSTANCE_NOTIFY, "smtp_alert"})
_DEFAULT_TIMEOUT = 10_000_000
_SMTP_PORT = {Security.NONE: 25, Security.STARTTLS: 25, Security.IMPLICIT: 465}


class FifoWish(msgspec.Struct, frozen=True):
    """A FIFO; empty names stand for the default of the machine. The script gets the path as its last argument."""

    path: str
    user: str = ""
    group: str = ""
    script: Command | None = None


class OwnScriptWish(msgspec.Struct, frozen=True):
    """startup_script or shutdown_script; the timeout is ns."""

    command: Command
    timeout: int


class NotifyWishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said about notifications. `places` has all commands of instances and groups, with their keyword."""

    vrrp: VrrpNotify = VrrpNotify()
    mail: MailSettings | None = None  # without names that the user has left to the machine
    fifos: dict[str, FifoWish] = {}
    own: dict[str, OwnScriptWish] = {}
    places: tuple[tuple[Path, Command], ...] = ()


def resolve_notify(sheet: Sheet, sources: dict[str, dict[str, str]]) -> NotifyWishes:
    """`sources` learns where each instance's smtp_alert comes from."""
    config = sheet.document.config
    places: list[tuple[Path, Command]] = []
    instances: dict[str, ItemNotify] = {}
    for name, block in or_default(config.vrrp_instance, {}).items():
        mail, source = _wants_mail(config, name)
        sources.setdefault(name, {})["smtp_alert"] = source
        scripts = dict(_scripts(sheet, ("vrrp_instance", name), block, _INSTANCE_NOTIFY))
        deleted = or_default(block.notify_deleted, False) is not False
        _keep(instances, name, ItemNotify(scripts, mail, deleted))
        places += [(("vrrp_instance", name, keyword), command) for keyword, command in scripts.items()]
    groups: dict[str, ItemNotify] = {}
    for name, group in or_default(config.vrrp_sync_group, {}).items():
        if or_default(group.group, ()):
            scripts = dict(_scripts(sheet, ("vrrp_sync_group", name), group, _NOTIFY))
            _keep(groups, name, ItemNotify(scripts, _group_mail(config, group)))
            places += [(("vrrp_sync_group", name, keyword), command) for keyword, command in scripts.items()]
    vrrp = VrrpNotify(
        instances=instances,
        groups=groups,
        fault_mails=not _global(config, "no_email_faults", False),
        states_on_reload=_global(config, "fifo_write_vrrp_states_on_reload", False),
    )
    mail_settings = _mail(sheet)
    if mail_settings is None and vrrp.sends_mail:
        _say_no_mail(sheet)
    return NotifyWishes(
        vrrp=vrrp,
        mail=mail_settings,
        fifos=dict(_fifos(sheet)),
        own=dict(_own_scripts(sheet)),
        places=tuple(places),
    )


def _keep(items: dict[str, ItemNotify], name: str, item: ItemNotify) -> None:
    if item != ItemNotify():
        items[name] = item


def _global(config: Config, keyword: str, default: Any) -> Any:
    said = config.global_defs
    return default if said is UNSET else or_default(getattr(said, keyword), default)


# -- scripts -----------------------------------------------------------------------------------------------------------


def _scripts(sheet: Sheet, path: Path, block: Any, keywords: tuple[str, ...]) -> Iterator[tuple[str, Command]]:
    for keyword in keywords:
        said = getattr(block, keyword)
        if isinstance(said, Script):
            yield keyword, script_command(sheet, (*path, keyword), said)


def script_command(sheet: Sheet, path: Path, said: Script) -> Command:
    """The command of a keyword that has one, with who is to run it."""
    words = command_words(sheet, path, or_default(said.command, ""))
    return Command(words, or_default(said.user, ""), or_default(said.group, ""))


def _own_scripts(sheet: Sheet) -> Iterator[tuple[str, OwnScriptWish]]:
    for keyword in OWN_SCRIPTS:
        said = _global(sheet.document.config, keyword, None)
        if said is not None:
            timeout = _global(sheet.document.config, f"{keyword}_timeout", _DEFAULT_TIMEOUT)
            yield keyword, OwnScriptWish(script_command(sheet, ("global_defs", keyword), said), timeout * MICROSECOND)


def _fifos(sheet: Sheet) -> Iterator[tuple[str, FifoWish]]:
    config = sheet.document.config
    taken: dict[str, str] = {}
    for keyword in FIFOS:
        said, script = _global(config, keyword, None), _global(config, f"{keyword}_script", None)
        path: Path = ("global_defs", keyword)
        if said is None:
            if script is not None:
                text = f"{keyword}_script has nothing to read: there is no {keyword}"
                sheet.warning(("global_defs", f"{keyword}_script"), "fifo-script", text)
            continue
        file = or_default(said.path, "")
        if not file.startswith("/"):
            sheet.error(path, "fifo-path", f"`{file}` is no absolute path", "say where the FIFO is to be, from / on")
            continue
        if file in taken:
            text = f"{keyword} is {taken[file]} already: every line would be written twice"
            sheet.warning(path, "fifo-twice", f"{text}; this one is ignored", "give each a path of its own")
            continue
        taken[file] = keyword
        command = None if script is None else script_command(sheet, ("global_defs", f"{keyword}_script"), script)
        yield keyword, FifoWish(file, or_default(said.user, ""), or_default(said.group, ""), command)


# -- mail --------------------------------------------------------------------------------------------------------------


def _wants_mail(config: Config, name: str) -> tuple[bool, str]:
    """smtp_alert of an instance, and where that stands."""
    it = InstanceInForce(config, name)
    said = it.pick("smtp_alert", "smtp_alert_vrrp", None)
    if said.value is None:
        said = it.global_value("smtp_alert", False)
    return bool(said.value), said.source


def _group_mail(config: Config, block: Any) -> bool:
    for said in (block.smtp_alert, _global(config, "smtp_alert_vrrp", UNSET), _global(config, "smtp_alert", UNSET)):
        if said is not UNSET:
            return bool(said)
    return False


def _mail(sheet: Sheet) -> MailSettings | None:
    """None where there is no relay or nobody to write to."""
    config = sheet.document.config
    server = _global(config, "smtp_server", None)
    recipients = tuple(_recipient(text) for text in _global(config, "notification_email", ()))
    if server is None or not recipients:
        return None
    security = Security(_global(config, "smtp_tls", "none"))
    user, password = _global(config, "smtp_user", ""), _global(config, "smtp_password", "")
    _check_credentials(sheet, security, user, password)
    sender = _global(config, "notification_email_from", "")
    host = or_default(server.host, "")
    return MailSettings(
        host=host,
        port=or_default(server.port, _SMTP_PORT[security]),
        helo_name=_global(config, "smtp_helo_name", ""),
        sender=_recipient(sender),
        recipients=recipients,
        subject_prefix=_global(config, "router_id", ""),
        timeout=_global(config, "smtp_connect_timeout", 30_000_000) * MICROSECOND,
        security=security,
        server_name=_global(config, "smtp_tls_server_name", host) if security is not Security.NONE else "",
        ca_file=_global(config, "smtp_tls_ca_file", ""),
        user=user,
        password=password if isinstance(password, str) else "",
    )


def _check_credentials(sheet: Sheet, security: Security, user: str, password: Any) -> None:
    if user and security is Security.NONE:
        text = "the password of smtp_user would cross the network in the clear"
        sheet.error(("global_defs", "smtp_user"), "smtp-clear-password", text, "say smtp_tls: starttls or implicit")
    has_user, has_password = bool(user), bool(password)
    if has_user is not has_password:
        missing, said = ("smtp_password", "smtp_user") if user else ("smtp_user", "smtp_password")
        sheet.error(("global_defs", said), "smtp-credentials", f"{said} without {missing}", f"say {missing} as well")


def _recipient(text: str) -> Recipient:
    """`a@example.org` or `Some One <a@example.org>`; what no parser of addresses takes is taken as it stands."""
    address = parseaddr(text)[1]
    return Recipient(_unfit.sub("", address or text), text)


_unfit = re.compile(r"[\x00-\x20<>\x7f]")


def _say_no_mail(sheet: Sheet) -> None:
    config = sheet.document.config
    missing = [word for word in ("smtp_server", "notification_email") if not _global(config, word, ())]
    text = f"smtp_alert is on, but without {' and '.join(missing)} no mail is sent"
    sheet.warning(("global_defs",), "mail-nowhere", text, f"say {' and '.join(missing)}, or smtp_alert: false")

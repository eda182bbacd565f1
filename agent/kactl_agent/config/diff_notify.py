"""What a reload changes about notifications. None of it disturbs an address or a session; no command line and no
password is shown."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from kactl_agent.config.impact import Change, Impact
from kactl_agent.notify.settings import ItemNotify, MailSettings, SupervisorNotify, VrrpNotify

_ITEM = {"mail": "smtp_alert", "deleted": "notify_deleted"}
_GLOBAL = {"fault_mails": "no_email_faults", "states_on_reload": "fifo_write_vrrp_states_on_reload"}
_MAIL = {
    "host": "smtp_server",
    "port": "smtp_server",
    "helo_name": "smtp_helo_name",
    "sender": "notification_email_from",
    "recipients": "notification_email",
    "subject_prefix": "router_id",
    "timeout": "smtp_connect_timeout",
    "security": "smtp_tls",
    "server_name": "smtp_tls_server_name",
    "ca_file": "smtp_tls_ca_file",
    "user": "smtp_user",
    "password": "smtp_password",
}


def vrrp_notify_changes(
    old: VrrpNotify, new: VrrpNotify, instances: Container[str], groups: Container[str]
) -> Iterator[Change]:
    """`instances` and `groups` are those that the reload keeps: of others there is more to say than this."""
    kinds: tuple[tuple[str, Mapping[str, ItemNotify], Mapping[str, ItemNotify], Container[str]], ...] = (
        ("vrrp_instance", old.instances, new.instances, instances),
        ("vrrp_sync_group", old.groups, new.groups, groups),
    )
    files_before, files_after = dict(old.executables), dict(new.executables)
    for block, before, after, kept in kinds:
        for name in dict.fromkeys((*before, *after)):
            one, two = before.get(name, ItemNotify()), after.get(name, ItemNotify())
            if name not in kept:
                continue
            changed = [
                keyword
                for keyword in dict.fromkeys((*one.scripts, *two.scripts))
                if one.scripts.get(keyword) != two.scripts.get(keyword)
                or files_before.get(one.scripts[keyword]) != files_after.get(two.scripts[keyword])
            ]
            changed += [keyword for field, keyword in _ITEM.items() if getattr(one, field) != getattr(two, field)]
            if changed:
                verb = "changes" if len(dict.fromkeys(changed)) == 1 else "change"
                text = f"{', '.join(dict.fromkeys(changed))} {verb}"
                yield Change(f"{block} {name}", Impact.HITLESS, text)
    for field, keyword in _GLOBAL.items():
        if getattr(old, field) != getattr(new, field):
            yield Change("global_defs", Impact.HITLESS, f"{keyword} changes")


def outlet_changes(
    old: SupervisorNotify, new: SupervisorNotify, old_mail: MailSettings | None, new_mail: MailSettings | None
) -> Iterator[Change]:
    """FIFOs, the shutdown script, and the mail relay."""
    for keyword in dict.fromkeys((*old.fifos, *new.fifos)):
        one, two = old.fifos.get(keyword), new.fifos.get(keyword)
        if one is None and two is not None:
            yield _changed(f"{keyword} {two.path} is written to")
        elif one is not None and two is None:
            yield _changed(f"{keyword} {one.path} is not written to any more: its readers see the end")
        elif one is not None and two is not None:
            if (one.path, one.uid, one.gid) != (two.path, two.uid, two.gid):
                yield _changed(f"{keyword} is {two.path} and not {one.path}, whose readers see the end")
            if one.script != two.script:
                yield _changed(f"{keyword}_script changes")
    if old.shutdown != new.shutdown:
        yield _changed("shutdown_script changes")
    if old_mail is None or new_mail is None:
        if old_mail is not new_mail:
            yield _changed("mails are sent" if old_mail is None else "no mail is sent any more")
        return
    keywords = [keyword for field, keyword in _MAIL.items() if getattr(old_mail, field) != getattr(new_mail, field)]
    for keyword in dict.fromkeys(keywords):
        yield _changed(f"{keyword} changes")


def _changed(text: str) -> Change:
    return Change("global_defs", Impact.HITLESS, text)
